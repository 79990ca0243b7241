// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A worker that runs: how it is drained, and what becomes of it when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::answerer::{self, Answer, LAST_WORDS};
use super::{Shared, claimer, heartbeat, maintenance, schedule_firer};
use crate::cron::CheckedCron;
use crate::duration::IntoDuration;
use crate::error::{QueueError, WorkerError};

/// How long a claim that is on its way may take when a worker drains, however soon its deadline is.
const LAST_CLAIM: Duration = Duration::from_secs(2);

/// A worker that runs. Dropping it ends it at once: jobs that run are dropped, and others take them once
/// their leases have ended. [`drain`](Self::drain) ends it well.
#[must_use = "dropping it ends the worker"]
pub struct RunningWorker {
    shared: Arc<Shared>,
    claimer: JoinHandle<Result<(), QueueError>>,
    answerer: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

/// What became of the jobs that ran when a worker was drained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many ended by themselves, well or not.
    pub finished: u64,
    /// How many did not, and are ready for another worker; their attempts do not count.
    pub handed_back: u64,
}

impl RunningWorker {
    pub(super) fn start(
        shared: Arc<Shared>,
        crons: Vec<CheckedCron>,
        answers: mpsc::UnboundedReceiver<Answer>,
    ) -> Self {
        Self {
            claimer: tokio::spawn(claimer::run(Arc::clone(&shared))),
            answerer: tokio::spawn(answerer::run(Arc::clone(&shared), answers)),
            others: vec![
                tokio::spawn(heartbeat::run(Arc::clone(&shared))),
                tokio::spawn(maintenance::run(Arc::clone(&shared))),
                tokio::spawn(schedule_firer::run(Arc::clone(&shared), crons)),
            ],
            shared,
        }
    }

    /// Takes no more jobs, and waits until those that run have ended. What has not by `deadline` is dropped
    /// and handed back, ready at once for another worker, and its attempt is not counted.
    ///
    /// # Errors
    /// [`QueueError::InvalidDuration`] for the deadline. A queue that cannot be reached is no error here:
    /// after ten seconds the worker gives up telling it, and the leases end by themselves.
    ///
    /// # Cancellation
    /// As dropping the worker.
    pub async fn drain(mut self, deadline: impl IntoDuration) -> Result<Drained, WorkerError> {
        let deadline = deadline.into_duration()?;
        let shared = Arc::clone(&self.shared);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let before = (count(&shared.finished), count(&shared.handed_back));
        let until = Instant::now() + deadline;
        shared.draining.cancel();
        // A claim that is on its way brings jobs that are handed back. Where it is cut off, they come back
        // with the ends of their leases.
        let claimed_by = until.max(Instant::now() + LAST_CLAIM);
        if timeout_at(claimed_by, &mut self.claimer).await.is_err() {
            self.claimer.abort();
        }
        shared.jobs.close();
        if timeout_at(until, shared.jobs.wait()).await.is_err() {
            shared.abandoned.cancel();
            shared.jobs.wait().await;
        }
        shared.stop();
        if timeout(2 * LAST_WORDS, &mut self.answerer).await.is_err() {
            self.answerer.abort();
        }
        for task in &self.others {
            task.abort();
        }
        Ok(Drained {
            finished: count(&shared.finished) - before.0,
            handed_back: count(&shared.handed_back) - before.1,
        })
    }

    /// Waits until the worker ends because its queue was closed.
    ///
    /// # Errors
    /// [`QueueError::Closed`].
    ///
    /// # Cancellation
    /// As dropping the worker.
    pub async fn ended(mut self) -> Result<(), WorkerError> {
        self.until_ended().await
    }

    pub(super) async fn until_ended(&mut self) -> Result<(), WorkerError> {
        match (&mut self.claimer).await {
            Ok(ended) => Ok(ended?),
            // It was aborted with the runtime.
            Err(_) => Ok(()),
        }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.shared.draining.cancel();
        self.shared.stop();
        // The bodies are dropped as well; what they would say is not written.
        self.shared.abandoned.cancel();
        self.claimer.abort();
        self.answerer.abort();
        for task in &self.others {
            task.abort();
        }
    }
}

impl fmt::Debug for RunningWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RunningWorker")
            .field("worker", &self.shared.worker)
            .field("in_use", &self.shared.slots.in_use())
            .finish_non_exhaustive()
    }
}
