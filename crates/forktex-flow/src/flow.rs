// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: builds a flow, starts runs, and starts and stops what runs them.

mod background;
pub(crate) mod builder;
mod define;
mod drift;
mod in_memory;
mod limit;
mod migrate;
mod schedules;
mod start;
mod starter;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use forktex_db::{Db, DbError, MigrateError, MigrationReport};
use serde_json::Value;
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::compile::CompiledWorkflow;
use crate::definition::Workflow;
use crate::definition::drawing::Drawing;
use crate::definition::retention::Retention;
use crate::driver::{Driver, history_pruner};
use crate::error::{DriverError, ReadError, StartError, TopologyChanged};
use crate::handle::{Access, Run, read};
use crate::identifier::{DefinitionId, InstanceId, Version, WorkerId, WorkflowName};
use crate::instance::Instance;
use crate::query::InstanceQuery;
use crate::registry::Registry;
use crate::step::Resources;
use crate::store::postgres::schema;
use crate::store::{Backend, DefinitionRefused, Election, Store};
use crate::worker::fault::Faults;
use crate::worker::{Worker, WorkerHandle, WorkerOptions};
use background::Background;
pub use builder::{DatabaseSource, FlowBuilder};
pub use define::{
    DefineBuilder, Limits, NamespaceHandle, RuntimeDefinition, UndefineBuilder, check_definition,
};
pub use in_memory::{InMemoryBuilder, InMemoryFlow, VirtualClock};
pub use limit::{RunningLimit, RunningLimitHandle};
pub use migrate::MigrateBuilder;
pub use schedules::{ScheduleHandle, ScheduleInfo};
pub use start::{InTransaction, RunBuilder, StartBuilder};
use starter::Starter;

/// Durable workflows in one schema of one Postgres database. Cheap to clone.
///
/// A flow that only starts and reads runs needs no driver; one that runs them needs
/// [`start_driver`](Self::start_driver). Dropping the last clone of a flow stops its driver without
/// draining: what it held is taken over by others after the lease.
#[derive(Clone)]
pub struct Flow(Arc<Inner>);

struct Inner {
    database: Option<Database>,
    schema: String,
    store: Arc<dyn Backend>,
    registry: Arc<Registry>,
    catalog: Arc<Catalog>,
    resources: Resources,
    worker: WorkerOptions,
    election: Election,
    retention: Retention,
    definitions: Mutex<HashMap<(WorkflowName, Version), DefinitionId>>,
    running: tokio::sync::Mutex<Option<Running>>,
    /// The worker of this process, while its driver runs.
    local: Arc<RwLock<Option<WorkerHandle>>>,
    access: Arc<Access>,
    starter: Starter,
    background: Background,
    /// What goes wrong on purpose.
    faults: Option<Arc<Faults>>,
}

