// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Schedules: missed ticks, leaders that race, deployments, operators, overlaps and inputs that fail.
//!
//! The ticks are those of New Year, so that none comes by itself; a test makes one due by moving it
//! back in the table.

use std::sync::atomic::{AtomicU32, Ordering};

use forktex::db::sqlx;
use forktex::flow::definition::Declaration;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::prelude::*;
use forktex::flow::{
    CatchUp, Overlap, Role, Schedule, ScheduleError, ScheduleInfo, Version, Workflow,
};
use time::OffsetDateTime;

use crate::tale::{Cast, Tale, act, line, tale};
use crate::world::{Gate, LIMIT, World, ended, until};

const NEW_YEAR: &str = "0 0 1 1 *";

pub(crate) fn new_year() -> Schedule {
    Schedule::new(NEW_YEAR).unwrap()
}

/// Workflows that only the flow knows which registers them.
macro_rules! dated {
    ($ident:ident, $name:literal, $version:literal, $schedule:expr, $input:expr) => {
        struct $ident;

        impl Workflow for $ident {
            type State = Tale;
            const NAME: &'static str = $name;
            const VERSION: Version = $version;

            fn declare() -> Declaration {
                let schedule: Option<Schedule> = $schedule;
                let pipeline =
                    Pipeline::<Tale>::new($name, $version).step(Node::of::<act>().named("only"));
                match schedule {
                    Some(schedule) => pipeline.schedule_with(schedule, $input).build(),
                    None => pipeline.build(),
                }
            }
        }
    };
}

fn scheduled() -> Tale {
    tale("scheduled")
}

dated!(One, "dated.one", 1, Some(new_year()), scheduled);
dated!(
    All,
    "dated.all",
    1,
    Some(new_year().catch_up(CatchUp::All)),
    scheduled
);
dated!(
    Never,
    "dated.none",
    1,
    Some(new_year().catch_up(CatchUp::None)),
    scheduled
);
dated!(
    Skip,
    "dated.skip",
    1,
    Some(new_year().overlap(Overlap::Skip)),
    scheduled
);
dated!(
    Queue,
    "dated.queue",
    1,
    Some(new_year().overlap(Overlap::Queue).catch_up(CatchUp::All)),
    scheduled
);
dated!(First, "dated.deployed", 1, Some(new_year()), scheduled);
dated!(Second, "dated.deployed", 2, Some(new_year()), scheduled);
dated!(
    SecondChanged,
    "dated.deployed",
    2,
    Some(Schedule::new("0 0 2 1 *").unwrap()),
    scheduled
);
dated!(Third, "dated.deployed", 3, None, scheduled);
dated!(PlainSecond, "dated.gone", 2, None, scheduled);
dated!(TimedFirst, "dated.gone", 1, Some(new_year()), scheduled);

static INPUTS: AtomicU32 = AtomicU32::new(0);

fn fails_twice() -> Result<Tale, String> {
    match INPUTS.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the manifest is not there".to_owned()),
        1 => panic!("out of range"),
        _ => Ok(scheduled()),
    }
}

dated!(Fragile, "dated.fragile", 1, Some(new_year()), fails_twice);

async fn info(flow: &Flow, workflow: &str) -> ScheduleInfo {
    flow.schedule(workflow).info().await.unwrap()
}

