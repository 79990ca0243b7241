// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The workflows of the simulation. One body plays all nodes; the part that it plays at each is in the
//! state with which the run was started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{CatchUp, Overlap, Schedule, Version, Workflow};
use serde::{Deserialize, Serialize};

use crate::chronicle::Chronicle;
use crate::history::{Body, Phase, What};
use crate::wire::Wire;

/// The state of every workflow here.
#[derive(State, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tale {
    /// By which a start is told from others.
    pub(crate) tag: u64,
    /// What each node does.
    pub(crate) parts: BTreeMap<String, Part>,
    /// How often a loop goes round.
    pub(crate) rounds: u32,
    /// The visits whose updates are merged.
    #[reduce(append)]
    pub(crate) log: Vec<String>,
    /// The numbers of the signals that were taken.
    #[reduce(append)]
    pub(crate) received: Vec<u64>,
    /// How many visits are merged.
    #[reduce(add)]
    pub(crate) total: i64,
}

/// What the body of a node does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// How many attempts fail.
    pub(crate) failures: u32,
    /// How often the body kills its process.
    pub(crate) kills: u32,
    pub(crate) takes_ms: u64,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) ending: Ending,
    /// How many attempts to undo it fail.
    pub(crate) undo_failures: u32,
}

/// How a body that did not fail before ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    #[default]
    Done,
    Fatal,
    Panics,
    /// It comes to nothing until it is given up.
    Hangs,
}

/// A durable call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Deed {
    Sleep {
        ms: u64,
    },
    Once,
    Emit,
    Letter {
        within_ms: Option<u64>,
    },
    Spawn {
        part: Part,
    },
    Map {
        parts: Vec<Part>,
        at_once: usize,
        fails_fast: bool,
    },
    /// Goes on when the run is cancelled, or after a while.
    Heed {
        ms: u64,
    },
}

/// A message to a run.
#[derive(Signal, Clone, Debug, Serialize, Deserialize)]
#[signal("letter")]
pub(crate) struct Letter {
    pub(crate) number: u64,
}

impl From<Letter> for TaleUpdate {
    fn from(letter: Letter) -> Self {
        Tale::update().received([letter.number])
    }
}

/// What the bodies of a process have of the world.
pub(crate) struct Stage {
    pub(crate) wire: Arc<Wire>,
    pub(crate) chronicle: Arc<Chronicle>,
}

/// A body that is running; notes how it ends.
struct Scene<'a> {
    stage: &'a Stage,
    body: Body,
}

impl<'a> Scene<'a> {
    fn begin(stage: &'a Stage, ctx: &Ctx, is_undo: bool) -> Self {
        let body = Body {
            run: ctx.instance_id(),
            node: ctx.node().as_str().to_owned(),
            visit: ctx.visit(),
            attempt: ctx.attempt(),
            is_undo,
            phase: Phase::Began,
        };
        let scene = Self { stage, body };
        scene.note(Phase::Began);
        scene
    }

    fn note(&self, phase: Phase) {
        // What a process does after its death is not seen.
        if !self.stage.wire.is_dead() {
            let body = Body {
                phase,
                ..self.body.clone()
            };
            self.stage
                .chronicle
                .note(self.stage.wire.process, What::Body(body));
        }
    }

    fn end(mut self, phase: Phase) {
        self.body.phase = phase;
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.note(match self.body.phase {
            Phase::Began if std::thread::panicking() => Phase::Failed,
            Phase::Began => Phase::Dropped,
            phase => phase,
        });
    }
}

/// The mark of a panic that is a part of the play.
pub(crate) const ON_PURPOSE: &str = "on purpose";

