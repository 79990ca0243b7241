// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed payloads and who has which key: plain rows beside sealed ones, other keys and none, values that
//! were moved or changed, keys that are away for a while, and workers that are killed.

use std::time::Duration;

use forktex::db::sqlx::{self, AssertSqlSafe};
use forktex::db::{CipherErrorKind, ColumnCipher, DbError};
use forktex::flow::error::failure::StepFailureKind;
use forktex::flow::prelude::*;
use forktex::flow::{EventKind, QueryError, ReadError, Sent, SignalError, StartError, WaitingOn};
use forktex::vault::{Key, KeyId, Token, Vault};

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

async fn flow(world: &World, worker: &str, cipher: impl ColumnCipher + 'static) -> Flow {
    let builder = world.builder(worker, Cast::default());
    let builder = builder.register::<Listening>().payload_cipher(cipher);
    builder.build().await.unwrap()
}

fn vault() -> Vault {
    Vault::from_key(&Key::generate().unwrap())
}

/// Does something to the rows of a run that no flow would.
async fn change(world: &World, sql: &'static str, run: InstanceId, other: InstanceId) {
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(other.to_string())
        .execute(&world.pool)
        .await
        .unwrap();
}

/// What is stored of one column of a run's rows, as text, in order.
async fn stored(world: &World, table: &str, column: &str, run: InstanceId) -> Vec<String> {
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

async fn until_resting(world: &World, run: InstanceId) {
    until("the run rests for another worker", async || {
        rests_on(world, run).await.as_deref() == Some("reader")
    })
    .await;
}

/// Has the runs that rest be tried again now.
async fn wake(world: &World, flow: &Flow) {
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

async fn refused(run: &Run<Tale>) -> CipherErrorKind {
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

/// The lines that end [`Listening`].
async fn end(run: &Run<Tale>) {
    run.send(Closed {}).await.unwrap();
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
    end(&run).await;
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
    let mut starts = Vec::new();
    for number in 0..20 {
        let key = if number == 7 {
            "taken".to_owned()
        } else {
            format!("free-{number}")
        };
        let start = stranger.start(Solo, tale("taken")).idempotency_key(key);
        starts.push(tokio::spawn(async move { start.await }));
    }
    for (number, start) in starts.into_iter().enumerate() {
        let started = start.await.unwrap();
        if number == 7 {
            let StartError::Database { error, .. } = started.unwrap_err() else {
                panic!("refused otherwise");
            };
            assert_eq!(kind(&error), CipherErrorKind::UnknownKey);
            assert!(
                error.to_string().contains(&taken.id().to_string()),
                "{error}"
            );
        } else {
            started.unwrap();
        }
    }
    assert_eq!(stranger.query().count().await.unwrap(), 21);
    let send = stranger.handle(run.id()).send(told("once", 1));
    let refused = send.idempotency_key("m").await.unwrap_err();
    let SignalError::Database { error, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(kind(&error), CipherErrorKind::UnknownKey);
    before.close().await.unwrap();
    stranger.close().await.unwrap();
}

const SWAP_INPUTS: &str = "UPDATE forktex_flow.instance AS mine SET input = other.input
    FROM forktex_flow.instance AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))";
const SWAP_ENTRIES: &str = "UPDATE forktex_flow.journal AS mine SET payload = other.payload
    FROM forktex_flow.journal AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid)) AND mine.sequence = other.sequence";
const SHIFT_ENTRIES: &str = "UPDATE forktex_flow.journal AS mine SET payload = other.payload
    FROM forktex_flow.journal AS other
    WHERE mine.instance_id IN ($1::uuid, $2::uuid) AND mine.instance_id = other.instance_id
      AND (mine.sequence, other.sequence) IN ((1, 2), (2, 1))";
const SWAP_MESSAGES: &str = "UPDATE forktex_flow.inbox AS mine SET payload = other.payload
    FROM forktex_flow.inbox AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))
      AND mine.name = 'tale.told' AND other.name = mine.name
      AND mine.idempotency_key = other.idempotency_key";
