// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Putting jobs in, and what may be said of one.

use std::time::Duration;

#[cfg(feature = "postgres")]
use forktex_db::Transaction;
use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use super::Queue;
use super::prepare::{EnqueueOptions, prepare, prepare_all};
use crate::backend::{Due, NewJob, Put};
use crate::duration::{IntoDuration, InvalidDuration, positive};
use crate::error::QueueError;
use crate::identifier::{JobId, JobName};
use crate::job::Job;
use crate::limit::Limit;
use crate::telemetry;
use crate::unique::Unique;

/// The most jobs that one [`Queue::enqueue_many`] takes.
pub const JOBS_MAX: usize = 10_000;

/// The most bytes that the jobs of one [`Queue::enqueue_many`] may have together: 64 MiB.
pub const JOBS_PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What became of a job that was enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It was put in.
    Inserted(JobId),
    /// It was not: this job holds its unique key, though it may have ended by now.
    Duplicate(JobId),
}

impl Enqueued {
    /// The job that was put in, or the one that was there.
    pub fn id(self) -> JobId {
        let (Self::Inserted(id) | Self::Duplicate(id)) = self;
        id
    }

    /// Whether it was put in.
    pub fn is_inserted(self) -> bool {
        matches!(self, Self::Inserted(_))
    }

    fn of(id: JobId, put: Put) -> Self {
        match put {
            Put::Inserted => Self::Inserted(id),
            Put::Duplicate(holder) => Self::Duplicate(holder),
        }
    }
}

impl Queue {
    /// Begins to put a job in; await it. Without more being said it is due at once, and its type says the
    /// rest.
    ///
    /// Costs one round trip. When it returns, the job is kept as safely as the backend keeps anything.
    ///
    /// # Errors
    /// [`QueueError::PayloadTooLarge`] for one over 256 KiB, [`QueueError::InvalidOption`] and its like for
    /// what was said, before anything is sent; [`QueueError::Unavailable`] and its like after it.
    ///
    /// # Cancellation
    /// The job is put in or not; a job that is unique can be enqueued again without harm.
    ///
    /// # Examples
    /// ```
    /// use forktex_queue::{Enqueued, Job, Queue, Unique};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Job, Clone, Serialize, Deserialize)]
    /// #[job("search.index", queue = "search")]
    /// struct Index { document: u64 }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), forktex_queue::QueueError> {
    /// let queue = Queue::in_process();
    /// queue.init().await?;
    /// let job = Index { document: 7 };
    /// let first = queue.enqueue(job.clone()).after("5m").priority(3).unique(Unique::UntilDone).await?;
    /// let second = queue.enqueue(job).unique(Unique::UntilDone).await?;
    /// assert!(first.is_inserted());
    /// assert_eq!(second, Enqueued::Duplicate(first.id()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue<J: Job>(&self, job: J) -> Enqueue<'_, J> {
        Enqueue {
            queue: self,
            job,
            options: EnqueueOptions::default(),
            fault: None,
        }
    }

    /// Begins to put jobs of one type in together, all or none: at most [`JOBS_MAX`] with at most
    /// [`JOBS_PAYLOAD_BYTES_MAX`]. What is said holds for each. Of two with one unique key the first is
    /// inserted.
    ///
    /// Costs a few round trips, whatever their number.
    ///
    /// # Errors
    /// Those of [`enqueue`](Self::enqueue); nothing was put in then, unless the answer was lost.
    ///
    /// # Cancellation
    /// All are put in or none.
    ///
    /// # Examples
    /// ```
    /// use forktex_queue::{Job, Queue};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Job, Serialize, Deserialize)]
    /// #[job("search.index")]
    /// struct Index { document: u64 }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), forktex_queue::QueueError> {
    /// let queue = Queue::in_process();
    /// let enqueued = queue.enqueue_many((0..100).map(|document| Index { document })).await?;
    /// assert_eq!(enqueued.len(), 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue_many<J: Job>(&self, jobs: impl IntoIterator<Item = J>) -> EnqueueMany<'_, J> {
        EnqueueMany {
            queue: self,
            jobs: jobs.into_iter().collect(),
            options: EnqueueOptions::default(),
            fault: None,
        }
    }

    /// Puts prepared jobs in, and runs them where the queue is inline.
    async fn put(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        let names: Vec<(JobId, JobName)> =
            jobs.iter().map(|job| (job.id, job.name.clone())).collect();
        let answers = self.backend().put(jobs).await?;
        for ((_, name), put) in names.iter().zip(&answers) {
            telemetry::enqueued(name, *put);
        }
        let ids = names.iter().map(|(id, _)| *id);
        let enqueued = ids
            .zip(answers)
            .map(|(id, put)| Enqueued::of(id, put))
            .collect();
        if let Some(inline) = self.inlined() {
            inline.run_due(self).await?;
        }
        Ok(enqueued)
    }
}

