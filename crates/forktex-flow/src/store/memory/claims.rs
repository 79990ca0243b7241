// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Claims in memory, and the limits that they keep within: step by step as the statements on Postgres.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use forktex_db::DbError;

use super::MemoryStore;
use super::active::{Place, Rank};
use super::tables::Tables;
use crate::identifier::{Epoch, InstanceId, Namespace, WorkerId};
use crate::instance::InstanceStatus;
use crate::store::limits::{Concern, LimitStore, StoredLimit};
use crate::store::{ClaimRequest, Claimable, ClaimedRun, Claims, ROUND_MAX, ROUND_SPARE, Turn};

/// What a claim came by on its round.
struct Round {
    /// The queues that it may claim of, in the order of the round.
    queues: Vec<Turn>,
    /// How often another namespace came.
    namespaces: usize,
    /// Where it ended.
    last: Turn,
    is_cut: bool,
    has_passed_over: bool,
}

/// A queue that has places left, and how many.
struct Open {
    queue: Turn,
    places: u64,
    /// Which namespace of the round it belongs to, from 0.
    number: usize,
    step: usize,
}

impl Tables {
    fn workflow(&self, queue: &Turn) -> &str {
        let definition = self.definitions.get(&queue.definition);
        definition.map_or("", |definition| definition.name.as_str())
    }

