// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The functions of the language: how each is called, and how it is computed. All of them give the same
//! for the same arguments; none knows the time of day.

use std::ops::RangeInclusive;

use rust_decimal::{Decimal, RoundingStrategy};
use time::{Date, Month, UtcOffset};

use crate::limits::TEXT_LENGTH_MAX;
use crate::value::{Value, normalized};

/// The most digits after the point to which a number is rounded.
const ROUND_DIGITS_MAX: i64 = 28;

/// The least number that has 29 digits.
const MANTISSA_END: u128 = 10_u128.pow(28);

/// The years whose days a cell can hold.
const YEARS: RangeInclusive<i32> = 0..=9999;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    If,
    Coalesce,
    IsEmpty,
    Concat,
    Text,
    Length,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    Contains,
    StartsWith,
    EndsWith,
    Round,
    Abs,
    Min,
    Max,
    Date,
    Year,
    Month,
    Day,
    AddDays,
    DaysBetween,
}

/// How a function is called.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// How many arguments it takes.
    pub(super) counts: RangeInclusive<usize>,
    pub(super) usage: &'static str,
}

/// Every argument takes at least two characters of the formula, so that there are never more.
const ANY: usize = crate::limits::FORMULA_CHARACTERS_MAX;

macro_rules! signatures {
    ($(($name:literal, $function:ident, $counts:expr, $usage:literal)),* $(,)?) => {
        [$(Signature {
            name: $name,
            function: Function::$function,
            counts: $counts,
            usage: $usage,
        }),*]
    };
}

static SIGNATURES: [Signature; 24] = signatures![
    ("if", If, 3..=3, "if(condition, then, otherwise)"),
    ("coalesce", Coalesce, 2..=ANY, "coalesce(a, b, ..)"),
    ("is_empty", IsEmpty, 1..=1, "is_empty(field)"),
    ("concat", Concat, 1..=ANY, "concat(a, b, ..)"),
    ("text", Text, 1..=1, "text(value)"),
    ("length", Length, 1..=1, "length(text)"),
    ("lower", Lower, 1..=1, "lower(text)"),
    ("upper", Upper, 1..=1, "upper(text)"),
    ("trim", Trim, 1..=1, "trim(text)"),
    ("left", Left, 2..=2, "left(text, characters)"),
    ("right", Right, 2..=2, "right(text, characters)"),
    ("contains", Contains, 2..=2, "contains(text, part)"),
    (
        "starts_with",
        StartsWith,
        2..=2,
        "starts_with(text, beginning)"
    ),
    ("ends_with", EndsWith, 2..=2, "ends_with(text, end)"),
    ("round", Round, 1..=2, "round(number, digits)"),
    ("abs", Abs, 1..=1, "abs(number)"),
    ("min", Min, 2..=ANY, "min(a, b, ..)"),
    ("max", Max, 2..=ANY, "max(a, b, ..)"),
    (
        "date",
        Date,
        1..=3,
        "date(year, month, day)` or `date(instant)"
    ),
    ("year", Year, 1..=1, "year(date)"),
    ("month", Month, 1..=1, "month(date)"),
    ("day", Day, 1..=1, "day(date)"),
    ("add_days", AddDays, 2..=2, "add_days(date, days)"),
    ("days_between", DaysBetween, 2..=2, "days_between(from, to)"),
];

/// The function of this name, in upper or lower case.
pub(super) fn find(name: &str) -> Option<&'static Signature> {
    SIGNATURES
        .iter()
        .find(|signature| signature.name.eq_ignore_ascii_case(name))
}

/// How the function is written.
pub(super) fn usage(function: Function) -> &'static str {
    SIGNATURES
        .iter()
        .find(|signature| signature.function == function)
        .map_or("", |signature| signature.usage)
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES.iter().map(|signature| signature.name)
}

