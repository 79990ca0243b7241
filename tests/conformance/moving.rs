// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Wherever a run waits, it goes on from there in the other version: in a body, between attempts, for a
//! child or its turn, paused, not begun, half done, or undoing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forktex::flow::definition::binding::{Node, Undo};
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::migration::{MigrationFate, MigrationOutcome, MigrationRefusal};
use forktex::flow::prelude::*;
use forktex::flow::{MigrationError, WaitingOn};

use crate::compensation::undo;
use crate::mail::{Told, told};
use crate::migrate::MIGRATED;
use crate::signal::until_waiting;
use crate::stage::{Stage, on_both_stores, on_both_stores_and_sealed};
use crate::tale::{Cast, Pair, Tale, act, line, tale};
use crate::world::{Gate, ended, nodes, until};

fn node(name: &str) -> Node<Tale> {
    let hour = Duration::from_hours(1);
    Node::of::<act>().named(name).backoff([hour])
}

/// Two versions of a workflow on the same state.
macro_rules! versions {
    ($name:literal, $old:ident = $first:expr, $new:ident = $second:expr) => {
        struct $old;
        struct $new;
        versions!($name, $old, 1, $first);
        versions!($name, $new, 2, $second);
    };
    ($name:literal, $ident:ident, $version:literal, $build:expr) => {
        impl Workflow for $ident {
            type State = Tale;
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;

            fn declare() -> Declaration {
                let build: fn(Pipeline<Tale>) -> Pipeline<Tale> = $build;
                build(Pipeline::new($name, $version)).build()
            }
        }
    };
}

versions!(
    "moving.work",
    Work = |pipeline| pipeline.step(node("work")),
    Labour = |pipeline| pipeline
        .step(node("plan"))
        .step(node("labour"))
        .step(node("rest"))
);

versions!(
    "moving.group",
    Two = |pipeline| pipeline.parallel([node("left"), node("right")]),
    TwoAndRest = |pipeline| pipeline
        .parallel([node("left"), node("right")])
        .step(node("rest"))
);

versions!(
    "moving.undo",
    Fragile = |pipeline| pipeline
        .step(node("first").compensate(Undo::of::<undo>()))
        .step(node("wait")),
    Renamed = |pipeline| pipeline
        .step(node("a").compensate(Undo::of::<undo>()))
        .step(node("wait"))
);

async fn flow(world: &impl Stage, cast: Cast) -> Flow {
    let builder = world.builder("worker", cast);
    let builder = builder.register::<Work>().register::<Labour>();
    let builder = builder.register::<Two>().register::<TwoAndRest>();
    let builder = builder.register::<Fragile>().register::<Renamed>();
    builder.build().await
}

async fn move_work(flow: &Flow) -> MigrationOutcome {
    let migration = flow.migrate("moving.work", 1, 2);
    migration.map_node("work", "labour").await.unwrap()
}

/// Moves a run that waits, and tells what it waits for then.
async fn moved(flow: &Flow, run: &Run<Tale>) -> WaitingOn {
    let outcome = move_work(flow).await;
    assert_eq!((outcome.moved, outcome.is_done()), (1, true), "{outcome:?}");
    let waiting_on = until_waiting(run).await;
    let instance = run.refresh().await.unwrap();
    assert_eq!(instance.version, 2);
    assert_eq!(instance.current_nodes[0].as_str(), "labour");
    waiting_on
}

async fn a_body_that_waits_keeps_its_attempts_and_the_answers_of_its_calls(world: &impl Stage) {
    let blocks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&blocks);
    let body = move |ctx: Ctx, _| {
        let counted = Arc::clone(&counted);
        async move {
            let block = async { Ok::<_, StepError>(counted.fetch_add(1, Ordering::SeqCst)) };
            ctx.once("block", block).await?;
            assert!(ctx.idempotency_key().ends_with("/work/1"));
            let told = ctx.signal::<Told>().await?;
            if ctx.attempt() == 1 {
                return Err(StepError::new("not yet"));
            }
            let version = ctx.version();
            Ok(Tale::update().lines([format!("{} in {version}", told.line)]))
        }
    };
    let cast = Cast::default().on("work", body.clone()).on("labour", body);
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Work, tale("calls")).await.unwrap();
    until_waiting(&run).await;
    assert!(matches!(moved(&flow, &run).await, WaitingOn::Signal { .. }));
    run.send(told("heard", 1)).await.unwrap();
    until("the first attempt failed", async || {
        matches!(until_waiting(&run).await, WaitingOn::Retry { .. })
    })
    .await;
    world.pass(2).await;
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["heard in 2", "rest"]);
    assert_eq!(done.node("labour").unwrap().attempt, 2);
    assert_eq!(blocks.load(Ordering::SeqCst), 1);
    flow.close().await.unwrap();
}

