// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a run could not be started.

use std::time::Duration;

use forktex_db::DbError;

use super::TopologyChanged;
use crate::identifier::{InstanceId, InvalidName, Namespace, Version, WorkflowName};
use crate::state::StateError;
use crate::state::payload::PayloadError;

/// Why a run could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No such workflow is registered.
    #[error(
        "workflow `{name}` is not registered ({registered} are){nearest}; if its crate is only a \
         dependency, add `use that_crate as _;`",
        nearest = similar_workflow(.nearest.as_ref())
    )]
    UnknownWorkflow {
        /// The name as given.
        name: String,
        /// How many workflows are registered.
        registered: usize,
        /// The registered name nearest to it.
        nearest: Option<WorkflowName>,
    },
    /// The workflow is registered, but not in this version.
    #[error("workflow `{name}` has no version {version}; registered are {versions:?}")]
    UnknownVersion {
        /// The workflow.
        name: WorkflowName,
        /// The version asked for.
        version: Version,
        /// The registered ones.
        versions: Vec<Version>,
    },
    /// The state does not fit the workflow.
    #[error("cannot start workflow `{workflow}`: the state does not fit it: {error}")]
    State {
        /// The workflow.
        workflow: WorkflowName,
        /// What does not fit.
        error: StateError,
    },
    /// The state or the metadata cannot be stored.
    #[error("cannot start workflow `{workflow}`: its {part}: {error}")]
    Payload {
        /// The workflow.
        workflow: WorkflowName,
        /// `state` or `metadata`.
        part: &'static str,
        /// Why.
        error: PayloadError,
    },
    /// The metadata is not a JSON object.
    #[error("cannot start workflow `{workflow}`: the metadata must be a JSON object")]
    Metadata {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The idempotency key is empty, longer than 200 characters, or holds a NUL.
    #[error(
        "cannot start workflow `{workflow}`: the idempotency key must have 1 to 200 characters and no NUL"
    )]
    IdempotencyKey {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The namespace uses as much as it may.
    #[error(
        "cannot start workflow `{workflow}`: namespace `{namespace}` may have {max} {what}{}",
        .retry_after.map_or_else(String::new, |delay| format!("; try again in {delay:?}"))
    )]
    QuotaExceeded {
        /// The workflow.
        workflow: WorkflowName,
        /// The namespace.
        namespace: Namespace,
        /// `living runs` or `starts a minute`.
        what: &'static str,
        /// How many it may have.
        max: u64,
        /// When another start may be made, where that is known.
        retry_after: Option<Duration>,
    },
    /// The deadline is out of its range.
    #[error("cannot start workflow `{workflow}`: the deadline must be from 1 ms to 3650 days")]
    Deadline {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The namespace is not well formed.
    #[error("cannot start workflow `{workflow}`: {error}")]
    Namespace {
        /// The workflow.
        workflow: WorkflowName,
        /// The rule.
        error: InvalidName,
    },
    /// The idempotency key belongs to a run with another input.
    #[error(
        "idempotency key `{key}` of workflow `{workflow}` belongs to run {existing}, which was \
         started with another state or version; use another key"
    )]
    Conflict {
        /// The workflow.
        workflow: WorkflowName,
        /// The namespace.
        namespace: Namespace,
        /// The key.
        key: String,
        /// The run that has it.
        existing: InstanceId,
    },
    /// The workflow's definition differs from the one that the database has for this version.
    #[error(transparent)]
    Topology(#[from] TopologyChanged),
    /// The flow was closed.
    #[error("cannot start workflow `{workflow}`: the flow is closed")]
    Closed {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The database could not do it. Where the error says that the outcome is unknown, the run may
    /// have been started: start it again with an idempotency key to be sure of one.
    #[error("cannot start workflow `{workflow}`: {error}")]
    Database {
        /// The workflow.
        workflow: WorkflowName,
        /// Why.
        error: DbError,
    },
}

fn similar_workflow(nearest: Option<&WorkflowName>) -> String {
    nearest.map_or_else(String::new, |name| format!("; a similar name is `{name}`"))
}
