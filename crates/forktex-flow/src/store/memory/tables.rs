// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tables: what is kept, and the small things that every transaction on them does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::time::Awaits;
use crate::identifier::{
    DefinitionId, Epoch, InstanceId, Namespace, NodeName, Version, WorkerId, WorkflowName,
};
use crate::instance::journal::{MessageId, Recorded};
use crate::instance::{Instance, InstanceStatus};
use crate::schedule::firing::Standing;
use crate::store::definitions::{StoredDefinition, StoredLimits};
use crate::store::schedules::ScheduleRow;
use crate::store::{NewRun, RestsOn};

/// A workflow of a version.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) namespace: Namespace,
    pub(super) name: WorkflowName,
    pub(super) version: Version,
    pub(super) topology_hash: [u8; 32],
    pub(super) topology_lines: BTreeSet<String>,
    /// The names of the members of each stage.
    pub(super) stages: Vec<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct WorkerRow {
    pub(super) definitions: Vec<DefinitionId>,
    pub(super) is_lost: bool,
}

/// Where a run that lives is: exactly one of three.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Owned(WorkerId),
    Ready(OffsetDateTime),
    Waiting {
        on: WaitsFor,
        wake_at: Option<OffsetDateTime>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum WaitsFor {
    Rest(RestsOn),
    /// The end of a sibling.
    Turn,
}

/// The end that was asked of a run that is owned. What a body does takes real time, and so does what it
/// may take to end.
#[derive(Debug, Clone)]
pub(super) struct Cancellation {
    pub(super) deadline: Instant,
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) struct ActiveRun {
    pub(super) instance_id: InstanceId,
    pub(super) definition_id: DefinitionId,
    pub(super) priority: i16,
    pub(super) epoch: Epoch,
    pub(super) place: Place,
    pub(super) is_paused: bool,
    pub(super) parent: Option<(InstanceId, String)>,
    pub(super) losses: u32,
    pub(super) is_alone: bool,
    pub(super) lost_attempts: u32,
    pub(super) cancellation: Option<Cancellation>,
    pub(super) undo_reason: Option<String>,
    pub(super) deadline_at: Option<OffsetDateTime>,
    /// Where it waits, while it does; unknown of one that was handed back.
    pub(super) current_nodes: Option<Vec<NodeName>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Signal {
        key: Option<String>,
        payload: Value,
    },
    ChildEnded {
        is_failure: bool,
        is_passed_on: bool,
    },
    EndWished,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) instance_id: InstanceId,
    pub(super) name: String,
    pub(super) told: Told,
    pub(super) sent_at: OffsetDateTime,
    pub(super) is_delivered: bool,
    pub(super) is_taken: bool,
}

/// What a run has recorded.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) entries: Vec<Recorded>,
    /// The stage after each entry; -1 where it is in none.
    pub(super) stages: Vec<i32>,
}

/// The schedule of a workflow. One that has ended keeps its row, without words.
#[derive(Debug)]
pub(super) struct ScheduleEntry {
    pub(super) row: ScheduleRow,
    pub(super) has_ended: bool,
    pub(super) definition_id: DefinitionId,
    pub(super) living: Vec<InstanceId>,
}

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) now: OffsetDateTime,
    pub(super) awaits: Awaits,
    pub(super) definitions: BTreeMap<DefinitionId, Definition>,
    pub(super) last_definition: i64,
    pub(super) runtime_definitions: Vec<StoredDefinition>,
    pub(super) runtime_revision: i64,
    pub(super) limits: HashMap<Namespace, StoredLimits>,
    pub(super) schedules: BTreeMap<WorkflowName, ScheduleEntry>,
    pub(super) workers: HashMap<WorkerId, WorkerRow>,
    pub(super) leader: Option<WorkerId>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) definition_of: HashMap<InstanceId, DefinitionId>,
    pub(super) keys: HashMap<(Namespace, WorkflowName, String), InstanceId>,
    pub(super) active: BTreeMap<InstanceId, ActiveRun>,
    pub(super) journals: HashMap<InstanceId, Journal>,
    pub(super) inbox: BTreeMap<MessageId, Message>,
    last_message: i64,
}

impl Tables {
    pub(super) fn at(now: OffsetDateTime) -> Self {
        Self {
            now,
            awaits: Awaits::default(),
            definitions: BTreeMap::new(),
            last_definition: 0,
            runtime_definitions: Vec::new(),
            runtime_revision: 0,
            limits: HashMap::new(),
            schedules: BTreeMap::new(),
            workers: HashMap::new(),
            leader: None,
            instances: BTreeMap::new(),
            definition_of: HashMap::new(),
            keys: HashMap::new(),
            active: BTreeMap::new(),
            journals: HashMap::new(),
            inbox: BTreeMap::new(),
            last_message: 0,
        }
    }

