// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed payloads and who has which key: plain rows beside sealed ones, other keys and none, keys that
//! are away for a while, and workers that are killed.

use std::time::Duration;

use forktex::db::sqlx::{self, AssertSqlSafe};
use forktex::db::{CipherErrorKind, ColumnCipher, Db, DbError, DbOptions};
use forktex::flow::error::failure::StepFailureKind;
use forktex::flow::prelude::*;
use forktex::flow::{EventKind, QueryError, ReadError, Sent, SignalError, StartError, WaitingOn};
use forktex::vault::{Key, KeyId, Token, Vault};
use futures_util::future::join_all;

use crate::child::{self, Conduct};
use crate::compensation::Saga;
use crate::mail::{Closed, Listening, told};
use crate::sealed::{REFUSED, Toy};
use crate::signal::until_waiting;
use crate::tale::{Cast, Pair, Solo, Tale, line, tale};
use crate::world::{Gate, World, ended, until};

async fn plain_flow(world: &World, worker: &str) -> Flow {
    let builder = world.builder(worker, Cast::default());
    builder.register::<Listening>().build().await.unwrap()
}

pub(crate) async fn flow(world: &World, worker: &str, cipher: impl ColumnCipher + 'static) -> Flow {
    let builder = world.builder(worker, Cast::default());
    let builder = builder.register::<Listening>().payload_cipher(cipher);
    builder.build().await.unwrap()
}

pub(crate) fn vault() -> Vault {
    Vault::from_key(&Key::generate().unwrap())
}

