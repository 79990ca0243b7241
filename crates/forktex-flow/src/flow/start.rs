// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Starting runs: checks what is given, and has it written together with other starts.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use forktex_db::{DbError, Transaction};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};

use super::starter::Start;
use super::{Flow, start_refused};
use crate::compile::CompiledWorkflow;
use crate::definition::Workflow;
use crate::definition::topology::WAIT_RANGE;
use crate::error::StartError;
use crate::handle::Run;
use crate::identifier::{InstanceId, Namespace, Version, WorkflowName, is_key};
use crate::state::{StateError, encode, payload};
use crate::store::definitions::Guarded;
use crate::store::notice::Notice;
use crate::store::{NewRun, Started};
use crate::telemetry;
use crate::worker::{Reservation, STATE_BYTES_MAX};

/// The most bytes that the metadata of a run may have.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// What a start may say besides its workflow and state.
#[derive(Debug, Clone, Default)]
struct StartOptions {
    metadata: Value,
    namespace: String,
    idempotency_key: Option<String>,
    priority: i16,
    deadline: Option<Duration>,
}

macro_rules! start_options {
    () => {
        /// Notes for people and queries, as a JSON object of at most 64 KiB. Steps can read it.
        pub fn metadata(mut self, metadata: Value) -> Self {
            self.options.metadata = metadata;
            self
        }

        /// The tenant or area that the run belongs to.
        pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
            self.options.namespace = namespace.into();
            self
        }

        /// Starts the run at most once under this key, which belongs to the workflow and namespace
        /// for as long as the run is kept: a second start with the same version and state gives the
        /// first run, one with others is a [`StartError::Conflict`].
        pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
            self.options.idempotency_key = Some(key.into());
            self
        }

        /// How long the run may live, by the database's clock: from 1 ms to 3,650 days. It then fails
        /// with [`RunFailure::DeadlineExceeded`](crate::error::failure::RunFailure::DeadlineExceeded),
        /// wherever it is; what it did is undone as after every failure, and that may take longer.
        pub fn deadline(mut self, deadline: Duration) -> Self {
            self.options.deadline = Some(deadline);
            self
        }

        /// Of the runs of its namespace, all workflows together, those of a higher priority are claimed
        /// first; 0 by default. Claims go round the namespaces whatever the priorities, so that none of
        /// a tenant's goes before all of another's.
        pub fn priority(mut self, priority: i16) -> Self {
            self.options.priority = priority;
            self
        }
    };
}

/// Starts a run; made by [`Flow::start`]. Await it.
#[must_use = "nothing is started until this is awaited"]
pub struct StartBuilder<W: Workflow> {
    flow: Flow,
    state: W::State,
    options: StartOptions,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> StartBuilder<W> {
    pub(super) fn new(flow: Flow, state: W::State) -> Self {
        Self {
            flow,
            state,
            options: StartOptions::default(),
            workflow: PhantomData,
        }
    }

    start_options!();
}

impl<W: Workflow> StartBuilder<W> {
    /// Starts the run with the caller's own transaction, which must be one on the flow's database: the
    /// run exists if and only if that commits. It is claimed after the commit. Await what this returns
    /// inside the transaction.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # use forktex_flow::Workflow;
    /// # use forktex_db::{Db, sqlx};
    /// # async fn example<W: Workflow>(db: Db, flow: Flow, workflow: W, state: W::State) -> Result<(), FlowError> {
    /// db.transaction(async |tx| -> Result<(), FlowError> {
    ///     sqlx::query("INSERT INTO shop.order (id) VALUES (1)")
    ///         .execute(tx.connection())
    ///         .await
    ///         .map_err(forktex_db::DbError::from)?;
    ///     flow.start(workflow, state).in_transaction(tx).await?;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn in_transaction(
        self,
        transaction: &mut Transaction,
    ) -> InTransaction<'_, Result<Run<W::State>, StartError>> {
        InTransaction(Box::pin(self.start(Some(transaction))))
    }

    async fn start(
        self,
        transaction: Option<&mut Transaction>,
    ) -> Result<Run<W::State>, StartError> {
        let workflow = Arc::clone(self.flow.0.registry.find(W::NAME, Some(W::VERSION))?);
        let input =
            encode_state::<W>(&self.state).map_err(|error| state_refused(&workflow, error))?;
        let submitted = self
            .flow
            .submit(&workflow, input, self.options, transaction);
        Ok(Run::new(submitted.await?, Arc::clone(&self.flow.0.access)))
    }
}

impl<W: Workflow> IntoFuture for StartBuilder<W> {
    type Output = Result<Run<W::State>, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start(None))
    }
}

/// A start within the caller's transaction. Await it.
#[must_use = "nothing is started until this is awaited"]
pub struct InTransaction<'a, T>(BoxFuture<'a, T>);

impl<T> Future for InTransaction<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for InTransaction<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InTransaction")
    }
}

fn encode_state<W: Workflow>(state: &W::State) -> Result<Value, StateError>
where
    W::State: Serialize,
{
    encode("state", state)
}