    fn concerns<'a>(&'a self, queue: &'a Turn) -> impl Iterator<Item = (&'a Concern, u32)> {
        let workflow = self.workflow(queue);
        let limits = self.running_limits.iter();
        let about =
            limits.filter(move |(concern, _)| concern.is_about(queue.namespace.as_str(), workflow));
        about.map(|(concern, max)| (concern, *max))
    }

    /// Whether a limit concerns the runs of a workflow in a namespace.
    pub(super) fn is_limited(&self, namespace: &Namespace, workflow: &str) -> bool {
        let mut concerns = self.running_limits.keys();
        concerns.any(|concern| concern.is_about(namespace.as_str(), workflow))
    }

    /// How many runs that a limit concerns are held by workers that live.
    fn running(&self, concern: &Concern) -> u64 {
        let held = self.active.owned().filter(|run| {
            let queue = Turn {
                namespace: run.namespace.clone(),
                definition: run.definition_id,
            };
            let workflow = self.workflow(&queue);
            let owner = run.owner();
            owner.is_some_and(|worker| self.holds_lease(worker))
                && concern.is_about(run.namespace.as_str(), workflow)
        });
        held.count() as u64
    }

    /// How many more runs of a queue may be held.
    fn places(&self, queue: &Turn) -> u64 {
        let concerns = self.concerns(queue);
        let places =
            concerns.map(|(concern, max)| u64::from(max).saturating_sub(self.running(concern)));
        places.min().unwrap_or(u64::MAX)
    }

    /// Whether a worker that lives could claim something.
    pub(super) fn is_one_claimable(&self) -> bool {
        let start = Turn::default();
        let of = |which| self.active.queues(which, &start);
        of(Claimable::Ready)
            .chain(of(Claimable::Suspect))
            .any(|queue| self.is_served(queue.definition) && self.places(queue) > 0)
    }

    fn go_round(&self, request: &ClaimRequest<'_>, spare: Option<usize>) -> Round {
        let window = room(request) + spare.unwrap_or(0);
        let mut round = Round {
            queues: Vec::new(),
            namespaces: 0,
            last: request.turn.clone(),
            is_cut: false,
            has_passed_over: false,
        };
        let mut last_namespace: Option<&Namespace> = None;
        let queues = self.active.queues(request.which, request.turn);
        for (step, queue) in queues.enumerate() {
            let is_same = last_namespace == Some(&queue.namespace);
            if step == ROUND_MAX || (round.namespaces >= window && !is_same) {
                break;
            }
            round.is_cut = step + 1 == ROUND_MAX;
            round.last = queue.clone();
            if !request.definitions.contains(&queue.definition) {
                continue;
            }
            if spare.is_none() && self.concerns(queue).next().is_some() {
                round.has_passed_over = true;
                continue;
            }
            round.namespaces += usize::from(!is_same);
            last_namespace = Some(&queue.namespace);
            round.queues.push(queue.clone());
        }
        round.is_cut |= round.namespaces >= window;
        round
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest<'_>) -> Claims {
        let round = self.go_round(request, None);
        let room = room(request);
        let quota = room.div_ceil(round.namespaces.max(1)).max(1);
        let mut found: BTreeMap<&Namespace, Vec<Rank>> = BTreeMap::new();
        if self.holds_lease(request.worker) {
            for queue in &round.queues {
                let ranks = self.active.queue(request.which, queue).take(quota);
                found.entry(&queue.namespace).or_default().extend(ranks);
            }
        }
        let is_more = round.is_cut || found.values().any(|ranks| ranks.len() >= quota);
        let mut ranked = Vec::new();
        for mut ranks in found.into_values() {
            ranks.sort();
            ranked.extend(ranks.into_iter().enumerate());
        }
        ranked.sort();
        ranked.truncate(room);
        Claims {
            runs: self.take(request, ranked.into_iter().map(|(_, (_, _, run))| run)),
            turn: round.last,
            is_more,
            is_limited: round.has_passed_over,
            is_contended: false,
        }
    }

    /// The queues of a round that have places, the namespaces numbered as they come.
    fn open(&self, round: &Round) -> Vec<Open> {
        let mut numbers: HashMap<&Namespace, usize> = HashMap::new();
        let queues = round.queues.iter().enumerate();
        queues
            .map(|(step, queue)| (step, queue, self.places(queue)))
            .filter(|(_, _, places)| *places > 0)
            .map(|(step, queue, places)| {
                let next = numbers.len();
                Open {
                    queue: queue.clone(),
                    places,
                    number: *numbers.entry(&queue.namespace).or_insert(next),
                    step,
                }
            })
            .collect()
    }

    pub(super) fn claim_within_limits(&mut self, request: &ClaimRequest<'_>) -> Claims {
        let round = self.go_round(request, Some(ROUND_SPARE));
        let room = room(request);
        let mut open = self.open(&round);
        let first_left = open.iter().find(|open| open.number == room);
        let turn = first_left
            .map_or(&round.last, |left| &round.queues[left.step - 1])
            .clone();
        open.retain(|open| open.number < room);
        let namespaces = open.iter().map(|open| open.number + 1).max().unwrap_or(1);
        let quota = room.div_ceil(namespaces).max(1);
        let mut is_more = round.is_cut;
        let mut found: BTreeMap<&Namespace, Vec<(Rank, &Turn)>> = BTreeMap::new();
        if self.holds_lease(request.worker) {
            for Open { queue, places, .. } in &open {
                let most = quota.min(usize::try_from(*places).unwrap_or(usize::MAX));
                let ranks = self.active.queue(request.which, queue).take(most);
                let ranks: Vec<_> = ranks.map(|rank| (rank, queue)).collect();
                is_more |= ranks.len() >= quota && (quota as u64) < *places;
                found.entry(&queue.namespace).or_default().extend(ranks);
            }
        }
        let mut ranked = Vec::new();
        for mut ranks in found.into_values() {
            ranks.sort();
            ranked.extend(ranks.into_iter().enumerate());
        }
        ranked.sort();
        let count = ranked.len();
        // One that finds no place of one limit takes its place of the others all the same, as on Postgres.
        let mut taken: BTreeMap<&Concern, u64> = BTreeMap::new();
        let mut within = Vec::new();
        for (_, ((_, _, run), queue)) in &ranked {
            let mut has_place = true;
            for (concern, max) in self.concerns(queue) {
                let taken = taken
                    .entry(concern)
                    .or_insert_with(|| self.running(concern));
                *taken += 1;
                has_place &= *taken <= u64::from(max);
            }
            within.extend(has_place.then_some(*run));
        }
        within.truncate(room);
        let is_limited = round
            .queues
            .iter()
            .any(|queue| self.concerns(queue).next().is_some());
        Claims {
            turn,
            is_more: is_more || count > within.len(),
            is_limited,
            is_contended: false,
            runs: self.take(request, within.into_iter()),
        }
    }

    fn take(
        &mut self,
        request: &ClaimRequest<'_>,
        runs: impl Iterator<Item = InstanceId>,
    ) -> Vec<ClaimedRun> {
        let is_alone = request.which == Claimable::Suspect;
        runs.filter_map(|run| self.claim_one(request.worker, run, is_alone))
            .collect()
    }

    fn claim_one(
        &mut self,
        worker: WorkerId,
        instance_id: InstanceId,
        is_alone: bool,
    ) -> Option<ClaimedRun> {
        let journal = self.entries(instance_id).to_vec();
        self.active.move_to(instance_id, Place::Owned(worker));
        let run = self.active.get_mut(instance_id)?;
        let instance = self.instances.get_mut(&instance_id)?;
        run.epoch = Epoch(run.epoch.0 + 1);
        run.is_alone |= is_alone;
        if instance.status == InstanceStatus::Pending {
            instance.status = InstanceStatus::Running;
            instance.started_at = Some(self.now);
        }
        Some(ClaimedRun {
            instance_id,
            epoch: run.epoch,
            definition_id: run.definition_id,
            namespace: instance.namespace.clone(),
            input: instance.input.clone(),
            metadata: instance.metadata.clone(),
            journal,
            is_child: instance.parent_id.is_some(),
            deadline_at: run.deadline_at,
            undo_reason: run.undo_reason.clone(),
            lost_attempts: run.lost_attempts,
            claimed_at: self.now,
            unreadable: None,
        })
    }
}

fn room(request: &ClaimRequest<'_>) -> usize {
    usize::try_from(request.room).unwrap_or(usize::MAX / 2)
}

#[async_trait]
impl LimitStore for MemoryStore {
    async fn set_running_limit(
        &self,
        concern: &Concern,
        max_running: Option<u32>,
    ) -> Result<(), DbError> {
        let mut tables = self.change();
        match max_running {
            Some(max) => tables.running_limits.insert(concern.clone(), max),
            None => tables.running_limits.remove(concern),
        };
        Ok(())
    }

    async fn running_limits(&self) -> Result<Vec<StoredLimit>, DbError> {
        let tables = self.tables();
        let limits = tables.running_limits.iter();
        let stored = limits.map(|(concern, max)| StoredLimit {
            concern: concern.clone(),
            max_running: *max,
            running: tables.running(concern),
        });
        Ok(stored.collect())
    }
}