/// What is stored of one column of a run's rows, as text, in order.
pub(crate) async fn stored(
    world: &World,
    table: &str,
    column: &str,
    run: InstanceId,
) -> Vec<String> {
    let order = match table {
        "journal" => "sequence",
        "inbox" => "message_id",
        _ => "instance_id",
    };
    let sql = format!(
        "SELECT {column}::text FROM forktex_flow.{table}
         WHERE instance_id = $1::uuid AND {column} IS NOT NULL ORDER BY {order}"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(run.to_string())
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

/// The key that a stored value names.
fn key_of(stored: &str) -> Option<KeyId> {
    stored.trim_matches('"').parse::<Token>().ok()?.key_id()
}

/// What a run rests for, by the table.
async fn rests_on(world: &World, run: InstanceId) -> Option<String> {
    let waits_on: Option<Option<String>> =
        sqlx::query_scalar("SELECT waits_on FROM forktex_flow.active WHERE instance_id = $1::uuid")
            .bind(run.to_string())
            .fetch_optional(&world.pool)
            .await
            .unwrap();
    waits_on.flatten()
}

pub(crate) async fn until_resting(world: &World, run: InstanceId) {
    until("the run rests for another worker", async || {
        rests_on(world, run).await.as_deref() == Some("reader")
    })
    .await;
}

/// Has the runs that rest be tried again now.
pub(crate) async fn wake(world: &World, flow: &Flow) {
    sqlx::query("UPDATE forktex_flow.active SET wake_at = now() WHERE waits_on = 'reader'")
        .execute(&world.pool)
        .await
        .unwrap();
    flow.stop_driver().await.unwrap();
    flow.start_driver().await.unwrap();
}

fn kind(error: &DbError) -> CipherErrorKind {
    let DbError::Sealed { cause, .. } = error else {
        panic!("{error:?}");
    };
    cause.kind()
}

pub(crate) async fn refused(run: &Run<Tale>) -> CipherErrorKind {
    let refused = run.refresh().await.unwrap_err();
    let ReadError::Database { error, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        refused.to_string().contains(&run.id().to_string()),
        "{refused}"
    );
    kind(error)
}

#[tokio::test]
async fn a_cipher_is_switched_on_while_plain_runs_live() {
    let world = World::create().await;
    let plain = plain_flow(&world, "plain").await;
    plain.start_driver().await.unwrap();
    let start = plain.start(Listening, tale("before"));
    let run = start.idempotency_key("k").await.unwrap();
    until_waiting(&run).await;
    let sent = run.send(told("plain line", 1)).idempotency_key("m").await;
    assert_eq!(sent.unwrap(), Sent::Accepted);
    until("the signal is taken", async || {
        let read = run.refresh().await.unwrap();
        read.state.total == 1 && matches!(read.waiting_on, Some(WaitingOn::Signal { .. }))
    })
    .await;
    // A plain payload may be any JSON; one that looks as if it were sealed is none of it.
    run.send_named("a.text", json!("AgAAAA")).await.unwrap();
    plain.close().await.unwrap();

    let vault = vault();
    let sealed = flow(&world, "sealed", vault.clone()).await;
    let again = sealed.start(Listening, tale("before")).idempotency_key("k");
    assert_eq!(again.await.unwrap().id(), run.id());
    let other = sealed.start(Listening, tale("after")).idempotency_key("k");
    assert!(matches!(other.await, Err(StartError::Conflict { .. })));
    let run: Run<Tale> = sealed
        .start(Listening, tale("before"))
        .idempotency_key("k")
        .await
        .unwrap();
    let known = run.send(told("plain line", 1)).idempotency_key("m").await;
    assert_eq!(known.unwrap(), Sent::Duplicate);
    let other = run.send(told("another", 1)).idempotency_key("m").await;
    assert!(matches!(other, Err(SignalError::Conflict { .. })));

    sealed.start_driver().await.unwrap();
    run.send(told("sealed line", 1)).await.unwrap();
    run.send(Closed {}).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    for line in ["plain line", "sealed line"] {
        assert!(done.state.lines.iter().any(|told| told == line), "{line}");
    }
    let inputs = stored(&world, "instance", "input", run.id()).await;
    assert_eq!(key_of(&inputs[0]), None, "what is there stays as it is");
    let entries = stored(&world, "journal", "payload", run.id()).await;
    let (first, last) = (entries.first().unwrap(), entries.last().unwrap());
    assert_eq!(
        (key_of(first), key_of(last)),
        (None, Some(vault.primary_key()))
    );
    // A retry or a fork of a plain run is sealed from its first entry on.
    let forked = run.fork("close").await.unwrap();
    assert_eq!(ended(&forked).await.state.lines, done.state.lines);
    for column in [("instance", "input"), ("journal", "payload")] {
        for value in stored(&world, column.0, column.1, forked.id()).await {
            assert_eq!(key_of(&value), Some(vault.primary_key()), "{column:?}");
        }
    }
    sealed.close().await.unwrap();
}

#[tokio::test]
async fn a_flow_without_the_key_says_so_and_its_worker_leaves_the_run_to_another() {
    let world = World::create().await;
    let vault = vault();
    let keyed = flow(&world, "keyed", vault.clone()).await;
    let run = keyed.start(Pair, tale("sealed")).await.unwrap();
    let plain = plain_flow(&world, "plain").await;
    let own = plain.start(Pair, tale("plain")).await.unwrap();
    // Both are claimed by one statement.
    plain.start_driver().await.unwrap();
    assert_eq!(ended(&own).await.status, InstanceStatus::Completed);
    until_resting(&world, run.id()).await;
    let seen = run.refresh().await.unwrap();
    assert_eq!(seen.status, InstanceStatus::Running);
    assert_eq!(seen.waiting_on, Some(WaitingOn::CompatibleWorker));
    assert!(world.noted(run.id()).await.is_empty());

    let without = plain.get(run.id()).await.unwrap_err().to_string();
    assert!(without.contains("payload_cipher"), "{without}");
    let page = plain.query().fetch(None).await.unwrap_err();
    let QueryError::Database(error) = &page else {
        panic!("{page:?}");
    };
    assert_eq!(kind(error), CipherErrorKind::Unavailable);
    assert_eq!(plain.query().count().await.unwrap(), 2);
    let fork = plain.handle(run.id()).fork("first").await;
    assert!(fork.unwrap_err().to_string().contains("payload_cipher"));
    let mut events = plain.handle(own.id()).history().await.unwrap();
    assert!(events.pop().is_some());

    // The run is not harmed: whoever has the key goes on with it.
    plain.stop_driver().await.unwrap();
    wake(&world, &keyed).await;
    assert_eq!(ended(&run).await.state.lines, ["first", "second"]);
    for flow in [plain, keyed] {
        flow.close().await.unwrap();
    }
}

#[tokio::test]
async fn another_key_opens_nothing_and_a_key_is_changed_while_runs_live() {
    let world = World::create().await;
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let before = flow(&world, "before", Vault::from_key(&old)).await;
    before.start_driver().await.unwrap();
    let run = before.start(Listening, tale("rotated")).await.unwrap();
    until_waiting(&run).await;
    run.send(told("old", 1)).await.unwrap();
    until("the signal is taken", async || {
        run.refresh().await.unwrap().state.total == 1
    })
    .await;
    until_waiting(&run).await;
    before.close().await.unwrap();

    // One that has the new key alone.
    let stranger = flow(&world, "stranger", Vault::from_key(&new)).await;
    stranger.start_driver().await.unwrap();
    let id = run.id();
    let unread: Run = stranger.handle(id);
    unread.send(told("new", 1)).await.unwrap();
    until_resting(&world, id).await;
    let ReadError::Database { error, .. } = unread.refresh().await.unwrap_err() else {
        panic!("it is read");
    };
    assert_eq!(kind(&error), CipherErrorKind::UnknownKey);
    for key in [&old, &new] {
        assert!(!format!("{error:?}").contains(key.expose().as_str()));
    }
    let taken = stranger.start(Solo, tale("own")).await.unwrap();
    assert_eq!(ended(&taken).await.status, InstanceStatus::Completed);
    stranger.close().await.unwrap();

    let both = Vault::from_key(&new).with_previous(&old);
    let rotated = flow(&world, "rotated", both).await;
    wake(&world, &rotated).await;
    let unread: Run = rotated.handle(id);
    unread.send(Closed {}).await.unwrap();
    let done = ended(&unread).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state["total"], json!(2));
    let entries = stored(&world, "journal", "payload", id).await;
    assert_eq!(key_of(&entries[0]), Some(old.id()));
    assert_eq!(key_of(entries.last().unwrap()), Some(new.id()));
    rotated.close().await.unwrap();
}

const WAITING_FOR_LOCKS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A start under a key that a run has which cannot be opened errs alone, and not those beside it.
#[tokio::test]
async fn a_start_that_cannot_be_compared_does_not_fail_those_that_share_its_statement() {
    let world = World::create().await;
    let before = flow(&world, "before", vault()).await;
    let start = before.start(Solo, tale("taken")).idempotency_key("taken");
    let taken = start.await.unwrap();
    let run = before.start(Listening, tale("listens")).await.unwrap();
    run.send(told("once", 1))
        .idempotency_key("m")
        .await
        .unwrap();

    let stranger = flow(&world, "stranger", vault()).await;
    // Both writers of starts are kept waiting, so that what comes meanwhile shares one statement.
    let db = Db::connect(world.database.url(), DbOptions::new());
    let db = db.await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let keyed = |key: &str| stranger.start(Solo, tale(key)).idempotency_key(key);
    for key in ["x", "y"] {
        keyed(key).in_transaction(&mut tx).await.unwrap();
    }
    let mut waiting = Vec::new();
    for (key, count) in [("x", 1), ("y", 2)] {
        waiting.push(tokio::spawn(keyed(key).into_future()));
        until("its writer waits", async || {
            world.number(WAITING_FOR_LOCKS).await == count
        })
        .await;
    }
    let starts = (0..20).map(|number| match number {
        7 => keyed("taken").into_future(),
        _ => stranger.start(Solo, tale("beside")).into_future(),
    });
    let mut starts = join_all(starts);
    assert!(futures_util::poll!(&mut starts).is_pending());
    tx.commit().await.unwrap();
    for (number, started) in starts.await.into_iter().enumerate() {
        if number != 7 {
            started.unwrap();
            continue;
        }
        let StartError::Database { error, .. } = started.unwrap_err() else {
            panic!("refused otherwise");
        };
        assert_eq!(kind(&error), CipherErrorKind::UnknownKey);
        let names_run = error.to_string().contains(&taken.id().to_string());
        assert!(names_run, "{error}");
    }
    for start in waiting {
        start.await.unwrap().unwrap();
    }
    db.close().await;
    assert_eq!(stranger.query().count().await.unwrap(), 2 + 2 + 19);
    let send = stranger.handle(run.id()).send(told("once", 1));
    let refused = send.idempotency_key("m").await.unwrap_err();
    let SignalError::Database { error, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(kind(&error), CipherErrorKind::UnknownKey);
    before.close().await.unwrap();
    stranger.close().await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_away_for_a_while_fails_starts_and_holds_up_checkpoints() {
    let world = World::create().await;
    let (toy, gate) = (Toy::default(), Gate::new());
    let held = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let held = held.clone();
        async move {
            held.pass().await;
            line(&ctx)
        }
    });
    let builder = world.builder("worker", cast).payload_cipher(toy.clone());
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("held")).await.unwrap();
    gate.until_arrived(1).await;
    toy.is_away(true);
    let refused = flow.start(Solo, tale("not now")).await.unwrap_err();
    let StartError::Database { error, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(kind(&error), CipherErrorKind::Unavailable);
    let refused = run.send_named("a.signal", json!({})).await.unwrap_err();
    assert!(matches!(refused, SignalError::Database { .. }), "{refused}");
    let sealed = toy.sealed();
    gate.open();
    // The checkpoint is tried again and again, and its body is not.
    until("the checkpoint was tried", async || {
        toy.sealed() > sealed + 3
    })
    .await;
    assert_eq!(
        world
            .number("SELECT count(*) FROM forktex_flow.journal")
            .await,
        0
    );
    toy.is_away(false);
    assert_eq!(ended(&run).await.state.lines, ["first", "second"]);
    assert_eq!(world.noted(run.id()).await.len(), 2);
    assert_eq!(flow.query().count().await.unwrap(), 1);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_value_that_the_cipher_refuses_fails_its_step_and_none_of_its_batch() {
    let world = World::create().await;
    let cast = Cast::default().on("only", |ctx, tale| async move {
        if tale.title == "dear" && ctx.attempt() == 1 {
            return Ok(Tale::update().lines([REFUSED]));
        }
        line(&ctx)
    });
    let builder = world.builder("worker", cast);
    let flow = builder
        .payload_cipher(Toy::default())
        .build()
        .await
        .unwrap();
    let mut runs = Vec::new();
    for number in 0..40 {
        let title = if number == 17 { "dear" } else { "cheap" };
        runs.push(flow.start(Solo, tale(title)).await.unwrap());
    }
    // All at once, so that they share their commits.
    flow.start_driver().await.unwrap();
    for (number, run) in runs.iter().enumerate() {
        let done = ended(run).await;
        assert_eq!(done.status, InstanceStatus::Completed, "{number}");
        assert_eq!(done.state.lines, ["only"]);
        let node = done.node("only").unwrap();
        assert_eq!(node.attempt, if number == 17 { 2 } else { 1 }, "{number}");
        let kind = node.error.as_ref().map(|failure| failure.kind);
        assert_eq!(kind, (number == 17).then_some(StepFailureKind::Payload));
    }
    let refused = flow.start(Solo, tale(REFUSED)).await.unwrap_err();
    assert!(matches!(refused, StartError::Database { .. }), "{refused}");
    flow.close().await.unwrap();
}

/// Why a run is to end is given by who has the key, and carried to the end by workers that lack it.
#[tokio::test]
async fn a_reason_comes_to_the_end_of_a_run_through_workers_without_the_key() {
    let world = World::create().await;
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default()
        .on("only", move |ctx, tale| {
            let held = held.clone();
            async move {
                held.pass().await;
                if tale.title == "deaf" {
                    std::future::pending::<()>().await;
                }
                line(&ctx)
            }
        })
        .on("final", |ctx, _| async move {
            ctx.signal_named("never").await?;
            line(&ctx)
        });
    let builder = world.builder("plain", cast).register::<Saga>();
    let plain = builder.register::<Listening>().build().await.unwrap();
    plain.start_driver().await.unwrap();
    let hears = plain.start(Solo, tale("hears")).await.unwrap();
    let deaf = plain.start(Solo, tale("deaf")).await.unwrap();
    let undone = plain.start(Saga, tale("undone")).await.unwrap();
    let waiting = plain.start(Listening, tale("waits")).await.unwrap();
    gate.until_arrived(2).await;
    for run in [&undone, &waiting] {
        until_waiting(run).await;
    }

    let keyed = flow(&world, "keyed", vault()).await;
    let reason = "a word of the service";
    for run in [&hears, &deaf, &waiting] {
        let grace = Duration::from_millis(if run.id() == deaf.id() { 1 } else { 30_000 });
        let run: Run = keyed.handle(run.id());
        run.cancel(reason).grace_period(grace).await.unwrap();
    }
    gate.open();
    let run: Run = keyed.handle(undone.id());
    run.cancel(reason).compensate().await.unwrap();
    for run in [&hears, &deaf, &undone, &waiting] {
        let keyed: Run = keyed.handle(run.id());
        let done = ended(&keyed).await;
        assert_eq!(done.status, InstanceStatus::Cancelled);
        assert_eq!(done.cancel_reason.as_deref(), Some(reason));
        let last = keyed.history().await.unwrap().pop().unwrap().kind;
        let reason = reason.to_owned();
        assert_eq!(last, EventKind::RunCancelled { reason });
        for (table, column) in [("instance", "cancel_reason"), ("journal", "payload")] {
            for value in stored(&world, table, column, run.id()).await {
                assert!(!value.contains("a word of"), "{table}: {value}");
            }
        }
        assert_eq!(refused(run).await, CipherErrorKind::Unavailable);
    }
    plain.close().await.unwrap();
    keyed.close().await.unwrap();
}

#[tokio::test]
async fn a_killed_worker_resumes_its_sealed_runs_after_the_last_checkpoint() {
    let world = World::create().await;
    let key = Key::generate().unwrap();
    let starter = flow(&world, "starter", Vault::from_key(&key)).await;
    let run = starter.start(Pair, tale("killed")).await.unwrap();
    let worker = child::spawn_sealed(&world, Conduct::HangAt("second"), &key);
    world.until_noted(run.id(), "second", "child").await;
    child::kill(worker).await;
    starter.start_driver().await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["first", "second"]);
    let noted = world.noted(run.id()).await;
    let first = noted.iter().filter(|(node, ..)| node == "first");
    assert_eq!(first.count(), 1, "what was checkpointed is not done again");
    for entry in stored(&world, "journal", "payload", run.id()).await {
        assert_eq!(key_of(&entry), Some(key.id()));
    }
    starter.close().await.unwrap();
}
