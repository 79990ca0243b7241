// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signals are a mailbox: c27, c29 to c31, c33 to c35a, c67.

use std::time::Duration;

use forktex::flow::prelude::*;
use forktex::flow::{Sent, SignalError, WaitingOn};

use crate::child::{self, Conduct};
use crate::mail::{Closed, Hour, Listening, Onboarding, told};
use crate::stage::{Builder, Stage, on_both_stores};
use crate::tale::{Cast, Solo, Tale, line, tale};
use crate::world::{RUN_COMPLETED, SIGNAL_REFUSED, SIGNALLED, World, ended, nodes, until};

async fn flow(world: &impl Stage, slots: u32) -> Flow {
    builder(world).slots(slots).build().await
}

fn builder(world: &impl Stage) -> Builder {
    world
        .builder("worker", Cast::default())
        .register::<Onboarding>()
        .register::<Listening>()
        .register::<Hour>()
}

pub(crate) async fn until_waiting(run: &Run<Tale>) -> WaitingOn {
    let mut waiting_on = None;
    until("the run waits", async || {
        let instance = run.refresh().await.unwrap();
        waiting_on = instance.waiting_on.filter(|on| *on != WaitingOn::Worker);
        waiting_on.is_some()
    })
    .await;
    waiting_on.unwrap()
}

async fn c27_a_graph_starts_at_its_entry_and_a_signal_leads_it_to_its_terminal(world: &impl Stage) {
    let flow = flow(world, 10).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("c27")).await.unwrap();
    let waiting_on = until_waiting(&run).await;
    let names = vec!["tale.told".to_owned(), "tale.closed".to_owned()];
    assert_eq!(
        waiting_on,
        WaitingOn::Signal {
            names,
            due_at: None
        }
    );
    let instance = run.refresh().await.unwrap();
    assert_eq!(instance.current_nodes[0].as_str(), "listen");
    assert_eq!(run.send(Closed {}).await.unwrap(), Sent::Accepted);
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.subject.as_deref(), Some("closed"));
    assert_eq!(nodes(&world.noted(run.id()).await), ["listen", "close"]);
    let branch = done.node("listen").unwrap().branch.as_deref();
    assert_eq!(branch, Some("on tale.closed"));
    flow.close().await.unwrap();
}

async fn c29_c30_c31_early_signals_are_taken_on_arrival_the_oldest_first_one_each(
    world: &impl Stage,
) {
    let flow = flow(world, 10).await;
    let run = flow.start(Listening, tale("c29")).await.unwrap();
    for (line, amount) in [("one", 1), ("two", 1), ("three", 1), ("four", 1)] {
        run.send(told(line, amount)).await.unwrap();
    }
    run.send_named("another.signal", json!({})).await.unwrap();
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    // c31: the router behind `judge` saw what each signal added.
    assert_eq!(done.state.total, 3);
    let lines = [
        "listen", "one", "judge", "listen", "two", "judge", "listen", "three", "judge", "close",
    ];
    assert_eq!(done.state.lines, lines);
    assert_eq!(world.count(run.id(), SIGNALLED).await, 3);
    let left = "SELECT count(*) FROM forktex_flow.inbox WHERE NOT is_taken";
    if let Some(left) = world.rows(left).await {
        assert_eq!(left, 2, "what nobody took is kept");
    }
    flow.close().await.unwrap();
}

async fn of_a_signal_and_a_time_the_first_decides(world: &impl Stage) {
    let flow = flow(world, 10).await;
    flow.start_driver().await.unwrap();
    let signalled = flow.start(Onboarding, tale("signalled")).await.unwrap();
    let expired = flow.start(Onboarding, tale("expired")).await.unwrap();
    until_waiting(&signalled).await;
    signalled.send(told("in time", 1)).await.unwrap();
    let signalled = ended(&signalled).await;
    assert_eq!(signalled.state.lines, ["open", "in time", "verified"]);
    let expired = ended(&expired).await;
    assert_eq!(expired.state.lines, ["open", "expired"]);
    let waited =
        expired.node("expired").unwrap().recorded_at - expired.node("open").unwrap().recorded_at;
    assert!(waited >= Duration::from_millis(500), "{waited}");
    flow.close().await.unwrap();
}

