// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs outlive the processes that run them: c01, c02, c03, c06 and the half of c65 about suspects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use forktex::db::sqlx;
use forktex::flow::error::failure::{RunFailure, StepFailureKind};
use forktex::flow::prelude::*;

use crate::child::{self, Conduct, KILLER, LEASE};
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Asking, Cast, Fragile, Pair, Solo, line, tale, times_asked};
use crate::world::{
    ATTEMPT_FAILED, COMPLETED, Gate, Noted, RUN_COMPLETED, SKIPPED, World, ended, nodes, until,
};

fn row(node: &str, attempt: i32, worker: &str) -> Noted {
    (node.to_owned(), attempt, worker.to_owned())
}

#[tokio::test]
async fn c01_a_completed_run_that_is_made_to_resume_runs_no_body_again() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("c01")).await.unwrap();
    let before = ended(&run).await;
    assert_eq!(before.status, InstanceStatus::Completed);
    flow.close().await.unwrap();

    // As if its process had died before the end was recorded.
    for sql in [
        "DELETE FROM forktex_flow.journal WHERE kind = 5",
        "UPDATE forktex_flow.instance SET status = 'running', finished_at = NULL",
        "INSERT INTO forktex_flow.active (instance_id, definition_id, epoch, ready_at)
         SELECT instance_id, definition_id, 7, now() FROM forktex_flow.instance",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
    let other = world
        .builder("other", Cast::default())
        .build()
        .await
        .unwrap();
    let run = other.handle(run.id());
    assert_eq!(run.refresh().await.unwrap().status, InstanceStatus::Running);
    other.start_driver().await.unwrap();
    let after = ended(&run).await;

    assert_eq!(after.status, InstanceStatus::Completed);
    assert_eq!(after.state["lines"], json!(["first", "second"]));
    assert_eq!(after.nodes, before.nodes);
    let noted = world.noted(run.id()).await;
    assert_eq!(
        noted,
        [row("first", 1, "worker"), row("second", 1, "worker")]
    );
    assert_eq!(world.count(run.id(), RUN_COMPLETED).await, 1);
    other.close().await.unwrap();
}

#[tokio::test]
async fn c01_a_run_that_had_recorded_its_end_runs_no_body_again_either() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("c01")).await.unwrap();
    ended(&run).await;
    for sql in [
        "UPDATE forktex_flow.instance SET status = 'running', finished_at = NULL",
        "INSERT INTO forktex_flow.active (instance_id, definition_id, epoch, ready_at)
         SELECT instance_id, definition_id, 7, now() FROM forktex_flow.instance",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
    let after = ended(&run).await;
    assert_eq!(after.status, InstanceStatus::Completed);
    assert_eq!(nodes(&world.noted(run.id()).await), ["first", "second"]);
    assert_eq!(world.count(run.id(), RUN_COMPLETED).await, 1);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c02_a_killed_worker_is_followed_by_one_that_reuses_its_checkpoints() {
    let world = World::create().await;
    let flow = world.builder("other", Cast::default()).lease(LEASE * 2);
    let flow = flow.build().await.unwrap();
    let run = flow.start(Pair, tale("c02")).await.unwrap();
    let victim = child::spawn(&world, Conduct::HangAt("second"));
    world.until_noted(run.id(), "second", "child").await;
    child::kill(victim).await;

    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["first", "second"]);
    assert_eq!(
        world.noted(run.id()).await,
        [
            row("first", 1, "child"),
            row("second", 1, "child"),
            row("second", 1, "other"),
        ]
    );
    assert_eq!(world.count(run.id(), COMPLETED).await, 2);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 0);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c03_a_run_whose_worker_died_before_any_checkpoint_is_claimed_again_after_the_lease() {
    let world = World::create().await;
    let flow = world.builder("other", Cast::default()).lease(LEASE * 2);
    let flow = flow.build().await.unwrap();
    let run = flow.start(Pair, tale("c03")).await.unwrap();
    let victim = child::spawn(&world, Conduct::HangAt("first"));
    world.until_noted(run.id(), "first", "child").await;
    child::kill(victim).await;
    assert!(world.journal(run.id()).await.is_empty());
    let lease_until = "SELECT (extract(epoch FROM lease_until) * 1000000)::bigint
                       FROM forktex_flow.worker WHERE worker_name = 'child'";
    let lease_until = world.number(lease_until).await;

    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(
        world.noted(run.id()).await,
        [
            row("first", 1, "child"),
            row("first", 1, "other"),
            row("second", 1, "other"),
        ]
    );
    assert!(
        done.nodes.iter().all(|node| node.attempt == 1),
        "a lost lease uses no attempt"
    );
    let again_at = "SELECT (extract(epoch FROM min(at)) * 1000000)::bigint
                    FROM public.ledger WHERE worker = 'other'";
    assert!(
        world.number(again_at).await >= lease_until,
        "claimed before the lease was over"
    );
    flow.close().await.unwrap();
}

