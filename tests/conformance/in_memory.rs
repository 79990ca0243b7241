// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What only a flow in memory has: a clock that leaps, and faults on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex::db::{Db, DbOptions};
use forktex::flow::definition::Declaration;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::prelude::*;
use forktex::flow::{
    CatchUp, EventKind, Fault, InMemoryFlow, Overlap, Schedule, ScheduleInfo, StartError, Version,
    WaitError, WaitingOn, Workflow,
};
use forktex_testkit::TestDatabase;
use futures_util::StreamExt;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::mail::{Closed, Listening, told};
use crate::tale::{Cast, Ledger, MemoryRows, Pair, Solo, Tale, TaleUpdate, act, line, tale};
use crate::world::{LIMIT, until};

const DAY: Duration = Duration::from_hours(24);

struct Play {
    flow: InMemoryFlow,
    rows: MemoryRows,
}

impl Play {
    async fn of(cast: Cast) -> Self {
        Self::with::<Solo>(cast).await
    }

    /// A flow that has a workflow which is not registered by itself.
    async fn with<W: Workflow>(cast: Cast) -> Self {
        let rows = MemoryRows::default();
        let flow = Flow::in_memory()
            .resource(Ledger::in_memory(rows.clone(), "worker"))
            .resource(cast)
            .register::<W>()
            .build()
            .await
            .unwrap();
        rows.set_clock(flow.clock());
        Self { flow, rows }
    }

    /// Another process on the same tables.
    async fn beside<W: Workflow>(&self, worker: &str, cast: Cast) -> InMemoryFlow {
        Flow::in_memory()
            .beside(&self.flow)
            .resource(Ledger::in_memory(self.rows.clone(), worker))
            .resource(cast)
            .register::<W>()
            .build()
            .await
            .unwrap()
    }
}

macro_rules! daily {
    ($ident:ident, $version:literal, $schedule:expr) => {
        struct $ident;

        impl Workflow for $ident {
            type State = Tale;
            const NAME: &'static str = "memory.daily";
            const VERSION: Version = $version;

            fn declare() -> Declaration {
                let schedule: Schedule = $schedule;
                Pipeline::<Tale>::new(Self::NAME, Self::VERSION)
                    .step(Node::of::<act>().named("only"))
                    .schedule_with(schedule, || tale("daily"))
                    .build()
            }
        }
    };
}

fn two_o_clock() -> Schedule {
    Schedule::new("0 2 * * *").unwrap()
}

daily!(Daily, 1, two_o_clock());
daily!(DailySecond, 2, Schedule::new("0 3 * * *").unwrap());
daily!(All, 1, two_o_clock().catch_up(CatchUp::All));
daily!(Skip, 1, two_o_clock().overlap(Overlap::Skip));
daily!(Queue, 1, two_o_clock().overlap(Overlap::Queue));

async fn daily(flow: &Flow) -> ScheduleInfo {
    flow.schedule("memory.daily").info().await.unwrap()
}

/// The ticks that were given a run, oldest first.
async fn ticks(flow: &Flow) -> Vec<String> {
    let runs = flow.query().workflow("memory.daily").limit(500);
    let mut page = runs.fetch(None).await.unwrap();
    page.items.reverse();
    let tick = |run: &Instance| run.metadata["scheduled_for"].as_str().unwrap().to_owned();
    page.items.iter().map(tick).collect()
}

/// Other tests run beside this one: what counts is the processor's time, and that nothing sleeps.
#[tokio::test]
async fn a_year_of_a_daily_schedule_runs_in_under_a_second() {
    let (began_at, busy_before) = (Instant::now(), time_on_processor());
    a_year().await;
    let (took, busy) = (
        began_at.elapsed(),
        time_on_processor().saturating_sub(busy_before),
    );
    println!("a year of a daily schedule: {took:?}, {busy:?} of it on the processor");
    assert!(busy < Duration::from_secs(1), "{busy:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// How long this thread ran, as Linux tells it.
fn time_on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = told.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds)
}

