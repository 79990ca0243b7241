// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second of four workers against one, each a process with 250 slots, on steps that sleep 50 ms:
//! they wait for something else than the processor, as most steps do.
//!
//! Every slot has as many runs to run, whatever the number of workers. The runs are there, and the workers
//! connected, before the time begins.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::child::{self, Child, Parent};
use crate::fixture::{self, Bench, Numbered, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

pub(crate) const CHILD: &str = "workers";

const BENCH: &str = "flow.workers";

const SLOTS: u32 = 250;
const STEPS: usize = 10;
const WORKERS: usize = 4;

/// How long a step sleeps.
const SLEEP: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Sleepy;

#[step]
async fn sleep(_ctx: &Ctx, _state: &Numbered) -> StepResult<()> {
    tokio::time::sleep(SLEEP).await;
    Ok(())
}

impl Workflow for Sleepy {
    type State = Numbered;

    const NAME: &'static str = "bench.sleepy";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        (0..STEPS)
            .fold(
                Pipeline::<Numbered>::new(Self::NAME, Self::VERSION),
                |pipeline, number| {
                    pipeline.step(Node::of::<sleep>().named(format!("step_{number}")))
                },
            )
            .build()
    }
}

/// A worker that begins when it is told to.
pub(crate) async fn run_child(
    arguments: &[String],
    mut parent: Parent,
) -> Result<(), Box<dyn Error>> {
    let url = arguments.first().ok_or("a worker needs a URL")?;
    let flow = fixture::builder::<Sleepy>(url, SLOTS).build().await?;
    child::tell("ready");
    parent.order().await?;
    flow.start_driver().await?;
    parent.order().await?;
    flow.close().await?;
    child::tell("closed");
    Ok(())
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let runs_per_slot = bench.size(10, 2);
    let (mut four, mut one) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, "1 worker");
        one.push(steps_per_second(&server, 1, runs_per_slot).await?);
        bench.progress(BENCH, round, &format!("{WORKERS} workers"));
        four.push(steps_per_second(&server, WORKERS, runs_per_slot).await?);
    }
    let (value, baseline) = (median(four), median(one));
    let mut report = Report::default();
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "steps/s",
        baseline,
        ratio: value / baseline,
        bar: 3.5,
        at_most: false,
    });
    let possible = f64::from(SLOTS) / SLEEP.as_secs_f64();
    report.note(
        BENCH,
        "what one worker could do if all but sleeping took no time",
        possible,
        "steps/s",
    );
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn steps_per_second(
    server: &Postgres,
    workers: usize,
    runs_per_slot: usize,
) -> Result<f64, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut probe = Probe::of(&database).await?;
    let runs = workers * SLOTS as usize * runs_per_slot;
    let starter = fixture::builder::<Sleepy>(database.url(), 1)
        .build()
        .await?;
    fixture::start_all(&starter, Sleepy, fixture::numbered(runs)).await?;
    starter.close().await?;
    let mut children = Vec::new();
    for _ in 0..workers {
        children.push(Child::spawn(CHILD, &[database.url()])?);
    }
    for child in &mut children {
        child.expect("ready", PATIENCE).await?;
    }
    let began_at = Instant::now();
    for child in &mut children {
        child.say("begin").await?;
    }
    probe.until_none_lives(PATIENCE).await?;
    let elapsed = began_at.elapsed();
    probe.expect_completed(runs).await?;
    for child in &mut children {
        child.say("close").await?;
        child.expect("closed", PATIENCE).await?;
    }
    Ok((runs * STEPS) as f64 / elapsed.as_secs_f64())
}
