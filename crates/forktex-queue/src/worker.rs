// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Takes jobs, runs them, and tells the queue what came of them.
//!
//! Five loops: one claims, one writes outcomes in groups, one renews leases, one keeps the queue in order,
//! and one fires schedules. Each job runs in a task of its own. Workers meet each other only in the queue.

mod answerer;
mod claimer;
mod executor;
mod heartbeat;
mod leases;
mod maintenance;
mod options;
mod running;
mod schedule_firer;
mod slots;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Span;

use crate::attempt::{AdoptTrace, Performer};
use crate::backend::Backend;
use crate::context::JobContext;
use crate::cron::{CheckedCron, Cron};
use crate::duration::{IntoDuration, InvalidDuration};
use crate::error::{JobResult, WorkerError};
use crate::handler::{Declared, Handler, Handlers, HandlersBuilder, linked_crons};
use crate::identifier::{QueueName, WorkerId};
use crate::job::Job;
use crate::queue::Queue;
use answerer::Answer;
use leases::Leases;
use options::WorkerOptions;
pub use options::{
    CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DEAD_LETTERS_KEPT_DEFAULT, GRACE_DEFAULT, LEASE_DEFAULT,
};
pub use running::{Drained, RunningWorker};
use slots::Slots;

/// A worker: what does the jobs of a queue. Any number may run, in any number of processes.
///
/// It does the jobs whose handlers are linked into the program, and those of handlers it is given, out of the
/// queues that their types name.
///
/// # Examples
/// ```no_run
/// use forktex_queue::{Queue, Worker};
///
/// # async fn example(queue: Queue) -> Result<(), forktex_queue::WorkerError> {
/// let worker = Worker::new(&queue).concurrency(16).queues(["mail", "default"]);
/// // Until the process is asked to stop; what runs then has half a minute to finish.
/// worker.run_until(async { drop(tokio::signal::ctrl_c().await) }, "30s").await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    queue: Queue,
    handlers: HandlersBuilder,
    options: WorkerOptions,
    crons: Vec<Cron>,
    without_linked: bool,
    adopt_trace: Option<AdoptTrace>,
    fault: Option<WorkerError>,
}

/// What the tasks of a worker share.
struct Shared {
    queue: Queue,
    backend: Arc<dyn Backend>,
    worker: WorkerId,
    queues: Vec<QueueName>,
    options: WorkerOptions,
    performer: Performer,
    slots: Slots,
    leases: Arc<Leases>,
    answers: mpsc::UnboundedSender<Answer>,
    jobs: TaskTracker,
    /// No more is claimed.
    draining: CancellationToken,
    /// What runs is dropped and handed back.
    abandoned: CancellationToken,
    /// All tasks end.
    stopped: CancellationToken,
    stopped_at: OnceLock<Instant>,
    /// This worker knows that there may be work.
    poked: watch::Sender<u64>,
    /// Attempts that ended by themselves.
    finished: AtomicU64,
    /// Jobs that were given back.
    handed_back: AtomicU64,
}

impl Worker {
    /// A worker on `queue` with 16 slots; start it with [`start`](Self::start) or [`run`](Self::run).
    pub fn new(queue: &Queue) -> Self {
        Self {
            queue: queue.clone(),
            handlers: HandlersBuilder::default(),
            options: WorkerOptions::default(),
            crons: Vec::new(),
            without_linked: false,
            adopt_trace: None,
            fault: None,
        }
    }

