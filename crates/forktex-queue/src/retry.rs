// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! When a failed attempt is followed by another.
//!
//! The delay is computed here and counted by the backend's clock; nothing here reads a clock.

use std::time::Duration;

/// The attempts of a job by default.
pub const MAX_ATTEMPTS_DEFAULT: u16 = 3;

/// The most attempts that a job may be given.
pub const MAX_ATTEMPTS_LIMIT: u16 = 1_000;

/// How long an attempt may take by default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// The delays by default: the last repeats.
pub const BACKOFF_DEFAULT: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
];

/// The delay after `failed_attempts` failed ones. `jitter` is a random number from 0 to 1. The default
/// delays are spread by ±20 %; a list that was given is never cut short: its jitter only adds, up to 20 %.
pub(crate) fn delay_after(
    backoff: Option<&[Duration]>,
    failed_attempts: u16,
    jitter: f64,
) -> Duration {
    let (delays, lowest_factor, width) = match backoff {
        Some(delays) => (delays, 1.0, 0.2),
        None => (BACKOFF_DEFAULT, 0.8, 0.4),
    };
    let position = usize::from(failed_attempts.max(1) - 1).min(delays.len().saturating_sub(1));
    let delay = delays.get(position).copied().unwrap_or_default();
    delay.mul_f64(lowest_factor + width * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_list_the_last_delay_repeats() {
        let list = [Duration::from_secs(10), Duration::from_mins(1)];
        let delays: Vec<u64> = (1..=4)
            .map(|failed| delay_after(Some(&list), failed, 0.0).as_secs())
            .collect();
        assert_eq!(delays, [10, 60, 60, 60]);
        assert_eq!(delay_after(Some(&[]), 1, 1.0), Duration::ZERO);
    }

    #[test]
    fn jitter_never_cuts_a_given_delay_short() {
        let list = [Duration::from_secs(5)];
        assert_eq!(delay_after(Some(&list), 1, 0.0), Duration::from_secs(5));
        assert_eq!(delay_after(Some(&list), 1, 1.0), Duration::from_secs(6));
        assert_eq!(delay_after(None, 2, 0.0), Duration::from_secs(8));
        assert_eq!(delay_after(None, 2, 1.0), Duration::from_secs(12));
    }
}
