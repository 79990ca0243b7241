// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What operations return when they fail: one enum a family of operations, joined by [`FlowError`].
//!
//! Suspension and cancellation are outcomes, not errors, and are not here; recorded outcomes are in
//! [`failure`].

mod control;
mod definition;
pub mod failure;
mod migration;
mod query;
mod schedule;
mod signal;
mod start;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use forktex_db::DbError;

use crate::identifier::{InstanceId, InvalidName, Version, WorkflowName};
use crate::instance::{Instance, InstanceStatus};
use crate::schedule::InvalidSchedule;
use crate::state::StateError;
pub use control::{ForkError, PauseError};
pub use definition::DefinitionError;
pub use migration::MigrationError;
pub use query::QueryError;
pub use schedule::ScheduleError;
pub use signal::SignalError;
pub use start::StartError;

use failure::{StepFailure, StepFailureKind, with_causes};

/// What a step returns: its update, or the error of this attempt.
pub type StepResult<T> = Result<T, StepError>;

/// The error of one attempt of a step.
///
/// Every error type converts into it by `?` and is then retried as the step's options say. An error
/// that no retry can mend is made with [`StepError::fatal`]. It does not implement
/// [`std::error::Error`] itself, as the conversion would then be ambiguous.
pub struct StepError(StepFailure);

impl StepError {
    /// An error that is retried.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StepFailure::new(
            StepFailureKind::Error,
            &with_causes(&*error.into()),
        ))
    }

    /// An error that is not retried: the run fails at once.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    ///
    /// fn check(amount: i64) -> StepResult<()> {
    ///     if amount < 0 {
    ///         return Err(StepError::fatal("the amount is negative"));
    ///     }
    ///     Ok(())
    /// }
    /// # assert!(check(-1).is_err());
    /// ```
    pub fn fatal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StepFailure::new(
            StepFailureKind::Fatal,
            &with_causes(&*error.into()),
        ))
    }

    /// Whether another attempt may be made.
    pub fn is_fatal(&self) -> bool {
        !self.0.kind.is_retryable()
    }

    pub(crate) fn from_failure(failure: StepFailure) -> Self {
        Self(failure)
    }

    pub(crate) fn into_failure(self) -> StepFailure {
        self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionFault {
    /// A name is not well formed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Its schedule cannot be used.
    #[error("its schedule: {0}")]
    Schedule(#[from] InvalidSchedule),
    /// The version is 0.
    #[error("the version is 0: write 1 or more")]
    VersionZero,
    /// There is no node.
    #[error("it has no nodes: add at least one step")]
    Empty,
    /// A `parallel` has no member.
    #[error("a parallel group has no nodes: add at least one")]
    EmptyParallel,
    /// Two nodes have one name.
    #[error(
        "two nodes are called `{node}`: give one of them another name with `step(.., name = \"..\")`"
    )]
    DuplicateNode {
        /// The name.
        node: String,
    },
    /// An edge names a node that is not declared.
    #[error("an edge names `{node}`, which is not a node{}", similar(.nearest.as_deref()))]
    UnknownNode {
        /// The name as written.
        node: String,
        /// The nearest declared name.
        nearest: Option<String>,
    },
    /// A node has two ways out that are always taken.
    #[error("node `{node}` has more than one edge out: keep one")]
    SeveralExits {
        /// The node.
        node: String,
    },
    /// A node cannot be reached from the start.
    #[error("nothing reaches node `{node}`: add an edge to it or remove it")]
    Unreachable {
        /// The node.
        node: String,
    },
    /// A node has no way out.
    #[error("node `{node}` has no way out: add an edge to another node or to END")]
    DeadEnd {
        /// The node.
        node: String,
    },
    /// A node can be left, but no way from it leads to the end.
    #[error(
        "from node `{node}` no way leads to END: add one, such as a branch of a conditional edge"
    )]
    Endless {
        /// The node.
        node: String,
    },
    /// An edge leads out of the end.
    #[error("an edge leads out of END: a run that comes there is over")]
    EdgeOutOfEnd,
    /// An edge leads into the start.
    #[error("an edge leads into START: name the first node instead")]
    EdgeIntoStart,
    /// A router stands at the start.
    #[error("a conditional edge leaves START: begin with a node, and let the edge leave that")]
    RouterAtStart,
    /// An answer of a router has no target.
    #[error(
        "the router of node `{node}` may answer `{branch}`, which leads nowhere: name a node or END for it"
    )]
    MissingBranch {
        /// The node.
        node: String,
        /// The answer.
        branch: String,
    },
    /// An answer of a router has several targets.
    #[error("the answer `{branch}` of the router of node `{node}` has several targets: keep one")]
    SeveralTargets {
        /// The node.
        node: String,
        /// The answer.
        branch: String,
    },
    /// An edge that waits leaves the start.
    #[error("an edge that waits leaves START: begin with a node, and let the edge leave that")]
    WaitAtStart,
    /// Two nodes that run in parallel declare to write one field.
    #[error(
        "the parallel nodes `{first}` and `{second}` both write `{field}`: give that field a reducer, or let one of them write it"
    )]
    SharedWrite {
        /// The field, by its name in Rust.
        field: String,
        /// The node that is declared first.
        first: String,
        /// The other node.
        second: String,
    },
    /// Two edges out of a node wait for the same.
    #[error("two edges out of node `{node}` wait {wait}: keep one")]
    DuplicateWait {
        /// The node.
        node: String,
        /// What they wait for.
        wait: String,
    },
    /// An edge waits for too short or too long a time.
    #[error("an edge out of node `{node}` waits {wait}: the time must be from 1 ms to 3650 days")]
    WaitOutOfRange {
        /// The node.
        node: String,
        /// What it waits for.
        wait: String,
    },
    /// A limit of visits is out of its range.
    #[error("max_visits of node `{node}` must be from 1 to {limit}")]
    MaxVisits {
        /// The node.
        node: String,
        /// The most that is allowed.
        limit: u32,
    },
    /// A retry policy is out of its range.
    #[error("the retry options of node `{node}` are out of range: {rule}")]
    Retry {
        /// The node.
        node: String,
        /// The rule.
        rule: &'static str,
    },
}

