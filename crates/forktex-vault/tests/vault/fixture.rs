// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A database with a table of sealed values, and what tests ask of it.

use std::time::{Duration, Instant};

use forktex_db::{Db, DbError, DbOptions, sqlx};
use forktex_testkit::TestDatabase;
use forktex_vault::{Context, Encrypted, Key, Rotation, Text, Vault, VaultError, rotate_blobs};
use sqlx::Executor as _;
use uuid::Uuid;

/// Longer than any wait of a test that goes well.
const WAIT_MAX: Duration = Duration::from_mins(1);

pub(crate) const TABLE: &str = "app.credential";

/// The organisation of every second row.
pub(crate) const ORG: Uuid = Uuid::from_u128(0xAB);

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    /// As the owner of the table.
    pub(crate) db: Db,
    pub(crate) old: Key,
    pub(crate) new: Key,
}

impl Fixture {
    /// A table of `rows` values under the old key, in a `BYTEA` and in a `TEXT` column.
    pub(crate) async fn with_rows(rows: i64) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let options = DbOptions::new().max_connections(16);
        let db = Db::connect(database.owner_url(), options).await.unwrap();
        db.pool()
            .execute(
                "CREATE SCHEMA app;
                 CREATE TABLE app.credential (
                     id bigint PRIMARY KEY, org_id uuid, payload bytea, label text
                 );
                 GRANT USAGE ON SCHEMA app TO PUBLIC;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON app.credential TO PUBLIC",
            )
            .await
            .unwrap();
        forktex_vault::migrate(&db).await.unwrap();
        let fixture = Self {
            database,
            db,
            old: Key::generate().unwrap(),
            new: Key::generate().unwrap(),
        };
        fixture.insert(1..=rows).await;
        fixture
    }

    async fn insert(&self, ids: std::ops::RangeInclusive<i64>) {
        let vault = Vault::from_key(&self.old);
        let ids: Vec<i64> = ids.collect();
        let (mut orgs, mut payloads, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for &id in &ids {
            orgs.push(org_of(id));
            payloads.push(payload(&vault, id, &value(id)));
            labels.push(label(&vault, id, &value(id)));
        }
        sqlx::query("INSERT INTO app.credential SELECT * FROM unnest($1, $2, $3, $4)")
            .bind(ids)
            .bind(orgs)
            .bind(payloads)
            .bind(labels)
            .execute(self.db.pool())
            .await
            .unwrap();
    }

    pub(crate) fn rotation(&self, column: &str) -> Rotation {
        rotate_blobs(&self.db, TABLE, column)
            .from(&self.old)
            .to(&self.new)
            .org_column("org_id")
    }

    /// Every payload, opened with the new key alone.
    pub(crate) async fn payloads(&self) -> Vec<(i64, Result<String, VaultError>)> {
        let vault = Vault::from_key(&self.new);
        let rows: Vec<(i64, Encrypted<String>)> = sqlx::query_as(
            "SELECT id, payload FROM app.credential WHERE payload IS NOT NULL ORDER BY id",
        )
        .fetch_all(self.db.pool())
        .await
        .unwrap();
        let open = |(id, cell): (i64, Encrypted<String>)| {
            (id, cell.open(&vault.bound(place("payload", id))))
        };
        rows.into_iter().map(open).collect()
    }

    /// Whether every payload is under the new key, and is what was put there at first.
    pub(crate) async fn assert_rotated(&self, rows: i64) {
        let expected: Vec<_> = (1..=rows).map(|id| (id, Ok(value(id)))).collect();
        assert_eq!(self.payloads().await, expected);
    }

    pub(crate) async fn execute(&self, statement: &'static str) {
        self.db.pool().execute(statement).await.unwrap();
    }

    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement)
            .fetch_one(self.db.pool())
            .await
            .unwrap()
    }

    /// Waits until a session of this database waits for a lock.
    pub(crate) async fn somebody_waits_for_a_lock(&self) {
        eventually(async || {
            self.count(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await
                > 0
        })
        .await;
    }
}

/// Asks until the answer is yes.
pub(crate) async fn eventually(is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < WAIT_MAX, "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn value(id: i64) -> String {
    format!("secret of {id}")
}

pub(crate) fn org_of(id: i64) -> Option<Uuid> {
    (id % 2 == 0).then_some(ORG)
}

pub(crate) fn place(column: &str, id: i64) -> Context {
    let place = Context::new(TABLE, column).row(id);
    match org_of(id) {
        Some(org) => place.org(org),
        None => place,
    }
}

pub(crate) fn payload(vault: &Vault, id: i64, value: &str) -> Encrypted<String> {
    Encrypted::seal(&vault.bound(place("payload", id)), value).unwrap()
}

pub(crate) fn label(vault: &Vault, id: i64, value: &str) -> Encrypted<String, Text> {
    Encrypted::seal(&vault.bound(place("label", id)), value).unwrap()
}

pub(crate) async fn write_payload(
    db: &Db,
    vault: &Vault,
    id: i64,
    value: &str,
) -> Result<(), DbError> {
    sqlx::query("UPDATE app.credential SET payload = $2 WHERE id = $1")
        .bind(id)
        .bind(payload(vault, id, value))
        .execute(db.pool())
        .await?;
    Ok(())
}
