// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where keys come from, and what is refused there.

use std::path::PathBuf;

use forktex_vault::{FileKeys, Key, KeyProviderError, Keyring, StaticKeys, Vault, from_fn};

/// A file that is removed with its value.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        let name = format!("forktex-vault-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        Self(path)
    }

    async fn refusal(&self) -> KeyProviderError {
        Vault::load(&FileKeys::new(&self.0)).await.unwrap_err()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

#[tokio::test]
async fn the_first_key_of_a_file_seals_and_the_others_open() {
    let (new, old) = (Key::generate().unwrap(), Key::generate().unwrap());
    let lines = format!("# new\n\n  {} \r\n# old\n{}", *new.expose(), *old.expose());
    let file = KeyFile::new("two", lines, 0o640);
    let vault = Vault::load(&FileKeys::new(&file.0)).await.unwrap();
    assert_eq!(vault.primary_key(), new.id());
    let token = Vault::from_key(&old).encrypt("t").unwrap();
    assert_eq!(vault.decrypt::<String>(&token).as_deref(), Ok("t"));
}

#[tokio::test]
async fn keys_come_from_values_and_closures() {
    let key = Key::generate().unwrap();
    let fixed = Vault::load(&StaticKeys::new(key.clone())).await.unwrap();
    assert_eq!(fixed.primary_key(), key.id());

    let fetching = from_fn(async || Ok(Keyring::new(key.clone())));
    let fetched = Vault::load(&fetching).await.unwrap();
    assert_eq!(fetched.primary_key(), key.id());

    let failing = from_fn(async || Err(KeyProviderError::Other("the service is away".into())));
    let refused = Vault::load(&failing).await;
    assert!(matches!(refused, Err(KeyProviderError::Other(_))));
}

#[tokio::test]
async fn a_bad_file_is_refused_without_quoting_it() {
    let key = Key::generate().unwrap();
    let text = key.expose();
    let cut = format!("# fine\n{}\n", &text[..43]);
    let line = KeyFile::new("cut", cut, 0o600).refusal().await;
    assert!(
        matches!(line, KeyProviderError::InvalidLine { line: 2, .. }),
        "{line:?}"
    );
    assert!(!format!("{line:?} {line}").contains(&text[..20]));

    let binary = KeyFile::new("binary", [0xFF; 44], 0o600).refusal().await;
    assert!(matches!(binary, KeyProviderError::InvalidLine { .. }));
    let empty = KeyFile::new("empty", "# none\n", 0o600).refusal().await;
    assert!(matches!(empty, KeyProviderError::Empty { .. }));
    let large = KeyFile::new("large", vec![b'\n'; 70_000], 0o600);
    let large = large.refusal().await;
    assert!(matches!(large, KeyProviderError::TooLarge { .. }));
    let missing = Vault::load(&FileKeys::new("/nowhere/keys")).await;
    assert!(matches!(missing, Err(KeyProviderError::Unreadable { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_everybody_may_read_is_refused() {
    let key = Key::generate().unwrap();
    for mode in [0o644, 0o602] {
        let refused = KeyFile::new("open", &**key.expose(), mode).refusal().await;
        assert!(matches!(refused, KeyProviderError::ReadableByAll { .. }));
    }
}
