// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Who does a job: the handlers that are linked into this program, found with no list kept by hand, and
//! those that a worker is given.
//!
//! `#[job_handler]` submits a [`Registration`] that the linker gathers. A crate that nothing names is not
//! linked, and its handlers are then not found: write `use that_crate as _;`, or give them to
//! [`Worker::handler`](crate::Worker::handler).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::context::JobContext;
use crate::cron::Cron;
use crate::error::{JobError, JobResult, PayloadFault, QueueError, WorkerError};
use crate::identifier::JobName;
use crate::job::{Job, JobSettings};
use crate::resource::{ResourceKey, Resources};

/// Does the jobs of one type. Implemented by `#[job_handler]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job handler",
    label = "not a job handler",
    note = "a handler is a fn with `#[job_handler]`: async fn {Self}(job: MyJob, ctx: &JobContext) -> Result<(), MyError>"
)]
pub trait Handler: Send + Sync + 'static {
    /// The job that it does.
    type Job: Job;

    /// The resources that the body takes.
    fn resources() -> Vec<ResourceKey> {
        Vec::new()
    }

    /// Calls the body.
    fn call(job: Self::Job, ctx: JobContext, resources: Resources)
    -> BoxFuture<'static, JobResult>;
}

/// A handler that a linked crate declares.
#[derive(Clone, Copy)]
pub struct Registration {
    declare: fn() -> Declared,
    module: &'static str,
}

impl Registration {
    /// The registration of `H`, declared in `module`.
    pub const fn of<H: Handler>(module: &'static str) -> Self {
        Self {
            declare: Declared::of::<H>,
            module,
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registration")
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

inventory::collect!(Registration);

/// A schedule that a linked crate declares with its job.
#[derive(Clone, Copy)]
pub struct CronRegistration {
    job: &'static str,
    declare: fn() -> Cron,
}

impl CronRegistration {
    /// The schedule of the jobs called `job`.
    pub const fn new(job: &'static str, declare: fn() -> Cron) -> Self {
        Self { job, declare }
    }
}

impl fmt::Debug for CronRegistration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CronRegistration")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

inventory::collect!(CronRegistration);

/// The linked schedules of the jobs that `handlers` do.
pub(crate) fn linked_crons(handlers: &Handlers) -> Vec<Cron> {
    inventory::iter::<CronRegistration>
        .into_iter()
        .filter(|registration| handlers.by_name.contains_key(registration.job))
        .map(|registration| (registration.declare)())
        .collect()
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its payload does not fit the type of its job.
    Undecodable(PayloadFault),
    /// What the body said.
    Job(JobError),
}

type Call = Arc<
    dyn Fn(Vec<u8>, JobContext, Resources) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync,
>;

/// A handler, its types forgotten.
#[derive(Clone)]
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    pub(crate) settings: JobSettings,
    resources: Vec<ResourceKey>,
    call: Call,
}

impl Declared {
    fn of<H: Handler>() -> Self {
        Self::new::<H::Job>(
            H::resources(),
            Arc::new(|payload, ctx, resources| {
                Box::pin(async move {
                    let job = decode::<H::Job>(&payload)?;
                    H::call(job, ctx, resources).await.map_err(Failure::Job)
                })
            }),
        )
    }

    /// The handler that calls `body`.
    pub(crate) fn of_fn<J, F, B>(body: F) -> Self
    where
        J: Job,
        F: Fn(J, JobContext) -> B + Send + Sync + 'static,
        B: Future<Output = JobResult> + Send + 'static,
    {
        let body = Arc::new(body);
        Self::new::<J>(
            Vec::new(),
            Arc::new(move |payload, ctx, _| {
                let body = Arc::clone(&body);
                Box::pin(async move {
                    let running = body(decode::<J>(&payload)?, ctx);
                    running.await.map_err(Failure::Job)
                })
            }),
        )
    }

    fn new<J: Job>(resources: Vec<ResourceKey>, call: Call) -> Self {
        Self {
            name: J::NAME,
            settings: J::SETTINGS,
            resources,
            call,
        }
    }

    /// Runs the body on a payload. Nothing happens before the future is polled.
    pub(crate) fn call(
        &self,
        payload: Vec<u8>,
        ctx: JobContext,
        resources: Resources,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        let call = Arc::clone(&self.call);
        Box::pin(async move { call(payload, ctx, resources).await })
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Declared").field(&self.name).finish()
    }
}

fn decode<J: Job>(payload: &[u8]) -> Result<J, Failure> {
    serde_json::from_slice(payload)
        .map_err(|error| Failure::Undecodable(PayloadFault::read(&error)))
}

/// The handlers of a worker, while it is being built.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlersBuilder {
    given: Vec<Declared>,
    without_linked: bool,
    pub(crate) resources: Resources,
}

impl HandlersBuilder {
    pub(crate) fn add<H: Handler>(&mut self) {
        self.given.push(Declared::of::<H>());
    }

    pub(crate) fn add_declared(&mut self, declared: Declared) {
        self.given.push(declared);
    }

    pub(crate) fn leave_linked_out(&mut self) {
        self.without_linked = true;
    }

    /// Checks that each job has one handler, and that its resources are there. One that was given goes
    /// before a linked one.
    pub(crate) fn build(self) -> Result<Handlers, WorkerError> {
        const GIVEN: &str = "the handlers that the worker was given";
        let mut found: BTreeMap<&'static str, (Declared, &'static str)> = BTreeMap::new();
        let linked = inventory::iter::<Registration>.into_iter();
        let linked = linked.map(|registration| ((registration.declare)(), registration.module));
        let given_names: Vec<&str> = self.given.iter().map(|declared| declared.name).collect();
        let linked: Vec<_> = linked
            .filter(|(declared, _)| !self.without_linked && !given_names.contains(&declared.name))
            .collect();
        let given = self.given.into_iter().map(|declared| (declared, GIVEN));
        for (declared, module) in given.chain(linked) {
            JobName::new(declared.name).map_err(QueueError::from)?;
            let missing = declared
                .resources
                .iter()
                .find(|resource| !self.resources.contains(**resource));
            if let Some(resource) = missing {
                return Err(WorkerError::MissingResource {
                    job: declared.name.to_owned(),
                    resource: resource.type_name(),
                });
            }
            let name = declared.name;
            if let Some((_, first)) = found.insert(name, (declared, module)) {
                return Err(WorkerError::Duplicate {
                    job: name.to_owned(),
                    first,
                    second: module,
                });
            }
        }
        if found.is_empty() {
            return Err(WorkerError::NoHandlers);
        }
        Ok(Handlers {
            by_name: found
                .into_iter()
                .map(|(name, (declared, _))| (name, declared))
                .collect(),
            resources: self.resources,
        })
    }
}

/// The handlers of a worker by the names of their jobs, and what they use.
#[derive(Debug, Clone)]
pub(crate) struct Handlers {
    by_name: BTreeMap<&'static str, Declared>,
    pub(crate) resources: Resources,
}

impl Handlers {
    pub(crate) fn find(&self, name: &JobName) -> Option<&Declared> {
        self.by_name.get(name.as_str())
    }

    /// The queues that the jobs are put in by their types, each once.
    pub(crate) fn queues(&self) -> Vec<&'static str> {
        let mut queues: Vec<_> = self
            .by_name
            .values()
            .map(|declared| declared.settings.queue)
            .collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }
}