async fn a_year() {
    let play = Play::with::<Daily>(Cast::default()).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    flow.clock().advance(366 * DAY).await;
    let all = flow.query().workflow("memory.daily");
    assert_eq!(all.count().await.unwrap(), 366);
    let completed = all.status([InstanceStatus::Completed]);
    assert_eq!(completed.count().await.unwrap(), 366, "each has ended");
    assert_eq!(
        flow.clock().now().date(),
        datetime!(2001-01-01 00:00 UTC).date()
    );
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c35_ticks_that_were_missed_are_made_up_for_as_the_policy_says() {
    let one = Play::with::<Daily>(Cast::default()).await;
    let all = Play::with::<All>(Cast::default()).await;
    for (play, expected) in [
        (&one, vec!["2000-01-03T02:00:00Z"]),
        (
            &all,
            vec![
                "2000-01-01T02:00:00Z",
                "2000-01-02T02:00:00Z",
                "2000-01-03T02:00:00Z",
            ],
        ),
    ] {
        let flow = &play.flow;
        flow.start_driver().await.unwrap();
        flow.stop_driver().await.unwrap();
        flow.clock().advance(3 * DAY).await;
        assert!(ticks(flow).await.is_empty(), "nobody fires");
        flow.start_driver().await.unwrap();
        flow.clock().advance(Duration::ZERO).await;
        assert_eq!(ticks(flow).await, expected);
        let next = daily(flow).await.next_fire_at;
        assert_eq!(next, Some(datetime!(2000-01-04 02:00 UTC)));
    }
}

#[tokio::test]
async fn c36_two_processes_make_one_run_of_a_tick() {
    let play = Play::with::<Daily>(Cast::default()).await;
    let other = play.beside::<Daily>("other", Cast::default()).await;
    play.flow.start_driver().await.unwrap();
    other.start_driver().await.unwrap();
    play.flow.clock().advance(20 * DAY).await;
    let ticks = ticks(&other).await;
    assert_eq!(ticks.len(), 20, "{ticks:?}");
    // The leader's process dies, and the other goes on.
    play.flow.crash().await;
    other.clock().advance(20 * DAY).await;
    assert_eq!(
        other
            .query()
            .workflow("memory.daily")
            .count()
            .await
            .unwrap(),
        40
    );
}

#[tokio::test]
async fn c38_c39_a_newer_version_replaces_a_schedule_and_the_operators_word_stays() {
    let play = Play::with::<Daily>(Cast::default()).await;
    let first = &play.flow;
    first.start_driver().await.unwrap();
    first.schedule("memory.daily").disable().await.unwrap();
    first.clock().advance(2 * DAY).await;
    assert!(ticks(first).await.is_empty());

    let second = play.beside::<DailySecond>("second", Cast::default()).await;
    second.start_driver().await.unwrap();
    let info = daily(first).await;
    assert_eq!((info.version, info.enabled), (2, false));
    second.schedule("memory.daily").enable().await.unwrap();
    first.clock().advance(DAY).await;
    assert_eq!(ticks(first).await, ["2000-01-03T03:00:00Z"]);

    // An older process does not bring the older one back.
    first.stop_driver().await.unwrap();
    first.start_driver().await.unwrap();
    assert_eq!(daily(first).await.version, 2);
}

/// A run that takes two days and a half.
fn long() -> Cast {
    Cast::default().on("only", |ctx, _| async move {
        ctx.sleep(DAY * 5 / 2).await?;
        line(&ctx)
    })
}

#[tokio::test]
async fn a_tick_is_skipped_or_waits_while_an_earlier_run_lives() {
    let skip = Play::with::<Skip>(long()).await;
    skip.flow.start_driver().await.unwrap();
    skip.flow.clock().advance(7 * DAY).await;
    let ticks_of_week = [
        "2000-01-01T02:00:00Z",
        "2000-01-04T02:00:00Z",
        "2000-01-07T02:00:00Z",
    ];
    assert_eq!(ticks(&skip.flow).await, ticks_of_week);
    assert_eq!(daily(&skip.flow).await.skipped, 4);

    let queue = Play::with::<Queue>(long()).await;
    queue.flow.start_driver().await.unwrap();
    queue.flow.clock().advance(7 * DAY).await;
    let fired = ticks(&queue.flow).await;
    assert_eq!(fired[0], "2000-01-01T02:00:00Z");
    assert_eq!(fired[1], "2000-01-03T02:00:00Z", "the newest that waited");
    let runs = queue.flow.query().workflow("memory.daily").limit(10);
    let runs = runs.fetch(None).await.unwrap().items;
    let second = &runs[runs.len() - 2];
    let first_ended_at = runs[runs.len() - 1].finished_at.unwrap();
    assert!(second.created_at - first_ended_at < Duration::from_secs(1));
}

#[tokio::test]
async fn the_clock_stands_still_until_something_is_awaited() {
    let cast = Cast::default().on("only", |ctx, _| async move {
        let told: Option<Closed> = ctx.signal().timeout(7 * DAY).await?;
        Ok(Tale::update().lines([if told.is_some() { "closed" } else { "expired" }]))
    });
    let play = Play::of(cast).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("signal")).await.unwrap();
    flow.clock().settle().await;
    let before = flow.clock().now();
    let waiting = run.refresh().await.unwrap().waiting_on.unwrap();
    let WaitingOn::Signal { due_at, .. } = waiting else {
        panic!("{waiting:?}");
    };
    assert!((due_at.unwrap() - before).unsigned_abs() <= 7 * DAY);
    run.send(Closed {}).await.unwrap();
    assert_eq!(run.wait().await.unwrap().state.lines, ["closed"]);
    assert!(flow.clock().now() - before < Duration::from_secs(1));

    let expired = flow.start(Solo, tale("timer")).await.unwrap();
    assert_eq!(expired.wait().await.unwrap().state.lines, ["expired"]);
    assert_eq!((flow.clock().now() - before).whole_days(), 7);
}