    /// How many jobs run at a time: from 1 to [`CONCURRENCY_MAX`]; 16 by default. Up to as many more may have
    /// ended and wait for their outcome to be written.
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.options.concurrency = jobs;
        self
    }

    /// The queues that jobs are taken from, those of the first before those of the second; by default the
    /// ones that the types of its jobs name, in the order of the alphabet.
    pub fn queues<N: Into<String>>(mut self, queues: impl IntoIterator<Item = N>) -> Self {
        self.options.queues = Some(queues.into_iter().map(Into::into).collect());
        self
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
    ///
    /// # Examples
    /// ```
    /// use forktex_queue::{Job, Queue, Worker};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Job, Serialize, Deserialize)]
    /// #[job("greeting.print")]
    /// struct Greet { name: String }
    ///
    /// # let queue = Queue::in_process();
    /// let worker = Worker::new(&queue).handle(|job: Greet, _ctx| async move {
    ///     println!("Hello, {}!", job.name);
    ///     Ok(())
    /// });
    /// # let _ = worker;
    /// ```
    pub fn handle<J, F, B>(mut self, body: F) -> Self
    where
        J: Job,
        F: Fn(J, JobContext) -> B + Send + Sync + 'static,
        B: Future<Output = JobResult> + Send + 'static,
    {
        self.handlers.add_declared(Declared::of_fn(body));
        self
    }

    /// Leaves out the handlers and schedules that are linked into the program.
    pub fn without_linked(mut self) -> Self {
        self.without_linked = true;
        self.handlers.leave_linked_out();
        self
    }

    /// Fires a schedule, beside those that the types of its jobs have. Give it to all workers of the
    /// service: each tick puts one job in all the same.
    pub fn cron(mut self, cron: Cron) -> Self {
        self.crons.push(cron);
        self
    }

    /// How long the queue waits for a sign of life before it gives a job to another worker: from 100 ms to a
    /// day; 15 s by default. A sign is given at each third of it, for all jobs at once.
    pub fn lease(self, lease: impl IntoDuration) -> Self {
        let lease = lease.into_duration();
        self.set(lease, |options, lease| options.lease = lease)
    }

    /// How long a body may go on after its job was cancelled; 5 s by default.
    pub fn grace(self, grace: impl IntoDuration) -> Self {
        let grace = grace.into_duration();
        self.set(grace, |options, grace| options.grace = grace)
    }

    /// How long dead letters are kept, by the maintenance of this worker; 30 days by default.
    pub fn keep_dead_letters(self, time: impl IntoDuration) -> Self {
        let time = time.into_duration();
        self.set(time, |options, time| options.dead_letters_kept = time)
    }

    /// Ties the span of each attempt to the `traceparent` that its job carries, in the way of whichever
    /// OpenTelemetry bridge is in use.
    pub fn adopt_trace(mut self, adopt: impl Fn(&Span, &str) + Send + Sync + 'static) -> Self {
        self.adopt_trace = Some(Arc::new(adopt));
        self
    }

    /// Starts the worker, and returns once it takes jobs.
    ///
    /// # Errors
    /// [`WorkerError`] where a handler is missing, there twice, or lacks a resource, and where an option or a
    /// schedule cannot be used.
    ///
    /// # Cancellation
    /// Nothing is started.
    #[expect(
        clippy::unused_async,
        reason = "its tasks need a runtime, and a later release may ask the queue"
    )]
    pub async fn start(self) -> Result<RunningWorker, WorkerError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (shared, crons) = self.build(sender)?;
        Ok(RunningWorker::start(Arc::new(shared), crons, receiver))
    }

    /// Runs the worker until its queue is closed. Dropping the future ends it at once: jobs that run are
    /// dropped, and others take them once their leases have ended.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and that the queue was closed.
    ///
    /// # Cancellation
    /// As dropping a [`RunningWorker`].
    pub async fn run(self) -> Result<(), WorkerError> {
        self.start().await?.ended().await
    }

    /// Runs the worker until `signal` completes, and then [drains](RunningWorker::drain) it.
    ///
    /// # Errors
    /// Those of [`start`](Self::start) and of [`RunningWorker::drain`], and that the queue was closed.
    ///
    /// # Cancellation
    /// As dropping a [`RunningWorker`].
    pub async fn run_until(
        self,
        signal: impl Future<Output = ()>,
        deadline: impl IntoDuration,
    ) -> Result<Drained, WorkerError> {
        let deadline = deadline.into_duration()?;
        let mut running = self.start().await?;
        tokio::select! {
            () = signal => running.drain(deadline).await,
            ended = running.until_ended() => {
                ended?;
                Ok(Drained::default())
            }
        }
    }

    fn set(
        mut self,
        given: Result<Duration, InvalidDuration>,
        put: impl FnOnce(&mut WorkerOptions, Duration),
    ) -> Self {
        match given {
            Ok(duration) => put(&mut self.options, duration),
            Err(fault) => {
                self.fault.get_or_insert(fault.into());
            }
        }
        self
    }

    /// Checks all that was said.
    fn build(
        self,
        answers: mpsc::UnboundedSender<Answer>,
    ) -> Result<(Shared, Vec<CheckedCron>), WorkerError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.options.check()?;
        let handlers = self.handlers.build()?;
        let queues = queues(&self.options, &handlers)?;
        let mut crons = self.crons;
        if !self.without_linked {
            crons.extend(linked_crons(&handlers));
        }
        let crons = check_crons(&crons)?;
        let performer = Performer {
            handlers,
            grace: self.options.grace,
            adopt_trace: self.adopt_trace,
        };
        let shared = Shared {
            backend: Arc::clone(self.queue.backend()),
            queue: self.queue,
            worker: WorkerId::generate(),
            queues,
            slots: Slots::new(self.options.concurrency),
            options: self.options,
            performer,
            leases: Arc::default(),
            answers,
            jobs: TaskTracker::new(),
            draining: CancellationToken::new(),
            abandoned: CancellationToken::new(),
            stopped: CancellationToken::new(),
            stopped_at: OnceLock::new(),
            poked: watch::Sender::new(0),
            finished: AtomicU64::new(0),
            handed_back: AtomicU64::new(0),
        };
        Ok((shared, crons))
    }
}

impl Shared {
    /// Has the claimer look for work.
    fn poke(&self) {
        self.poked
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Ends all tasks.
    fn stop(&self) {
        self.stopped_at.get_or_init(Instant::now);
        self.stopped.cancel();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("queue", &self.queue)
            .field("options", &self.options)
            .field("handlers", &self.handlers)
            .field("crons", &self.crons)
            .finish_non_exhaustive()
    }
}

/// The queues that are asked, each once.
fn queues(options: &WorkerOptions, handlers: &Handlers) -> Result<Vec<QueueName>, WorkerError> {
    let mut names: Vec<QueueName> = Vec::new();
    let given = options.queues.iter().flatten().map(String::as_str);
    let by_type = handlers.queues();
    let by_type = by_type.iter().copied().filter(|_| options.queues.is_none());
    for name in given.chain(by_type) {
        let name = QueueName::new(name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(WorkerError::InvalidOption {
            option: "queues",
            reason: "it names none; leave it out for those of its jobs",
        });
    }
    Ok(names)
}

fn check_crons(crons: &[Cron]) -> Result<Vec<CheckedCron>, WorkerError> {
    let mut checked: Vec<CheckedCron> = Vec::new();
    for cron in crons {
        let cron = cron.check()?;
        if checked.iter().any(|other| other.name == cron.name) {
            return Err(WorkerError::DuplicateCron { name: cron.name });
        }
        checked.push(cron);
    }
    Ok(checked)
}
