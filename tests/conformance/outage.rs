// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The database goes away, and comes back: errors are typed, and nothing is lost or doubled.

use std::time::Duration;

use forktex::db::{DbError, DbOptions};
use forktex::flow::prelude::*;
use forktex::flow::{BuildError, CancelError, DriverError, ReadError, StartError};
use forktex_testkit::{Postgres, PostgresOptions, Proxy, TestDatabase};

use crate::tale::{Cast, Pair, Tale, line, tale};
use crate::world::{
    ATTEMPT_FAILED, COMPLETED, Gate, RUN_CANCELLED, RUN_COMPLETED, World, ended, nodes, until,
};

/// Whether the database could not be reached, or did not answer.
fn is_outage(error: &DbError) -> bool {
    matches!(
        error,
        DbError::Unavailable { .. } | DbError::Timeout { .. } | DbError::OutcomeUnknown
    )
}

/// Options that give up soon, so that a test of an outage is quick.
fn impatient() -> DbOptions {
    DbOptions::new()
        .acquire_timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_secs(2))
}

#[tokio::test]
async fn a_server_that_is_down_is_a_typed_error_and_no_run_is_lost() {
    let server = Postgres::start(PostgresOptions::new()).await.unwrap();
    let world = World::on(server.create_database().await.unwrap()).await;
    let builder = world.builder("worker", Cast::default());
    let flow = builder.db_options(impatient()).build().await.unwrap();
    let accepted = flow.start(Pair, tale("before")).await.unwrap();
    server.stop().await.unwrap();

    let builder = world.builder("late", Cast::default());
    let refused = builder.db_options(impatient()).build().await.unwrap_err();
    let BuildError::Database(error) = &refused else {
        panic!("refused otherwise: {refused}")
    };
    assert!(is_outage(error), "{error}");
    let refused = flow.start(Pair, tale("during")).await.unwrap_err();
    let StartError::Database { workflow, error } = &refused else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!(workflow.as_str(), "tale.pair");
    assert!(is_outage(error), "{error}");
    let refused = accepted.refresh().await.unwrap_err();
    assert!(matches!(refused, ReadError::Database { .. }), "{refused}");
    let refused = accepted.cancel("no").await.unwrap_err();
    assert!(matches!(refused, CancelError::Database { .. }), "{refused}");
    let refused = flow.start_driver().await.unwrap_err();
    assert!(matches!(refused, DriverError::Database(_)), "{refused}");

    server.restart().await.unwrap();
    flow.start_driver().await.unwrap();
    assert_eq!(ended(&accepted).await.status, InstanceStatus::Completed);
    assert_eq!(
        nodes(&world.noted(accepted.id()).await),
        ["first", "second"]
    );
    let runs = "SELECT count(*) FROM forktex_flow.instance";
    assert_eq!(
        world.number(runs).await,
        1,
        "what was refused does not exist"
    );
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_server_restarts_during_a_step_finishes_as_if_it_had_not() {
    let server = Postgres::start(PostgresOptions::new()).await.unwrap();
    finishes_after(&server, async || server.stop().await.unwrap()).await;
}

#[tokio::test]
async fn a_run_whose_server_crashes_during_a_step_finishes_as_if_it_had_not() {
    let options = PostgresOptions::new().durable();
    let server = Postgres::start(options).await.unwrap();
    finishes_after(&server, async || server.kill().await.unwrap()).await;
}

/// Takes the server away while a step runs, brings it back after the step's end.
async fn finishes_after(server: &Postgres, hurt: impl AsyncFn()) {
    let world = World::on(server.create_database().await.unwrap()).await;
    let gate = Gate::new();
    let inside = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let builder = world.builder("worker", cast).db_options(impatient());
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("restart")).await.unwrap();
    gate.until_arrived(1).await;
    hurt().await;
    // The step ends while there is no server to commit to.
    gate.open();
    server.restart().await.unwrap();
    until("the run ends", async || {
        let run = run.refresh().await;
        run.is_ok_and(|run| run.status.is_terminal())
    })
    .await;

    let done = run.refresh().await.unwrap();
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["first", "second"]);
    assert!(
        done.nodes
            .iter()
            .all(|node| node.attempt == 1 && node.error.is_none())
    );
    assert_eq!(nodes(&world.noted(run.id()).await), ["first", "second"]);
    assert_eq!(world.count(run.id(), COMPLETED).await, 2);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 0);
    // The worker is whole again.
    let later = flow.start(Pair, tale("later")).await.unwrap();
    assert_eq!(ended(&later).await.status, InstanceStatus::Completed);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c07_a_worker_cut_off_for_longer_than_its_lease_is_told_and_its_output_refused() {
    let world = World::create().await;
    let proxy = Proxy::start(address_of(&world.database)).await.unwrap();
    let url = proxy.url_through(world.database.url()).unwrap();
    let (gate, held) = (Gate::new(), Gate::new());
    let inside = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = inside.clone();
        async move {
            ctx.cancelled().await;
            gate.pass().await;
            Ok(Tale::update().lines(["stale"]))
        }
    });
    let cut_off = world.at(&url, "cut off", cast).db_options(impatient());
    let cut_off = cut_off.lease(Duration::from_secs(1)).build().await.unwrap();
    cut_off.start_driver().await.unwrap();
    let run = cut_off.start(Pair, tale("c07")).await.unwrap();
    world.until_noted(run.id(), "first", "cut off").await;
    let inside = held.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let held = inside.clone();
        async move {
            held.pass().await;
            line(&ctx)
        }
    });
    let other = world.builder("other", cast);
    let other = other.lease(Duration::from_secs(2)).build().await.unwrap();
    other.start_driver().await.unwrap();
    proxy.block();
    proxy.cut();

    // The body is told when another worker may have the run, and ends while that one runs the step:
    // nothing but the epoch stands between its output and the journal.
    gate.until_arrived(1).await;
    held.until_arrived(1).await;
    proxy.unblock();
    gate.open();
    cut_off.close().await.unwrap();
    let journal = world.journal(run.id()).await;
    assert!(journal.is_empty(), "a late write came through");
    held.open();
    let done = ended(&other.handle(run.id())).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state["lines"], json!(["first", "second"]));
    let noted = world.noted(run.id()).await;
    assert_eq!(nodes(&noted), ["first", "first", "second"]);
    let workers: Vec<&str> = noted.iter().map(|noted| noted.2.as_str()).collect();
    assert_eq!(workers, ["cut off", "other", "other"]);
    let kinds: Vec<i16> = world
        .journal(run.id())
        .await
        .iter()
        .map(|entry| entry.kind)
        .collect();
    assert_eq!(kinds, [COMPLETED, COMPLETED, RUN_COMPLETED]);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_whose_answer_is_lost_is_written_once() {
    let world = World::create().await;
    let proxy = Proxy::start(address_of(&world.database)).await.unwrap();
    let url = proxy.url_through(world.database.url()).unwrap();
    let gate = Gate::new();
    let inside = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let flow = world.at(&url, "worker", cast).build().await.unwrap();
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("lost answer")).await.unwrap();
    gate.until_arrived(1).await;
    // The answer is on its way for longer than it takes to see the row and cut the wire.
    proxy.delay(Duration::from_millis(500));
    gate.open();
    until("the checkpoint is committed", async || {
        world.count(run.id(), COMPLETED).await == 1
    })
    .await;
    proxy.cut();
    proxy.delay(Duration::ZERO);

    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["first", "second"]);
    let journal = world.journal(run.id()).await;
    let kinds: Vec<i16> = journal.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [COMPLETED, COMPLETED, RUN_COMPLETED]);
    assert_eq!(
        nodes(&world.noted(run.id()).await),
        ["first", "second"],
        "a body ran again"
    );
    flow.close().await.unwrap();
}