#[tokio::test]
async fn a_wait_times_out_by_the_virtual_clock() {
    let cast = Cast::default().on("only", |ctx, _| async move {
        ctx.signal_named("never").await?;
        line(&ctx)
    });
    let play = Play::of(cast).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("deaf")).await.unwrap();
    let before = (flow.clock().now(), Instant::now());
    let Err(WaitError::Timeout { snapshot, .. }) = run.wait().timeout(30 * DAY).await else {
        panic!("it cannot have ended");
    };
    assert!(matches!(
        snapshot.waiting_on,
        Some(WaitingOn::Signal { .. })
    ));
    assert_eq!((flow.clock().now() - before.0).whole_days(), 30);
    assert!(before.1.elapsed() < LIMIT);
}

#[tokio::test]
async fn a_stream_lets_the_clock_go_on_to_the_last_event() {
    let cast = Cast::default().on("first", |ctx, _| async move {
        for hour in 0..3 {
            ctx.emit(&hour).await?;
            ctx.sleep(Duration::from_hours(1)).await?;
        }
        line(&ctx)
    });
    let play = Play::of(cast).await;
    play.flow.start_driver().await.unwrap();
    let run = play.flow.start(Pair, tale("stream")).await.unwrap();
    let events: Vec<_> = run.stream().map(Result::unwrap).collect().await;
    let told: Vec<(i64, OffsetDateTime)> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Emitted { value, .. } => Some((value.as_i64()?, event.recorded_at)),
            _ => None,
        })
        .collect();
    let hours: Vec<i64> = told
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).whole_hours())
        .collect();
    assert_eq!(hours, [1, 1]);
    assert!(matches!(
        events.last().unwrap().kind,
        EventKind::RunCompleted
    ));
}

#[tokio::test]
async fn c02_c03_a_crash_before_or_after_a_body_loses_nothing_and_uses_no_attempt() {
    let play = Play::of(Cast::default()).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    flow.inject(Fault::crashes("first"));
    flow.inject(Fault::crashes_after("second"));
    let done = flow
        .start(Pair, tale("crash"))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    assert_eq!(done.path(), ["first", "second"]);
    assert!(done.nodes.iter().all(|node| node.attempt == 1));
    let noted = play.rows.of(done.instance_id);
    let bodies: Vec<&str> = noted.iter().map(|row| row.noted.0.as_str()).collect();
    assert_eq!(bodies, ["first", "second", "second"]);
}

#[tokio::test]
async fn c65_a_step_that_crashes_every_time_fails_its_run_and_no_neighbour() {
    let play = Play::of(Cast::default()).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    let neighbour = flow.start(Solo, tale("neighbour")).await.unwrap();
    flow.inject(Fault::crashes("second").times(100));
    let failed = flow
        .start(Pair, tale("killer"))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    assert_eq!(failed.status, InstanceStatus::Failed);
    assert_eq!(failed.node("second").unwrap().attempt, 3);
    assert_eq!(
        neighbour.wait().await.unwrap().status,
        InstanceStatus::Completed
    );
}

