// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How many jobs of one key may run at a time, and how many may start in a time.
//!
//! A limit is carried by the job and looked at in the claim itself, so that no worker takes a job that
//! may not run. Which numbers apply is the business of the job that is looked at: two jobs with one key
//! and different numbers each go by their own.

use std::time::Duration;

use crate::duration::{IntoDuration, InvalidDuration, positive};
use crate::error::QueueError;
use crate::identifier::KEY_BYTES_MAX;

/// The most starts that a rate may name: the times of so many are kept for each key.
pub const RATE_COUNT_MAX: u32 = 10_000;

/// A limit on the jobs of one key, within one queue.
///
/// # Examples
/// ```
/// use forktex_queue::Limit;
///
/// // Three at a time, and a hundred starts in any minute.
/// let limit = Limit::new("stripe").concurrency(3).rate(100, "1m");
/// # let _ = limit;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a limit does nothing until it is given to a job"]
pub struct Limit {
    pub(crate) key: String,
    /// At least 1.
    pub(crate) concurrency: Option<u32>,
    pub(crate) rate: Option<Rate>,
    /// What was wrong with a duration that was given.
    fault: Option<InvalidDuration>,
}

/// At most `count` starts in any time of length `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// From 1 to [`RATE_COUNT_MAX`].
    pub(crate) count: u32,
    /// At least a millisecond.
    pub(crate) per: Duration,
}

impl Limit {
    /// A limit on the jobs with this key: 1 to 200 bytes. It limits nothing until a number is given.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            concurrency: None,
            rate: None,
            fault: None,
        }
    }

    /// At most `count` jobs of the key run at a time; at least 1. One that is over it is held until
    /// another ends or loses its lease.
    pub fn concurrency(mut self, count: u32) -> Self {
        self.concurrency = Some(count);
        self
    }

    /// At most `count` jobs of the key start in any time of length `per`, wherever that begins; retries
    /// count. From 1 to [`RATE_COUNT_MAX`], and at least a millisecond. One that is over it is scheduled
    /// for when it may start.
    pub fn rate(mut self, count: u32, per: impl IntoDuration) -> Self {
        match positive(per) {
            Ok(per) => self.rate = Some(Rate { count, per }),
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// Refuses what no backend could hold to.
    pub(crate) fn check(&self) -> Result<(), QueueError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        check_key("limit key", &self.key)?;
        if self.concurrency == Some(0) {
            return Err(QueueError::InvalidOption {
                option: "concurrency",
                reason: "a limit of zero would keep the job forever; pause its queue instead"
                    .into(),
            });
        }
        if let Some(rate) = self.rate {
            if !(1..=RATE_COUNT_MAX).contains(&rate.count) {
                return Err(QueueError::InvalidOption {
                    option: "rate",
                    reason: format!("it counts from 1 to {RATE_COUNT_MAX}, not {}", rate.count)
                        .into(),
                });
            }
            if rate.per < Duration::from_millis(1) {
                return Err(QueueError::InvalidOption {
                    option: "rate",
                    reason: "its time is at least 1 ms".into(),
                });
            }
        }
        Ok(())
    }
}

/// Refuses a key that no backend could keep.
pub(crate) fn check_key(option: &'static str, key: &str) -> Result<(), QueueError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\0') {
        return Err(QueueError::InvalidOption {
            option,
            reason: format!("it has 1 to {KEY_BYTES_MAX} bytes, none of them NUL").into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_could_not_be_kept_are_refused() {
        assert!(
            Limit::new("k")
                .concurrency(1)
                .rate(1, "1ms")
                .check()
                .is_ok()
        );
        for limit in [
            Limit::new("").concurrency(1),
            Limit::new("x".repeat(201)).concurrency(1),
            Limit::new("a\0b").concurrency(1),
            Limit::new("k").concurrency(0),
            Limit::new("k").rate(0, "1m"),
            Limit::new("k").rate(RATE_COUNT_MAX + 1, "1m"),
            Limit::new("k").rate(1, "0s"),
            Limit::new("k").rate(1, "soon"),
            Limit::new("k").rate(1, Duration::from_nanos(1)),
        ] {
            assert!(limit.check().is_err(), "{limit:?}");
        }
    }
}