async fn a_signal_that_does_not_fit_is_recorded_and_the_run_waits_on(world: &impl Stage) {
    let flow = flow(world, 10).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("unfit")).await.unwrap();
    run.send_named("tale.told", json!({"line": 7}))
        .await
        .unwrap();
    run.send(told("fits", 3)).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["listen", "fits", "judge", "close"]);
    assert_eq!(world.count(run.id(), SIGNAL_REFUSED).await, 1);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c33_kills_while_signals_are_taken_neither_lose_nor_double_one() {
    let world = World::create().await;
    let flow = flow(&world, 10).await;
    let run = flow.start(Listening, tale("c33")).await.unwrap();
    // Amounts of nothing keep it listening, so that it takes every line.
    let signals = 40_usize;
    for round in 0..4_usize {
        let worker = child::spawn(&world, Conduct::HangAt("nowhere"));
        for number in round * 10..round * 10 + 10 {
            run.send(told(&format!("line {number}"), 0)).await.unwrap();
        }
        // Killed in the midst of taking them, wherever it is then.
        let least = round * 10 + 3;
        until("some were taken", async || {
            world.count(run.id(), SIGNALLED).await >= least
        })
        .await;
        child::kill(worker).await;
    }
    flow.start_driver().await.unwrap();
    run.send(Closed {}).await.unwrap();
    let done = ended(&run).await;
    let taken: Vec<&String> = done
        .state
        .lines
        .iter()
        .filter(|line| line.starts_with("line "))
        .collect();
    let sent: Vec<String> = (0..signals)
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(taken, sent.iter().collect::<Vec<_>>());
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c34_ten_thousand_waiting_runs_hold_no_slot_task_or_connection_and_survive_a_restart() {
    let world = World::create().await;
    let flow = flow(&world, 200).await;
    flow.start_driver().await.unwrap();
    let handle = tokio::runtime::Handle::current();
    let before = handle.metrics().num_alive_tasks();
    let connections = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'";
    let mut starting = tokio::task::JoinSet::new();
    let count = 10_000;
    for lane in 0..50 {
        let flow = flow.clone();
        starting.spawn(async move {
            let mut last = None;
            for number in 0..count / 50 {
                let title = format!("c34 {lane} {number}");
                last = Some(flow.start(Listening, tale(&title)).await.unwrap());
            }
            last.unwrap()
        });
    }
    let some = starting.join_all().await;
    let waiting = "SELECT count(*) FROM forktex_flow.active
        WHERE waits_on = 'signal' AND worker_id IS NULL AND ready_at IS NULL";
    until("all wait", async || world.number(waiting).await == count).await;
    until("their tasks have ended", async || {
        handle.metrics().num_alive_tasks() <= before + 5
    })
    .await;
    // The pools of the flow and of this test, the heartbeat, the leader and the listener.
    assert!(world.number(connections).await <= 30);

    flow.close().await.unwrap();
    let flow = builder(&world).slots(4).build().await;
    flow.start_driver().await.unwrap();
    assert_eq!(world.number(waiting).await, count);
    for run in &some {
        let run = flow.handle(run.id());
        run.send(Closed {}).await.unwrap();
        let done = ended(&run).await;
        assert_eq!(done.status, InstanceStatus::Completed);
    }
    assert_eq!(world.number(waiting).await, count - 50);
    flow.close().await.unwrap();
}

async fn c35a_a_key_makes_one_signal_of_many_and_a_finished_run_refuses(world: &impl Stage) {
    let flow = flow(world, 10).await;
    let run = flow.start(Listening, tale("c35a")).await.unwrap();
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let run = run.clone();
        sending.spawn(async move { run.send(told("once", 3)).idempotency_key("m-1").await });
    }
    let sent: Vec<Sent> = sending
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let accepted = sent.iter().filter(|sent| **sent == Sent::Accepted);
    assert_eq!(accepted.count(), 1);
    let other = run.send(told("other", 3)).idempotency_key("m-1").await;
    assert!(
        matches!(&other, Err(SignalError::Conflict { key, .. }) if key == "m-1"),
        "{other:?}"
    );
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["listen", "once", "judge", "close"]);

    // The same again is still the same; anything else comes too late.
    let again = run.send(told("once", 3)).idempotency_key("m-1").await;
    assert_eq!(again.unwrap(), Sent::Duplicate);
    let late = run.send(Closed {}).await;
    assert!(
        matches!(
            late,
            Err(SignalError::AlreadyTerminal {
                status: InstanceStatus::Completed,
                ..
            })
        ),
        "{late:?}"
    );
    flow.close().await.unwrap();
}

async fn what_cannot_be_sent_is_refused_by_its_name_and_leaves_nothing(world: &impl Stage) {
    let flow = flow(world, 10).await;
    let run = flow.start(Listening, tale("refused")).await.unwrap();
    let name = run.send_named("no name!", json!({})).await;
    assert!(matches!(name, Err(SignalError::Name(_))), "{name:?}");
    let large = "x".repeat(300 * 1024);
    let large = run.send(told(&large, 1)).await;
    assert!(
        matches!(large, Err(SignalError::Payload { .. })),
        "{large:?}"
    );
    let nul = run.send(told("a\0b", 1)).await.unwrap_err();
    assert!(nul.to_string().contains("/line"), "{nul}");
    let key = run.send(Closed {}).idempotency_key("").await;
    assert!(matches!(key, Err(SignalError::IdempotencyKey { .. })));
    let nobody = flow.handle(InstanceId::generate());
    let nobody = nobody.send_named("tale.told", json!({})).await;
    assert!(matches!(nobody, Err(SignalError::NotFound { .. })));
    let messages = "SELECT count(*) FROM forktex_flow.inbox";
    if let Some(messages) = world.rows(messages).await {
        assert_eq!(messages, 0);
    }
    flow.close().await.unwrap();
}

