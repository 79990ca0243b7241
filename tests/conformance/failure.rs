// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Retries, failures and cancellation: c11 to c17 and c19.

use forktex::flow::CancelError;
use forktex::flow::error::failure::{MESSAGE_BYTES_MAX, RunFailure, StepFailureKind};
use forktex::flow::prelude::*;

use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Pair, Patient, Solo, Stubborn, fail_up_to, line, tale};
use crate::world::{
    ATTEMPT_FAILED, COMPLETED, Gate, RUN_CANCELLED, RUN_COMPLETED, RUN_FAILED, ended, nodes, until,
};

async fn c11_two_failures_and_a_success_are_three_attempts(world: &impl Stage) {
    let flow = world
        .flow(Cast::default().on("only", |ctx, _| fail_up_to(2, ctx)))
        .await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Stubborn, tale("c11")).await.unwrap();
    let done = ended(&run).await;

    assert_eq!(done.status, InstanceStatus::Completed);
    let node = done.node("only").unwrap();
    assert_eq!((node.attempt, node.status), (3, NodeStatus::Completed));
    assert_eq!(node.error.as_ref().unwrap().message, "attempt 2 fails");
    let attempts: Vec<i32> = world
        .noted(run.id())
        .await
        .iter()
        .map(|noted| noted.1)
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 2);
    assert_eq!(world.count(run.id(), COMPLETED).await, 1);
    assert_eq!(
        done.state.lines,
        ["only"],
        "a failed attempt changes nothing"
    );
    flow.close().await.unwrap();
}

async fn c12_a_permanent_failure_keeps_its_error_bounded_nul_and_all(world: &impl Stage) {
    let cast = Cast::default().on("only", |_, _| async {
        Err(StepError::new("é\0".repeat(9_000)))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("c12")).await.unwrap();
    let failed = ended(&run).await;

    assert_eq!(failed.status, InstanceStatus::Failed);
    let Some(RunFailure::StepFailed {
        node,
        attempts,
        failure,
    }) = failed.failure.clone()
    else {
        panic!("failed otherwise: {:?}", failed.failure)
    };
    assert_eq!((node.as_str(), attempts), ("only", 3));
    assert_eq!(failure.kind, StepFailureKind::Error);
    assert!(failure.message.starts_with("é\0é\0"), "the NUL is kept");
    assert!((MESSAGE_BYTES_MAX - 8..=MESSAGE_BYTES_MAX).contains(&failure.message.len()));
    assert!(
        failure
            .message
            .chars()
            .all(|character| "é\0…".contains(character))
    );
    let record = failed.node("only").unwrap();
    assert_eq!((record.attempt, record.status), (3, NodeStatus::Failed));
    assert_eq!(record.error.as_ref(), Some(&failure));
    assert_eq!(world.noted(run.id()).await.len(), 3);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 3);
    assert_eq!(world.count(run.id(), RUN_FAILED).await, 1);
    flow.close().await.unwrap();
}

async fn c13_no_attempt_starts_before_its_backoff_is_over(world: &impl Stage) {
    let flow = world
        .flow(Cast::default().on("only", |ctx, _| fail_up_to(1, ctx)))
        .await;
    flow.start_driver().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(flow.start(Patient, tale("c13")).await.unwrap());
    }
    for run in runs {
        assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
        let delays = world.delays(run.id()).await;
        let [(delay, waited)] = delays[..] else {
            panic!("not one retry: {delays:?}")
        };
        assert!((100_000..=120_000).contains(&delay), "{delay} µs");
        assert!(waited >= delay, "began {} µs early", delay - waited);
    }
    flow.close().await.unwrap();
}

async fn c14_beyond_the_list_the_last_delay_repeats(world: &impl Stage) {
    let flow = world
        .flow(Cast::default().on("only", |ctx, _| fail_up_to(4, ctx)))
        .await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Patient, tale("c14")).await.unwrap();
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    let delays = world.delays(run.id()).await;
    let least = [100_000, 300_000, 300_000, 300_000];
    assert_eq!(delays.len(), least.len());
    for ((delay, waited), least) in delays.into_iter().zip(least) {
        assert!((least..=least * 6 / 5).contains(&delay), "{delay} µs");
        assert!(waited >= delay, "began {} µs early", delay - waited);
    }
    flow.close().await.unwrap();
}

