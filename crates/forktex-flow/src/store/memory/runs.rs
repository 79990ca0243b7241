// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The transactions on runs: start, claim, commit, end.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::active::{ActiveRun, Cancellation, Place, WaitsFor};
use super::inbox::Told;
use super::tables::{Tables, new_instance};
use crate::identifier::{DefinitionId, Epoch, InstanceId, WorkerId};
use crate::instance::journal::{Entry, Recorded};
use crate::instance::{Instance, InstanceStatus, WaitingOn};
use crate::store::{
    Cancelled, Checkpoint, Claimable, Committed, FIRST_EPOCH, NewRun, Pulse, Rest, RestsOn,
    Started, StoredInstance, Then, Turn, Woken,
};

/// Why a child ends whose parent was cancelled.
const PARENT_CANCELLED: &str = "its parent was cancelled";

impl Tables {
    pub(super) fn start(&mut self, run: &NewRun) -> Started {
        if let Some(key) = &run.idempotency_key {
            let key = (
                run.namespace.clone(),
                run.workflow_name.clone(),
                key.clone(),
            );
            if let Some(existing) = self.keys.get(&key) {
                let is_same = self.instances.get(existing).is_some_and(|stored| {
                    let is_moved_from = |recorded: &Recorded| match &recorded.entry {
                        Entry::Migrated(moved) => moved.from.version == run.version,
                        _ => false,
                    };
                    let is_of_version = stored.version == run.version
                        || self.entries(*existing).iter().any(is_moved_from);
                    is_of_version && stored.input == run.input
                });
                return Started::Existing {
                    instance_id: *existing,
                    is_same,
                };
            }
            self.keys.insert(key, run.instance_id);
        }
        self.tick();
        let is_limited = self.is_limited(&run.namespace, run.workflow_name.as_str());
        let owner = run
            .worker_id
            .filter(|worker| self.holds_lease(*worker) && !is_limited);
        let waits_for_turn = run.birth.as_ref().is_some_and(|birth| birth.waits_for_turn);
        let place = match owner {
            Some(worker) => Place::Owned(worker),
            None if waits_for_turn => Place::Waiting {
                on: WaitsFor::Turn,
                wake_at: None,
            },
            None => Place::Ready(self.now),
        };
        self.instances.insert(
            run.instance_id,
            new_instance(run, owner.is_some(), self.now),
        );
        self.definition_of
            .insert(run.instance_id, run.definition_id);
        let namespace = run.namespace.clone();
        let mut active = ActiveRun::new(run.instance_id, namespace, run.definition_id, place);
        active.priority = run.priority;
        active.epoch = owner.map_or(Epoch(0), |_| FIRST_EPOCH);
        let birth = run.birth.as_ref();
        active.parent = birth.map(|birth| (birth.parent_id, birth.sibling_group.clone()));
        active.deadline_at = run.deadline.map(|deadline| self.now + deadline);
        self.active.insert(active);
        match owner {
            Some(_) => Started::Claimed {
                claimed_at: self.now,
            },
            None => Started::Ready,
        }
    }

    pub(super) fn wake_due(&mut self) -> Woken {
        let now = self.now;
        let due = self.active.waking().take_while(|(at, _)| *at <= now);
        let due: Vec<(OffsetDateTime, InstanceId)> = due.collect();
        for (at, instance) in &due {
            self.active.move_to(*instance, Place::Ready(*at));
        }
        let next = self.active.waking().next();
        Woken {
            count: due.len() as u64,
            next_in: next.map(|(at, _)| (at - now).unsigned_abs()),
        }
    }

    /// Makes owned runs ready; those that are being cancelled are overdue instead. Returns how many are ready.
    pub(super) fn release(&mut self, which: impl Fn(&ActiveRun) -> bool, is_loss: bool) -> u64 {
        let owned = self.active.owned().filter(|run| which(run));
        let owned: Vec<InstanceId> = owned.map(|run| run.instance_id).collect();
        let mut released = 0;
        for instance in owned {
            let Some(run) = self.active.get_mut(instance) else {
                continue;
            };
            if let Some(asked) = &mut run.cancellation {
                // Nobody is left to use the grace period.
                asked.deadline = asked.deadline.min(Instant::now());
                continue;
            }
            released += 1;
            run.epoch = Epoch(run.epoch.0 + 1);
            if is_loss {
                run.losses += 1;
                run.lost_attempts += u32::from(run.is_alone);
            }
            run.is_alone = false;
            self.active.move_to(instance, Place::Ready(self.now));
        }
        released
    }