/// Moves the next tick of a schedule this many years back.
pub(crate) async fn make_due(world: &World, workflow: &str, years: i32) {
    let moved = sqlx::query(
        "UPDATE forktex_flow.schedule
         SET next_fire_at = date_trunc('year', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
             - ($2 - 1) * interval '1 year'
         WHERE workflow_name = $1",
    )
    .bind(workflow)
    .bind(years)
    .execute(&world.pool)
    .await
    .unwrap();
    assert_eq!(moved.rows_affected(), 1, "{workflow}");
}

pub(crate) async fn until_moved_on(flow: &Flow, workflow: &str) -> ScheduleInfo {
    until("the schedule moved on", async || {
        let next = info(flow, workflow).await.next_fire_at;
        next.is_some_and(|next| next > OffsetDateTime::now_utc())
    })
    .await;
    info(flow, workflow).await
}

/// The runs of a workflow, oldest tick first: the tick, the version, and who started it.
async fn runs(world: &World, workflow: &str) -> Vec<(InstanceId, String, i32)> {
    let rows: Vec<(uuid::Uuid, String, i32)> = sqlx::query_as(
        "SELECT instance_id, metadata ->> 'scheduled_for', workflow_version
         FROM forktex_flow.instance
         WHERE workflow_name = $1 AND triggered_by = 'schedule' ORDER BY 2",
    )
    .bind(workflow)
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let rows = rows.into_iter();
    rows.map(|(instance, tick, version)| (InstanceId(instance), tick, version))
        .collect()
}

pub(crate) fn new_year_of(years_ago: i32) -> String {
    format!(
        "{}-01-01T00:00:00Z",
        OffsetDateTime::now_utc().year() - years_ago
    )
}

#[tokio::test]
async fn c35_missed_ticks_are_one_run_or_each_or_none_and_the_next_lies_ahead() {
    let world = World::create().await;
    let builder = world.builder("worker", Cast::default());
    let builder = builder
        .register::<One>()
        .register::<All>()
        .register::<Never>();
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    for workflow in ["dated.one", "dated.all", "dated.none"] {
        make_due(&world, workflow, 3).await;
    }

    let one = until_moved_on(&flow, "dated.one").await;
    let [(instance, tick, _)] = &runs(&world, "dated.one").await[..] else {
        panic!("three missed ticks are one run");
    };
    assert_eq!(*tick, new_year_of(0), "the newest of them");
    assert_eq!(one.last_instance_id, Some(*instance));
    let run = ended(&flow.handle(*instance)).await;
    assert_eq!(
        (run.status, &*run.triggered_by),
        (InstanceStatus::Completed, "schedule")
    );

    until_moved_on(&flow, "dated.all").await;
    let all = runs(&world, "dated.all").await;
    let ticks: Vec<&str> = all.iter().map(|(_, tick, _)| tick.as_str()).collect();
    assert_eq!(ticks, [new_year_of(2), new_year_of(1), new_year_of(0)]);

    let none = until_moved_on(&flow, "dated.none").await;
    assert!(runs(&world, "dated.none").await.is_empty());
    assert_eq!((none.skipped, none.last_fire_at), (1, None));
    flow.close().await.unwrap();
}

/// The database is an hour ahead of the process, which is the same as a process that is an hour late.
#[tokio::test]
async fn c10_a_process_whose_clock_is_an_hour_off_fires_by_the_databases_clock() {
    let world = World::create().await;
    world.shift_clock(1).await;
    let flow = world.builder("worker", Cast::default()).register::<One>();
    let flow = flow.build().await.unwrap();
    flow.start_driver().await.unwrap();
    // Half an hour ago for the database, in half an hour for the process.
    let due = "UPDATE forktex_flow.schedule
               SET next_fire_at = pg_catalog.now() + interval '30 minutes'
               WHERE workflow_name = 'dated.one'";
    sqlx::query(due).execute(&world.pool).await.unwrap();
    until("the tick was fired", async || {
        info(&flow, "dated.one").await.last_instance_id.is_some()
    })
    .await;
    let fired = info(&flow, "dated.one").await;
    assert!(fired.last_fire_at.unwrap() > OffsetDateTime::now_utc());
    assert!(fired.next_fire_at.unwrap() > fired.last_fire_at.unwrap());
    let run = flow.handle(fired.last_instance_id.unwrap());
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    flow.close().await.unwrap();
}

/// One leads and the other stands in after 2 s; whoever is second finds the tick moved on. That leaders
/// which fire at the same instant make one run is held beside the store.
#[tokio::test]
async fn c36_two_drivers_at_a_due_tick_make_one_run() {
    let world = World::create().await;
    let mut flows = Vec::new();
    for worker in ["left", "right"] {
        let builder = world.builder(worker, Cast::default()).register::<One>();
        flows.push(builder.build().await.unwrap());
    }
    for flow in &flows {
        flow.start_driver().await.unwrap();
    }
    make_due(&world, "dated.one", 1).await;
    let fired = until_moved_on(&flows[0], "dated.one").await;
    let run = flows[1].handle(fired.last_instance_id.unwrap());
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    assert_eq!(runs(&world, "dated.one").await.len(), 1);
    // The same tick again, as if the first firing had been forgotten.
    make_due(&world, "dated.one", 1).await;
    until_moved_on(&flows[0], "dated.one").await;
    assert_eq!(runs(&world, "dated.one").await.len(), 1);
    for flow in flows {
        flow.close().await.unwrap();
    }
}

/// During a deployment the leader may be a process of the older version.
#[tokio::test]
async fn c36_a_follower_fires_what_the_leader_has_no_code_for() {
    let world = World::create().await;
    let old = world.builder("old", Cast::default()).build().await.unwrap();
    let mut leader = old.start_driver().await.unwrap();
    leader.until_leader(Role::Leader).await;
    let new = world.builder("new", Cast::default()).register::<One>();
    let new = new.build().await.unwrap();
    let driver = new.start_driver().await.unwrap();
    make_due(&world, "dated.one", 1).await;
    until_moved_on(&new, "dated.one").await;
    assert!(leader.is_leader() && !driver.is_leader());
    assert_eq!(runs(&world, "dated.one").await.len(), 1);
    new.close().await.unwrap();
    old.close().await.unwrap();
}

#[tokio::test]
async fn c38_a_newer_version_replaces_the_schedule_and_an_older_process_does_not_bring_it_back() {
    let world = World::create().await;
    let first = world.builder("first", Cast::default()).register::<First>();
    let first = first.build().await.unwrap();
    first.start_driver().await.unwrap();
    assert_eq!(info(&first, "dated.deployed").await.version, 1);

    let second = world
        .builder("second", Cast::default())
        .register::<Second>();
    let second = second.build().await.unwrap();
    second.start_driver().await.unwrap();
    first.stop_driver().await.unwrap();
    first.start_driver().await.unwrap();
    assert_eq!(info(&first, "dated.deployed").await.version, 2);
    make_due(&world, "dated.deployed", 1).await;
    until_moved_on(&second, "dated.deployed").await;
    let fired = runs(&world, "dated.deployed").await;
    assert_eq!(fired.iter().map(|run| run.2).collect::<Vec<_>>(), [2]);
    let refused = first
        .schedule("dated.deployed")
        .fire_now()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ScheduleError::AnotherVersion { version: 2, .. }),
        "{refused}"
    );

    let changed = world.builder("changed", Cast::default());
    let changed = changed.register::<SecondChanged>().build().await.unwrap();
    changed.start_driver().await.unwrap();
    let now = info(&second, "dated.deployed").await;
    assert_eq!((now.version, &*now.cron), (2, "0 0 2 1 *"));
    assert_eq!(
        now.next_fire_at.unwrap().day(),
        2,
        "the next tick is computed anew"
    );

    let third = world.builder("third", Cast::default());
    let third = third.register::<Third>().register::<PlainSecond>();
    let third = third.build().await.unwrap();
    third.start_driver().await.unwrap();
    let gone = first.schedule("dated.deployed").info().await.unwrap_err();
    assert!(matches!(gone, ScheduleError::NotFound { .. }), "{gone}");
    first.stop_driver().await.unwrap();
    first.start_driver().await.unwrap();
    first.schedule("dated.deployed").info().await.unwrap_err();

    // Nor where the newer version never had a schedule.
    let late = world
        .builder("late", Cast::default())
        .register::<TimedFirst>();
    let late = late.build().await.unwrap();
    late.start_driver().await.unwrap();
    late.schedule("dated.gone").info().await.unwrap_err();
    for flow in [first, second, changed, third, late] {
        flow.close().await.unwrap();
    }
}

