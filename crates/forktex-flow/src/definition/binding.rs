// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is bound to a node: its body, its condition, its retry policy and its resources.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::route::{Choice, Route as _};
use super::topology::{GraphNode, MAX_VISITS_DEFAULT};
use crate::ctx::Ctx;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::signal::{MergesInto, Signal};
use crate::state::State;
use crate::state::delta::Delta;
use crate::state::erased::AnyState;
use crate::step::retry::RetryPolicy;
use crate::step::{ResourceKey, Resources, Step};

type Body = dyn Fn(Ctx, AnyState, Resources) -> BoxFuture<'static, Result<Delta, StepFailure>>
    + Send
    + Sync;
type SignalUpdate = dyn Fn(Value) -> Result<Delta, StepFailure> + Send + Sync;
type Choose = dyn Fn(&AnyState) -> Result<&'static str, StepFailure> + Send + Sync;
type Condition = dyn Fn(&AnyState) -> Result<bool, StepFailure> + Send + Sync;

/// What runs at a node, whatever the type of its state.
#[derive(Clone)]
pub(crate) struct Binding {
    pub(crate) body: Arc<Body>,
    pub(crate) condition: Option<Arc<Condition>>,
    pub(crate) router: Option<Router>,
    /// The signals that are waited for behind the node.
    pub(crate) signals: Vec<SignalBinding>,
    /// The fields that the step declares to write, by their names in Rust.
    pub(crate) writes: Option<&'static [&'static str]>,
    pub(crate) retry: RetryPolicy,
    pub(crate) resources: Vec<ResourceKey>,
    /// What undoes the node.
    pub(crate) compensation: Option<Compensation>,
}

/// What undoes a node when its run fails, or is cancelled so: a step with retries of its own.
#[derive(Clone)]
pub(crate) struct Compensation {
    pub(crate) body: Arc<Body>,
    pub(crate) retry: RetryPolicy,
}

/// A step that undoes another one, on states of type `S`.
pub struct Undo<S> {
    compensation: Compensation,
    resources: Vec<ResourceKey>,
    state: std::marker::PhantomData<fn(S)>,
}

impl<S: State> Undo<S> {
    /// The step `T`, with its retry policy.
    pub fn of<T: Step<S>>() -> Self {
        Self {
            compensation: Compensation {
                body: body::<S, T>(),
                retry: T::retry(),
            },
            resources: T::resources(),
            state: std::marker::PhantomData,
        }
    }
}

impl<S> std::fmt::Debug for Undo<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Undo")
    }
}

fn body<S: State, T: Step<S>>() -> Arc<Body> {
    Arc::new(
        |ctx: Ctx, state: AnyState, resources: Resources| -> BoxFuture<'static, _> {
            Box::pin(async move {
                let state = state.downcast::<S>().ok_or_else(wrong_state)?;
                let update = T::call(ctx, state, resources)
                    .await
                    .map_err(crate::error::StepError::into_failure)?;
                S::encode(update)
                    .map_err(|error| StepFailure::new(StepFailureKind::Payload, &error.to_string()))
            })
        },
    )
}

/// A signal that an edge waits for, and what its payload does to the state.
#[derive(Clone)]
pub(crate) struct SignalBinding {
    pub(crate) name: String,
    pub(crate) update: Arc<SignalUpdate>,
}

impl SignalBinding {
    /// A signal whose payload becomes an update of the state.
    pub(crate) fn of<S: State, G: Signal + MergesInto<S>>() -> Self {
        let update = |payload: Value| {
            let signal: G = serde_json::from_value(payload)
                .map_err(|error| StepFailure::new(StepFailureKind::Payload, &error.to_string()))?;
            S::encode(signal.into_update())
                .map_err(|error| StepFailure::new(StepFailureKind::Payload, &error.to_string()))
        };
        Self {
            name: G::NAME.to_owned(),
            update: Arc::new(update),
        }
    }
}

/// What decides where a run goes on from a node.
#[derive(Clone)]
pub(crate) struct Router {
    /// Every answer that there may be.
    pub(crate) branches: &'static [&'static str],
    pub(crate) choose: Arc<Choose>,
}

