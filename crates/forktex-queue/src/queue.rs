// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: where jobs are put in, looked at and steered.

mod control;
mod enqueue;
mod inline;
mod inspect;
mod options;
pub(crate) mod prepare;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "redis")]
use forktex_cache::Cache;
#[cfg(feature = "postgres")]
use forktex_db::Db;

pub use control::{Cancelled, ReplayedAll};
#[cfg(feature = "postgres")]
pub use enqueue::EnqueueInTransaction;
pub use enqueue::{Enqueue, EnqueueMany, Enqueued, JOBS_MAX, JOBS_PAYLOAD_BYTES_MAX};
pub use inline::InlineBuilder;
pub use inspect::{Cursor, JobList, PAGE_JOBS_MAX, Page};
pub use options::{PAYLOAD_BYTES_MAX_DEFAULT, QueueOptions};

use crate::backend::Backend;
use crate::error::QueueError;
use crate::in_process::InProcessBackend;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresBackend;
#[cfg(feature = "redis")]
use crate::redis::RedisBackend;
use inline::Inline;

/// A queue of jobs on Postgres, on Redis or in this process. Cheap to clone.
///
/// What is enqueued is done at least once: by a [`Worker`](crate::Worker) of any process that has a handler
/// for it, and once more should that process die before it has said that the job is done. Handlers are
/// therefore written such that a second time does no harm; work that must not be repeated from its
/// beginning belongs in `forktex-flow`.
///
/// # Examples
/// ```standalone_crate
/// use forktex_queue::{Enqueued, Job, Queue, Worker, job_handler};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Job, Serialize, Deserialize)]
/// #[job("email.send", queue = "mail", max_attempts = 5)]
/// struct SendEmail { to: String }
///
/// #[job_handler]
/// async fn send_email(job: SendEmail) -> Result<(), std::io::Error> {
///     println!("to {}", job.to);
///     Ok(())
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = Queue::in_process();
/// queue.init().await?;
/// let enqueued = queue.enqueue(SendEmail { to: "ada@example.com".into() }).await?;
/// assert!(matches!(enqueued, Enqueued::Inserted(_)));
///
/// let running = Worker::new(&queue).concurrency(4).start().await?;
/// # while queue.job(enqueued.id()).await?.is_some() {
/// #     tokio::task::yield_now().await;
/// # }
/// let drained = running.drain("5s").await?;
/// assert_eq!(drained.handed_back, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    place: Place,
    options: QueueOptions,
    inline: Option<Inline>,
}

/// Where the jobs are.
enum Place {
    InProcess,
    #[cfg(feature = "postgres")]
    Postgres(Arc<PostgresBackend>),
    #[cfg(feature = "redis")]
    Redis,
}

impl Queue {
    /// A queue in this process, for development, tests and small tools: its jobs end with it. It answers as
    /// the others do.
    pub fn in_process() -> Self {
        Self::in_process_with(QueueOptions::new())
    }

    /// A queue in this process, with options. Each has jobs of its own, whatever its namespace.
    pub fn in_process_with(options: QueueOptions) -> Self {
        let backend = Arc::new(InProcessBackend::new());
        Self::on(backend, Place::InProcess, options, None)
    }

    /// A queue in the database of `db`, in a schema of its own, `forktex_queue`.
    #[cfg(feature = "postgres")]
    pub fn postgres(db: &Db) -> Self {
        let options = QueueOptions::new();
        let backend = Arc::new(PostgresBackend::new(db.clone(), None));
        Self::on_postgres(backend, options)
    }

    /// A queue in the database of `db`, with options. Each namespace has jobs of its own.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`] for a namespace that is none.
    #[cfg(feature = "postgres")]
    pub fn postgres_with(db: &Db, options: QueueOptions) -> Result<Self, QueueError> {
        let backend = PostgresBackend::new(db.clone(), options.checked_namespace()?);
        Ok(Self::on_postgres(Arc::new(backend), options))
    }

    /// A queue on the Redis of `cache`; in this process where that cache is.
    ///
    /// Redis keeps what it is set up to keep: with its defaults the jobs of the last second may be lost
    /// when the server is. Set `appendonly yes`, and `maxmemory-policy noeviction`.
    #[cfg(feature = "redis")]
    pub fn redis(cache: &Cache) -> Self {
        let options = QueueOptions::new();
        match RedisBackend::new(cache, None) {
            Some(backend) => Self::on(Arc::new(backend), Place::Redis, options, None),
            None => Self::in_process_with(options),
        }
    }

    /// A queue on the Redis of `cache`, with options. Each namespace has jobs of its own.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`] for a namespace that is none.
    #[cfg(feature = "redis")]
    pub fn redis_with(cache: &Cache, options: QueueOptions) -> Result<Self, QueueError> {
        Ok(
            match RedisBackend::new(cache, options.checked_namespace()?) {
                Some(backend) => Self::on(Arc::new(backend), Place::Redis, options, None),
                None => Self::in_process_with(options),
            },
        )
    }

    /// Begins a queue that runs each job where it is enqueued, for tests: see [`InlineBuilder`].
    pub fn inline() -> InlineBuilder {
        InlineBuilder::new()
    }

    fn on(
        backend: Arc<dyn Backend>,
        place: Place,
        options: QueueOptions,
        inline: Option<Inline>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend,
                place,
                options,
                inline,
            }),
        }
    }

    #[cfg(feature = "postgres")]
    fn on_postgres(backend: Arc<PostgresBackend>, options: QueueOptions) -> Self {
        let place = Place::Postgres(Arc::clone(&backend));
        Self::on(backend, place, options, None)
    }

    /// Makes the queue's place ready: on Postgres it runs the migrations, on Redis it loads the scripts.
    /// Idempotent, and safe from many processes at once; call it when the service starts.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// Safe: call it again.
    pub async fn init(&self) -> Result<(), QueueError> {
        self.shared.backend.init().await
    }

    /// Stops what runs behind the queue, such as the connection that listens for work. Idempotent; drain
    /// the workers first. The database or cache that it was made of stays open.
    ///
    /// # Cancellation
    /// Safe: call it again.
    pub async fn close(&self) {
        self.shared.backend.close().await;
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    pub(crate) fn options(&self) -> &QueueOptions {
        &self.shared.options
    }

    fn inlined(&self) -> Option<&Inline> {
        self.shared.inline.as_ref()
    }

    /// The backend whose transactions can hold a job, or where the jobs are instead.
    #[cfg(feature = "postgres")]
    fn transactional(&self) -> Result<&PostgresBackend, &'static str> {
        if let Place::Postgres(backend) = &self.shared.place {
            return Ok(backend);
        }
        Err(self.shared.place.describe())
    }
}

impl Place {
    fn describe(&self) -> &'static str {
        match self {
            Self::InProcess => "in process",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "on Postgres",
            #[cfg(feature = "redis")]
            Self::Redis => "on Redis",
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Queue")
            .field("place", &self.shared.place.describe())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