/// The worker dies before and after the steps that stand around the taking of signals.
#[tokio::test]
async fn c33_crashes_while_signals_are_taken_neither_lose_nor_double_one() {
    let play = Play::with::<Listening>(Cast::default()).await;
    let flow = &play.flow;
    for visit in (2..20).step_by(3) {
        flow.inject(Fault::crashes("judge").visit(visit));
        flow.inject(Fault::crashes_after("listen").visit(visit + 1));
    }
    flow.start_driver().await.unwrap();
    let run = flow.start(Listening, tale("c33")).await.unwrap();
    // Amounts of nothing keep it listening, so that it takes every line.
    let sent: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
    for line in &sent {
        run.send(told(line, 0)).await.unwrap();
    }
    run.send(Closed {}).await.unwrap();
    let done = run.wait().await.unwrap();
    assert_eq!(done.status, InstanceStatus::Completed);
    let lines = done.state.lines.iter();
    let taken: Vec<&String> = lines.filter(|line| line.starts_with("line ")).collect();
    assert_eq!(taken, sent.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn c34_ten_thousand_waiting_runs_hold_no_slot_or_task_and_survive_a_crash() {
    let play = Play::with::<Listening>(Cast::default()).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    flow.clock().settle().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let mut runs = Vec::new();
    for number in 0..10_000 {
        let run = flow.start(Listening, tale(&number.to_string()));
        runs.push(run.await.unwrap());
    }
    flow.clock().settle().await;
    // What has just ended may not have been cleared away.
    crate::world::until("their tasks have ended", async || tasks() <= before + 5).await;
    let living = flow.query().status([InstanceStatus::Running]);
    assert_eq!(living.count().await.unwrap(), 10_000);
    flow.crash().await;
    flow.start_driver().await.unwrap();
    for run in runs.iter().step_by(500) {
        run.send(Closed {}).await.unwrap();
        assert_eq!(run.wait().await.unwrap().status, InstanceStatus::Completed);
    }
    assert_eq!(living.count().await.unwrap(), 9_980);
}

#[tokio::test]
async fn a_fault_fails_the_attempts_that_it_is_for() {
    let play = Play::of(Cast::default()).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    flow.inject(Fault::fails("second", "the disk is full").times(2));
    let done = flow
        .start(Pair, tale("twice"))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    let second = done.node("second").unwrap();
    assert_eq!(
        (second.attempt, done.status),
        (3, InstanceStatus::Completed)
    );
    assert_eq!(second.error.as_ref().unwrap().message, "the disk is full");
    flow.inject(Fault::fails_for_good("first", "no such disk").visit(1));
    let failed = flow
        .start(Pair, tale("never"))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    assert_eq!(
        (failed.status, failed.nodes.len()),
        (InstanceStatus::Failed, 1)
    );
    assert!(play.rows.of(failed.instance_id).is_empty(), "no body ran");
}

#[tokio::test]
async fn a_flow_that_crashed_is_followed_by_its_next_driver_or_by_another() {
    let bodies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bodies);
    let hangs_once = Cast::default().on("second", move |ctx, _| {
        let counted = Arc::clone(&counted);
        async move {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            line(&ctx)
        }
    });
    let play = Play::of(hangs_once.clone()).await;
    play.flow.start_driver().await.unwrap();
    let run = play.flow.start(Pair, tale("crash")).await.unwrap();
    crate::world::until("the second body began", async || {
        bodies.load(Ordering::SeqCst) == 1
    })
    .await;
    play.flow.crash().await;
    let other = play.beside::<Solo>("other", hangs_once).await;
    other.start_driver().await.unwrap();
    let done = other.handle(run.id()).wait().await.unwrap();
    assert_eq!(done.path(), ["first", "second"]);
    let workers: Vec<String> = play
        .rows
        .of(run.id())
        .into_iter()
        .map(|row| row.noted.2)
        .collect();
    assert_eq!(workers, ["worker", "worker", "other"]);
}

#[tokio::test]
async fn what_needs_a_database_is_refused_and_leaves_nothing() {
    let cast = Cast::default().on("only", |ctx, _| async move {
        ctx.transaction(async |_tx| Ok::<TaleUpdate, StepError>(Tale::update()))
            .await
    });
    let play = Play::of(cast).await;
    let flow = &play.flow;
    flow.start_driver().await.unwrap();
    assert!(flow.init().await.unwrap().applied.is_empty());
    let failed = flow
        .start(Solo, tale("transaction"))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    let failure = failed.failure.unwrap().to_string();
    assert!(failure.contains("this one is in memory"), "{failure}");

    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.url(), DbOptions::new()).await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    let start = flow.start(Solo, tale("tx"));
    let refused = start.in_transaction(&mut transaction).await;
    let Err(StartError::Database { error, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("in memory"), "{error}");
    assert_eq!(flow.query().count().await.unwrap(), 1);
    transaction.rollback().await.unwrap();
    db.close().await;
}

/// Neither its worker nor what the steps were given is kept by what the one tells the other.
#[tokio::test]
async fn a_flow_that_is_dropped_while_its_driver_runs_is_freed() {
    let cast = Arc::new(Cast::default());
    let rows = MemoryRows::default();
    let flow = Flow::in_memory()
        .resource(Ledger::in_memory(rows.clone(), "worker"))
        .shared_resource(Arc::clone(&cast))
        .build()
        .await
        .unwrap();
    rows.set_clock(flow.clock());
    flow.start_driver().await.unwrap();
    flow.start(Solo, tale("last")).await.unwrap();
    drop((flow, rows));
    until("nothing has the cast", async || {
        Arc::strong_count(&cast) == 1
    })
    .await;
}
