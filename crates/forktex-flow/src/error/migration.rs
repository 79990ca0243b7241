// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why runs could not be moved to another version of their workflow.

use forktex_db::DbError;

use super::{StartError, TopologyChanged};
use crate::identifier::{InvalidName, Version};
use crate::instance::migration::MigrationOutcome;

/// Why no runs could be moved to another version, or no more than the ones that were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Both versions must be known here: the one to read the runs, the other to say where they go on.
    #[error("cannot move runs of workflow `{workflow}` from version {from} to {to}: {error}")]
    NotHere {
        /// The workflow as given.
        workflow: String,
        /// The version that the runs are of.
        from: Version,
        /// The version that they are to move to.
        to: Version,
        /// Which is missing.
        error: Box<StartError>,
    },
    /// The two versions are the same.
    #[error("cannot move runs of workflow `{workflow}` from version {version} to itself")]
    SameVersion {
        /// The workflow as given.
        workflow: String,
        /// The version.
        version: Version,
    },
    /// A mapping names a node that its version has not.
    #[error(
        "cannot move runs of workflow `{workflow}`: version {version} has no node `{node}`{}",
        .nearest.as_ref().map_or_else(String::new, |name| format!("; a node with a similar name is `{name}`"))
    )]
    UnknownNode {
        /// The workflow as given.
        workflow: String,
        /// The version.
        version: Version,
        /// The name as given.
        node: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// Two nodes of the one version would be one of the other.
    #[error(
        "cannot move runs of workflow `{workflow}`: nodes `{first}` and `{second}` would both be `{node}`: map one of them to another node"
    )]
    TwoBecomeOne {
        /// The workflow as given.
        workflow: String,
        /// A node of the version that the runs are of.
        first: String,
        /// Another one, or the same one that is mapped twice.
        second: String,
        /// The node of the version that they are to move to.
        node: String,
    },
    /// The rate is out of its range.
    #[error("cannot move {given} runs a second: from 1 to {max} are allowed")]
    Rate {
        /// The rate as given.
        given: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// The namespace is not well formed.
    #[error(transparent)]
    Namespace(#[from] InvalidName),
    /// The code has another topology than the database for one of the versions.
    #[error(transparent)]
    Topology(#[from] TopologyChanged),
    /// The version that runs were to move to was removed meanwhile.
    #[error(
        "stopped moving runs of workflow `{workflow}` after {}: version {version} was removed", .outcome.moved
    )]
    DefinitionGone {
        /// The workflow as given.
        workflow: String,
        /// The version.
        version: Version,
        /// What was done until then.
        outcome: Box<MigrationOutcome>,
    },
    /// The database failed before any run was moved.
    #[error("cannot move runs: {0}")]
    Database(#[from] DbError),
    /// The database failed. Each run is what it was or has moved whole; calling again goes on.
    #[error("stopped moving runs of workflow `{workflow}` after {}: {error}", .outcome.moved)]
    Stopped {
        /// The workflow as given.
        workflow: String,
        /// What was done until then.
        outcome: Box<MigrationOutcome>,
        /// Its error.
        error: DbError,
    },
}