async fn a_time_that_is_waited_for_stays_the_same(world: &impl Stage) {
    let sleep = |ctx: Ctx, tale: Tale| async move {
        if tale.title == "sleeps" {
            ctx.sleep(Duration::from_hours(1)).await?;
        } else if ctx.attempt() == 1 {
            return Err(StepError::new("in an hour"));
        }
        line(&ctx)
    };
    let cast = Cast::default().on("work", sleep).on("labour", sleep);
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    for title in ["sleeps", "retries"] {
        let run = flow
            .start(Work, tale(title))
            .deadline(Duration::from_hours(9))
            .await
            .unwrap();
        let due = |waiting_on: WaitingOn| match waiting_on {
            WaitingOn::Timer { due_at } | WaitingOn::Retry { due_at } => due_at,
            other => panic!("{other:?}"),
        };
        let deadlines = "SELECT count(*) FROM forktex_flow.active
                         WHERE deadline_at > now() + interval '8 hours'";
        let before = due(until_waiting(&run).await);
        let after = due(moved(&flow, &run).await);
        assert!(
            (after - before).abs() < Duration::from_millis(500),
            "{before} {after}"
        );
        let deadlines = world.rows(deadlines).await;
        assert!(deadlines.is_none_or(|deadlines| deadlines == 1));
        run.cancel("seen").await.unwrap();
    }
    flow.close().await.unwrap();
}

async fn a_parent_and_children_that_wait_for_their_turn_move_and_stay_a_family(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let child = move |ctx: Ctx, tale: Tale| {
        let gate = held.clone();
        async move {
            if tale.title == "0" {
                gate.pass().await;
            }
            Ok(Tale::update().lines([format!("{} in {}", tale.title, ctx.version())]))
        }
    };
    let cast = Cast::default()
        .on("first", |ctx, _| async move {
            let tales = (0..3).map(|number| tale(&number.to_string()));
            let children = ctx
                .map(Work, tales.collect::<Vec<_>>())
                .concurrency(1)
                .await?;
            Ok(Tale::update().lines(children.into_iter().flat_map(|child| child.lines)))
        })
        .on("plan", |_, _| async { Ok(Tale::update()) })
        .on("rest", |_, _| async { Ok(Tale::update()) })
        .on("work", child.clone())
        .on("labour", child);
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("parent")).await.unwrap();
    gate.until_arrived(1).await;
    let children = flow.query().parent(parent.id());
    let waiting = async || {
        let children = children.fetch(None).await.unwrap().items;
        let waits = |child: &&Instance| child.waiting_on == Some(WaitingOn::Turn);
        children.iter().filter(waits).count()
    };
    until("the others wait", async || waiting().await == 2).await;
    let outcome = move_work(&flow).await;
    // The first one is being run.
    assert_eq!(
        (outcome.moved, outcome.owned, outcome.owned_runs.len()),
        (2, 1, 1)
    );
    let preview = flow.migrate("moving.work", 1, 2).dry_run().await.unwrap();
    assert_eq!(preview.runs[0].fate, MigrationFate::Owned);
    assert_eq!(waiting().await, 2, "and it is still not theirs");
    gate.open();
    let done = ended(&parent).await;
    assert_eq!(done.state.lines, ["0 in 1", "1 in 2", "2 in 2", "second"]);
    flow.close().await.unwrap();
}

