// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What became of a run, as the run that spawned it is told.

use serde_json::Value;

use crate::error::failure::RunFailure;

/// What became of a run that another spawned.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// It has not ended.
    Alive,
    Completed {
        state: Value,
    },
    Failed {
        failure: RunFailure,
    },
    Cancelled {
        reason: String,
    },
    /// There is no such run.
    Gone,
}

impl Outcome {
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self, Self::Alive)
    }

    /// Whether it has ended and did not complete.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Self::Alive | Self::Completed { .. })
    }
}
