// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The counter of a fixed window, which begins with the first call after the one before has ended.

use super::rule::{Call, SLACK_MS, Step, Verdict, Write, packed_pair, unpacked_pair};

pub(super) const SOURCE: &str = include_str!("scripts/counter.lua");

/// A limit in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct CounterRule {
    pub(super) limit: u64,
    pub(super) window_us: u64,
}

impl CounterRule {
    /// Mirrors `counter.lua`.
    pub(super) fn decide(self, stored: &[u8], call: Call) -> Step {
        let Self { limit, window_us } = self;
        let now = call.now_us;
        let (since, count) = unpacked_pair(stored).unwrap_or((now, 0));
        // Where the clock went back, the window begins again with what was taken in it.
        let behind = since > now;
        let (since, count) = if behind {
            (now, count)
        } else if now - since >= window_us {
            (now, 0)
        } else {
            (since, count)
        };

        let allowed = count + call.cost <= limit;
        let taken = if allowed && call.takes { call.cost } else { 0 };
        let count = count + taken;
        let ends_in = since + window_us - now;
        let verdict = Verdict {
            allowed,
            remaining: limit.saturating_sub(count),
            retry_after_us: if allowed { 0 } else { ends_in },
            reset_us: if count > 0 { ends_in } else { 0 },
        };
        let writes = call.takes && (allowed || behind);
        let write = writes.then(|| Write {
            value: packed_pair(since, count),
            lives_ms: ends_in.div_ceil(1_000) + SLACK_MS,
        });
        Step { verdict, write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CounterRule = CounterRule {
        limit: 5,
        window_us: 10_000,
    };

    fn call(cost: u64, now_us: u64) -> Call {
        Call {
            cost,
            takes: true,
            now_us,
        }
    }

    #[test]
    fn a_window_never_gets_more_than_the_limit_and_two_get_less_than_twice_it() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut stored, mut now) = (Vec::new(), 1_000_000);
            let mut taken: Vec<u64> = Vec::new();
            let mut began = 0;
            for _ in 0..500 {
                now += random.u64(0..4_000);
                if now - began >= RULE.window_us {
                    began = now;
                }
                let cost = random.u64(1..=2);
                let step = RULE.decide(&stored, call(cost, now));
                let since = |start| taken.iter().filter(|time| **time >= start).count() as u64;
                let in_window = since(began);
                assert_eq!(step.verdict.allowed, in_window + cost <= RULE.limit);
                if step.verdict.allowed {
                    taken.extend((0..cost).map(|_| now));
                }
                let in_true_window = taken.iter().filter(|time| **time + RULE.window_us > now);
                assert!(in_true_window.count() < 10, "seed {seed}");
                if let Some(write) = step.write {
                    stored = write.value;
                } else {
                    // A call that is refused does not begin a window either.
                    assert!(in_window > 0, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_count_and_begins_the_window_again() {
        let first = RULE.decide(&[], call(5, 900_000));
        let refused = RULE.decide(&first.write.unwrap().value, call(1, 100_000));
        assert!(!refused.verdict.allowed && refused.verdict.retry_after_us == RULE.window_us);
        let stored = refused.write.unwrap().value;
        assert!(!RULE.decide(&stored, call(1, 109_999)).verdict.allowed);
        assert!(RULE.decide(&stored, call(1, 110_000)).verdict.allowed);
    }
}
