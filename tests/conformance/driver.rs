// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Starting and stopping: migrations at once, draining, and who leads.

use std::time::{Duration, Instant};

use forktex::db::sqlx;
use forktex::flow::prelude::*;
use forktex::flow::{DriverError, Role};
use forktex_testkit::TestDatabase;

use crate::tale::{Cast, Pair, line, tale};
use crate::world::{ATTEMPT_FAILED, Gate, LIMIT, World, ended, nodes, until};

#[tokio::test]
async fn ten_concurrent_inits_apply_each_migration_once() {
    let world = World::bare(TestDatabase::create().await.unwrap());
    let mut flows = Vec::new();
    for _ in 0..10 {
        let flow = world.at(world.database.owner_url(), "owner", Cast::default());
        flows.push(flow.build().await.unwrap());
    }
    let mut inits = tokio::task::JoinSet::new();
    for flow in flows {
        inits.spawn(async move { flow.init().await });
    }
    for init in inits.join_all().await {
        init.unwrap();
    }
    let applied = "SELECT count(*) FROM forktex_flow.schema_migration";
    let versions = "SELECT count(DISTINCT version) FROM forktex_flow.schema_migration";
    let applied = world.number(applied).await;
    assert!(applied > 0);
    assert_eq!(world.number(versions).await, applied);
    // The application's role may call it where nothing is left to do.
    world.flow(Cast::default()).await.init().await.unwrap();
}

#[tokio::test]
async fn stop_driver_lets_the_running_step_finish_and_starts_no_other() {
    let world = World::create().await;
    let gate = Gate::new();
    let inside = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let flow = world.builder("worker", cast).slots(1);
    let flow = flow.build().await.unwrap();
    let mut driver = flow.start_driver().await.unwrap();
    let elected = tokio::time::timeout(LIMIT, driver.until_leader(Role::Leader)).await;
    elected.expect("nobody was elected");
    let run = flow.start(Pair, tale("drained")).await.unwrap();
    gate.until_arrived(1).await;
    // It waits for the only slot, which is free again while the driver drains.
    let later = flow.start(Pair, tale("later")).await.unwrap();
    let stopping = tokio::spawn({
        let flow = flow.clone();
        async move { flow.stop_driver().await }
    });
    // The leadership is given up first, and then nothing is claimed any more.
    until("the driver stops leading", async || {
        !driver.is_leader() && leading_worker(&world).await.is_none()
    })
    .await;
    gate.open();
    stopping.await.unwrap().unwrap();

    let stopped = run.refresh().await.unwrap();
    assert_eq!(stopped.status, InstanceStatus::Running);
    assert_eq!(stopped.state.lines, ["first"]);
    assert_eq!(nodes(&world.noted(run.id()).await), ["first"]);
    assert!(world.noted(later.id()).await.is_empty());
    assert_eq!(
        world
            .number("SELECT count(*) FROM forktex_flow.worker WHERE retired_at IS NULL")
            .await,
        0
    );

    let other = world
        .builder("other", Cast::default())
        .build()
        .await
        .unwrap();
    other.start_driver().await.unwrap();
    assert_eq!(ended(&run).await.state.lines, ["first", "second"]);
    assert_eq!(ended(&later).await.status, InstanceStatus::Completed);
    assert_eq!(nodes(&world.noted(run.id()).await), ["first", "second"]);
    other.close().await.unwrap();
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_body_that_outlasts_the_draining_is_handed_back_and_uses_no_attempt() {
    let world = World::create().await;
    let cast = Cast::default().on("first", |_, _| std::future::pending());
    let flow = world
        .builder("worker", cast)
        .drain_timeout(Duration::from_millis(100));
    let flow = flow.build().await.unwrap();
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("handed back")).await.unwrap();
    world.until_noted(run.id(), "first", "worker").await;
    flow.stop_driver().await.unwrap();
    let ready = "SELECT count(*) FROM forktex_flow.active
                 WHERE ready_at IS NOT NULL AND losses = 0 AND lost_attempts = 0";
    assert_eq!(
        world.number(ready).await,
        1,
        "it is ready at once, and no suspect"
    );

    let other = world
        .builder("other", Cast::default())
        .build()
        .await
        .unwrap();
    other.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert!(done.nodes.iter().all(|node| node.attempt == 1));
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 0);
    let attempts: Vec<i32> = world
        .noted(run.id())
        .await
        .iter()
        .map(|noted| noted.1)
        .collect();
    assert_eq!(attempts, [1, 1, 1]);
    other.close().await.unwrap();
    flow.close().await.unwrap();
}

#[tokio::test]
async fn one_driver_leads_and_another_takes_over_when_it_stops() {
    let world = World::create().await;
    let first = world
        .builder("first", Cast::default())
        .build()
        .await
        .unwrap();
    let second = world
        .builder("second", Cast::default())
        .build()
        .await
        .unwrap();
    let mut leader = first.start_driver().await.unwrap();
    let elected = tokio::time::timeout(LIMIT, leader.until_leader(Role::Leader)).await;
    elected.expect("nobody was elected");
    let again = first.start_driver().await.unwrap_err();
    assert!(matches!(again, DriverError::AlreadyRunning), "{again}");

    let mut follower = second.start_driver().await.unwrap();
    assert_eq!(leading_worker(&world).await.as_deref(), Some("first"));
    assert!(leader.is_leader() && !follower.is_leader());
    let stopped_at = Instant::now();
    first.stop_driver().await.unwrap();
    assert!(!leader.is_leader());
    let elected = tokio::time::timeout(LIMIT, follower.until_leader(Role::Leader)).await;
    elected.expect("nobody took over");
    assert!(
        stopped_at.elapsed() < Duration::from_secs(3),
        "{:?}",
        stopped_at.elapsed()
    );
    assert_eq!(leading_worker(&world).await.as_deref(), Some("second"));
    first.close().await.unwrap();
    second.close().await.unwrap();
    assert_eq!(leading_worker(&world).await, None);
}

pub(crate) async fn leading_worker(world: &World) -> Option<String> {
    sqlx::query_scalar(
        "SELECT worker_name FROM forktex_flow.leader JOIN forktex_flow.worker USING (worker_id)",
    )
    .fetch_optional(&world.pool)
    .await
    .unwrap()
}
