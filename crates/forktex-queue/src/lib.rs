// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Background jobs for work that is short, idempotent and best effort: typed, on Postgres, on Redis or in
//! process, with leases, retries, uniqueness, limits per key, schedules and dead letters.
//!
//! A *job* is a serialisable value with a name. A service *enqueues* it, and a *worker* of any process gives
//! it to the *handler* of that name. A worker holds a job by a *lease* with a token of its own: one that dies
//! or freezes loses it, another does the job, and what the first one says later is refused. Each attempt is
//! counted when it begins, so that a job which kills its workers ends as a *dead letter* all the same. A job
//! is done at least once; its handler is to do no harm the second time. Work that must survive and resume in
//! the middle belongs in `forktex-flow`.
//!
//! | To | Use |
//! |---|---|
//! | declare a job | [`derive@Job`], [`trait@Job`] |
//! | do it | [`macro@job_handler`], [`JobContext`], [`Resource`], [`JobError`] |
//! | choose where jobs are | [`Queue::in_process`], `Queue::postgres` (feature `postgres`), `Queue::redis` (feature `redis`) |
//! | put jobs in | [`Queue::enqueue`], [`Queue::enqueue_many`] |
//! | put one in with other writes of the service | `Enqueue::in_transaction` (feature `postgres`) |
//! | have one run later, or before others | [`Enqueue::after`], [`Enqueue::at`], [`Enqueue::priority`] |
//! | keep a second one out | [`Enqueue::unique`], [`Unique`] |
//! | limit how many run, or start in a time | [`Limit`] |
//! | run jobs | [`Worker`], [`RunningWorker::drain`] |
//! | put jobs in by the clock | [`Cron`], `cron = ".."` of [`derive@Job`] |
//! | look at jobs | [`Queue::job`], [`Queue::list`], [`Queue::stats`] |
//! | steer them | [`Queue::cancel`], [`Queue::pause`], [`Queue::resume`] |
//! | deal with dead letters | [`Queue::dead_letters`], [`Queue::replay`], [`Queue::replay_all`], [`Queue::discard`] |
//! | test code that enqueues | [`Queue::inline`] |
//! | test a handler | call it, with [`JobContext::for_test`] |
//!
//! Handlers are found at link time. A crate that nothing names is dropped by the linker, and its handlers
//! with it: write `use my_jobs as _;`, or give them to [`Worker::handler`].
//!
#![doc = include_str!("docs/semantics.md")]
//!
#![doc = include_str!("docs/telemetry.md")]

extern crate self as forktex_queue;

#[doc(hidden)]
pub mod __private;

mod duration;
mod error;
mod identifier;
mod limit;
mod retry;
mod unique;

mod job;
mod record;

mod backend;
mod in_process;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

mod context;
mod handler;
mod resource;

#[cfg(test)]
mod suite;

mod attempt;
mod telemetry;
mod trace;

mod cron;
mod queue;
mod worker;

#[cfg(feature = "apalis")]
pub mod apalis;

pub use crate::backend::QueueStats;
pub use crate::context::JobContext;
pub use crate::cron::{CRON_CHARACTERS_MAX, Cron, CronSchedule, InvalidSchedule};
pub use crate::duration::{DURATION_LIMIT, IntoDuration, InvalidDuration};
pub use crate::error::{JobError, JobResult, PayloadFault, QueueError, WorkerError};
pub use crate::handler::Handler;
pub use crate::identifier::{
    InvalidName, JobId, JobName, KEY_BYTES_MAX, NAME_CHARACTERS_MAX, QueueName,
    UNIQUE_KEY_BYTES_MAX,
};
pub use crate::job::{DEFAULT_QUEUE, Job, JobSettings};
pub use crate::limit::{Limit, RATE_COUNT_MAX};
#[cfg(feature = "postgres")]
pub use crate::queue::EnqueueInTransaction;
pub use crate::queue::{
    Cancelled, Cursor, Enqueue, EnqueueMany, Enqueued, InlineBuilder, JOBS_MAX,
    JOBS_PAYLOAD_BYTES_MAX, JobList, PAGE_JOBS_MAX, PAYLOAD_BYTES_MAX_DEFAULT, Page, Queue,
    QueueOptions, ReplayedAll,
};
pub use crate::record::{DeadReason, JobRecord, JobStatus, NOTE_BYTES_MAX};
pub use crate::resource::{Resource, ResourceKey, Resources};
pub use crate::retry::{
    BACKOFF_DEFAULT, MAX_ATTEMPTS_DEFAULT, MAX_ATTEMPTS_LIMIT, TIMEOUT_DEFAULT,
};
pub use crate::unique::Unique;
pub use crate::worker::{
    CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DEAD_LETTERS_KEPT_DEFAULT, Drained, GRACE_DEFAULT,
    LEASE_DEFAULT, RunningWorker, Worker,
};

#[doc = include_str!("docs/job.md")]
pub use forktex_macros::Job;

#[doc = include_str!("docs/job_handler.md")]
pub use forktex_macros::job_handler;

/// What a service author imports.
pub mod prelude {
    pub use crate::context::JobContext;
    pub use crate::error::{JobError, JobResult, QueueError, WorkerError};
    pub use crate::job::Job;
    pub use crate::queue::{Enqueued, Queue};
    pub use crate::resource::Resource;
    pub use crate::unique::Unique;
    pub use crate::worker::Worker;
    pub use forktex_macros::{Job, job_handler};
}
