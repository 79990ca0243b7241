// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Underway: a job of ten steps, each the input of the next, and one worker with many tasks at a time.
//! A `Job` remembers how far it has got in the value itself, and would start the next run there: so one
//! value enqueues and another, of the same queue, works, as in a service with workers of its own.

use ::underway::job::Context;
use ::underway::task::Result as TaskResult;
use ::underway::{Job, To};
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx_of_rivals::PgPool;
use sqlx_of_rivals::postgres::PgPoolOptions;

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

/// How many starts are under way at the same time.
const STARTERS: usize = 16;

pub(crate) struct Underway {
    enqueuer: Job<u64, ()>,
}

async fn rest(_: Context<()>, number: u64) -> TaskResult<To<u64>> {
    steps::nothing();
    To::next(number)
}

async fn last(_: Context<()>, _: u64) -> TaskResult<To<()>> {
    steps::nothing();
    To::done()
}

async fn pool(url: &str, connections: u32) -> Outcome<PgPool> {
    let options = PgPoolOptions::new().max_connections(connections);
    Ok(options.connect(url).await?)
}

async fn job(pool: PgPool) -> Outcome<Job<u64, ()>> {
    let steps = Job::<u64, ()>::builder()
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(rest)
        .step(last);
    Ok(steps.name("ten").pool(pool).build().await?)
}

impl Contender for Underway {
    const FACTS: Facts = Facts {
        name: "underway",
        packages: &["underway"],
        steps: Steps::Durable,
        durable: "the task of the step, its attempt, and the next step's task with its input",
        settings: Settings {
            connections: 32,
            at_once: 8,
        },
        open: "SELECT count(*) FROM underway.task WHERE state <> 'succeeded'",
        evidence: Evidence::Kept {
            sql: "SELECT count(*) FILTER (WHERE (input ->> 'step_index')::int = 9), count(*) \
                  FROM underway.task WHERE state = 'succeeded'",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        let pool = pool(url, 2).await?;
        ::underway::run_migrations(&pool).await?;
        Ok(())
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        let enqueuer = job(pool(url, settings.connections).await?).await?;
        let mut worker = job(pool(url, settings.connections).await?).await?.worker();
        worker.set_concurrency_limit(settings.at_once);
        tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("underway's worker ended: {error}");
            }
        });
        Ok(Self { enqueuer })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| async move { self.enqueuer.enqueue(&number).await.map(drop) })
            .buffer_unordered(STARTERS)
            .try_collect::<()>()
            .await?;
        steps::until(runs * STEPS).await;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        let begun = steps::begun();
        self.enqueuer.enqueue(&number).await?;
        steps::until(begun + STEPS).await;
        Ok(())
    }
}