impl Drop for Inner {
    /// What announces for a worker reaches the handle of that worker: as long as that is here, neither
    /// would ever be freed, nor what both have of the store.
    fn drop(&mut self) {
        *self.local.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The database of a flow that has one.
struct Database {
    db: Db,
    /// Whether `close` closes the pool.
    is_owned: bool,
}

/// A driver that was started.
struct Running {
    driver: Driver,
    worker: Worker,
}

impl Flow {
    /// A builder for the database at a URL, in a `Db`, or in a pool. A given `Db` or pool is borrowed:
    /// the flow never closes it.
    ///
    /// ```no_run
    /// use forktex_flow::prelude::*;
    ///
    /// # async fn example() -> Result<(), FlowError> {
    /// let flow = Flow::builder("postgres://app:secret@localhost/shop").build().await?;
    /// flow.init().await?;
    /// flow.start_driver().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(database: impl Into<DatabaseSource>) -> FlowBuilder {
        FlowBuilder::new(database.into())
    }

    /// A builder for a flow in memory with a virtual clock, for the tests of a service.
    pub fn in_memory() -> InMemoryBuilder {
        InMemoryBuilder::new()
    }

    /// Brings the schema to the version of this release: idempotent, and safe from many processes at
    /// once. Needs a role that may create the schema; where all is applied, any role may call it. In memory
    /// there is nothing to do.
    ///
    /// # Errors
    /// [`MigrateError`] when an applied migration was changed or the database fails.
    ///
    /// # Cancellation
    /// Cancel-safe: one transaction, applied whole or not at all.
    pub async fn init(&self) -> Result<MigrationReport, MigrateError> {
        let Some(Database { db, .. }) = &self.0.database else {
            return Ok(MigrationReport::default());
        };
        schema::migrate(db, &self.0.schema).await
    }

    /// Starts to claim and run, in the background.
    ///
    /// # Errors
    /// [`DriverError::AlreadyRunning`]; [`DriverError::Topology`] when a workflow differs from what
    /// was deployed under its version; [`DriverError::Database`].
    ///
    /// # Cancellation
    /// A future that is dropped leaves no driver running.
    pub async fn start_driver(&self) -> Result<DriverHandle, DriverError> {
        let mut running = self.0.running.lock().await;
        if running.is_some() {
            return Err(DriverError::AlreadyRunning);
        }
        let workflows = self.bring_definitions().await?;
        self.warn_of_drift(&workflows).await?;
        let schedules = self.bring_schedules(&workflows).await?;
        self.0.catalog.add_linked(workflows);
        self.0.catalog.refresh(&*self.store()).await?;
        let store = self.store();
        let candidate = store.candidate(self.0.election);
        let announcer = self.0.background.announcer(Arc::clone(&self.0.access));
        let worker = Worker::start(
            store,
            self.0.worker.clone(),
            Arc::clone(&self.0.catalog),
            self.0.resources.clone(),
            announcer,
            self.0.faults.clone(),
        )
        .await?;
        let handle = worker.handle();
        let identity = handle.clone();
        let retention = (self.store(), self.0.retention.rules());
        let driver = Driver::start(
            candidate,
            worker.pulses(),
            schedules,
            retention,
            move || identity.worker_id(),
        );
        let leading = driver.leading();
        self.set_local_worker(Some(handle));
        *running = Some(Running { driver, worker });
        Ok(DriverHandle { leading })
    }

    /// Drains and stops: claims no more, lets running steps finish within the drain timeout, and hands
    /// the rest back without using up an attempt. Does nothing where no driver runs.
    ///
    /// # Errors
    /// The database's. The runs are then taken over after the lease.
    ///
    /// # Cancellation
    /// A future that is dropped stops the driver without draining.
    pub async fn stop_driver(&self) -> Result<(), DriverError> {
        let Some(Running { driver, worker }) = self.0.running.lock().await.take() else {
            return Ok(());
        };
        self.set_local_worker(None);
        driver.stop().await;
        Ok(worker.stop().await?)
    }

    /// Stops the driver and closes the pool, if it is the flow's own.
    ///
    /// # Errors
    /// As [`stop_driver`](Self::stop_driver); the pool is closed all the same.
    pub async fn close(&self) -> Result<(), DriverError> {
        let stopped = self.stop_driver().await;
        self.0.background.stop();
        if let Some(Database { db, is_owned: true }) = &self.0.database {
            db.close().await;
        }
        stopped
    }

    /// Starts a run of a workflow that is known by its type. Await the builder.
    ///
    /// The run is durable when the future resolves. One statement, shared with others that start at
    /// the same time; where this process has a free slot, the first step starts at once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a unit struct that names the workflow"
    )]
    pub fn start<W: Workflow>(&self, workflow: W, state: W::State) -> StartBuilder<W> {
        let _ = workflow;
        StartBuilder::new(self.clone(), state)
    }

    /// Starts a run of a workflow that is known by its name. Await the builder.
    pub fn run(&self, workflow: impl Into<String>) -> RunBuilder {
        RunBuilder::new(self.clone(), workflow.into())
    }

    /// A workflow that is registered here.
    ///
    /// # Errors
    /// [`StartError::UnknownWorkflow`], with the nearest name.
    pub fn workflow(&self, name: &str) -> Result<WorkflowHandle, StartError> {
        let newest = self.0.registry.find(name, None)?;
        let versions = self.0.registry.versions(name);
        Ok(WorkflowHandle {
            flow: self.clone(),
            newest: Arc::clone(newest),
            versions,
        })
    }

    /// The workflows that are registered here, by name.
    pub fn workflows(&self) -> Vec<WorkflowName> {
        let mut names: Vec<WorkflowName> = self
            .0
            .registry
            .iter()
            .map(|workflow| workflow.name.clone())
            .collect();
        names.dedup();
        names
    }

    /// Reads a run. Two statements.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn get(&self, instance: InstanceId) -> Result<Instance, ReadError> {
        read(&self.0.access, instance).await
    }

    /// Removes the runs that are older than the flow's [`Retention`] keeps them, now and whoever leads.
    /// Returns how many that were. One transaction for each 200 runs, with short rests.
    ///
    /// # Errors
    /// The database's; what was removed until then stays so.
    ///
    /// # Cancellation
    /// Each run is removed whole or not at all; calling again goes on.
    pub async fn prune(&self) -> Result<u64, DbError> {
        history_pruner::prune(&*self.store(), &self.0.retention.rules()).await
    }

    /// The runs of this schema, to be filtered, paged, counted, summed up, or acted on in bulk.
    pub fn query(&self) -> InstanceQuery {
        InstanceQuery::new(Arc::clone(&self.0.access))
    }

    /// A handle to a run, without looking whether it is there.
    pub fn handle(&self, instance: InstanceId) -> Run {
        Run::new(instance, Arc::clone(&self.0.access))
    }

    async fn definition(
        &self,
        workflow: &crate::compile::CompiledWorkflow,
    ) -> Result<DefinitionId, DefinitionRefused> {
        let key = (workflow.name.clone(), workflow.version);
        let known = self
            .0
            .definitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let id = self.0.store.put_definition(workflow).await?;
        self.0
            .definitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, id);
        Ok(id)
    }

    /// Ends the driver without draining. Returns the worker that is lost by it.
    async fn drop_driver(&self) -> Option<WorkerId> {
        let running = self.0.running.lock().await.take()?;
        self.set_local_worker(None);
        Some(running.worker.handle().worker_id())
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0.store) as Arc<dyn Store>
    }

    fn set_local_worker(&self, worker: Option<WorkerHandle>) {
        *self.0.local.write().unwrap_or_else(PoisonError::into_inner) = worker;
    }

    fn local_worker(&self) -> Option<WorkerHandle> {
        self.0
            .local
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Flow")
            .field("schema", &self.0.schema)
            .field("workflows", &self.0.registry.len())
            .finish_non_exhaustive()
    }
}

