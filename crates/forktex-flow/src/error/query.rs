// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a list of runs could not be read, or acted on.

use forktex_db::{CursorError, DbError};

use super::{CancelError, ForkError, ReadError};
use crate::instance::list::BulkOutcome;

/// Why a list of runs could not be read, or acted on. What was acted on before stays so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The cursor is none of this list.
    #[error("cannot read the page: {0}")]
    Cursor(CursorError),
    /// A filter is not well formed, or cannot be used with this flow.
    #[error("cannot read the runs: filter `{filter}` {rule}")]
    Filter {
        /// The filter.
        filter: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A number is out of its range.
    #[error("cannot read or act on {given} runs at a time: from 1 to {max} are possible")]
    Limit {
        /// The number.
        given: u32,
        /// The most that is possible.
        max: u32,
    },
    /// A run of the list cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// Acting on the list came no further.
    #[error("acted on {} runs of the list, and then: {cause}", .outcome.done)]
    Stopped {
        /// What was done until then.
        outcome: Box<BulkOutcome>,
        /// Why it went no further.
        cause: Box<QueryError>,
    },
    /// A run of the list could not be cancelled.
    #[error(transparent)]
    Cancel(CancelError),
    /// A run of the list could not be retried.
    #[error(transparent)]
    Retry(ForkError),
    /// The database failed.
    #[error("cannot read the runs: {0}")]
    Database(DbError),
}
