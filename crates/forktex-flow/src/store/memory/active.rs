// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The runs that live, found by where they are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use crate::identifier::{DefinitionId, Epoch, InstanceId, Namespace, NodeName, WorkerId};
use crate::store::{Claimable, RestsOn, Turn};

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
    pub(super) namespace: Namespace,
    pub(super) definition_id: DefinitionId,
    pub(super) priority: i16,
    pub(super) epoch: Epoch,
    place: Place,
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

impl ActiveRun {
    pub(super) fn new(
        instance_id: InstanceId,
        namespace: Namespace,
        definition_id: DefinitionId,
        place: Place,
    ) -> Self {
        Self {
            instance_id,
            namespace,
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

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn owner(&self) -> Option<WorkerId> {
        match self.place {
            Place::Owned(worker) => Some(worker),
            _ => None,
        }
    }

    /// How long its owner has until it is given up.
    pub(super) fn grace_left(&self) -> Option<Duration> {
        let asked = self.cancellation.as_ref()?;
        Some(asked.deadline.saturating_duration_since(Instant::now()))
    }
}

/// A place in a queue: the highest priority first, then the longest ready.
pub(super) type Rank = (Reverse<i16>, OffsetDateTime, InstanceId);

/// A queue of runs to be claimed: those of a workflow in a namespace, suspects apart.
type Queue = (Claimable, Turn);

/// The runs, with an index for each question that is asked often.
#[derive(Debug, Default)]
pub(super) struct ActiveRuns {
    runs: BTreeMap<InstanceId, ActiveRun>,
    owned: BTreeSet<InstanceId>,
    /// The ready ones that are not paused; no queue is empty.
    queues: BTreeMap<Queue, BTreeSet<Rank>>,
    queued: HashMap<InstanceId, (Queue, Rank)>,
    waking: BTreeSet<(OffsetDateTime, InstanceId)>,
    /// By their parents.
    waiting_for_turn: BTreeSet<(InstanceId, InstanceId)>,
}

impl ActiveRuns {
    pub(super) fn get(&self, instance: InstanceId) -> Option<&ActiveRun> {
        self.runs.get(&instance)
    }

    pub(super) fn get_mut(&mut self, instance: InstanceId) -> Option<&mut ActiveRun> {
        self.runs.get_mut(&instance)
    }

    pub(super) fn contains(&self, instance: InstanceId) -> bool {
        self.runs.contains_key(&instance)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &ActiveRun> {
        self.runs.values()
    }

    pub(super) fn insert(&mut self, run: ActiveRun) {
        let instance = run.instance_id;
        self.runs.insert(instance, run);
        self.index(instance);
    }

    pub(super) fn remove(&mut self, instance: InstanceId) -> Option<ActiveRun> {
        self.unindex(instance);
        self.runs.remove(&instance)
    }

    pub(super) fn move_to(&mut self, instance: InstanceId, place: Place) {
        self.unindex(instance);
        if let Some(run) = self.runs.get_mut(&instance) {
            run.place = place;
        }
        self.index(instance);
    }

    pub(super) fn owned(&self) -> impl Iterator<Item = &ActiveRun> {
        self.owned.iter().filter_map(|run| self.runs.get(run))
    }

    /// The queues, from the one after a turn on and round to it.
    pub(super) fn queues(&self, which: Claimable, after: &Turn) -> impl Iterator<Item = &Turn> {
        let first = (which, Turn::default());
        let turn = (which, after.clone());
        let later = (Bound::Excluded(turn.clone()), Bound::Unbounded);
        let earlier = (Bound::Included(first), Bound::Included(turn));
        let later = self.queues.range(later);
        let later = later.take_while(move |((of, _), _)| *of == which);
        let earlier = self.queues.range(earlier);
        later.chain(earlier).map(|((_, queue), _)| queue)
    }

    /// The runs of a queue, in the order of claims.
    pub(super) fn queue(&self, which: Claimable, queue: &Turn) -> impl Iterator<Item = Rank> {
        let ranks = self.queues.get(&(which, queue.clone()));
        ranks.into_iter().flatten().copied()
    }

    /// The runs that are to wake by themselves, the first first, and when.
    pub(super) fn waking(&self) -> impl Iterator<Item = (OffsetDateTime, InstanceId)> {
        self.waking.iter().copied()
    }

    /// The children of a run that wait for their turn, the oldest first.
    pub(super) fn waiting_for_turn(&self, parent: InstanceId) -> impl Iterator<Item = &ActiveRun> {
        let first = (parent, InstanceId(uuid::Uuid::nil()));
        let last = (parent, InstanceId(uuid::Uuid::max()));
        let children = self.waiting_for_turn.range(first..=last);
        children.filter_map(|(_, child)| self.runs.get(child))
    }

    fn index(&mut self, instance: InstanceId) {
        let Some(run) = self.runs.get(&instance) else {
            return;
        };
        match &run.place {
            Place::Owned(_) => {
                self.owned.insert(instance);
            }
            Place::Ready(_) if run.is_paused => {}
            Place::Ready(at) => {
                let which = match run.losses {
                    0 => Claimable::Ready,
                    _ => Claimable::Suspect,
                };
                let turn = Turn {
                    namespace: run.namespace.clone(),
                    definition: run.definition_id,
                };
                let (queue, rank) = ((which, turn), (Reverse(run.priority), *at, instance));
                self.queues.entry(queue.clone()).or_default().insert(rank);
                self.queued.insert(instance, (queue, rank));
            }
            Place::Waiting { on, wake_at } => {
                self.waking.extend(wake_at.map(|at| (at, instance)));
                if let (WaitsFor::Turn, Some((parent, _))) = (on, &run.parent) {
                    self.waiting_for_turn.insert((*parent, instance));
                }
            }
        }
    }

    fn unindex(&mut self, instance: InstanceId) {
        if let Some((queue, rank)) = self.queued.remove(&instance)
            && let Some(ranks) = self.queues.get_mut(&queue)
        {
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.queues.remove(&queue);
            }
        }
        let Some(run) = self.runs.get(&instance) else {
            return;
        };
        match &run.place {
            Place::Owned(_) => {
                self.owned.remove(&instance);
            }
            Place::Ready(_) => {}
            Place::Waiting { wake_at, .. } => {
                if let Some(at) = wake_at {
                    self.waking.remove(&(*at, instance));
                }
                if let Some((parent, _)) = &run.parent {
                    self.waiting_for_turn.remove(&(*parent, instance));
                }
            }
        }
    }
}
