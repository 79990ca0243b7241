// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that spawn runs: c43 to c45a.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forktex::flow::WaitingOn;
use forktex::flow::prelude::*;
use tokio::sync::watch;

use crate::child;
use crate::signal::until_waiting;
use crate::stage::{ALL, Stage, on_both_stores};
use crate::tale::{Cast, Pair, Solo, Tale, line, tale};
use crate::world::{CALLED, Gate, ended, until};

fn tales(count: usize) -> Vec<Tale> {
    (0..count).map(|number| tale(&number.to_string())).collect()
}

/// `first` of [`Pair`] maps [`Solo`] over so many tales; the children say their number.
fn mapping(count: usize, concurrency: usize) -> Cast {
    Cast::default()
        .on("first", move |ctx, _| async move {
            let children = ctx.map(Solo, tales(count)).concurrency(concurrency).await?;
            Ok(Tale::update().lines(children.into_iter().flat_map(|child| child.lines)))
        })
        .on("only", |_, tale| async move {
            Ok(Tale::update().lines([tale.title]))
        })
}

async fn c43_a_map_runs_each_child_once_and_answers_in_order_across_a_restart(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = mapping(30, 30).on("only", move |_, tale| {
        let gate = held.clone();
        async move {
            if tale.title == "17" {
                gate.pass().await;
            }
            Ok(Tale::update().lines([tale.title]))
        }
    });
    let builder = world.builder("one", cast).lease(child::LEASE);
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c43")).await.unwrap();
    gate.until_arrived(1).await;
    until("the others have ended", async || {
        world.runs_of(&[InstanceStatus::Completed]).await == 29
    })
    .await;
    // The process goes, with the child and its parent in the midst.
    drop(flow);
    let flow = world.builder("two", mapping(30, 30)).build().await;
    flow.start_driver().await.unwrap();
    let done = ended(&flow.handle(parent.id())).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    let mut expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    expected.push("second".to_owned());
    assert_eq!(done.state["lines"], json!(expected));
    let children = flow.query().parent(parent.id());
    assert_eq!(children.count().await.unwrap(), 30);
    assert_eq!(world.count(parent.id(), CALLED).await, 1);
    flow.close().await.unwrap();
}

async fn c43_no_more_children_live_at_once_than_the_concurrency_allows(world: &impl Stage) {
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(0));
    let (living, highest) = (Arc::clone(&alive), most.clone());
    let cast = mapping(40, 3).on("only", move |_, tale| {
        let (living, highest) = (Arc::clone(&living), highest.clone());
        async move {
            let now = living.fetch_add(1, Ordering::SeqCst) + 1;
            highest.send_modify(|most| *most = now.max(*most));
            // As many as may live do, however slow the machine is.
            let mut seen = highest.subscribe();
            seen.wait_for(|most| *most >= 3).await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
            living.fetch_sub(1, Ordering::SeqCst);
            Ok(Tale::update().lines([tale.title]))
        }
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c43")).await.unwrap();
    let done = ended(&parent).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines.len(), 41);
    assert_eq!(*most.borrow(), 3);
    // The parent's body ran when it spawned them and when all had ended, and not for each.
    let bodies = world.noted(parent.id()).await;
    assert!(bodies.len() <= 4, "{bodies:?}");
    flow.close().await.unwrap();
}

