// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What moving runs to another version of their workflow came to, or would come to.

use serde::Serialize;
use serde_json::Value;

use crate::identifier::{InstanceId, NodeName};
use crate::state::StateError;
use crate::state::payload::PayloadError;

/// How many runs an outcome names of each kind; the others are only counted.
pub const NAMED_RUNS_MAX: usize = 1_000;

/// How many runs a preview looks at unless another number is asked for.
pub const PREVIEW_RUNS_DEFAULT: u32 = 1_000;

/// After how many bytes of states a preview stops.
pub const PREVIEW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What moving runs to another version came to.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct MigrationOutcome {
    /// How many runs were moved.
    pub moved: u64,
    /// How many were left alone as a worker had them. A run is moved only while it waits: call again
    /// for those that wait by then.
    pub owned: u64,
    /// The first [`NAMED_RUNS_MAX`] of them.
    pub owned_runs: Vec<InstanceId>,
    /// How many could not be moved. They go on as what they were.
    pub refused: u64,
    /// The first [`NAMED_RUNS_MAX`] of them, and why.
    pub refusals: Vec<RefusedRun>,
    /// How many had ended, or were of another version, when their turn came.
    pub passed_over: u64,
}

/// A run that cannot be moved to another version.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RefusedRun {
    /// The run.
    pub instance_id: InstanceId,
    /// Why.
    pub reason: MigrationRefusal,
}

/// What would become of runs; nothing was written.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct MigrationPreview {
    /// The runs that were looked at, the oldest first.
    pub runs: Vec<PreviewedRun>,
    /// Whether these are all: no more than the limit, and no more than [`PREVIEW_BYTES_MAX`] of states.
    pub is_whole: bool,
}

/// What would become of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PreviewedRun {
    /// The run.
    pub instance_id: InstanceId,
    /// What would become of it.
    pub fate: MigrationFate,
}

/// What would become of a run now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MigrationFate {
    /// It would be moved.
    Moves {
        /// The nodes that it stands on, by the names that they have.
        from_nodes: Vec<NodeName>,
        /// The nodes that it would stand on.
        to_nodes: Vec<NodeName>,
        /// The state that it would have, but for updates of parallel nodes that wait for the others.
        state: Value,
    },
    /// A worker has it: it would be left alone.
    Owned,
    /// It cannot be moved.
    Refused(MigrationRefusal),
}

/// Why a run cannot be moved to another version of its workflow. In every case it goes on as what it
/// was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationRefusal {
    /// It stands on a node that the other version has not.
    #[error(
        "it is at node `{node}`, which the other version has not: say with `map_node` what it is called there"
    )]
    NoSuchNode {
        /// The node, by the name that it has.
        node: NodeName,
    },
    /// The nodes that it stands on do not run together in the other version, or are merged in another
    /// order there.
    #[error(
        "it is where {} run together, which are not such a group, in this order, in the other version; it can be moved once it has left them",
        names(.nodes)
    )]
    OtherGroup {
        /// The nodes, by the names that they would have.
        nodes: Vec<NodeName>,
    },
    /// The node that is done is left in another way there: by an edge that does not wait, or without a
    /// router.
    #[error(
        "it waits behind node `{node}`, which is left in another way in the other version: map it to a node whose edges wait for something too"
    )]
    OtherExit {
        /// The node, by the name that it has.
        node: NodeName,
    },
    /// Something that it did is to be undone if it fails, and cannot be in the other version.
    #[error(
        "visit {visit} of node `{node}` is to be undone if the run fails, and the other version has no such node with a compensation: map it to one"
    )]
    NoUndo {
        /// The node, by the name that it has.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
    },
    /// Nodes that run in parallel are done in part, and what they changed cannot be mapped before all
    /// of them are.
    #[error(
        "some of its parallel nodes are done and their updates not merged yet, so that its state cannot be mapped; it can be moved once all of them are done"
    )]
    HalfMerged,
    /// The function that maps states refused this one.
    #[error("its state cannot be mapped: {reason}")]
    StateNotMapped {
        /// What it says.
        reason: String,
    },
    /// Its state is none of the other version.
    #[error("its state does not fit the other version: {error}; map it with `map_state`")]
    State {
        /// What does not fit.
        error: StateError,
    },
    /// Its mapped state cannot be stored.
    #[error("its mapped state cannot be stored: {error}")]
    Payload {
        /// Why.
        error: PayloadError,
    },
    /// All that was left to do is done, and its end is about to be recorded.
    #[error("it is about to end")]
    Ending,
    /// What is stored of it cannot be read here.
    #[error("it cannot be read here: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}

fn names(nodes: &[NodeName]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("`{node}`")).collect();
    names.join(", ")
}

impl MigrationOutcome {
    /// Whether nothing is left to call again for.
    ///
    /// ```
    /// use forktex_flow::migration::MigrationOutcome;
    ///
    /// assert!(MigrationOutcome::default().is_done());
    /// ```
    pub fn is_done(&self) -> bool {
        self.owned == 0 && self.refused == 0
    }

    pub(crate) fn leave_owned(&mut self, instance: InstanceId) {
        self.owned += 1;
        if self.owned_runs.len() < NAMED_RUNS_MAX {
            self.owned_runs.push(instance);
        }
    }

    pub(crate) fn refuse(&mut self, instance_id: InstanceId, reason: MigrationRefusal) {
        self.refused += 1;
        if self.refusals.len() < NAMED_RUNS_MAX {
            self.refusals.push(RefusedRun {
                instance_id,
                reason,
            });
        }
    }
}

impl MigrationPreview {
    /// How many runs would be moved.
    ///
    /// ```
    /// use forktex_flow::migration::MigrationPreview;
    ///
    /// assert_eq!(MigrationPreview::default().moving(), 0);
    /// ```
    pub fn moving(&self) -> usize {
        let moves = |run: &&PreviewedRun| matches!(run.fate, MigrationFate::Moves { .. });
        self.runs.iter().filter(moves).count()
    }
}

/// A shape of a state that differs from the one that was deployed under the same version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StateDrift {
    /// The workflow.
    pub workflow: crate::identifier::WorkflowName,
    /// The version.
    pub version: crate::identifier::Version,
    /// The fields that differ, with their types and reducers: `+` is new in the code, `-` is only in
    /// the database.
    pub difference: String,
}
