// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that a step spawns, and waits for without holding a slot.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Ctx;
use super::call::{Ask, Calls, Reply, Spawn, diverged};
use super::durable::key_of;
use super::spawn::SpawnCall;
use crate::definition::Workflow;
use crate::error::failure::{RunFailure, StepFailure, StepFailureKind};
use crate::error::{StepError, StepResult};
use crate::identifier::{InstanceId, Version};
use crate::instance::journal::Answer;
use crate::instance::outcome::Outcome;
use crate::state::encode;

/// The most runs that one [`Ctx::map`] spawns.
pub const CHILDREN_MAX: usize = 10_000;

/// A run that a step spawned, with the type of its state. Serialises as the run's identifier, so that
/// it can be kept in a state.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Child<S = Value> {
    instance_id: InstanceId,
    #[serde(skip)]
    state: PhantomData<fn() -> S>,
}

impl<S> Child<S> {
    /// The run.
    pub fn id(&self) -> InstanceId {
        self.instance_id
    }
}

impl<S> From<InstanceId> for Child<S> {
    fn from(instance_id: InstanceId) -> Self {
        Self {
            instance_id,
            state: PhantomData,
        }
    }
}

impl<S> Clone for Child<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Child<S> {}

impl<S> fmt::Debug for Child<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Child({})", self.instance_id)
    }
}

/// Why a run that was waited for has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildFailure {
    /// It failed.
    Failed {
        /// The run.
        child: InstanceId,
        /// Why.
        failure: RunFailure,
    },
    /// It was cancelled.
    Cancelled {
        /// The run.
        child: InstanceId,
        /// Why, in the words of who asked.
        reason: String,
    },
    /// It has not ended: another failed before, and that was enough.
    Unfinished {
        /// The run.
        child: InstanceId,
    },
    /// There is no such run.
    Gone {
        /// The run.
        child: InstanceId,
    },
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { child, failure } => write!(formatter, "run {child} failed: {failure}"),
            Self::Cancelled { child, reason } => {
                write!(formatter, "run {child} was cancelled: {reason}")
            }
            Self::Unfinished { child } => write!(formatter, "run {child} did not finish"),
            Self::Gone { child } => write!(formatter, "there is no run {child}"),
        }
    }
}

impl std::error::Error for ChildFailure {}

impl Ctx {
    /// Starts a run of another workflow, as a child of this one: in the same namespace, and cancelled
    /// with it. It exists if and only if the call is recorded: one transaction. It goes on when this
    /// run ends otherwise.
    ///
    /// # Examples
    /// ```
    /// use forktex_flow::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct Region {
    ///     name: String,
    ///     endpoint: Option<String>,
    /// }
    ///
    /// #[step]
    /// async fn deploy(_ctx: &Ctx, state: &Region) -> StepResult<RegionUpdate> {
    ///     Ok(Region::update().endpoint(format!("https://{}.example.org", state.name)))
    /// }
    ///
    /// #[pipeline(name = "cloud.region", version = 1, state = Region, steps = [deploy])]
    /// struct DeployRegion;
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct World {
    ///     regions: Vec<String>,
    ///     #[reduce(append)]
    ///     endpoints: Vec<String>,
    /// }
    ///
    /// #[step]
    /// async fn everywhere(ctx: &Ctx, state: &World) -> StepResult<WorldUpdate> {
    ///     let first = Region { name: "eu".into(), endpoint: None };
    ///     let first = ctx.spawn(DeployRegion, first).await?;
    ///     let first = ctx.wait(first).await?;
    ///
    ///     let others = state.regions.iter().map(|name| Region { name: name.clone(), endpoint: None });
    ///     let others = ctx.map(DeployRegion, others).concurrency(10).await?;
    ///     let all = others.into_iter().chain([first]);
    ///     Ok(World::update().endpoints(all.filter_map(|region| region.endpoint)))
    /// }
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a unit struct that names the workflow"
    )]
    pub fn spawn<W: Workflow>(&self, workflow: W, state: W::State) -> SpawnCall<'_, W::State> {
        let _ = workflow;
        let input = encode("state", &state).map_err(StepError::fatal);
        SpawnCall::new(self, W::NAME.to_owned(), Some(W::VERSION), input)
    }

    /// As [`spawn`](Self::spawn), for a workflow that is known by its name, in its newest version that
    /// the worker knows.
    pub fn spawn_named(&self, workflow: impl Into<String>, state: Value) -> SpawnCall<'_> {
        SpawnCall::new(self, workflow.into(), None, Ok(state))
    }

    /// Waits until a run that was spawned has ended, and returns its state. Gives up the slot as
    /// [`sleep`](Self::sleep) does.
    pub fn wait<S>(&self, child: impl Into<Child<S>>) -> WaitCall<'_, S> {
        WaitCall {
            ctx: self,
            child: child.into(),
            respawns: false,
        }
    }

    /// Starts a run of a workflow for each state, and waits for all: at most 10,000. The results come
    /// in the order of the states. Children that wait for their turn are rows; one that ends makes room
    /// for the next without this run being woken.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a unit struct that names the workflow"
    )]
    pub fn map<W: Workflow>(
        &self,
        workflow: W,
        states: impl IntoIterator<Item = W::State>,
    ) -> MapCall<'_, W::State> {
        let _ = workflow;
        let inputs = states
            .into_iter()
            .map(|state| encode("state", &state).map_err(StepError::fatal))
            .collect();
        MapCall::new(self, W::NAME.to_owned(), Some(W::VERSION), inputs)
    }

    /// As [`map`](Self::map), for a workflow that is known by its name.
    pub fn map_named(
        &self,
        workflow: impl Into<String>,
        states: impl IntoIterator<Item = Value>,
    ) -> MapCall<'_> {
        MapCall::new(
            self,
            workflow.into(),
            None,
            Ok(states.into_iter().collect()),
        )
    }

    pub(super) fn live_calls(&self) -> StepResult<&Calls> {
        self.calls.as_ref().ok_or_else(|| {
            StepError::fatal("a test context spawns no runs: test the step with a flow in memory")
        })
    }
}

