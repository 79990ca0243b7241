// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that move to another version of their workflow while they wait.

use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::graph::Graph;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::migration::{MigrationFate, MigrationRefusal};
use forktex::flow::prelude::*;
use forktex::flow::{EventKind, FlowBuilder, MigrateBuilder, MigrationError, WaitingOn};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::child::{self, Conduct};
use crate::mail::{Told, told};
use crate::tale::{Cast, Ledger, Tale, act, tale};
use crate::world::{World, ended, nodes, until};

pub(crate) const MIGRATED: i16 = 16;
const NAME: &str = "move.tale";

/// What the tales become in version 2.
#[derive(State, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    heading: String,
    #[reduce(append)]
    lines: Vec<String>,
    #[reduce(add)]
    total: i64,
}

impl From<Told> for BookUpdate {
    fn from(told: Told) -> Self {
        Book::update().lines([told.line]).total(told.amount)
    }
}

#[step(max_attempts = 3, backoff = ["50ms"])]
async fn write(ctx: &Ctx, _state: &Book, ledger: Resource<Ledger>) -> StepResult<BookUpdate> {
    ledger.note_as(ctx, ctx.node().as_str()).await?;
    Ok(Book::update().lines([ctx.node().as_str()]))
}

/// Waits behind `listen` for a line.
pub(crate) struct Early;

impl Workflow for Early {
    type State = Tale;
    const NAME: &'static str = NAME;
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let node = |name: &str| Node::of::<act>().named(name);
        Graph::new(NAME, 1)
            .node(node("open"))
            .node(node("listen"))
            .node(node("close"))
            .entry("open")
            .edge("open", "listen")
            .wait_edge::<Told>("listen", "close")
            .terminal("close")
            .build()
    }
}

/// Waits behind `hear` for a line, or a day; `preface` comes before that and `audit` after.
pub(crate) struct Late;

impl Workflow for Late {
    type State = Book;
    const NAME: &'static str = NAME;
    const VERSION: u32 = 2;

    fn declare() -> Declaration {
        let node = |name: &str| Node::of::<write>().named(name);
        Graph::new(NAME, 2)
            .node(node("open"))
            .node(node("preface"))
            .node(node("hear"))
            .node(node("audit"))
            .node(node("close"))
            .entry("open")
            .edge("open", "preface")
            .edge("preface", "hear")
            .wait_edge::<Told>("hear", "audit")
            .wait_edge_after("hear", "close", Duration::from_hours(24))
            .edge("audit", "close")
            .terminal("close")
            .build()
    }
}

/// A tale as version 2 has it.
pub(crate) fn bound(tale: &serde_json::Value) -> Result<serde_json::Value, String> {
    let title = tale["title"].as_str().unwrap_or_default();
    assert!(title != "panics", "a title that panics");
    if title == "errs" {
        return Err("a title that errs".to_owned());
    }
    Ok(json!({"heading": title, "lines": tale["lines"], "total": tale["total"]}))
}

pub(crate) fn migration(flow: &Flow) -> MigrateBuilder {
    let migration = flow.migrate(NAME, 1, 2).rate(10_000);
    migration
        .map_node("listen", "hear")
        .map_state(|tale| bound(&tale))
}

fn builder(world: &World, worker: &str) -> FlowBuilder {
    let builder = world.builder(worker, Cast::default());
    builder.register::<Early>().register::<Late>()
}

async fn flow(world: &World) -> Flow {
    let flow = builder(world, "worker").build().await.unwrap();
    flow.start_driver().await.unwrap();
    flow
}

/// Waits until so many runs wait for a signal.
async fn until_listening(world: &World, count: i64) {
    let listening = "SELECT count(*) FROM forktex_flow.active WHERE waits_on = 'signal'";
    until("the runs wait", async || {
        world.number(listening).await == count
    })
    .await;
}

async fn listening(flow: &Flow, world: &World, count: i64) -> Vec<Run<Tale>> {
    let mut runs = Vec::new();
    for number in 0..count {
        let run = flow.start(Early, tale(&number.to_string())).await;
        runs.push(run.unwrap());
    }
    until_listening(world, count).await;
    runs
}

