// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What runs while processes are murdered: workflows of every kind. Each body leaves its token in the
//! ledger outside the transaction, and in its checkpoint; nodes that are called `book..` leave it in
//! the books as well, inside the transaction.

use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::prelude::*;
use forktex::flow::{CatchUp, Schedule};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Journey {
    pub(crate) key: String,
    #[reduce(append)]
    pub(crate) trail: Vec<String>,
    #[reduce(add)]
    pub(crate) total: i64,
}

pub(crate) fn journey(key: impl Into<String>) -> Journey {
    Journey {
        key: key.into(),
        trail: Vec::new(),
        total: 0,
    }
}

/// A word to a run.
#[derive(Signal, Debug, Clone, Serialize, Deserialize)]
#[signal("chaos.word")]
pub(crate) struct Word {
    pub(crate) amount: i64,
}

impl From<Word> for JourneyUpdate {
    fn from(word: Word) -> Self {
        Journey::update().total(word.amount)
    }
}

/// How long a body works.
const WORK: Duration = Duration::from_millis(10);

/// The attempts of each step: no murder uses them up.
#[step(max_attempts = 40, backoff = ["20ms"])]
pub(crate) async fn note(
    ctx: &Ctx,
    _state: &Journey,
    ledger: Resource<Ledger>,
) -> StepResult<JourneyUpdate> {
    let token = ledger.note(ctx).await?;
    tokio::time::sleep(WORK).await;
    Ok(Journey::update().trail([token]))
}

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn book(ctx: &Ctx, _state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note(ctx).await?;
    ctx.transaction(async |tx| {
        sqlx::query(
            "INSERT INTO public.booked (instance, node, visit, token) VALUES ($1, $2, $3, $4)",
        )
        .bind(ctx.instance_id().to_string())
        .bind(ctx.node().as_str())
        .bind(i32::try_from(ctx.visit()).unwrap_or(i32::MAX))
        .bind(&token)
        .execute(tx.connection())
        .await?;
        tokio::time::sleep(WORK).await;
        Ok(Journey::update().trail([token]).total(1))
    })
    .await
}

/// Its first attempt fails.
#[step(max_attempts = 40, backoff = ["20ms"])]
async fn stumble(
    ctx: &Ctx,
    _state: &Journey,
    ledger: Resource<Ledger>,
) -> StepResult<JourneyUpdate> {
    let token = ledger.note(ctx).await?;
    if ctx.attempt() == 1 {
        return Err(StepError::new(format!("{token} stumbles")));
    }
    Ok(Journey::update().trail([token]))
}

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn nap(ctx: &Ctx, _state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    ctx.sleep(Duration::from_millis(120)).await?;
    Ok(Journey::update().trail([token]))
}

/// Naps an hour.
#[step(max_attempts = 40, backoff = ["20ms"])]
async fn hibernate(
    ctx: &Ctx,
    _state: &Journey,
    ledger: Resource<Ledger>,
) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    ctx.sleep(Duration::from_hours(1)).await?;
    Ok(Journey::update().trail([token]))
}

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn remember(
    ctx: &Ctx,
    _state: &Journey,
    ledger: Resource<Ledger>,
) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    let sum: i64 = ctx
        .once("sum", async { Ok::<_, StepError>(40 + 2) })
        .await?;
    ctx.emit(&sum).await?;
    Ok(Journey::update().trail([token]))
}

/// Takes a word in the midst of a body.
#[step(max_attempts = 40, backoff = ["20ms"])]
async fn listen(
    ctx: &Ctx,
    _state: &Journey,
    ledger: Resource<Ledger>,
) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    let word = ctx.signal::<Word>().await?;
    Ok(Journey::update().trail([token]).total(word.amount))
}

/// How many children a run of [`Fan`] has.
pub(crate) const CHILDREN: usize = 5;

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn branch(ctx: &Ctx, state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    let states: Vec<Journey> = (1..CHILDREN)
        .map(|number| journey(format!("{} {number}", state.key)))
        .collect();
    let mapped = ctx.map(Leaf, states).concurrency(2).await?;
    let single = ctx.spawn(Leaf, journey(format!("{} 0", state.key))).await?;
    let single = ctx.wait(single).await?;
    let total = mapped.iter().map(|leaf| leaf.total).sum::<i64>() + single.total;
    Ok(Journey::update().trail([token]).total(total))
}

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn undo(ctx: &Ctx, _state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    Ok(Journey::update().trail([token]).total(-1))
}

