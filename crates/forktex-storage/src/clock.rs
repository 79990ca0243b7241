// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The clock that signatures are dated by: the system's, or one that stands still for tests.

use time::OffsetDateTime;

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Option<OffsetDateTime>);

impl Clock {
    /// The clock of the system.
    pub(crate) fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still.
    pub(crate) fn frozen_at(now: OffsetDateTime) -> Self {
        Self(Some(now))
    }

    /// The time, in UTC.
    pub(crate) fn now(self) -> OffsetDateTime {
        match self.0 {
            Some(now) => now.to_offset(time::UtcOffset::UTC),
            None => OffsetDateTime::now_utc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_frozen_clock_stands_still_in_utc() {
        let clock = Clock::frozen_at(datetime!(2026-01-01 02:00 +2));
        assert_eq!(clock.now(), datetime!(2026-01-01 00:00 UTC));
        assert_eq!(clock.now().offset(), time::UtcOffset::UTC);
    }
}
