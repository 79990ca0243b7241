// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tables: what is kept, and the small things that every transaction on them does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use time::OffsetDateTime;

use super::active::ActiveRuns;
use super::inbox::{Inbox, Message, Told};
use super::time::Awaits;
use crate::identifier::{DefinitionId, InstanceId, Namespace, Version, WorkerId, WorkflowName};
use crate::instance::journal::Recorded;
use crate::instance::{Instance, InstanceStatus};
use crate::schedule::firing::Standing;
use crate::store::NewRun;
use crate::store::definitions::{StoredDefinition, StoredLimits};
use crate::store::limits::Concern;
use crate::store::schedules::ScheduleRow;

/// A workflow of a version.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) namespace: Namespace,
    pub(super) name: WorkflowName,
    pub(super) version: Version,
    pub(super) topology_hash: [u8; 32],
    pub(super) topology_lines: BTreeSet<String>,
    pub(super) state_lines: BTreeSet<String>,
    /// The names of the members of each stage.
    pub(super) stages: Vec<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct WorkerRow {
    pub(super) definitions: Vec<DefinitionId>,
    pub(super) is_lost: bool,
    /// When its lease runs out, where leases do.
    pub(super) lease_until: Option<OffsetDateTime>,
}

impl WorkerRow {
    fn holds_lease(&self, now: OffsetDateTime) -> bool {
        !self.is_lost && self.lease_until.is_none_or(|until| until > now)
    }
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
    /// How many runs may be held at once.
    pub(super) running_limits: BTreeMap<Concern, u32>,
    pub(super) schedules: BTreeMap<WorkflowName, ScheduleEntry>,
    pub(super) workers: HashMap<WorkerId, WorkerRow>,
    pub(super) leader: Option<WorkerId>,
    /// When the leader last said that it leads, where that counts.
    pub(super) leader_renewed_at: OffsetDateTime,
    /// Whether an epoch that has moved on is written under.
    #[cfg(feature = "planted-faults")]
    pub(super) is_unfenced: bool,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) definition_of: HashMap<InstanceId, DefinitionId>,
    pub(super) keys: HashMap<(Namespace, WorkflowName, String), InstanceId>,
    pub(super) active: ActiveRuns,
    pub(super) journals: HashMap<InstanceId, Journal>,
    pub(super) inbox: Inbox,
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
            running_limits: BTreeMap::new(),
            schedules: BTreeMap::new(),
            workers: HashMap::new(),
            leader: None,
            leader_renewed_at: now,
            #[cfg(feature = "planted-faults")]
            is_unfenced: false,
            instances: BTreeMap::new(),
            definition_of: HashMap::new(),
            keys: HashMap::new(),
            active: ActiveRuns::default(),
            journals: HashMap::new(),
            inbox: Inbox::default(),
        }
    }

    pub(super) fn holds_lease(&self, worker: WorkerId) -> bool {
        let row = self.workers.get(&worker);
        row.is_some_and(|row| row.holds_lease(self.now))
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
        self.inbox.add(Message {
            instance_id,
            name: name.to_owned(),
            told,
            sent_at: self.now,
            is_delivered: false,
            is_taken: false,
        });
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
    pub(super) fn due_at(&self, active: &ActiveRuns) -> Option<OffsetDateTime> {
        if self.has_ended || !self.row.is_enabled {
            return None;
        }
        let waiting = self.row.waiting_tick.filter(|_| !self.is_busy(active));
        waiting.into_iter().chain(self.row.next_fire_at).min()
    }

    /// Whether a run of an earlier tick lives.
    pub(super) fn is_busy(&self, active: &ActiveRuns) -> bool {
        self.living.iter().any(|run| active.contains(*run))
    }

    pub(super) fn standing(&self, active: &ActiveRuns, now: OffsetDateTime) -> Standing {
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
