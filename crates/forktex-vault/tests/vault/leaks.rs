// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! No key and no plaintext is in any text that a type gives of itself.

use forktex_vault::{
    Context, FileKeys, Key, KeyProviderError, Keyring, Scheme, StaticKeys, Token, Vault,
    VaultError, from_fn,
};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

/// Bytes that are easy to find again, in every form that a text could take.
const MARK: [u8; 32] = *b"MARKED-KEY-MARKED-KEY-MARKED-KEY";
const SECRET: &str = "MARKED-PLAINTEXT";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Never,
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(SECRET))
    }
}

fn error_texts(error: &VaultError) -> Vec<String> {
    let mut texts = vec![
        format!("{error:?}"),
        format!("{error:#?}"),
        error.to_string(),
    ];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        texts.push(format!("{inner:?} {inner}"));
        source = inner.source();
    }
    texts
}

#[test]
fn no_text_holds_a_key_or_a_plaintext() {
    let key = Key::from_bytes(MARK);
    let mut texts = vec![
        format!("{key:?}"),
        format!("{key:#?}"),
        format!("{:?}", key.id()),
    ];
    for scheme in [Scheme::V2, Scheme::Fernet] {
        let vault = Vault::from_key(&key).with_previous(&key).scheme(scheme);
        let bound = vault.context("t", "c", 1);
        let token = bound.encrypt(SECRET).unwrap();
        texts.push(format!("{vault:?} {vault:#?} {bound:?} {bound:#?}"));
        texts.push(format!("{token:?} {token:#?} {token}"));

        let index = vault.blind_index("t", "c");
        texts.push(format!("{index:?} {index:#?} {:?}", index.of(SECRET)));

        let errors = [
            bound
                .decrypt::<Verdict>(&token)
                .map(|Verdict::Never| ())
                .unwrap_err(),
            bound.decrypt::<u8>(&token).unwrap_err(),
            bound.encrypt(&Refuses).unwrap_err(),
            Vault::from_key(&Key::generate().unwrap())
                .reading_fernet()
                .decrypt::<u8>(&token)
                .unwrap_err(),
            Vault::from_key(&Key::generate().unwrap().with_id(key.id()))
                .reading_fernet()
                .decrypt::<u8>(&token)
                .unwrap_err(),
            SECRET.parse::<Token>().unwrap_err(),
            SECRET.parse::<Key>().unwrap_err(),
            key.expose()[..43].parse::<Key>().unwrap_err(),
            key.expose().parse::<forktex_vault::KeyId>().unwrap_err(),
        ];
        texts.extend(errors.iter().flat_map(error_texts));
    }
    let moved = Vault::from_key(&key)
        .context("t", "c", 1)
        .encrypt(SECRET)
        .unwrap();
    let moved = Vault::from_key(&key)
        .bound(Context::none())
        .open(&moved)
        .unwrap_err();
    texts.extend(error_texts(&moved));

    texts.extend(provider_texts(&key));
    assert_holds_nothing(&texts);
}

fn provider_texts(key: &Key) -> Vec<String> {
    let ring = Keyring::new(key.clone()).with_previous(key.clone());
    let fixed = StaticKeys::new(ring.clone());
    let secret = key.expose();
    let fetching = from_fn(move || {
        let ring = secret.parse::<Key>().map(Keyring::new);
        async move { ring.map_err(|error| KeyProviderError::Other(error.into())) }
    });
    let file = FileKeys::new("/etc/vault.keys");
    vec![format!(
        "{ring:?} {ring:#?} {fixed:?} {fetching:?} {file:?}"
    )]
}

/// What rotation and the keys of organisations say of themselves, through a live database whose rows
/// hold marked plaintexts, sealed and not.
#[cfg(feature = "db")]
#[tokio::test]
async fn no_text_of_a_rotation_holds_a_key_or_a_plaintext() {
    use forktex_db::{ColumnCipher, Place};
    use forktex_vault::{OrgKeys, seal_plaintext};

    let key = Key::from_bytes(MARK);
    let fixture = crate::fixture::Fixture::with_rows(3).await;
    fixture
        .execute(
            "ALTER TABLE app.credential ADD COLUMN plain text;
             UPDATE app.credential SET plain = 'MARKED-PLAINTEXT';
             UPDATE app.credential SET payload = 'MARKED plaintext' WHERE id = 2;
             UPDATE app.credential SET label = NULL",
        )
        .await;
    let rotation = fixture.rotation("payload").from(&key).to(&key);
    let mut texts = vec![format!("{rotation:?} {rotation:#?}")];
    let seal = || fixture.rotation("payload").from(&key).to(&key).seal();
    let refused = seal().await.unwrap_err();
    texts.push(format!("{refused:?} {refused}"));
    let report = rotation.from(&fixture.old).run().await.unwrap();
    texts.push(format!("{report:?} {report} {:?}", report.bad_rows));
    texts.push(serde_json::to_string(&report).unwrap());
    fixture
        .execute("UPDATE app.credential SET payload = NULL WHERE id = 2")
        .await;
    let sealed = seal().await.unwrap();
    texts.push(format!("{sealed:?} {sealed}"));

    let plain = seal_plaintext(&fixture.db, "app.credential", "plain", "label").to(&key);
    texts.push(format!("{plain:?}"));
    let report = plain.run().await.unwrap();
    texts.push(format!("{report:?} {report}"));

    let keys = OrgKeys::new(&fixture.db, Vault::from_key(&key));
    let place = Place::new("t", "c").org(uuid::Uuid::nil());
    let vault = Vault::from_key(&key);
    let refused = [
        ColumnCipher::open(&keys, &place, SECRET.as_bytes()).unwrap_err(),
        ColumnCipher::open(&vault, &place, SECRET.as_bytes()).unwrap_err(),
    ];
    keys.shred(uuid::Uuid::nil()).await.unwrap();
    let shredded = keys.vault(uuid::Uuid::nil()).await.unwrap_err();
    texts.push(format!(
        "{keys:?} {keys:#?} {refused:?} {shredded:?} {shredded}"
    ));

    let noted: Vec<String> = forktex_db::sqlx::query_scalar(
        "SELECT r::text FROM forktex_vault.rotation r
         UNION ALL SELECT q::text FROM forktex_vault.quarantine q
         UNION ALL SELECT k::text FROM forktex_vault.org_key k",
    )
    .fetch_all(fixture.db.pool())
    .await
    .unwrap();
    texts.extend(noted);
    assert_holds_nothing(&texts);
}

fn assert_holds_nothing(texts: &[String]) {
    let exposed = Key::from_bytes(MARK).expose();
    let hex = format!("{:032x}", u128::from_be_bytes(*MARK.first_chunk().unwrap()));
    let list = format!("{MARK:?}");
    let forbidden = ["MARKED", &exposed[..20], &hex[..20], &list[1..20]];
    for text in texts {
        for mark in forbidden {
            assert!(!text.contains(mark), "`{mark}` is in {text}");
        }
    }
}
