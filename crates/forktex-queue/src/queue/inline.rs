// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A queue that runs each job where it is enqueued: for tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Place, Queue, QueueOptions};
use crate::attempt::{Performer, Signals};
use crate::backend::{Claim, ClaimedJob, Lease, Outcome, Settlement};
use crate::context::JobContext;
use crate::error::{JobResult, QueueError, WorkerError};
use crate::handler::{Declared, Handler, HandlersBuilder};
use crate::identifier::WorkerId;
use crate::in_process::InProcessBackend;
use crate::job::Job;
use crate::telemetry;

/// Nobody else takes the jobs of an inline queue.
const LEASE: Duration = Duration::from_hours(24);

/// The most jobs that one call runs, in case jobs enqueue each other without end.
const RUNS_MAX: usize = 10_000;

/// Builds a queue that runs each job where it is enqueued, in the same task, before the call returns: for
/// tests of code that enqueues.
///
/// Uniqueness, limits, retries and dead letters are as in [`Queue::in_process`]. A job whose attempt fails
/// makes the call that enqueued it fail with [`QueueError::FailedInline`], and stays as it then would: due
/// for its next attempt, or a dead letter. What is due later runs when [`Queue::run_due`] is called, or with
/// the next job that is enqueued.
///
/// # Examples
/// ```standalone_crate
/// use forktex_queue::{Job, Queue, Resource, job_handler};
/// use serde::{Deserialize, Serialize};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// #[derive(Job, Serialize, Deserialize)]
/// #[job("counter.add")]
/// struct Add { by: u32 }
///
/// #[job_handler]
/// async fn add(job: Add, counter: Resource<AtomicU32>) -> Result<(), std::io::Error> {
///     counter.fetch_add(job.by, Ordering::Relaxed);
///     Ok(())
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = std::sync::Arc::new(AtomicU32::new(0));
/// let queue = Queue::inline().shared_resource(counter.clone()).build()?;
/// queue.enqueue(Add { by: 3 }).await?;
/// assert_eq!(counter.load(Ordering::Relaxed), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "an inline queue is there once it is built"]
pub struct InlineBuilder {
    handlers: HandlersBuilder,
    options: QueueOptions,
}

impl InlineBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A value that handlers take as `Resource<T>`.
    pub fn resource<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared_resource(Arc::new(value))
    }

    /// A shared value that handlers take as `Resource<T>`; `T` may be a `dyn Trait`.
    pub fn shared_resource<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.handlers.resources.insert(value);
        self
    }

    /// A handler that is not linked, or goes before the linked one of its job.
    pub fn handler<H: Handler>(mut self) -> Self {
        self.handlers.add::<H>();
        self
    }

    /// A closure as handler, which goes before a linked one of its job.
    pub fn handle<J, F, B>(mut self, body: F) -> Self
    where
        J: Job,
        F: Fn(J, JobContext) -> B + Send + Sync + 'static,
        B: Future<Output = JobResult> + Send + 'static,
    {
        self.handlers.add_declared(Declared::of_fn(body));
        self
    }

    /// Leaves out the handlers that are linked into the program.
    pub fn without_linked(mut self) -> Self {
        self.handlers.leave_linked_out();
        self
    }

    /// The options of the queue.
    pub fn options(mut self, options: QueueOptions) -> Self {
        self.options = options;
        self
    }

    /// The queue.
    ///
    /// # Errors
    /// [`WorkerError`] where a handler is missing, there twice, or lacks a resource.
    pub fn build(self) -> Result<Queue, WorkerError> {
        let inline = Inline {
            performer: Performer {
                handlers: self.handlers.build()?,
                grace: Duration::ZERO,
                adopt_trace: None,
            },
            worker: WorkerId::generate(),
        };
        let backend = Arc::new(InProcessBackend::new());
        Ok(Queue::on(
            backend,
            Place::InProcess,
            self.options,
            Some(inline),
        ))
    }
}

impl Queue {
    /// Runs what is due on an [inline](Self::inline) queue, and says how many jobs that were.
    ///
    /// # Errors
    /// [`QueueError::FailedInline`] for the first that fails; [`QueueError::InvalidOption`] where the queue is
    /// not inline.
    ///
    /// # Cancellation
    /// The job that runs is dropped, and stays as if it were running.
    pub async fn run_due(&self) -> Result<usize, QueueError> {
        match self.inlined() {
            Some(inline) => inline.run_due(self).await,
            None => Err(QueueError::InvalidOption {
                option: "inline",
                reason: "the jobs of this queue are run by its workers; build it by Queue::inline"
                    .into(),
            }),
        }
    }
}

/// Runs the jobs of an inline queue.
pub(super) struct Inline {
    performer: Performer,
    worker: WorkerId,
}

impl Inline {
    /// Runs what is ready, one after the other, those included that are enqueued by it.
    pub(super) async fn run_due(&self, queue: &Queue) -> Result<usize, QueueError> {
        for run in 0..RUNS_MAX {
            let Some(job) = self.next(queue).await? else {
                return Ok(run);
            };
            let outcome = self.performer.perform(&job, &Signals::default()).await;
            // Nobody takes its lease away.
            let Some(outcome) = outcome else {
                return Ok(run);
            };
            let failure = failure(&outcome);
            let lease = Lease {
                id: job.id,
                queue: job.queue.clone(),
                token: job.token,
            };
            let settlement = Settlement { lease, outcome };
            queue.backend().settle(vec![settlement]).await?;
            if let Some(error) = failure {
                return Err(QueueError::FailedInline {
                    job: job.name.as_str().to_owned(),
                    error,
                });
            }
        }
        Ok(RUNS_MAX)
    }

    async fn next(&self, queue: &Queue) -> Result<Option<ClaimedJob>, QueueError> {
        let backend = queue.backend();
        let queues = backend.queues().await?;
        if queues.is_empty() {
            return Ok(None);
        }
        let claim = Claim {
            worker: self.worker,
            queues,
            jobs_max: 1,
            lease: LEASE,
        };
        let claimed = backend.claim(&claim).await?;
        telemetry::claimed(claimed.jobs.len(), Duration::ZERO);
        Ok(claimed.jobs.into_iter().next())
    }
}

/// What made the attempt fail, if anything did.
fn failure(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Retry { error, .. } | Outcome::Dead { error, .. } => Some(error.clone()),
        Outcome::Release { note, .. } => Some(note.clone().unwrap_or_default()),
        Outcome::Done | Outcome::Cancelled => None,
    }
}
