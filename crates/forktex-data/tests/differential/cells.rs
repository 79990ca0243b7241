// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fields, cells and rows as the evaluator sees them: numbers counted in ten-thousandths, everything else
//! as text. It shares no type with the library: both would make the same mistake.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value as Json, json};

/// What a number is counted in.
const SCALE: i128 = 10_000;

/// How many digits that are behind the point.
const DIGITS: usize = 4;

pub(crate) const OPTIONS: [&str; 3] = ["draft", "late", "paid"];

/// Few, so that rows tie; with what SQL, LIKE and JSON take for more than a letter.
const TEXTS: [&str; 16] = [
    "a", "A", "b", "ab", "aB", "100%", "1000", "a_b", "axb", "a\\b", "a'b", "\"q\"", "Ä", "ä",
    "日本", " z",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    Datetime,
    Uuid,
    Enum,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind::Text,
    Kind::Integer,
    Kind::Decimal,
    Kind::Boolean,
    Kind::Date,
    Kind::Datetime,
    Kind::Uuid,
    Kind::Enum,
];

impl Kind {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }

    /// Whether filters have `lt` and the like for it.
    pub(crate) fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Integer | Self::Decimal | Self::Date | Self::Datetime | Self::Enum
        )
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_indexed: bool,
    /// Of texts only.
    pub(crate) is_searchable: bool,
}

/// A value in the form that it is compared in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Plain {
    Number(i128),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Null,
    Value(Plain),
}

impl State {
    pub(crate) fn value(&self) -> Option<&Plain> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The library's id, as text: it breaks ties.
    pub(crate) id: String,
    pub(crate) cells: BTreeMap<String, State>,
    pub(crate) is_archived: bool,
}

impl Row {
    pub(crate) fn state(&self, field: &str) -> &State {
        self.cells.get(field).unwrap_or(&State::Absent)
    }
}

/// Fields of random kinds; at least one.
pub(crate) fn fields(random: &mut Rng) -> Vec<Field> {
    // With more of them, a query would ask for more aggregates than it may.
    let count = random.usize(1..=6);
    let field = |n| {
        let kind = KINDS[random.usize(..KINDS.len())];
        Field {
            name: format!("f{n}"),
            kind,
            is_indexed: random.bool(),
            is_searchable: kind == Kind::Text && random.bool(),
        }
    };
    (0..count).map(field).collect()
}

/// A cell in one of its three states.
pub(crate) fn state(random: &mut Rng, kind: Kind) -> State {
    match random.u8(..10) {
        0 => State::Absent,
        1 => State::Null,
        _ => State::Value(value(random, kind)),
    }
}

/// A value of a small pool.
pub(crate) fn value(random: &mut Rng, kind: Kind) -> Plain {
    let text = match kind {
        Kind::Integer => return Plain::Number(i128::from(random.i64(-4..=4)) * SCALE),
        // Thousands of steps apart, and equal values that are written differently.
        Kind::Decimal => return Plain::Number(i128::from(random.i64(-6..=6)) * 2_500),
        Kind::Text => TEXTS[random.usize(..TEXTS.len())].to_owned(),
        Kind::Enum => OPTIONS[random.usize(..OPTIONS.len())].to_owned(),
        Kind::Boolean => random.bool().to_string(),
        Kind::Date => format!(
            "20{:02}-0{}-1{}",
            random.u8(..3),
            random.u8(1..3),
            random.u8(..3)
        ),
        Kind::Datetime => format!(
            "2026-01-0{}T0{}:00:00.00000{}Z",
            random.u8(1..3),
            random.u8(..2),
            random.u8(..2)
        ),
        Kind::Uuid => format!("00000000-0000-4000-8000-00000000000{}", random.u8(..6)),
    };
    Plain::Text(text)
}

/// The value in the JSON of a row or of a filter.
pub(crate) fn to_json(kind: Kind, value: &Plain) -> Json {
    match (kind, value) {
        (Kind::Integer, Plain::Number(number)) => {
            json!(i64::try_from(number / SCALE).expect("a small number"))
        }
        (_, Plain::Number(number)) => json!(number_text(*number)),
        (Kind::Boolean, Plain::Text(text)) => json!(text == "true"),
        (_, Plain::Text(text)) => json!(text),
    }
}

/// Reads a value of the library's JSON.
pub(crate) fn from_json(kind: Kind, json: &Json) -> Plain {
    if kind.is_number() {
        let text = json
            .as_str()
            .map_or_else(|| json.to_string(), str::to_owned);
        return Plain::Number(number(&text));
    }
    match json {
        Json::String(text) => Plain::Text(text.clone()),
        Json::Bool(value) => Plain::Text(value.to_string()),
        other => panic!("{other} for a {kind:?}"),
    }
}

/// A number with at most four digits behind the point.
pub(crate) fn number(text: &str) -> i128 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    assert!(part.len() <= DIGITS, "{text} has too many digits");
    let whole: i128 = whole.parse().expect("digits");
    let part: i128 = format!("{part:0<DIGITS$}").parse().expect("digits");
    sign * (whole * SCALE + part)
}

fn number_text(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let (whole, part) = (number.abs() / SCALE, number.abs() % SCALE);
    let part = format!("{part:0DIGITS$}");
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

/// Rows without the value are the greatest, and equal among themselves.
pub(crate) fn order(one: &State, other: &State) -> Ordering {
    match (one.value(), other.value()) {
        (Some(one), Some(other)) => one.cmp(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
