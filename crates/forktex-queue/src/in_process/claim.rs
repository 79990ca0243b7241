// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Who is next: by score, the tenants in turn, and never over a limit.

use super::state::{Kept, Moment, Stand, State};
use crate::backend::{Claim, Claimed, ClaimedJob, Lease, Renewed};
use crate::identifier::{JobId, LeaseToken, QueueName};

/// The most jobs that one call moves without giving them to anybody.
pub(super) const MOVES_MAX: usize = 1_000;

/// What became of a ready job that was looked at.
enum Admission {
    Taken(ClaimedJob),
    /// It waits for its limit.
    Deferred,
}

impl State {
    /// Gives jobs to a worker.
    pub(super) fn claim(&mut self, claim: &Claim, now: Moment) -> Claimed {
        let mut claimed = Claimed::default();
        let mut moves = 0;
        for queue in &claim.queues {
            self.promote(queue, now, MOVES_MAX);
            if self.is_paused(queue) {
                continue;
            }
            while claimed.jobs.len() < claim.jobs_max as usize && moves < MOVES_MAX {
                let Some(id) = self.next_ready(queue) else {
                    break;
                };
                match self.admit(id, claim, now) {
                    Some(Admission::Taken(job)) => claimed.jobs.push(job),
                    Some(Admission::Deferred) | None => moves += 1,
                }
            }
        }
        let open = claim.queues.iter().filter(|queue| !self.is_paused(queue));
        let open: Vec<_> = open.filter_map(|queue| self.queues.get(queue)).collect();
        let next_due = open.iter().filter_map(|places| places.scheduled.first());
        claimed.next_due = next_due.map(|(due, _)| due.since(now)).min();
        claimed.is_more = open.iter().any(|places| !places.ready.is_empty())
            || claimed.next_due.is_some_and(|due| due.is_zero());
        claimed
    }

    /// Makes the scheduled jobs of a queue ready that are due, at most `jobs_max` of them; returns how
    /// many.
    pub(super) fn promote(&mut self, queue: &QueueName, now: Moment, jobs_max: usize) -> usize {
        let Some(places) = self.queues.get(queue) else {
            return 0;
        };
        let due = places.scheduled.iter().take_while(|(due, _)| *due <= now);
        let due: Vec<JobId> = due.take(jobs_max).map(|(_, id)| *id).collect();
        for id in &due {
            if let Some(mut job) = self.leave(*id) {
                // It keeps its score: one that waited for its rate goes before what came after it.
                job.stand = Stand::Ready;
                self.enter(job);
            }
        }
        due.len()
    }

    fn is_paused(&self, queue: &QueueName) -> bool {
        self.queues
            .get(queue)
            .is_some_and(|places| places.is_paused)
    }

    /// The first ready job of the tenant whose turn it is; the tenant then has the last turn.
    fn next_ready(&mut self, queue: &QueueName) -> Option<JobId> {
        let places = self.queues.get_mut(queue)?;
        while let Some(tenant) = places.turns.pop_front() {
            places.seated.remove(&tenant);
            let first = places.ready.get(&tenant).and_then(|ready| ready.first());
            if let Some((_, id)) = first.copied() {
                places.seat(&tenant);
                return Some(id);
            }
        }
        None
    }

    /// Looks at the limits of a ready job, and gives it to the worker where they allow it.
    fn admit(&mut self, id: JobId, claim: &Claim, now: Moment) -> Option<Admission> {
        let mut job = self.leave(id)?;
        if self.defer(&mut job, now) {
            self.enter(job);
            return Some(Admission::Deferred);
        }
        self.unlock(&job, true);
        let token = LeaseToken::generate();
        job.attempts += 1;
        job.stand = Stand::Running {
            token,
            started_at: now,
            lease_until: now.after(claim.lease),
        };
        let claimed = ClaimedJob {
            id: job.id,
            token,
            name: job.name.clone(),
            queue: job.queue.clone(),
            tenant: job.tenant.clone(),
            payload: job.payload.clone(),
            attempt: job.attempts,
            attempts_max: job.attempts_max,
            timeout: job.timeout,
            enqueued_at: job.enqueued_at.as_date(),
            trace_parent: job.trace_parent.clone(),
        };
        self.enter(job);
        Some(Admission::Taken(claimed))
    }

    /// Whether the job must wait for its limit; it then stands where it waits. Otherwise its start is
    /// counted.
    fn defer(&mut self, job: &mut Kept, now: Moment) -> bool {
        let Some(limit) = &job.limit else {
            return false;
        };
        let Some(places) = self.queues.get_mut(&job.queue) else {
            return false;
        };
        let used = places.limits.entry(limit.key.clone()).or_default();
        used.forget(now);
        if limit.concurrency.is_some_and(|most| used.running >= most) {
            job.stand = Stand::Held;
            return true;
        }
        let Some(rate) = limit.rate else {
            return false;
        };
        let allowed_at = used.allowed_at(rate.count, rate.per, now);
        if allowed_at > now {
            job.due_at = allowed_at;
            job.stand = Stand::Scheduled;
            return true;
        }
        used.remembered = used.remembered.max(rate.per);
        used.starts.push_back(now);
        false
    }

    /// Makes a lease last until `until`.
    pub(super) fn renew(&mut self, lease: &Lease, until: Moment) -> Renewed {
        let is_held = self
            .jobs
            .get(&lease.id)
            .is_some_and(|job| is_of(job, lease));
        let Some(mut job) = is_held.then(|| self.leave(lease.id)).flatten() else {
            return Renewed::Lost;
        };
        if let Stand::Running { lease_until, .. } = &mut job.stand {
            *lease_until = until;
        }
        let is_cancelling = job.is_cancelling;
        self.enter(job);
        if is_cancelling {
            Renewed::CancelAsked
        } else {
            Renewed::Held
        }
    }
}

/// Whether the job runs under that lease.
pub(super) fn is_of(job: &Kept, lease: &Lease) -> bool {
    matches!(job.stand, Stand::Running { token, .. } if token == lease.token)
}
