// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every test starts from: a database with one table, and questions about its state.

use std::time::Duration;

use forktex_db::{Db, DbOptions, sqlx};
use forktex_testkit::{PgBouncer, TestDatabase};
use sqlx::Executor;

use crate::wire::{Cut, relayed};

/// Beyond this, something that should happen soon never will.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Set for the run of the suite behind a pooler.
pub(crate) const BEHIND_POOLER: &str = "FORKTEX_TEST_BEHIND_POOLER";

/// Whether this is that run.
pub(crate) fn is_behind_pooler() -> bool {
    std::env::var_os(BEHIND_POOLER).is_some()
}

/// A database, reached directly or through a pooler.
pub(crate) struct Database {
    urls: [String; 3],
    direct: TestDatabase,
    /// Stopped when dropped.
    _pooler: Option<PgBouncer>,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let direct = TestDatabase::create().await.unwrap();
        let mut urls =
            [direct.url(), direct.owner_url(), direct.superuser_url()].map(str::to_owned);
        let mut pooler = None;
        if is_behind_pooler() {
            let bouncer = PgBouncer::start(&direct, 20).await.unwrap();
            urls = urls.map(|url| bouncer.url_through(&url).unwrap());
            pooler = Some(bouncer);
        }
        Self {
            urls,
            direct,
            _pooler: pooler,
        }
    }

    /// The database without the pooler.
    pub(crate) fn direct(&self) -> &TestDatabase {
        &self.direct
    }

    /// The owner, not through the pooler.
    pub(crate) async fn observer(&self) -> Db {
        let url = self.direct.owner_url();
        Db::connect(url, DbOptions::new()).await.unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        &self.urls[0]
    }

    pub(crate) fn owner_url(&self) -> &str {
        &self.urls[1]
    }

    pub(crate) fn superuser_url(&self) -> &str {
        &self.urls[2]
    }
}

/// What each suite connects with.
pub(crate) fn options() -> DbOptions {
    if is_behind_pooler() {
        DbOptions::new().pooled_by_proxy()
    } else {
        DbOptions::new()
    }
}

/// A database with `app.note (id bigint PRIMARY KEY, text text NOT NULL CHECK (text <> ''))`.
pub(crate) struct Notes {
    pub(crate) db: Db,
    /// The owner, not through the pooler: outside a transaction, a pooler may send the two halves of a
    /// prepared statement to different servers.
    pub(crate) observer: Db,
    pub(crate) database: Database,
}

impl Notes {
    /// Connects with a pool of one, so that a connection spoiled by one user is met by the next.
    pub(crate) async fn create() -> Self {
        Self::with(options().max_connections(1)).await
    }

    pub(crate) async fn with(options: DbOptions) -> Self {
        let database = Database::create().await;
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
        Self {
            db,
            observer: database.observer().await,
            database,
        }
    }

    /// A pool of one that waits for every answer: see [`relayed`].
    pub(crate) async fn create_relayed() -> Self {
        let Self {
            database, observer, ..
        } = Self::create().await;
        let url = relayed(database.owner_url(), Cut::Never).await;
        let db = Db::connect(&url, options().max_connections(1))
            .await
            .unwrap();
        Self {
            db,
            observer,
            database,
        }
    }

    /// A pool of its own on the same database.
    pub(crate) async fn another(&self, options: DbOptions) -> Db {
        Db::connect(self.database.owner_url(), options)
            .await
            .unwrap()
    }

    pub(crate) async fn ids(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT id FROM app.note ORDER BY id")
            .fetch_all(self.observer.pool())
            .await
            .unwrap()
    }

    /// The server process behind the pool's one connection.
    pub(crate) async fn backend(&self) -> i32 {
        let row = self.db.pool().fetch_one("SELECT pg_backend_pid()").await;
        sqlx::Row::get(&row.unwrap(), 0)
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