/// Starts a run of a workflow named at run time; made by [`Flow::run`]. Await it.
#[must_use = "nothing is started until this is awaited"]
pub struct RunBuilder {
    flow: Flow,
    workflow: String,
    version: Option<Version>,
    state: Value,
    options: StartOptions,
}

impl RunBuilder {
    pub(super) fn new(flow: Flow, workflow: String) -> Self {
        Self {
            flow,
            workflow,
            version: None,
            state: Value::Object(Map::new()),
            options: StartOptions::default(),
        }
    }

    /// The state to start with, as a JSON object. Absent `Option` fields are `None`; absent fields with
    /// the reducers append, union, merge and add begin empty.
    pub fn state(mut self, state: Value) -> Self {
        self.state = state;
        self
    }

    /// The version to run; the newest that is registered here by default.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    start_options!();
}

impl RunBuilder {
    /// Starts the run with the caller's own transaction, as
    /// [`StartBuilder::in_transaction`] does.
    pub fn in_transaction(
        self,
        transaction: &mut Transaction,
    ) -> InTransaction<'_, Result<Run, StartError>> {
        InTransaction(Box::pin(self.start(Some(transaction))))
    }

    async fn start(self, transaction: Option<&mut Transaction>) -> Result<Run, StartError> {
        let workflow = self.flow.resolve(&self).await?;
        // Through the state's own type, so that what is stored is what its steps will read.
        let state = workflow.codec.decode(self.state);
        let input = state.and_then(|state| workflow.codec.encode(&state));
        let input = input.map_err(|error| state_refused(&workflow, error))?;
        let submitted = self
            .flow
            .submit(&workflow, input, self.options, transaction);
        Ok(Run::new(submitted.await?, Arc::clone(&self.flow.0.access)))
    }
}

impl IntoFuture for RunBuilder {
    type Output = Result<Run, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start(None))
    }
}

fn state_refused(workflow: &CompiledWorkflow, error: StateError) -> StartError {
    StartError::State {
        workflow: workflow.name.clone(),
        error,
    }
}

impl Flow {
    /// What a start by name means: in a namespace what is defined there goes before.
    async fn resolve(&self, run: &RunBuilder) -> Result<Arc<CompiledWorkflow>, StartError> {
        if let Ok(namespace) = Namespace::new(&run.options.namespace)
            && !namespace.as_str().is_empty()
        {
            let (catalog, store) = (&self.0.catalog, &*self.0.store);
            let find = || catalog.find_runtime(&namespace, &run.workflow, run.version);
            let database = |error| StartError::Database {
                workflow: WorkflowName::unchecked("unknown"),
                error,
            };
            catalog.refresh_if_stale(store).await.map_err(database)?;
            if let Some((_, workflow)) = find() {
                return Ok(workflow);
            }
            if self.0.registry.find(&run.workflow, run.version).is_err() {
                // It may have been defined a moment ago.
                catalog.refresh(store).await.map_err(database)?;
                if let Some((_, workflow)) = find() {
                    return Ok(workflow);
                }
            }
        }
        Ok(Arc::clone(
            self.0.registry.find(&run.workflow, run.version)?,
        ))
    }

    /// Starts a run that is counted, or whose definition may go.
    async fn start_guarded(
        &self,
        run: &NewRun,
        is_runtime: bool,
        transaction: Option<&mut Transaction>,
    ) -> Result<Guarded, DbError> {
        let store = &self.0.store;
        match transaction {
            Some(transaction) => store.start_guarded_in(transaction, run, is_runtime).await,
            None => store.start_guarded(run, is_runtime).await,
        }
    }

