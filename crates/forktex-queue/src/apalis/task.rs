// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job as a task of apalis, and the way back of what came of it.

use std::sync::{Arc, Mutex, PoisonError};

use apalis_core::backend::queue::Queue;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::data::MissingDataError;
use apalis_core::task::from_request::FromRequest;
use apalis_core::task::metadata::MetadataStore;
use apalis_core::task::task_id::TaskId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::context::JobContext;
use crate::error::{JobError, JobResult};
use crate::job::Job;

/// Under this name a task carries the `traceparent` of its job.
const TRACE_PARENT: &str = "traceparent";

/// An attempt that is with apalis. Carried by its task.
#[derive(Clone)]
pub(super) struct Attempt {
    /// Taken by the first that has something to say.
    result: Arc<Mutex<Option<oneshot::Sender<JobResult>>>>,
    /// Nobody waits for the result any more: the attempt timed out, was cancelled, or is another worker's.
    pub(super) is_over: CancellationToken,
}

impl Attempt {
    /// Says what came of it.
    pub(super) fn end(&self, result: JobResult) {
        let mut sender = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // Whoever does not wait any more has ended the attempt in another way.
            let _ = sender.send(result);
        }
    }
}

/// The body of each job: gives it to apalis, and waits for what comes of it.
pub(super) async fn hand_on<J: Job>(
    tasks: mpsc::Sender<Task<J>>,
    job: J,
    ctx: JobContext,
) -> JobResult {
    let (sender, result) = oneshot::channel();
    let attempt = Attempt {
        result: Arc::new(Mutex::new(Some(sender))),
        is_over: CancellationToken::new(),
    };
    // When this future is dropped, so is what apalis runs.
    let _over = attempt.is_over.clone().drop_guard();
    if tasks.send(task(job, &ctx, attempt)).await.is_err() {
        // The worker stops. It drops this future, and hands the job back.
        return std::future::pending().await;
    }
    result
        .await
        .unwrap_or_else(|_| Err(JobError::new("the worker of apalis let go of the job")))
}

fn task<J: Job>(job: J, ctx: &JobContext, attempt: Attempt) -> Task<J> {
    let mut metadata = MetadataStore::new();
    if let Some(trace_parent) = ctx.trace_parent() {
        // The store is empty, so that there is none of the name.
        let _ = metadata.insert(TRACE_PARENT, trace_parent);
    }
    TaskBuilder::new(job)
        .task_id(TaskId::from_string(ctx.id().to_string()))
        // Apalis counts the attempt that begins.
        .attempt(usize::from(ctx.attempt().saturating_sub(1)))
        .max_attempts(usize::from(ctx.attempts_max()))
        .queue(Queue::from(ctx.queue().as_str()))
        .with_metadata(metadata)
        .data(ctx.clone())
        .data(attempt)
        .build()
}

impl<Args: Sync> FromRequest<Task<Args>> for JobContext {
    type Error = MissingDataError;

    async fn from_request(task: &Task<Args>) -> Result<Self, MissingDataError> {
        task.data().get_checked::<Self>().cloned()
    }
}
