// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A plain column is sealed into another one, and dropped.

use forktex_db::{DbError, sqlx};
use forktex_vault::{
    Context, Encrypted, Plaintext, Rotation, RotationError, Vault, seal_plaintext,
};

use crate::fixture::Fixture;

async fn people() -> Fixture {
    let fixture = Fixture::with_rows(0).await;
    fixture
        .execute(
            "CREATE TABLE app.person (
                 id bigint PRIMARY KEY, name text, tags jsonb, raw bytea,
                 name_sealed bytea, tags_sealed text
             );
             INSERT INTO app.person (id, name, tags)
             SELECT n, CASE WHEN n <> 7 THEN 'name \"' || n END, '[1, \"a\"]' FROM generate_series(1, 50) AS n",
        )
        .await;
    fixture
}

fn sealing(fixture: &Fixture) -> Rotation<Plaintext> {
    seal_plaintext(&fixture.db, "app.person", "name", "name_sealed")
        .to(&fixture.new)
        .batch_rows(8)
}

#[tokio::test]
async fn a_plain_column_is_sealed_so_that_encrypted_opens_it_and_then_dropped() {
    let fixture = people().await;
    let vault = Vault::from_key(&fixture.new);
    let report = sealing(&fixture).run().await.unwrap();
    assert_eq!((report.rotated, report.is_complete()), (49, true));
    let rows: Vec<(i64, Encrypted<String>, String)> = sqlx::query_as(
        "SELECT id, name_sealed, name FROM app.person WHERE name IS NOT NULL ORDER BY id",
    )
    .fetch_all(fixture.db.pool())
    .await
    .unwrap();
    assert_eq!(rows.len(), 49);
    for (id, cell, name) in rows {
        let cell = cell.open(&vault.context("app.person", "name_sealed", id));
        assert_eq!(cell, Ok(name));
    }

    let tags = seal_plaintext(&fixture.db, "app.person", "tags", "tags_sealed");
    let report = tags.to(&fixture.new).nulling_plaintext().run().await;
    assert_eq!(report.unwrap().rotated, 50);
    let cell: Encrypted<serde_json::Value, forktex_vault::Text> =
        sqlx::query_scalar("SELECT tags_sealed FROM app.person WHERE id = 3 AND tags IS NULL")
            .fetch_one(fixture.db.pool())
            .await
            .unwrap();
    let place = Context::new("app.person", "tags_sealed").row(3);
    let opened = cell.open(&vault.bound(place)).unwrap();
    assert_eq!(opened, serde_json::json!([1, "a"]));

    // One that came late is sealed first.
    fixture
        .execute("INSERT INTO app.person (id, name) VALUES (51, 'late')")
        .await;
    let report = sealing(&fixture).drop_plaintext().await.unwrap();
    assert_eq!(report.rotated, 1);
    let columns = fixture
        .count("SELECT count(*) FROM information_schema.columns WHERE table_name = 'person' AND column_name = 'name'")
        .await;
    assert_eq!(columns, 0);
}

#[tokio::test]
async fn the_plain_column_stays_while_a_sealed_value_does_not_open() {
    let fixture = people().await;
    fixture
        .execute("UPDATE app.person SET name_sealed = 'no token' WHERE id = 9")
        .await;
    let refused = sealing(&fixture).drop_plaintext().await.unwrap_err();
    assert!(
        matches!(refused, RotationError::BadRowsLeft { rows: 1, .. }),
        "{refused:?}"
    );
    let kept = fixture.count("SELECT count(name) FROM app.person").await;
    assert_eq!(kept, 49);

    let raw = seal_plaintext(&fixture.db, "app.person", "raw", "name_sealed");
    let refused = raw.to(&fixture.new).run().await.unwrap_err();
    assert!(matches!(
        refused,
        RotationError::Database(DbError::Invalid { .. })
    ));
}

/// A process that was never told of the sealed column.
#[tokio::test]
async fn the_plain_column_stays_while_a_sealed_value_is_not_the_plain_one() {
    let fixture = people().await;
    sealing(&fixture).run().await.unwrap();
    fixture
        .execute(
            "UPDATE app.person SET name = 'changed' WHERE id = 9;
             UPDATE app.person SET name = NULL WHERE id = 10",
        )
        .await;
    let refused = sealing(&fixture).drop_plaintext().await.unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("the first being 9 (differs_from_plain)"),
        "{told}"
    );
    let RotationError::BadRowsLeft { rows, bad_rows, .. } = refused else {
        panic!("{told}");
    };
    assert_eq!((rows, bad_rows.len()), (1, 1));
    let kept = fixture.count("SELECT count(name) FROM app.person").await;
    assert_eq!(kept, 48);

    // Clearing the stale one has it sealed as it is.
    fixture
        .execute("UPDATE app.person SET name_sealed = NULL WHERE id = 9")
        .await;
    assert_eq!(sealing(&fixture).drop_plaintext().await.unwrap().rotated, 1);
    let cell: Encrypted<String> =
        sqlx::query_scalar("SELECT name_sealed FROM app.person WHERE id = 9")
            .fetch_one(fixture.db.pool())
            .await
            .unwrap();
    let place = Vault::from_key(&fixture.new).context("app.person", "name_sealed", 9);
    assert_eq!(cell.open(&place), Ok("changed".to_owned()));

    // Spaces and the order of fields do not make a difference.
    let tags = || seal_plaintext(&fixture.db, "app.person", "tags", "tags_sealed").to(&fixture.new);
    tags().run().await.unwrap();
    tags().drop_plaintext().await.unwrap();
}

/// A write that comes between is the one that counts.
#[tokio::test]
async fn a_plain_value_that_changes_meanwhile_is_sealed_as_it_is_then() {
    let fixture = people().await;
    let mut tx = fixture.db.begin().await.unwrap();
    sqlx::query("UPDATE app.person SET name = 'newer' WHERE id = 5")
        .execute(tx.connection())
        .await
        .unwrap();
    let writing = async {
        fixture.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(sealing(&fixture).run(), writing);
    assert_eq!(report.unwrap().lost_swaps, 1);
    let cell: Encrypted<String> =
        sqlx::query_scalar("SELECT name_sealed FROM app.person WHERE id = 5")
            .fetch_one(fixture.db.pool())
            .await
            .unwrap();
    let place = Vault::from_key(&fixture.new).context("app.person", "name_sealed", 5);
    assert_eq!(cell.open(&place).as_deref(), Ok("newer"));
}