fn similar(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| {
        format!("; a node with a similar name is `{name}`")
    })
}

/// Something that keeps a [`Flow`](crate::Flow) from being built. All that is found is reported at
/// once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// A workflow's definition has a fault.
    #[error("workflow `{workflow}` version {version}: {fault}")]
    Definition {
        /// The workflow.
        workflow: String,
        /// Its version.
        version: Version,
        /// What is wrong.
        fault: DefinitionFault,
    },
    /// A step template has no valid name.
    #[error("step template: {0}")]
    TemplateName(InvalidName),
    /// Two step templates have one name.
    #[error("the step template `{name}` is offered more than once, in {}: give one another name", .modules.join(" and "))]
    DuplicateTemplate {
        /// The name.
        name: &'static str,
        /// The modules that offer it.
        modules: [&'static str; 2],
    },
    /// Two declarations have one name and version.
    #[error("workflow `{workflow}` version {version} is declared more than once, in {modules}: give one another name or version", modules = .modules.join(" and "))]
    Duplicate {
        /// The workflow.
        workflow: WorkflowName,
        /// The version.
        version: Version,
        /// The modules of the declarations.
        modules: Vec<&'static str>,
    },
    /// A step needs a resource that the Flow was not given.
    #[error(
        "node `{node}` of workflow `{workflow}` needs a `{resource}`: pass one with `.resource(..)` on the builder"
    )]
    MissingResource {
        /// The workflow.
        workflow: WorkflowName,
        /// The node.
        node: String,
        /// The resource's type.
        resource: &'static str,
    },
}

