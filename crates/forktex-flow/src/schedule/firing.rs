// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is to be done about a schedule that is due. Decides, and does nothing.

use time::{Duration, OffsetDateTime};

use super::{CATCH_UP_MAX, CatchUp, MISSED_AFTER_SECONDS, Overlap, Schedule};

/// The most runs that one firing starts; what is more is due at once again. It bounds what inputs are
/// held and written at a time.
const RUNS_MAX: usize = 50;

/// A schedule as it stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) next_fire_at: Option<OffsetDateTime>,
    pub(crate) waiting_tick: Option<OffsetDateTime>,
    /// Whether an earlier run lives.
    pub(crate) is_busy: bool,
    /// The database's clock.
    pub(crate) now: OffsetDateTime,
}

/// What a firing comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Firing {
    /// The ticks that get a run, oldest first.
    pub(crate) ticks: Vec<OffsetDateTime>,
    pub(crate) next_fire_at: Option<OffsetDateTime>,
    pub(crate) waiting_tick: Option<OffsetDateTime>,
    /// The newest tick that gets no run, if there is one, and how many there are.
    pub(crate) last_skipped: Option<OffsetDateTime>,
    pub(crate) skipped: usize,
}

impl Firing {
    fn skip(&mut self, ticks: impl IntoIterator<Item = OffsetDateTime>) {
        for tick in ticks {
            self.last_skipped = self.last_skipped.max(Some(tick));
            self.skipped += 1;
        }
    }
}

/// Decides on the ticks that are due. The next tick lies after now, or, where more are to be made up for
/// than one firing starts, after the ticks of this one.
pub(crate) fn decide(schedule: &Schedule, standing: &Standing) -> Firing {
    let Standing {
        next_fire_at,
        waiting_tick,
        is_busy,
        now,
    } = *standing;
    let mut firing = Firing {
        next_fire_at,
        ..Firing::default()
    };
    let mut ticks = Vec::new();
    if let Some(first) = next_fire_at.filter(|first| *first <= now) {
        firing.next_fire_at = schedule.next_after(now);
        ticks = caught_up(schedule, first, now, &mut firing);
    }
    match schedule.overlap_policy() {
        // A tick that waited under another policy waits no more.
        Overlap::Allow => {
            firing.ticks = waiting_tick.into_iter().chain(ticks).collect();
            let later = firing.ticks.split_off(firing.ticks.len().min(RUNS_MAX));
            firing.next_fire_at = later.first().copied().or(firing.next_fire_at);
        }
        Overlap::Skip => {
            let mut ticks: Vec<_> = waiting_tick.into_iter().chain(ticks).collect();
            firing.ticks = if is_busy { None } else { ticks.pop() }
                .into_iter()
                .collect();
            firing.skip(ticks);
        }
        Overlap::Queue => {
            let mut ticks = waiting_tick.into_iter().chain(ticks);
            firing.ticks = if is_busy { None } else { ticks.next() }
                .into_iter()
                .collect();
            let mut others: Vec<_> = ticks.collect();
            firing.waiting_tick = others.pop();
            firing.skip(others);
        }
    }
    firing
}