async fn c44_a_failed_child_fails_its_parent_for_good_with_the_childs_error(world: &impl Stage) {
    let cast = Cast::default()
        .on("first", |ctx, _| async move {
            let child = ctx.spawn(Solo, tale("child")).await?;
            let child = ctx.wait(child).await?;
            Ok(Tale::update().lines(child.lines))
        })
        .on("only", |_, _| async move {
            Err(StepError::fatal("the child's own error"))
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c44")).await.unwrap();
    let done = ended(&parent).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let failure = done.failure.unwrap().to_string();
    assert!(failure.contains("the child's own error"), "{failure}");
    assert_eq!(done.nodes[0].attempt, 1);
    flow.close().await.unwrap();
}

async fn c44_a_child_that_failed_is_spawned_anew_where_that_is_asked_for(world: &impl Stage) {
    let failures = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failures);
    let cast = Cast::default()
        .on("first", |ctx, _| async move {
            let child = ctx.spawn(Solo, tale("child")).await?;
            let child = ctx.wait(child).respawn().await?;
            Ok(Tale::update().lines(child.lines))
        })
        .on("only", move |ctx, _| {
            let count = Arc::clone(&count);
            async move {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    return Err(StepError::fatal("the first child fails"));
                }
                line(&ctx)
            }
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c44")).await.unwrap();
    let done = ended(&parent).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["only", "second"]);
    assert_eq!(done.node("first").unwrap().attempt, 2);
    assert_eq!(failures.load(Ordering::SeqCst), 2);
    flow.close().await.unwrap();
}

async fn c44_the_first_failure_has_the_siblings_cancelled(world: &impl Stage) {
    let cast = mapping(12, 4).on("only", |ctx, tale| async move {
        if tale.title == "2" {
            return Err(StepError::fatal("the second is rotten"));
        }
        ctx.cancelled().await;
        Err(StepError::fatal("told to end"))
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c44")).await.unwrap();
    let done = ended(&parent).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let failure = done.failure.unwrap().to_string();
    assert!(failure.contains("the second is rotten"), "{failure}");
    until("every child has ended", async || world.living().await == 0).await;
    let cancelled = flow.query().status([InstanceStatus::Cancelled]).limit(100);
    let cancelled = cancelled.fetch(None).await.unwrap().items;
    let reasons = cancelled.iter().map(|run| run.cancel_reason.as_deref());
    assert!(
        reasons
            .clone()
            .all(|reason| reason == Some("a sibling failed"))
    );
    assert_eq!(reasons.count(), 11);
    flow.close().await.unwrap();
}

async fn c44_where_all_are_waited_for_each_outcome_is_told(world: &impl Stage) {
    let cast = mapping(0, 1)
        .on("first", |ctx, _| async move {
            let settled = ctx.map(Solo, tales(5)).settle().await?;
            let words = settled.into_iter().map(|outcome| match outcome {
                Ok(child) => child.lines.concat(),
                Err(failure) => failure.to_string(),
            });
            Ok(Tale::update().lines(words))
        })
        .on("only", |ctx, tale| async move {
            if tale.title == "3" {
                return Err(StepError::fatal("three fails"));
            }
            line(&ctx)
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c44")).await.unwrap();
    let lines = ended(&parent).await.state.lines;
    assert_eq!(lines.iter().filter(|line| *line == "only").count(), 4);
    assert!(lines[3].contains("three fails"), "{lines:?}");
    flow.close().await.unwrap();
}

async fn c44_cancelling_a_parent_cancels_its_children_and_theirs(world: &impl Stage) {
    // `first` of the eldest spawns a pair, whose `first` spawns a solo, which waits for ever.
    let cast = Cast::default()
        .on("first", |ctx, parent| async move {
            if parent.title == "eldest" {
                let child = ctx.spawn(Pair, tale("middle")).await?;
                ctx.wait(child).await?;
            } else {
                let child = ctx.spawn(Solo, tale("youngest")).await?;
                ctx.wait(child).await?;
            }
            line(&ctx)
        })
        .on("only", |ctx, _| async move {
            ctx.signal_named("never").await?;
            line(&ctx)
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let eldest = flow.start(Pair, tale("eldest")).await.unwrap();
    let living = flow.query().status([InstanceStatus::Running]);
    until("all three wait", async || {
        let living = living.fetch(None).await.unwrap().items;
        let wait = |run: &&Instance| {
            matches!(
                run.waiting_on,
                Some(WaitingOn::Child { .. } | WaitingOn::Signal { .. })
            )
        };
        living.iter().filter(wait).count() == 3
    })
    .await;
    let on = until_waiting(&eldest).await;
    assert_eq!(on, WaitingOn::Child { remaining: 1 });
    eldest.cancel("enough").await.unwrap();
    until("all three have ended", async || {
        world.runs_of(&[InstanceStatus::Cancelled]).await == 3
    })
    .await;
    assert_eq!(world.living().await, 0);
    flow.close().await.unwrap();
}

/// A run that is to be undone, and has nothing to undo, ends at once: what it was about to spawn would
/// have nobody to end it.
async fn c44_a_parent_that_is_undone_while_it_spawns_leaves_no_child_alive(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default()
        .on("first", move |ctx, _| {
            let gate = held.clone();
            async move {
                gate.pass().await;
                ctx.map(Solo, tales(3)).await?;
                line(&ctx)
            }
        })
        .on("only", |ctx, _| async move {
            ctx.sleep(Duration::from_hours(1)).await?;
            line(&ctx)
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("c44")).await.unwrap();
    gate.until_arrived(1).await;
    parent.cancel("not wanted").compensate().await.unwrap();
    gate.open();
    let done = ended(&parent).await;
    assert_eq!(done.status, InstanceStatus::Cancelled);
    until("no child lives", async || world.living().await == 0).await;
    flow.close().await.unwrap();
}

async fn c45a_a_thousand_parents_of_ten_children_finish_on_four_slots(world: &impl Stage) {
    let cast = Cast::default().on("first", |ctx, _| async move {
        let children = ctx.map(Solo, tales(10)).await?;
        Ok(Tale::update().total(i64::try_from(children.len())?))
    });
    let flow = world.builder("worker", cast).slots(4).build().await;
    flow.start_driver().await.unwrap();
    let mut starting = tokio::task::JoinSet::new();
    for lane in 0..10 {
        let flow = flow.clone();
        starting.spawn(async move {
            for number in 0..100 {
                let title = format!("parent {lane} {number}");
                flow.start(Pair, tale(&title)).await.unwrap();
            }
        });
    }
    starting.join_all().await;
    let completed = [InstanceStatus::Completed];
    let everything = async {
        while world.runs_of(&completed).await < 11_000 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_mins(3), everything).await;
    assert!(
        in_time.is_ok(),
        "{} of 11000",
        world.runs_of(&completed).await
    );
    assert_eq!(world.living().await, 0);
    flow.close().await.unwrap();
}

async fn a_workflow_that_is_not_here_cannot_be_spawned_and_leaves_nothing(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, _| async move {
        ctx.spawn_named("no.such.workflow", json!({})).await?;
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("parent")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    assert!(
        done.failure
            .unwrap()
            .to_string()
            .contains("`no.such.workflow`")
    );
    assert_eq!(world.runs_of(&ALL).await, 1);
    flow.close().await.unwrap();
}

on_both_stores! {
    c43_a_map_runs_each_child_once_and_answers_in_order_across_a_restart,
    c43_no_more_children_live_at_once_than_the_concurrency_allows,
    c44_a_failed_child_fails_its_parent_for_good_with_the_childs_error,
    c44_a_child_that_failed_is_spawned_anew_where_that_is_asked_for,
    c44_the_first_failure_has_the_siblings_cancelled,
    c44_where_all_are_waited_for_each_outcome_is_told,
    c44_cancelling_a_parent_cancels_its_children_and_theirs,
    c44_a_parent_that_is_undone_while_it_spawns_leaves_no_child_alive,
    c45a_a_thousand_parents_of_ten_children_finish_on_four_slots,
    a_workflow_that_is_not_here_cannot_be_spawned_and_leaves_nothing,
}
