// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Both stores give the same answers to the same calls, whatever the calls are.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use forktex_db::sqlx;
use forktex_db::{Db, DbOptions, Direction};
use forktex_testkit::TestDatabase;
use serde_json::{Map, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::MemoryStore;
use super::tables::Definition;
use super::time::Await;
use crate::identifier::{
    DefinitionId, Epoch, InstanceId, Namespace, NodeName, SignalName, WorkerId, WorkflowName,
};
use crate::instance::InstanceStatus;
use crate::instance::journal::{Entry, Visit};
use crate::instance::list::{InstanceFilter, SortField};
use crate::store::control::Fork;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::schema::migrate;
use crate::store::postgres::statement::DEFAULT_SCHEMA;
use crate::store::query::PageRequest;
use crate::store::{
    Birth, Checkpoint, ClaimRequest, Claimable, NewRun, NewSignal, Rest, RestsOn, Started, Store,
    Then, Turn,
};

const DEFINITION: DefinitionId = DefinitionId(1);
const LEASE: Duration = Duration::from_mins(10);

/// The first turn of all.
static FIRST: LazyLock<Turn> = LazyLock::new(Turn::default);

fn request(worker: WorkerId, which: Claimable, room: u32) -> ClaimRequest<'static> {
    ClaimRequest {
        worker,
        definitions: &[DEFINITION],
        which,
        room,
        turn: &FIRST,
    }
}

/// A generator that a seed repeats (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
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
    CancelChildren,
    Release(WorkerId),
    Fork(Fork),
    List(Box<PageRequest>),
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
            let request = request(*worker, Claimable::Ready, 1_000);
            let mut claimed = store.claim(&request).await.unwrap().runs;
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
        Call::CancelChildren => {
            let (mut ended, mut asked) = store.cancel_children(LEASE).await.unwrap();
            ended.sort();
            asked.sort();
            format!("ended {ended:?} asked {asked:?}")
        }
        Call::Fork(fork) => format!("forked {:?}", store.fork(fork).await.unwrap()),
        Call::List(request) => {
            let listed = store.page_of_ids(request).await.unwrap();
            let ids: Vec<InstanceId> = listed.into_iter().map(|(_, id)| id).collect();
            let count = store.count_runs(&request.filter, None).await.unwrap();
            let summary = store.sum_up(&request.filter).await.unwrap();
            format!("listed {ids:?} of {count} {:?}", summary.by_status)
        }
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
        namespace: Namespace::new(["", "org-a", "org-b"][any_below(random, 3)]).unwrap(),
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

/// A page of a list that is narrowed and sorted in any way.
fn page(random: &mut Random, runs: &[InstanceId]) -> PageRequest {
    let statuses = [
        InstanceStatus::Pending,
        InstanceStatus::Running,
        InstanceStatus::Completed,
        InstanceStatus::Cancelled,
    ];
    let mut filter = InstanceFilter::default();
    for _ in 0..random.below(3) {
        let any = usize::try_from(random.below(1 + runs.len() as u64)).unwrap();
        let any = runs.get(any).copied();
        match random.below(6) {
            0 => filter.statuses = Some(statuses[..=any_below(random, 4)].to_vec()),
            1 => filter.input = Some(json!({"size": random.below(2)})),
            2 => filter.current_nodes = Some(vec!["pack".to_owned()]),
            3 => filter.parent = any,
            4 => filter.retry_of = any,
            _ => filter.without_retry = true,
        }
    }
    let sorts = [
        SortField::CreatedAt,
        SortField::FinishedAt,
        SortField::WorkflowName,
        SortField::Status,
    ];
    PageRequest {
        filter,
        sort: sorts[any_below(random, 4)],
        direction: if random.below(2) == 0 {
            Direction::Ascending
        } else {
            Direction::Descending
        },
        after: None,
        limit: 1 + u32::try_from(random.below(20)).unwrap(),
    }
}

fn any_below(random: &mut Random, bound: u64) -> usize {
    usize::try_from(random.below(bound)).unwrap()
}

/// A child of a run, which may have to wait for its turn.
fn child(random: &mut Random, parent_id: InstanceId) -> NewRun {
    let waits_for_turn = random.below(2) == 0;
    NewRun {
        idempotency_key: None,
        birth: Some(Birth {
            parent_id,
            sibling_group: "map".to_owned(),
            waits_for_turn,
        }),
        worker_id: None,
        ..run(random, InstanceId::generate(), WorkerId(Uuid::nil()))
    }
}

