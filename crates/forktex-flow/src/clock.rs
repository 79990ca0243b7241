// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store's clock, carried forward between two readings.
//!
//! The worker's own clock decides nothing: it may be an hour off. Only the time that has passed since
//! a reading is measured here, by the monotonic clock; of a store whose clock is a virtual one, not
//! even that.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// How long an owner may take to end a cancelled run by default.
pub const GRACE_PERIOD_DEFAULT: Duration = Duration::from_secs(30);

/// The clock that all deadlines go by.
#[derive(Clone)]
pub(crate) enum StoreClock {
    /// A reading of the database's clock and when it was taken.
    Carried {
        reading: OffsetDateTime,
        taken_at: Instant,
    },
    /// One that is read at no cost.
    Virtual(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>),
}

impl StoreClock {
    /// A database's clock that was just read.
    pub(crate) fn read(reading: OffsetDateTime) -> Self {
        Self::Carried {
            reading,
            taken_at: Instant::now(),
        }
    }

    /// The time now; that of a database is late by at most the time that the reading took to arrive.
    pub(crate) fn now(&self) -> OffsetDateTime {
        match self {
            Self::Carried { reading, taken_at } => *reading + taken_at.elapsed(),
            Self::Virtual(now) => now(),
        }
    }
}

impl fmt::Debug for StoreClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoreClock({})", self.now())
    }
}
