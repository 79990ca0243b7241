// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys of organisations: made once, wrapped anew, shredded.

use std::time::Duration;

use forktex_db::{CipherErrorKind, ColumnCipher, Place};
use forktex_vault::{Key, OrgKeyError, OrgKeys, Vault, VaultError};
use uuid::Uuid;

use crate::fixture::{Fixture, ORG};

fn is_shredded(outcome: &Result<Vault, OrgKeyError>) -> bool {
    matches!(outcome, Err(OrgKeyError::Vault(VaultError::KeyShredded { org })) if *org == ORG)
}

#[tokio::test]
async fn processes_that_come_at_once_get_one_key() {
    let fixture = Fixture::with_rows(0).await;
    let kek = Vault::from_key(&fixture.old);
    let asking = (0..8).map(|_| {
        let keys = OrgKeys::new(&fixture.db, kek.clone());
        tokio::spawn(async move { keys.vault(ORG).await.unwrap().primary_key() })
    });
    let asking: Vec<_> = asking.collect();
    let mut ids = Vec::new();
    for asked in asking {
        ids.push(asked.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let other = OrgKeys::new(&fixture.db, kek).vault(Uuid::nil()).await;
    assert_ne!(other.unwrap().primary_key(), ids[0]);
}

#[tokio::test]
async fn a_shredded_key_opens_nothing_and_is_never_made_again() {
    let fixture = Fixture::with_rows(0).await;
    let kek = Vault::from_key(&fixture.old);
    let keys = OrgKeys::new(&fixture.db, kek.clone());
    // Asks each time, as one would once its time has expired.
    let elsewhere = OrgKeys::new(&fixture.db, kek).expires_after(Duration::ZERO);
    let place = Place::new("app.credential", "payload").org(ORG);

    let unprepared = ColumnCipher::seal(&keys, &place, b"1").unwrap_err();
    assert_eq!(unprepared.kind(), CipherErrorKind::Unavailable);
    keys.prepare(ORG).await.unwrap();
    let sealed = ColumnCipher::seal(&keys, &place, b"1").unwrap();
    assert_eq!(ColumnCipher::open(&keys, &place, &sealed).unwrap(), b"1");
    let vault = elsewhere.vault(ORG).await.unwrap();
    assert_eq!(ColumnCipher::open(&vault, &place, &sealed).unwrap(), b"1");
    let nobody = Place::new("app.credential", "payload");
    let refused = ColumnCipher::seal(&keys, &nobody, b"1").unwrap_err();
    assert_eq!(refused.kind(), CipherErrorKind::Unavailable);

    keys.shred(ORG).await.unwrap();
    keys.shred(ORG).await.unwrap();
    assert!(is_shredded(&keys.vault(ORG).await));
    assert!(is_shredded(&elsewhere.vault(ORG).await));
    let refused = ColumnCipher::open(&keys, &place, &sealed).unwrap_err();
    assert_eq!(refused.kind(), CipherErrorKind::Unavailable);
    let refused = keys.prepare(ORG).await.unwrap_err();
    assert!(refused.to_string().contains("shredded"), "{refused}");
}

#[tokio::test]
async fn keys_are_wrapped_anew_and_stay_the_same() {
    let fixture = Fixture::with_rows(0).await;
    let keys = OrgKeys::new(&fixture.db, Vault::from_key(&fixture.old));
    let before = keys.vault(ORG).await.unwrap().primary_key();
    keys.shred(Uuid::nil()).await.unwrap();

    let new = Vault::from_key(&fixture.new);
    let both = OrgKeys::new(&fixture.db, new.clone().with_previous(&fixture.old));
    let report = both.rewrap().await.unwrap();
    assert_eq!((report.rotated, report.is_complete()), (1, true));
    let after = OrgKeys::new(&fixture.db, new).vault(ORG).await.unwrap();
    assert_eq!(after.primary_key(), before);

    let stranger = OrgKeys::new(&fixture.db, Vault::from_key(&Key::generate().unwrap()));
    let refused = stranger.vault(ORG).await.unwrap_err();
    assert!(matches!(
        refused,
        OrgKeyError::Vault(VaultError::UnknownKey { .. })
    ));
}
