// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a queue stands on: one method for each thing that must happen at once. A backend writes what
//! it is told and decides nothing but who is next.
//!
//! Each deadline goes by the backend's own clock, never by a worker's.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::error::QueueError;
use crate::identifier::{JobId, JobName, LeaseToken, QueueName, WorkerId};
use crate::limit::Limit;
use crate::record::{DeadReason, JobRecord, JobStatus};
use crate::unique::UniqueMode;

/// When a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    After(Duration),
    At(OffsetDateTime),
}

/// What keeps a job from being there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UniqueLock {
    /// Holds the job's name already; at most 300 bytes.
    pub(crate) key: String,
    pub(crate) mode: UniqueMode,
}

/// A job to be put in.
#[derive(Clone)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) name: JobName,
    pub(crate) queue: QueueName,
    /// Whose turn it is by; empty where the job names none.
    pub(crate) tenant: String,
    /// JSON, checked for its size.
    pub(crate) payload: Vec<u8>,
    pub(crate) priority: i16,
    pub(crate) due: Due,
    pub(crate) unique: Option<UniqueLock>,
    pub(crate) limit: Option<Limit>,
    pub(crate) attempts_max: u16,
    pub(crate) timeout: Duration,
    /// A W3C `traceparent` of whoever put it in.
    pub(crate) trace_parent: Option<String>,
}

impl fmt::Debug for NewJob {
    /// Without the payload, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewJob")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What became of a [`NewJob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Inserted,
    /// The job that holds the unique lock.
    Duplicate(JobId),
}

/// Who asks for work, and for how much.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// For those who look into the tables; nothing is decided by it.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "others keep no worker")
    )]
    pub(crate) worker: WorkerId,
    /// In the order in which they are asked; at least one.
    pub(crate) queues: Vec<QueueName>,
    pub(crate) jobs_max: u32,
    pub(crate) lease: Duration,
}

/// A job that was given to a worker, its attempt counted.
#[derive(Clone)]
pub(crate) struct ClaimedJob {
    pub(crate) id: JobId,
    pub(crate) token: LeaseToken,
    pub(crate) name: JobName,
    pub(crate) queue: QueueName,
    pub(crate) tenant: String,
    pub(crate) payload: Vec<u8>,
    /// From 1.
    pub(crate) attempt: u16,
    pub(crate) attempts_max: u16,
    pub(crate) timeout: Duration,
    pub(crate) enqueued_at: OffsetDateTime,
    pub(crate) trace_parent: Option<String>,
}

impl fmt::Debug for ClaimedJob {
    /// Without the payload, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClaimedJob")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`Claim`].
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) jobs: Vec<ClaimedJob>,
    /// More was ready than was asked for: ask again as soon as there is a slot.
    pub(crate) is_more: bool,
    /// How long until the next scheduled job of these queues is due; `None` where there is none or
    /// it is not known. The claim itself makes due jobs ready.
    pub(crate) next_due: Option<Duration>,
}

/// A worker's right to a job, until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: JobId,
    pub(crate) queue: QueueName,
    pub(crate) token: LeaseToken,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The job is removed.
    Done,
    /// It is due again after `delay`.
    Retry { delay: Duration, error: String },
    /// It is kept as a dead letter.
    Dead { reason: DeadReason, error: String },
    /// It is handed back, and the attempt does not count.
    Release {
        delay: Duration,
        note: Option<String>,
    },
    /// It was asked to end, and did: removed.
    Cancelled,
}

/// What a worker has to say of a job that it held.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    pub(crate) lease: Lease,
    pub(crate) outcome: Outcome,
}

/// Whether a settlement was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Accepted,
    /// The lease is another's by now, or nobody's; nothing was changed.
    Refused,
}

/// The answer to a renewal, one for each lease, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    Held,
    /// Held, and somebody asks that it ends.
    CancelAsked,
    Lost,
}

/// What maintenance did in one bounded pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Maintained {
    /// Scheduled jobs that became ready.
    pub(crate) promoted: u64,
    /// Jobs whose lease had ended, ready again.
    pub(crate) taken_back: u64,
    /// Jobs whose lease had ended with no attempt left.
    pub(crate) buried: u64,
    /// Dead letters and unique locks whose time was over.
    pub(crate) pruned: u64,
    /// A bound was met: call again at once.
    pub(crate) is_more: bool,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelAnswer {
    /// It was not running, and is gone.
    Removed,
    /// It is running; its worker is told at its next heartbeat.
    Asked,
    /// There is no such job: it never was, or has ended.
    Unknown,
}

/// What became of a wish to replay a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayAnswer {
    Replayed,
    /// Its unique lock is another job's.
    Conflict(JobId),
    Unknown,
}

/// Which jobs a list takes; each that is given narrows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobFilter {
    pub(crate) status: Option<JobStatus>,
    pub(crate) queue: Option<QueueName>,
    pub(crate) name: Option<JobName>,
    pub(crate) tenant: Option<String>,
}

/// How much is in a queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueStats {
    /// Jobs that a worker may take now.
    pub ready: u64,
    /// Jobs that are due later, retries among them.
    pub scheduled: u64,
    /// Jobs that wait for their limit.
    pub held: u64,
    /// Jobs that a worker holds.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the first of the ready jobs has been ready.
    pub oldest_ready: Option<Duration>,
    /// Nobody is given jobs of it now.
    pub is_paused: bool,
}

/// A place where jobs are kept.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Makes the place ready. Idempotent, and safe from many processes at once.
    async fn init(&self) -> Result<(), QueueError>;

    /// Puts jobs in, all or none; an answer for each, in order. Two of one batch with the same
    /// unique key: the first is inserted.
    async fn put(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, QueueError>;

    /// Gives jobs to a worker: those due become ready, limits are looked at, tenants take turns.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, QueueError>;

    /// Takes the ends of attempts; an answer for each, in order.
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, QueueError>;

    /// Makes leases last `lease` from now; an answer for each, in order.
    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Renewed>, QueueError>;

    /// Does what nobody asks for, in all queues, a bounded part of it.
    async fn maintain(&self, dead_letters_kept: Duration) -> Result<Maintained, QueueError>;

    async fn cancel(&self, id: JobId) -> Result<CancelAnswer, QueueError>;

    async fn set_paused(&self, queue: &QueueName, is_paused: bool) -> Result<(), QueueError>;

    async fn find(&self, id: JobId) -> Result<Option<JobRecord>, QueueError>;

    /// Up to `jobs_max` of the jobs after `after`, in the order of their ids.
    async fn list(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, QueueError>;

    /// Makes a dead letter ready again, with all its attempts.
    async fn replay(&self, id: JobId) -> Result<ReplayAnswer, QueueError>;

    /// Removes a dead letter. Whether there was one.
    async fn discard(&self, id: JobId) -> Result<bool, QueueError>;

    async fn stats(&self, queue: &QueueName) -> Result<QueueStats, QueueError>;

    /// The queues that have jobs or are paused, by name; at most 1,000.
    async fn queues(&self) -> Result<Vec<QueueName>, QueueError>;

    /// Puts `job` in for the tick at `tick` of the schedule `schedule`, unless that tick or a later one
    /// was fired by anyone. Whether it did. At once: the tick and the job.
    async fn fire(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
    ) -> Result<bool, QueueError>;

    /// The backend's clock.
    async fn now(&self) -> Result<OffsetDateTime, QueueError>;

    /// Changes whenever work may have come. A hint: polling is the truth.
    fn wakes(&self) -> watch::Receiver<u64>;

    /// Stops what runs behind the backend. Idempotent.
    async fn close(&self);
}
