// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Both stores give the same answers to the same calls, whatever the calls are.

use std::collections::HashSet;
use std::time::Duration;

use forktex_db::{Db, DbOptions, Migration, Migrator};
use forktex_testkit::TestDatabase;
use serde_json::{Map, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::MemoryStore;
use super::tables::Place;
use crate::identifier::{
    DefinitionId, Epoch, InstanceId, Namespace, SignalName, WorkerId, WorkflowName,
};
use crate::instance::InstanceStatus;
use crate::instance::journal::{Entry, Visit};
use crate::store::postgres::PostgresStore;
use crate::store::{Checkpoint, NewRun, NewSignal, Rest, RestsOn, Started, Store, Then};

const DEFINITION: DefinitionId = DefinitionId(1);
const LEASE: Duration = Duration::from_mins(10);

/// A generator that a seed repeats (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Debug, Clone)]
enum Call {
    Start(Box<NewRun>),
    Claim(WorkerId),
    Commit(Box<Checkpoint>),
    Cancel(InstanceId),
    Pause(InstanceId, bool),
    Undo(InstanceId),
    Post(NewSignal),
    Deliver,
    Release(WorkerId),
}

/// What a store answers, without the times, which are its own.
async fn answer(store: &dyn Store, call: &Call) -> String {
    match call {
        Call::Start(run) => {
            let started = store.start(std::slice::from_ref(&**run)).await.unwrap();
            match &started[0] {
                Started::Claimed { .. } => "claimed".to_owned(),
                other => format!("{other:?}"),
            }
        }
        Call::Claim(worker) => {
            // All at once: which of two that were readied together comes first is left open.
            let mut claimed = store
                .claim_ready(*worker, &[DEFINITION], 1_000)
                .await
                .unwrap();
            claimed.sort_by_key(|run| run.instance_id);
            let told = claimed.iter().map(|run| {
                let entries: Vec<_> = run
                    .journal
                    .iter()
                    .map(|it| (it.sequence, &it.entry))
                    .collect();
                format!(
                    "{:?} {:?} {:?} {entries:?}",
                    run.instance_id, run.epoch, run.undo_reason
                )
            });
            told.collect::<Vec<_>>().join(";")
        }
        Call::Commit(checkpoint) => format!("{:?}", store.commit_alone(checkpoint).await.unwrap()),
        Call::Cancel(run) => format!("{:?}", store.cancel(*run, "enough", LEASE).await.unwrap()),
        Call::Pause(run, is_paused) => {
            format!("{:?}", store.pause(*run, *is_paused).await.unwrap())
        }
        Call::Undo(run) => format!("{:?}", store.request_undo(*run, "undone").await.unwrap()),
        Call::Post(signal) => format!("{:?}", store.post(signal).await.unwrap()),
        Call::Deliver => format!("{:?}", store.deliver().await.unwrap().readied),
        Call::Release(worker) => format!("{:?}", store.release_unheld(*worker, &[]).await.unwrap()),
    }
}

/// What a store tells of a run.
async fn told(store: &dyn Store, run: InstanceId) -> String {
    let Some(stored) = store.read(run).await.unwrap() else {
        return "none".to_owned();
    };
    let entries: Vec<_> = stored
        .journal
        .iter()
        .map(|it| (it.sequence, &it.entry))
        .collect();
    let instance = &stored.instance;
    let (status, waiting) = (instance.status, &instance.waiting_on);
    format!(
        "{status} {waiting:?} {:?} {entries:?}",
        instance.cancel_reason
    )
}

fn run(random: &mut Random, instance_id: InstanceId, worker: WorkerId) -> NewRun {
    NewRun {
        instance_id,
        definition_id: DEFINITION,
        namespace: Namespace::default(),
        workflow_name: WorkflowName::unchecked("order"),
        version: 1,
        input: json!({"size": random.below(2)}),
        metadata: Map::new(),
        triggered_by: "manual".to_owned(),
        idempotency_key: (random.below(3) == 0).then(|| format!("key-{}", random.below(4))),
        priority: 0,
        worker_id: (random.below(3) == 0).then_some(worker),
        birth: None,
        deadline: None,
    }
}

fn checkpoint(random: &mut Random, instance_id: InstanceId) -> Checkpoint {
    let then = match random.below(3) {
        0 => Then::Continue,
        1 => Then::End {
            status: InstanceStatus::Completed,
            failure: None,
        },
        _ => Then::Wait(Rest {
            on: RestsOn::Signal(vec!["go".to_owned()]),
            wake_after: None,
            current_nodes: Vec::new(),
        }),
    };
    let sequence = 1 + random.below(2);
    let at = Visit {
        superstep: 1,
        member: 0,
        node: crate::identifier::NodeName::unchecked("pack"),
        visit: 1,
    };
    Checkpoint {
        instance_id,
        epoch: Epoch(i64::try_from(1 + random.below(3)).unwrap()),
        first_sequence: i64::try_from(sequence).unwrap(),
        entries: vec![Entry::NodeSkipped { at }],
        then,
        is_cancelling: false,
        is_pausing: false,
        is_undoing: false,
        stage: 0,
        children: Vec::new(),
    }
}

fn call(random: &mut Random, runs: &mut Vec<InstanceId>, worker: WorkerId) -> Call {
    let known = usize::try_from(random.below(1 + runs.len() as u64)).unwrap();
    let target = runs
        .get(known)
        .copied()
        .unwrap_or_else(InstanceId::generate);
    match random.below(12) {
        0..3 => {
            let instance = InstanceId::generate();
            runs.push(instance);
            Call::Start(Box::new(run(random, instance, worker)))
        }
        3..5 => Call::Claim(worker),
        5..8 => Call::Commit(Box::new(checkpoint(random, target))),
        8 => match random.below(3) {
            0 => Call::Cancel(target),
            1 => Call::Undo(target),
            _ => Call::Pause(target, random.below(2) == 0),
        },
        9 => Call::Post(NewSignal {
            instance_id: target,
            name: SignalName::unchecked("go"),
            payload: json!(random.below(2)),
            idempotency_key: (random.below(2) == 0).then(|| "once".to_owned()),
        }),
        10 => Call::Deliver,
        _ => Call::Release(worker),
    }
}

#[tokio::test]
async fn both_stores_answer_the_same() {
    let seed = std::env::var("FORKTEX_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    let migrations: Vec<Migration> = forktex_migrations::FLOW
        .iter()
        .map(|source| Migration::new(source.version, source.name, source.sql))
        .collect();
    Migrator::new("forktex_flow", &migrations)
        .run(&db)
        .await
        .unwrap();
    let postgres = PostgresStore::new(db, "forktex_flow").unwrap();
    let memory = MemoryStore::at(OffsetDateTime::UNIX_EPOCH);
    let worker = WorkerId(Uuid::now_v7());
    for store in [&postgres as &dyn Store, &memory] {
        store
            .register_worker(worker, "one", LEASE, &[DEFINITION])
            .await
            .unwrap();
    }
    let (mut random, mut runs) = (Random(seed), Vec::new());
    let mut handed_out = HashSet::new();
    let mut answers = HashSet::new();
    for round in 0..600 {
        let call = call(&mut random, &mut runs, worker);
        // An owner names the epoch of a claim of its own, be it over or not; no other is handed out.
        if let Call::Commit(checkpoint) = &call
            && !handed_out.contains(&(checkpoint.instance_id, checkpoint.epoch))
        {
            continue;
        }
        memory.advance(Duration::from_millis(1));
        let (expected, found) = (answer(&postgres, &call).await, answer(&memory, &call).await);
        assert_eq!(
            found, expected,
            "FORKTEX_SEED={seed} round {round}: {call:?}"
        );
        answers.insert(found);
        let tables = memory.tables();
        let owned = tables
            .active
            .values()
            .filter(|run| matches!(run.place, Place::Owned(_)));
        handed_out.extend(owned.map(|run| (run.instance_id, run.epoch)));
    }
    for kind in ["Written", "Fenced", "Accepted", "AtOnce", "Requested"] {
        assert!(answers.contains(kind), "FORKTEX_SEED={seed}: no {kind}");
    }
    for run in runs {
        assert_eq!(
            told(&memory, run).await,
            told(&postgres, run).await,
            "FORKTEX_SEED={seed} {run:?}"
        );
    }
}

#[tokio::test]
async fn time_stands_until_it_is_moved_and_a_lost_worker_makes_suspects() {
    let memory = MemoryStore::at(OffsetDateTime::UNIX_EPOCH);
    let (worker, other) = (WorkerId(Uuid::now_v7()), WorkerId(Uuid::now_v7()));
    for worker in [worker, other] {
        memory
            .register_worker(worker, "one", LEASE, &[DEFINITION])
            .await
            .unwrap();
    }
    let instance = InstanceId::generate();
    let mut born = run(&mut Random(1), instance, worker);
    born.worker_id = Some(worker);
    memory.start(&[born]).await.unwrap();
    memory
        .hand_back(
            instance,
            Epoch(1),
            &RestsOn::Timer,
            Duration::from_hours(365 * 24),
        )
        .await
        .unwrap();
    assert_eq!(memory.wake_due().await.unwrap().count, 0);
    let due = memory.next_due().unwrap();
    memory.advance((due - memory.now()).unsigned_abs());
    assert_eq!(memory.wake_due().await.unwrap().count, 1);

    assert_eq!(
        memory
            .claim_ready(worker, &[DEFINITION], 1)
            .await
            .unwrap()
            .len(),
        1
    );
    memory.lose(worker);
    assert_eq!(memory.release_lost().await.unwrap(), 1);
    assert!(
        memory
            .claim_ready(other, &[DEFINITION], 1)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        memory
            .claim_suspect(other, &[DEFINITION])
            .await
            .unwrap()
            .len(),
        1
    );
}