async fn a_run_that_was_not_begun_or_is_paused_begins_and_stays_paused_in_the_other_version(
    world: &impl Stage,
) {
    let flow = flow(world, Cast::default()).await;
    let run = flow.start(Work, tale("pending")).await.unwrap();
    let paused = flow.start(Work, tale("paused")).await.unwrap();
    paused.pause().await.unwrap();
    assert_eq!(move_work(&flow).await.moved, 2);
    assert_eq!(move_work(&flow).await, MigrationOutcome::default());
    let moved = run.refresh().await.unwrap();
    assert_eq!((moved.version, moved.status), (2, InstanceStatus::Pending));
    let at_plan = flow.query().current_node(["plan"]).count().await.unwrap();
    assert_eq!(at_plan, 0, "it has not begun");
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["plan", "labour", "rest"]);
    assert_eq!(world.count(run.id(), MIGRATED).await, 1);
    let still = paused.refresh().await.unwrap();
    assert_eq!(
        (still.version, still.waiting_on),
        (2, Some(WaitingOn::Pause))
    );
    assert!(world.noted(paused.id()).await.is_empty());
    paused.resume().await.unwrap();
    assert_eq!(ended(&paused).await.state.lines, ["plan", "labour", "rest"]);
    flow.close().await.unwrap();
}

async fn a_member_that_is_done_is_not_run_again_and_its_update_is_not_mapped(world: &impl Stage) {
    let cast = Cast::default().on("right", |ctx, _| crate::tale::fail_up_to(1, ctx));
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Two, tale("half")).await.unwrap();
    until("one is done and one waits", async || {
        let instance = run.refresh().await.unwrap();
        let waits = matches!(instance.waiting_on, Some(WaitingOn::Retry { .. }));
        waits && instance.nodes.len() == 2
    })
    .await;
    let mapping = flow
        .migrate("moving.group", 1, 2)
        .map_state(Ok::<_, String>);
    let refused = mapping.await.unwrap();
    assert_eq!(refused.refusals[0].reason, MigrationRefusal::HalfMerged);
    let before = run.refresh().await.unwrap();
    let outcome = flow.migrate("moving.group", 1, 2).await.unwrap();
    assert_eq!(outcome.moved, 1, "{outcome:?}");
    assert_eq!(run.refresh().await.unwrap().state, before.state);
    until_waiting(&run).await;
    world.pass(2).await;
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["left", "right", "rest"]);
    let noted = world.noted(run.id()).await;
    assert_eq!(
        nodes(&noted).iter().filter(|node| **node == "left").count(),
        1
    );
    flow.close().await.unwrap();
}

async fn what_was_done_before_a_move_is_undone_after_it(world: &impl Stage) {
    let cast = Cast::default().on("wait", |ctx, _| async move {
        ctx.signal::<Told>().await?;
        line(&ctx)
    });
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Fragile, tale("undone")).await.unwrap();
    until_waiting(&run).await;
    // A version that cannot undo it is none for it.
    let unmapped = flow.migrate("moving.undo", 1, 2).await.unwrap();
    let reason = &unmapped.refusals[0].reason;
    assert!(
        matches!(reason, MigrationRefusal::NoUndo { visit: 1, .. }),
        "{reason}"
    );
    let moved = flow.migrate("moving.undo", 1, 2).map_node("first", "a");
    assert_eq!(moved.await.unwrap().moved, 1);
    until_waiting(&run).await;
    run.cancel("no more").compensate().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Cancelled);
    assert_eq!(done.state.lines, ["first", "undo a"]);
    assert!(done.node("a").unwrap().compensation.is_some());
    flow.close().await.unwrap();
}

async fn runs_of_a_namespace_move_between_versions_that_were_defined_there(world: &impl Stage) {
    let flow = flow(world, Cast::default()).await;
    let define = async |version, steps| {
        let config = json!({"type": "pipeline", "steps": steps, "reducers": {"log": "append"}});
        let definition = flow
            .define("failover")
            .namespace("org-abc")
            .version(version);
        definition.config(config).await.unwrap();
    };
    define(1, json!(["network.reroute", "network.alert"])).await;
    define(
        2,
        json!(["network.alert", {"step": "network.reroute", "name": "again"}]),
    )
    .await;
    let start = async |namespace: &'static str| {
        let run = flow.run("failover").version(1).namespace(namespace);
        run.state(json!({"link": "eth0"})).await
    };
    let run = start("org-abc").await.unwrap();
    let absent = flow.migrate("failover", 1, 2).await.unwrap_err();
    assert!(matches!(absent, MigrationError::NotHere { .. }), "{absent}");
    let migration = flow.migrate("failover", 1, 2).namespace("org-abc");
    let migration = migration.map_node("network.reroute", "again");
    let migration = migration.map_state(|mut state| {
        state["link"] = json!("eth1");
        Ok::<_, String>(state)
    });
    let outcome = migration.await;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((outcome.moved, outcome.refused), (1, 0), "{outcome:?}");
    let removed = flow.undefine("failover").namespace("org-abc").version(1);
    assert_eq!(removed.await.unwrap(), 1, "no run is of it any more");
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!((done.version, done.status), (2, InstanceStatus::Completed));
    assert_eq!(done.state["log"], json!(["alerted", "rerouted eth1"]));
    flow.close().await.unwrap();
}

