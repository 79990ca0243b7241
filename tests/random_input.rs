// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whatever comes from outside gets an answer, in bounded time: a short run of random input for each
//! reader. `cargo xtask fuzz` runs the longer ones, led by coverage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use forktex::db::Filter;
use forktex::flow::Schedule;
use time::macros::datetime;

/// How long each reader is tried.
const TEST_TIME: Duration = Duration::from_secs(2);

/// How long one answer may take, on a machine that does other things as well.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The characters that the readers look at, so that random text gets further than their first check.
const ALPHABET: &[u8] = b"0123456789*/,-?#LW @ADFHIJMNOPRSTUVYacdefhijklmnoprstuvy{}[]\":.\\ ";

fn words(bytes: &[u8]) -> String {
    let character = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    bytes.iter().map(character).collect()
}

fn answered<T>(what: &str, input: &str, read: impl FnOnce() -> T) -> T {
    let began_at = Instant::now();
    let answer = read();
    let took = began_at.elapsed();
    assert!(took < ANSWER_TIME_MAX, "{what} {input:?} took {took:?}");
    answer
}

#[test]
fn a_cron_expression_is_refused_or_its_ticks_only_grow() {
    bolero::check!()
        .with_max_len(40)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let text = words(bytes);
            let read = || {
                let Ok(schedule) = Schedule::new(&text) else {
                    return;
                };
                let mut last = datetime!(2026-03-28 00:00 UTC);
                for _ in 0..5 {
                    let Some(next) = schedule.next_after(last) else {
                        return;
                    };
                    assert!(next > last, "{text:?}: {next} after {last}");
                    last = next;
                }
            };
            answered("the expression", &text, read);
        });
}

#[test]
fn a_time_zone_is_refused_or_known() {
    let schedule = Schedule::new("0 2 * * *").unwrap();
    bolero::check!()
        .with_max_len(40)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let _ = schedule.clone().timezone(&words(bytes));
        });
}

#[test]
fn a_cursor_is_refused_or_read() {
    bolero::check!()
        .with_max_len(400)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            forktex::db::__private::parse_cursor_of_any_kind(bytes);
            forktex::db::__private::parse_cursor_of_any_kind(words(bytes).as_bytes());
        });
}

#[test]
fn a_filter_is_refused_with_its_place_or_reads_back_the_same() {
    bolero::check!()
        .with_max_len(400)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let Ok(json) = serde_json::from_str(&words(bytes)) else {
                return;
            };
            match Filter::<()>::from_json(&json) {
                Ok(filter) => {
                    let again = Filter::from_json(&filter.to_json());
                    assert!(again.is_ok_and(|again| again == filter));
                }
                Err(error) => assert!(error.path().is_empty() || error.path().starts_with('/')),
            }
        });
}