#[tokio::test]
async fn c39_what_an_operator_switches_outlives_a_deployment() {
    let world = World::create().await;
    let first = world.builder("first", Cast::default());
    let first = first
        .register::<First>()
        .register::<One>()
        .build()
        .await
        .unwrap();
    first.start_driver().await.unwrap();
    let schedule = first.schedule("dated.deployed");
    schedule.disable().await.unwrap();
    first.close().await.unwrap();

    let second = world.builder("second", Cast::default());
    let second = second
        .register::<Second>()
        .register::<One>()
        .build()
        .await
        .unwrap();
    second.start_driver().await.unwrap();
    let disabled = info(&second, "dated.deployed").await;
    assert_eq!(
        (disabled.enabled, disabled.version, disabled.next_fire_at),
        (false, 2, None)
    );
    make_due(&world, "dated.deployed", 1).await;
    make_due(&world, "dated.one", 1).await;
    // What is due is looked for in one statement: the other one tells that it was.
    until_moved_on(&second, "dated.one").await;
    assert!(runs(&world, "dated.deployed").await.is_empty());

    let schedule = second.schedule("dated.deployed");
    let run = schedule.fire_now().await.unwrap();
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    schedule.enable().await.unwrap();
    let enabled = info(&second, "dated.deployed").await;
    assert!(
        enabled.next_fire_at.unwrap() > OffsetDateTime::now_utc(),
        "nothing is made up for"
    );
    second.stop_driver().await.unwrap();
    second.start_driver().await.unwrap();
    assert!(info(&second, "dated.deployed").await.enabled);
    make_due(&world, "dated.deployed", 1).await;
    until_moved_on(&second, "dated.deployed").await;
    assert_eq!(runs(&world, "dated.deployed").await.len(), 2);
    let unknown = second.schedule("dated.unknown");
    let missing = unknown.disable().await.unwrap_err().to_string();
    assert!(missing.contains("`dated.unknown`"), "{missing}");
    unknown.enable().await.unwrap_err();
    second.close().await.unwrap();
}

