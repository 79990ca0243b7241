// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What happens to a run just between the look at it and its move. The function that maps its state is
//! called there, so that is where the tests make it happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use forktex::flow::prelude::*;
use forktex::flow::{MigrateBuilder, MigrationError};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::mail::{Closed, told};
use crate::migrate::{Early, Late, MIGRATED, bound, migration};
use crate::tale::{Cast, Tale, line, tale};
use crate::world::{Gate, World, ended, nodes, until};

async fn flow(world: &World, cast: Cast) -> Flow {
    let builder = world.builder("worker", cast);
    let builder = builder.register::<Early>().register::<Late>();
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    flow
}

async fn until_at(flow: &Flow, run: InstanceId, node: &str) {
    until("the run waits there", async || {
        let run = flow.get(run).await.unwrap();
        run.waiting_on.is_some() && run.current_nodes.iter().any(|at| at.as_str() == node)
    })
    .await;
}

async fn listening(flow: &Flow, title: &str) -> Run<Tale> {
    let run = flow.start(Early, tale(title)).await.unwrap();
    until_at(flow, run.id(), "listen").await;
    run
}

/// Has something happen when the state is mapped for the first time. Counts how often it is.
fn overtaken<F: Future<Output = ()>>(
    migration: MigrateBuilder,
    map: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static,
    happens: impl Fn() -> F + Send + Sync + 'static,
) -> (MigrateBuilder, Arc<AtomicU32>) {
    let times = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&times);
    let migration = migration.map_state(move |state| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::task::block_in_place(|| Handle::current().block_on(happens()));
        }
        map(&state)
    });
    (migration, times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_went_on_and_waits_elsewhere_is_looked_at_again_and_moves_from_there() {
    let world = World::create().await;
    let cast = Cast::default().on("close", |ctx, _| async move {
        ctx.signal::<Closed>().await?;
        line(&ctx)
    });
    let flow = flow(&world, cast).await;
    let run = listening(&flow, "goes on").await;
    let (going, runner) = (run.clone(), flow.clone());
    let (migration, times) = overtaken(migration(&flow), bound, move || {
        let (run, flow) = (going.clone(), runner.clone());
        async move {
            run.send(told("heard", 1)).await.unwrap();
            until_at(&flow, run.id(), "close").await;
        }
    });
    let outcome = migration.await.unwrap();
    assert_eq!((outcome.moved, outcome.is_done()), (1, true), "{outcome:?}");
    assert_eq!(times.load(Ordering::SeqCst), 2);
    let done = ended(&flow.handle(run.id())).await;
    assert_eq!((done.version, done.status), (2, InstanceStatus::Completed));
    let lines = json!(["open", "listen", "heard", "close"]);
    assert_eq!(
        (&done.state["lines"], &done.state["total"]),
        (&lines, &json!(1))
    );
    assert_eq!(world.count(run.id(), MIGRATED).await, 1);
    flow.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_a_worker_has_taken_is_left_to_it() {
    let world = World::create().await;
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default().on("close", move |ctx, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let flow = flow(&world, cast).await;
    let run = listening(&flow, "taken").await;
    let (going, arrived) = (run.clone(), gate.clone());
    let (migration, _) = overtaken(migration(&flow), bound, move || {
        let (run, gate) = (going.clone(), arrived.clone());
        async move {
            run.send(told("heard", 1)).await.unwrap();
            gate.until_arrived(1).await;
        }
    });
    let outcome = migration.await.unwrap();
    assert_eq!((outcome.moved, &outcome.owned_runs), (0, &vec![run.id()]));
    gate.open();
    let done = ended(&run).await;
    assert_eq!((done.version, done.status), (1, InstanceStatus::Completed));
    let noted = world.noted(run.id()).await;
    assert_eq!(
        nodes(&noted),
        ["open", "listen", "close"],
        "its worker kept it"
    );
    assert_eq!(world.count(run.id(), MIGRATED).await, 0);
    flow.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_has_ended_or_moved_meanwhile_is_passed_over() {
    let world = World::create().await;
    let flow = flow(&world, Cast::default()).await;
    let cancelled = listening(&flow, "cancelled").await;
    let ending = cancelled.clone();
    let (cancelling, _) = overtaken(migration(&flow), bound, move || {
        let run = ending.clone();
        async move { run.cancel("no more").await.unwrap() }
    });
    let outcome = cancelling.await.unwrap();
    assert_eq!((outcome.moved, outcome.passed_over), (0, 1), "{outcome:?}");
    let ended = cancelled.refresh().await.unwrap();
    assert_eq!(
        (ended.version, ended.status),
        (1, InstanceStatus::Cancelled)
    );

    let run = listening(&flow, "moved").await;
    let other = flow.clone();
    let (late, _) = overtaken(migration(&flow), bound, move || {
        let flow = other.clone();
        async move { assert_eq!(migration(&flow).await.unwrap().moved, 1) }
    });
    let outcome = late.await.unwrap();
    assert_eq!((outcome.moved, outcome.passed_over), (0, 1), "{outcome:?}");
    assert_eq!(world.count(run.id(), MIGRATED).await, 1);
    flow.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_removed_meanwhile_is_told_and_its_runs_stay() {
    let world = World::create().await;
    let flow = flow(&world, Cast::default()).await;
    flow.stop_driver().await.unwrap();
    for (version, steps) in [
        (1, json!(["network.alert"])),
        (2, json!(["network.reroute"])),
    ] {
        let config = json!({"type": "pipeline", "steps": steps, "reducers": {"log": "append"}});
        let definition = flow.define("short").namespace("org-abc").version(version);
        definition.config(config).await.unwrap();
    }
    let start = flow.run("short").version(1).namespace("org-abc");
    let run = start.state(json!({})).await.unwrap();
    let migration = flow.migrate("short", 1, 2).namespace("org-abc");
    let remover = flow.clone();
    let (migration, _) = overtaken(
        migration,
        |state| Ok(state.clone()),
        move || {
            let flow = remover.clone();
            async move {
                let gone = flow.undefine("short").namespace("org-abc").version(2);
                assert_eq!(gone.await.unwrap(), 1);
            }
        },
    );
    let gone = migration.await.unwrap_err();
    assert!(
        matches!(gone, MigrationError::DefinitionGone { version: 2, .. }),
        "{gone}"
    );
    flow.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!((done.version, &done.state["log"]), (1, &json!(["alerted"])));
    flow.close().await.unwrap();
}
