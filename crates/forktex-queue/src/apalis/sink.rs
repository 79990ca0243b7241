// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tasks that are pushed into a backend, and so become jobs.
//!
//! What apalis says of a task is kept where the queue has it too: when it is due, its priority, its most
//! attempts, its queue, and its idempotency key as unique key. Its own id, metadata and data are not.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use apalis_core::task::{ExecutionContext, Task};
use futures_util::Sink;
use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use super::ApalisBackend;
use crate::error::{QueueError, WorkerError};
use crate::job::Job;
use crate::queue::Queue;

/// How many tasks are gathered before they are put in.
const TASKS_MAX: usize = 1_000;

/// Tasks that were pushed and are not put in yet.
pub(super) struct Outbox<J> {
    tasks: Vec<Task<J>>,
    putting: Option<BoxFuture<'static, Result<(), QueueError>>>,
}

impl<J> Default for Outbox<J> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            putting: None,
        }
    }
}

impl<J> fmt::Debug for Outbox<J> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Outbox({})", self.tasks.len())
    }
}

impl<J: Job> ApalisBackend<J> {
    /// Puts in what was pushed. An error loses the tasks that it was met with, as apalis has no way to have
    /// them back.
    fn poll_put(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WorkerError>> {
        loop {
            if let Some(putting) = &mut self.outbox.putting {
                let put = ready!(putting.as_mut().poll(cx));
                self.outbox.putting = None;
                put?;
            }
            if self.outbox.tasks.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let tasks = std::mem::take(&mut self.outbox.tasks);
            self.outbox.putting = Some(Box::pin(put(self.queue.clone(), tasks)));
        }
    }
}

impl<J: Job> Sink<Task<J>> for ApalisBackend<J> {
    type Error = WorkerError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WorkerError>> {
        let this = self.get_mut();
        if this.outbox.tasks.len() < TASKS_MAX {
            return Poll::Ready(Ok(()));
        }
        this.poll_put(cx)
    }

    fn start_send(self: Pin<&mut Self>, task: Task<J>) -> Result<(), WorkerError> {
        self.get_mut().outbox.tasks.push(task);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WorkerError>> {
        self.get_mut().poll_put(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WorkerError>> {
        self.get_mut().poll_put(cx)
    }
}

/// Those of which nothing is said go together, in one round trip.
async fn put<J: Job>(queue: Queue, tasks: Vec<Task<J>>) -> Result<(), QueueError> {
    let mut plain = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (job, ctx) = task.take();
        if is_plain(&ctx) {
            plain.push(job);
        } else {
            put_one(&queue, job, &ctx).await?;
        }
    }
    queue.enqueue_many(plain).await.map(drop)
}

async fn put_one<J: Job>(queue: &Queue, job: J, ctx: &ExecutionContext) -> Result<(), QueueError> {
    let mut enqueue = queue.enqueue(job);
    if let Some(seconds) = ctx.run_at() {
        let instant = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(QueueError::InvalidOption {
                option: "run_at",
                reason: "it is beyond the year 9999".into(),
            })?;
        enqueue = enqueue.at(instant);
    }
    if let Some(priority) = ctx.priority() {
        enqueue = enqueue.priority(i16::try_from(priority).unwrap_or(i16::MAX));
    }
    if let Some(attempts) = ctx.max_attempts() {
        enqueue = enqueue.max_attempts(u16::try_from(attempts).unwrap_or(u16::MAX));
    }
    if let Some(name) = ctx.queue() {
        enqueue = enqueue.queue(name.as_ref());
    }
    if let Some(key) = ctx.idempotency_key() {
        enqueue = enqueue.unique_key(key);
    }
    enqueue.await.map(drop)
}

fn is_plain(ctx: &ExecutionContext) -> bool {
    ctx.run_at().is_none()
        && ctx.priority().is_none()
        && ctx.max_attempts().is_none()
        && ctx.queue().is_none()
        && ctx.idempotency_key().is_none()
}
