// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! No key and no plaintext is in any text that a type gives of itself.

use forktex_vault::{Context, Key, Scheme, Token, Vault, VaultError};
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

    let exposed = key.expose();
    let hex = format!("{:032x}", u128::from_be_bytes(*MARK.first_chunk().unwrap()));
    let list = format!("{MARK:?}");
    let forbidden = ["MARKED", &exposed[..20], &hex[..20], &list[1..20]];
    for text in texts {
        for mark in forbidden {
            assert!(!text.contains(mark), "`{mark}` is in {text}");
        }
    }
}