#[step(max_attempts = 1)]
async fn break_down(_ctx: &Ctx, _state: &Journey) -> StepResult<JourneyUpdate> {
    Err(StepError::fatal("it breaks down, as it should"))
}

/// A pipeline with all that one may have.
#[pipeline(
    name = "chaos.line", version = 1, state = Journey,
    steps = [
        step(note, name = "pack"),
        step(book, name = "book_room"),
        parallel(
            step(note, name = "left"),
            step(book, name = "book_right", when = |journey| journey.total > 0),
            step(book, name = "book_never", when = |journey| journey.total > 9),
            step(stumble, name = "shaky"),
        ),
        step(nap),
        step(remember),
        step(book, name = "book_last"),
    ],
)]
pub(crate) struct Line;

/// The version that a rolling upgrade brings: only a process that is told to has it.
pub(crate) struct LineTwo;

impl Workflow for LineTwo {
    type State = Journey;
    const NAME: &'static str = "chaos.line";
    const VERSION: u32 = 2;

    fn declare() -> Declaration {
        Pipeline::<Journey>::new(Self::NAME, Self::VERSION)
            .step(Node::of::<note>().named("pack"))
            .step(Node::of::<book>().named("book_flat"))
            .step(Node::of::<stumble>().named("shaky"))
            .step(Node::of::<book>().named("book_last"))
            .build()
    }
}

#[derive(Route)]
enum Again {
    Yes,
    No,
}

fn again(journey: &Journey) -> Again {
    if journey.total < 3 {
        Again::Yes
    } else {
        Again::No
    }
}

/// Comes to its nodes three times.
#[graph(
    name = "chaos.round", version = 1, state = Journey,
    nodes = { book_lap: book, judge: note },
    topology = [
        edge(START, book_lap),
        edge(book_lap, judge),
        conditional(judge, again, { Again::Yes => book_lap, Again::No => END }),
    ],
)]
pub(crate) struct Round;

/// Takes a word between its nodes, a second one within a node, and then waits for a time.
#[graph(
    name = "chaos.post", version = 1, state = Journey,
    nodes = { open: note, heard: listen, late: note, book_end: book },
    entry = open, terminal = [late, book_end],
    topology = [
        wait_edge(open, heard, on = Word),
        wait_edge(open, late, after = "1h"),
        wait_edge(heard, book_end, after = "100ms"),
    ],
)]
pub(crate) struct Post;

#[pipeline(name = "chaos.leaf", version = 1, state = Journey, steps = [step(book, name = "book_leaf")])]
pub(crate) struct Leaf;

#[pipeline(
    name = "chaos.fan", version = 1, state = Journey,
    steps = [step(branch), step(book, name = "book_fan")],
)]
pub(crate) struct Fan;

/// It fails, and what it did is undone.
#[pipeline(
    name = "chaos.saga", version = 1, state = Journey,
    steps = [
        step(note, name = "hotel", compensate = undo),
        step(book, name = "book_flight", compensate = undo),
        step(break_down),
    ],
)]
pub(crate) struct Saga;

/// It sleeps until it is cancelled.
#[pipeline(name = "chaos.bear", version = 1, state = Journey, steps = [hibernate])]
pub(crate) struct Bear;

/// It is started by the clock alone, once a minute.
pub(crate) struct Tick;

impl Workflow for Tick {
    type State = Journey;
    const NAME: &'static str = "chaos.tick";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let pipeline = Pipeline::<Journey>::new(Self::NAME, Self::VERSION)
            .step(Node::of::<book>().named("book_tick"));
        match Schedule::new("* * * * *") {
            Ok(schedule) => pipeline
                .schedule_with(schedule.catch_up(CatchUp::All), || journey("tick"))
                .build(),
            Err(_) => pipeline.build(),
        }
    }
}
