// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The errors of what operators do with schedules.

use forktex_db::DbError;

use super::TopologyChanged;
use crate::identifier::{Version, WorkflowName};
use crate::schedule::InvalidSchedule;

/// Why a schedule could not be read, switched or fired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The database has no schedule for this workflow.
    #[error(
        "workflow `{workflow}` has no schedule: give it one with `cron = \"..\"`, and start a driver, which brings it"
    )]
    NotFound {
        /// The workflow as given.
        workflow: String,
    },
    /// The schedule is of a version that is not registered here.
    #[error(
        "cannot fire the schedule of workflow `{workflow}`: it is of version {version}, which is not registered here"
    )]
    AnotherVersion {
        /// The workflow.
        workflow: WorkflowName,
        /// The version of the schedule.
        version: Version,
    },
    /// The expression or time zone in the database cannot be read by this release.
    #[error("cannot read the schedule of workflow `{workflow}`: {error}")]
    Invalid {
        /// The workflow.
        workflow: WorkflowName,
        /// Why.
        error: InvalidSchedule,
    },
    /// The input of the run could not be made.
    #[error("cannot fire the schedule of workflow `{workflow}`: its input: {reason}")]
    Input {
        /// The workflow.
        workflow: WorkflowName,
        /// What the input function says.
        reason: String,
    },
    /// The workflow's definition differs from the one that the database has for this version.
    #[error(transparent)]
    Topology(#[from] TopologyChanged),
    /// Other processes changed the schedule again and again meanwhile; nothing was done.
    #[error("the schedule of workflow `{workflow}` was changed meanwhile; try again")]
    Changed {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The database could not do it.
    #[error("cannot reach the schedules: {0}")]
    Database(#[from] DbError),
}
