// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A run as data: what callers see of it, and the journal that it is rebuilt from.

pub mod event;
pub mod journal;
pub mod list;
pub mod migration;
pub(crate) mod outcome;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::error::failure::{RunFailure, StepFailure};
use crate::identifier::{InstanceId, Namespace, NodeName, Version, WorkflowName};
use crate::state::delta::Delta;

/// How far a run has come. The last three are terminal, which is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Accepted; no worker has taken it yet.
    Pending,
    /// Taken by a worker at least once. What it waits for, if anything, is in
    /// [`Instance::waiting_on`].
    Running,
    /// Every node is done.
    Completed,
    /// Ended by a failure, kept in [`Instance::failure`].
    Failed,
    /// Ended by a request.
    Cancelled,
}

impl InstanceStatus {
    /// Whether nothing can change any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Running,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a run that is not running a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitingOn {
    /// A free slot of a worker that has its workflow and version.
    Worker,
    /// The time of the next attempt, by the database's clock.
    Retry {
        /// When it is due.
        #[serde(with = "time::serde::rfc3339")]
        due_at: OffsetDateTime,
    },
    /// A time, by the database's clock.
    Timer {
        /// When it comes.
        #[serde(with = "time::serde::rfc3339")]
        due_at: OffsetDateTime,
    },
    /// A signal of one of these names, or a time if that comes first.
    Signal {
        /// The names.
        names: Vec<String>,
        /// When it goes on without one.
        #[serde(with = "time::serde::rfc3339::option")]
        due_at: Option<OffsetDateTime>,
    },
    /// The end of runs that it spawned.
    Child {
        /// How many are to end before it goes on.
        remaining: u32,
    },
    /// Its turn among the runs that were spawned together, of which only so many may live at once.
    Turn,
    /// To be resumed; it was paused.
    Pause,
    /// A worker that has its workflow in its version, can read its state, and has the key where it is
    /// sealed. No worker that lives can take it.
    CompatibleWorker,
}

/// What became of a node at one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeStatus {
    /// Its update is committed.
    Completed,
    /// Its condition was false.
    Skipped,
    /// Its last attempt failed and another is to come.
    Retrying,
    /// Its last attempt failed and there is none left.
    Failed,
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
        })
    }
}

/// The record of one visit of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeRecord {
    /// The node.
    pub name: NodeName,
    /// Which visit, from 1.
    pub visit: u32,
    /// How many attempts were made; 0 for a skipped node.
    pub attempt: u32,
    /// What became of it.
    pub status: NodeStatus,
    /// How long the last attempt took, by the worker's monotonic clock.
    pub duration: Duration,
    /// What it changed.
    pub delta: Option<Delta>,
    /// The failure of the last failed attempt, kept when a later one succeeds.
    pub error: Option<StepFailure>,
    /// By which way the run left the node, in a graph: what the router behind it answered, or the
    /// signal (`on email.verified`) or time (`after a time`) that came first.
    pub branch: Option<String>,
    /// How far it was undone, where its run failed or was cancelled and it has a step for that.
    pub compensation: Option<CompensationRecord>,
    /// When the last attempt was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
}

/// How far a visit of a node was undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompensationRecord {
    /// Completed, retrying, or failed for good.
    pub status: NodeStatus,
    /// How many attempts were made.
    pub attempt: u32,
    /// The failure of the last attempt, if it failed.
    pub error: Option<StepFailure>,
    /// When the last attempt was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
}

/// A run as it was when it was read.
///
/// `S` is the state's type, or `serde_json::Value` where the run was named at run time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Instance<S = Value> {
    /// The run.
    pub instance_id: InstanceId,
    /// Its workflow.
    pub workflow_name: WorkflowName,
    /// The version that it is pinned to.
    pub version: Version,
    /// Its namespace; empty for the platform's own.
    pub namespace: Namespace,
    /// How far it has come.
    pub status: InstanceStatus,
    /// What it waits for, if it is neither running a step nor ended.
    pub waiting_on: Option<WaitingOn>,
    /// The input with the update of every completed node merged in.
    pub state: S,
    /// The state that it was started with.
    pub input: Value,
    /// What the starter noted.
    pub metadata: Map<String, Value>,
    /// The nodes that run or wait now.
    pub current_nodes: Vec<NodeName>,
    /// Every visit of a node, in order.
    pub nodes: Vec<NodeRecord>,
    /// What started it: `manual` for a call.
    pub triggered_by: String,
    /// The run that spawned it.
    pub parent_id: Option<InstanceId>,
    /// The run that it retries.
    pub retry_of: Option<InstanceId>,
    /// When it was accepted, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When a worker first took it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub failure: Option<RunFailure>,
    /// Why it was cancelled, in the words of who asked.
    pub cancel_reason: Option<String>,
}

impl<S> Instance<S> {
    /// The record of the latest visit of a node.
    pub fn node(&self, name: &str) -> Option<&NodeRecord> {
        self.nodes
            .iter()
            .rev()
            .find(|record| record.name.as_str() == name)
    }

    /// The nodes that the run has come through, in order: each visit that completed or was skipped.
    ///
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # async fn example(run: Run) -> Result<(), FlowError> {
    /// let done = run.wait().await?;
    /// assert_eq!(done.path(), ["provision", "configure", "health_check"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn path(&self) -> Vec<&str> {
        let is_past = |record: &&NodeRecord| {
            matches!(record.status, NodeStatus::Completed | NodeStatus::Skipped)
        };
        let past = self.nodes.iter().filter(is_past);
        past.map(|record| record.name.as_str()).collect()
    }

    /// The same run with its state converted.
    pub(crate) fn try_map_state<T, E>(
        self,
        convert: impl FnOnce(S) -> Result<T, E>,
    ) -> Result<Instance<T>, E> {
        Ok(Instance {
            state: convert(self.state)?,
            instance_id: self.instance_id,
            workflow_name: self.workflow_name,
            version: self.version,
            namespace: self.namespace,
            status: self.status,
            waiting_on: self.waiting_on,
            input: self.input,
            metadata: self.metadata,
            current_nodes: self.current_nodes,
            nodes: self.nodes,
            triggered_by: self.triggered_by,
            parent_id: self.parent_id,
            retry_of: self.retry_of,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            failure: self.failure,
            cancel_reason: self.cancel_reason,
        })
    }
}
