// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Payloads at rest: with a cipher runs do all that they do without, and no column but the metadata
//! holds a word of theirs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use forktex::db::sqlx::{self, AssertSqlSafe};
use forktex::db::{CipherError, CipherErrorKind, ColumnCipher, Db, DbOptions, Place};
use forktex::flow::definition::Declaration;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::prelude::*;
use forktex::flow::query::InstanceQuery;
use forktex::flow::{
    EventKind, FlowBuilder, QueryError, Retention, Sent, SignalError, StartError, Version, Workflow,
};
use forktex::vault::{Key, Vault};

use crate::compensation::Saga;
use crate::mail::{Listening, told};
use crate::retention::age;
use crate::schedule::{make_due, new_year, until_moved_on};
use crate::signal::until_waiting;
use crate::tale::{Cast, Pair, Solo, Tale, TaleUpdate, act, line, tale};
use crate::world::{Gate, World, ended, until};

/// What no column may show.
const MARKER: &str = "marker-5e1f";

/// What [`Toy`] does not seal.
pub(crate) const REFUSED: &str = "too dear";

/// A cipher that counts, and does as it is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toy(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    sealed: AtomicU64,
    opened: AtomicU64,
    is_away: AtomicBool,
}

impl Toy {
    pub(crate) fn sealed(&self) -> u64 {
        self.0.sealed.load(Ordering::SeqCst)
    }

    pub(crate) fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::SeqCst)
    }

    pub(crate) fn is_away(&self, is_away: bool) {
        self.0.is_away.store(is_away, Ordering::SeqCst);
    }
}

/// The place, which is part of what is sealed.
fn label(place: &Place<'_>) -> Vec<u8> {
    format!("{place:?}").into_bytes()
}

impl ColumnCipher for Toy {
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        self.0.sealed.fetch_add(1, Ordering::SeqCst);
        if self.0.is_away.load(Ordering::SeqCst) {
            return Err(CipherError::new(CipherErrorKind::Unavailable, "away"));
        }
        if String::from_utf8_lossy(plaintext).contains(REFUSED) {
            return Err(CipherError::new(
                CipherErrorKind::Refused,
                "not such a value",
            ));
        }
        let plain = [label(place).as_slice(), plaintext].concat();
        Ok(plain.into_iter().map(|byte| byte ^ 0x5a).collect())
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let plain: Vec<u8> = sealed.iter().map(|byte| byte ^ 0x5a).collect();
        let opened = plain.strip_prefix(label(place).as_slice());
        opened
            .map(<[u8]>::to_vec)
            .ok_or_else(|| CipherError::new(CipherErrorKind::TamperedOrMoved, "not from here"))
    }
}

/// The columns of all tables of the flow that show the marker.
async fn columns_with_marker(world: &World) -> BTreeSet<String> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = 'forktex_flow'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert!(columns.len() > 100, "{}", columns.len());
    let mut in_hex = String::new();
    for byte in MARKER.bytes() {
        write!(in_hex, "{byte:02x}").unwrap();
    }
    let mut found = BTreeSet::new();
    for (table, column) in columns {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM forktex_flow.{table}
             WHERE position($1 IN {column}::text) > 0 OR position($2 IN {column}::text) > 0)"
        );
        let shows: bool = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(MARKER)
            .bind(&in_hex)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        if shows {
            found.insert(format!("{table}.{column}"));
        }
    }
    found
}

/// A workflow whose ticks have a run or, where the input fails, an error.
macro_rules! dated {
    ($ident:ident, $name:literal, $input:expr) => {
        struct $ident;

        impl Workflow for $ident {
            type State = Tale;
            const NAME: &'static str = $name;
            const VERSION: Version = 1;

            fn declare() -> Declaration {
                Pipeline::<Tale>::new($name, 1)
                    .step(Node::of::<act>().named("only"))
                    .schedule_with(new_year(), $input)
                    .build()
            }
        }
    };
}

dated!(Fired, "sealed.fired", || tale(MARKER));
dated!(Dear, "sealed.dear", || tale(REFUSED));
dated!(Unfired, "sealed.unfired", || Err::<Tale, _>(MARKER));