fn gated(gate: &Gate) -> Cast {
    let gate = gate.clone();
    Cast::default().on("only", move |ctx, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    })
}

#[tokio::test]
async fn a_tick_is_skipped_while_an_earlier_run_lives() {
    let world = World::create().await;
    let gate = Gate::new();
    let flow = world.builder("worker", gated(&gate)).register::<Skip>();
    let flow = flow.build().await.unwrap();
    flow.start_driver().await.unwrap();
    // A run by hand is an earlier one as well.
    let by_hand = flow.schedule("dated.skip").fire_now().await.unwrap();
    gate.until_arrived(1).await;
    make_due(&world, "dated.skip", 1).await;
    let skipped = until_moved_on(&flow, "dated.skip").await;
    assert_eq!(
        (skipped.skipped, skipped.last_instance_id),
        (1, Some(by_hand.id()))
    );
    assert!(skipped.last_skipped_at.is_some());
    assert_eq!(runs(&world, "dated.skip").await.len(), 1);

    gate.open();
    ended(&by_hand).await;
    make_due(&world, "dated.skip", 1).await;
    until_moved_on(&flow, "dated.skip").await;
    assert_eq!(runs(&world, "dated.skip").await.len(), 2);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn one_tick_waits_for_the_earlier_run_and_fires_when_it_has_ended() {
    let world = World::create().await;
    let gate = Gate::new();
    let flow = world.builder("worker", gated(&gate)).register::<Queue>();
    let flow = flow.build().await.unwrap();
    flow.start_driver().await.unwrap();
    make_due(&world, "dated.queue", 3).await;
    let waiting = until_moved_on(&flow, "dated.queue").await;
    assert!(waiting.waiting_tick.is_some());
    assert_eq!(
        waiting.skipped, 1,
        "of three the first runs and the last waits"
    );
    gate.until_arrived(1).await;
    assert_eq!(runs(&world, "dated.queue").await.len(), 1);

    gate.open();
    until("the tick that waited was fired", async || {
        info(&flow, "dated.queue").await.waiting_tick.is_none()
    })
    .await;
    let fired = runs(&world, "dated.queue").await;
    let ticks: Vec<&str> = fired.iter().map(|(_, tick, _)| tick.as_str()).collect();
    assert_eq!(ticks, [new_year_of(2), new_year_of(0)]);
    for (run, ..) in &fired {
        assert_eq!(
            ended(&flow.handle(*run)).await.status,
            InstanceStatus::Completed
        );
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn an_input_that_fails_is_recorded_stops_no_other_and_is_tried_at_the_next_tick() {
    let world = World::create().await;
    let flow = world.builder("worker", Cast::default());
    let flow = flow
        .register::<Fragile>()
        .register::<One>()
        .build()
        .await
        .unwrap();
    flow.start_driver().await.unwrap();
    for told in ["the manifest is not there", "out of range"] {
        make_due(&world, "dated.fragile", 1).await;
        make_due(&world, "dated.one", 1).await;
        let failed = until_moved_on(&flow, "dated.fragile").await;
        assert!(failed.last_error.unwrap().contains(told));
        assert_eq!(failed.last_instance_id, None);
        until_moved_on(&flow, "dated.one").await;
    }
    assert_eq!(runs(&world, "dated.one").await.len(), 1);
    make_due(&world, "dated.fragile", 1).await;
    let fired = until_moved_on(&flow, "dated.fragile").await;
    assert_eq!(fired.last_error, None);
    assert_eq!(runs(&world, "dated.fragile").await.len(), 1);
    flow.close().await.unwrap();
}

#[derive(State, Clone, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Backup {
    files: u32,
}

fn of_seven() -> Backup {
    Backup { files: 7 }
}

#[scheduled(
    name = "declared.step", version = 1, cron = "0 0 1 1 *", timezone = "Europe/Berlin",
    overlap = queue, catch_up = all, max_attempts = 2, writes(files), compensate = forget,
)]
async fn back_up(_ctx: &Ctx, state: &Backup) -> StepResult<BackUpWrites> {
    Ok(BackUpWrites::new().files(state.files + 1))
}

