// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The generic cell rate algorithm, as a bucket that leaks: the same decisions as with an arrival time,
//! and all of it in whole numbers, so that a rate of 7 in a second does not drift.
//!
//! A unit of cost raises the level by the period, and a microsecond lowers it by the rate; it is allowed
//! where the level stays at or under burst times period.

use super::rule::{Call, SLACK_MS, Step, Verdict, Write, packed_pair, unpacked_pair};

pub(super) const SOURCE: &str = include_str!("scripts/gcra.lua");

/// So much in a period, and so much at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct GcraRule {
    pub(super) rate: u64,
    pub(super) period_us: u64,
    pub(super) burst: u64,
}

impl GcraRule {
    /// Mirrors `gcra.lua`.
    pub(super) fn decide(self, stored: &[u8], call: Call) -> Step {
        let Self {
            rate,
            period_us,
            burst,
        } = self;
        let full = burst * period_us;
        let (since, level) = unpacked_pair(stored).unwrap_or((call.now_us, 0));
        // Where the clock went back, nothing has drained, and it drains from now on.
        let behind = since > call.now_us;
        let drained = call.now_us.saturating_sub(since).saturating_mul(rate);
        let level = level.saturating_sub(drained).min(full);

        let (room, needed) = (full - level, call.cost * period_us);
        let allowed = needed <= room;
        let level = if allowed && call.takes {
            level + needed
        } else {
            level
        };
        let reset_us = level.div_ceil(rate);
        let verdict = Verdict {
            allowed,
            remaining: (full - level) / period_us,
            retry_after_us: needed.saturating_sub(room).div_ceil(rate),
            reset_us,
        };
        let writes = call.takes && (allowed || behind);
        let write = writes.then(|| Write {
            value: packed_pair(call.now_us, level),
            lives_ms: reset_us.div_ceil(1_000) + SLACK_MS,
        });
        Step { verdict, write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(cost: u64, now_us: u64) -> Call {
        Call {
            cost,
            takes: true,
            now_us,
        }
    }

    /// In every stretch of time, what was allowed is at most the burst and what the rate gave back.
    #[test]
    fn no_stretch_of_time_gets_more_than_the_burst_and_the_rate() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let rule = GcraRule {
                rate: [1, 3, 7, 1_000][random.usize(0..4)],
                period_us: [1_000, 999_983, 60_000_000][random.usize(0..3)],
                burst: [1, 2, 10][random.usize(0..3)],
            };
            let (mut stored, mut now) = (Vec::new(), 5_000_000);
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for _ in 0..150 {
                now += random.u64(0..=2 * rule.period_us / rule.rate);
                let cost = random.u64(1..=rule.burst);
                let step = rule.decide(&stored, call(cost, now));
                if step.verdict.allowed {
                    taken.push((now, cost));
                } else {
                    assert!(step.write.is_none(), "seed {seed}");
                    let retry = now + step.verdict.retry_after_us;
                    let decided = |time| rule.decide(&stored, call(cost, time)).verdict.allowed;
                    assert!(decided(retry) && !decided(retry - 1), "seed {seed}");
                }
                if let Some(write) = step.write {
                    stored = write.value;
                }
                // From each call on to this one.
                let mut sum = 0;
                for (time, cost) in taken.iter().rev() {
                    sum += cost;
                    let given = (now - time) * rule.rate;
                    let most = rule.burst * rule.period_us + given;
                    assert!(sum * rule.period_us <= most, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_the_period_does_not_drift() {
        let rule = GcraRule {
            rate: 7,
            period_us: 1_000_000,
            burst: 1,
        };
        let (mut stored, mut now, start) = (Vec::new(), 1_000_000, 1_000_000);
        for _ in 0..7_000 {
            let step = rule.decide(&stored, call(1, now));
            let retry = step.verdict.retry_after_us;
            if let Some(write) = step.write {
                stored = write.value;
                now += step.verdict.reset_us;
            }
            now += retry;
        }
        // Each is allowed in the microsecond in which it first may be.
        assert!(now - start >= 1_000_000_000 && now - start <= 1_000_000_000 + 7_000);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_back_and_takes_nothing_away() {
        let rule = GcraRule {
            rate: 10,
            period_us: 1_000_000,
            burst: 10,
        };
        let first = rule.decide(&[], call(10, 9_000_000));
        let stored = first.write.unwrap().value;
        let refused = rule.decide(&stored, call(1, 2_000_000));
        assert!(!refused.verdict.allowed && refused.verdict.retry_after_us == 100_000);
        // The refused call has noted the new time, so that the bucket drains again.
        let stored = refused.write.unwrap().value;
        assert!(rule.decide(&stored, call(1, 2_100_000)).verdict.allowed);
    }
}
