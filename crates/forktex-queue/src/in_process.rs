// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The backend in memory. What it answers is what the others are to answer.
//!
//! All is behind one lock over plain maps, so that what must happen at once does. Its clock is tokio's, so
//! that it stands still and goes forward with a test's.

mod claim;
mod place;
mod settle;
mod state;
mod upkeep;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backend::{
    Backend, CancelAnswer, Claim, Claimed, JobFilter, Lease, Maintained, NewJob, Put, QueueStats,
    Renewed, ReplayAnswer, Settled, Settlement,
};
use crate::error::QueueError;
use crate::identifier::{JobId, QueueName};
use crate::record::JobRecord;
use state::{Moment, State};

/// The most queues that are listed.
const QUEUES_MAX: usize = 1_000;

/// Jobs in memory.
pub(crate) struct InProcessBackend {
    /// A `std` mutex and not tokio's: nothing waits while it is held.
    state: Mutex<State>,
    wakes: watch::Sender<u64>,
    clock: Clock,
}

impl InProcessBackend {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wakes: watch::Sender::new(0),
            clock: Clock::new(),
        }
    }

    /// Does something at once, and wakes the workers where jobs came of it that may be taken.
    fn at_once<T>(&self, work: impl FnOnce(&mut State, Moment) -> T) -> T {
        let (answer, is_work_new) = {
            let mut state = self.locked();
            let answer = work(&mut state, self.clock.now());
            (answer, state.take_news())
        };
        if is_work_new {
            self.wakes
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        answer
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way; if it did, the maps would still be maps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for InProcessBackend {
    async fn init(&self) -> Result<(), QueueError> {
        Ok(())
    }

    async fn put(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, QueueError> {
        Ok(self.at_once(|state, now| {
            let puts = jobs.into_iter().map(|job| state.put(job, now));
            puts.collect()
        }))
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        Ok(self.at_once(|state, now| {
            let claimed = state.claim(claim, now);
            // Whoever asked is told by the answer.
            state.take_news();
            claimed
        }))
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        Ok(self.at_once(|state, now| {
            let settled = settlements
                .into_iter()
                .map(|settlement| state.settle(settlement, now));
            settled.collect()
        }))
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Renewed>, QueueError> {
        Ok(self.at_once(|state, now| {
            let until = now.after(lease);
            let renewed = leases.iter().map(|lease| state.renew(lease, until));
            renewed.collect()
        }))
    }

    async fn maintain(&self, dead_letters_kept: Duration) -> Result<Maintained, QueueError> {
        Ok(self.at_once(|state, now| state.maintain(dead_letters_kept, now)))
    }

    async fn cancel(&self, id: JobId) -> Result<CancelAnswer, QueueError> {
        Ok(self.at_once(|state, _| state.cancel(id)))
    }

    async fn set_paused(&self, queue: &QueueName, is_paused: bool) -> Result<(), QueueError> {
        self.at_once(|state, _| state.set_paused(queue, is_paused));
        Ok(())
    }

    async fn find(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        Ok(self.locked().find(id))
    }

    async fn list(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, QueueError> {
        Ok(self.locked().list(filter, after, jobs_max as usize))
    }

    async fn replay(&self, id: JobId) -> Result<ReplayAnswer, QueueError> {
        Ok(self.at_once(|state, now| state.replay(id, now)))
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        Ok(self.at_once(|state, _| state.discard(id)))
    }

    async fn stats(&self, queue: &QueueName) -> Result<QueueStats, QueueError> {
        let now = self.clock.now();
        Ok(self.locked().stats(queue, now))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, QueueError> {
        Ok(self.locked().queues(QUEUES_MAX))
    }

    async fn fire(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
    ) -> Result<bool, QueueError> {
        Ok(self.at_once(|state, now| state.fire(schedule, tick, job, now)))
    }

    async fn now(&self) -> Result<OffsetDateTime, QueueError> {
        Ok(self.clock.now().as_date())
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn close(&self) {}
}

impl fmt::Debug for InProcessBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InProcessBackend")
            .finish_non_exhaustive()
    }
}

/// Tokio's clock as one of the calendar.
struct Clock {
    started_at: Moment,
    started: Instant,
}

impl Clock {
    fn new() -> Self {
        Self {
            started_at: Moment::of(OffsetDateTime::now_utc()),
            started: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        self.started_at.after(self.started.elapsed())
    }
}
