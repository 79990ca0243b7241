// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What one round takes place in: a database with its tables, a proxy and perhaps a pooler before it,
//! errands to be done, and the workers.

use std::error::Error;
use std::time::Duration;

use forktex::db::sqlx::{self, PgPool};
use forktex::flow::Flow;
use forktex::flow::planted::PlantedFault;
use forktex_testkit::{PgBouncer, Postgres, Proxy, TestDatabase};

use crate::crew::{Crew, SharedCoverage};
use crate::errand::{Errand, Wanted};
use crate::ledger::{Ledger, lay, side_pool};
use crate::worker::{Orders, Release};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// By which way the workers reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Proxy,
    Pooler,
}

/// How many server connections the pooler has for all workers.
const POOLED_CONNECTIONS: u32 = 10;

pub(crate) struct Arena<'a> {
    pub(crate) server: &'a Postgres,
    pub(crate) proxy: Proxy,
    pub(crate) pooler: Option<PgBouncer>,
    pub(crate) side: PgPool,
    pub(crate) crew: Crew,
    database: TestDatabase,
    url: String,
    planted: Option<PlantedFault>,
}

impl<'a> Arena<'a> {
    pub(crate) async fn prepare(
        server: &'a Postgres,
        way: Way,
        planted: Option<PlantedFault>,
        coverage: SharedCoverage,
    ) -> Outcome<Self> {
        let database = server.create_database().await?;
        let side = side_pool(database.superuser_url())?;
        let ledger = Ledger {
            pool: side.clone(),
            worker: "owner".to_owned(),
        };
        let owner = Flow::builder(database.owner_url()).resource(ledger);
        let owner = owner.build().await?;
        owner.init().await?;
        owner.close().await?;
        lay(&side).await?;
        let proxy = Proxy::start(server.address()).await?;
        let pooler = match way {
            Way::Pooler => Some(PgBouncer::start(&database, POOLED_CONNECTIONS).await?),
            Way::Direct | Way::Proxy => None,
        };
        let url = match (way, &pooler) {
            (Way::Proxy, _) => proxy.url_through(database.url())?,
            (_, Some(pooler)) => pooler.url_through(database.url())?,
            _ => database.url().to_owned(),
        };
        Ok(Self {
            server,
            proxy,
            side,
            crew: Crew::new(coverage),
            url,
            pooler,
            database,
            planted,
        })
    }

    /// Starts a worker.
    pub(crate) fn hire(&mut self, release: Release, dies_at: Option<(String, u32)>) -> Outcome<()> {
        let orders = Orders {
            name: String::new(),
            url: self.url.clone(),
            side_url: self.database.superuser_url().to_owned(),
            release,
            is_pooled: self.pooler.is_some(),
            dies_at,
            planted: self.planted.map(|fault| fault.as_str().to_owned()),
        };
        Ok(self.crew.hire(orders)?)
    }

    /// Puts the errands of a round into the table, due over so long a time. Returns how many runs are
    /// started by them.
    pub(crate) async fn assign(&self, length: Duration, runs: u32, has_two: bool) -> Outcome<u32> {
        let mut errands: Vec<(u32, Errand)> = Vec::new();
        for number in 0..runs {
            // A fault of signals shows where there are many.
            let about_signals = self.planted == Some(PlantedFault::SignalConsumedFirst);
            errands.extend(
                about(number, about_signals, has_two)
                    .into_iter()
                    .map(|errand| (number, errand)),
            );
        }
        let (numbers, dues): (Vec<i64>, Vec<f64>) = errands
            .iter()
            .zip(1..)
            .map(|((run, _), number): (_, i64)| {
                (
                    number,
                    length.as_secs_f64() * f64::from(*run) / f64::from(runs),
                )
            })
            .unzip();
        let texts = errands
            .iter()
            .map(|(_, errand)| serde_json::to_string(errand));
        let texts = texts.collect::<Result<Vec<String>, _>>()?;
        sqlx::query(
            "INSERT INTO public.errand (number, errand, due_at)
             SELECT number, errand, now() + due * interval '1 second'
             FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS new (number, errand, due)",
        )
        .bind(numbers)
        .bind(texts)
        .bind(dues)
        .execute(&self.side)
        .await?;
        Ok(runs)
    }

    /// What the leader is called, and the server process that it leads by.
    pub(crate) async fn leader(&self) -> Option<(String, i32)> {
        let found = sqlx::query_as(
            "SELECT worker_name, backend_pid FROM forktex_flow.leader
             JOIN forktex_flow.worker USING (worker_id)",
        );
        found.fetch_optional(&self.side).await.ok().flatten()
    }

    /// How many runs a worker holds.
    pub(crate) async fn holds(&self, worker: &str) -> i64 {
        let held = sqlx::query_scalar(
            "SELECT count(*) FROM forktex_flow.active
             JOIN forktex_flow.worker USING (worker_id) WHERE worker_name = $1",
        );
        // Where the server is away there is nothing to count.
        held.bind(worker)
            .fetch_one(&self.side)
            .await
            .unwrap_or_default()
    }

    /// Ends server processes that serve workers: the one named, or up to so many at random.
    pub(crate) async fn end_backends(&self, pid: Option<i32>, count: i32) {
        // Where the server is away there is nothing left to end.
        let _ = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM (
                 SELECT pid FROM pg_stat_activity
                 WHERE datname = current_database() AND usename <> current_user
                   AND ($1::integer IS NULL OR pid = $1)
                 ORDER BY random() LIMIT $2) AS victim",
        )
        .bind(pid)
        .bind(count)
        .execute(&self.side)
        .await;
    }
}

/// What is wanted of the run of this number.
fn about(number: u32, about_signals: bool, has_two: bool) -> Vec<Errand> {
    let run = |workflow: &str, key: &str| Wanted {
        workflow: format!("chaos.{workflow}"),
        version: 1,
        key: format!("{key}-{number}"),
    };
    if !about_signals && number % 96 == 11 {
        return vec![Errand::Office];
    }
    match if about_signals { 2 } else { number % 12 } {
        0 => vec![Errand::Start(run("fan", "fan"))],
        1 => vec![Errand::Start(run("saga", "saga"))],
        2 | 3 => {
            let post = run("post", "post");
            let words = ["one", "two"].map(|word| format!("{word}-{number}"));
            let tell = |word: &String| Errand::Tell(post.clone(), word.clone());
            let other = Errand::TellInTransaction(post.clone(), words[1].clone());
            // One is told twice, under one key.
            vec![tell(&words[0]), other, tell(&words[0])]
        }
        4 => {
            let bear = run("bear", "bear");
            vec![Errand::Start(bear.clone()), Errand::Cancel(bear)]
        }
        5 => vec![Errand::Undo(run("saga", "undo"))],
        6 => {
            let held = run("round", "held");
            vec![Errand::Start(held.clone()), Errand::Hold(held)]
        }
        7 => vec![Errand::StartInTransaction(run("round", "round"))],
        8 => vec![Errand::Look(run("line", "look"))],
        9 if has_two => vec![Errand::Start(Wanted {
            version: 2,
            ..run("line", "two")
        })],
        _ => vec![Errand::Start(run("line", "line"))],
    }
}
