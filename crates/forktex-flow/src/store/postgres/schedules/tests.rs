// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The fence of a firing, on a real Postgres: who is second writes nothing.

use forktex_db::{Db, DbOptions, Singly as _};
use forktex_testkit::TestDatabase;
use serde_json::{Map, Value};
use time::macros::datetime;

use super::*;
use crate::identifier::Namespace;
use crate::schedule::firing::{Firing, decide};
use crate::store::Store as _;
use crate::store::postgres::schema::migrate;
use crate::store::postgres::statement::DEFAULT_SCHEMA;

const DEFINITION: DefinitionId = DefinitionId(1);

struct World {
    _database: TestDatabase,
    store: PostgresStore,
    name: WorkflowName,
}

impl World {
    /// A schedule of every midnight whose tick of the second of January 2026 is due.
    async fn create(overlap: Overlap) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let owner = database.owner_url();
        let db = Db::connect(owner, DbOptions::new()).await.unwrap();
        migrate(&db, DEFAULT_SCHEMA).await.unwrap();
        let store = PostgresStore::new(db, DEFAULT_SCHEMA).unwrap();
        let world = Self {
            _database: database,
            store,
            name: WorkflowName::unchecked("tale.timed"),
        };
        let schedule = Schedule::new("0 0 * * *").unwrap().overlap(overlap);
        let register = world
            .store
            .register_schedule(&world.name, 1, DEFINITION, Some(&schedule));
        register.await.unwrap();
        world.make_due().await;
        world
    }

    async fn make_due(&self) {
        let due = "UPDATE forktex_flow.schedule SET next_fire_at = '2026-01-02T00:00:00Z'";
        sqlx::query(due)
            .single(&self.store.db)
            .execute()
            .await
            .unwrap();
    }

    async fn due(&self) -> DueSchedule {
        let due = self.store.due_schedules(&[DEFINITION], 10).await.unwrap();
        assert_eq!(due.len(), 1);
        due.into_iter().next().unwrap()
    }

    fn run(&self, key: &str) -> NewRun {
        NewRun {
            instance_id: InstanceId::generate(),
            definition_id: DEFINITION,
            namespace: Namespace::default(),
            workflow_name: self.name.clone(),
            version: 1,
            input: Value::Object(Map::new()),
            metadata: Map::new(),
            triggered_by: "schedule".to_owned(),
            idempotency_key: Some(key.to_owned()),
            priority: 0,
            worker_id: None,
            deadline: None,
            birth: None,
        }
    }

    /// Fires what was seen, with a run under this key.
    async fn fire(&self, due: &DueSchedule, key: &str) -> Option<usize> {
        let firing = decide(&due.stored.read().unwrap(), &due.standing);
        let runs = [self.run(key)];
        let written = FiringToWrite {
            due,
            firing: &firing,
            runs: &runs[..firing.ticks.len()],
            error: None,
        };
        self.store.fire_schedule(written).await.unwrap()
    }

    async fn row(&self) -> ScheduleRow {
        self.store.schedules(None).await.unwrap().pop().unwrap()
    }

    async fn runs(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM forktex_flow.instance")
            .single(&self.store.db)
            .fetch_one()
            .await
            .unwrap()
    }
}

/// Each of eight leaders has a key of its own, so that the fence alone is what holds.
#[tokio::test]
async fn c36_of_leaders_that_fire_one_tick_at_once_one_makes_a_run() {
    let world = World::create(Overlap::Allow).await;
    let due = world.due().await;
    let firings = (0..8).map(|leader| {
        let (world, due) = (&world, &due);
        async move { world.fire(due, &format!("leader {leader}")).await }
    });
    let outcomes = futures_util::future::join_all(firings).await;
    assert_eq!(outcomes.iter().flatten().count(), 1, "{outcomes:?}");
    assert_eq!(world.runs().await, 1);
    let row = world.row().await;
    assert!(row.next_fire_at.unwrap() > row.now);
    assert!(row.last_fire_at.unwrap() > datetime!(2026-01-02 0:00 UTC));
}

