// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The calendar: changes of the clock, what is refused, and that ticks only go forward.

use time::macros::datetime;

use super::*;

fn berlin(cron: &str) -> Schedule {
    Schedule::new(cron)
        .unwrap()
        .timezone("Europe/Berlin")
        .unwrap()
}

fn ticks(schedule: &Schedule, from: OffsetDateTime, count: usize) -> Vec<OffsetDateTime> {
    std::iter::successors(schedule.next_after(from), |tick| schedule.next_after(*tick))
        .take(count)
        .collect()
}

/// On 29 March 2026 the clock of Berlin goes from 2:00 to 3:00, which is 1:00 UTC.
#[test]
fn a_fixed_time_in_the_gap_of_spring_fires_right_after_it() {
    assert_eq!(
        ticks(&berlin("30 2 * * *"), datetime!(2026-03-28 0:00 UTC), 3),
        [
            datetime!(2026-03-28 1:30 UTC),
            datetime!(2026-03-29 1:00 UTC),
            datetime!(2026-03-30 0:30 UTC),
        ]
    );
    assert_eq!(
        ticks(&berlin("*/30 * * * *"), datetime!(2026-03-29 0:00 UTC), 3),
        [
            datetime!(2026-03-29 0:30 UTC),
            datetime!(2026-03-29 1:00 UTC),
            datetime!(2026-03-29 1:30 UTC),
        ]
    );
}

/// On 25 October 2026 the clock of Berlin goes from 3:00 back to 2:00, which is 1:00 UTC.
#[test]
fn a_fixed_time_in_the_fold_of_autumn_fires_once_and_a_wildcard_in_both_hours() {
    assert_eq!(
        ticks(&berlin("30 2 * * *"), datetime!(2026-10-24 12:00 UTC), 2),
        [
            datetime!(2026-10-25 0:30 UTC),
            datetime!(2026-10-26 1:30 UTC),
        ]
    );
    assert_eq!(
        ticks(&berlin("*/30 * * * *"), datetime!(2026-10-24 23:45 UTC), 5),
        [
            datetime!(2026-10-25 0:00 UTC),
            datetime!(2026-10-25 0:30 UTC),
            datetime!(2026-10-25 1:00 UTC),
            datetime!(2026-10-25 1:30 UTC),
            datetime!(2026-10-25 2:00 UTC),
        ]
    );
}

/// From random instants around changes of the clock, in zones with changes of 60, 30 and 0 minutes.
#[test]
fn ticks_strictly_increase_and_none_is_lost_on_the_way_back() {
    let mut random = fastrand::Rng::with_seed(7);
    let crons = [
        "* * * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 0 1 * *",
        "15 1-3 * * MON",
        "0 12 L * *",
        "59 59 23 31 12 *",
    ];
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
    ];
    let from = datetime!(2026-01-01 0:00 UTC).unix_timestamp();
    for _ in 0..2_000 {
        let schedule = Schedule::new(*random.choice(crons.iter()).unwrap()).unwrap();
        let schedule = schedule
            .timezone(random.choice(zones.iter()).unwrap())
            .unwrap();
        let start = from + random.i64(0..2 * 366 * 86_400);
        let start = OffsetDateTime::from_unix_timestamp(start).unwrap()
            + time::Duration::milliseconds(random.i64(0..1_000));
        let mut last = start;
        for tick in ticks(&schedule, start, 5) {
            assert!(tick > last, "{schedule:?}: {tick} after {last}");
            let back = schedule.last_until(tick);
            assert_eq!(back, Some(tick), "{schedule:?} from {start}");
            let before = schedule.last_until(tick - time::Duration::SECOND);
            assert!(
                before.is_none_or(|before| before <= last),
                "{schedule:?}: {before:?} lies between {last} and {tick}"
            );
            last = tick;
        }
        assert!(last > start);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    for cron in [
        "",
        "0 2 * *",
        "61 * * * *",
        "0 2 * * FUN",
        "0 2 * * * * 2026",
        "every day",
    ] {
        let refused = Schedule::new(cron).unwrap_err();
        assert!(
            matches!(refused, InvalidSchedule::Cron { .. }),
            "{cron}: {refused}"
        );
    }
    let refused = Schedule::new("0 0 30 2 *").unwrap_err();
    assert!(
        matches!(refused, InvalidSchedule::NeverFires { .. }),
        "{refused}"
    );
    let refused = Schedule::new("@daily").unwrap().timezone("Europe/Berlim");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("`Europe/Berlin`"), "{refused}");
}

#[test]
fn seconds_and_nicknames_are_read() {
    let start = datetime!(2026-05-05 10:00:00.5 UTC);
    for (cron, next) in [
        ("*/10 * * * * *", datetime!(2026-05-05 10:00:10 UTC)),
        ("@hourly", datetime!(2026-05-05 11:00 UTC)),
        ("@daily", datetime!(2026-05-06 0:00 UTC)),
        ("0 9 * * 1-5", datetime!(2026-05-06 9:00 UTC)),
    ] {
        assert_eq!(Schedule::new(cron).unwrap().next_after(start), Some(next));
    }
}