/// What the tables say of the version of a run must agree.
async fn is_consistent(world: &World, run: InstanceId) -> bool {
    sqlx::query_scalar(
        "SELECT instance.workflow_version = definition.workflow_version
             AND (active.definition_id IS NULL OR active.definition_id = instance.definition_id)
             AND (instance.workflow_version = 2) = (
                 SELECT count(*) = 1 FROM forktex_flow.journal
                 WHERE journal.instance_id = instance.instance_id AND kind = 16)
         FROM forktex_flow.instance JOIN forktex_flow.definition USING (definition_id)
         LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
         WHERE instance.instance_id = $1::uuid",
    )
    .bind(run.to_string())
    .fetch_one(&world.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_run_that_waits_goes_on_in_the_other_version_and_all_that_is_asked_of_it_works() {
    let world = World::create().await;
    let flow = flow(&world).await;
    let started = flow.start(Early, tale("a book")).idempotency_key("key");
    let run = started.await.unwrap();
    until_listening(&world, 1).await;
    let before = flow.get(run.id()).await.unwrap();

    let preview = migration(&flow).dry_run().await.unwrap();
    assert!(preview.is_whole && preview.moving() == 1);
    let MigrationFate::Moves {
        from_nodes,
        to_nodes,
        state,
    } = &preview.runs[0].fate
    else {
        panic!("{preview:?}");
    };
    assert_eq!(
        (from_nodes[0].as_str(), to_nodes[0].as_str()),
        ("listen", "hear")
    );
    let expected = json!({"heading": "a book", "lines": ["open", "listen"], "total": 0});
    assert_eq!(*state, expected);
    assert_eq!(
        flow.get(run.id()).await.unwrap(),
        before,
        "nothing was written"
    );

    let outcome = migration(&flow).await.unwrap();
    assert_eq!((outcome.moved, outcome.is_done()), (1, true), "{outcome:?}");
    until_listening(&world, 1).await;
    let moved = flow.get(run.id()).await.unwrap();
    assert_eq!((moved.version, moved.status), (2, InstanceStatus::Running));
    assert_eq!(moved.state, expected);
    assert_eq!(moved.input, before.input);
    assert_eq!(moved.current_nodes[0].as_str(), "hear");
    // It waits for what the new version waits for, and a day since it came there.
    let Some(WaitingOn::Signal { names, due_at }) = moved.waiting_on.clone() else {
        panic!("{:?}", moved.waiting_on);
    };
    let waited = due_at.unwrap() - moved.node("hear").unwrap().recorded_at;
    assert_eq!((names.len(), waited.whole_minutes()), (1, 24 * 60));
    let of_version = async |version| flow.query().version(version).count().await.unwrap();
    assert_eq!((of_version(1).await, of_version(2).await), (0, 1));
    assert_eq!(
        flow.query().current_node(["hear"]).count().await.unwrap(),
        1
    );
    // Its key is still its own, whichever version asks.
    let again = flow.start(Early, tale("a book")).idempotency_key("key");
    assert_eq!(again.await.unwrap().id(), run.id());

    run.send(told("heard", 5)).await.unwrap();
    let done = ended(&flow.handle(run.id())).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    let lines = json!(["open", "listen", "heard", "audit", "close"]);
    assert_eq!(
        done.state,
        json!({"heading": "a book", "lines": lines, "total": 5})
    );
    let noted = world.noted(run.id()).await;
    assert_eq!(nodes(&noted), ["open", "listen", "audit", "close"]);
    let records: Vec<&str> = done.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(records, ["open", "hear", "audit", "close"]);
    let drawn = flow.workflow(NAME).unwrap().drawing_of(&done).unwrap();
    assert!(drawn.to_mermaid().contains("hear"));

    let history = run.history().await.unwrap();
    let sequences: Vec<i64> = history.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=7).collect::<Vec<_>>());
    let streamed: Vec<_> = run.stream().map(Result::unwrap).collect().await;
    assert_eq!(streamed, history);
    let EventKind::Migrated { from, to, renamed } = &history[2].kind else {
        panic!("{:?}", history[2]);
    };
    assert_eq!((*from, *to, renamed.len()), (1, 2, 1));

    // A fork from behind the move is of this version, and one from before it of the other.
    let fork: Run = flow.handle(run.fork("audit").await.unwrap().id());
    let forked = ended(&fork).await;
    assert_eq!((forked.version, &forked.state), (2, &done.state));
    let fork: Run = flow.handle(run.fork("hear").await.unwrap().id());
    until_listening(&world, 1).await;
    let forked = fork.refresh().await.unwrap();
    assert_eq!(
        (forked.version, forked.current_nodes[0].as_str()),
        (1, "listen")
    );
    assert_eq!(forked.state["title"], "a book");
    assert_eq!(migration(&flow).await.unwrap().moved, 1);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_refused_run_by_run_and_stays_what_it_was() {
    let world = World::create().await;
    let flow = flow(&world).await;
    let mut runs = Vec::new();
    for title in ["errs", "panics", "fits"] {
        runs.push(flow.start(Early, tale(title)).await.unwrap());
    }
    until_listening(&world, 3).await;
    // A state that is none of the other version, and a node that it has not.
    let unmapped = flow.migrate(NAME, 1, 2).map_node("listen", "hear");
    let unmapped = unmapped.await.unwrap();
    assert_eq!((unmapped.moved, unmapped.refused), (0, 3));
    let reason = &unmapped.refusals[0].reason;
    assert!(matches!(reason, MigrationRefusal::State { .. }), "{reason}");
    assert!(reason.to_string().contains("heading"), "{reason}");
    let unmapped = flow
        .migrate(NAME, 1, 2)
        .map_state(|tale| bound(&tale))
        .dry_run()
        .await;
    let MigrationFate::Refused(reason) = &unmapped.unwrap().runs[2].fate.clone() else {
        panic!("it has no node of that name");
    };
    assert!(matches!(reason, MigrationRefusal::NoSuchNode { node } if node.as_str() == "listen"));
    let elsewhere = migration(&flow).map_node("listen", "audit").await;
    assert!(matches!(
        elsewhere.unwrap().refusals[0].reason,
        MigrationRefusal::OtherExit { .. }
    ));

    let outcome = migration(&flow).await.unwrap();
    assert_eq!((outcome.moved, outcome.refused), (1, 2));
    for (refused, word) in outcome.refusals.iter().zip(["errs", "panics"]) {
        let reason = refused.reason.to_string();
        assert!(reason.contains(&format!("a title that {word}")), "{reason}");
        let run = flow.get(refused.instance_id).await.unwrap();
        assert_eq!((run.version, &run.state["title"]), (1, &json!(word)));
    }
    for run in &runs {
        assert!(is_consistent(&world, run.id()).await);
        run.send(told("heard", 1)).await.unwrap();
        let done = ended(&flow.handle(run.id())).await;
        assert_eq!(done.status, InstanceStatus::Completed);
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_mapping_that_is_wrong_for_all_is_refused_before_anything_is_written() {
    let world = World::create().await;
    let flow = flow(&world).await;
    listening(&flow, &world, 1).await;
    let unknown = migration(&flow)
        .map_node("lisen", "hear")
        .await
        .unwrap_err();
    let MigrationError::UnknownNode {
        version, nearest, ..
    } = &unknown
    else {
        panic!("{unknown}");
    };
    assert_eq!((*version, nearest.as_deref()), (1, Some("listen")));
    let unknown = migration(&flow).map_node("open", "opened").dry_run().await;
    assert!(matches!(
        unknown,
        Err(MigrationError::UnknownNode { version: 2, .. })
    ));
    let both = migration(&flow).map_node("open", "close").await;
    assert!(
        matches!(both, Err(MigrationError::TwoBecomeOne { .. })),
        "{both:?}"
    );
    let same = flow.migrate(NAME, 2, 2).await;
    assert!(
        matches!(same, Err(MigrationError::SameVersion { .. })),
        "{same:?}"
    );
    let absent = flow.migrate(NAME, 1, 3).await.unwrap_err();
    assert!(absent.to_string().contains("has no version 3"), "{absent}");
    let fast = migration(&flow).rate(0).await;
    assert!(matches!(fast, Err(MigrationError::Rate { .. })), "{fast:?}");
    let moves = "SELECT count(*) FROM forktex_flow.journal WHERE kind = 16";
    assert_eq!(world.number(moves).await, 0);
    flow.close().await.unwrap();
}

/// The migrating process is killed again and again: each run is what it was or has moved whole.
#[tokio::test]
async fn a_killed_migration_leaves_each_run_old_or_new_and_another_goes_on() {
    let world = World::create().await;
    let flow = flow(&world).await;
    let runs = listening(&flow, &world, 200).await;
    flow.stop_driver().await.unwrap();
    let moved = "SELECT count(*) FROM forktex_flow.instance WHERE workflow_version = 2";
    for goal in [20, 60, 100] {
        let process = child::spawn(&world, Conduct::Migrate);
        until("some have moved", async || {
            world.number(moved).await >= goal
        })
        .await;
        child::kill(process).await;
        for run in &runs {
            assert!(is_consistent(&world, run.id()).await);
        }
    }
    let halfway = world.number(moved).await;
    assert!(halfway < 200, "it was killed in the midst");
    let outcome = migration(&flow).await.unwrap();
    assert_eq!(outcome.moved, 200 - halfway.unsigned_abs());
    flow.start_driver().await.unwrap();
    for run in &runs {
        run.send(told("heard", 1)).await.unwrap();
    }
    for run in &runs {
        let done = ended(&flow.handle(run.id())).await;
        assert_eq!(done.status, InstanceStatus::Completed);
        let lines = json!(["open", "listen", "heard", "audit", "close"]);
        assert_eq!(done.state["lines"], lines);
        assert_eq!(world.count(run.id(), MIGRATED).await, 1);
    }
    flow.close().await.unwrap();
}

/// Two migrations at once, signals and claims at the same time, again and again.
#[tokio::test]
async fn runs_move_once_while_others_claim_them_and_signals_come() {
    let world = World::create().await;
    let flow = flow(&world).await;
    let other = builder(&world, "other").build().await.unwrap();
    other.start_driver().await.unwrap();
    let (mut moved, mut owned, mut passed_over) = (0, 0, 0);
    for round in 0_u32..15 {
        let mut runs = Vec::new();
        for number in 0..40 {
            runs.push(flow.start(Early, tale(&number.to_string())).await.unwrap());
        }
        // In every other round all of them wait; else some are still on their way.
        if round % 2 == 0 {
            until_listening(&world, 40).await;
        }
        let send = async |run: &Run<Tale>| {
            let sending = run.send(told("heard", 1)).idempotency_key("only");
            sending.await.unwrap();
        };
        let sending = async {
            for run in runs.iter().rev().step_by(2) {
                send(run).await;
            }
        };
        let (first, second, ()) = tokio::join!(
            migration(&flow).into_future(),
            migration(&other).into_future(),
            sending
        );
        for outcome in [first.unwrap(), second.unwrap()] {
            assert_eq!(outcome.refused, 0, "{:?}", outcome.refusals);
            moved += outcome.moved;
            owned += outcome.owned;
            passed_over += outcome.passed_over;
        }
        for run in runs.iter().rev().skip(1).step_by(2) {
            send(run).await;
        }
        for run in &runs {
            let done = ended(&flow.handle(run.id())).await;
            assert_eq!(done.status, InstanceStatus::Completed, "{:?}", done.failure);
            let heard = done.state["lines"].as_array().unwrap();
            let times = heard.iter().filter(|line| *line == "heard").count();
            assert_eq!((times, &done.state["total"]), (1, &json!(1)));
            assert!(is_consistent(&world, run.id()).await);
            let noted = world.noted(run.id()).await;
            for node in ["open", "close"] {
                let bodies = nodes(&noted).iter().filter(|name| **name == node).count();
                assert_eq!(bodies, 1, "{noted:?}");
            }
        }
    }
    println!("of 600: {moved} moved; {owned} times owned, {passed_over} times passed over");
    assert!(moved > 0 && moved < 600);
    flow.close().await.unwrap();
    other.close().await.unwrap();
}
