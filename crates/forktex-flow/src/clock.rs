// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The database's clock, carried forward between two readings.
//!
//! The worker's own clock decides nothing: it may be an hour off. Only the time that has passed since
//! a reading is measured here, by the monotonic clock.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// How long an owner may take to end a cancelled run by default.
pub const GRACE_PERIOD_DEFAULT: Duration = Duration::from_secs(30);

/// A reading of the database's clock and when it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatabaseClock {
    reading: OffsetDateTime,
    taken_at: Instant,
}

impl DatabaseClock {
    /// A clock that was just read.
    pub(crate) fn read(reading: OffsetDateTime) -> Self {
        Self {
            reading,
            taken_at: Instant::now(),
        }
    }

    /// The database's time now; late by at most the time that the reading took to arrive.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.reading + self.taken_at.elapsed()
    }
}
