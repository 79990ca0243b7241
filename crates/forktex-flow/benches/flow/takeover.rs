// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A killed worker that owned 100,000 runs, all inside a step, and another that takes them up.
//!
//! Two figures, both from the end of the dead worker's lease by the database's clock: when no run is owned
//! by the dead any more, and how many the other has had in hand ten seconds after. The first is when a run can go
//! on; the second is that it does. The engine runs suspects one at a time, so that a step that kills
//! its process is found out.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::child::{self, Child, Parent};
use crate::fixture::{self, Bench, LOOK, Numbered, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

pub(crate) const CHILD: &str = "takeover";

const BENCH: &str = "flow.takeover";
const CLAIMED: &str = "flow.takeover.claimed";

/// The lease of both workers.
const LEASE: Duration = Duration::from_secs(5);

/// What the bar allows.
const LIMIT: Duration = Duration::from_secs(10);

static IS_BARRED: AtomicBool = AtomicBool::new(false);
static AT_BARRIER: AtomicUsize = AtomicUsize::new(0);

#[step]
async fn barrier(_ctx: &Ctx, _state: &Numbered) -> StepResult<()> {
    AT_BARRIER.fetch_add(1, Ordering::Relaxed);
    if IS_BARRED.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Barred;

impl Workflow for Barred {
    type State = Numbered;

    const NAME: &'static str = "bench.barred";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        Pipeline::<Numbered>::new(Self::NAME, Self::VERSION)
            .step(Node::of::<barrier>())
            .build()
    }
}

/// A worker that starts so many runs, all of which stay in their first step.
pub(crate) async fn run_child(
    arguments: &[String],
    mut parent: Parent,
) -> Result<(), Box<dyn Error>> {
    let [url, runs] = arguments else {
        return Err("a worker needs a URL and a number of runs".into());
    };
    let runs: usize = runs.parse()?;
    IS_BARRED.store(true, Ordering::Relaxed);
    let flow = fixture::builder::<Barred>(url, u32::try_from(runs)?)
        .lease(LEASE)
        .build()
        .await?;
    flow.start_driver().await?;
    fixture::start_all(&flow, Barred, fixture::numbered(runs)).await?;
    fixture::until("all runs at the barrier", PATIENCE, async || {
        Ok(AT_BARRIER.load(Ordering::Relaxed) == runs)
    })
    .await?;
    child::tell("held");
    parent.order().await?;
    Ok(())
}

struct Takeover {
    /// From the end of the lease until the dead worker owned nothing.
    freed_seconds: f64,
    /// How many were in the other's hands when the limit was over.
    taken_up: f64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let runs = bench.size(100_000, 2_000);
    let (mut freed, mut taken) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, &format!("a worker that holds {runs} runs"));
        let takeover = take_over(bench, &server, round, runs).await?;
        freed.push(takeover.freed_seconds);
        taken.push(takeover.taken_up);
    }
    let (freed, taken, runs) = (median(freed), median(taken), runs as f64);
    let mut report = Report::default();
    report.figures.push(Figure {
        bench: BENCH,
        value: freed,
        unit: "s",
        baseline: LIMIT.as_secs_f64(),
        ratio: freed / LIMIT.as_secs_f64(),
        bar: 1.0,
        at_most: true,
    });
    report.figures.push(Figure {
        bench: CLAIMED,
        value: taken,
        unit: "runs",
        baseline: runs,
        ratio: taken / runs,
        bar: 1.0,
        at_most: false,
    });
    Ok(report)
}

async fn take_over(
    bench: &Bench,
    server: &Postgres,
    round: usize,
    runs: usize,
) -> Result<Takeover, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut probe = Probe::of(&database).await?;
    let holder = Child::spawn(CHILD, &[database.url(), &runs.to_string()])?;
    let holder = held(holder).await?;
    let dead = probe.only_worker().await?;
    let owned = probe.owned_by(dead).await?;
    if owned != i64::try_from(runs)? {
        return Err(format!("the worker that is to be killed owns {owned} of {runs} runs").into());
    }
    let survivor = fixture::builder::<Barred>(database.url(), 1_000)
        .lease(LEASE)
        .build()
        .await?;
    AT_BARRIER.store(0, Ordering::Relaxed);
    survivor.start_driver().await?;
    bench.progress(BENCH, round, "its end");
    holder.kill().await?;
    probe.until_lease_ended(dead, 2 * LEASE).await?;
    let lease_ended_at = Instant::now();
    let freed_by = lease_ended_at + PATIENCE;
    let mut freed_seconds = None;
    let mut taken_up = None;
    while freed_seconds.is_none() || taken_up.is_none() {
        let elapsed = lease_ended_at.elapsed();
        if freed_seconds.is_none() && !probe.owns_any(dead).await? {
            freed_seconds = Some(lease_ended_at.elapsed().as_secs_f64());
        }
        let begun = AT_BARRIER.load(Ordering::Relaxed);
        if taken_up.is_none() && (begun >= runs || elapsed >= LIMIT) {
            taken_up = Some(begun.min(runs));
        }
        if Instant::now() > freed_by {
            return Err("the dead worker still owns runs after five minutes".into());
        }
        tokio::time::sleep(LOOK).await;
    }
    // Every one of them goes on in the end, however long that takes: not waited for, as nothing is lost
    // from the tables meanwhile, which is looked at.
    survivor.close().await?;
    let kept = probe
        .number("SELECT count(*) FROM forktex_flow.instance")
        .await?;
    if kept != i64::try_from(runs)? {
        return Err(format!("{kept} of {runs} runs are left").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(Takeover {
        freed_seconds: freed_seconds.unwrap_or(f64::NAN),
        taken_up: taken_up.unwrap_or(0) as f64,
    })
}

async fn held(mut holder: Child) -> Result<Child, Box<dyn Error>> {
    holder.expect("held", PATIENCE).await?;
    Ok(holder)
}