/// A driver that runs. Dropping it does nothing: the flow keeps the driver.
#[derive(Debug, Clone)]
pub struct DriverHandle {
    leading: watch::Receiver<bool>,
}

impl DriverHandle {
    /// Whether this process is the leader of its schema, as far as it knows.
    pub fn is_leader(&self) -> bool {
        *self.leading.borrow()
    }

    /// Waits until this process is the leader, or is not any more. Resolves at once where that is so.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn until_leader(&mut self, role: Role) {
        // The channel closes with the driver, which does not lead then.
        let _ = self
            .leading
            .wait_for(|leading| *leading == (role == Role::Leader))
            .await;
    }
}

/// The part that a process plays among the drivers of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does the duties that one process does for all.
    Leader,
    /// It waits for its turn.
    Follower,
}

/// A registered workflow, named at run time.
#[derive(Debug, Clone)]
pub struct WorkflowHandle {
    flow: Flow,
    newest: Arc<CompiledWorkflow>,
    versions: Vec<Version>,
}

impl WorkflowHandle {
    /// Its name.
    pub fn name(&self) -> &WorkflowName {
        &self.newest.name
    }

    /// The versions that are registered here, oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Starts a run of the newest version. Await the builder.
    pub fn start(&self, state: Value) -> RunBuilder {
        self.flow.run(self.name().as_str()).state(state)
    }

    /// The newest version, to be drawn.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::{Flow, FlowError, InstanceId, Run};
    /// # async fn example(flow: Flow, run: Run) -> Result<(), Box<dyn std::error::Error>> {
    /// let deploy = flow.workflow("cloud.deploy.up")?;
    /// println!("{}", deploy.drawing().to_mermaid());
    ///
    /// let run = run.refresh().await?;
    /// if let Some(drawing) = deploy.drawing_of(&run) {
    ///     println!("{}", drawing.to_dot());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn drawing(&self) -> Drawing {
        Drawing::new(Arc::clone(&self.newest.topology))
    }

    /// The version that a run is pinned to, to be drawn with the course of the run in colours. None where
    /// the run is one of another workflow, or its version is not registered here.
    pub fn drawing_of<S>(&self, run: &Instance<S>) -> Option<Drawing> {
        if run.workflow_name != self.newest.name {
            return None;
        }
        let registry = &self.flow.0.registry;
        let workflow = registry
            .find(self.name().as_str(), Some(run.version))
            .ok()?;
        Some(Drawing::new(Arc::clone(&workflow.topology)).with_run(run))
    }
}

/// The refusals of a definition, as a start tells them.
fn start_refused(workflow: &WorkflowName, refused: DefinitionRefused) -> StartError {
    match refused {
        DefinitionRefused::Topology(changed @ TopologyChanged { .. }) => {
            StartError::Topology(changed)
        }
        DefinitionRefused::Database(error) => StartError::Database {
            workflow: workflow.clone(),
            error,
        },
    }
}