#[tokio::test]
async fn connections_cut_under_load_double_no_entry_and_lose_no_run() {
    const RUNS: usize = 60;
    let world = World::create().await;
    let proxy = Proxy::start(address_of(&world.database)).await.unwrap();
    let url = proxy.url_through(world.database.url()).unwrap();
    let flow = world.at(&url, "worker", Cast::default()).slots(4);
    let flow = flow.build().await.unwrap();
    // Held back answers are what a cut loses: the commit happened, and nobody was told.
    let mut runs = Vec::new();
    for number in 0..RUNS {
        let key = format!("key-{number}");
        runs.push(
            flow.start(Pair, tale("cut"))
                .idempotency_key(key)
                .await
                .unwrap(),
        );
    }
    proxy.delay(Duration::from_millis(5));
    flow.start_driver().await.unwrap();
    let mut cuts = 0;
    until("all runs end", async || {
        if cuts < 25 {
            proxy.cut();
            cuts += 1;
        }
        world
            .number("SELECT count(*) FROM forktex_flow.active")
            .await
            == 0
    })
    .await;
    assert!(cuts > 2, "the load was over before it was hurt");

    proxy.delay(Duration::ZERO);
    for run in &runs {
        let done = ended(run).await;
        assert_eq!(done.status, InstanceStatus::Completed);
        assert_eq!(done.state.lines, ["first", "second"]);
        assert!(done.nodes.iter().all(|node| node.attempt == 1));
        let kinds: Vec<i16> = world
            .journal(run.id())
            .await
            .iter()
            .map(|entry| entry.kind)
            .collect();
        assert_eq!(kinds, [COMPLETED, COMPLETED, RUN_COMPLETED]);
        assert_eq!(nodes(&world.noted(run.id()).await), ["first", "second"]);
    }
    let _ = flow.close().await;
}

#[tokio::test]
async fn a_cancel_whose_answer_is_lost_is_recorded_once() {
    let world = World::create().await;
    let proxy = Proxy::start(address_of(&world.database)).await.unwrap();
    let url = proxy.url_through(world.database.url()).unwrap();
    let flow = world
        .at(&url, "worker", Cast::default())
        .build()
        .await
        .unwrap();
    let run = flow.start(Pair, tale("cancelled")).await.unwrap();
    proxy.drop_after_commit();
    match run.cancel("once").await {
        Ok(()) => {}
        Err(CancelError::Database { error, .. }) => {
            assert_eq!(error, DbError::OutcomeUnknown);
        }
        Err(error) => panic!("refused otherwise: {error}"),
    }
    assert_eq!(proxy.commits_dropped(), 1, "no answer was lost");
    // Asking again is safe, and says what there is.
    let again = run.cancel("twice").await.unwrap_err();
    assert!(
        matches!(again, CancelError::AlreadyTerminal { .. }),
        "{again}"
    );
    let cancelled = run.refresh().await.unwrap();
    assert_eq!(cancelled.status, InstanceStatus::Cancelled);
    assert_eq!(cancelled.cancel_reason.as_deref(), Some("once"));
    assert_eq!(world.count(run.id(), RUN_CANCELLED).await, 1);
    flow.close().await.unwrap();
}

/// Where the server of a database listens.
fn address_of(database: &TestDatabase) -> std::net::SocketAddr {
    let url = database.url();
    let after_user = url.rsplit('@').next().unwrap();
    let address = after_user.split('/').next().unwrap();
    std::net::ToSocketAddrs::to_socket_addrs(address)
        .unwrap()
        .next()
        .unwrap()
}