async fn c06_of_five_drivers_that_claim_at_once_one_runs_each_body(world: &impl Stage) {
    const DRIVERS: usize = 5;
    const RUNS: usize = 100;
    let gate = Gate::new();
    let workers: Arc<Mutex<BTreeSet<usize>>> = Arc::default();
    let mut flows = Vec::new();
    for number in 0..DRIVERS {
        let (gate, workers) = (gate.clone(), Arc::clone(&workers));
        // Nobody goes on before every driver has claimed, so that all of them do.
        let cast = Cast::default().on("only", move |ctx, _| {
            workers.lock().unwrap().insert(number);
            if workers.lock().unwrap().len() == DRIVERS {
                gate.open();
            }
            let gate = gate.clone();
            async move {
                gate.pass().await;
                line(&ctx)
            }
        });
        let flow = world.builder(&format!("worker-{number}"), cast).slots(8);
        flows.push(flow.build().await);
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(flows[0].start(Solo, tale("c06")).await.unwrap());
    }
    let mut starting = tokio::task::JoinSet::new();
    for flow in flows.clone() {
        starting.spawn(async move { flow.start_driver().await.map(drop) });
    }
    for started in starting.join_all().await {
        started.unwrap();
    }
    for run in &runs {
        assert_eq!(ended(run).await.status, InstanceStatus::Completed);
    }
    let mut workers = BTreeSet::new();
    for run in &runs {
        let noted = world.noted(run.id()).await;
        assert_eq!(noted.len(), 1, "one body each");
        assert_eq!(world.count(run.id(), COMPLETED).await, 1);
        workers.extend(noted.into_iter().map(|(_, _, worker)| worker));
    }
    assert_eq!(workers.len(), 5);
    for flow in flows {
        flow.close().await.unwrap();
    }
}

#[tokio::test]
async fn c23_a_skip_is_not_asked_about_again_after_a_kill() {
    let title = "c23 killed";
    let world = World::create().await;
    let flow = world.builder("other", Cast::default()).lease(LEASE * 2);
    let flow = flow.build().await.unwrap();
    let run = flow.start(Asking, tale(title)).await.unwrap();
    let victim = child::spawn(&world, Conduct::HangAt("last"));
    world.until_noted(run.id(), "last", "child").await;
    child::kill(victim).await;
    assert_eq!(world.count(run.id(), SKIPPED).await, 1);

    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(times_asked(title), 0, "the condition was asked again");
    assert_eq!(world.count(run.id(), SKIPPED).await, 1);
    assert_eq!(done.node("maybe").unwrap().status, NodeStatus::Skipped);
    assert_eq!(
        nodes(&world.noted(run.id()).await),
        ["first", "last", "last"]
    );
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c65_a_step_that_kills_its_process_fails_its_run_and_no_neighbour() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    let killer = flow.start(Fragile, tale(KILLER)).await.unwrap();
    let mut neighbours = Vec::new();
    for _ in 0..5 {
        neighbours.push(flow.start(Solo, tale("neighbour")).await.unwrap());
    }
    let mut worker = child::spawn(&world, Conduct::DieOfKiller);
    until("all runs end", async || {
        if worker.try_wait().unwrap().is_some() {
            worker = child::spawn(&world, Conduct::DieOfKiller);
        }
        world
            .number("SELECT count(*) FROM forktex_flow.active")
            .await
            == 0
    })
    .await;

    let failed = ended(&killer).await;
    assert_eq!(failed.status, InstanceStatus::Failed);
    let Some(RunFailure::StepFailed {
        attempts, failure, ..
    }) = failed.failure
    else {
        panic!("failed otherwise: {:?}", failed.failure)
    };
    assert_eq!((attempts, failure.kind), (2, StepFailureKind::WorkerLost));
    // The first loss might have been a neighbour's doing; the other two were alone.
    let attempts: Vec<i32> = world
        .noted(killer.id())
        .await
        .iter()
        .map(|noted| noted.1)
        .collect();
    assert_eq!(attempts, [1, 1, 2]);
    for neighbour in &neighbours {
        let done = ended(neighbour).await;
        assert_eq!(done.status, InstanceStatus::Completed);
        assert_eq!(done.nodes[0].attempt, 1);
        assert_eq!(world.count(neighbour.id(), ATTEMPT_FAILED).await, 0);
    }
    flow.close().await.unwrap();
}

on_both_stores! {
    c06_of_five_drivers_that_claim_at_once_one_runs_each_body,
}