/// What the steps do, by the titles of their runs.
fn cast(gate: &Gate) -> Cast {
    let fatal = Arc::new(AtomicU32::new(0));
    let (held, undone) = (gate.clone(), gate.clone());
    Cast::default()
        .on("only", move |ctx, told| {
            let (fatal, held) = (Arc::clone(&fatal), held.clone());
            async move { play(&ctx, &told, &fatal, &held).await }
        })
        .on("final", move |ctx, _| {
            let undone = undone.clone();
            async move {
                undone.pass().await;
                line(&ctx)
            }
        })
}

async fn play(ctx: &Ctx, told: &Tale, fatal: &AtomicU32, held: &Gate) -> StepResult<TaleUpdate> {
    let part = told.title.strip_prefix(MARKER).unwrap_or_default().trim();
    match part {
        "calls" => {
            let block = async { Ok::<_, StepError>(MARKER.to_owned()) };
            let once: String = ctx.once("block", block).await?;
            ctx.emit(&json!({ "told": MARKER })).await?;
            let child = ctx.spawn(Solo, tale(MARKER)).await?;
            let child = ctx.wait(child).await?;
            let mapped = ctx.map(Solo, vec![tale(MARKER), tale(MARKER)]).await?;
            ctx.sleep(Duration::from_millis(20)).await?;
            let go = ctx.signal_named("go").await?;
            let lines = [
                once,
                child.title,
                go["why"].to_string(),
                mapped.len().to_string(),
            ];
            Ok(Tale::update().lines(lines).subject(MARKER.to_owned()))
        }
        "slow" if ctx.attempt() == 1 => Err(StepError::new(MARKER)),
        "fatal" if fatal.fetch_add(1, Ordering::SeqCst) == 0 => Err(StepError::fatal(MARKER)),
        "held" => {
            held.pass().await;
            Ok(Tale::update().lines([MARKER]))
        }
        _ => Ok(Tale::update().lines([MARKER])),
    }
}

fn registered(builder: FlowBuilder) -> FlowBuilder {
    builder
        .register::<Listening>()
        .register::<Saga>()
        .register::<Fired>()
        .register::<Unfired>()
}

fn titled(part: &str) -> Tale {
    tale(&format!("{MARKER} {part}"))
}

/// Every way in which words of a service come into the tables. Returns the columns that show them, looked
/// for while runs live and when all have ended.
async fn columns_after_a_life(
    world: &World,
    builder: FlowBuilder,
    gate: &Gate,
) -> BTreeSet<String> {
    let retention = Retention::new().completed(Duration::from_hours(1));
    let flow = registered(builder).retention(retention);
    let flow = flow.build().await.unwrap();
    flow.start_driver().await.unwrap();

    let calls = flow.start(Solo, titled("calls"));
    let calls = calls.metadata(json!({ "shown": MARKER })).await.unwrap();
    let held = flow.start(Solo, titled("held")).await.unwrap();
    let saga = flow.start(Saga, titled("saga")).await.unwrap();
    let unread = flow.start(Listening, titled("unread")).await.unwrap();
    gate.until_arrived(2).await;
    until_waiting(&unread).await;
    unread
        .send_named("nobody.asks", json!(MARKER))
        .await
        .unwrap();
    held.cancel(MARKER).await.unwrap();
    saga.cancel(MARKER).compensate().await.unwrap();
    let mut columns = columns_with_marker(world).await;

    gate.open();
    let why = json!({ "why": MARKER });
    calls
        .send_named("go", why)
        .idempotency_key("go")
        .await
        .unwrap();
    unread.cancel(MARKER).await.unwrap();
    for cancelled in [&held, &saga, &unread] {
        let cancelled = ended(cancelled).await;
        assert_eq!(cancelled.status, InstanceStatus::Cancelled);
        assert_eq!(cancelled.cancel_reason.as_deref(), Some(MARKER));
    }
    let last = saga.history().await.unwrap().pop().unwrap().kind;
    let reason = MARKER.to_owned();
    assert_eq!(last, EventKind::RunCancelled { reason });
    let done = ended(&calls).await;
    assert_eq!(done.status, InstanceStatus::Completed, "{:?}", done.failure);
    let lines = [MARKER, MARKER, &format!("\"{MARKER}\""), "2"];
    assert_eq!(done.state.lines, lines);
    groups_are_named_by_runs(world, &flow, calls.id()).await;
    let emitted = calls
        .history()
        .await
        .unwrap()
        .into_iter()
        .find_map(|event| {
            let EventKind::Emitted { value, .. } = event.kind else {
                return None;
            };
            Some(value)
        });
    assert_eq!(emitted, Some(json!({ "told": MARKER })));

    attempts_and_forks(&flow).await;
    listens(&flow).await;
    schedules(world, &flow).await;
    in_a_transaction(world, &flow).await;

    let all = flow.query().limit(1_000).fetch(None).await.unwrap();
    assert!(all.items.len() >= 12, "{}", all.items.len());
    for run in &all.items {
        assert!(run.input["title"].as_str().unwrap().starts_with(MARKER));
    }
    columns.extend(columns_with_marker(world).await);

    age(world).await;
    let completed = flow.query().status([InstanceStatus::Completed]);
    let count = completed.count().await.unwrap();
    assert_eq!(flow.prune().await.unwrap(), count);
    assert_eq!(completed.count().await.unwrap(), 0);
    flow.close().await.unwrap();
    columns
}