    pub(super) fn commit(&mut self, checkpoint: &Checkpoint) -> Committed {
        let sequence = self.last_sequence(checkpoint.instance_id);
        let Some(run) = self.active.get_mut(checkpoint.instance_id) else {
            return Committed::Fenced;
        };
        #[cfg(feature = "planted-faults")]
        let is_fenced = !self.is_unfenced;
        #[cfg(not(feature = "planted-faults"))]
        let is_fenced = true;
        if run.epoch != checkpoint.epoch && is_fenced {
            return Committed::Fenced;
        }
        if sequence >= checkpoint.first_sequence {
            return Committed::Written;
        }
        if let (Some(asked), false) = (&run.cancellation, checkpoint.is_cancelling) {
            return Committed::CancelRequested {
                reason: asked.reason.clone(),
            };
        }
        if let (Some(reason), false) = (&run.undo_reason, checkpoint.is_undoing) {
            return Committed::UndoRequested {
                reason: reason.clone(),
            };
        }
        if run.is_paused && !checkpoint.is_pausing {
            return Committed::PauseRequested;
        }
        if let Some(place) = run.settle(checkpoint, self.now) {
            self.active.move_to(checkpoint.instance_id, place);
        }
        self.record(checkpoint);
        if let Then::End { status, failure } = &checkpoint.then {
            let reason = checkpoint.cancel_reason().map(str::to_owned);
            if let Some(instance) = self.end(checkpoint.instance_id, *status) {
                instance.failure.clone_from(failure);
                instance.cancel_reason = reason;
            }
        }
        for child in &checkpoint.children {
            // One that is there already was begun where it must not be: see `planted`.
            if !self.instances.contains_key(&child.instance_id) {
                self.start(child);
            }
        }
        Committed::Written
    }

    fn record(&mut self, checkpoint: &Checkpoint) {
        let journal = self.journals.entry(checkpoint.instance_id).or_default();
        for (sequence, entry) in (checkpoint.first_sequence..).zip(&checkpoint.entries) {
            let recorded = Recorded {
                sequence,
                recorded_at: self.now,
                entry: entry.clone(),
            };
            journal.push(recorded, checkpoint.stage);
            if let Some(message) = entry.message() {
                self.inbox
                    .change(message, |message| message.is_taken = true);
            }
        }
    }

    /// Ends a run, and tells its parent and, where it was cancelled, its children.
    fn end(&mut self, instance_id: InstanceId, status: InstanceStatus) -> Option<&mut Instance> {
        let run = self.active.remove(instance_id)?;
        if let Some((parent, group)) = run.parent {
            let told = Told::ChildEnded {
                is_failure: status != InstanceStatus::Completed,
                is_passed_on: false,
            };
            self.tell(parent, &group, told);
        }
        if status == InstanceStatus::Cancelled {
            for child in self.living_children(instance_id) {
                self.tell(child, PARENT_CANCELLED, Told::EndWished);
            }
        }
        let now = self.now;
        let instance = self.instances.get_mut(&instance_id)?;
        instance.status = status;
        instance.finished_at = Some(now);
        Some(instance)
    }

    fn living_children(&self, parent: InstanceId) -> Vec<InstanceId> {
        self.active
            .values()
            .filter(|run| run.parent.as_ref().is_some_and(|(id, _)| *id == parent))
            .map(|run| run.instance_id)
            .collect()
    }

    pub(super) fn hand_back(
        &mut self,
        instance: InstanceId,
        epoch: Epoch,
        on: &RestsOn,
        delay: Duration,
    ) {
        let now = self.now;
        let Some(run) = self.active.get_mut(instance) else {
            return;
        };
        if run.epoch == epoch && run.cancellation.is_none() {
            run.epoch = Epoch(run.epoch.0 + 1);
            run.is_alone = false;
            run.current_nodes = None;
            let place = Place::Waiting {
                on: WaitsFor::Rest(on.clone()),
                wake_at: Some(now + delay),
            };
            self.active.move_to(instance, place);
        }
    }

    pub(super) fn cancel(
        &mut self,
        instance: InstanceId,
        reason: &str,
        grace: Duration,
    ) -> Cancelled {
        let deadline = Instant::now() + grace;
        let Some(run) = self.active.get_mut(instance) else {
            return self
                .instances
                .get(&instance)
                .map_or(Cancelled::NotFound, |stored| {
                    Cancelled::AlreadyTerminal(stored.status)
                });
        };
        if run.owner().is_none() {
            self.end_cancelled(instance, reason);
            return Cancelled::AtOnce;
        }
        match &mut run.cancellation {
            Some(asked) => asked.deadline = asked.deadline.min(deadline),
            None => {
                run.cancellation = Some(Cancellation {
                    deadline,
                    reason: reason.to_owned(),
                });
            }
        }
        Cancelled::Requested
    }

    fn end_cancelled(&mut self, instance: InstanceId, reason: &str) {
        let recorded = Recorded {
            sequence: self.last_sequence(instance) + 1,
            recorded_at: self.now,
            entry: Entry::RunCancelled {
                reason: reason.to_owned(),
            },
        };
        if let Some(ended) = self.end(instance, InstanceStatus::Cancelled) {
            ended.cancel_reason = Some(reason.to_owned());
            self.journals
                .entry(instance)
                .or_default()
                .push(recorded, -1);
        }
    }

