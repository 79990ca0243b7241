// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs that come, are looked at, and go by somebody's wish.

use std::ops::Bound;

use time::OffsetDateTime;

use super::state::{Kept, Moment, Stand, State};
use crate::backend::{CancelAnswer, Due, JobFilter, NewJob, Put, QueueStats, ReplayAnswer};
use crate::identifier::{JobId, QueueName};
use crate::record::JobRecord;
use crate::unique::UniqueMode;

impl State {
    /// Puts a job in, unless another has its unique lock.
    pub(super) fn put(&mut self, job: NewJob, now: Moment) -> Put {
        if let Some(lock) = &job.unique {
            let key = (job.queue.clone(), lock.key.clone());
            if let Some(holder) = self.holder(&key, now) {
                return Put::Duplicate(holder);
            }
            self.lock(key, lock.mode, job.id, now);
        }
        let due_at = match job.due {
            Due::Now => now,
            Due::After(delay) => now.after(delay),
            Due::At(date) => Moment::of(date).max(now),
        };
        let mut kept = Kept {
            id: job.id,
            name: job.name,
            queue: job.queue,
            tenant: job.tenant,
            payload: job.payload,
            priority: job.priority,
            unique: job.unique,
            limit: job.limit,
            attempts: 0,
            attempts_max: job.attempts_max,
            timeout: job.timeout,
            trace_parent: job.trace_parent,
            enqueued_at: now,
            due_at,
            score: 0,
            is_cancelling: false,
            note: None,
            stand: Stand::Ready,
        };
        kept.make_due(due_at, now);
        self.enter(kept);
        Put::Inserted
    }

    /// Puts the job of a tick in, unless the tick or a later one was fired.
    pub(super) fn fire(
        &mut self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
        now: Moment,
    ) -> bool {
        if self.ticks.get(schedule).is_some_and(|last| *last >= tick) {
            return false;
        }
        self.ticks.insert(schedule.to_owned(), tick);
        self.put(job, now);
        true
    }

    /// Removes a job that does not run; asks for the end of one that does.
    pub(super) fn cancel(&mut self, id: JobId) -> CancelAnswer {
        let Some(job) = self.jobs.get_mut(&id) else {
            return CancelAnswer::Unknown;
        };
        match job.stand {
            Stand::Dead { .. } => CancelAnswer::Unknown,
            Stand::Running { .. } => {
                job.is_cancelling = true;
                CancelAnswer::Asked
            }
            Stand::Scheduled | Stand::Ready | Stand::Held => {
                if let Some(job) = self.leave(id) {
                    self.unlock(&job, false);
                    // It may be the one that was let go when another ended.
                    if !matches!(job.stand, Stand::Held) {
                        self.let_go(&job.queue, job.limit_key());
                    }
                }
                CancelAnswer::Removed
            }
        }
    }

    /// Pauses a queue, or ends its pause.
    pub(super) fn set_paused(&mut self, queue: &QueueName, is_paused: bool) {
        let places = self.queues.entry(queue.clone()).or_default();
        places.is_paused = is_paused;
        if !is_paused {
            self.tell_news();
        }
    }

    /// Makes a dead letter ready again.
    pub(super) fn replay(&mut self, id: JobId, now: Moment) -> ReplayAnswer {
        let dead = self.jobs.get(&id);
        let Some(job) = dead.filter(|job| matches!(job.stand, Stand::Dead { .. })) else {
            return ReplayAnswer::Unknown;
        };
        if let Some(lock) = job.unique.clone() {
            let key = (job.queue.clone(), lock.key);
            let holder = self.holder(&key, now);
            if let Some(other) = holder.filter(|holder| *holder != id) {
                return ReplayAnswer::Conflict(other);
            }
            let is_taken_anew =
                matches!(lock.mode, UniqueMode::UntilStarted | UniqueMode::UntilDone);
            if is_taken_anew {
                self.lock(key, lock.mode, id, now);
            }
        }
        if let Some(mut job) = self.leave(id) {
            job.attempts = 0;
            job.note = None;
            job.make_due(now, now);
            self.enter(job);
        }
        ReplayAnswer::Replayed
    }

    /// Removes a dead letter; whether there was one.
    pub(super) fn discard(&mut self, id: JobId) -> bool {
        let dead = self.jobs.get(&id);
        let is_dead = dead.is_some_and(|job| matches!(job.stand, Stand::Dead { .. }));
        if let Some(job) = is_dead.then(|| self.leave(id)).flatten() {
            self.unlock(&job, false);
        }
        is_dead
    }

    pub(super) fn find(&self, id: JobId) -> Option<JobRecord> {
        self.jobs.get(&id).map(Kept::record)
    }

    pub(super) fn list(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: usize,
    ) -> Vec<JobRecord> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.jobs
            .range((from, Bound::Unbounded))
            .map(|(_, job)| job)
            .filter(|job| fits(job, filter))
            .take(jobs_max)
            .map(Kept::record)
            .collect()
    }

    pub(super) fn stats(&self, queue: &QueueName, now: Moment) -> QueueStats {
        let Some(places) = self.queues.get(queue) else {
            return QueueStats::default();
        };
        let ready = || places.ready.values().flatten();
        let oldest = ready()
            .filter_map(|(_, id)| self.jobs.get(id))
            .map(|job| job.due_at)
            .min();
        QueueStats {
            ready: ready().count() as u64,
            scheduled: places.scheduled.len() as u64,
            held: places.held.values().flatten().count() as u64,
            running: places.running.len() as u64,
            dead: places.dead.len() as u64,
            oldest_ready: oldest.map(|oldest| now.since(oldest)),
            is_paused: places.is_paused,
        }
    }

    /// The queues that have jobs or are paused.
    pub(super) fn queues(&self, queues_max: usize) -> Vec<QueueName> {
        self.queues
            .iter()
            .filter(|(_, places)| places.is_paused || places.has_jobs())
            .take(queues_max)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn fits(job: &Kept, filter: &JobFilter) -> bool {
    let JobFilter {
        status,
        queue,
        name,
        tenant,
    } = filter;
    status.is_none_or(|status| job.stand.status() == status)
        && queue.as_ref().is_none_or(|queue| job.queue == *queue)
        && name.as_ref().is_none_or(|name| job.name == *name)
        && tenant.as_ref().is_none_or(|tenant| job.tenant == *tenant)
}
