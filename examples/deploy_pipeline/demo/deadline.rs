// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The time that the demo has: whoever waits says for what.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// A point in time, and how far away it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.at
    }

    /// Waits for `work`, but no longer than until the deadline.
    pub(super) async fn bound<T>(
        self,
        awaited: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::time::timeout_at(self.at, work)
            .await
            .map_err(|_| self.error(awaited, "nothing was heard".to_owned()))
    }

    pub(super) fn error(self, awaited: &'static str, last_seen: String) -> Error {
        Error::Deadline {
            seconds: self.limit.as_secs(),
            awaited,
            last_seen,
        }
    }
}
