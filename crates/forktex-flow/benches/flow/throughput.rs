// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second: many runs of ten steps that do nothing, from the first start to the last end.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex_db::sqlx;
use forktex_flow::prelude::*;
use forktex_testkit::{Postgres, TestDatabase};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::ROUNDS;
use crate::baseline;
use forktex_testkit::figure::{Figure, median};

/// How many starts are under way at the same time.
const STARTERS: usize = 512;

/// How many runs may run at the same time.
const SLOTS: u32 = 1_000;

const STEPS: usize = 10;

/// The state of a run that does nothing.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    number: u64,
}

static LAST_STEPS: AtomicUsize = AtomicUsize::new(0);

#[step]
async fn rest(_ctx: &Ctx, _state: &Idle) -> StepResult<()> {
    Ok(())
}

#[step]
async fn last(_ctx: &Ctx, _state: &Idle) -> StepResult<()> {
    LAST_STEPS.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[pipeline(
    name = "bench.ten", version = 1, state = Idle,
    steps = [
        step(rest, name = "step_1"), step(rest, name = "step_2"), step(rest, name = "step_3"),
        step(rest, name = "step_4"), step(rest, name = "step_5"), step(rest, name = "step_6"),
        step(rest, name = "step_7"), step(rest, name = "step_8"), step(rest, name = "step_9"),
        last,
    ],
)]
pub(crate) struct Ten;

/// A database with the schema laid, and a flow on it.
pub(crate) async fn flow(
    server: &Postgres,
    slots: u32,
) -> Result<(TestDatabase, Flow), Box<dyn Error>> {
    let database = server.create_database().await?;
    let owner = Flow::builder(database.owner_url()).build().await?;
    owner.init().await?;
    owner.close().await?;
    let flow = Flow::builder(database.url()).slots(slots).build().await?;
    flow.start_driver().await?;
    Ok((database, flow))
}

pub(crate) async fn measure(server: &Postgres, runs: usize) -> Result<Figure, Box<dyn Error>> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("flow.throughput: round {round} of {ROUNDS}: the bare loop");
        let database = server.create_database().await?;
        baseline::set_up(server, database.superuser_url()).await?;
        bare.push(baseline::batched(server, database.superuser_url()).await?);
        drop(database);
        eprintln!("flow.throughput: round {round} of {ROUNDS}: {runs} runs of {STEPS} steps");
        ours.push(steps_per_second(server, runs).await?);
    }
    let (value, baseline) = (median(ours), median(bare));
    Ok(Figure {
        bench: "flow.throughput",
        value,
        unit: "steps/s",
        baseline,
        ratio: value / baseline,
        bar: 0.7,
        at_most: false,
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn steps_per_second(server: &Postgres, runs: usize) -> Result<f64, Box<dyn Error>> {
    let (database, flow) = flow(server, SLOTS).await?;
    LAST_STEPS.store(0, Ordering::Relaxed);
    let began_at = Instant::now();
    let starts = futures_util::stream::iter(0..runs as u64).map(|number| {
        let flow = flow.clone();
        async move { flow.start(Ten, Idle { number }).await.map(drop) }
    });
    let mut starts = starts.buffer_unordered(STARTERS);
    while let Some(started) = starts.next().await {
        started?;
    }
    // Waiting for each run would read each: the engine is measured, not the reading.
    while LAST_STEPS.load(Ordering::Relaxed) < runs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let db = forktex_db::Db::connect(
        database.url(),
        forktex_db::DbOptions::new().max_connections(1),
    )
    .await?;
    loop {
        let active: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM forktex_flow.active)")
            .fetch_one(db.pool())
            .await?;
        if !active {
            break;
        }
    }
    let elapsed = began_at.elapsed();
    let completed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM forktex_flow.instance WHERE status = 'completed'")
            .fetch_one(db.pool())
            .await?;
    db.close().await;
    flow.close().await?;
    if usize::try_from(completed)? != runs {
        return Err(format!("{completed} of {runs} runs completed").into());
    }
    Ok((runs * STEPS) as f64 / elapsed.as_secs_f64())
}