/// The ticks from `first` until now that the schedule makes up for, oldest first.
fn caught_up(
    schedule: &Schedule,
    first: OffsetDateTime,
    now: OffsetDateTime,
    firing: &mut Firing,
) -> Vec<OffsetDateTime> {
    // A tick of an earlier expression may stand in the table, and is then the only one.
    let last = schedule
        .last_until(now)
        .map_or(first, |last| last.max(first));
    match schedule.catch_up_policy() {
        CatchUp::None if now - last > Duration::seconds(MISSED_AFTER_SECONDS) => {
            firing.skip([last]);
            Vec::new()
        }
        CatchUp::One | CatchUp::None => vec![last],
        CatchUp::All => {
            let before = |tick: &OffsetDateTime| {
                let earlier = schedule.last_until(*tick - Duration::SECOND)?;
                (earlier >= first && earlier < *tick).then_some(earlier)
            };
            let mut ticks: Vec<_> = std::iter::successors(Some(last), before)
                .take(CATCH_UP_MAX + 1)
                .collect();
            // One stands for all that are older still: they are not counted.
            firing.skip(ticks.drain(CATCH_UP_MAX.min(ticks.len())..));
            ticks.reverse();
            ticks
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const FIRST: OffsetDateTime = datetime!(2026-03-01 2:00 UTC);
    const NOON: OffsetDateTime = datetime!(2026-03-03 12:00 UTC);

    fn daily(overlap: Overlap, catch_up: CatchUp) -> Schedule {
        Schedule::new("0 2 * * *")
            .unwrap()
            .overlap(overlap)
            .catch_up(catch_up)
    }

    /// Three ticks were missed: of the first, the second and the third of March.
    fn missed(is_busy: bool) -> Standing {
        Standing {
            next_fire_at: Some(FIRST),
            waiting_tick: None,
            is_busy,
            now: NOON,
        }
    }

    fn march(days: &[u8]) -> Vec<OffsetDateTime> {
        days.iter()
            .map(|day| FIRST.replace_day(*day).unwrap())
            .collect()
    }

    #[test]
    fn three_missed_ticks_are_one_run_or_three_or_none() {
        for (catch_up, days, skipped) in [
            (CatchUp::One, &[3][..], 0),
            (CatchUp::All, &[1, 2, 3], 0),
            (CatchUp::None, &[], 1),
        ] {
            let firing = decide(&daily(Overlap::Allow, catch_up), &missed(false));
            assert_eq!(firing.ticks, march(days), "{catch_up}");
            assert_eq!(firing.skipped, skipped, "{catch_up}");
            assert_eq!(firing.next_fire_at, Some(datetime!(2026-03-04 2:00 UTC)));
        }
    }

    #[test]
    fn a_tick_that_is_fired_in_time_is_not_missed() {
        let standing = Standing {
            now: FIRST + Duration::seconds(MISSED_AFTER_SECONDS),
            ..missed(false)
        };
        let firing = decide(&daily(Overlap::Allow, CatchUp::None), &standing);
        assert_eq!(firing.ticks, march(&[1]));
        let late = Standing {
            now: standing.now + Duration::MILLISECOND,
            ..standing
        };
        let firing = decide(&daily(Overlap::Allow, CatchUp::None), &late);
        assert_eq!((firing.ticks.len(), firing.last_skipped), (0, Some(FIRST)));
    }

    #[test]
    fn what_is_made_up_for_is_bounded_and_the_newest() {
        let schedule = Schedule::new("* * * * * *").unwrap().catch_up(CatchUp::All);
        let mut standing = missed(false);
        let (mut ticks, mut skipped) = (Vec::new(), 0);
        while standing.next_fire_at.is_some_and(|next| next <= NOON) {
            let firing = decide(&schedule, &standing);
            assert!((1..=RUNS_MAX).contains(&firing.ticks.len()));
            standing.next_fire_at = firing.next_fire_at;
            ticks.extend(firing.ticks);
            skipped += firing.skipped;
        }
        assert_eq!((ticks.len(), skipped), (CATCH_UP_MAX, 1));
        assert_eq!(ticks.last(), Some(&NOON));
        assert!(ticks.is_sorted());
        assert_eq!(standing.next_fire_at, Some(NOON + Duration::SECOND));
    }

    #[test]
    fn a_busy_schedule_skips_or_lets_one_wait() {
        let skip = daily(Overlap::Skip, CatchUp::All);
        let firing = decide(&skip, &missed(true));
        assert_eq!((firing.ticks.len(), firing.skipped), (0, 3));
        assert_eq!(firing.last_skipped, Some(march(&[3])[0]));
        let firing = decide(&skip, &missed(false));
        assert_eq!((firing.ticks, firing.skipped), (march(&[3]), 2));

        let queue = daily(Overlap::Queue, CatchUp::All);
        let firing = decide(&queue, &missed(true));
        assert_eq!((firing.ticks.len(), firing.skipped), (0, 2));
        assert_eq!(firing.waiting_tick, Some(march(&[3])[0]));
        let firing = decide(&queue, &missed(false));
        assert_eq!((firing.ticks, firing.skipped), (march(&[1]), 1));
        assert_eq!(firing.waiting_tick, Some(march(&[3])[0]));
    }

    #[test]
    fn what_waited_is_fired_when_the_earlier_run_has_ended() {
        let standing = Standing {
            next_fire_at: Some(datetime!(2026-03-04 2:00 UTC)),
            waiting_tick: Some(FIRST),
            is_busy: false,
            now: NOON,
        };
        let queue = daily(Overlap::Queue, CatchUp::One);
        let firing = decide(&queue, &standing);
        assert_eq!(firing.ticks, [FIRST]);
        assert_eq!(firing.waiting_tick, None);
        assert_eq!(firing.next_fire_at, standing.next_fire_at);

        let busy = Standing {
            is_busy: true,
            ..standing
        };
        let firing = decide(&queue, &busy);
        assert_eq!((firing.ticks.len(), firing.skipped), (0, 0));
        assert_eq!(firing.waiting_tick, Some(FIRST));
    }
}