async fn c15_a_pending_run_that_is_cancelled_starts_no_step(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let run = flow.start(Pair, tale("c15")).await.unwrap();
    run.cancel("not needed").await.unwrap();
    let cancelled = run.refresh().await.unwrap();
    assert_eq!(cancelled.status, InstanceStatus::Cancelled);

    flow.start_driver().await.unwrap();
    let later = flow.start(Pair, tale("later")).await.unwrap();
    assert_eq!(ended(&later).await.status, InstanceStatus::Completed);
    let still = run.refresh().await.unwrap();
    assert_eq!(still, cancelled);
    assert_eq!(still.cancel_reason.as_deref(), Some("not needed"));
    assert!(still.nodes.is_empty() && still.started_at.is_none());
    assert!(world.noted(run.id()).await.is_empty());
    assert_eq!(world.journal(run.id()).await.len(), 1);
    assert_eq!(world.count(run.id(), RUN_CANCELLED).await, 1);
    flow.close().await.unwrap();
}

async fn c16_a_cancel_during_the_first_step_keeps_its_output_and_starts_no_second(
    world: &impl Stage,
) {
    let gate = Gate::new();
    let inside = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            ctx.cancelled().await;
            line(&ctx)
        }
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("c16")).await.unwrap();
    gate.until_arrived(1).await;
    run.cancel("changed my mind").await.unwrap();
    assert_eq!(run.refresh().await.unwrap().status, InstanceStatus::Running);
    gate.open();
    let done = ended(&run).await;

    assert_eq!(done.status, InstanceStatus::Cancelled);
    assert_eq!(done.cancel_reason.as_deref(), Some("changed my mind"));
    assert_eq!(done.state.lines, ["first"]);
    assert_eq!(done.node("first").unwrap().status, NodeStatus::Completed);
    assert!(done.node("second").is_none());
    assert_eq!(nodes(&world.noted(run.id()).await), ["first"]);
    let kinds: Vec<i16> = world
        .journal(run.id())
        .await
        .iter()
        .map(|entry| entry.kind)
        .collect();
    assert_eq!(kinds, [COMPLETED, RUN_CANCELLED]);
    flow.close().await.unwrap();
}

async fn c17_cancelling_a_finished_run_says_so_and_changes_nothing(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("c17")).await.unwrap();
    let done = ended(&run).await;
    let refused = run.cancel("too late").await.unwrap_err();
    let CancelError::AlreadyTerminal { instance, status } = refused else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!((instance, status), (run.id(), InstanceStatus::Completed));
    assert_eq!(run.refresh().await.unwrap(), done);
    assert_eq!(world.count(run.id(), RUN_COMPLETED).await, 1);
    assert_eq!(world.count(run.id(), RUN_CANCELLED).await, 0);
    flow.close().await.unwrap();
}

async fn a_body_that_outlasts_the_grace_period_is_fenced_out(world: &impl Stage) {
    let cast = Cast::default().on("first", |_, _| std::future::pending());
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("grace")).await.unwrap();
    world.until_noted(run.id(), "first", "worker").await;
    let grace = std::time::Duration::from_millis(200);
    run.cancel("enough").grace_period(grace).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Cancelled);
    assert!(done.nodes.is_empty() && done.state.lines.is_empty());
    until("the slot is free", async || world.living().await == 0).await;
    assert_eq!(world.count(run.id(), RUN_CANCELLED).await, 1);
    flow.close().await.unwrap();
}

async fn c19_a_panic_is_a_failed_attempt_and_the_worker_lives_on(world: &impl Stage) {
    let cast = Cast::default().on("first", |ctx, _| async move {
        assert!(ctx.attempt() > 1, "the first attempt panics");
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("c19")).await.unwrap();
    let done = ended(&run).await;

    assert_eq!(done.status, InstanceStatus::Completed);
    let first = done.node("first").unwrap();
    let error = first.error.as_ref().unwrap();
    assert_eq!((first.attempt, error.kind), (2, StepFailureKind::Panic));
    assert_eq!(error.message, "the first attempt panics");
    assert_eq!(
        nodes(&world.noted(run.id()).await),
        ["first", "first", "second"]
    );
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 1);
    let other = flow.start(Solo, tale("after the panic")).await.unwrap();
    assert_eq!(ended(&other).await.status, InstanceStatus::Completed);
    let workers = "SELECT count(*) FROM forktex_flow.worker";
    if let Some(incarnations) = world.rows(workers).await {
        assert_eq!(incarnations, 1, "it is still the same incarnation");
    }
    flow.close().await.unwrap();
}

on_both_stores! {
    c11_two_failures_and_a_success_are_three_attempts,
    c12_a_permanent_failure_keeps_its_error_bounded_nul_and_all,
    c13_no_attempt_starts_before_its_backoff_is_over,
    c14_beyond_the_list_the_last_delay_repeats,
    c15_a_pending_run_that_is_cancelled_starts_no_step,
    c16_a_cancel_during_the_first_step_keeps_its_output_and_starts_no_second,
    c17_cancelling_a_finished_run_says_so_and_changes_nothing,
    a_body_that_outlasts_the_grace_period_is_fenced_out,
    c19_a_panic_is_a_failed_attempt_and_the_worker_lives_on,
}
