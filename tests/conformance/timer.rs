// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Time that passes without a worker: c36a, c66.

use std::time::Duration;

use forktex::flow::WaitingOn;
use forktex::flow::prelude::*;

use crate::mail::{Hour, Told, told};
use crate::signal::until_waiting;
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Solo, Tale, Trio, line, tale};
use crate::world::{TIMER_FIRED, ended, nodes, until};

async fn c36a_a_sleep_of_an_hour_survives_a_restart_and_holds_no_slot(world: &impl Stage) {
    let cast = || {
        Cast::default().on("only", |ctx, tale| async move {
            if tale.title == "sleeper" {
                ctx.sleep(Duration::from_hours(1)).await?;
            }
            line(&ctx)
        })
    };
    let flow = world.builder("one", cast()).slots(1).build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("sleeper")).await.unwrap();
    let WaitingOn::Timer { due_at } = until_waiting(&run).await else {
        panic!("it does not wait for a time");
    };
    // The only slot is free for others.
    let other = flow.start(Solo, tale("other")).await.unwrap();
    ended(&other).await;
    let sleeper = run.refresh().await.unwrap();
    let slept = due_at - sleeper.started_at.unwrap();
    assert!(
        (3_600.0..3_610.0).contains(&slept.as_seconds_f64()),
        "{slept}"
    );
    flow.close().await.unwrap();

    let flow = world.builder("two", cast()).build().await;
    let run = flow.handle(run.id());
    assert!(matches!(
        run.refresh().await.unwrap().waiting_on,
        Some(WaitingOn::Timer { .. })
    ));
    world.pass(1).await;
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.node("only").unwrap().attempt, 1);
    let bodies = world.noted(run.id()).await;
    let workers: Vec<&str> = bodies
        .iter()
        .map(|(_, _, worker)| worker.as_str())
        .collect();
    assert_eq!(workers, ["one", "two"]);
    flow.close().await.unwrap();
}

async fn c36a_a_timer_edge_survives_a_restart_and_fires_once(world: &impl Stage) {
    let builder = |name| world.builder(name, Cast::default()).register::<Hour>();
    let flow = builder("one").build().await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Hour, tale("edge")).await.unwrap();
    until_waiting(&run).await;
    flow.close().await.unwrap();
    let (two, three) = (builder("two").build().await, builder("three").build().await);
    world.pass(1).await;
    two.start_driver().await.unwrap();
    three.start_driver().await.unwrap();
    let done = ended(&two.handle(run.id())).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(nodes(&world.noted(run.id()).await), ["before", "after"]);
    assert_eq!(world.count(run.id(), TIMER_FIRED).await, 1);
    two.close().await.unwrap();
    three.close().await.unwrap();
}

async fn c66_five_sleeps_in_one_step_with_one_attempt_complete(world: &impl Stage) {
    let cast = Cast::default().on("middle", |ctx, _| async move {
        for number in 0..5 {
            ctx.sleep(Duration::from_millis(30)).await?;
            let answer = ctx
                .once(format!("block {number}"), async {
                    Ok::<_, StepError>(ctx.attempt())
                })
                .await?;
            assert_eq!(answer, 1);
        }
        ctx.sleep(Duration::from_millis(10)).key("last").await?;
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Trio, tale("c66")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["left", "middle", "right"]);
    assert_eq!(done.node("middle").unwrap().attempt, 1);
    flow.close().await.unwrap();
}

async fn a_block_that_succeeded_is_not_run_again_by_the_next_attempt(world: &impl Stage) {
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let cast = Cast::default().on("only", move |ctx, _| {
        let counted = std::sync::Arc::clone(&counted);
        async move {
            let block = async {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok::<_, StepError>("answer".to_owned())
            };
            let answer = ctx.once("block", block).await?;
            ctx.emit(&json!({"answer": answer})).await?;
            if ctx.attempt() == 1 {
                return Err(StepError::new("not yet"));
            }
            Ok(Tale::update().lines([answer]))
        }
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("once")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["answer"]);
    assert_eq!(done.node("only").unwrap().attempt, 2);
    assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 1);
    // One answer and one event, although the body ran twice.
    assert_eq!(world.count(run.id(), 11).await, 2);
    flow.close().await.unwrap();
}

async fn an_answer_of_another_shape_fails_the_step_for_good(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, _| async move {
        if ctx.attempt() == 1 {
            ctx.once("key", async { Ok::<_, StepError>(7) }).await?;
            return Err(StepError::new("the code changes now"));
        }
        let changed: String = ctx
            .once("key", async { Ok::<_, StepError>(String::new()) })
            .await?;
        Ok(Tale::update().lines([changed]))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("diverged")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let error = done.node("only").unwrap().error.clone().unwrap();
    assert!(error.message.contains("`key key`"), "{error}");
    assert_eq!(done.node("only").unwrap().attempt, 2);
    flow.close().await.unwrap();
}

async fn joined_calls_wait_together_and_each_keeps_its_answer(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, _| async move {
        let sleep = ctx.sleep(Duration::from_hours(1)).into_future();
        let signal = ctx.signal::<Told>().into_future();
        let ((), told) = tokio::try_join!(sleep, signal)?;
        Ok(Tale::update().lines([told.line]))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("both")).await.unwrap();
    let WaitingOn::Signal { due_at, .. } = until_waiting(&run).await else {
        panic!("it does not wait for a signal");
    };
    assert!(due_at.is_some(), "it waits for a time as well");
    run.send(told("heard", 1)).await.unwrap();
    until("it waits for the time alone", async || {
        let waiting = run.refresh().await.unwrap().waiting_on;
        matches!(waiting, Some(WaitingOn::Timer { .. }))
    })
    .await;
    world.pass(1).await;
    assert_eq!(ended(&run).await.state.lines, ["heard"]);
    flow.close().await.unwrap();
}

on_both_stores! {
    c36a_a_sleep_of_an_hour_survives_a_restart_and_holds_no_slot,
    c36a_a_timer_edge_survives_a_restart_and_fires_once,
    c66_five_sleeps_in_one_step_with_one_attempt_complete,
    a_block_that_succeeded_is_not_run_again_by_the_next_attempt,
    an_answer_of_another_shape_fails_the_step_for_good,
    joined_calls_wait_together_and_each_keeps_its_answer,
}