#[step]
async fn forget(_ctx: &Ctx, _state: &Backup) -> StepResult<BackupUpdate> {
    Ok(Backup::update().files(0_u32))
}

#[pipeline(
    name = "declared.pipeline", version = 1, state = Backup, steps = [back_up],
    cron = "0 0 1 1 *", input = of_seven, overlap = skip, catch_up = none,
)]
struct DeclaredPipeline;

#[graph(
    name = "declared.graph", version = 1, state = Backup, cron = "0 0 0 1 1 *",
    topology = [edge(START, back_up), edge(back_up, END)],
)]
struct DeclaredGraph;

#[tokio::test]
async fn what_the_attributes_declare_is_brought_and_fires() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let listed = flow.schedules().await.unwrap();
    let words: Vec<_> = listed
        .iter()
        .map(|one| {
            let names = (one.workflow_name.as_str(), one.timezone.as_str());
            (names, one.overlap, one.catch_up)
        })
        .collect();
    assert_eq!(
        words,
        [
            (("declared.graph", "UTC"), Overlap::Allow, CatchUp::One),
            (("declared.pipeline", "UTC"), Overlap::Skip, CatchUp::None),
            (
                ("declared.step", "Europe/Berlin"),
                Overlap::Queue,
                CatchUp::All
            ),
        ]
    );
    assert!(
        listed
            .iter()
            .all(|one| one.enabled && one.next_fire_at.is_some())
    );
    for (workflow, files) in [
        ("declared.graph", 1),
        ("declared.pipeline", 8),
        ("declared.step", 1),
    ] {
        let run = flow.schedule(workflow).fire_now().await.unwrap();
        let run = tokio::time::timeout(LIMIT, run.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(run.state["files"], files, "{workflow}");
    }
    let by_hand = flow.start(BackUp, Backup::default()).await.unwrap();
    assert_eq!(ended(&by_hand).await.state.files, 1);
    let _ = (DeclaredPipeline, DeclaredGraph);
    flow.close().await.unwrap();
}