/// The default key of a call has a digest of its arguments in it: it must not stand in a plain column.
async fn groups_are_named_by_runs(world: &World, flow: &Flow, parent: InstanceId) {
    let children = flow.query().parent(parent).ids().await.unwrap();
    assert_eq!(children.len(), 3);
    let groups: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM forktex_flow.inbox WHERE instance_id = $1::uuid AND kind = 2",
    )
    .bind(parent.to_string())
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(groups.len(), 3);
    let is_child = |group: &String| children.iter().any(|child| child.to_string() == *group);
    assert!(groups.iter().all(is_child), "{groups:?}");
    // One of `spawn`, one of `map`.
    assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), 2);
}

async fn attempts_and_forks(flow: &Flow) {
    let slow = flow.start(Solo, titled("slow")).await.unwrap();
    let slow = ended(&slow).await;
    assert_eq!(slow.node("only").unwrap().attempt, 2);
    let fatal = flow.start(Solo, titled("fatal")).await.unwrap();
    let failed = ended(&fatal).await.failure.unwrap().to_string();
    assert!(failed.contains(MARKER), "{failed}");
    let again = fatal.retry().await.unwrap();
    assert_eq!(ended(&again).await.status, InstanceStatus::Completed);

    let pair = flow.start(Pair, tale(MARKER)).await.unwrap();
    ended(&pair).await;
    let forked = ended(&pair.fork("second").await.unwrap()).await;
    assert_eq!(forked.status, InstanceStatus::Completed);
    assert_eq!(forked.state.lines, ["first", "second"]);
    // A fork of a fork: what it begins with was sealed anew once before.
    let forked = flow.handle(forked.instance_id);
    let twice = ended(&forked.fork("second").await.unwrap()).await;
    assert_eq!(twice.state["lines"], json!(["first", "second"]));
}

async fn listens(flow: &Flow) {
    let run = flow.start(Listening, titled("mail")).await.unwrap();
    for key in ["one", "two", "three"] {
        let sent = run.send(told(MARKER, 1)).idempotency_key(key).await;
        assert_eq!(sent.unwrap(), Sent::Accepted);
    }
    let done = ended(&run).await;
    assert_eq!(
        (done.status, done.state.total),
        (InstanceStatus::Completed, 3)
    );
    let heard = done.state.lines.iter().filter(|line| *line == MARKER);
    assert_eq!(heard.count(), 3);
}

async fn schedules(world: &World, flow: &Flow) {
    make_due(world, Fired::NAME, 1).await;
    make_due(world, Unfired::NAME, 1).await;
    until_moved_on(flow, Fired::NAME).await;
    let unfired = until_moved_on(flow, Unfired::NAME).await;
    assert_eq!(unfired.last_error.as_deref(), Some(MARKER));
    until("the tick's run has ended", async || {
        let fired = flow.query().workflow(Fired::NAME);
        let fired = fired.status([InstanceStatus::Completed]);
        fired.count().await.unwrap() == 1
    })
    .await;
}