    async fn submit(
        &self,
        workflow: &CompiledWorkflow,
        input: Value,
        options: StartOptions,
        mut transaction: Option<&mut Transaction>,
    ) -> Result<InstanceId, StartError> {
        let checked = Checked::of(workflow, &input, options)?;
        // A process without a driver hears of limits here. Beside a transaction it may have no other
        // connection to ask on.
        if !checked.namespace.as_str().is_empty() && transaction.is_none() {
            let refreshed = self.0.catalog.refresh_if_stale(&*self.0.store).await;
            refreshed.map_err(|error| StartError::Database {
                workflow: workflow.name.clone(),
                error,
            })?;
        }
        let runtime = self.0.catalog.find_runtime(
            &checked.namespace,
            workflow.name.as_str(),
            Some(workflow.version),
        );
        let definition_id = match &runtime {
            Some((definition_id, _)) => *definition_id,
            None => self
                .definition(workflow)
                .await
                .map_err(|refused| start_refused(&workflow.name, refused))?,
        };
        let is_guarded = runtime.is_some() || self.0.catalog.is_limited(&checked.namespace);
        let instance_id = InstanceId::generate();
        // A key may be taken: such a run is not born claimed, as it may not be born at all.
        // Nor is one whose transaction may yet roll back.
        let reservation = match (&checked.idempotency_key, self.local_worker(), &transaction) {
            (None, Some(worker), None) if !is_guarded => worker.reserve(instance_id),
            _ => None,
        };
        let run = NewRun {
            instance_id,
            definition_id,
            namespace: checked.namespace.clone(),
            workflow_name: workflow.name.clone(),
            version: workflow.version,
            input,
            metadata: checked.metadata,
            triggered_by: "manual".to_owned(),
            idempotency_key: checked.idempotency_key.clone(),
            priority: checked.priority,
            worker_id: reservation.as_ref().map(Reservation::worker_id),
            deadline: checked.deadline,
            birth: None,
        };
        let outcome = match transaction.as_deref_mut() {
            transaction if is_guarded => {
                let guarded = self.start_guarded(&run, runtime.is_some(), transaction);
                Some(match guarded.await {
                    Ok(guarded) => started(guarded, workflow, &checked.namespace)?,
                    Err(error) => Err(error),
                })
            }
            None => self.0.starter.submit(Start { run, reservation }).await,
            Some(transaction) => Some(self.0.store.start_in(transaction, &run).await),
        };
        let is_claimed = matches!(outcome, Some(Ok(Started::Claimed { .. })));
        if is_claimed || matches!(outcome, Some(Ok(Started::Ready))) {
            let (flow, name) = (self.clone(), workflow.name.clone());
            let accepted = move || {
                telemetry::runs_started(&name, "manual", 1);
                if !is_claimed {
                    flow.wake_workers();
                }
            };
            match transaction {
                // Until then it is neither there nor to be claimed.
                Some(transaction) => transaction.after_commit(async move { accepted() }),
                None => accepted(),
            }
        }
        match outcome {
            Some(Ok(Started::Claimed { .. } | Started::Ready)) => Ok(instance_id),
            Some(Ok(Started::Existing {
                instance_id,
                is_same: true,
            })) => Ok(instance_id),
            Some(Ok(Started::Existing {
                instance_id,
                is_same: false,
            })) => Err(StartError::Conflict {
                workflow: workflow.name.clone(),
                namespace: checked.namespace,
                key: checked.idempotency_key.unwrap_or_default(),
                existing: instance_id,
            }),
            Some(Ok(Started::Incomparable { error }) | Err(error)) => Err(StartError::Database {
                workflow: workflow.name.clone(),
                error,
            }),
            None => Err(StartError::Closed {
                workflow: workflow.name.clone(),
            }),
        }
    }

    pub(super) fn wake_workers(&self) {
        match self.local_worker() {
            Some(worker) => worker.wake(),
            None => self.0.background.notices().send(Notice::Ready),
        }
    }
}

/// What became of a start that was looked at before.
fn started(
    guarded: Guarded,
    workflow: &CompiledWorkflow,
    namespace: &Namespace,
) -> Result<Result<Started, DbError>, StartError> {
    let exceeded = |what, max, retry_after| StartError::QuotaExceeded {
        workflow: workflow.name.clone(),
        namespace: namespace.clone(),
        what,
        max,
        retry_after,
    };
    match guarded {
        Guarded::Started(started) => Ok(Ok(started)),
        Guarded::Gone => Err(StartError::UnknownVersion {
            name: workflow.name.clone(),
            version: workflow.version,
            versions: Vec::new(),
        }),
        Guarded::TooManyActive { max } => Err(exceeded("living runs", max, None)),
        Guarded::TooManyStarts { max, retry_after } => {
            Err(exceeded("starts a minute", max, Some(retry_after)))
        }
    }
}

/// What a start says, checked.
struct Checked {
    metadata: Map<String, Value>,
    namespace: Namespace,
    idempotency_key: Option<String>,
    priority: i16,
    deadline: Option<Duration>,
}

impl Checked {
    fn of(
        workflow: &CompiledWorkflow,
        input: &Value,
        options: StartOptions,
    ) -> Result<Self, StartError> {
        let name = &workflow.name;
        let refused = |part| {
            move |error| StartError::Payload {
                workflow: name.clone(),
                part,
                error,
            }
        };
        payload::check(input, STATE_BYTES_MAX).map_err(refused("state"))?;
        payload::check(&options.metadata, METADATA_BYTES_MAX).map_err(refused("metadata"))?;
        let metadata = match options.metadata {
            Value::Null => Map::new(),
            Value::Object(metadata) => metadata,
            _ => {
                return Err(StartError::Metadata {
                    workflow: name.clone(),
                });
            }
        };
        let namespace =
            Namespace::new(&options.namespace).map_err(|error| StartError::Namespace {
                workflow: name.clone(),
                error,
            })?;
        if !options.idempotency_key.as_deref().is_none_or(is_key) {
            return Err(StartError::IdempotencyKey {
                workflow: name.clone(),
            });
        }
        if !options
            .deadline
            .is_none_or(|deadline| WAIT_RANGE.contains(&deadline))
        {
            return Err(StartError::Deadline {
                workflow: name.clone(),
            });
        }
        Ok(Self {
            deadline: options.deadline,
            metadata,
            namespace,
            idempotency_key: options.idempotency_key,
            priority: options.priority,
        })
    }
}
