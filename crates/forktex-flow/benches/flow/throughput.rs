// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second: many runs of ten steps that do nothing, from the first start to the last end. And
//! the bytes of write-ahead log that a step takes.
//!
//! No checkpoint falls into a round of either side, and a round that has one is refused. What is written
//! to is younger than the last checkpoint, so neither side logs whole pages; starts and ends of runs are
//! counted as what their steps cost.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex_flow::prelude::*;
use forktex_testkit::figure::{Figure, median};
use forktex_testkit::{Postgres, TestDatabase};

use crate::baseline;
use crate::fixture::{self, Bench, Numbered, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

/// How many runs may run at the same time.
pub(crate) const SLOTS: u32 = 1_000;

const STEPS: usize = 10;

static LAST_STEPS: AtomicUsize = AtomicUsize::new(0);

#[step]
async fn rest(_ctx: &Ctx, _state: &Numbered) -> StepResult<()> {
    Ok(())
}

#[step]
async fn last(_ctx: &Ctx, _state: &Numbered) -> StepResult<()> {
    LAST_STEPS.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[pipeline(
    name = "bench.ten", version = 1, state = Numbered,
    steps = [
        step(rest, name = "step_1"), step(rest, name = "step_2"), step(rest, name = "step_3"),
        step(rest, name = "step_4"), step(rest, name = "step_5"), step(rest, name = "step_6"),
        step(rest, name = "step_7"), step(rest, name = "step_8"), step(rest, name = "step_9"),
        last,
    ],
)]
#[derive(Clone, Copy)]
pub(crate) struct Ten;

/// What a side of a round came to.
pub(crate) struct Rate {
    pub(crate) steps_per_second: f64,
    pub(crate) wal_bytes_per_step: f64,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[("checkpoint_timeout", "1h")]).await?;
    let runs = bench.runs_of_ten();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let (mut our_wal, mut bare_wal) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress("flow.throughput", round, "the bare loop");
        let rate = bare_loop(&server).await?;
        bare.push(rate.steps_per_second);
        bare_wal.push(rate.wal_bytes_per_step);
        bench.progress(
            "flow.throughput",
            round,
            &format!("{runs} runs of {STEPS} steps"),
        );
        let database = fixture::database(&server).await?;
        let rate = steps(&database, runs, true).await?;
        ours.push(rate.steps_per_second);
        our_wal.push(rate.wal_bytes_per_step);
    }
    let figure = |bench, value, unit, baseline, bar, at_most| Figure {
        bench,
        value,
        unit,
        baseline,
        ratio: value / baseline,
        bar,
        at_most,
    };
    let (value, baseline) = (median(ours), median(bare));
    let (wal, wal_baseline) = (median(our_wal), median(bare_wal));
    Ok(Report {
        figures: vec![
            figure("flow.throughput", value, "steps/s", baseline, 0.7, false),
            figure("flow.wal", wal, "B/step", wal_baseline, 1.5, true),
        ],
        notes: Vec::new(),
    })
}

async fn bare_loop(server: &Postgres) -> Result<Rate, Box<dyn Error>> {
    let database = server.create_database().await?;
    baseline::set_up(server, database.superuser_url()).await?;
    let mut probe = Probe::of(&database).await?;
    let before = probe.wal_place().await?;
    let batched = baseline::batched(server, database.superuser_url()).await?;
    let wal_bytes = probe.wal_place().await?.since(before)?;
    Ok(Rate {
        steps_per_second: batched.steps_per_second,
        wal_bytes_per_step: wal_bytes / batched.steps,
    })
}

/// Runs so many runs to their end with a worker of this process, beside those that are there.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn steps(
    database: &TestDatabase,
    runs: usize,
    without_checkpoint: bool,
) -> Result<Rate, Box<dyn Error>> {
    let flow = Flow::builder(database.url()).slots(SLOTS).build().await?;
    flow.start_driver().await?;
    let mut probe = Probe::of(database).await?;
    let completed_before = probe.completed().await?;
    LAST_STEPS.store(0, Ordering::Relaxed);
    let wal_before = probe.wal_place().await?;
    let began_at = Instant::now();
    fixture::start_all(&flow, Ten, fixture::numbered(runs)).await?;
    // Waiting for each run would read each: the engine is measured, not the reading.
    while LAST_STEPS.load(Ordering::Relaxed) < runs {
        if began_at.elapsed() > PATIENCE {
            let ran = LAST_STEPS.load(Ordering::Relaxed);
            return Err(format!("{ran} of {runs} runs came to their last step").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    probe.until_none_lives(PATIENCE).await?;
    let elapsed = began_at.elapsed();
    let wal_after = probe.wal_place().await?;
    let wal_bytes = if without_checkpoint {
        wal_after.since(wal_before)?
    } else {
        wal_after.all_since(wal_before)
    };
    probe.expect_completed(completed_before + runs).await?;
    flow.close().await?;
    let steps = (runs * STEPS) as f64;
    Ok(Rate {
        steps_per_second: steps / elapsed.as_secs_f64(),
        wal_bytes_per_step: wal_bytes / steps,
    })
}
