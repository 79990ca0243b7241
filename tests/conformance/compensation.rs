// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What was done is undone when a run fails (c68); deadlines and heartbeats.

use std::time::Duration;

use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::error::failure::{RunFailure, StepFailureKind};
use forktex::flow::prelude::*;

use crate::child::{self, Conduct};
use crate::stage::{Builder, Stage, on_both_stores};
use crate::tale::{Cast, Ledger, Solo, Tale, TaleUpdate, act, line, tale};
use crate::world::{Gate, World, ended, nodes, until};

/// Undoes a node, and writes that into the ledger as the node with an exclamation mark.
#[step(max_attempts = 2, backoff = ["10ms"])]
pub(crate) async fn undo(
    ctx: &Ctx,
    _state: &Tale,
    ledger: Resource<Ledger>,
) -> StepResult<TaleUpdate> {
    let name = format!("undo {}", ctx.node());
    ledger.note_as(ctx, &name).await?;
    assert!(ctx.idempotency_key().ends_with("/undo"));
    if ctx.node().as_str() == "stubborn" {
        return Err(StepError::new("it stays as it is"));
    }
    if ctx.node().as_str() == child::HANGING_UNDO && ledger.worker == "child" {
        std::future::pending::<()>().await;
    }
    Ok(Tale::update().lines([name]).total(-1))
}

/// Four nodes that can be undone, one that cannot, and a last one.
#[pipeline(
    name = "compensation.saga", version = 1, state = Tale,
    steps = [
        step(act, name = "a", compensate = undo),
        step(act, name = "plain"),
        parallel(
            step(act, name = "b", compensate = undo),
            step(act, name = "stubborn", compensate = undo),
        ),
        step(act, name = "c", compensate = undo),
        step(act, name = "final", max_attempts = 1),
    ],
)]
pub(crate) struct Saga;

fn failing() -> Cast {
    Cast::default().on("final", |_, _| async {
        Err(StepError::fatal("the last one fails"))
    })
}

fn builder(world: &impl Stage, worker: &str, cast: Cast) -> Builder {
    world.builder(worker, cast).register::<Saga>()
}

async fn c68_what_was_done_is_undone_in_reverse_and_an_undo_that_fails_is_recorded(
    world: &impl Stage,
) {
    let flow = builder(world, "worker", failing()).build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Saga, tale("c68")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let failure = done.failure.clone().unwrap().to_string();
    assert!(failure.contains("the last one fails"), "{failure}");
    let noted = world.noted(run.id()).await;
    let undone: Vec<&str> = nodes(&noted)
        .into_iter()
        .filter(|node| node.starts_with("undo"))
        .collect();
    assert_eq!(undone[0], "undo c");
    assert_eq!(undone[4], "undo a");
    // Both tries of the stubborn one, in either order with its neighbour's.
    assert_eq!(
        undone
            .iter()
            .filter(|node| **node == "undo stubborn")
            .count(),
        2
    );
    assert!(undone[1..4].contains(&"undo b"));
    let compensation = |node: &str| done.node(node).unwrap().compensation.clone();
    assert_eq!(compensation("a").unwrap().status, NodeStatus::Completed);
    let stubborn = compensation("stubborn").unwrap();
    assert_eq!((stubborn.status, stubborn.attempt), (NodeStatus::Failed, 2));
    assert!(
        stubborn
            .error
            .unwrap()
            .message
            .contains("it stays as it is")
    );
    assert!(compensation("plain").is_none());
    assert_eq!(done.state.total, -3);
    assert_eq!(done.state.lines.last().unwrap(), "undo a");
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c68_a_kill_between_two_undo_steps_repeats_none_that_ended() {
    let world = World::create().await;
    let worker = child::spawn(&world, Conduct::HangAt("undo"));
    let flow = builder(&world, "worker", failing()).build().await;
    let run = flow.start(Saga, tale("c68")).await.unwrap();
    world.until_noted(run.id(), "undo a", "child").await;
    let undoing = run.refresh().await.unwrap();
    assert_eq!(undoing.status, InstanceStatus::Running);
    assert_eq!(undoing.current_nodes[0].as_str(), "a");
    child::kill(worker).await;
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let noted = world.noted(run.id()).await;
    let count = |node: &str| nodes(&noted).iter().filter(|known| **known == node).count();
    assert_eq!(
        (count("undo c"), count("undo b"), count("undo a")),
        (1, 1, 2)
    );
    flow.close().await.unwrap();
}

async fn a_cancel_that_compensates_undoes_what_was_done_wherever_the_run_is(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default()
        .on("c", |ctx, tale| async move {
            if tale.title == "waiting" {
                ctx.signal_named("never").await?;
            }
            line(&ctx)
        })
        .on("final", move |ctx, _| {
            let gate = held.clone();
            async move {
                gate.pass().await;
                line(&ctx)
            }
        });
    let flow = builder(world, "worker", cast).build().await;
    flow.start_driver().await.unwrap();
    let waiting = flow.start(Saga, tale("waiting")).await.unwrap();
    until("it waits", async || {
        let on = waiting.refresh().await.unwrap().waiting_on;
        matches!(on, Some(forktex::flow::WaitingOn::Signal { .. }))
    })
    .await;
    waiting.cancel("not wanted").compensate().await.unwrap();
    let cancelled = ended(&waiting).await;
    assert_eq!(cancelled.status, InstanceStatus::Cancelled);
    assert_eq!(cancelled.cancel_reason.as_deref(), Some("not wanted"));
    assert_eq!(cancelled.state.lines.last().unwrap(), "undo a");

    // In the midst of its last node, whose output is kept and is not the end.
    let running = flow.start(Saga, tale("running")).await.unwrap();
    gate.until_arrived(1).await;
    running.cancel("too late").compensate().await.unwrap();
    gate.open();
    let cancelled = ended(&running).await;
    assert_eq!(cancelled.status, InstanceStatus::Cancelled);
    assert!(cancelled.state.lines.contains(&"final".to_owned()));
    assert_eq!(cancelled.state.lines.last().unwrap(), "undo a");
    let again = running.cancel("again").compensate().await;
    assert!(again.is_err());

    let pending = {
        flow.stop_driver().await.unwrap();
        flow.start(Saga, tale("pending")).await.unwrap()
    };
    pending
        .cancel("nothing was done")
        .compensate()
        .await
        .unwrap();
    flow.start_driver().await.unwrap();
    let cancelled = ended(&pending).await;
    assert_eq!(cancelled.status, InstanceStatus::Cancelled);
    assert!(cancelled.nodes.is_empty());
    flow.close().await.unwrap();
}

async fn a_retry_does_again_what_was_undone(world: &impl Stage) {
    let flow = builder(world, "worker", failing()).build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Saga, tale("retry")).await.unwrap();
    ended(&run).await;
    let again = run.retry().await.unwrap();
    let done = ended(&again).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let noted = world.noted(again.id()).await;
    assert_eq!(nodes(&noted)[..2], ["a", "plain"]);
    flow.close().await.unwrap();
}

