// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every test starts from: a database with one table, and questions about its state.

use std::time::Duration;

use forktex_db::{Db, DbOptions, sqlx};
use forktex_testkit::TestDatabase;
use sqlx::Executor;

use crate::wire::{Cut, relayed};

/// Beyond this, something that should happen soon never will.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A database with `app.note (id bigint PRIMARY KEY, text text NOT NULL CHECK (text <> ''))`.
pub(crate) struct Notes {
    pub(crate) db: Db,
    pub(crate) database: TestDatabase,
}

impl Notes {
    /// Connects with a pool of one, so that a connection spoiled by one user is met by the next.
    pub(crate) async fn create() -> Self {
        Self::with(DbOptions::new().max_connections(1)).await
    }

    pub(crate) async fn with(options: DbOptions) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let db = Db::connect(database.owner_url(), options).await.unwrap();
        db.pool()
            .execute(
                "CREATE SCHEMA app;
                 CREATE TABLE app.note (
                     id   bigint PRIMARY KEY,
                     text text NOT NULL CONSTRAINT note_has_text CHECK (text <> '')
                 )",
            )
            .await
            .unwrap();
        Self { db, database }
    }

    /// A pool of one that waits for every answer: see [`relayed`].
    pub(crate) async fn create_relayed() -> Self {
        let Self { database, .. } = Self::create().await;
        let url = relayed(database.owner_url(), Cut::Never).await;
        let db = Db::connect(&url, DbOptions::new().max_connections(1))
            .await
            .unwrap();
        Self { db, database }
    }

    /// A pool of its own on the same database.
    pub(crate) async fn another(&self, options: DbOptions) -> Db {
        Db::connect(self.database.owner_url(), options)
            .await
            .unwrap()
    }

    pub(crate) async fn ids(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT id FROM app.note ORDER BY id")
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }

    /// The server process behind the pool's one connection.
    pub(crate) async fn backend(&self) -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(self.db.pool())
            .await
            .unwrap()
    }

    /// Whether the pool's one connection is outside a transaction.
    pub(crate) async fn connection_is_clean(&self) -> bool {
        let mut connection = self.db.pool().acquire().await.unwrap();
        is_outside_transaction(&mut connection).await
    }
}

/// Asks in one simple message: outside a transaction, it begins one of its own, at the same time.
pub(crate) async fn is_outside_transaction(connection: &mut sqlx::PgConnection) -> bool {
    let row = connection
        .fetch_one(
            "SELECT now() = statement_timestamp() AND pg_current_xact_id_if_assigned() IS NULL",
        )
        .await
        .unwrap();
    sqlx::Row::get(&row, 0)
}

pub(crate) async fn insert(
    connection: &mut sqlx::PgConnection,
    id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO app.note (id, text) VALUES ($1, 'a note')")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Asks again until the answer is yes, or panics at the deadline.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, poll).await.is_ok(),
        "never happened: {what}"
    );
}