async fn in_a_transaction(world: &World, flow: &Flow) {
    let db = Db::connect(world.database.url(), DbOptions::new())
        .await
        .unwrap();
    let run = flow.start(Listening, tale(MARKER)).await.unwrap();
    let other = db
        .transaction(async |tx| -> Result<Run<Tale>, FlowError> {
            run.send(told(MARKER, 3)).in_transaction(tx).await?;
            Ok(flow.start(Pair, tale(MARKER)).in_transaction(tx).await?)
        })
        .await
        .unwrap();
    assert_eq!(ended(&run).await.state.total, 3);
    assert_eq!(ended(&other).await.state.lines, ["first", "second"]);
    db.close().await;
}

fn set(columns: &[&str]) -> BTreeSet<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

/// Shows that the look of the other tests finds what is there.
#[tokio::test]
async fn without_a_cipher_the_columns_that_are_sealed_otherwise_show_what_runs_hold() {
    let world = World::create().await;
    let gate = Gate::new();
    let builder = world.builder("worker", cast(&gate));
    let shown = columns_after_a_life(&world, builder, &gate).await;
    let expected = [
        "active.cancel_reason",
        "active.undo_reason",
        "inbox.payload",
        "instance.cancel_reason",
        "instance.failure",
        "instance.input",
        "instance.metadata",
        "journal.payload",
        "schedule.last_error",
    ];
    assert_eq!(shown, set(&expected));
}

#[tokio::test]
async fn with_a_vault_no_column_but_the_metadata_shows_what_runs_hold() {
    let world = World::create().await;
    let gate = Gate::new();
    let vault = Vault::from_key(&Key::generate().unwrap());
    let builder = world.builder("worker", cast(&gate)).payload_cipher(vault);
    let shown = columns_after_a_life(&world, builder, &gate).await;
    assert_eq!(shown, set(&["instance.metadata"]));
}

#[tokio::test]
async fn with_a_cipher_of_the_service_no_column_but_the_metadata_shows_what_runs_hold() {
    let world = World::create().await;
    let (gate, toy) = (Gate::new(), Toy::default());
    let builder = world
        .builder("worker", cast(&gate))
        .payload_cipher(toy.clone());
    let shown = columns_after_a_life(&world, builder, &gate).await;
    assert_eq!(shown, set(&["instance.metadata"]));
    assert!(toy.sealed() > 50 && toy.opened() > 50, "{toy:?}");
}

async fn sealed_flow(world: &World) -> Flow {
    flow_with(world, Vault::from_key(&Key::generate().unwrap())).await
}

async fn flow_with(world: &World, vault: Vault) -> Flow {
    let builder = registered(world.builder("worker", Cast::default()));
    builder.payload_cipher(vault).build().await.unwrap()
}

