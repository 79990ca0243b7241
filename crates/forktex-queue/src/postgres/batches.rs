// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which of the batches that this process has claimed are settled: their rows of `lease` can go before
//! their time is over. What is not known here goes by time.
//!
//! A row that went too early would leave a job that nobody takes back. So jobs are kept by name and not
//! counted: what is said of one a second time changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::identifier::JobId;

/// The most batches that are remembered before those are forgotten whose time is over.
const OPEN_MAX: usize = 1_024;

/// The most that one statement removes.
const TAKEN_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    open: HashMap<i64, Batch>,
    settled: Vec<i64>,
}

#[derive(Debug)]
struct Batch {
    /// Those of which no end was taken or refused yet.
    jobs: HashSet<JobId>,
    until: Instant,
}

impl Batches {
    /// A batch of jobs was claimed.
    pub(super) fn opened(
        &self,
        lease_id: i64,
        jobs: impl IntoIterator<Item = JobId>,
        lease: Duration,
    ) {
        let now = Instant::now();
        let mut books = self.books();
        if books.open.len() >= OPEN_MAX {
            books.open.retain(|_, batch| batch.until > now);
        }
        let jobs = jobs.into_iter().collect();
        // One that lasts longer than time can tell is forgotten first, and goes by time.
        let until = now.checked_add(lease).unwrap_or(now);
        books.open.insert(lease_id, Batch { jobs, until });
    }

    /// Nothing is held any more of these jobs of these batches.
    pub(super) fn ended(&self, jobs: impl IntoIterator<Item = (i64, JobId)>) {
        let mut books = self.books();
        for (lease_id, job) in jobs {
            let Some(batch) = books.open.get_mut(&lease_id) else {
                continue;
            };
            batch.jobs.remove(&job);
            if batch.jobs.is_empty() {
                books.open.remove(&lease_id);
                books.settled.push(lease_id);
            }
        }
    }

    /// Some of the batches that are settled, to be removed.
    pub(super) fn take_settled(&self) -> Vec<i64> {
        let mut books = self.books();
        let from = books.settled.len().saturating_sub(TAKEN_MAX);
        books.settled.split_off(from)
    }

    /// They were not removed after all.
    pub(super) fn put_back(&self, lease_ids: Vec<i64>) {
        self.books().settled.extend(lease_ids);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_settled_with_its_last_job_whatever_is_said_twice() {
        let batches = Batches::default();
        let (one, other) = (JobId::generate(), JobId::generate());
        batches.opened(7, [one, other], Duration::from_mins(1));
        batches.ended([(7, one), (8, other)]);
        batches.ended([(7, one)]);
        assert!(batches.take_settled().is_empty());
        batches.ended([(7, other)]);
        assert_eq!(batches.take_settled(), [7]);
        batches.put_back(vec![7]);
        assert_eq!(batches.take_settled(), [7]);
        batches.ended([(7, other)]);
        assert!(batches.take_settled().is_empty());
    }

    #[test]
    fn what_is_over_is_forgotten_when_there_are_many() {
        let batches = Batches::default();
        for lease_id in (0..).take(2 * OPEN_MAX) {
            batches.opened(lease_id, [JobId::generate()], Duration::ZERO);
        }
        assert!(batches.books().open.len() <= OPEN_MAX);
    }
}