pub(super) async fn spawned(calls: &Calls, key: &str, spawn: Spawn) -> StepResult<Vec<InstanceId>> {
    match calls.ask(key, Ask::Spawn(spawn)).await? {
        Reply::Answer(Answer::Children(children)) => Ok(children),
        _ => Err(diverged(key, "it is one of another kind of call")),
    }
}

/// The key under which it is noted that a child failed and another is to take its place.
pub(super) fn replaced(child: InstanceId) -> String {
    format!("replaced {child}")
}

/// Waits for a child; made by [`Ctx::wait`]. Await it.
#[must_use = "nothing is waited for until this is awaited"]
pub struct WaitCall<'a, S = Value> {
    ctx: &'a Ctx,
    child: Child<S>,
    respawns: bool,
}

impl<S> WaitCall<'_, S> {
    /// Where the child failed, has the step's next attempt spawn another in its place. Without this a
    /// child that failed fails the step for good.
    pub fn respawn(mut self) -> Self {
        self.respawns = true;
        self
    }
}

impl<'a, S: DeserializeOwned + Send + 'static> IntoFuture for WaitCall<'a, S> {
    type Output = StepResult<S>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let calls = self.ctx.live_calls()?;
            let child = self.child.id();
            let results = outcomes(calls, vec![child], false).await?;
            let result = results.into_iter().next();
            match result.unwrap_or(Err(ChildFailure::Gone { child })) {
                Ok(state) => decoded(state),
                Err(failure) if self.respawns => {
                    let noted = Ask::Record(Answer::Once(Value::Bool(true)));
                    calls.ask(&replaced(child), noted).await?;
                    Err(StepError::new(failure))
                }
                Err(failure) => Err(child_failed(&failure)),
            }
        })
    }
}

/// Starts and waits for children; made by [`Ctx::map`]. Await it, or [`settle`](Self::settle) it.
#[must_use = "nothing is spawned until this is awaited"]
pub struct MapCall<'a, S = Value> {
    ctx: &'a Ctx,
    workflow: String,
    version: Option<Version>,
    inputs: StepResult<Vec<Value>>,
    metadata: Map<String, Value>,
    concurrency: Option<usize>,
    fails_fast: bool,
    key: Option<String>,
    state: PhantomData<fn() -> S>,
}

