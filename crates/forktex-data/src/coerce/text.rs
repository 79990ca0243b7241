// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values of one kind from text as people and spreadsheets write it.
//!
//! Only what is meant beyond doubt is taken: no separators of thousands, no decimal comma, no
//! `31/01/2026`.

use serde_json::Value as Json;
use uuid::Uuid;

use super::read::{expected, parse_decimal};
use crate::field_type::EnumOptions;
use crate::validate::CellProblem;
use crate::value::{Value, ValueKind, normalized, parse_date, parse_instant};

/// Reads a value from text, loosely. Spaces around it do not count, but for texts.
pub(super) fn from_text(kind: ValueKind, text: &str) -> Result<Value, CellProblem> {
    let tidy = text.trim();
    let wrong = || CellProblem::WrongType {
        expected: expected(kind),
        found: "text",
    };
    match kind {
        ValueKind::Text => Ok(Value::from(text)),
        ValueKind::Integer => {
            let number = decimal(tidy)?;
            whole(&Value::Decimal(number)).ok_or(CellProblem::Unrepresentable)
        }
        ValueKind::Decimal => decimal(tidy).map(Value::Decimal),
        ValueKind::Boolean => boolean(tidy).map(Value::Boolean).ok_or_else(wrong),
        ValueKind::Date => parse_date(tidy).map(Value::Date).ok_or_else(wrong),
        ValueKind::Datetime => {
            let instant = parse_instant(&tidy_instant(tidy));
            instant.map(Value::Instant).ok_or_else(wrong)
        }
        ValueKind::Uuid => Uuid::try_parse(tidy).map(Value::Uuid).map_err(|_| wrong()),
        ValueKind::Json => match serde_json::from_str::<Json>(tidy) {
            Ok(json) => Ok(Value::Json(json)),
            Err(_) => Err(wrong()),
        },
    }
}

/// The key of an option that is named by its key or by its label. What is neither is left as it is.
pub(super) fn option(options: &EnumOptions, text: &str) -> Value {
    let tidy = text.trim();
    let labelled = || {
        let mut options = options.options.iter();
        options.find(|option| option.label.as_deref() == Some(tidy))
    };
    match labelled().filter(|_| !options.has(tidy)) {
        Some(option) => Value::from(option.key.as_str()),
        None => Value::from(tidy),
    }
}

/// The whole number that a number is, if it is one within 64 bits.
pub(super) fn whole(number: &Value) -> Option<Value> {
    let text = normalized(number.as_decimal()?).to_string();
    text.parse().ok().map(Value::Integer)
}

/// Reads a decimal with a plus sign, with zeros in front, or without a digit at one side of the point.
fn decimal(text: &str) -> Result<rust_decimal::Decimal, CellProblem> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    // One sign is enough.
    if digits.starts_with('-') {
        return Err(CellProblem::NotANumber);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(CellProblem::NotANumber);
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    match fraction.trim_end_matches('0') {
        "" => parse_decimal(&format!("{sign}{whole}")),
        fraction => parse_decimal(&format!("{sign}{whole}.{fraction}")),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The form that instants are read in, from one with a space, without seconds, with too many digits of
/// a second, without an offset (then it is UTC), or of a day alone (then it is its first instant).
fn tidy_instant(text: &str) -> String {
    let Some((date, rest)) = text.split_at_checked(10) else {
        return text.to_owned();
    };
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        let is_day = rest.is_empty();
        return format!("{text}{}", if is_day { "T00:00:00Z" } else { "" });
    };
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(offset_at);
    let time = time.trim_end();
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds = match seconds.len() {
        5 => format!("{seconds}:00"),
        _ => seconds.to_owned(),
    };
    let offset = match offset.trim() {
        "" | "z" => "Z",
        offset => offset,
    };
    // The seventh digit and those after it are finer than what is kept.
    let digits = fraction
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count()
        .min(6);
    let is_number = fraction.bytes().all(|b| b.is_ascii_digit());
    match fraction.get(..digits) {
        Some(kept) if is_number && !kept.is_empty() => {
            format!("{date}T{seconds}.{kept}{offset}")
        }
        _ if time.contains('.') => text.to_owned(),
        _ => format!("{date}T{seconds}{offset}"),
    }
}
