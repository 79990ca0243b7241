// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! When a failed attempt is followed by another.
//!
//! The delay is computed here and counted by the database's clock; nothing here reads a clock.

use std::time::Duration;

/// The attempts of a step by default.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 3;

/// The most attempts that a step may be given.
pub const MAX_ATTEMPTS_LIMIT: u32 = 1_000;

/// The delays by default: half a minute, two minutes, five minutes; the last repeats.
pub const BACKOFF_DEFAULT: &[Duration] = &[
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(5),
];

/// The longest delay or timeout that a step may be given: 30 days.
pub const DURATION_LIMIT: Duration = Duration::from_hours(30 * 24);

/// How a step is retried and how long an attempt may take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often the body is run at most, the first time included.
    pub max_attempts: u32,
    /// The delay after the first, second, .. failed attempt; the last repeats. `None` stands for
    /// [`BACKOFF_DEFAULT`] with ±20 % jitter; a list given here is never cut short: its jitter only
    /// adds, up to 20 %.
    pub backoff: Option<Vec<Duration>>,
    /// How long one attempt may take; `None` for as long as it wants.
    pub timeout: Option<Duration>,
    /// How long an attempt may go on without [`Ctx::heartbeat`](crate::Ctx::heartbeat); `None` for as
    /// long as it wants.
    pub heartbeat: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            backoff: None,
            timeout: None,
            heartbeat: None,
        }
    }
}

impl RetryPolicy {
    /// The same policy, and a limit to how long an attempt may go on without
    /// [`Ctx::heartbeat`](crate::Ctx::heartbeat): longer than zero, at most [`DURATION_LIMIT`].
    #[must_use]
    pub fn with_heartbeat(mut self, limit: Duration) -> Self {
        self.heartbeat = Some(limit);
        self
    }

    /// The delay before the next attempt, after `failed_attempts` failed ones, or `None` when there
    /// is none left. `jitter` is a random number from 0 to 1.
    pub(crate) fn delay_after(&self, failed_attempts: u32, jitter: f64) -> Option<Duration> {
        if failed_attempts >= self.max_attempts {
            return None;
        }
        let (delays, lowest_factor, width) = match &self.backoff {
            Some(delays) => (delays.as_slice(), 1.0, 0.2),
            None => (BACKOFF_DEFAULT, 0.8, 0.4),
        };
        let position = (failed_attempts.max(1) as usize - 1).min(delays.len().saturating_sub(1));
        let delay = delays.get(position).copied().unwrap_or_default();
        Some(delay.mul_f64(lowest_factor + width * jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_list_the_last_delay_repeats() {
        let policy = RetryPolicy {
            max_attempts: 6,
            backoff: Some(vec![Duration::from_secs(10), Duration::from_mins(1)]),
            timeout: None,
            heartbeat: None,
        };
        let delays: Vec<_> = (1..=6)
            .map(|failed| policy.delay_after(failed, 0.0))
            .collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(
            delays,
            [
                seconds(10),
                seconds(60),
                seconds(60),
                seconds(60),
                seconds(60),
                None
            ]
        );
    }

    #[test]
    fn jitter_never_cuts_a_given_delay_short() {
        let policy = RetryPolicy {
            backoff: Some(vec![Duration::from_secs(5)]),
            ..RetryPolicy::default()
        };
        assert_eq!(policy.delay_after(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(policy.delay_after(1, 1.0), Some(Duration::from_secs(6)));
    }

    #[test]
    fn the_default_delays_spread_around_their_middle() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay_after(1, 0.0), Some(Duration::from_secs(24)));
        assert_eq!(policy.delay_after(1, 1.0), Some(Duration::from_secs(36)));
        assert_eq!(policy.delay_after(3, 0.5), None);
    }
}