impl<'a, S: DeserializeOwned + Send + 'static> MapCall<'a, S> {
    fn new(
        ctx: &'a Ctx,
        workflow: String,
        version: Option<Version>,
        inputs: StepResult<Vec<Value>>,
    ) -> Self {
        Self {
            ctx,
            workflow,
            version,
            inputs,
            metadata: Map::new(),
            concurrency: None,
            fails_fast: true,
            key: None,
            state: PhantomData,
        }
    }

    /// Names the children within the node. By default their workflow, their states, and the place of
    /// the call among equal ones do.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Notes for people and queries on each child.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// How many of the children may live at once; at least 1, and all by default.
    pub fn concurrency(mut self, children: usize) -> Self {
        self.concurrency = Some(children.max(1));
        self
    }

    /// Whether the first child that does not complete has the others cancelled, which is the default,
    /// or all are waited for.
    pub fn fail_fast(mut self, fails_fast: bool) -> Self {
        self.fails_fast = fails_fast;
        self
    }

    /// Waits for all children, however they end, and returns what became of each.
    ///
    /// # Errors
    /// Fatal where a state does not encode or decode, or there are more than 10,000.
    pub async fn settle(mut self) -> StepResult<Vec<Result<S, ChildFailure>>> {
        self.fails_fast = false;
        let results = self.run().await?;
        results
            .into_iter()
            .map(|result| match result {
                Ok(state) => decoded(state).map(Ok),
                Err(failure) => Ok(Err(failure)),
            })
            .collect()
    }

    async fn run(self) -> StepResult<Vec<Result<Value, ChildFailure>>> {
        let inputs = self.inputs?;
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        if inputs.len() > CHILDREN_MAX {
            return Err(StepError::fatal(format!(
                "cannot spawn {} runs of `{}` at once: {CHILDREN_MAX} are possible",
                inputs.len(),
                self.workflow
            )));
        }
        let calls = self.ctx.live_calls()?;
        let key = key_of(self.key.as_deref(), calls, "map", &self.workflow, &inputs)?;
        let count = inputs.len();
        let spawn = Spawn {
            workflow: self.workflow,
            version: self.version,
            concurrency: self.concurrency.unwrap_or(count),
            metadata: self.metadata,
            inputs,
        };
        let children = spawned(calls, &key, spawn).await?;
        if children.len() != count {
            return Err(diverged(&key, "it spawned another number of runs"));
        }
        outcomes(calls, children, self.fails_fast).await
    }
}

impl<'a, S: DeserializeOwned + Send + 'static> IntoFuture for MapCall<'a, S> {
    type Output = StepResult<Vec<S>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let results = self.run().await?;
            // The one that failed tells more than those that were cancelled for it.
            let is_cause = |failure: &&ChildFailure| matches!(failure, ChildFailure::Failed { .. });
            let failures = || results.iter().filter_map(|result| result.as_ref().err());
            if let Some(failure) = failures().find(is_cause).or_else(|| failures().next()) {
                return Err(child_failed(failure));
            }
            results.into_iter().flatten().map(decoded).collect()
        })
    }
}

async fn outcomes(
    calls: &Calls,
    children: Vec<InstanceId>,
    fails_fast: bool,
) -> StepResult<Vec<Result<Value, ChildFailure>>> {
    let ask = Ask::Outcomes {
        children: children.clone(),
        fails_fast,
    };
    let Reply::Outcomes(outcomes) = calls.ask("", ask).await? else {
        return Err(diverged("wait", "it is one of another kind of call"));
    };
    let results = children.into_iter().zip(outcomes);
    Ok(results
        .map(|(child, outcome)| match outcome {
            Outcome::Completed { state } => Ok(state),
            Outcome::Failed { failure } => Err(ChildFailure::Failed { child, failure }),
            Outcome::Cancelled { reason } => Err(ChildFailure::Cancelled { child, reason }),
            Outcome::Alive => Err(ChildFailure::Unfinished { child }),
            Outcome::Gone => Err(ChildFailure::Gone { child }),
        })
        .collect())
}

fn child_failed(failure: &ChildFailure) -> StepError {
    StepError::from_failure(StepFailure::new(
        StepFailureKind::ChildFailed,
        &failure.to_string(),
    ))
}

fn decoded<S: DeserializeOwned>(state: Value) -> StepResult<S> {
    serde_json::from_value(state).map_err(StepError::fatal)
}

macro_rules! debug_call {
    ($($name:ident: $call:ident => $what:expr;)*) => {$(
        impl<S> fmt::Debug for $name<'_, S> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $call = self;
                write!(formatter, "{}({})", stringify!($name), $what)
            }
        }
    )*};
}

debug_call! {
    SpawnCall: call => call.spawn.workflow;
    WaitCall: call => call.child.id();
    MapCall: call => call.workflow;
}