fn checkpoint(random: &mut Random, instance_id: InstanceId) -> Checkpoint {
    let then = match random.below(4) {
        0 => Then::Continue,
        3 => Then::Wait(Rest {
            on: RestsOn::Child {
                count: 1 + u32::try_from(random.below(2)).unwrap(),
                fails_fast: random.below(2) == 0,
                signals: Vec::new(),
            },
            wake_after: None,
            current_nodes: vec![NodeName::unchecked("pack")],
        }),
        1 => Then::End {
            status: if random.below(3) == 0 {
                InstanceStatus::Cancelled
            } else {
                InstanceStatus::Completed
            },
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
        node: NodeName::unchecked("pack"),
        visit: 1,
    };
    Checkpoint {
        instance_id,
        epoch: Epoch(i64::try_from(1 + random.below(3)).unwrap()),
        first_sequence: i64::try_from(sequence).unwrap(),
        entries: match &then {
            Then::End {
                status: InstanceStatus::Cancelled,
                ..
            } => vec![Entry::RunCancelled {
                reason: "enough".to_owned(),
            }],
            _ => vec![Entry::NodeSkipped { at }],
        },
        then,
        is_cancelling: false,
        is_pausing: false,
        is_undoing: false,
        stage: 0,
        children: (0..random.below(3).saturating_sub(1) * 2)
            .map(|_| child(random, instance_id))
            .collect(),
    }
}

fn call(random: &mut Random, runs: &mut Vec<InstanceId>, worker: WorkerId) -> Call {
    let known = usize::try_from(random.below(1 + runs.len() as u64)).unwrap();
    let target = runs
        .get(known)
        .copied()
        .unwrap_or_else(InstanceId::generate);
    match random.below(16) {
        0..3 => {
            let instance = InstanceId::generate();
            runs.push(instance);
            Call::Start(Box::new(run(random, instance, worker)))
        }
        3..5 => Call::Claim(worker),
        5..8 => {
            let checkpoint = checkpoint(random, target);
            runs.extend(checkpoint.children.iter().map(|child| child.instance_id));
            Call::Commit(Box::new(checkpoint))
        }
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
        11 => Call::CancelChildren,
        12 => Call::Fork(Fork {
            source: target,
            instance_id: InstanceId::generate(),
            triggered_by: "retry",
            sequences: vec![1],
            pin: None,
        }),
        13..15 => Call::List(Box::new(page(random, runs))),
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
    migrate(&db, DEFAULT_SCHEMA).await.unwrap();
    sqlx::query(
        "INSERT INTO forktex_flow.definition (
             namespace, workflow_name, workflow_version, topology_hash, topology, state_hash, stages
         ) VALUES ('', 'order', 1, sha256('a'), '{}', sha256('b'), '[[\"pack\"]]')",
    )
    .execute(db.pool())
    .await
    .unwrap();
    let postgres = PostgresStore::new(db, DEFAULT_SCHEMA).unwrap();
    let memory = MemoryStore::at(OffsetDateTime::UNIX_EPOCH);
    let definition = memory.change().put(Definition {
        namespace: Namespace::default(),
        name: WorkflowName::unchecked("order"),
        version: 1,
        topology_hash: [0; 32],
        topology_lines: BTreeSet::new(),
        state_lines: BTreeSet::new(),
        stages: vec![vec!["pack".to_owned()]],
    });
    assert_eq!(definition, DEFINITION);
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
    for round in 0..1_500 {
        let call = call(&mut random, &mut runs, worker);
        // An owner names the epoch of a claim of its own, be it over or not; no other is handed out.
        if let Call::Commit(checkpoint) = &call
            && !handed_out.contains(&(checkpoint.instance_id, checkpoint.epoch))
        {
            continue;
        }
        memory.change().now += Duration::from_millis(1);
        let (expected, found) = (answer(&postgres, &call).await, answer(&memory, &call).await);
        assert_eq!(
            found, expected,
            "FORKTEX_SEED={seed} round {round}: {call:?}"
        );
        answers.insert(found);
        let tables = memory.tables();
        let owned = tables.active.owned();
        handed_out.extend(owned.map(|run| (run.instance_id, run.epoch)));
    }
    let kinds = [
        "Written",
        "Fenced",
        "Accepted",
        "AtOnce",
        "Requested",
        "forked true",
    ];
    for kind in kinds {
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
    // Nobody waits for anything, and so the clock stands.
    assert!(!memory.tables().move_clock());
    let awaiting = memory.awaiting(Await {
        run: Some(instance),
        after_sequence: None,
        until: None,
    });
    assert!(memory.change().move_clock());
    drop(awaiting);
    let a_year = Duration::from_hours(365 * 24);
    let a_while = memory.clock() - OffsetDateTime::UNIX_EPOCH;
    assert!(a_while >= a_year && a_while < a_year + Duration::from_secs(1));

    let claim = async |worker, which| {
        let claims = memory.claim(&request(worker, which, 1)).await.unwrap();
        claims.runs.len()
    };
    assert_eq!(claim(worker, Claimable::Ready).await, 1);
    memory.lose(worker);
    assert_eq!(claim(other, Claimable::Ready).await, 0);
    assert_eq!(claim(other, Claimable::Suspect).await, 1);
}
