// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lets workers of `apalis` take the jobs of a queue: their builder, layers, events and monitors on top,
//! and below them the claims, leases, retries and dead letters of this crate.
//!
//! Behind each such worker a [`Worker`] runs that hands its jobs on to apalis and waits for
//! what comes of them. So nothing that holds for a `Worker` is different here.

mod answer;
mod sink;
mod task;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use answer::{AnswerLayer, AnswerService};

use crate::duration::IntoDuration;
use crate::error::WorkerError;
use crate::identifier::JobId;
use crate::job::Job;
use crate::queue::Queue;
use crate::worker::{CONCURRENCY_DEFAULT, Drained, Worker};
use sink::Outbox;

impl Queue {
    /// The jobs of type `J` as a backend for apalis: give it to `WorkerBuilder::backend`, and push tasks
    /// into it.
    ///
    /// A handler of apalis may take the [`JobContext`](crate::JobContext) of its attempt. What it returns
    /// becomes of the job what it does with a [`Worker`]: an error means a retry by the
    /// settings of `J`, apalis's `AbortError` a dead letter at once, its `RetryAfterError` a retry after
    /// that time, its `DeferredError` a retry at once. The schedules of `J` are not fired by it.
    ///
    /// # Examples
    /// ```
    /// use apalis_core::backend::TaskSink;
    /// use apalis_core::worker::builder::WorkerBuilder;
    /// use apalis_core::worker::context::WorkerContext;
    /// use forktex_queue::{Job, Queue};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Job, Serialize, Deserialize)]
    /// #[job("greeting.print", queue = "greetings")]
    /// struct Greet { name: String }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let queue = Queue::in_process();
    /// let mut greetings = queue.apalis::<Greet>().concurrency(4);
    /// greetings.push(Greet { name: "Ada".into() }).await?;
    ///
    /// async fn greet(job: Greet, worker: WorkerContext) {
    ///     println!("Hello, {}!", job.name);
    ///     worker.stop().unwrap();
    /// }
    /// let worker = WorkerBuilder::new("greeter").backend(greetings).build(greet);
    /// worker.run().await?;
    /// assert_eq!(queue.stats("greetings").await?.ready, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn apalis<J: Job>(&self) -> ApalisBackend<J> {
        ApalisBackend {
            queue: self.clone(),
            config: ApalisConfig::default(),
            engine: Engine::Idle,
            outbox: Outbox::default(),
        }
    }
}

/// The jobs of one type as a backend for apalis: see [`Queue::apalis`].
///
/// Jobs of other types in the same queues are handed back for a minute: give the types that apalis does
/// queues of their own. To pause them, pause the queue: a worker of apalis that is paused keeps the jobs that
/// it was given already, and they time out.
#[must_use = "a backend does nothing until a worker polls it"]
pub struct ApalisBackend<J: Job> {
    queue: Queue,
    config: ApalisConfig,
    engine: Engine<J>,
    outbox: Outbox<J>,
}

/// How a backend takes jobs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApalisConfig {
    /// How many jobs are with apalis at a time.
    pub concurrency: u32,
    /// The queues that jobs are taken from; `None` for the one that their type names.
    pub queues: Option<Vec<String>>,
    /// How long a lease lasts; `None` for the default of a [`Worker`].
    pub lease: Option<Duration>,
}

impl Default for ApalisConfig {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY_DEFAULT,
            queues: None,
            lease: None,
        }
    }
}

/// What takes jobs.
enum Engine<J> {
    /// Nobody has polled yet.
    Idle,
    Running {
        /// Drains once it is told to stop.
        worker: JoinHandle<Result<Drained, WorkerError>>,
        stop: Option<oneshot::Sender<()>>,
        jobs: mpsc::Receiver<Task<J>>,
    },
    Ended,
}

impl<J: Job> ApalisBackend<J> {
    /// How many jobs are with apalis at a time, however many it would take: from 1 to 10,000; 16 by default.
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.config.concurrency = jobs;
        self
    }

    /// The queues that jobs are taken from, in place of the one that their type names.
    pub fn queues<N: Into<String>>(mut self, queues: impl IntoIterator<Item = N>) -> Self {
        self.config.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// How long the queue waits for a sign of life before it gives a job to another worker: from 100 ms to
    /// a day; 15 s by default. What cannot be used is left as it was.
    pub fn lease(mut self, lease: impl IntoDuration) -> Self {
        if let Ok(lease) = lease.into_duration() {
            self.config.lease = Some(lease);
        }
        self
    }

    /// Starts what takes jobs.
    fn start(&self) -> Engine<J> {
        let ApalisConfig {
            concurrency,
            queues,
            lease,
        } = &self.config;
        // A job has a slot before it is sent, so that there is always room.
        let (sender, jobs) = mpsc::channel((*concurrency).max(1) as usize);
        let mut worker = Worker::new(&self.queue)
            .without_linked()
            .concurrency(*concurrency)
            .queues(
                queues
                    .clone()
                    .unwrap_or_else(|| vec![J::SETTINGS.queue.to_owned()]),
            )
            .handle(move |job: J, ctx| task::hand_on(sender.clone(), job, ctx));
        if let Some(lease) = lease {
            worker = worker.lease(*lease);
        }
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            // A backend that is gone stops it as well.
            let _ = stopped.await;
        };
        Engine::Running {
            // When it is stopped apalis has nothing left to do: what it was not given goes back at once.
            worker: tokio::spawn(worker.run_until(signal, Duration::ZERO)),
            stop: Some(stop),
            jobs,
        }
    }

    /// Whether what takes jobs has ended, and how.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WorkerError>> {
        let Engine::Running { worker, .. } = &mut self.engine else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(Pin::new(worker).poll(cx));
        self.engine = Engine::Ended;
        // A task that was aborted with its runtime has no more to say.
        Poll::Ready(ended.map_or(Ok(()), |ended| ended.map(drop)))
    }
}

impl<J: Job> Backend for ApalisBackend<J> {
    type Task = Task<J>;
    type Error = WorkerError;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), WorkerError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<J>, WorkerError>>> {
        if matches!(self.engine, Engine::Idle) {
            self.engine = self.start();
        }
        if let Engine::Running { jobs, .. } = &mut self.engine
            && let Poll::Ready(Some(task)) = jobs.poll_recv(cx)
        {
            return Poll::Ready(Some(Ok(task)));
        }
        match ready!(self.poll_ended(cx)) {
            Ok(()) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), WorkerError>> {
        if let Engine::Running { stop, jobs, .. } = &mut self.engine {
            jobs.close();
            if let Some(stop) = stop.take() {
                // It may have ended by itself.
                let _ = stop.send(());
            }
        }
        self.poll_ended(cx)
    }
}

impl<J: Job> BackendConfig for ApalisBackend<J> {
    type Args = J;
    type Id = JobId;
    type Kind = Ephemeral;
    type Config = ApalisConfig;
    type Layer = AnswerLayer;

    fn config(&self) -> &ApalisConfig {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> AnswerLayer {
        AnswerLayer::new()
    }
}

/// A job that has not been handed on is moved as any value is: none is polled in here.
impl<J: Job> Unpin for ApalisBackend<J> {}

impl<J: Job> Drop for ApalisBackend<J> {
    /// As dropping a [`RunningWorker`](crate::RunningWorker): the leases end by themselves.
    fn drop(&mut self) {
        if let Engine::Running { worker, .. } = &self.engine {
            worker.abort();
        }
    }
}

impl<J: Job> fmt::Debug for ApalisBackend<J> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApalisBackend")
            .field("job", &J::NAME)
            .field("queue", &self.queue)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