#[tokio::test]
async fn starts_and_signals_under_one_key_are_compared_as_without_a_cipher() {
    let world = World::create().await;
    let vault = Vault::from_key(&Key::generate().unwrap());
    let flow = flow_with(&world, vault.clone()).await;
    let elsewhere = flow_with(&world, vault).await;
    let start_by =
        |flow: &Flow, title: &str| flow.start(Listening, tale(title)).idempotency_key("k");
    let start = |title: &str| start_by(&flow, title);
    // At once, so that some share their statement and some do not.
    let (one, two, three) =
        tokio::join!(start("same"), start("same"), start_by(&elsewhere, "same"),);
    let run = one.unwrap();
    assert_eq!(
        (two.unwrap().id(), three.unwrap().id()),
        (run.id(), run.id())
    );
    let refused = start("other").await.unwrap_err();
    let StartError::Conflict { existing, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(existing, run.id());
    let by_name = flow.run(Listening::NAME).idempotency_key("k");
    let by_name = by_name.state(json!({ "title": "same" })).await.unwrap();
    assert_eq!(by_name.id(), run.id());

    let send = |line: &str| run.send(told(line, 1)).idempotency_key("m");
    let far: Run = elsewhere.handle(run.id());
    let far = far.send(told("same", 1)).idempotency_key("m");
    let (one, two) = tokio::join!(send("same"), far);
    let mut outcomes = [one.unwrap(), two.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome == Sent::Duplicate);
    assert_eq!(outcomes, [Sent::Accepted, Sent::Duplicate]);
    let refused = send("other").await.unwrap_err();
    assert!(matches!(refused, SignalError::Conflict { .. }), "{refused}");
    // Under another key it is another signal.
    let other = run.send(told("same", 1)).idempotency_key("n").await;
    assert_eq!(other.unwrap(), Sent::Accepted);
    elsewhere.close().await.unwrap();
    flow.close().await.unwrap();
}

#[tokio::test]
async fn runs_are_not_found_by_a_sealed_input_and_the_refusal_says_why() {
    let world = World::create().await;
    let flow = sealed_flow(&world).await;
    let start = flow.start(Solo, tale("sought"));
    let run = start.metadata(json!({ "org": "abc" })).await.unwrap();
    let query = || flow.query().state(json!({ "title": "sought" }));
    let refusals = [
        query().fetch(None).await.map(drop),
        query().ids().await.map(drop),
        query().count().await.map(drop),
        query().first().await.map(drop),
        query().summary().await.map(drop),
        query().cancel("no").await.map(drop),
        query().retry().await.map(drop),
    ];
    for refusal in refusals {
        let refused = refusal.unwrap_err();
        let is_state = matches!(
            refused,
            QueryError::Filter {
                filter: "state",
                ..
            }
        );
        assert!(is_state, "{refused:?}");
        assert!(refused.to_string().contains("metadata"), "{refused}");
    }
    let found: InstanceQuery = flow.query().metadata(json!({ "org": "abc" }));
    assert_eq!(found.ids().await.unwrap(), [run.id()]);
    flow.close().await.unwrap();
}

/// The tick has no run, as when its input fails, and the next one comes all the same.
#[tokio::test]
async fn a_schedule_whose_input_the_cipher_refuses_says_so_and_goes_on() {
    let world = World::create().await;
    let builder = world.builder("worker", Cast::default()).register::<Dear>();
    let flow = builder
        .payload_cipher(Toy::default())
        .build()
        .await
        .unwrap();
    flow.start_driver().await.unwrap();
    make_due(&world, Dear::NAME, 1).await;
    let told = until_moved_on(&flow, Dear::NAME).await.last_error.unwrap();
    assert!(told.contains("not such a value"), "{told}");
    assert_eq!(flow.query().count().await.unwrap(), 0);
    flow.close().await.unwrap();
}

/// The sizes that the documentation states.
#[tokio::test]
async fn a_vault_adds_89_bytes_and_base64_a_third() {
    let world = World::create().await;
    let flow = sealed_flow(&world).await;
    for bytes in [10, 1_000, 100_000] {
        let run = flow.start(Solo, tale(&"x".repeat(bytes))).await.unwrap();
        let plain = flow.get(run.id()).await.unwrap().input.to_string().len();
        let stored: i32 = sqlx::query_scalar(
            "SELECT length(input #>> '{}') FROM forktex_flow.instance WHERE instance_id = $1::uuid",
        )
        .bind(run.id().to_string())
        .fetch_one(&world.pool)
        .await
        .unwrap();
        let expected = ((plain + 89) * 4).div_ceil(3);
        assert_eq!(usize::try_from(stored).unwrap(), expected, "{plain}");
    }
    // The limit is that of the plain value: one of 4 MiB is taken, and is larger when it is stored.
    let largest = tale(&"x".repeat(4 * 1024 * 1024 - 64));
    let run = flow.start(Solo, largest).await.unwrap();
    let read = flow.get(run.id()).await.unwrap().input;
    assert_eq!(read["title"].as_str().unwrap().len(), 4 * 1024 * 1024 - 64);
    let larger = flow.start(Solo, tale(&"x".repeat(4 * 1024 * 1024))).await;
    assert!(matches!(larger, Err(StartError::Payload { .. })));
    flow.close().await.unwrap();
}
