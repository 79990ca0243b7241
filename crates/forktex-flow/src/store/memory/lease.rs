// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Leases that run out and leaders that grow stale, as on a database: for a simulation, whose time is
//! that of the runtime.

use std::sync::MutexGuard;
use std::time::Duration;

use time::OffsetDateTime;

use super::Shared;
use super::tables::Tables;
use crate::identifier::{DefinitionId, WorkerId};
use crate::store::Pulse;

impl Shared {
    /// The tables with the time of the runtime.
    pub(super) fn up_to_date<'a>(
        &self,
        mut tables: MutexGuard<'a, Tables>,
    ) -> MutexGuard<'a, Tables> {
        if let Some((at, since)) = self.begun {
            // What is accepted at one time is of times that are a microsecond apart.
            tables.now = tables.now.max(at + since.elapsed());
        }
        tables
    }
}

impl Tables {
    /// Renews a lease and a leadership, and tells what there is to do.
    pub(super) fn pulse_of_a_lease(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Pulse {
        let now = self.now;
        if let Some(row) = self.workers.get_mut(&worker)
            && !row.is_lost
        {
            row.lease_until = Some(now + lease);
            row.definitions = definitions.to_vec();
        }
        if self.leader == Some(worker) {
            self.leader_renewed_at = now;
        }
        let mut pulse = self.pulse(worker, definitions);
        pulse.leading = self.leader == Some(worker);
        let age = now - self.leader_renewed_at;
        pulse.leader_age = self.leader.map(|_| age.unsigned_abs());
        pulse.leases_lost = !self.expired(Some(worker)).is_empty();
        pulse
    }

    /// The workers whose leases are over and whose runs are not taken yet.
    fn expired(&self, but: Option<WorkerId>) -> Vec<WorkerId> {
        let is_over = |until: OffsetDateTime| until < self.now;
        let workers = self.workers.iter();
        let mut expired: Vec<WorkerId> = workers
            .filter(|(worker, row)| Some(**worker) != but && !row.is_lost)
            .filter(|(_, row)| row.lease_until.is_some_and(is_over))
            .map(|(worker, _)| *worker)
            .collect();
        expired.sort_unstable_by_key(|worker| worker.0);
        expired
    }

    /// Takes the runs of workers whose lease is over. Returns how many.
    pub(super) fn release_expired(&mut self) -> u64 {
        let mut released = 0;
        for worker in self.expired(None) {
            if let Some(row) = self.workers.get_mut(&worker) {
                row.is_lost = true;
            }
            released += self.release(|run| run.owner() == Some(worker), true);
        }
        released
    }

    /// Has a worker lead where nobody does, or whoever did has not said so for a while.
    pub(super) fn take_stale_leadership(
        &mut self,
        worker: WorkerId,
        stale_after: Duration,
    ) -> bool {
        let age = self.now - self.leader_renewed_at;
        let is_free = self
            .leader
            .is_none_or(|leader| leader == worker || age >= stale_after);
        if is_free {
            self.leader = Some(worker);
            self.leader_renewed_at = self.now;
        }
        is_free
    }
}
