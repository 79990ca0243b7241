// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed columns: what they refuse, and how they come to be sealed.

use forktex_db::{DbError, sqlx};
use forktex_vault::{Key, RotationError, Vault, rotate_blobs};

use crate::fixture::{Fixture, TABLE, label, payload, value, write_payload};

fn refused_by(error: &DbError) -> Option<&str> {
    match error {
        DbError::Invalid { constraint, .. } => constraint.as_deref(),
        _ => None,
    }
}

#[tokio::test]
async fn a_late_writer_under_the_old_key_is_refused_in_both_kinds_of_column() {
    let fixture = Fixture::with_rows(40).await;
    let (old, new) = (Vault::from_key(&fixture.old), Vault::from_key(&fixture.new));
    for column in ["payload", "label"] {
        let report = fixture.rotation(column).seal().await.unwrap();
        let name = report.constraint.clone().unwrap();
        assert_eq!(name, format!("vault_seal_{}_{column}", fixture.new.id()));
        assert_eq!(report.rotation.rotated, 40);
        assert!(report.to_string().contains(&name));
        let validated = fixture
            .count("SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND NOT convalidated")
            .await;
        assert_eq!(validated, 0);
    }

    let late = write_payload(&fixture.db, &old, 7, "late")
        .await
        .unwrap_err();
    let name = format!("vault_seal_{}_payload", fixture.new.id());
    assert_eq!(refused_by(&late), Some(&*name), "{late:?}");
    let write_label = async |vault: &Vault| -> Result<(), DbError> {
        sqlx::query("UPDATE app.credential SET label = $1 WHERE id = 7")
            .bind(label(vault, 7, "late"))
            .execute(fixture.db.pool())
            .await?;
        Ok(())
    };
    let late = write_label(&old).await.unwrap_err();
    let name = format!("vault_seal_{}_label", fixture.new.id());
    assert_eq!(refused_by(&late), Some(&*name), "{late:?}");

    write_payload(&fixture.db, &new, 7, "in time")
        .await
        .unwrap();
    write_label(&new).await.unwrap();
    fixture
        .execute("UPDATE app.credential SET payload = NULL, label = NULL WHERE id = 8")
        .await;
    // Sealing what is sealed proves it again.
    let again = fixture.rotation("payload").seal().await.unwrap();
    assert_eq!(again.rotation.rotated, 0);
}

#[tokio::test]
async fn the_next_rotation_wants_the_old_seal_taken_off() {
    let fixture = Fixture::with_rows(10).await;
    let sealed = fixture.rotation("payload").seal().await.unwrap();
    let next = Key::generate().unwrap();
    let rotation = || {
        rotate_blobs(&fixture.db, TABLE, "payload")
            .org_column("org_id")
            .from(&fixture.new)
            .to(&next)
    };
    let refused = rotation().run().await.unwrap_err();
    let RotationError::SealedForOtherKey {
        constraint, key, ..
    } = &refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(Some(constraint), sealed.constraint.as_ref());
    assert_eq!(*key, fixture.new.id().to_string());
    assert!(refused.to_string().contains("unseal"));

    let dropped = rotation().unseal().await.unwrap();
    assert_eq!(dropped, [sealed.constraint.unwrap()]);
    let report = rotation().seal().await.unwrap();
    assert_eq!(report.rotation.rotated, 10);
    assert_eq!(rotation().unseal().await.unwrap().len(), 1);
    assert_eq!(rotation().unseal().await.unwrap().len(), 0);
}

/// A transaction under the old key is open while the table is proved clean, and commits just before the
/// constraint is there: the validation finds its row, which is then rotated.
#[tokio::test]
async fn a_row_that_came_between_the_proof_and_the_seal_is_rotated() {
    let fixture = Fixture::with_rows(20).await;
    let old = Vault::from_key(&fixture.old);
    let mut tx = fixture.db.begin().await.unwrap();
    sqlx::query("INSERT INTO app.credential (id, payload) VALUES (21, $1)")
        .bind(payload(&old, 21, &value(21)))
        .execute(tx.connection())
        .await
        .unwrap();
    let sealing = fixture.rotation("payload").seal();
    let writing = async {
        fixture.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(sealing, writing);
    let report = report.unwrap();
    assert_eq!(report.rotation.rotated, 21, "{report}");
    fixture.assert_rotated(21).await;
    let late = write_payload(&fixture.db, &old, 3, "late")
        .await
        .unwrap_err();
    assert_eq!(refused_by(&late), report.constraint.as_deref());
}