/// A job that is about to be put in; await it.
#[must_use = "a job is not enqueued until this is awaited"]
pub struct Enqueue<'q, J> {
    queue: &'q Queue,
    job: J,
    options: EnqueueOptions,
    fault: Option<QueueError>,
}

/// Jobs that are about to be put in together; await it.
#[must_use = "the jobs are not enqueued until this is awaited"]
pub struct EnqueueMany<'q, J> {
    queue: &'q Queue,
    jobs: Vec<J>,
    options: EnqueueOptions,
    fault: Option<QueueError>,
}

/// What may be said of one job and of many.
macro_rules! what_may_be_said {
    ($builder:ident) => {
        impl<J: Job> $builder<'_, J> {
            /// It is due in `delay` from when it is put in, by the backend's clock; at most 3,650 days.
            pub fn after(mut self, delay: impl IntoDuration) -> Self {
                let delay = self.noted(delay.into_duration());
                self.options.due = delay.map(Due::After);
                self
            }

            /// It is due at `instant`, by the backend's clock; at once where that has passed.
            pub fn at(mut self, instant: OffsetDateTime) -> Self {
                self.options.due = Some(Due::At(instant));
                self
            }

            /// Each point is a head start of 30 seconds before others that were ready at the same time, so
            /// that nothing starves; may be negative.
            pub fn priority(mut self, priority: i16) -> Self {
                self.options.priority = Some(priority);
                self
            }

            /// Puts it in another queue than its type says.
            pub fn queue(mut self, queue: impl Into<String>) -> Self {
                self.options.queue = Some(queue.into());
                self
            }

            /// Whose turn it is taken in: 1 to 200 bytes.
            pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
                self.options.tenant = Some(tenant.into());
                self
            }

            /// Keeps an equal job out for so long. Equal is one of the same name with the same JSON, or with
            /// the same [`unique_key`](Self::unique_key).
            pub fn unique(mut self, unique: Unique) -> Self {
                self.options.unique = Some(unique);
                self
            }

            /// What makes a job of its name unique, in place of its JSON: 1 to 190 bytes. Until it is done,
            /// where neither [`unique`](Self::unique) nor its type says for how long.
            pub fn unique_key(mut self, key: impl Into<String>) -> Self {
                self.options.unique_key = Some(key.into());
                self
            }

            /// The limit that it counts against, in place of its type's.
            pub fn limit(mut self, limit: Limit) -> Self {
                self.options.limit = Some(limit);
                self
            }

            /// How often it is tried at most, the first time included: from 1 to 1,000.
            pub fn max_attempts(mut self, max_attempts: u16) -> Self {
                self.options.max_attempts = Some(max_attempts);
                self
            }

            /// How long an attempt may take: from a millisecond to 30 days.
            pub fn timeout(mut self, timeout: impl IntoDuration) -> Self {
                self.options.timeout = self.noted(positive(timeout));
                self
            }

            /// The W3C `traceparent` that it carries.
            pub fn trace_parent(mut self, trace_parent: impl Into<String>) -> Self {
                self.options.trace_parent = Some(trace_parent.into());
                self
            }

            /// Keeps the first fault, to be told when it is awaited.
            fn noted(&mut self, given: Result<Duration, InvalidDuration>) -> Option<Duration> {
                given
                    .map_err(|fault| {
                        self.fault.get_or_insert(fault.into());
                    })
                    .ok()
            }
        }
    };
}

