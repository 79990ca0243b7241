// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! apalis-workflow on apalis-postgres: a stepped flow of ten steps, each a task of the queue, with workers
//! that listen for new tasks, fetch and end them in batches, and run them on the executor's threads.

use std::time::Duration;

use ::apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use apalis_workflow::{SteppedFlow, WorkflowSink};
use forktex_db::sqlx::postgres::PgPoolOptions;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

const QUEUE: &str = "ten";

/// How many starts are under way at the same time.
const STARTERS: usize = 16;

/// How many tasks are fetched, and how many ended, in one statement; 10 where none is named.
const BATCH: usize = 100;

/// How long an idle worker waits before it asks again, unless it hears of a new task.
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Apalis {
    storage: PostgresStorage<u64>,
}

async fn rest(number: u64) -> Result<u64, BoxDynError> {
    steps::nothing();
    Ok(number)
}

async fn pool(url: &str, connections: u32) -> Outcome<PgPool> {
    let options = PgPoolOptions::new().max_connections(connections);
    Ok(options.connect(url).await?)
}

impl Apalis {
    async fn start(&self, number: u64) -> Outcome<()> {
        let mut storage = self.storage.clone();
        storage.push_start(number).await?;
        Ok(())
    }
}

impl Contender for Apalis {
    const FACTS: Facts = Facts {
        name: "apalis-workflow",
        packages: &["apalis-workflow", "apalis-postgres"],
        steps: Steps::Durable,
        durable: "the next step's task with its input; the end of the step's own task apart from that, in batches",
        settings: Settings {
            connections: 20,
            at_once: 4,
        },
        open: "SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'",
        evidence: Evidence::Kept {
            sql: "SELECT count(*) / 10, count(*) FROM apalis.jobs WHERE status = 'Done'",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        PostgresStorage::setup(&pool(url, 2).await?).await?;
        Ok(())
    }

    async fn launch(url: &str, work: Work, settings: Settings) -> Outcome<Self> {
        let pool = pool(url, settings.connections).await?;
        let config = Config::default().queue(QUEUE).batch_size(BATCH);
        let storage = PostgresStorage::<u64>::new(&pool).with_config(config);
        let workers = match work {
            Work::Many => settings.at_once,
            Work::Alone => 1,
        };
        for number in 0..workers {
            let ten = SteppedFlow::new("ten")
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest)
                .and_then(rest);
            let worker = WorkerBuilder::new(format!("worker-{number}"))
                .backend(storage.clone().with_pubsub().poll_with_interval(POLL))
                .parallelize(tokio::spawn)
                .build(ten);
            tokio::spawn(async move {
                if let Err(error) = worker.run().boxed().await {
                    eprintln!("apalis's worker ended: {error}");
                }
            });
        }
        Ok(Self { storage })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| self.start(number))
            .buffer_unordered(STARTERS)
            .try_collect::<()>()
            .await?;
        steps::until(runs * STEPS).await;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        let begun = steps::begun();
        self.start(number).await?;
        steps::until(begun + STEPS).await;
        Ok(())
    }
}
