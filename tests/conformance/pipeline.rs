// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! State and pipelines: c20 to c23.

use forktex::flow::error::failure::RunFailure;
use forktex::flow::prelude::*;

use crate::stage::{Stage, on_both_stores};
use crate::tale::{Asking, Cast, Options, Pair, Tale, Trio, fail_up_to, tale, times_asked};
use crate::world::{ATTEMPT_FAILED, COMPLETED, SKIPPED, ended, nodes};

async fn c20_append_concatenates_with_what_is_there_and_stores_where_nothing_is(
    world: &impl Stage,
) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let mut begun = tale("c20");
    begun.lines = vec!["once".to_owned()];
    let existing = flow.start(Pair, begun).await.unwrap();
    let missing = flow
        .run("tale.pair")
        .state(json!({"title": "c20"}))
        .await
        .unwrap();

    let existing = ended(&existing).await;
    assert_eq!(existing.state.lines, ["once", "first", "second"]);
    assert_eq!(existing.input["lines"], json!(["once"]));
    assert_eq!(
        ended(&missing).await.state["lines"],
        json!(["first", "second"])
    );
    flow.close().await.unwrap();
}

async fn c21_of_three_parallel_members_only_the_one_that_failed_runs_again(world: &impl Stage) {
    let flow = world
        .flow(Cast::default().on("middle", |ctx, _| fail_up_to(1, ctx)))
        .await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Trio, tale("c21")).await.unwrap();
    let done = ended(&run).await;

    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(
        done.state.lines,
        ["left", "middle", "right"],
        "merged as declared"
    );
    let mut noted: Vec<(String, i32)> = Vec::new();
    for (node, attempt, _) in world.noted(run.id()).await {
        noted.push((node, attempt));
    }
    noted.sort();
    let expected = [("left", 1), ("middle", 1), ("middle", 2), ("right", 1)];
    assert_eq!(
        noted,
        expected.map(|(node, attempt)| (node.to_owned(), attempt))
    );
    assert_eq!(world.count(run.id(), COMPLETED).await, 3);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 1);
    flow.close().await.unwrap();
}

async fn c22_a_parallel_members_own_condition_and_attempts_are_honoured(world: &impl Stage) {
    let cast = Cast::default().on("middle", |ctx, tale: Tale| async move {
        fail_up_to(if tale.total == 0 { 9 } else { 1 }, ctx).await
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();

    let run = flow.start(Options, tale("c22")).await.unwrap();
    let failed = ended(&run).await;
    assert_eq!(failed.status, InstanceStatus::Failed);
    let Some(RunFailure::StepFailed { node, attempts, .. }) = &failed.failure else {
        panic!("failed otherwise: {:?}", failed.failure)
    };
    assert_eq!((node.as_str(), *attempts), ("middle", 2));
    assert_eq!(failed.node("left").unwrap().status, NodeStatus::Skipped);
    let noted = world.noted(run.id()).await;
    let times = |name| nodes(&noted).iter().filter(|node| **node == name).count();
    assert_eq!((times("left"), times("middle"), times("right")), (0, 2, 1));

    let mut rich = tale("c22");
    rich.total = 1;
    let run = flow.start(Options, rich).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["left", "middle", "right"]);
    let noted = world.noted(run.id()).await;
    let times = |name| nodes(&noted).iter().filter(|node| **node == name).count();
    assert_eq!((times("left"), times("middle"), times("right")), (1, 2, 1));
    flow.close().await.unwrap();
}

async fn c23_a_false_condition_is_asked_once_and_passes_the_state_on_unchanged(world: &impl Stage) {
    // What is asked is counted by title, in both tests of this process.
    let (poor, rich) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let (poor, rich) = (poor.to_string(), rich.to_string());
    // The retry of `last` brings the run back from its journal.
    let flow = world
        .flow(Cast::default().on("last", |ctx, _| fail_up_to(1, ctx)))
        .await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Asking, tale(&poor)).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    let maybe = done.node("maybe").unwrap();
    assert_eq!((maybe.status, maybe.attempt), (NodeStatus::Skipped, 0));
    assert!(maybe.delta.is_none());
    assert_eq!(done.state.lines, ["first", "last"]);
    assert_eq!(times_asked(&poor), 1);
    assert_eq!(world.count(run.id(), SKIPPED).await, 1);
    assert_eq!(
        nodes(&world.noted(run.id()).await),
        ["first", "last", "last"]
    );

    let mut start = tale(&rich);
    start.total = 1;
    let run = flow.start(Asking, start).await.unwrap();
    assert_eq!(ended(&run).await.state.lines, ["first", "maybe", "last"]);
    assert_eq!(times_asked(&rich), 1);
    flow.close().await.unwrap();
}

on_both_stores! {
    c20_append_concatenates_with_what_is_there_and_stores_where_nothing_is,
    c21_of_three_parallel_members_only_the_one_that_failed_runs_again,
    c22_a_parallel_members_own_condition_and_attempts_are_honoured,
    c23_a_false_condition_is_asked_once_and_passes_the_state_on_unchanged,
}
