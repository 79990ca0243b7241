// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys in a file. It is read anew each time, and nothing of it is quoted in an error.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyProvider, KeyProviderError, Keyring};
use crate::key::Key;

/// The longest key file: some 1,400 keys.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Keys in a text file: one of 44 characters a line, the primary first. Empty lines and lines that
/// begin with `#` are passed over.
///
/// On Unix a file that users other than its owner and its group may read or write is refused. The file
/// has at most 64 KiB. It is read on tokio's threads for files, so a tokio runtime is needed.
///
/// # Examples
/// ```
/// use forktex_vault::{FileKeys, Key, Vault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("forktex-vault-keys-{}", std::process::id()));
/// let (new, old) = (Key::generate()?, Key::generate()?);
/// let lines = format!("# since May\n{}\n# before\n{}\n", *new.expose(), *old.expose());
/// std::fs::write(&path, lines)?;
/// # #[cfg(unix)] {
/// # use std::os::unix::fs::PermissionsExt;
/// std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
/// # }
/// let vault = Vault::load(&FileKeys::new(&path)).await?;
/// assert_eq!(vault.primary_key(), new.id());
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileKeys {
    path: PathBuf,
}

impl FileKeys {
    /// Takes the file's path; it is read when the keys are asked for.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl KeyProvider for FileKeys {
    async fn keys(&self) -> Result<Keyring, KeyProviderError> {
        let path = self.path.clone();
        // Not tokio's own file, which keeps a buffer that is not wiped.
        tokio::task::spawn_blocking(move || read(&path))
            .await
            .map_err(|stopped| KeyProviderError::Other(stopped.into()))?
    }
}

/// Reads the whole file through one handle, so that what was checked is what is read.
fn read(path: &Path) -> Result<Keyring, KeyProviderError> {
    let unreadable = |source: io::Error| KeyProviderError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    if is_open_to_all(&file.metadata().map_err(unreadable)?) {
        return Err(KeyProviderError::ReadableByAll {
            path: path.to_owned(),
        });
    }
    // Reserved at once: a buffer that grows leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 64));
    let read = file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    if read.map_err(unreadable)? > FILE_BYTES_MAX {
        return Err(KeyProviderError::TooLarge {
            path: path.to_owned(),
            bytes_max: FILE_BYTES_MAX,
        });
    }
    let mut keys = parse(path, &bytes)?.into_iter();
    let primary = keys.next().ok_or_else(|| KeyProviderError::Empty {
        path: path.to_owned(),
    })?;
    Ok(Keyring {
        primary,
        previous: keys.collect(),
    })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Key>, KeyProviderError> {
    let mut keys = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        // What is not UTF-8 is no key either.
        let key = std::str::from_utf8(line).unwrap_or_default().parse();
        keys.push(key.map_err(|cause| KeyProviderError::InvalidLine {
            path: path.to_owned(),
            line: index + 1,
            cause,
        })?);
    }
    Ok(keys)
}

#[cfg(unix)]
fn is_open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o007 != 0
}

#[cfg(not(unix))]
fn is_open_to_all(_metadata: &std::fs::Metadata) -> bool {
    false
}
