// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What becomes of jobs that have limits, from what counts against these: no clock, no server.
//!
//! A rate is exact: a job starts only if fewer than its count have started in the time before. One that is
//! put off is told a time at which those that are put off before it leave it room, so that they do not all
//! come back at once; whether it starts then is judged again.

/// A job, as far as its limit goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) key: String,
    pub(super) concurrency: Option<usize>,
    /// How many, in how many microseconds.
    pub(super) rate: Option<(usize, i64)>,
    /// It was put off before. It goes before those that were not: its time was told already.
    pub(super) is_deferred: bool,
}

impl Candidate {
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            key: self.key.clone(),
            rate: self.rate,
        }
    }
}

/// The numbers that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbers {
    pub(super) key: String,
    pub(super) rate: Option<(usize, i64)>,
}

/// What counts against them.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) numbers: Numbers,
    pub(super) running: usize,
    /// When the last were started that the rate still counts, at most as many as it counts; oldest first.
    pub(super) starts_us: Vec<i64>,
    /// How many wait for the rate.
    pub(super) deferred: usize,
    /// How many of those that were put off before were put off again.
    pub(super) deferred_again: usize,
}

impl Usage {
    /// When one more may start: now, or in the place after so many others.
    fn allowed_at(&self, others: usize, now_us: i64) -> i64 {
        let Some((count, per_us)) = self.numbers.rate else {
            return now_us;
        };
        let Some(oldest) = self.starts_us.len().checked_sub(count) else {
            return now_us;
        };
        // Those before it take the places of the last `count` starts, one after the other and again.
        let start_us = self.starts_us.get(oldest + others % count);
        let laps = i64::try_from(others / count + 1).unwrap_or(i64::MAX);
        start_us.map_or(now_us, |start_us| {
            start_us.saturating_add(per_us.saturating_mul(laps))
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Start,
    /// Until another of its key ends.
    Hold,
    /// Its rate lets it start at this time.
    PutOff {
        due_us: i64,
    },
}

/// The verdict on each job, in order.
pub(super) fn judge<'c>(
    candidates: impl Iterator<Item = &'c Candidate>,
    mut usages: Vec<Usage>,
    now_us: i64,
) -> Vec<Verdict> {
    candidates
        .map(|candidate| judge_one(candidate, &mut usages, now_us))
        .collect()
}

fn judge_one(candidate: &Candidate, usages: &mut [Usage], now_us: i64) -> Verdict {
    let numbers = candidate.numbers();
    let Some(usage) = usages.iter_mut().find(|usage| usage.numbers == numbers) else {
        // Every candidate's numbers were asked for.
        return Verdict::Hold;
    };
    if candidate
        .concurrency
        .is_some_and(|most| usage.running >= most)
    {
        return Verdict::Hold;
    }
    if usage.allowed_at(0, now_us) > now_us {
        let others = if candidate.is_deferred {
            &mut usage.deferred_again
        } else {
            &mut usage.deferred
        };
        let before = *others;
        *others += 1;
        return Verdict::PutOff {
            due_us: usage.allowed_at(before, now_us),
        };
    }
    for usage in usages
        .iter_mut()
        .filter(|usage| usage.numbers.key == candidate.key)
    {
        usage.running += 1;
        if candidate.rate.is_some() {
            usage.starts_us.push(now_us);
        }
    }
    Verdict::Start
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn candidate(concurrency: Option<usize>, rate: Option<(usize, i64)>) -> Candidate {
        Candidate {
            key: "k".to_owned(),
            concurrency,
            rate,
            is_deferred: false,
        }
    }

    fn usage(candidate: &Candidate, running: usize, starts_us: &[i64]) -> Usage {
        Usage {
            numbers: candidate.numbers(),
            running,
            starts_us: starts_us.to_vec(),
            deferred: 0,
            deferred_again: 0,
        }
    }

    fn verdicts(candidate: &Candidate, times: usize, usage: Usage) -> Vec<Verdict> {
        judge(std::iter::repeat_n(candidate, times), vec![usage], NOW)
    }

    #[test]
    fn jobs_over_the_concurrency_are_held() {
        let job = candidate(Some(3), None);
        let usage = usage(&job, 1, &[]);
        let expected = [Verdict::Start, Verdict::Start, Verdict::Hold];
        assert_eq!(verdicts(&job, 3, usage), expected);
    }

    #[test]
    fn jobs_over_the_rate_are_put_off_to_when_they_may_start() {
        let job = candidate(None, Some((2, 100)));
        let usage = usage(&job, 0, &[NOW - 60]);
        let off = |due_us| Verdict::PutOff { due_us };
        assert_eq!(
            verdicts(&job, 6, usage),
            [
                Verdict::Start,
                off(NOW + 40),
                off(NOW + 100),
                off(NOW + 140),
                off(NOW + 200),
                off(NOW + 240),
            ]
        );
    }

    #[test]
    fn what_waits_already_has_the_first_places() {
        let fresh = candidate(None, Some((1, 100)));
        let again = Candidate {
            is_deferred: true,
            ..fresh.clone()
        };
        let mut usage = usage(&fresh, 0, &[NOW - 10]);
        usage.deferred = 2;
        let verdicts = judge([&again, &fresh].into_iter(), vec![usage], NOW);
        let off = |due_us| Verdict::PutOff { due_us };
        assert_eq!(verdicts, [off(NOW + 90), off(NOW + 290)]);
    }

    #[test]
    fn a_start_counts_against_all_numbers_of_its_key() {
        let (loose, tight) = (
            candidate(None, Some((5, 100))),
            candidate(None, Some((1, 100))),
        );
        let usages = vec![usage(&loose, 0, &[]), usage(&tight, 0, &[])];
        let verdicts = judge([&loose, &tight].into_iter(), usages, NOW);
        let off = Verdict::PutOff { due_us: NOW + 100 };
        assert_eq!(verdicts, [Verdict::Start, off]);
    }

    /// Whoever starts when it is told to never meets more than the count in any time of that length.
    #[test]
    fn the_times_that_are_told_keep_the_rate() {
        let job = candidate(None, Some((3, 100)));
        let usage = usage(&job, 0, &[NOW - 70, NOW - 69, NOW - 1]);
        let mut times = usage.starts_us.clone();
        for verdict in verdicts(&job, 50, usage) {
            let Verdict::PutOff { due_us } = verdict else {
                panic!("{verdict:?}")
            };
            times.push(due_us);
        }
        for window in times.windows(4) {
            assert!(window[3] - window[0] >= 100, "{window:?}");
        }
    }
}
