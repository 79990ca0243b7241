// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What callers do to runs: pause, retry (c69), fork, follow (c51).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::prelude::*;
use forktex::flow::{Event, EventKind, ForkError, PauseError, WaitingOn};
use futures_util::StreamExt;

use crate::mail::{Closed, Listening, told};
use crate::signal::until_waiting;
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Pair, Solo, Tale, Trio, line, tale};
use crate::world::{Gate, LIMIT, World, ended, nodes, until};

async fn a_paused_run_finishes_its_step_and_starts_no_other_until_it_is_resumed(
    world: &impl Stage,
) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("paused")).await.unwrap();
    gate.until_arrived(1).await;
    run.pause().await.unwrap();
    gate.open();
    until("it is put down", async || {
        let instance = run.refresh().await.unwrap();
        instance.waiting_on == Some(WaitingOn::Pause) && instance.nodes.len() == 1
    })
    .await;
    // Others pass it by.
    let other = flow.start(Pair, tale("other")).await.unwrap();
    ended(&other).await;
    assert_eq!(nodes(&world.noted(run.id()).await), ["first"]);
    run.pause().await.unwrap();
    run.resume().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["first", "second"]);
    let late = run.pause().await;
    assert!(
        matches!(late, Err(PauseError::AlreadyTerminal { .. })),
        "{late:?}"
    );
    let nobody = flow.handle(InstanceId::generate()).resume().await;
    assert!(matches!(nobody, Err(PauseError::NotFound { .. })));
    flow.close().await.unwrap();
}

async fn a_paused_run_that_waits_keeps_its_signals_and_can_be_cancelled(world: &impl Stage) {
    let builder = world
        .builder("worker", Cast::default())
        .register::<Listening>();
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let resumed = flow.start(Listening, tale("resumed")).await.unwrap();
    let cancelled = flow.start(Listening, tale("cancelled")).await.unwrap();
    until_waiting(&resumed).await;
    until_waiting(&cancelled).await;
    for run in [&resumed, &cancelled] {
        run.pause().await.unwrap();
        run.send(told("while paused", 3)).await.unwrap();
    }
    until("the signals were delivered", async || {
        let delivered = "SELECT count(*) FROM forktex_flow.inbox WHERE is_delivered";
        world.rows(delivered).await.is_none_or(|rows| rows == 2)
    })
    .await;
    assert_eq!(resumed.refresh().await.unwrap().state.lines, ["listen"]);
    cancelled.cancel("no more").await.unwrap();
    assert_eq!(ended(&cancelled).await.status, InstanceStatus::Cancelled);
    resumed.resume().await.unwrap();
    assert_eq!(ended(&resumed).await.state.lines[1], "while paused");
    flow.close().await.unwrap();
}

/// A checkpoint that is being committed holds the run's lock; what it wrote comes before the end.
#[tokio::test]
async fn a_cancellation_that_waits_for_a_checkpoint_comes_after_it() {
    let world = World::create().await;
    let builder = world
        .builder("worker", Cast::default())
        .register::<Listening>();
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("cancelled")).await.unwrap();
    until_waiting(&run).await;
    let mut checkpoint = world.pool.begin().await.unwrap();
    for sql in [
        "UPDATE forktex_flow.active SET epoch = epoch + 1 WHERE instance_id = $1::uuid",
        "INSERT INTO forktex_flow.journal (instance_id, sequence, elapsed_us, superstep, visit, attempt,
             kind, member, stage, node, payload)
         SELECT instance_id, sequence + 1, 0, superstep, visit, 0, 11, member, stage, node,
                '{\"call\": {\"key\": \"emit\", \"answer\": {\"emitted\": 7}}}'
         FROM forktex_flow.journal WHERE instance_id = $1::uuid ORDER BY sequence DESC LIMIT 1",
    ] {
        let written = sqlx::query(sql).bind(run.id().to_string());
        written.execute(&mut *checkpoint).await.unwrap();
    }
    let cancelling = tokio::spawn({
        let run = run.clone();
        async move { run.cancel("enough").await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the cancellation waits", async || {
        world.number(waiting).await > 0
    })
    .await;
    checkpoint.commit().await.unwrap();
    cancelling.await.unwrap().unwrap();
    let history = run.history().await.unwrap();
    let names: Vec<&str> = history.iter().map(Event::name).collect();
    assert_eq!(names, ["node_completed", "emitted", "run_cancelled"]);
    flow.close().await.unwrap();
}

