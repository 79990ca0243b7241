// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whatever comes from outside gets an answer, in bounded time: a short run of random input for each
//! reader. `cargo xtask fuzz` runs the longer ones, led by coverage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use forktex::db::Filter;
use forktex::flow::prelude::*;
use forktex::flow::state::json::JsonState;
use forktex::flow::{Schedule, check_definition};
use serde_json::Value;
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

#[step_template("random.note")]
#[step]
async fn note(_ctx: &Ctx, _state: &JsonState) -> StepResult<()> {
    Ok(())
}

/// JSON with the words of definitions, as random bytes choose.
fn definition(bytes: &mut dyn Iterator<Item = u8>, depth: u32) -> Value {
    const WORDS: [&str; 24] = [
        "type",
        "pipeline",
        "graph",
        "steps",
        "topology",
        "nodes",
        "from",
        "to",
        "when",
        "on",
        "after",
        "step",
        "name",
        "random.note",
        "note",
        "__START__",
        "__END__",
        "7d",
        "field",
        "is",
        "not",
        "and",
        "parallel",
        "reducers",
    ];
    let word = |byte: u8| WORDS[usize::from(byte) % WORDS.len()];
    let Some(byte) = bytes.next() else {
        return Value::Null;
    };
    match byte % 8 {
        0 | 1 if depth < 6 => {
            let count = bytes.next().unwrap_or_default() % 5;
            (0..count).map(|_| definition(bytes, depth + 1)).collect()
        }
        2..=4 if depth < 6 => {
            let count = bytes.next().unwrap_or_default() % 5;
            let field = |_| {
                let key = word(bytes.next().unwrap_or_default()).to_owned();
                (key, definition(bytes, depth + 1))
            };
            Value::Object((0..count).map(field).collect())
        }
        5 => Value::from(bytes.next().unwrap_or_default()),
        _ => Value::from(word(bytes.next().unwrap_or_default())),
    }
}

#[test]
fn a_definition_is_refused_with_pointers_into_it_or_accepted() {
    bolero::check!()
        .with_max_len(300)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let mut rest = bytes.iter().copied();
            let mut config = definition(&mut rest, 0);
            if let Some(fields) = config.as_object_mut() {
                let shape = ["pipeline", "graph"][bytes.len() % 2];
                fields.insert("type".to_owned(), Value::from(shape));
            }
            let text = config.to_string();
            let checked = answered("the definition", &text, || check_definition(&config));
            for fault in checked.err().into_iter().flatten() {
                let pointer = &fault.pointer;
                assert!(
                    pointer.is_empty() || pointer.starts_with('/'),
                    "{pointer} of {text}"
                );
                assert!(!fault.message.is_empty());
            }
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

#[test]
fn a_filter_of_a_register_is_refused_with_its_place_or_reads_back_the_same() {
    use forktex_data::Filter;

    bolero::check!()
        .with_max_len(400)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let Ok(json) = serde_json::from_str(&words(bytes)) else {
                return;
            };
            match Filter::from_json(&json) {
                Ok(filter) => {
                    let written = filter.to_json();
                    let again = Filter::from_json(&written);
                    assert!(again.is_ok_and(|again| again.to_json() == written));
                }
                Err(error) => {
                    let path = error.path().unwrap_or_default();
                    assert!(path.is_empty() || path.starts_with('/'));
                }
            }
        });
}

#[test]
fn a_formula_is_refused_with_its_place_or_read() {
    use forktex_data::Formula;

    const PARTS: [&str; 32] = [
        "a", "net", "{b}", "1", "2.50", "'x'", "\"y\"", "+", "-", "*", "/", "%", "&", "(", ")",
        ",", "if", "coalesce", "round", "=", "!=", "<", "<=", "and", "or", "not", " ", "concat(",
        "abs(", "'", "ä", ".",
    ];
    bolero::check!()
        .with_max_len(120)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let parts = bytes
                .iter()
                .map(|byte| PARTS[usize::from(*byte) % PARTS.len()]);
            let text: Vec<&str> = parts.collect();
            let text = text.join(" ");
            let read = answered("the formula", &text, || Formula::parse(&text));
            if let Err(error) = read {
                let span = error.span();
                assert!(span.start <= span.end && span.end <= text.len(), "{text}");
                assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            }
        });
}

#[test]
fn a_file_of_rows_gets_an_answer_that_its_pieces_do_not_change() {
    use forktex_data::__private::read_file_of_any_kind;

    const PARTS: &[u8] = b"a1,\"\n\r\\N{}[]: ;\xff\xc3\xa4";
    bolero::check!()
        .with_max_len(300)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let file: Vec<u8> = bytes
                .iter()
                .map(|byte| PARTS[usize::from(*byte) % PARTS.len()])
                .collect();
            let whole = read_file_of_any_kind(&file, file.len().max(1));
            for size in [1, 2, 7] {
                assert_eq!(
                    read_file_of_any_kind(&file, size),
                    whole,
                    "{file:?} by {size}"
                );
            }
        });
}

#[test]
fn a_value_is_refused_or_has_one_form() {
    use forktex_data::__private::coerce_of_any_kind;

    const PARTS: [&str; 26] = [
        "0",
        "1",
        "9",
        "-",
        ".",
        "e",
        "T",
        "Z",
        ":",
        "+",
        "true",
        "null",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "2024-02-29",
        "12:30:00",
        "a",
        "ä",
        " ",
        "00000000-0000-4000-8000-000000000001",
        "\\u0000",
        "28",
    ];
    bolero::check!()
        .with_max_len(40)
        .with_test_time(TEST_TIME)
        .for_each(|bytes: &[u8]| {
            let parts = bytes
                .iter()
                .map(|byte| PARTS[usize::from(*byte) % PARTS.len()]);
            let text: String = parts.collect();
            coerce_of_any_kind(text.as_bytes());
            coerce_of_any_kind(format!("\"{text}\"").as_bytes());
        });
}
