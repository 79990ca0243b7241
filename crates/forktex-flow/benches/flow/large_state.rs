// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second of runs whose state is large, against runs whose state is small. Each step reads the
//! whole state by reference and changes 100 bytes of it.
//!
//! The starts are not timed: the first node of each run waits until all are there. The log that a step
//! writes is noted: it must not depend on the size of the state.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::fixture::{self, Bench, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

const BENCH: &str = "flow.large_state";

const RUNS: usize = 100;
const STEPS: usize = 5_000;
const LARGE_BYTES: usize = 1 << 20;
const SMALL_BYTES: usize = 1 << 10;

/// The bytes that a step changes.
const NOTE_BYTES: usize = 100;

#[derive(State, Clone, Debug, Serialize, Deserialize)]
struct Filled {
    filling: String,
    note: String,
}

static AT_GATE: AtomicUsize = AtomicUsize::new(0);
static GATE: Semaphore = Semaphore::const_new(0);
static STEPS_RUN: AtomicUsize = AtomicUsize::new(0);

#[step]
async fn gate(_ctx: &Ctx, _state: &Filled) -> StepResult<()> {
    AT_GATE.fetch_add(1, Ordering::Relaxed);
    GATE.acquire().await?.forget();
    Ok(())
}

#[step]
async fn note(_ctx: &Ctx, state: &Filled) -> StepResult<FilledUpdate> {
    let number = STEPS_RUN.fetch_add(1, Ordering::Relaxed);
    let read = state.filling.len() + state.note.len();
    Ok(Filled::update().note(format!("{:0NOTE_BYTES$}", number ^ read)))
}

#[derive(Clone, Copy)]
struct Growing;

impl Workflow for Growing {
    type State = Filled;

    const NAME: &'static str = "bench.growing";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        let gate = Pipeline::<Filled>::new(Self::NAME, Self::VERSION).step(Node::of::<gate>());
        (0..STEPS)
            .fold(gate, |pipeline, number| {
                pipeline.step(Node::of::<note>().named(format!("step_{number}")))
            })
            .build()
    }
}

struct Rate {
    steps_per_second: f64,
    wal_bytes_per_step: f64,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[("checkpoint_timeout", "1h")]).await?;
    let runs = bench.size(RUNS, 4);
    let (mut large, mut small) = (Vec::new(), Vec::new());
    let (mut large_wal, mut small_wal) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, &format!("{runs} runs with 1 KiB of state"));
        let rate = steps(&server, runs, SMALL_BYTES).await?;
        small.push(rate.steps_per_second);
        small_wal.push(rate.wal_bytes_per_step);
        bench.progress(BENCH, round, &format!("{runs} runs with 1 MiB of state"));
        let rate = steps(&server, runs, LARGE_BYTES).await?;
        large.push(rate.steps_per_second);
        large_wal.push(rate.wal_bytes_per_step);
    }
    let (value, baseline) = (median(large), median(small));
    let mut report = Report::default();
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "steps/s",
        baseline,
        ratio: value / baseline,
        bar: 0.8,
        at_most: false,
    });
    report.note(BENCH, "WAL with 1 MiB", median(large_wal), "B/step");
    report.note(BENCH, "WAL with 1 KiB", median(small_wal), "B/step");
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn steps(server: &Postgres, runs: usize, state_bytes: usize) -> Result<Rate, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut probe = Probe::of(&database).await?;
    let flow = fixture::builder::<Growing>(database.url(), 256)
        .build()
        .await?;
    flow.start_driver().await?;
    AT_GATE.store(0, Ordering::Relaxed);
    STEPS_RUN.store(0, Ordering::Relaxed);
    let states = (0..runs).map(|_| Filled {
        filling: "x".repeat(state_bytes),
        note: String::new(),
    });
    fixture::start_all(&flow, Growing, states).await?;
    fixture::until("all runs at the gate", PATIENCE, async || {
        Ok(AT_GATE.load(Ordering::Relaxed) == runs)
    })
    .await?;
    let wal_before = probe.wal_place().await?;
    let began_at = Instant::now();
    GATE.add_permits(runs);
    let steps = runs * STEPS;
    while STEPS_RUN.load(Ordering::Relaxed) < steps {
        if began_at.elapsed() > PATIENCE {
            let ran = STEPS_RUN.load(Ordering::Relaxed);
            return Err(format!("{ran} of {steps} steps ran").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    probe.until_none_lives(PATIENCE).await?;
    let elapsed = began_at.elapsed();
    let wal_bytes = probe.wal_place().await?.since(wal_before)?;
    probe.expect_completed(runs).await?;
    flow.close().await?;
    Ok(Rate {
        steps_per_second: steps as f64 / elapsed.as_secs_f64(),
        wal_bytes_per_step: wal_bytes / steps as f64,
    })
}