async fn a_step_waits_for_a_signal_and_gives_up_when_its_time_is_over(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, _| async move {
        let first: Option<Closed> = ctx.signal().timeout(Duration::from_millis(200)).await?;
        assert!(first.is_none());
        let told: crate::mail::Told = ctx.signal().await?;
        Ok(Tale::update().lines([told.line]))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("step")).await.unwrap();
    until_waiting(&run).await;
    world.pass(1).await;
    until("the first wait is over", async || {
        let on = run.refresh().await.unwrap().waiting_on;
        matches!(on, Some(WaitingOn::Signal { due_at: None, .. }))
    })
    .await;
    run.send(told("heard", 1)).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["heard"]);
    assert_eq!(done.node("only").unwrap().attempt, 1);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c67_a_signal_whose_transaction_commits_while_the_run_goes_to_rest_wakes_it() {
    let world = World::create().await;
    let cast = Cast::default().on("listen", |ctx, tale| async move {
        // Bodies of another length each, so that commits meet the parking at every point.
        let number: u64 = tale.title.parse().unwrap_or_default();
        tokio::time::sleep(Duration::from_micros(number * 37 % 4_000)).await;
        line(&ctx)
    });
    let flow = world
        .builder("worker", cast)
        .register::<Listening>()
        .slots(50)
        // Nothing but the tables tells: a lost wake would last.
        .without_notifications()
        .build()
        .await
        .unwrap();
    flow.start_driver().await.unwrap();
    let pool = flow_db(&world).await;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0_u64..20 {
        let (flow, db) = (flow.clone(), pool.clone());
        lanes.spawn(async move {
            for number in 0_u64..50 {
                let title = (lane * 50 + number).to_string();
                let run = flow.start(Listening, tale(&title)).await.unwrap();
                db.transaction(async |tx| -> Result<(), FlowError> {
                    run.send(Closed {}).in_transaction(tx).await?;
                    let pause = Duration::from_micros((lane * 50 + number) * 53 % 4_000);
                    tokio::time::sleep(pause).await;
                    Ok(())
                })
                .await
                .unwrap();
                let done = ended(&run).await;
                assert_eq!(done.status, InstanceStatus::Completed);
            }
        });
    }
    lanes.join_all().await;
    let ended = world
        .number("SELECT count(*) FROM forktex_flow.journal WHERE kind = 5")
        .await;
    assert_eq!(ended, 1_000);
    assert_eq!(RUN_COMPLETED, 5);
    flow.close().await.unwrap();
}

pub(crate) async fn flow_db(world: &World) -> forktex::db::Db {
    let options = forktex::db::DbOptions::new();
    forktex::db::Db::connect(world.database.url(), options)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_signal_in_a_transaction_that_rolls_back_was_never_sent() {
    let world = World::create().await;
    let flow = flow(&world, 10).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("rolled back")).await.unwrap();
    let db = flow_db(&world).await;
    let rolled_back = db
        .transaction(async |tx| -> Result<(), forktex::db::DbError> {
            let sent = run.send(told("never", 3)).in_transaction(tx).await;
            assert_eq!(sent.unwrap(), Sent::Accepted);
            Err(forktex::db::DbError::NotFound)
        })
        .await;
    assert!(rolled_back.is_err());
    run.send(told("sent", 3)).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["listen", "sent", "judge", "close"]);
    flow.close().await.unwrap();
}

/// The second attempt is under way while it waits; that it was due once does not wake it.
#[tokio::test]
async fn a_later_attempt_that_waits_for_a_signal_is_woken_by_nothing_else() {
    let world = World::create().await;
    let cast = Cast::default().on("only", |ctx, _| async move {
        if ctx.attempt() == 1 {
            return Err(StepError::new("the first attempt fails"));
        }
        let told: crate::mail::Told = ctx.signal().await?;
        Ok(Tale::update().lines([told.line]))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("retried")).await.unwrap();
    let mut wakes_at = None;
    until("it waits for a signal", async || {
        let instance = run.refresh().await.unwrap();
        let Some(WaitingOn::Signal { due_at, .. }) = instance.waiting_on else {
            return false;
        };
        wakes_at = due_at;
        true
    })
    .await;
    assert_eq!(wakes_at, None);
    run.send(told("told", 1)).await.unwrap();
    assert_eq!(ended(&run).await.state.lines, ["told"]);
    // Two attempts, and the second again with its answer.
    assert_eq!(world.noted(run.id()).await.len(), 3);
    flow.close().await.unwrap();
}

on_both_stores! {
    c27_a_graph_starts_at_its_entry_and_a_signal_leads_it_to_its_terminal,
    c29_c30_c31_early_signals_are_taken_on_arrival_the_oldest_first_one_each,
    of_a_signal_and_a_time_the_first_decides,
    a_signal_that_does_not_fit_is_recorded_and_the_run_waits_on,
    c35a_a_key_makes_one_signal_of_many_and_a_finished_run_refuses,
    what_cannot_be_sent_is_refused_by_its_name_and_leaves_nothing,
    a_step_waits_for_a_signal_and_gives_up_when_its_time_is_over,
}
