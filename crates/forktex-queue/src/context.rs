// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a handler is told of the attempt that it is.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::ClaimedJob;
use crate::identifier::{JobId, JobName, QueueName};
use crate::job::Job;

/// The attempt that a handler runs. Cheap to clone.
///
/// An attempt may be the second of a job whose first one was not noticed to have succeeded: hand
/// [`idempotency_key`](Self::idempotency_key) to services that take one.
#[derive(Debug, Clone)]
pub struct JobContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: JobId,
    name: JobName,
    queue: QueueName,
    tenant: String,
    attempt: u16,
    attempts_max: u16,
    enqueued_at: OffsetDateTime,
    trace_parent: Option<String>,
    deadline: Instant,
    cancelled: CancellationToken,
}

impl JobContext {
    /// The context of the first attempt of a job of type `J`, for calling a handler from a unit test.
    pub fn for_test<J: Job>() -> Self {
        let settings = J::SETTINGS;
        Self(Arc::new(Inner {
            id: JobId::generate(),
            name: JobName::unchecked(J::NAME),
            queue: QueueName::unchecked(settings.queue),
            tenant: String::new(),
            attempt: 1,
            attempts_max: settings.max_attempts,
            enqueued_at: OffsetDateTime::now_utc(),
            trace_parent: None,
            deadline: Instant::now() + settings.timeout,
            cancelled: CancellationToken::new(),
        }))
    }

    /// The context of an attempt that begins now.
    pub(crate) fn of(job: &ClaimedJob, cancelled: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            id: job.id,
            name: job.name.clone(),
            queue: job.queue.clone(),
            tenant: job.tenant.clone(),
            attempt: job.attempt,
            attempts_max: job.attempts_max,
            enqueued_at: job.enqueued_at,
            trace_parent: job.trace_parent.clone(),
            deadline: Instant::now() + job.timeout,
            cancelled,
        }))
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// A text that is the same in all attempts of the job, and no other's.
    pub fn idempotency_key(&self) -> String {
        self.0.id.to_string()
    }

    /// The name of the job.
    pub fn name(&self) -> &JobName {
        &self.0.name
    }

    /// The queue that it came from.
    pub fn queue(&self) -> &QueueName {
        &self.0.queue
    }

    /// Whose turn it was taken in; empty where it names none.
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// Which attempt this is, from 1. One that was handed back is not counted.
    pub fn attempt(&self) -> u16 {
        self.0.attempt
    }

    /// How many attempts there may be.
    pub fn attempts_max(&self) -> u16 {
        self.0.attempts_max
    }

    /// Whether a failure of this attempt makes the job a dead letter.
    pub fn is_last_attempt(&self) -> bool {
        self.0.attempt >= self.0.attempts_max
    }

    /// When the job was put in, by the backend's clock.
    pub fn enqueued_at(&self) -> OffsetDateTime {
        self.0.enqueued_at
    }

    /// The W3C `traceparent` of whoever put it in.
    pub fn trace_parent(&self) -> Option<&str> {
        self.0.trace_parent.as_deref()
    }

    /// How long the attempt may still take.
    pub fn time_left(&self) -> Duration {
        self.0.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether somebody asks that the job ends: [`Queue::cancel`](crate::Queue::cancel).
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_cancelled()
    }

    /// Waits until somebody asks that the job ends. A body that goes on is dropped after a grace of
    /// 5 seconds by default.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn cancelled(&self) {
        self.0.cancelled.cancelled().await;
    }
}