async fn play(ctx: &Ctx, tale: &Tale, stage: &Stage) -> StepResult<TaleUpdate> {
    let scene = Scene::begin(stage, ctx, false);
    let node = ctx.node().as_str();
    let part = tale.parts.get(node).cloned().unwrap_or_default();
    if part.takes_ms > 0 {
        tokio::time::sleep(Duration::from_millis(part.takes_ms)).await;
    }
    if part.kills > stage.chronicle.kills(ctx.instance_id(), node) && !stage.wire.is_dead() {
        stage.chronicle.kill(ctx.instance_id(), node);
        stage.wire.die();
        return std::future::pending().await;
    }
    let mut received = Vec::new();
    for deed in &part.deeds {
        if let Err(error) = perform(ctx, tale, deed, &mut received).await {
            scene.end(Phase::Failed);
            return Err(error);
        }
    }
    if ctx.attempt() <= part.failures {
        scene.end(Phase::Failed);
        return Err(StepError::new(ON_PURPOSE));
    }
    match part.ending {
        Ending::Done => {}
        Ending::Fatal => {
            scene.end(Phase::Failed);
            return Err(StepError::fatal(ON_PURPOSE));
        }
        #[expect(clippy::panic, reason = "a part of the play")]
        Ending::Panics => std::panic::panic_any(ON_PURPOSE),
        Ending::Hangs => return std::future::pending().await,
    }
    scene.end(Phase::Done);
    let told = token(ctx.node().as_str(), ctx.visit());
    Ok(Tale::update().log([told]).received(received).total(1))
}

/// What a visit that is done leaves in the log.
pub(crate) fn token(node: &str, visit: u32) -> String {
    format!("{node}.{visit}")
}

async fn perform(ctx: &Ctx, tale: &Tale, deed: &Deed, received: &mut Vec<u64>) -> StepResult<()> {
    match deed {
        Deed::Sleep { ms } => ctx.sleep(Duration::from_millis(*ms)).await?,
        Deed::Once => {
            let number: u64 = ctx
                .once("once", async { Ok::<_, StepError>(tale.tag) })
                .await?;
            if number != tale.tag {
                return Err(StepError::fatal("another answer than was recorded"));
            }
        }
        Deed::Emit => ctx.emit("still here").await?,
        Deed::Letter { within_ms: None } => {
            received.push(ctx.signal::<Letter>().await?.number);
        }
        Deed::Letter {
            within_ms: Some(ms),
        } => {
            let within = Duration::from_millis(*ms);
            let letter = ctx.signal::<Letter>().timeout(within).await?;
            received.extend(letter.map(|letter| letter.number));
        }
        Deed::Spawn { part } => {
            let child = ctx.spawn(Child, child(tale, 0, part)).await?;
            ctx.wait(child).await?;
        }
        Deed::Map {
            parts,
            at_once,
            fails_fast,
        } => {
            let states = parts
                .iter()
                .zip(0..)
                .map(|(part, number)| child(tale, number, part));
            let call = ctx
                .map(Child, states.collect::<Vec<_>>())
                .concurrency(*at_once);
            if *fails_fast {
                call.await?;
            } else {
                call.settle().await?;
            }
        }
        Deed::Heed { ms } => {
            let limit = Duration::from_millis(*ms);
            // Whichever comes first.
            let _ = tokio::time::timeout(limit, ctx.cancelled()).await;
        }
    }
    Ok(())
}

fn child(parent: &Tale, number: u64, part: &Part) -> Tale {
    Tale {
        tag: parent.tag * 100 + number,
        parts: BTreeMap::from([("play_all".to_owned(), part.clone())]),
        ..Tale::default()
    }
}

#[step(max_attempts = 3, backoff = ["300ms", "1s"], timeout = "5s")]
async fn play_all(ctx: &Ctx, tale: &Tale, stage: Resource<Stage>) -> StepResult<TaleUpdate> {
    play(ctx, tale, &stage).await
}

#[step(max_attempts = 2, backoff = ["200ms"], timeout = "5s", compensate = undo)]
async fn careful(ctx: &Ctx, tale: &Tale, stage: Resource<Stage>) -> StepResult<TaleUpdate> {
    play(ctx, tale, &stage).await
}

#[step(max_attempts = 2, backoff = ["200ms"])]
async fn undo(ctx: &Ctx, tale: &Tale, stage: Resource<Stage>) -> StepResult<TaleUpdate> {
    let scene = Scene::begin(&stage, ctx, true);
    let part = tale
        .parts
        .get(ctx.node().as_str())
        .cloned()
        .unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(part.takes_ms.min(200))).await;
    if ctx.attempt() <= part.undo_failures {
        scene.end(Phase::Failed);
        return Err(StepError::new(ON_PURPOSE));
    }
    scene.end(Phase::Done);
    let told = format!("undo {}", token(ctx.node().as_str(), ctx.visit()));
    Ok(Tale::update().log([told]))
}

