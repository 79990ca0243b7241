// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A vault as the cipher of a `Db`, and that its values are those of `Encrypted`.

use forktex_db::{CipherErrorKind, ColumnCipher, Place};
use forktex_vault::{Context, Encrypted, Key, Token, Vault};
use uuid::Uuid;

const ROW: Uuid = Uuid::from_u128(7);
const ORG: Uuid = Uuid::from_u128(8);

fn place() -> Place<'static> {
    Place::new("app.credential", "payload").row(ROW).org(ORG)
}

#[test]
fn what_the_hook_seals_an_encrypted_column_opens_and_the_other_way_round() {
    let vault = Vault::from_key(&Key::generate().unwrap());
    let cell = vault.bound(Context::new("app.credential", "payload").row(ROW).org(ORG));

    let json = serde_json::to_vec("s3cret").unwrap();
    let sealed = ColumnCipher::seal(&vault, &place(), &json).unwrap();
    let column: Encrypted<String> = Encrypted::from_token(Token::from_bytes(&sealed).unwrap());
    assert_eq!(column.open(&cell).as_deref(), Ok("s3cret"));

    let column: Encrypted<String> = Encrypted::seal(&cell, "s3cret").unwrap();
    let opened = ColumnCipher::open(&vault, &place(), &column.token().to_bytes()).unwrap();
    assert_eq!(opened, json);
}

#[test]
fn each_failure_has_its_own_kind() {
    let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let vault = Vault::from_key(&key);
    let sealed = ColumnCipher::seal(&vault, &place(), b"1").unwrap();
    let kind = |vault: &Vault, place: &Place<'_>, sealed: &[u8]| {
        ColumnCipher::open(vault, place, sealed).unwrap_err().kind()
    };

    let stranger = Vault::from_key(&other);
    let same_id = Vault::from_key(&other.with_id(key.id()));
    for elsewhere in [
        Place::new("app.credential", "payload").row(ROW),
        Place::new("app.credential", "payload").org(ORG),
        Place::new("app.credential", "other").row(ROW).org(ORG),
    ] {
        let moved = kind(&vault, &elsewhere, &sealed);
        assert_eq!(moved, CipherErrorKind::TamperedOrMoved);
    }
    assert_eq!(
        kind(&stranger, &place(), &sealed),
        CipherErrorKind::UnknownKey
    );
    assert_eq!(kind(&same_id, &place(), &sealed), CipherErrorKind::WrongKey);
    assert_eq!(
        kind(&vault, &place(), &sealed[..50]),
        CipherErrorKind::Malformed
    );
    assert_eq!(kind(&vault, &place(), b""), CipherErrorKind::Malformed);
}
