// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The exact sliding window: a log of the times of all that was allowed and is in the window yet.
//!
//! At most the limit is ever alive, so the call is allowed where the unit that is a limit older than the
//! last of it is out of the window; nothing has to be counted. The log is one string of 7 bytes a unit
//! rather than a sorted set (some 80 bytes a unit, and three commands that each search it) or a list (11
//! bytes, and a command for each unit that leaves): up to 128 units it is read and written whole, and
//! beyond that it is searched in place and only grows at its end.
//!
//! The window at time t is `(t - window, t]`: what is as old as the window is out of it.

use super::rule::{Call, NUMBER_BYTES, SLACK_MS, Step, Verdict, Write, packed, unpacked};

pub(super) const SOURCE: &str = include_str!("scripts/sliding_window.lua");

/// The largest limit: the log of one key then takes 700 kB to 2.8 MB.
pub(super) const LIMIT_MAX: u64 = 100_000;

/// Up to this limit the log is rewritten with each unit that is taken. The script has the same.
const PAGE: u64 = 128;

/// A limit in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlidingWindowRule {
    pub(super) limit: u64,
    pub(super) window_us: u64,
}

impl SlidingWindowRule {
    /// Mirrors `sliding_window.lua`.
    pub(super) fn decide(self, stored: &[u8], call: Call) -> Step {
        let Self { limit, window_us } = self;
        let (limit_units, cost) = (units(limit), units(call.cost));
        let (mut log, _) = stored.as_chunks::<NUMBER_BYTES>();
        if limit <= PAGE {
            log = from(log, log.len().saturating_sub(limit_units));
        }
        // Where the clock went back, all is reckoned at the last time that was written, and the log is
        // moved: what was allowed is then no older than it is, so the limit holds, and the next window
        // ends when it would have ended.
        let last = log.last().map(|time| unpacked(*time));
        let behind = last.map_or(0, |last| last.saturating_sub(call.now_us));
        let now = call.now_us + behind;

        let earliest = log.len().saturating_sub(limit_units);
        let dead = earliest
            + from(log, earliest).partition_point(|time| unpacked(*time) + window_us <= now);
        let live = log.len() - dead;
        let remaining = limit_units - live;
        let allowed = cost <= remaining;
        let leaves_in = |time: u64| (time + window_us).saturating_sub(now);

        let blocking = (log.len() + cost).saturating_sub(limit_units + 1);
        let blocking = log.get(blocking).map(|time| leaves_in(unpacked(*time)));
        let taken = if allowed && call.takes { cost } else { 0 };
        let reset_us = match last {
            _ if taken > 0 => window_us,
            Some(last) if live > 0 => leaves_in(last),
            _ => 0,
        };
        let verdict = Verdict {
            allowed,
            remaining: (remaining - taken) as u64,
            retry_after_us: blocking.filter(|_| !allowed).unwrap_or_default(),
            reset_us,
        };
        let writes = call.takes && (allowed || behind > 0);
        let write = writes.then(|| {
            let grows = behind == 0 && limit > PAGE && dead <= live;
            let kept = if grows { log } else { from(log, dead) };
            let moved = kept.iter().map(|time| packed(unpacked(*time) - behind));
            let added = std::iter::repeat_n(packed(call.now_us), taken);
            Write {
                value: moved.chain(added).flatten().collect(),
                lives_ms: window_us.div_ceil(1_000) + SLACK_MS,
            }
        });
        Step { verdict, write }
    }
}