what_may_be_said!(Enqueue);
what_may_be_said!(EnqueueMany);

#[cfg(feature = "postgres")]
impl<'q, J: Job> Enqueue<'q, J> {
    /// Puts it in with a transaction of the same database: it is there, and only then taken by a worker,
    /// when the transaction commits, and never was when that rolls back. Only on Postgres.
    ///
    /// # Examples
    /// ```
    /// # use forktex_queue::{Job, Queue, QueueError};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Job, Serialize, Deserialize)]
    /// # #[job("order.confirm")]
    /// # struct ConfirmOrder { order: u64 }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = forktex_testkit::TestDatabase::create().await?;
    /// # let db = forktex_db::Db::connect(database.owner_url(), forktex_db::DbOptions::new()).await?;
    /// let queue = Queue::postgres(&db);
    /// queue.init().await?;
    /// let mut tx = db.begin().await?;
    /// // .. the writes of the order itself ..
    /// let enqueued = queue.enqueue(ConfirmOrder { order: 7 }).in_transaction(&mut tx).await?;
    /// assert!(queue.job(enqueued.id()).await?.is_none());
    /// tx.commit().await?;
    /// assert!(queue.job(enqueued.id()).await?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_transaction<'t>(self, tx: &'t mut Transaction) -> EnqueueInTransaction<'t>
    where
        'q: 't,
    {
        let queue = self.queue;
        EnqueueInTransaction {
            queue,
            job: self.prepared(),
            tx,
        }
    }
}

impl<J: Job> Enqueue<'_, J> {
    fn prepared(self) -> Result<NewJob, QueueError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => prepare(self.queue, &self.job, &self.options),
        }
    }
}

impl<'q, J: Job> IntoFuture for Enqueue<'q, J> {
    type Output = Result<Enqueued, QueueError>;
    type IntoFuture = BoxFuture<'q, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let queue = self.queue;
        let job = self.prepared();
        Box::pin(async move {
            let job = job?;
            let id = job.id;
            let enqueued = queue.put(vec![job]).await?;
            // A backend answers for each job.
            Ok(enqueued.first().copied().unwrap_or(Enqueued::Inserted(id)))
        })
    }
}

impl<'q, J: Job> IntoFuture for EnqueueMany<'q, J> {
    type Output = Result<Vec<Enqueued>, QueueError>;
    type IntoFuture = BoxFuture<'q, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let queue = self.queue;
        let prepared = match self.fault {
            Some(fault) => Err(fault),
            None => prepare_all(queue, &self.jobs, &self.options),
        };
        Box::pin(async move {
            let jobs = prepared?;
            if jobs.is_empty() {
                return Ok(Vec::new());
            }
            queue.put(jobs).await
        })
    }
}

/// A job that is about to be put in with a transaction; await it.
#[cfg(feature = "postgres")]
#[must_use = "a job is not enqueued until this is awaited"]
pub struct EnqueueInTransaction<'t> {
    queue: &'t Queue,
    job: Result<NewJob, QueueError>,
    tx: &'t mut Transaction,
}

#[cfg(feature = "postgres")]
impl<'t> IntoFuture for EnqueueInTransaction<'t> {
    type Output = Result<Enqueued, QueueError>;
    type IntoFuture = BoxFuture<'t, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let job = self.job?;
            let (id, name) = (job.id, job.name.clone());
            let backend =
                self.queue
                    .transactional()
                    .map_err(|backend| QueueError::NotTransactional {
                        job: name.as_str().to_owned(),
                        backend,
                    })?;
            let put = backend.put_in(self.tx, vec![job]).await?;
            let put = put.first().copied().unwrap_or(Put::Inserted);
            telemetry::enqueued(&name, put);
            Ok(Enqueued::of(id, put))
        })
    }
}
