// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a run could not be paused, resumed, retried or forked.

use forktex_db::DbError;

use super::ReadError;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;

/// Why a run could not be paused or resumed. In every case nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// The run has ended.
    #[error("cannot pause or resume run {instance}: it is already {status}")]
    AlreadyTerminal {
        /// The run.
        instance: InstanceId,
        /// How it ended.
        status: InstanceStatus,
    },
    /// There is no such run.
    #[error("cannot pause or resume run {instance}: there is no such run")]
    NotFound {
        /// The run.
        instance: InstanceId,
    },
    /// The database failed.
    #[error("cannot pause or resume run {instance}: {error}")]
    Database {
        /// The run.
        instance: InstanceId,
        /// Its error.
        error: DbError,
    },
}

/// Why a run could not be retried or forked. In every case no run was started, but where the outcome
/// of the database's commit is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// Only a failed run can be retried.
    #[error(
        "cannot retry run {instance}: it is {status}, and only a failed run can be retried; fork it from a node instead"
    )]
    NotFailed {
        /// The run.
        instance: InstanceId,
        /// What it is.
        status: InstanceStatus,
    },
    /// The run never came to the node, or not so often.
    #[error("cannot fork run {instance} from node `{node}`: it has not come to that visit of it")]
    NotVisited {
        /// The run.
        instance: InstanceId,
        /// The node.
        node: String,
    },
    /// The workflow of the run was defined at run time, and is removed.
    #[error(
        "cannot retry or fork run {instance}: its workflow was removed; define it again and start a run"
    )]
    DefinitionGone {
        /// The run.
        instance: InstanceId,
    },
    /// The run cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database failed.
    #[error("cannot fork run {instance}: {error}")]
    Database {
        /// The run.
        instance: InstanceId,
        /// Its error.
        error: DbError,
    },
}