    pub(super) fn holds_lease(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|row| !row.is_lost)
    }

    /// Whether a worker that lives has the definition.
    pub(super) fn is_served(&self, definition: DefinitionId) -> bool {
        self.workers
            .values()
            .any(|worker| !worker.is_lost && worker.definitions.contains(&definition))
    }

    pub(super) fn last_sequence(&self, instance: InstanceId) -> i64 {
        let last = self.entries(instance).last();
        last.map_or(0, |recorded| recorded.sequence)
    }

    pub(super) fn entries(&self, instance: InstanceId) -> &[Recorded] {
        self.journals
            .get(&instance)
            .map_or(&[], |journal| &journal.entries)
    }

    pub(super) fn tell(&mut self, instance_id: InstanceId, name: &str, told: Told) {
        self.last_message += 1;
        let message = Message {
            instance_id,
            name: name.to_owned(),
            told,
            sent_at: self.now,
            is_delivered: false,
            is_taken: false,
        };
        self.inbox.insert(MessageId(self.last_message), message);
    }
}

impl ActiveRun {
    pub(super) fn new(instance_id: InstanceId, definition_id: DefinitionId, place: Place) -> Self {
        Self {
            instance_id,
            definition_id,
            priority: 0,
            epoch: Epoch(0),
            place,
            is_paused: false,
            parent: None,
            losses: 0,
            is_alone: false,
            lost_attempts: 0,
            cancellation: None,
            undo_reason: None,
            deadline_at: None,
            current_nodes: None,
        }
    }

    /// How long its owner has until it is given up.
    pub(super) fn grace_left(&self) -> Option<Duration> {
        let asked = self.cancellation.as_ref()?;
        Some(asked.deadline.saturating_duration_since(Instant::now()))
    }
}

impl Message {
    /// Whether a worker has something to do about it; of an owned run there is nothing yet.
    pub(super) fn is_undelivered(&self) -> bool {
        !self.is_delivered
            || matches!(
                self.told,
                Told::ChildEnded {
                    is_passed_on: false,
                    ..
                }
            )
    }
}

impl Journal {
    pub(super) fn push(&mut self, recorded: Recorded, stage: i32) {
        self.entries.push(recorded);
        self.stages.push(stage);
    }
}

impl ScheduleEntry {
    /// When it is to be looked at next.
    pub(super) fn due_at(
        &self,
        active: &BTreeMap<InstanceId, ActiveRun>,
    ) -> Option<OffsetDateTime> {
        if self.has_ended || !self.row.is_enabled {
            return None;
        }
        let waiting = self.row.waiting_tick.filter(|_| !self.is_busy(active));
        waiting.into_iter().chain(self.row.next_fire_at).min()
    }

    /// Whether a run of an earlier tick lives.
    pub(super) fn is_busy(&self, active: &BTreeMap<InstanceId, ActiveRun>) -> bool {
        self.living.iter().any(|run| active.contains_key(run))
    }

    pub(super) fn standing(
        &self,
        active: &BTreeMap<InstanceId, ActiveRun>,
        now: OffsetDateTime,
    ) -> Standing {
        Standing {
            next_fire_at: self.row.next_fire_at,
            waiting_tick: self.row.waiting_tick,
            is_busy: self.is_busy(active),
            now,
        }
    }
}

/// A run as it is when it is accepted.
pub(super) fn new_instance(run: &NewRun, is_owned: bool, now: OffsetDateTime) -> Instance {
    Instance {
        instance_id: run.instance_id,
        workflow_name: run.workflow_name.clone(),
        version: run.version,
        namespace: run.namespace.clone(),
        status: if is_owned {
            InstanceStatus::Running
        } else {
            InstanceStatus::Pending
        },
        waiting_on: None,
        state: Value::Null,
        input: run.input.clone(),
        metadata: run.metadata.clone(),
        current_nodes: Vec::new(),
        nodes: Vec::new(),
        triggered_by: run.triggered_by.clone(),
        parent_id: run.birth.as_ref().map(|birth| birth.parent_id),
        retry_of: None,
        created_at: now,
        started_at: is_owned.then_some(now),
        finished_at: None,
        failure: None,
        cancel_reason: None,
    }
}