#[tokio::test]
async fn c36_a_tick_whose_key_is_taken_has_no_second_run() {
    let world = World::create(Overlap::Allow).await;
    assert_eq!(world.fire(&world.due().await, "tick").await, Some(1));
    let first = world.row().await.last_instance_id;
    world.make_due().await;
    assert_eq!(world.fire(&world.due().await, "tick").await, Some(0));
    assert_eq!(world.runs().await, 1);
    assert_eq!(world.row().await.last_instance_id, first);
}

/// What was decided while no run lived does not hold when one has begun meanwhile.
#[tokio::test]
async fn a_firing_is_refused_when_a_run_began_after_it_was_decided_on() {
    let world = World::create(Overlap::Skip).await;
    let due = world.due().await;
    assert!(world.store.fire_now(&world.run("by hand")).await.unwrap());
    assert_eq!(world.fire(&due, "tick").await, None);
    let due = world.due().await;
    assert!(due.standing.is_busy);
    assert_eq!(world.fire(&due, "tick").await, Some(0));
    assert_eq!(world.row().await.skipped, 1);
    assert_eq!(world.runs().await, 1);
}

#[tokio::test]
async fn a_disabled_schedule_is_not_fired_by_who_saw_it_due() {
    let world = World::create(Overlap::Allow).await;
    let due = world.due().await;
    assert!(world.store.disable_schedule("tale.timed").await.unwrap());
    assert_eq!(world.fire(&due, "tick").await, None);
    assert_eq!(world.runs().await, 0);
}

/// If the schedule cannot be moved on, the run is not there either.
#[tokio::test]
async fn a_firing_that_fails_midway_leaves_neither_the_run_nor_the_tick() {
    let world = World::create(Overlap::Allow).await;
    let due = world.due().await;
    let firing = Firing {
        next_fire_at: due.standing.next_fire_at,
        ..Firing::default()
    };
    let runs = [world.run("tick")];
    let written = FiringToWrite {
        due: &due,
        firing: &firing,
        runs: &runs,
        error: Some("a NUL \0 that Postgres refuses"),
    };
    world.store.fire_schedule(written).await.unwrap_err();
    assert_eq!(world.runs().await, 0);
    assert_eq!(world.row().await.next_fire_at, due.standing.next_fire_at);
    let read = world.store.read(runs[0].instance_id).await.unwrap();
    assert!(read.is_none());
}

/// The older process had looked before the newer version was known, and writes after it.
#[tokio::test]
async fn c38_an_older_version_that_writes_late_does_not_come_back() {
    let world = World::create(Overlap::Allow).await;
    let other = WorkflowName::unchecked("tale.retired");
    let schedule = Schedule::new("@daily").unwrap();
    let brought = async |version: Version, schedule: Option<&Schedule>| {
        let definition = DefinitionId(i64::from(version) + 10);
        let register = world
            .store
            .register_schedule(&other, version, definition, schedule);
        register.await.unwrap();
        world.store.schedules(Some("tale.retired")).await.unwrap()
    };
    let define = "INSERT INTO forktex_flow.definition (
                      namespace, workflow_name, workflow_version, topology_hash, topology, state_hash,
                      stages
                  ) VALUES ('', 'tale.retired', 1, sha256(''), '{}', sha256(''), '[]')";
    sqlx::query(define)
        .single(&world.store.db)
        .execute()
        .await
        .unwrap();
    assert!(brought(2, None).await.is_empty());
    assert!(brought(1, Some(&schedule)).await.is_empty());
    assert_eq!(
        brought(2, Some(&schedule)).await.len(),
        1,
        "the same version may"
    );
    assert!(brought(3, None).await.is_empty());
    assert!(brought(2, Some(&schedule)).await.is_empty());
    assert_eq!(brought(4, Some(&schedule)).await[0].version, 4);
}