async fn a_run_that_outlives_its_deadline_fails_wherever_it_is(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, tale| async move {
        match tale.title.as_str() {
            "asleep" => ctx.sleep(Duration::from_hours(1)).await?,
            "deaf" => ctx.signal_named("never").await.map(drop)?,
            _ => std::future::pending().await,
        }
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    for title in ["asleep", "deaf", "busy"] {
        let start = flow.start(Solo, tale(title));
        let run = start.deadline(Duration::from_millis(300)).await.unwrap();
        let done = ended(&run).await;
        assert_eq!(done.failure, Some(RunFailure::DeadlineExceeded), "{title}");
        let lived = done.finished_at.unwrap() - done.created_at;
        assert!(lived >= Duration::from_millis(300), "{title}: {lived}");
        assert!(lived < Duration::from_secs(10), "{title}: {lived}");
    }
    let refused = flow
        .start(Solo, tale("zero"))
        .deadline(Duration::ZERO)
        .await;
    assert!(matches!(
        refused,
        Err(forktex::flow::StartError::Deadline { .. })
    ));
    flow.close().await.unwrap();
}

/// A step that must give a sign of life.
struct Alive;

impl Workflow for Alive {
    type State = Tale;
    const NAME: &'static str = "compensation.alive";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let only = Node::of::<act>()
            .named("only")
            .heartbeat(Duration::from_millis(200))
            .max_attempts(1);
        Pipeline::new(Self::NAME, Self::VERSION).step(only).build()
    }
}

async fn a_step_without_a_heartbeat_is_given_up_and_one_with_it_may_take_long(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, tale| async move {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if tale.title == "lively" {
                ctx.heartbeat();
            }
        }
        line(&ctx)
    });
    let builder = world.builder("worker", cast).register::<Alive>();
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let lively = flow.start(Alive, tale("lively")).await.unwrap();
    let silent = flow.start(Alive, tale("silent")).await.unwrap();
    assert_eq!(ended(&lively).await.status, InstanceStatus::Completed);
    let silent = ended(&silent).await;
    let error = silent.node("only").unwrap().error.clone().unwrap();
    assert_eq!(error.kind, StepFailureKind::Timeout);
    assert!(error.message.contains("no heartbeat for 200ms"), "{error}");
    flow.close().await.unwrap();
}

on_both_stores! {
    c68_what_was_done_is_undone_in_reverse_and_an_undo_that_fails_is_recorded,
    a_cancel_that_compensates_undoes_what_was_done_wherever_the_run_is,
    a_retry_does_again_what_was_undone,
    a_run_that_outlives_its_deadline_fails_wherever_it_is,
    a_step_without_a_heartbeat_is_given_up_and_one_with_it_may_take_long,
}