/// Computes a function of whose arguments none is empty. `None` where it has no answer, and where the
/// arguments are of types that the check would have refused.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Value> {
    let first = arguments.first()?;
    match function {
        Function::Text => text(first).map(Value::Text),
        Function::Length => count(first.as_str()?.chars().count()),
        Function::Lower => bounded(first.as_str()?.to_lowercase()),
        Function::Upper => bounded(first.as_str()?.to_uppercase()),
        Function::Trim => bounded(first.as_str()?.trim().to_owned()),
        Function::Left | Function::Right => part_of(function, first.as_str()?, arguments.get(1)?),
        Function::Contains => relation(arguments, |text, part| text.contains(part)),
        Function::StartsWith => relation(arguments, |text, part| text.starts_with(part)),
        Function::EndsWith => relation(arguments, |text, part| text.ends_with(part)),
        Function::Round => round(first, arguments.get(1)),
        Function::Abs => match first {
            Value::Integer(number) => number.checked_abs().map(Value::Integer),
            other => other
                .as_decimal()
                .map(|number| Value::Decimal(number.abs())),
        },
        Function::Min | Function::Max => extreme(function, arguments),
        Function::Date => date(arguments),
        Function::Year => Some(Value::Integer(day_of(first)?.year().into())),
        Function::Month => Some(Value::Integer(u8::from(day_of(first)?.month()).into())),
        Function::Day => Some(Value::Integer(day_of(first)?.day().into())),
        Function::AddDays => add_days(day_of(first)?, arguments.get(1)?.as_integer()?),
        Function::DaysBetween => {
            let days = |date: Date| i64::from(date.to_julian_day());
            let (from, to) = (day_of(first)?, day_of(arguments.get(1)?)?);
            Some(Value::Integer(days(to) - days(from)))
        }
        // These are computed where their arguments are, as they may be empty.
        Function::If | Function::Coalesce | Function::IsEmpty | Function::Concat => None,
    }
}

/// The value as a text, as people write it.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Json(_) => None,
        other => Some(other.canonical_text()),
    }
}

/// A text that is not longer than a cell may hold.
pub(super) fn bounded(text: String) -> Option<Value> {
    // Bytes are looked at first, as they cost nothing to count.
    let fits = text.len() <= TEXT_LENGTH_MAX || text.chars().count() <= TEXT_LENGTH_MAX;
    fits.then_some(Value::Text(text))
}

fn count(number: usize) -> Option<Value> {
    i64::try_from(number).ok().map(Value::Integer)
}

fn relation(arguments: &[Value], holds: impl Fn(&str, &str) -> bool) -> Option<Value> {
    let (text, part) = (arguments.first()?.as_str()?, arguments.get(1)?.as_str()?);
    Some(Value::Boolean(holds(text, part)))
}

/// The first or the last characters. A number below zero has no answer.
fn part_of(function: Function, text: &str, characters: &Value) -> Option<Value> {
    let wanted = usize::try_from(characters.as_integer()?).ok()?;
    if function == Function::Left {
        return bounded(text.chars().take(wanted).collect());
    }
    let skipped = text.chars().count().saturating_sub(wanted);
    bounded(text.chars().skip(skipped).collect())
}

/// Rounds halves away from zero, as on an invoice.
fn round(number: &Value, digits: Option<&Value>) -> Option<Value> {
    let digits = match digits {
        None => 0,
        Some(digits) => digits.as_integer()?,
    };
    if !(0..=ROUND_DIGITS_MAX).contains(&digits) {
        return None;
    }
    let digits = u32::try_from(digits).ok()?;
    let rounded = number
        .as_decimal()?
        .round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    Some(Value::Decimal(rounded))
}

fn extreme(function: Function, values: &[Value]) -> Option<Value> {
    let mut found = values.first()?;
    for value in values.iter().skip(1) {
        let ordering = value.compare(found)?;
        let is_better = match function {
            Function::Min => ordering.is_lt(),
            _ => ordering.is_gt(),
        };
        if is_better {
            found = value;
        }
    }
    Some(found.clone())
}

/// The day of a date, or of an instant in UTC.
fn day_of(value: &Value) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        Value::Instant(instant) => Some(instant.checked_to_offset(UtcOffset::UTC)?.date()),
        _ => None,
    }
}

fn date(arguments: &[Value]) -> Option<Value> {
    let [year, month, day] = arguments else {
        return day_of(arguments.first()?).map(Value::Date);
    };
    let year = i32::try_from(year.as_integer()?).ok()?;
    let month = Month::try_from(u8::try_from(month.as_integer()?).ok()?).ok()?;
    let day = u8::try_from(day.as_integer()?).ok()?;
    within_years(Date::from_calendar_date(year, month, day).ok()?)
}

fn add_days(date: Date, days: i64) -> Option<Value> {
    let day = i64::from(date.to_julian_day()).checked_add(days)?;
    within_years(Date::from_julian_day(i32::try_from(day).ok()?).ok()?)
}

fn within_years(date: Date) -> Option<Value> {
    YEARS.contains(&date.year()).then_some(Value::Date(date))
}

/// A number as it is kept: of at most 28 digits, rounded where more stand behind the point, and without
/// zeros at the end.
pub(super) fn shortest(number: Decimal) -> Option<Value> {
    let kept = if number.mantissa().unsigned_abs() < MANTISSA_END {
        number
    } else {
        number.round_dp(number.scale().checked_sub(1)?)
    };
    Some(Value::Decimal(normalized(kept)))
}
