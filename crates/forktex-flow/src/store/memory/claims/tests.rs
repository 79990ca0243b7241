// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Both stores claim the same runs, in the same turn, within the same limits.

use std::collections::BTreeSet;
use std::time::Duration;

use forktex_db::{Db, DbOptions, sqlx};
use forktex_testkit::TestDatabase;
use serde_json::{Map, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::identifier::{DefinitionId, NodeName, WorkflowName};
use crate::instance::journal::{Entry, Visit};
use crate::store::memory::tables::Definition;
use crate::store::memory::tests::Random;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::schema::migrate;
use crate::store::postgres::statement::DEFAULT_SCHEMA;
use crate::store::{Checkpoint, NewRun, RestsOn, Store, Then};

const LEASE: Duration = Duration::from_mins(10);
const WORKFLOWS: [&str; 3] = ["order", "parcel", "refund"];
const NAMESPACES: [&str; 5] = ["", "org-a", "org-b", "org-c", "org-d"];
/// The last is one that the worker has not.
const KNOWN: [DefinitionId; 2] = [DefinitionId(1), DefinitionId(2)];

struct Stores {
    _database: TestDatabase,
    db: Db,
    postgres: PostgresStore,
    memory: MemoryStore,
    worker: WorkerId,
}

impl Stores {
    async fn create() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let db = Db::connect(database.owner_url(), DbOptions::new());
        let db = db.await.unwrap();
        migrate(&db, DEFAULT_SCHEMA).await.unwrap();
        let postgres = PostgresStore::new(db.clone(), DEFAULT_SCHEMA).unwrap();
        let memory = MemoryStore::at(OffsetDateTime::UNIX_EPOCH);
        for name in WORKFLOWS {
            sqlx::query(
                "INSERT INTO forktex_flow.definition (
                     namespace, workflow_name, workflow_version, topology_hash, topology,
                     state_hash, stages
                 ) VALUES ('', $1, 1, sha256('a'), '{}', sha256('b'), '[[\"pack\"]]')",
            )
            .bind(name)
            .execute(db.pool())
            .await
            .unwrap();
            memory.change().put(Definition {
                namespace: Namespace::default(),
                name: WorkflowName::unchecked(name),
                version: 1,
                topology_hash: [0; 32],
                topology_lines: BTreeSet::new(),
                state_lines: BTreeSet::new(),
                stages: vec![vec!["pack".to_owned()]],
            });
        }
        let mut stores = Self {
            _database: database,
            db,
            postgres,
            memory,
            worker: WorkerId(Uuid::nil()),
        };
        stores.next_worker().await;
        stores
    }

    fn both(&self) -> [&dyn Store; 2] {
        [&self.postgres, &self.memory]
    }

    /// Another worker comes; the one before is lost.
    async fn next_worker(&mut self) {
        let lost = std::mem::replace(&mut self.worker, WorkerId(Uuid::now_v7()));
        sqlx::query("UPDATE forktex_flow.worker SET lease_until = now() - interval '1 second'")
            .execute(self.db.pool())
            .await
            .unwrap();
        self.postgres.release_lost().await.unwrap();
        self.memory.lose(lost);
        for store in self.both() {
            let registered = store.register_worker(self.worker, "one", LEASE, &KNOWN);
            registered.await.unwrap();
        }
    }

    async fn start(&self, random: &mut Random) {
        let kind = below(random, 3);
        let run = NewRun {
            instance_id: InstanceId::generate(),
            definition_id: DefinitionId(i64::try_from(kind + 1).unwrap()),
            namespace: Namespace::new(NAMESPACES[below(random, 5)]).unwrap(),
            workflow_name: WorkflowName::unchecked(WORKFLOWS[kind]),
            version: 1,
            input: json!({}),
            metadata: Map::new(),
            triggered_by: "manual".to_owned(),
            idempotency_key: None,
            priority: i16::try_from(below(random, 3)).unwrap(),
            worker_id: (below(random, 8) == 0).then_some(self.worker),
            birth: None,
            deadline: None,
        };
        let runs = std::slice::from_ref(&run);
        let (expected, found) = (
            self.postgres.start(runs).await,
            self.memory.start(runs).await,
        );
        let kind = |started: Vec<crate::store::Started>| {
            matches!(started[0], crate::store::Started::Ready)
        };
        assert_eq!(kind(found.unwrap()), kind(expected.unwrap()), "{run:?}");
    }

    /// The owner of some run ends it, or has it wait.
    async fn go_on(&self, random: &mut Random) {
        let owned: Vec<_> = {
            let tables = self.memory.tables();
            let owned = tables.active.owned();
            owned.map(|run| (run.instance_id, run.epoch)).collect()
        };
        if owned.is_empty() {
            return;
        }
        let (instance_id, epoch) = owned[below(random, owned.len())];
        if below(random, 3) == 0 {
            for store in self.both() {
                let rests = store.hand_back(instance_id, epoch, &RestsOn::Timer, LEASE);
                rests.await.unwrap();
            }
            return;
        }
        let at = Visit {
            superstep: 1,
            member: 0,
            node: NodeName::unchecked("pack"),
            visit: 1,
        };
        let checkpoint = Checkpoint {
            instance_id,
            epoch,
            first_sequence: 1,
            entries: vec![Entry::NodeSkipped { at }],
            then: Then::End {
                status: InstanceStatus::Completed,
                failure: None,
            },
            is_cancelling: false,
            is_pausing: false,
            is_undoing: false,
            stage: 0,
            children: Vec::new(),
        };
        for store in self.both() {
            store.commit_alone(&checkpoint).await.unwrap();
        }
    }

    async fn limit(&self, random: &mut Random) {
        let namespace = NAMESPACES[below(random, 5)];
        let workflow = WORKFLOWS[below(random, 3)];
        let namespace = (below(random, 2) == 0 && !namespace.is_empty()).then_some(namespace);
        let concern = Concern {
            namespace: namespace.map(|name| Namespace::new(name).unwrap()),
            workflow: (below(random, 2) == 0).then(|| WorkflowName::unchecked(workflow)),
        };
        let max = (below(random, 3) > 0).then(|| u32::try_from(below(random, 5)).unwrap());
        for store in self.both() {
            store.set_running_limit(&concern, max).await.unwrap();
        }
    }

    async fn claim(&self, random: &mut Random, turn: &mut Turn, round: u32) -> Claims {
        let is_suspect = below(random, 5) == 0;
        let request = ClaimRequest {
            worker: self.worker,
            definitions: &KNOWN,
            which: if is_suspect {
                Claimable::Suspect
            } else {
                Claimable::Ready
            },
            room: 1 + u32::try_from(below(random, 6)).unwrap(),
            turn,
        };
        let is_within = below(random, 2) == 0;
        let mut answers = Vec::new();
        for store in self.both() {
            let claims = if is_within {
                store.claim_within_limits(&request).await
            } else {
                store.claim(&request).await
            };
            let mut claims = claims.unwrap();
            claims.runs.sort_by_key(|run| run.instance_id);
            answers.push(claims);
        }
        let told = |claims: &Claims| {
            let runs = claims.runs.iter().map(|run| (run.instance_id, run.epoch));
            format!(
                "{:?} {:?} more {} limited {}",
                runs.collect::<Vec<_>>(),
                claims.turn,
                claims.is_more,
                claims.is_limited
            )
        };
        assert_eq!(
            told(&answers[1]),
            told(&answers[0]),
            "round {round}, within limits {is_within}: {request:?}"
        );
        let claims = answers.swap_remove(0);
        *turn = claims.turn.clone();
        claims
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap()
}