/// The most attempts of a node, as declared above.
pub(crate) fn attempts_max(node: &str) -> u32 {
    match node {
        "b" | "e" => 2,
        _ => 3,
    }
}

#[pipeline(
    name = "sim.line", version = 1, state = Tale,
    steps = [
        step(play_all, name = "a"),
        step(careful, name = "b"),
        step(play_all, name = "c", when = |tale| tale.tag % 2 == 0),
        parallel(
            step(play_all, name = "d"),
            step(careful, name = "e"),
            step(play_all, name = "f", when = |tale| tale.tag % 3 != 0),
        ),
        step(play_all, name = "g"),
    ],
)]
pub(crate) struct Line;

#[derive(Route)]
enum Enough {
    No,
    Yes,
}

fn enough(tale: &Tale) -> Enough {
    let rounds = tale
        .log
        .iter()
        .filter(|told| told.starts_with("work."))
        .count();
    if rounds < tale.rounds as usize {
        Enough::No
    } else {
        Enough::Yes
    }
}

#[graph(
    name = "sim.loop", version = 1, state = Tale,
    nodes = { work: play_all, judge: play_all, b: careful },
    topology = [
        edge(START, b),
        edge(b, work),
        edge(work, judge),
        conditional(judge, enough, { Enough::No => work, Enough::Yes => END }),
    ],
    max_visits = 6,
)]
pub(crate) struct Loop;

#[graph(
    name = "sim.mail", version = 1, state = Tale,
    nodes = { first: play_all, second: play_all, read: play_all, late: play_all },
    entry = first, terminal = [read, late],
    topology = [
        wait_edge(first, second, on = Letter),
        wait_edge(first, late, after = "9s"),
        wait_edge(second, read, on = Letter),
    ],
)]
pub(crate) struct Mail;

/// Waits a while between two nodes.
#[graph(
    name = "sim.pause", version = 1, state = Tale,
    nodes = { before: play_all, after: play_all },
    entry = before, terminal = after,
    topology = [wait_edge(before, after, after = "2s")],
)]
pub(crate) struct Rest;

#[pipeline(name = "sim.child", version = 1, state = Tale, steps = [play_all])]
pub(crate) struct Child;

#[pipeline(
    name = "sim.parent", version = 1, state = Tale,
    steps = [step(play_all, name = "h"), step(careful, name = "b")],
)]
pub(crate) struct Parent;

/// The workflows that callers start by name.
pub(crate) const STARTED: [&str; 5] = [
    "sim.line",
    "sim.loop",
    "sim.mail",
    "sim.pause",
    "sim.parent",
];

macro_rules! ticking {
    ($ident:ident, $name:literal, $overlap:ident, $catch_up:ident) => {
        /// Starts by the clock.
        pub(crate) struct $ident;

        impl Workflow for $ident {
            type State = Tale;
            const NAME: &'static str = $name;
            const VERSION: Version = 1;

            fn declare() -> Declaration {
                let mut pipeline =
                    Pipeline::<Tale>::new(Self::NAME, Self::VERSION).step(Node::of::<play_all>());
                if let Ok(schedule) = Schedule::new("*/4 * * * * *") {
                    let schedule = schedule.overlap(Overlap::$overlap);
                    let schedule = schedule.catch_up(CatchUp::$catch_up);
                    pipeline = pipeline.schedule_with(schedule, ticked);
                }
                pipeline.build()
            }
        }
    };
}

/// A run of a schedule takes a while, so that ticks overlap.
fn ticked() -> Tale {
    let part = Part {
        deeds: vec![Deed::Sleep { ms: 2_500 }],
        takes_ms: 2_000,
        ..Part::default()
    };
    Tale {
        parts: BTreeMap::from([("play_all".to_owned(), part)]),
        ..Tale::default()
    }
}

ticking!(Often, "sim.often", Allow, All);
ticking!(Alone, "sim.alone", Skip, One);
ticking!(InTurn, "sim.in_turn", Queue, One);
ticking!(OnTime, "sim.on_time", Allow, None);
