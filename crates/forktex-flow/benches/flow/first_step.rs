// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From a call of `start()` to the begin of the run's first step, with the worker in the same process and
//! in another, against one bare commit.
//!
//! One start at a time, each as soon as the run before has ended, as the bare commits are. What it takes at
//! random moments, with all processes asleep in between, is noted beside.

use std::error::Error;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};
use tokio::sync::mpsc;

use crate::baseline;
use crate::child::{self, Child, Parent};
use crate::fixture::{self, Bench, Numbered};
use crate::report::Report;

pub(crate) const CHILD: &str = "first_step";

const BENCH: &str = "flow.first_step";

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest pause between two starts.
const PAUSE_MS_MAX: u64 = 20;

#[derive(Clone, Copy)]
struct Short;

/// What the step tells: the number of its run, and when it began.
type Begin = (u64, Duration);

static BEGINS: LazyLock<Mutex<Option<mpsc::UnboundedSender<Begin>>>> =
    LazyLock::new(Mutex::default);

#[step]
async fn begin(_ctx: &Ctx, state: &Numbered) -> StepResult<()> {
    let began_at = now();
    if let Some(begins) = &*BEGINS.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = begins.send((state.number, began_at));
    }
    Ok(())
}

impl Workflow for Short {
    type State = Numbered;

    const NAME: &'static str = "bench.short";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        Pipeline::<Numbered>::new(Self::NAME, Self::VERSION)
            .step(Node::of::<begin>())
            .build()
    }
}

/// The time by the clock that all processes of a machine share.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn begins() -> mpsc::UnboundedReceiver<Begin> {
    let (sender, receiver) = mpsc::unbounded_channel();
    *BEGINS.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    receiver
}

/// A worker that tells when steps begin.
pub(crate) async fn run_child(
    arguments: &[String],
    mut parent: Parent,
) -> Result<(), Box<dyn Error>> {
    let url = arguments.first().ok_or("a worker needs a URL")?;
    let mut begins = begins();
    let flow = fixture::builder::<Short>(url, 256).build().await?;
    flow.start_driver().await?;
    child::tell("ready");
    tokio::spawn(async move {
        while let Some((number, began_at)) = begins.recv().await {
            child::tell(&format!("{number} {}", began_at.as_nanos()));
        }
    });
    parent.order().await?;
    Ok(flow.close().await?)
}

/// The worker whose first steps are awaited.
enum Worker {
    Here(mpsc::UnboundedReceiver<Begin>),
    Elsewhere(Box<Child>),
}

impl Worker {
    /// When the next step began, which must be that of the run of this number.
    async fn began_at(&mut self, number: u64) -> Result<Duration, Box<dyn Error>> {
        let (told, began_at) = match self {
            Self::Here(begins) => tokio::time::timeout(LIMIT, begins.recv())
                .await?
                .ok_or("the worker has ended")?,
            Self::Elsewhere(child) => {
                let line = child.hear(LIMIT).await?;
                let (number, nanoseconds) = line.split_once(' ').ok_or("a short line")?;
                (
                    number.parse()?,
                    Duration::from_nanos(nanoseconds.parse::<u64>()?),
                )
            }
        };
        if told == number {
            return Ok(began_at);
        }
        Err(format!("run {told} began where {number} was due").into())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Apart,
    AtOnce,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let starts = bench.size(500, 50);
    let mut bare = Vec::new();
    let (mut own, mut other) = (Latencies::default(), Latencies::default());
    for round in bench.rounds() {
        bench.progress(BENCH, round, "one bare commit");
        bare.push(baseline::bare_commit_ms(&server).await?);
        bench.progress(BENCH, round, "the worker in this process");
        here(&server, starts, &mut own).await?;
        bench.progress(BENCH, round, "the worker in another process");
        elsewhere(&server, starts, &mut other).await?;
    }
    let baseline = median(bare);
    let mut report = Report::default();
    let rows = [
        ("flow.first_step.own", own, 1.8),
        ("flow.first_step.other", other, 5.0),
    ];
    for (bench, latencies, bar) in rows {
        let value = median(latencies.at_once);
        report.figures.push(Figure {
            bench,
            value,
            unit: "ms",
            baseline,
            ratio: value / baseline,
            bar,
            at_most: true,
        });
        let apart = median(latencies.apart);
        report.note(bench, "p50 of starts at random moments", apart, "ms");
    }
    Ok(report)
}

/// The p50 of each round, in milliseconds.
#[derive(Default)]
struct Latencies {
    at_once: Vec<f64>,
    apart: Vec<f64>,
}

impl Latencies {
    async fn add_round(
        &mut self,
        flow: &Flow,
        worker: &mut Worker,
        starts: u64,
    ) -> Result<(), Box<dyn Error>> {
        let at_once = p50_ms(flow, worker, 0..starts, Pace::AtOnce).await?;
        self.at_once.push(at_once);
        let apart = p50_ms(flow, worker, starts..2 * starts, Pace::Apart).await?;
        self.apart.push(apart);
        Ok(())
    }
}

async fn here(
    server: &Postgres,
    starts: u64,
    latencies: &mut Latencies,
) -> Result<(), Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let flow = fixture::builder::<Short>(database.url(), 256)
        .build()
        .await?;
    flow.start_driver().await?;
    let mut worker = Worker::Here(begins());
    latencies.add_round(&flow, &mut worker, starts).await?;
    Ok(flow.close().await?)
}

async fn elsewhere(
    server: &Postgres,
    starts: u64,
    latencies: &mut Latencies,
) -> Result<(), Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut child = Child::spawn(CHILD, &[database.url()])?;
    child.expect("ready", LIMIT).await?;
    let flow = fixture::builder::<Short>(database.url(), 256)
        .build()
        .await?;
    let mut worker = Worker::Elsewhere(Box::new(child));
    latencies.add_round(&flow, &mut worker, starts).await?;
    Ok(flow.close().await?)
}

async fn p50_ms(
    flow: &Flow,
    worker: &mut Worker,
    numbers: std::ops::Range<u64>,
    pace: Pace,
) -> Result<f64, Box<dyn Error>> {
    let mut latencies_ms = Vec::new();
    for number in numbers {
        if pace == Pace::Apart {
            let pause = Duration::from_micros(fastrand::u64(..PAUSE_MS_MAX * 1_000));
            tokio::time::sleep(pause).await;
        }
        let called_at = now();
        let run = flow.start(Short, Numbered { number }).await?;
        let began_at = worker.began_at(number).await?;
        let latency = began_at
            .checked_sub(called_at)
            .ok_or("the clock was set back")?;
        latencies_ms.push(latency.as_secs_f64() * 1_000.0);
        let run = run.wait().timeout(LIMIT).await?;
        if run.status != InstanceStatus::Completed {
            return Err(format!("run {number} ended as {}", run.status.as_str()).into());
        }
    }
    Ok(median(latencies_ms))
}
