// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A migrated database with a ledger, and the looks behind the scenes that the tests judge by.

use std::sync::Arc;
use std::time::Duration;

use forktex::db::sqlx::postgres::PgPoolOptions;
use forktex::db::sqlx::{self, PgPool};
use forktex::flow::prelude::*;
use forktex::flow::{FlowBuilder, InstanceId};
use forktex_testkit::TestDatabase;
use tokio::sync::watch;

use crate::tale::{Cast, Ledger};

/// How long a test waits for anything at most.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The time between two looks.
pub(crate) const POLL: Duration = Duration::from_millis(20);

pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) database: TestDatabase,
}

/// A row of the ledger: node, attempt, worker.
pub(crate) type Noted = (String, i32, String);

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journalled {
    pub(crate) kind: i16,
    pub(crate) node: String,
    pub(crate) attempt: i32,
}

pub(crate) const COMPLETED: i16 = 1;
pub(crate) const SKIPPED: i16 = 2;
pub(crate) const ATTEMPT_FAILED: i16 = 3;
pub(crate) const RUN_COMPLETED: i16 = 5;
pub(crate) const RUN_FAILED: i16 = 6;
pub(crate) const RUN_CANCELLED: i16 = 7;
pub(crate) const SIGNALLED: i16 = 9;
pub(crate) const TIMER_FIRED: i16 = 10;
pub(crate) const CALLED: i16 = 11;
pub(crate) const SIGNAL_REFUSED: i16 = 12;

impl World {
    /// A database on the shared server; the owner has migrated it.
    pub(crate) async fn create() -> Self {
        Self::on(TestDatabase::create().await.unwrap()).await
    }

    pub(crate) async fn on(database: TestDatabase) -> Self {
        let world = Self::bare(database);
        let owner = world.at(world.database.owner_url(), "owner", Cast::default());
        let owner = owner.build().await.unwrap();
        owner.init().await.unwrap();
        owner.close().await.unwrap();
        sqlx::query(
            "CREATE TABLE public.ledger (
                 number bigint GENERATED ALWAYS AS IDENTITY, instance text, node text,
                 attempt integer, worker text, at timestamptz DEFAULT clock_timestamp())",
        )
        .execute(&world.pool)
        .await
        .unwrap();
        world
    }

    /// A database that nothing was done to.
    pub(crate) fn bare(database: TestDatabase) -> Self {
        let pool = ledger_pool(database.superuser_url());
        Self { pool, database }
    }

    /// A flow of the application's role.
    pub(crate) async fn flow(&self, cast: Cast) -> Flow {
        self.builder("worker", cast).build().await.unwrap()
    }

    pub(crate) fn builder(&self, worker: &str, cast: Cast) -> FlowBuilder {
        self.at(self.database.url(), worker, cast)
    }

    pub(crate) fn at(&self, url: &str, worker: &str, cast: Cast) -> FlowBuilder {
        builder(url, &self.pool, worker, cast)
    }

    /// Shifts the clock of the database for all who connect from now on, which is the same as shifting
    /// that of every process the other way.
    pub(crate) async fn shift_clock(&self, hours: i32) {
        let shifted = format!(
            "CREATE SCHEMA shifted;
             GRANT USAGE ON SCHEMA shifted TO PUBLIC;
             CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
                 AS $$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$;
             CREATE FUNCTION shifted.now() RETURNS timestamptz LANGUAGE sql STABLE
                 AS $$ SELECT pg_catalog.now() + interval '{hours} hours' $$;
             DO $$
             DECLARE
                 stamped record;
             BEGIN
                 EXECUTE format(
                     'ALTER DATABASE %I SET search_path = shifted, pg_catalog', current_database());
                 -- A default keeps to the function that it was made with.
                 FOR stamped IN
                     SELECT table_name, column_name, column_default
                     FROM information_schema.columns
                     WHERE table_schema = 'forktex_flow'
                       AND column_default IN ('now()', 'clock_timestamp()')
                 LOOP
                     EXECUTE format(
                         'ALTER TABLE forktex_flow.%I ALTER COLUMN %I SET DEFAULT shifted.%s',
                         stamped.table_name, stamped.column_name, stamped.column_default);
                 END LOOP;
             END $$;"
        );
        let shifted = sqlx::AssertSqlSafe(shifted);
        sqlx::raw_sql(shifted).execute(&self.pool).await.unwrap();
    }

    /// The bodies of a run that began, in order.
    pub(crate) async fn noted(&self, run: InstanceId) -> Vec<Noted> {
        sqlx::query_as(
            "SELECT node, attempt, worker FROM public.ledger WHERE instance = $1 ORDER BY number",
        )
        .bind(run.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    pub(crate) async fn journal(&self, run: InstanceId) -> Vec<Journalled> {
        let rows: Vec<(i16, String, i32)> = sqlx::query_as(
            "SELECT kind, node, attempt FROM forktex_flow.journal
             WHERE instance_id = $1::uuid ORDER BY sequence",
        )
        .bind(run.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.into_iter()
            .map(|(kind, node, attempt)| Journalled {
                kind,
                node,
                attempt,
            })
            .collect()
    }

    /// How many entries of a kind the journal of a run has.
    pub(crate) async fn count(&self, run: InstanceId, kind: i16) -> usize {
        let journal = self.journal(run).await;
        journal.iter().filter(|entry| entry.kind == kind).count()
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a body of this node began under this worker.
    pub(crate) async fn until_noted(&self, run: InstanceId, node: &str, worker: &str) {
        until("a body began", async || {
            let noted = self.noted(run).await;
            noted
                .iter()
                .any(|(name, _, by)| name == node && by == worker)
        })
        .await;
    }
}

pub(crate) fn builder(url: &str, pool: &PgPool, worker: &str, cast: Cast) -> FlowBuilder {
    Flow::builder(url)
        .worker_name(worker)
        .resource(Ledger::in_table(pool.clone(), worker))
        .resource(cast)
}

pub(crate) fn ledger_pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(6)
        .acquire_timeout(LIMIT)
        .connect_lazy(url)
        .unwrap()
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(POLL).await;
        }
    };
    let in_time = tokio::time::timeout(LIMIT, looking).await;
    assert!(in_time.is_ok(), "waited {LIMIT:?} in vain: {what}");
}

pub(crate) async fn ended<S>(run: &Run<S>) -> Instance<S>
where
    S: serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    run.wait().timeout(LIMIT).await.unwrap()
}

/// The nodes of ledger rows.
pub(crate) fn nodes(noted: &[Noted]) -> Vec<&str> {
    noted.iter().map(|(node, _, _)| node.as_str()).collect()
}

/// Holds those who pass until the test opens it.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: Arc<watch::Sender<usize>>,
    is_open: Arc<watch::Sender<bool>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            arrived: Arc::new(watch::Sender::new(0)),
            is_open: Arc::new(watch::Sender::new(false)),
        }
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let _ = self.is_open.subscribe().wait_for(|open| *open).await;
    }

    /// Waits until so many stand before the gate or have passed it.
    pub(crate) async fn until_arrived(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let reached = tokio::time::timeout(LIMIT, arrived.wait_for(|known| *known >= count)).await;
        assert!(reached.is_ok(), "nobody came to the gate");
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}