/// Why a [`Flow`](crate::Flow) could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The declarations and the given resources do not fit together.
    #[error("cannot build the flow: {}", list(.0))]
    Faults(Vec<BuildFault>),
    /// An option is out of its range.
    #[error("cannot build the flow: option `{option}` {rule}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The database cannot be used.
    #[error("cannot build the flow: {0}")]
    Database(#[from] DbError),
}

fn list(faults: &[BuildFault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The code has another topology than the database for the same workflow and version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "workflow `{workflow}` version {version} was deployed with another topology ({difference}); \
     give the changed one a new version"
)]
#[non_exhaustive]
pub struct TopologyChanged {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The version.
    pub version: Version,
    /// The nodes and edges that differ: `+` is new in the code, `-` is only in the database.
    pub difference: String,
}

/// Why the driver could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A driver of this flow runs already.
    #[error("the driver of this flow is running already; stop it first")]
    AlreadyRunning,
    /// A workflow differs from what was deployed under its version.
    #[error(transparent)]
    Topology(#[from] TopologyChanged),
    /// The database could not do it.
    #[error("the driver cannot reach its tables: {0}")]
    Database(#[from] DbError),
}

/// Why a run could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such run.
    #[error("there is no run {instance}")]
    NotFound {
        /// The identifier as given.
        instance: InstanceId,
    },
    /// The run's state does not decode into the type asked for.
    #[error("the state of run {instance} does not decode here: {error}")]
    State {
        /// The run.
        instance: InstanceId,
        /// What does not fit.
        error: StateError,
    },
    /// What is stored breaks an invariant.
    #[error("run {instance} is corrupt: {reason}")]
    Corrupt {
        /// The run.
        instance: InstanceId,
        /// Which one.
        reason: String,
    },
    /// The database could not do it.
    #[error("cannot read run {instance}: {error}")]
    Database {
        /// The run.
        instance: InstanceId,
        /// Why.
        error: DbError,
    },
}

impl ReadError {
    /// Whether the database was away, so that the same call may succeed later.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Database {
                error: DbError::Unavailable { .. } | DbError::Timeout { .. },
                ..
            }
        )
    }
}

/// Why waiting for a run ended without its outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError<S> {
    /// The time is over; the run goes on. Holds the run as it was then.
    #[error("run {} is still {} after {waited:?}", .snapshot.instance_id, .snapshot.status)]
    Timeout {
        /// The run as last seen.
        snapshot: Box<Instance<S>>,
        /// How long was waited.
        waited: Duration,
    },
    /// The run could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a run could not be cancelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// There is no such run.
    #[error("cannot cancel run {instance}: there is no such run")]
    NotFound {
        /// The identifier as given.
        instance: InstanceId,
    },
    /// The run has ended; nothing was changed.
    #[error("cannot cancel run {instance}: it is already {status}")]
    AlreadyTerminal {
        /// The run.
        instance: InstanceId,
        /// How it ended.
        status: InstanceStatus,
    },
    /// The database could not do it.
    #[error("cannot cancel run {instance}: {error}")]
    Database {
        /// The run.
        instance: InstanceId,
        /// Why.
        error: DbError,
    },
}

/// Any error of this crate, for callers that do not tell them apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// From building a flow.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// From migrating the schema.
    #[error(transparent)]
    Migrate(#[from] forktex_db::MigrateError),
    /// From starting the driver.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// From starting a run.
    #[error(transparent)]
    Start(#[from] StartError),
    /// From reading a run.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// From waiting for a run.
    #[error(transparent)]
    Wait(Box<dyn Error + Send + Sync>),
    /// From cancelling a run.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// From reading, switching or firing a schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// From sending a signal.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// From pausing or resuming a run.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// From defining a workflow at run time.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// From moving runs to another version of their workflow.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// From reading a list of runs, or acting on it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// From retrying or forking a run.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// From the caller's own transaction around calls of the flow.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl<S: fmt::Debug + Send + Sync + 'static> From<WaitError<S>> for FlowError {
    fn from(error: WaitError<S>) -> Self {
        Self::Wait(Box::new(error))
    }
}