    pub(super) fn end_overdue_cancellations(&mut self) -> Vec<InstanceId> {
        let now = Instant::now();
        let overdue: Vec<(InstanceId, String)> = self
            .active
            .owned()
            .filter_map(|run| Some((run.instance_id, run.cancellation.as_ref()?)))
            .filter(|(_, asked)| asked.deadline <= now)
            .map(|(instance, asked)| (instance, asked.reason.clone()))
            .collect();
        for (instance, reason) in &overdue {
            self.end_cancelled(*instance, reason);
        }
        overdue.into_iter().map(|(instance, _)| instance).collect()
    }

    pub(super) fn read(&self, instance_id: InstanceId) -> Option<StoredInstance> {
        let mut instance = self.instances.get(&instance_id)?.clone();
        let run = self.active.get(instance_id);
        instance.waiting_on = run.and_then(|run| self.waiting_on(run));
        let journal = self.entries(instance_id).to_vec();
        Some(StoredInstance { instance, journal })
    }

    fn waiting_on(&self, run: &ActiveRun) -> Option<WaitingOn> {
        if run.is_paused {
            return Some(WaitingOn::Pause);
        }
        let (on, wake_at) = match run.place() {
            Place::Owned(_) => return None,
            Place::Ready(_) => {
                return Some(if self.is_served(run.definition_id) {
                    WaitingOn::Worker
                } else {
                    WaitingOn::CompatibleWorker
                });
            }
            Place::Waiting { on, wake_at } => (on, *wake_at),
        };
        let due_at = wake_at.unwrap_or(self.now);
        Some(match on {
            WaitsFor::Turn => WaitingOn::Turn,
            WaitsFor::Rest(RestsOn::Retry) => WaitingOn::Retry { due_at },
            WaitsFor::Rest(RestsOn::Timer) => WaitingOn::Timer { due_at },
            WaitsFor::Rest(RestsOn::Worker) => WaitingOn::Worker,
            WaitsFor::Rest(RestsOn::Reader) => WaitingOn::CompatibleWorker,
            WaitsFor::Rest(RestsOn::Signal(names)) => WaitingOn::Signal {
                names: names.clone(),
                due_at: wake_at,
            },
            WaitsFor::Rest(RestsOn::Child { count, .. }) => WaitingOn::Child { remaining: *count },
        })
    }

    pub(super) fn pulse(&self, worker: WorkerId, definitions: &[DefinitionId]) -> Pulse {
        let start = Turn::default();
        let is_ready = |which| {
            let mut queues = self.active.queues(which, &start);
            queues.any(|queue| definitions.contains(&queue.definition))
        };
        let cancelling = |run: &ActiveRun| {
            let left = run.grace_left()?;
            (run.owner() == Some(worker)).then_some((run.instance_id, left))
        };
        let schedules = self.schedules.values();
        let mine = schedules.filter(|schedule| definitions.contains(&schedule.definition_id));
        let schedule_due_at = mine
            .filter_map(|schedule| schedule.due_at(&self.active))
            .min();
        let leader = self.leader.filter(|leader| self.holds_lease(*leader));
        Pulse {
            lease_held: self.holds_lease(worker),
            leading: leader == Some(worker),
            leader_age: leader.map(|_| Duration::ZERO),
            runs_ready: is_ready(Claimable::Ready),
            suspects_ready: is_ready(Claimable::Suspect),
            runs_due: self.active.waking().any(|(at, _)| at <= self.now),
            messages_undelivered: self.inbox.has_open(),
            runtime_revision: self.runtime_revision,
            leases_lost: false,
            cancellations_overdue: self
                .active
                .owned()
                .any(|run| run.grace_left().is_some_and(|left| left.is_zero())),
            cancelling: self.active.owned().filter_map(cancelling).collect(),
            schedule_due_in: schedule_due_at.map(|at| at - self.now),
        }
    }
}

impl ActiveRun {
    /// What a checkpoint that does not end it makes of it. Returns where it goes, if it leaves its owner.
    fn settle(&mut self, checkpoint: &Checkpoint, now: OffsetDateTime) -> Option<Place> {
        // A body that ended, well or not, clears its run of the suspicion to kill its process.
        let is_cleared = checkpoint.is_progress();
        let was_suspect = self.losses > 0;
        let place = match &checkpoint.then {
            Then::Wait(Rest {
                on,
                wake_after,
                current_nodes,
            }) => {
                self.current_nodes = Some(current_nodes.clone());
                self.epoch = Epoch(self.epoch.0 + 1);
                self.is_alone = false;
                Some(Place::Waiting {
                    on: WaitsFor::Rest(on.clone()),
                    wake_at: wake_after.map(|after| now + after),
                })
            }
            Then::Continue if was_suspect => {
                self.is_alone &= !is_cleared;
                None
            }
            _ => return None,
        };
        if is_cleared {
            self.losses = 0;
        }
        self.lost_attempts = 0;
        place
    }
}