impl Router {
    pub(crate) fn new<S: State, C: Choice>(
        choose: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> Self {
        Self {
            branches: C::Route::BRANCHES,
            choose: Arc::new(move |state: &AnyState| {
                let state = state.downcast::<S>().ok_or_else(wrong_state)?;
                choose(&state).choose().map(|route| route.branch())
            }),
        }
    }
}

/// A node of a workflow on states of type `S`: a step with a name and, if wanted, a condition.
pub struct Node<S> {
    pub(crate) name: String,
    pub(crate) binding: Binding,
    pub(crate) max_visits: Option<u32>,
    state: std::marker::PhantomData<fn(S)>,
}

impl<S: State> Node<S> {
    /// A node that runs the step `T` and has its name.
    pub fn of<T: Step<S>>() -> Self {
        let binding = Binding {
            body: body::<S, T>(),
            condition: None,
            router: None,
            signals: Vec::new(),
            writes: T::WRITES,
            retry: T::retry(),
            resources: T::resources(),
            compensation: None,
        };
        let node = Self {
            name: T::NAME.to_owned(),
            binding,
            max_visits: None,
            state: std::marker::PhantomData,
        };
        match T::compensation() {
            Some(undo) => node.compensate(undo),
            None => node,
        }
    }

    /// Undoes the node with another step when the run fails later, or is cancelled with
    /// [`Cancel::compensate`](crate::Cancel::compensate). The undo steps of all that was done run in the
    /// reverse order of its completion, each with the state as it is then and with retries of its own;
    /// one that fails for good is recorded, and the rest go on. Meanwhile the run is running.
    ///
    /// Only a visit that completed is undone: a body that failed midway is to leave nothing behind, or
    /// to be idempotent.
    pub fn compensate(mut self, undo: Undo<S>) -> Self {
        self.binding.resources.extend(undo.resources);
        self.binding.compensation = Some(undo.compensation);
        self
    }

    /// Gives the node another name than its step's.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Runs the node only where `condition` holds; otherwise it is recorded as skipped and the state
    /// passes unchanged. The answer is recorded, so it is not asked again after a crash.
    ///
    /// The condition returns a `bool` or a `Result<bool, E>`. One that errs or panics fails the run.
    pub fn when<D: Decision>(
        mut self,
        condition: impl Fn(&S) -> D + Send + Sync + 'static,
    ) -> Self {
        self.binding.condition = Some(Arc::new(move |state: &AnyState| {
            let state = state.downcast::<S>().ok_or_else(wrong_state)?;
            condition(&state).decide()
        }));
        self
    }

    /// How often a run may come to the node, from 1 to
    /// [`MAX_VISITS_LIMIT`](super::topology::MAX_VISITS_LIMIT); one more fails the run. By
    /// default what the graph says.
    pub fn max_visits(mut self, visits: u32) -> Self {
        self.max_visits = Some(visits);
        self
    }

    /// The node as the topology has it, and what is bound to it.
    pub(crate) fn into_parts(self) -> (GraphNode, Binding) {
        let node = GraphNode {
            conditional: self.binding.condition.is_some(),
            max_visits: self.max_visits.unwrap_or(MAX_VISITS_DEFAULT),
            compensated: self.binding.compensation.is_some(),
            ..GraphNode::new(self.name)
        };
        (node, self.binding)
    }

    /// Replaces the step's number of attempts, the first time included: from 1 to 1,000.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.binding.retry.max_attempts = max_attempts;
        self
    }

    /// Replaces the step's delays between attempts; the last repeats.
    pub fn backoff(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.binding.retry.backoff = Some(delays.into_iter().collect());
        self
    }

    /// Replaces how long one attempt of the step may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.binding.retry.timeout = Some(timeout);
        self
    }

    /// Replaces how long an attempt of the step may go on without
    /// [`Ctx::heartbeat`](crate::Ctx::heartbeat).
    pub fn heartbeat(mut self, limit: Duration) -> Self {
        self.binding.retry.heartbeat = Some(limit);
        self
    }

    /// Replaces the retry policy of the step.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.binding.retry = policy;
        self
    }
}

fn wrong_state() -> StepFailure {
    StepFailure::new(
        StepFailureKind::Fatal,
        "the run's state is of another type than the node's",
    )
}

impl<S> std::fmt::Debug for Node<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Node")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a condition returns: `bool` or `Result<bool, E>`.
#[diagnostic::on_unimplemented(
    message = "a condition cannot return `{Self}`",
    label = "return `bool` or `Result<bool, E>`"
)]
pub trait Decision {
    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The condition's own error.
    fn decide(self) -> Result<bool, StepFailure>;
}

impl Decision for bool {
    fn decide(self) -> Result<bool, StepFailure> {
        Ok(self)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Decision for Result<bool, E> {
    fn decide(self) -> Result<bool, StepFailure> {
        self.map_err(|error| crate::error::StepError::new(error).into_failure())
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Router")
            .field("branches", &self.branches)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SignalBinding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SignalBinding")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
