// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The memory that a run which waits for a signal takes in the worker that ran it until then: none.
//!
//! A worker in a process of its own runs two waves of runs. By the end of the first, which is alike for
//! all, the process is as large as such a wave makes it; then its growth over the second is measured. The
//! runs of the second wave wait for a signal in one process, and complete in another: the difference
//! is what waiting costs. The rule: a process that keeps anything of a run must at least keep its id, 16
//! bytes; less than that is noise.
//!
//! That the measurement sees such an amount is tried in the same row, with a worker that keeps 64 bytes
//! of each run on purpose.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::graph::Graph;
use forktex_flow::definition::topology::{END, START};
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};
use serde::{Deserialize, Serialize};

use crate::child::{self, Child, Parent};
use crate::fixture::{self, Bench, LOOK, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

pub(crate) const CHILD: &str = "waiting";

const BENCH: &str = "flow.waiting";

/// The bytes of a run's id.
const ID_BYTES: f64 = 16.0;

/// What the worker keeps of each run that is to be caught.
const KEPT_BYTES: usize = 64;

/// How often memory is read; the least counts, as buffers come and go.
const READINGS: usize = 20;

#[derive(State, Clone, Debug, Serialize, Deserialize)]
struct Patient {
    /// Whether it waits before it ends.
    waits: bool,
    answer: Option<String>,
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("bench.answered")]
struct Answered {
    answer: String,
}

impl From<Answered> for PatientUpdate {
    fn from(signal: Answered) -> Self {
        Patient::update().answer(signal.answer)
    }
}

#[derive(Route)]
enum Way {
    Waits,
    Ends,
}

/// How many bytes of each run are kept on purpose.
static KEPT_BYTES_PER_RUN: AtomicUsize = AtomicUsize::new(0);
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[step]
async fn ask(_ctx: &Ctx, _state: &Patient) -> StepResult<()> {
    let kept = KEPT_BYTES_PER_RUN.load(Ordering::Relaxed);
    if kept > 0 {
        let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(vec![1; kept]);
    }
    Ok(())
}

#[step]
async fn listen(_ctx: &Ctx, _state: &Patient) -> StepResult<()> {
    Ok(())
}

#[derive(Clone, Copy)]
struct Asking;

impl Workflow for Asking {
    type State = Patient;

    const NAME: &'static str = "bench.asking";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        let way = |state: &Patient| if state.waits { Way::Waits } else { Way::Ends };
        Graph::<Patient>::new(Self::NAME, Self::VERSION)
            .node(Node::of::<ask>())
            .node(Node::of::<listen>())
            .node(Node::of::<listen>().named("heard"))
            .edge(START, "ask")
            .conditional("ask", way, [(Way::Waits, "listen"), (Way::Ends, "heard")])
            .wait_edge::<Answered>("listen", "heard")
            .edge("heard", END)
            .build()
    }
}

/// A worker that keeps so many bytes of each run.
pub(crate) async fn run_child(
    arguments: &[String],
    mut parent: Parent,
) -> Result<(), Box<dyn Error>> {
    let [url, kept] = arguments else {
        return Err("a worker needs a URL and how much it keeps".into());
    };
    KEPT_BYTES_PER_RUN.store(kept.parse()?, Ordering::Relaxed);
    let flow = fixture::builder::<Asking>(url, 256).build().await?;
    flow.start_driver().await?;
    child::tell("ready");
    parent.order().await?;
    Ok(flow.close().await?)
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let runs = bench.size(100_000, 5_000);
    let (mut waiting, mut ending) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, &format!("{runs} runs that end"));
        ending.push(growth(&server, runs, false, 0).await?);
        bench.progress(BENCH, round, &format!("{runs} runs that wait"));
        waiting.push(growth(&server, runs, true, 0).await?);
    }
    eprintln!("{BENCH}: {runs} runs of which {KEPT_BYTES} bytes each are kept on purpose");
    let caught = growth(&server, runs, true, KEPT_BYTES).await?;
    let (waiting, ending) = (median(waiting), median(ending));
    let mut report = Report::default();
    let value = waiting - ending;
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "B/run",
        baseline: ID_BYTES,
        ratio: value / ID_BYTES,
        bar: 1.0,
        at_most: true,
    });
    report.note(BENCH, "growth by runs that wait", waiting, "B/run");
    report.note(BENCH, "growth by runs that end", ending, "B/run");
    let what = format!("growth by runs that wait where {KEPT_BYTES} B are kept on purpose");
    report.note(BENCH, what, caught, "B/run");
    // A quick look has too few runs for pages to tell.
    if !bench.is_quick && caught - ending <= ID_BYTES {
        return Err(format!(
            "{KEPT_BYTES} bytes a run that were kept on purpose were seen as {:.1}: the measurement is blind",
            caught - ending
        )
        .into());
    }
    Ok(report)
}

/// The bytes a run by which a worker grows over the second wave.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn growth(
    server: &Postgres,
    runs: usize,
    waits: bool,
    kept: usize,
) -> Result<f64, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut probe = Probe::of(&database).await?;
    let starter = fixture::builder::<Asking>(database.url(), 1)
        .build()
        .await?;
    let mut child = Child::spawn(CHILD, &[database.url(), &kept.to_string()])?;
    child.expect("ready", PATIENCE).await?;
    wave(&starter, &mut probe, runs, true).await?;
    let before = least_memory(&child).await?;
    wave(&starter, &mut probe, runs, waits).await?;
    let after = least_memory(&child).await?;
    child.kill().await?;
    starter.close().await?;
    Ok((after - before) / runs as f64)
}

/// Starts a wave, and returns when each of its runs waits or has completed.
async fn wave(
    starter: &Flow,
    probe: &mut Probe,
    runs: usize,
    waits: bool,
) -> Result<(), Box<dyn Error>> {
    let at_rest = "SELECT count(*) FROM forktex_flow.active WHERE waits_on = 'signal'";
    let waiting_before = probe.number(at_rest).await?;
    let completed_before = probe.completed().await?;
    let states = (0..runs).map(|_| Patient {
        waits,
        answer: None,
    });
    fixture::start_all(starter, Asking, states).await?;
    // Counting all runs again and again would take the time of the worker.
    let is_at_work = "SELECT EXISTS (SELECT FROM forktex_flow.active WHERE worker_id IS NOT NULL)
        OR EXISTS (SELECT FROM forktex_flow.active WHERE ready_at IS NOT NULL)";
    fixture::until("each run waits or has completed", PATIENCE, async || {
        Ok(!probe.is(is_at_work).await?)
    })
    .await?;
    let waiting = probe.number(at_rest).await? - waiting_before;
    let completed = probe.completed().await? - completed_before;
    let due = if waits {
        (i64::try_from(runs)?, 0)
    } else {
        (0, runs)
    };
    if (waiting, completed) == due {
        return Ok(());
    }
    Err(format!("of {runs} runs {waiting} wait and {completed} completed").into())
}

/// The least memory of some readings over two seconds, so that the end of the work is not measured.
async fn least_memory(child: &Child) -> Result<f64, Box<dyn Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..READINGS {
        tokio::time::sleep(2 * LOOK).await;
        least = least.min(child.memory_bytes()?);
    }
    Ok(least)
}