const RENAME_MESSAGES: &str = "UPDATE forktex_flow.inbox
    SET name = CASE name WHEN 'tale.told' THEN 'tale.closed' ELSE 'tale.told' END
    WHERE instance_id IN ($1::uuid, $2::uuid)";
const FLIP_A_BIT: &str = "UPDATE forktex_flow.instance
    SET input = to_jsonb(overlay(input #>> '{}' PLACING
        CASE substr(input #>> '{}', 130, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 130 FOR 1))
    WHERE instance_id IN ($1::uuid, $2::uuid)";

/// Two runs that wait, and have taken a line each.
async fn two_listeners(flow: &Flow) -> [Run<Tale>; 2] {
    let mut runs = Vec::new();
    for title in ["one", "two"] {
        let run = flow.start(Listening, tale(title)).await.unwrap();
        until_waiting(&run).await;
        run.send(told(title, 1)).await.unwrap();
        until("the line is taken", async || {
            run.refresh().await.unwrap().state.total == 1
        })
        .await;
        until_waiting(&run).await;
        runs.push(run);
    }
    runs.try_into().unwrap()
}

#[tokio::test]
async fn what_was_moved_between_runs_or_entries_does_not_open_and_is_visibly_not_run() {
    let world = World::create().await;
    let flow = flow(&world, "worker", vault()).await;
    flow.start_driver().await.unwrap();
    for (moved, is_undone_by_repeating) in [
        (SWAP_INPUTS, true),
        (SWAP_ENTRIES, true),
        (SHIFT_ENTRIES, true),
        (FLIP_A_BIT, false),
    ] {
        let [one, two] = two_listeners(&flow).await;
        let before = stored(&world, "instance", "input", one.id()).await;
        change(&world, moved, one.id(), two.id()).await;
        for run in [&one, &two] {
            assert_eq!(
                refused(run).await,
                CipherErrorKind::TamperedOrMoved,
                "{moved}"
            );
            end(run).await;
        }
        for run in [&one, &two] {
            until_resting(&world, run.id()).await;
            assert_eq!(world.count(run.id(), crate::world::RUN_FAILED).await, 0);
        }
        if !is_undone_by_repeating {
            assert_ne!(stored(&world, "instance", "input", one.id()).await, before);
            continue;
        }
        change(&world, moved, one.id(), two.id()).await;
        wake(&world, &flow).await;
        for (run, title) in [(&one, "one"), (&two, "two")] {
            let done = ended(run).await;
            assert_eq!(done.status, InstanceStatus::Completed, "{moved}");
            assert_eq!((done.state.title.as_str(), done.state.total), (title, 1));
        }
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_signal_that_was_moved_to_another_run_or_name_is_not_taken() {
    let world = World::create().await;
    let flow = flow(&world, "worker", vault()).await;
    for moved in [SWAP_MESSAGES, RENAME_MESSAGES] {
        let mut runs = Vec::new();
        for title in ["one", "two"] {
            let run = flow.start(Listening, tale(title)).await.unwrap();
            let send = run.send(told(title, 3)).idempotency_key("told");
            send.await.unwrap();
            runs.push(run);
        }
        change(&world, moved, runs[0].id(), runs[1].id()).await;
        flow.start_driver().await.unwrap();
        for run in &runs {
            until_resting(&world, run.id()).await;
            let seen = run.refresh().await.unwrap();
            assert_eq!(
                seen.waiting_on,
                Some(WaitingOn::CompatibleWorker),
                "{moved}"
            );
            assert_eq!(seen.state.total, 0);
        }
        change(&world, moved, runs[0].id(), runs[1].id()).await;
        wake(&world, &flow).await;
        for (run, title) in runs.iter().zip(["one", "two"]) {
            let done = ended(run).await;
            assert_eq!(done.status, InstanceStatus::Completed, "{moved}");
            assert!(done.state.lines.iter().any(|line| line == title));
        }
        flow.stop_driver().await.unwrap();
    }
    flow.close().await.unwrap();
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