async fn a_run_that_fails_after_its_move_is_retried_in_the_version_that_it_failed_in(
    world: &impl Stage,
) {
    let heals = Arc::new(AtomicU32::new(0));
    let healed = Arc::clone(&heals);
    let cast = Cast::default()
        .on("work", |ctx, _| crate::tale::fail_up_to(1, ctx))
        .on("labour", move |ctx, _| {
            let healed = Arc::clone(&healed);
            async move {
                match healed.load(Ordering::SeqCst) {
                    0 => Err(StepError::fatal("not yet")),
                    _ => Ok(Tale::update().lines([format!("attempt {}", ctx.attempt())])),
                }
            }
        });
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Work, tale("retried")).await.unwrap();
    assert!(matches!(until_waiting(&run).await, WaitingOn::Retry { .. }));
    moved(&flow, &run).await;
    world.pass(2).await;
    let failed = ended(&run).await;
    assert_eq!((failed.version, failed.status), (2, InstanceStatus::Failed));
    heals.store(1, Ordering::SeqCst);
    let again = run.retry().await.unwrap();
    let done = ended(&again).await;
    assert_eq!((done.version, done.status), (2, InstanceStatus::Completed));
    assert_eq!(done.state.lines, ["attempt 1", "rest"]);
    assert_eq!(done.retry_of, Some(run.id()));
    // What was done is not moved, and not of the other version.
    assert_eq!(move_work(&flow).await, MigrationOutcome::default());
    flow.close().await.unwrap();
}

async fn a_run_can_move_back_and_only_those_of_one_namespace_move_where_that_is_said(
    world: &impl Stage,
) {
    let cast = Cast::default().on("work", |ctx, _| crate::tale::fail_up_to(1, ctx));
    let flow = flow(world, cast).await;
    flow.start_driver().await.unwrap();
    let elsewhere = flow.start(Work, tale("elsewhere")).namespace("org-x");
    let elsewhere = elsewhere.await.unwrap();
    let run = flow.start(Work, tale("there and back")).await.unwrap();
    for run in [&elsewhere, &run] {
        assert!(matches!(until_waiting(run).await, WaitingOn::Retry { .. }));
    }
    let own = flow.migrate("moving.work", 1, 2).namespace("");
    let own = own.map_node("work", "labour").await.unwrap();
    assert_eq!((own.moved, own.is_done()), (1, true), "{own:?}");
    let stays = elsewhere.refresh().await.unwrap();
    assert_eq!(stays.version, 1);
    until_waiting(&run).await;
    let back = flow.migrate("moving.work", 2, 1).map_node("labour", "work");
    assert_eq!(back.await.unwrap().moved, 1);
    until_waiting(&run).await;
    world.pass(2).await;
    let done = ended(&run).await;
    assert_eq!((done.version, done.status), (1, InstanceStatus::Completed));
    assert_eq!(done.state.lines, ["work"]);
    assert_eq!(done.node("work").unwrap().attempt, 2);
    assert_eq!(done.nodes.len(), 1);
    assert_eq!(world.count(run.id(), MIGRATED).await, 2);
    flow.close().await.unwrap();
}

on_both_stores_and_sealed! {
    a_body_that_waits_keeps_its_attempts_and_the_answers_of_its_calls,
    a_time_that_is_waited_for_stays_the_same,
    a_parent_and_children_that_wait_for_their_turn_move_and_stay_a_family,
    a_run_that_was_not_begun_or_is_paused_begins_and_stays_paused_in_the_other_version,
    a_member_that_is_done_is_not_run_again_and_its_update_is_not_mapped,
    what_was_done_before_a_move_is_undone_after_it,
    runs_of_a_namespace_move_between_versions_that_were_defined_there,
    a_run_that_fails_after_its_move_is_retried_in_the_version_that_it_failed_in,
    a_run_can_move_back_and_only_those_of_one_namespace_move_where_that_is_said,
}