#[tokio::test]
async fn both_stores_claim_the_same_runs_in_the_same_turn_and_keep_to_the_limits() {
    let seed = std::env::var("FORKTEX_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut stores = Stores::create().await;
    let (mut random, mut turn) = (Random(seed), Turn::default());
    let (mut claimed, mut at_limit, mut suspects) = (0, 0, 0);
    for round in 0..2_000 {
        stores.memory.change().now += Duration::from_millis(1);
        match random.below(20) {
            0..7 => stores.start(&mut random).await,
            7..14 => {
                let claims = stores.claim(&mut random, &mut turn, round).await;
                claimed += claims.runs.len();
                suspects += claims
                    .runs
                    .iter()
                    .filter(|run| run.epoch > Epoch(2))
                    .count();
                at_limit += usize::from(claims.is_limited && claims.runs.is_empty());
            }
            14..18 => stores.go_on(&mut random).await,
            18 => stores.limit(&mut random).await,
            // What is released together is ready since the same moment, in no order.
            _ if stores.memory.tables().active.owned().count() <= 1 => stores.next_worker().await,
            _ => {}
        }
        let (expected, found) = (
            stores.postgres.running_limits().await.unwrap(),
            stores.memory.running_limits().await.unwrap(),
        );
        assert_eq!(found, expected, "FORKTEX_SEED={seed} round {round}");
    }
    assert!(
        claimed > 100 && at_limit > 20 && suspects > 0,
        "FORKTEX_SEED={seed}: {claimed} claimed, {at_limit} times at a limit, {suspects} suspects"
    );
}

/// Nobody is left who would use the grace period, which is for the body.
#[tokio::test]
async fn the_grace_period_of_a_lost_owner_is_over() {
    let mut stores = Stores::create().await;
    let mut random = Random(7);
    stores.start(&mut random).await;
    let claims = stores.claim(&mut random, &mut Turn::default(), 0).await;
    let run = match claims.runs.first() {
        Some(run) => run.instance_id,
        // It was born claimed.
        None => {
            stores
                .memory
                .tables()
                .active
                .owned()
                .next()
                .unwrap()
                .instance_id
        }
    };
    let hour = Duration::from_hours(1);
    for store in stores.both() {
        let cancelled = store.cancel(run, "enough", hour).await.unwrap();
        assert_eq!(cancelled, crate::store::Cancelled::Requested);
        assert!(store.end_overdue_cancellations().await.unwrap().is_empty());
    }
    stores.next_worker().await;
    for store in stores.both() {
        assert_eq!(store.end_overdue_cancellations().await.unwrap(), [run]);
        assert!(store.end_overdue_cancellations().await.unwrap().is_empty());
    }
}
