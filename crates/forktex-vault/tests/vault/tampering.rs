// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tokens that were cut, changed, moved, or made by another key or release.

use forktex_vault::{Context, Key, PLAINTEXT_BYTES_MAX, Scheme, Token, Vault, VaultError};

fn vault() -> (Key, Vault) {
    let key = Key::generate().unwrap();
    let vault = Vault::from_key(&key);
    (key, vault)
}

fn open(vault: &Vault, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
    let token = Token::from_bytes(bytes)?;
    let opened = vault.bound(Context::none()).open(&token)?;
    Ok(opened.to_vec())
}

#[test]
fn both_schemes_give_back_what_they_were_given() {
    for scheme in [Scheme::V2, Scheme::Fernet] {
        let (_, vault) = vault();
        let bound = vault.scheme(scheme).context("t", "c", "r");
        for size in [0, 1, 15, 16, 17, 255, 4096, 70_000] {
            let value = vec![0xA5; size];
            let token = bound.seal(&value).unwrap();
            assert_eq!(token.scheme(), scheme);
            assert_eq!(*bound.open(&token).unwrap(), value);
            let stored = Token::from_bytes(&token.to_bytes()).unwrap();
            assert_eq!(stored, token);
            assert_eq!(stored.to_string().parse(), Ok(token.clone()));
            assert_eq!(Token::from_bytes(token.to_string().as_bytes()), Ok(token));
        }
    }
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    let (_, vault) = vault();
    assert_ne!(vault.encrypt("a").unwrap(), vault.encrypt("a").unwrap());
}

#[test]
fn a_token_opens_in_its_own_place_alone() {
    let (_, vault) = vault();
    let place = || Context::new("app.credential", "payload").row(7).org("a");
    let token = vault.bound(place()).encrypt(&1).unwrap();
    assert_eq!(vault.bound(place()).decrypt(&token), Ok(1));
    let elsewhere = [
        place().row(8),
        place().org("b"),
        Context::new("app.credential", "payload").row(7),
        Context::new("app.credential", "payload").org("a"),
        Context::new("app.credentials", "payload").row(7).org("a"),
        Context::new("app.credential", "other").row(7).org("a"),
        Context::none(),
    ];
    for context in elsewhere {
        let moved = vault.bound(context.clone()).decrypt::<i32>(&token);
        assert_eq!(moved, Err(VaultError::TamperedOrMoved), "{context:?}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_by_its_kind() {
    let (key, vault) = vault();
    let token = vault.encrypt(&12345).unwrap().to_bytes();
    for at in 0..token.len() * 8 {
        let mut changed = token.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let error = open(&vault, &changed).unwrap_err();
        let fits = match at / 8 {
            0 => matches!(
                error,
                VaultError::UnsupportedVersion { .. } | VaultError::Malformed { .. }
            ),
            1..9 => matches!(error, VaultError::UnknownKey { id } if id != key.id()),
            9..41 => error == VaultError::WrongKey { id: Some(key.id()) },
            _ => error == VaultError::TamperedOrMoved,
        };
        assert!(fits, "bit {at}: {error:?}");
    }
}

#[test]
fn every_flipped_bit_of_a_fernet_token_is_noticed() {
    let (_, vault) = vault();
    let vault = vault.scheme(Scheme::Fernet);
    let text = vault.encrypt(&12345).unwrap().to_string();
    for at in 0..text.len() * 8 {
        let mut changed = text.clone().into_bytes();
        changed[at / 8] ^= 1 << (at % 8);
        let error = open(&vault, &changed).unwrap_err();
        let fits = matches!(
            error,
            VaultError::Malformed { .. }
                | VaultError::WrongKey { .. }
                | VaultError::UnsupportedVersion { .. }
        );
        assert!(fits, "bit {at}: {error:?}");
    }
}

#[test]
fn a_cut_token_is_malformed_or_tampered_with_at_every_length() {
    for scheme in [Scheme::V2, Scheme::Fernet] {
        let (_, vault) = vault();
        let vault = vault.scheme(scheme);
        for stored in [
            vault.encrypt("some text").unwrap().to_bytes(),
            vault.encrypt("some text").unwrap().to_string().into_bytes(),
        ] {
            for length in 0..stored.len() {
                let error = open(&vault, &stored[..length]).unwrap_err();
                let fits = matches!(
                    error,
                    VaultError::Malformed { .. }
                        | VaultError::TamperedOrMoved
                        | VaultError::WrongKey { .. }
                );
                assert!(fits, "{scheme:?} cut to {length}: {error:?}");
            }
        }
    }
}

#[test]
fn a_later_version_says_so() {
    let (_, vault) = vault();
    let mut token = vault.encrypt(&1).unwrap().to_bytes();
    token[0] = 3;
    let read = Token::from_bytes(&token);
    assert_eq!(read, Err(VaultError::UnsupportedVersion { version: 3 }));
}

#[test]
fn the_key_that_is_missing_is_named() {
    let (old, old_vault) = vault();
    let (new, new_vault) = vault();
    let token = old_vault.encrypt(&1).unwrap();
    let refused = new_vault.decrypt::<i32>(&token);
    assert_eq!(refused, Err(VaultError::UnknownKey { id: old.id() }));
    let both = new_vault.with_previous(&old);
    assert_eq!(both.decrypt(&token), Ok(1));
    assert_eq!(both.encrypt(&1).unwrap().key_id(), Some(new.id()));
}

#[test]
fn fernet_is_read_only_where_asked() {
    let (key, vault) = vault();
    let token = vault.clone().scheme(Scheme::Fernet).encrypt(&1).unwrap();
    assert_eq!(vault.decrypt::<i32>(&token), Err(VaultError::FernetRefused));
    assert_eq!(vault.reading_fernet().decrypt(&token), Ok(1));
    let (_, other) = self::vault();
    let other = other.reading_fernet();
    assert_eq!(
        other.decrypt::<i32>(&token),
        Err(VaultError::WrongKey { id: None })
    );
    assert_eq!(other.with_previous(&key).decrypt(&token), Ok(1));
}

#[test]
fn sizes_are_bounded() {
    let (_, vault) = vault();
    let bound = vault.bound(Context::none());
    let largest = vec![0; PLAINTEXT_BYTES_MAX];
    let token = bound.seal(&largest).unwrap();
    assert_eq!(token.to_string().parse(), Ok(token));
    let refused = bound.seal(&vec![0; PLAINTEXT_BYTES_MAX + 1]);
    assert!(
        matches!(refused, Err(VaultError::TooLarge { .. })),
        "{refused:?}"
    );
    let endless = "A".repeat(2 * PLAINTEXT_BYTES_MAX);
    assert!(matches!(
        endless.parse::<Token>(),
        Err(VaultError::TooLarge { .. })
    ));
}