fn units(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn from<T>(all: &[T], start: usize) -> &[T] {
    all.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_US: u64 = 10_000;

    /// All that was allowed, with the true time of each unit, and nothing clever.
    #[derive(Default)]
    struct Log(Vec<u64>);

    impl Log {
        fn in_window(&self, now: u64) -> u64 {
            let live = |time: &&u64| **time + WINDOW_US > now && **time <= now;
            self.0.iter().filter(live).count() as u64
        }

        fn take(&mut self, cost: u64, now: u64) {
            self.0.extend((0..cost).map(|_| now));
        }

        /// Forgets what can be in no window any more.
        fn forget(&mut self, now: u64) {
            self.0.retain(|time| time + WINDOW_US > now);
        }
    }

    fn call(cost: u64, now_us: u64) -> Call {
        Call {
            cost,
            takes: true,
            now_us,
        }
    }

    #[test]
    fn it_decides_as_a_log_of_everything_does() {
        for seed in 0..70 {
            let mut random = fastrand::Rng::with_seed(seed);
            let limit = [1, 2, 5, 100, 128, 129, 400][random.usize(0..7)];
            let rule = SlidingWindowRule {
                limit,
                window_us: WINDOW_US,
            };
            let (mut stored, mut model, mut now) = (Vec::new(), Log::default(), 1_000_000);
            let mut last = 0;
            for _ in 0..600 {
                let steps = [0, 1, WINDOW_US / limit.min(50), WINDOW_US - 1, WINDOW_US];
                now += match random.u32(0..20) {
                    0 => steps[random.usize(0..steps.len())],
                    1 => 3 * WINDOW_US,
                    _ => random.u64(0..=2 * WINDOW_US / limit),
                };
                model.forget(now);
                let cost = random.u64(1..=(limit / 4).max(1));
                let Step { verdict, write } = rule.decide(&stored, call(cost, now));
                let fits = |time| model.in_window(time) + cost <= limit;
                assert_eq!(verdict.allowed, fits(now), "seed {seed}");
                assert_eq!(write.is_some(), verdict.allowed, "seed {seed}");
                let retry = now + verdict.retry_after_us;
                assert!(fits(retry), "seed {seed}");
                assert!(verdict.allowed == (retry == now), "seed {seed}");
                assert!(retry == now || !fits(retry - 1), "seed {seed}");
                if verdict.allowed {
                    model.take(cost, now);
                    last = now;
                }
                let remaining = limit - model.in_window(now);
                assert_eq!(verdict.remaining, remaining, "seed {seed}");
                let reset = (last + WINDOW_US).saturating_sub(now);
                assert_eq!(verdict.reset_us, reset, "seed {seed}");
                stored = write.map_or(stored, |write| write.value);
                assert!(stored.len() as u64 <= 2 * limit * 7, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_never_lets_more_through_and_blocks_for_a_window_at_most() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let limit = [1, 3, 130][random.usize(0..3)];
            let rule = SlidingWindowRule {
                limit,
                window_us: WINDOW_US,
            };
            // The clock shows less and less of the true time.
            let (mut stored, mut model, mut now, mut lost) =
                (Vec::new(), Log::default(), 100_000_000, 0);
            for _ in 0..500 {
                now += random.u64(0..=2 * WINDOW_US / limit);
                if random.u32(0..20) == 0 {
                    lost += random.u64(0..=10 * WINDOW_US);
                }
                let step = rule.decide(&stored, call(1, now - lost));
                if step.verdict.allowed {
                    model.take(1, now);
                }
                assert!(model.in_window(now) <= limit, "seed {seed}");
                assert!(step.verdict.retry_after_us <= WINDOW_US, "seed {seed}");
                assert!(step.verdict.reset_us <= WINDOW_US, "seed {seed}");
                if let Some(write) = step.write {
                    stored = write.value;
                }
            }
        }
    }

    #[test]
    fn a_look_takes_nothing_and_says_the_same() {
        let rule = SlidingWindowRule {
            limit: 2,
            window_us: WINDOW_US,
        };
        let stored = packed(500).to_vec();
        let look = |cost, now_us| {
            let takes = false;
            rule.decide(
                &stored,
                Call {
                    cost,
                    takes,
                    now_us,
                },
            )
        };
        let one = look(1, 600);
        assert!(one.verdict.allowed && one.verdict.remaining == 1 && one.write.is_none());
        assert_eq!(one.verdict.reset_us, WINDOW_US - 100);
        let two = look(2, 600);
        assert!(!two.verdict.allowed && two.verdict.retry_after_us == WINDOW_US - 100);
        // A clock that went back is not mended by a look.
        assert_eq!(look(1, 400).write, None);
    }
}