async fn c69_a_retry_is_a_new_run_that_repeats_no_finished_step(world: &impl Stage) {
    let heals = Arc::new(AtomicBool::new(false));
    let healed = Arc::clone(&heals);
    let cast = Cast::default().on("middle", move |ctx, _| {
        let healed = Arc::clone(&healed);
        async move {
            let block = async { Ok::<_, StepError>(ctx.instance_id().to_string()) };
            let answered_by = ctx.once("block", block).await?;
            if !healed.load(Ordering::SeqCst) {
                return Err(StepError::new("not yet"));
            }
            Ok(Tale::update().lines([answered_by]))
        }
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow
        .start(Trio, tale("c69"))
        .metadata(json!({"org": 7}))
        .await
        .unwrap();
    let failed = ended(&run).await;
    assert_eq!(failed.status, InstanceStatus::Failed);
    assert_eq!(failed.node("middle").unwrap().attempt, 3);

    heals.store(true, Ordering::SeqCst);
    let again = run.retry().await.unwrap();
    let done = ended(&again).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.retry_of, Some(run.id()));
    assert_eq!(done.triggered_by, "retry");
    assert_eq!(done.metadata, failed.metadata);
    assert_eq!(nodes(&world.noted(again.id()).await), ["middle"]);
    assert_eq!(done.node("middle").unwrap().attempt, 1);
    // The block had its answer from the first run.
    assert_eq!(
        done.state.lines,
        ["left".to_owned(), run.id().to_string(), "right".to_owned()]
    );

    let before = run.refresh().await.unwrap();
    assert_eq!(before, failed, "the failed run never changes");
    let completed = again.retry().await;
    assert!(
        matches!(completed, Err(ForkError::NotFailed { .. })),
        "{completed:?}"
    );
    flow.close().await.unwrap();
}

async fn a_fork_comes_to_a_visit_of_a_node_again_with_the_state_of_then(world: &impl Stage) {
    let builder = world
        .builder("worker", Cast::default())
        .register::<Listening>();
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("fork")).await.unwrap();
    for (line, amount) in [("one", 1), ("two", 2)] {
        run.send(told(line, amount)).await.unwrap();
    }
    ended(&run).await;

    let other = run.fork("judge").visit(1).await.unwrap();
    until_waiting(&other).await;
    let waiting = other.refresh().await.unwrap();
    assert_eq!(waiting.state.lines, ["listen", "one", "judge", "listen"]);
    assert_eq!(waiting.current_nodes[0].as_str(), "listen");
    assert_eq!(nodes(&world.noted(other.id()).await), ["judge", "listen"]);
    other.send(Closed {}).await.unwrap();
    let done = ended(&other).await;
    assert_eq!((done.state.total, done.retry_of), (1, Some(run.id())));

    let nowhere = run.fork("judge").visit(9).await;
    assert!(
        matches!(nowhere, Err(ForkError::NotVisited { .. })),
        "{nowhere:?}"
    );
    let from_the_start = run.fork("listen").visit(1).await.unwrap();
    until_waiting(&from_the_start).await;
    assert_eq!(
        from_the_start.refresh().await.unwrap().state.lines,
        ["listen"]
    );
    flow.close().await.unwrap();
}

fn emitted(events: &[Event]) -> Vec<&serde_json::Value> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Emitted { value, .. } => Some(value),
            _ => None,
        })
        .collect()
}

async fn c51_a_stream_has_no_gap_ends_with_the_end_and_resumes_from_a_number(world: &impl Stage) {
    let cast = Cast::default().on("first", |ctx, _| async move {
        for number in 0..20 {
            ctx.emit(&json!({ "token": number })).await?;
        }
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    let reader = world.flow(Cast::default()).await;
    let run = flow.start(Pair, tale("c51")).await.unwrap();
    let streams = [run.stream(), reader.handle(run.id()).stream()];
    let reading =
        streams.map(|stream| tokio::spawn(tokio::time::timeout(LIMIT, stream.collect::<Vec<_>>())));
    flow.start_driver().await.unwrap();
    ended(&run).await;
    let history = run.history().await.unwrap();
    assert_eq!(history.len(), 23);
    for read in reading {
        let events: Vec<Event> = read
            .await
            .unwrap()
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(events, history);
    }
    let sequences: Vec<i64> = history.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=23).collect::<Vec<_>>());
    assert_eq!(emitted(&history).len(), 20);
    assert_eq!(history[22].status(), Some(InstanceStatus::Completed));

    let rest: Vec<Event> = run.stream_after(20).map(Result::unwrap).collect().await;
    assert_eq!(rest, history[20..]);
    assert_eq!(run.stream_after(23).count().await, 0);
    let nobody = flow.handle(InstanceId::generate());
    assert!(nobody.stream().next().await.unwrap().is_err());
    assert!(nobody.history().await.is_err());
    flow.close().await.unwrap();
}

async fn c51_a_stream_of_a_cancelled_run_ends_with_that(world: &impl Stage) {
    let builder = world
        .builder("worker", Cast::default())
        .register::<Listening>();
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("c51")).await.unwrap();
    let mut stream = run.stream();
    until_waiting(&run).await;
    run.cancel("enough").await.unwrap();
    let mut last = None;
    while let Ok(Some(event)) = tokio::time::timeout(LIMIT, stream.next()).await {
        last = Some(event.unwrap());
    }
    let reason = "enough".to_owned();
    assert_eq!(last.unwrap().kind, EventKind::RunCancelled { reason });
    flow.close().await.unwrap();
}

async fn c51_a_wait_that_times_out_gives_the_run_as_it_is(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let run = flow.start(Solo, tale("c51")).await.unwrap();
    let waited = run.wait().timeout(Duration::from_millis(50)).await;
    let Err(forktex::flow::WaitError::Timeout { snapshot, .. }) = waited else {
        panic!("{waited:?}");
    };
    assert_eq!(snapshot.status, InstanceStatus::Pending);
    assert_eq!(snapshot.waiting_on, Some(WaitingOn::CompatibleWorker));
    flow.close().await.unwrap();
}

on_both_stores! {
    a_paused_run_finishes_its_step_and_starts_no_other_until_it_is_resumed,
    a_paused_run_that_waits_keeps_its_signals_and_can_be_cancelled,
    c69_a_retry_is_a_new_run_that_repeats_no_finished_step,
    a_fork_comes_to_a_visit_of_a_node_again_with_the_state_of_then,
    c51_a_stream_has_no_gap_ends_with_the_end_and_resumes_from_a_number,
    c51_a_stream_of_a_cancelled_run_ends_with_that,
    c51_a_wait_that_times_out_gives_the_run_as_it_is,
}
