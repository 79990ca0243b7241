// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Chance, so that values that were stored together do not end together, nor one value for all at once.

use std::time::Duration;

/// No value is stored for less.
const FRESH_MIN: Duration = Duration::from_millis(1);

/// Whether a value is to be loaded anew now, though it is fresh for `left` more: `XFetch`, by Vattani and
/// others, 2015. The longer a load takes, the sooner it is begun, and the more often a value is read,
/// the surer one of the readers begins in time.
///
/// All in fractions of seconds: in whole ones, a load of some milliseconds would never be begun early.
pub(super) fn is_due(load: Duration, factor: f64, left: Duration) -> bool {
    // Above zero, whose logarithm has no end.
    let random = 1.0 - fastrand::f64();
    is_due_at(random, load, factor, left)
}

fn is_due_at(random: f64, load: Duration, factor: f64, left: Duration) -> bool {
    -load.as_secs_f64() * factor * random.ln() >= left.as_secs_f64()
}

/// A time that is less by up to `share` of it.
pub(super) fn jittered(time: Duration, share: f64) -> Duration {
    time.mul_f64(1.0 - share * fastrand::f64()).max(FRESH_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_of_milliseconds_is_begun_early() {
        let load = Duration::from_millis(20);
        // The logarithm of 0.1 is -2.3: 46 ms before the end.
        assert!(is_due_at(0.1, load, 1.0, Duration::from_millis(46)));
        assert!(!is_due_at(0.1, load, 1.0, Duration::from_millis(47)));
        assert!(is_due_at(0.1, load, 2.0, Duration::from_millis(92)));
        assert!(!is_due_at(1.0, load, 1.0, Duration::from_millis(1)));
    }

    #[test]
    fn it_is_due_as_often_as_it_should_be() {
        const DRAWS: u32 = 20_000;
        let load = Duration::from_millis(20);
        let due = (0..DRAWS).filter(|_| is_due(load, 1.0, load)).count();
        // One in e, give or take five deviations.
        assert!((7_010..=7_700).contains(&due), "{due}");
    }

    #[test]
    fn jitter_takes_at_most_its_share() {
        let time = Duration::from_secs(100);
        for _ in 0..1_000 {
            let jittered = jittered(time, 0.1);
            assert!(
                jittered <= time && jittered >= Duration::from_secs(90),
                "{jittered:?}"
            );
        }
        assert_eq!(jittered(time, 0.0), time);
        assert_eq!(super::jittered(Duration::from_micros(1), 0.5), FRESH_MIN);
    }
}
