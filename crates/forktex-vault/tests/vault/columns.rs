// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed columns in a real Postgres.

use forktex_db::{Db, DbError, DbOptions, sqlx};
use forktex_testkit::TestDatabase;
use forktex_vault::{Encrypted, Key, Scheme, Text, Vault, VaultError};
use serde::{Deserialize, Serialize};
use sqlx::Executor;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Credential {
    token: String,
}

type Row = (Option<Encrypted<Credential>>, Encrypted<Credential, Text>);

async fn database() -> (TestDatabase, Db) {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    db.pool()
        .execute(
            "CREATE TABLE credential (id bigint PRIMARY KEY, raw bytea, text varchar(900) NOT NULL)",
        )
        .await
        .unwrap();
    (database, db)
}

async fn insert(db: &Db, id: i64, row: Row) {
    sqlx::query("INSERT INTO credential (id, raw, text) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(row.0)
        .bind(row.1)
        .execute(db.pool())
        .await
        .unwrap();
}

async fn read(db: &Db, id: i64) -> Result<Row, DbError> {
    let row = sqlx::query_as("SELECT raw, text FROM credential WHERE id = $1")
        .bind(id)
        .fetch_one(db.pool())
        .await?;
    Ok(row)
}

#[tokio::test]
async fn both_kinds_of_column_hold_both_schemes_and_null() {
    let (_database, db) = database().await;
    let key = Key::generate().unwrap();
    let secret = Credential {
        token: "MARKED-PLAINTEXT".to_owned(),
    };
    for (id, scheme) in [(1, Scheme::V2), (2, Scheme::Fernet)] {
        let vault = Vault::from_key(&key).scheme(scheme);
        let (raw, text) = (
            vault.context("credential", "raw", id),
            vault.context("credential", "text", id),
        );
        let row = (
            Some(Encrypted::seal(&raw, &secret).unwrap()),
            Encrypted::seal(&text, &secret).unwrap(),
        );
        insert(&db, id, row.clone()).await;

        let stored = read(&db, id).await.unwrap();
        assert_eq!(stored, row);
        assert!(!format!("{stored:?}").contains("MARKED"));
        assert_eq!(stored.0.unwrap().open(&raw), Ok(secret.clone()));
        assert_eq!(stored.1.open(&text), Ok(secret.clone()));
    }

    let vault = Vault::from_key(&key).context("credential", "text", 3);
    insert(&db, 3, (None, Encrypted::seal(&vault, &secret).unwrap())).await;
    assert!(read(&db, 3).await.unwrap().0.is_none());
}

/// Whoever can write to the table copies a secret into a row of their own.
#[tokio::test]
async fn a_cell_that_was_copied_to_another_row_does_not_open() {
    let (_database, db) = database().await;
    let vault = Vault::from_key(&Key::generate().unwrap());
    let secret = Credential {
        token: "t".to_owned(),
    };
    let text = Encrypted::seal(&vault.context("credential", "text", 1), &secret).unwrap();
    insert(&db, 1, (None, text)).await;
    db.pool()
        .execute("INSERT INTO credential SELECT 2, raw, text FROM credential WHERE id = 1")
        .await
        .unwrap();
    let (_, copied) = read(&db, 2).await.unwrap();
    let opened = copied.open(&vault.context("credential", "text", 2));
    assert_eq!(opened, Err(VaultError::TamperedOrMoved));
}

#[tokio::test]
async fn many_cells_are_bound_as_one_array() {
    let (_database, db) = database().await;
    let vault = Vault::from_key(&Key::generate().unwrap());
    let ids: Vec<i64> = (0..100).collect();
    let cells = ids.iter().map(|id| {
        let cell = vault.context("credential", "text", id);
        Encrypted::<String, Text>::seal(&cell, "t").unwrap()
    });
    sqlx::query("INSERT INTO credential (id, text) SELECT * FROM unnest($1, $2)")
        .bind(&ids)
        .bind(cells.collect::<Vec<_>>())
        .execute(db.pool())
        .await
        .unwrap();
    let cell: Encrypted<String, Text> =
        sqlx::query_scalar("SELECT text FROM credential WHERE id = 99")
            .fetch_one(db.pool())
            .await
            .unwrap();
    let opened = cell.open(&vault.context("credential", "text", 99));
    assert_eq!(opened.as_deref(), Ok("t"));
}

#[tokio::test]
async fn a_cell_that_holds_no_token_is_unreadable_by_name() {
    let (_database, db) = database().await;
    db.pool()
        .execute("INSERT INTO credential VALUES (1, NULL, 'a plain secret')")
        .await
        .unwrap();
    let refused = read(&db, 1).await.unwrap_err();
    assert!(matches!(refused, DbError::Unreadable { .. }), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("plain"));
}

#[tokio::test]
async fn a_sealed_value_is_found_by_its_fingerprint_while_keys_change() {
    let (_database, db) = database().await;
    db.pool()
        .execute("CREATE TABLE person (id bigint, email_index bytea NOT NULL)")
        .await
        .unwrap();
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let before = Vault::from_key(&old).blind_index("person", "email");
    let vault = Vault::from_key(&new).with_previous(&old);
    let index = vault.blind_index("person", "email");
    for (id, fingerprint) in [(1, before.of("a")), (2, index.of("a")), (3, index.of("b"))] {
        sqlx::query("INSERT INTO person VALUES ($1, $2)")
            .bind(i64::from(id))
            .bind(fingerprint)
            .execute(db.pool())
            .await
            .unwrap();
    }
    let found: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM person WHERE email_index = ANY($1) ORDER BY id")
            .bind(index.candidates("a"))
            .fetch_all(db.pool())
            .await
            .unwrap();
    assert_eq!(found, [1, 2]);
}
