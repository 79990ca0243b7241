// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A steady load: as many runs at a time as are wanted, each that ends making room for the next.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::graph::Graph;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::definition::topology::{END, START};
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fixture::PATIENCE;

/// The steps that have run in this process.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Room for runs that are to be started.
static ROOM: Semaphore = Semaphore::const_new(0);

/// The state of a run that counts its steps.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counting {
    #[reduce(add)]
    visits: u64,
}

#[step]
async fn count(_ctx: &Ctx, _state: &Counting) -> StepResult<CountingUpdate> {
    STEPS.fetch_add(1, Ordering::Relaxed);
    Ok(Counting::update().visits(1))
}

#[step]
async fn make_room(_ctx: &Ctx, _state: &Counting) -> StepResult<()> {
    STEPS.fetch_add(1, Ordering::Relaxed);
    ROOM.add_permits(1);
    Ok(())
}

/// A workflow that makes room for the next run when it comes to its end.
pub(crate) trait Steady: Workflow<State = Counting> + Copy {
    const THIS: Self;
    const VISITS: u64;

    /// How many of its visits one of the first runs leaves out. Long runs that begin together would
    /// all end together.
    fn left_out() -> u64;
}

/// Ten nodes, one after another.
#[derive(Clone, Copy)]
pub(crate) struct TenNodes;

impl Steady for TenNodes {
    const THIS: Self = Self;
    const VISITS: u64 = 10;

    fn left_out() -> u64 {
        0
    }
}

impl Workflow for TenNodes {
    type State = Counting;

    const NAME: &'static str = "bench.ten_nodes";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        (1..Self::VISITS)
            .fold(
                Pipeline::<Counting>::new(Self::NAME, Self::VERSION),
                |pipeline, number| {
                    pipeline.step(Node::of::<count>().named(format!("step_{number}")))
                },
            )
            .step(Node::of::<make_room>())
            .build()
    }
}

/// One node, to which a run comes again and again.
#[derive(Clone, Copy)]
pub(crate) struct ThousandVisits;

#[derive(Route)]
enum Turn {
    Again,
    Enough,
}

impl Steady for ThousandVisits {
    const THIS: Self = Self;
    const VISITS: u64 = 1_000;

    fn left_out() -> u64 {
        fastrand::u64(..Self::VISITS - 1)
    }
}

impl Workflow for ThousandVisits {
    type State = Counting;

    const NAME: &'static str = "bench.thousand_visits";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        let turn = |state: &Counting| {
            if state.visits < Self::VISITS - 1 {
                Turn::Again
            } else {
                Turn::Enough
            }
        };
        Graph::<Counting>::new(Self::NAME, Self::VERSION)
            .node(Node::of::<count>())
            .node(Node::of::<make_room>())
            .edge(START, "count")
            .conditional(
                "count",
                turn,
                [(Turn::Again, "count"), (Turn::Enough, "make_room")],
            )
            .edge("make_room", END)
            .build()
    }
}

/// How many steps have run so far.
pub(crate) fn steps_run() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// Keeps so many runs going until a time, then lets the last ones end. Returns how many there were, each
/// of which took all its steps.
pub(crate) async fn keep_up<W: Steady>(
    flow: &Flow,
    runs_at_a_time: u32,
    until: Instant,
) -> Result<u64, Box<dyn Error>> {
    let steps_before = steps_run();
    ROOM.add_permits(runs_at_a_time as usize);
    let mut starts = JoinSet::new();
    let (mut started, mut steps_due) = (0, 0);
    while Instant::now() < until {
        take_room(1).await?;
        let visits = if started < u64::from(runs_at_a_time) {
            W::left_out()
        } else {
            0
        };
        steps_due += W::VISITS - visits;
        let start = flow.start(W::THIS, Counting { visits });
        starts.spawn(async move { start.await.map(drop) });
        started += 1;
        while let Some(done) = starts.try_join_next() {
            done??;
        }
    }
    while let Some(done) = starts.join_next().await {
        done??;
    }
    take_room(runs_at_a_time).await?;
    let steps = steps_run() - steps_before;
    if steps == steps_due {
        return Ok(started);
    }
    Err(format!("{steps} steps ran where {started} runs have {steps_due}").into())
}

async fn take_room(runs: u32) -> Result<(), Box<dyn Error>> {
    let room = tokio::time::timeout(PATIENCE, ROOM.acquire_many(runs));
    room.await
        .map_err(|_| format!("no run ended for {PATIENCE:?}"))??
        .forget();
    Ok(())
}

/// Steps per second from one moment to another. Returns when the second has come.
pub(crate) async fn rate(from: Instant, to: Instant) -> f64 {
    tokio::time::sleep_until(from.into()).await;
    let (before, began_at) = (steps_run(), Instant::now());
    tokio::time::sleep_until(to.into()).await;
    per_second(steps_run() - before, began_at.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(steps: u64, elapsed: Duration) -> f64 {
    steps as f64 / elapsed.as_secs_f64()
}
