// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One value against the rules of its field, and the one form in which it is stored.

use std::cmp::Ordering;
use std::fmt::Display;

use rust_decimal::Decimal;
use serde_json::Value as Json;
use time::{OffsetDateTime, UtcOffset};

use super::{CellProblem, DECIMAL_DIGITS_MAX};
use crate::field::FieldDefinition;
use crate::field_type::{DecimalRules, EnumOptions, FieldType, TextRules};
use crate::limits::JSON_BYTES_MAX;
use crate::value::{Value, date_text, instant_text, normalized};

/// How deep a JSON document may be nested. What reads JSON stops at 128.
const JSON_DEPTH_MAX: usize = 100;

/// Keys that a problem names.
const OPTIONS_NAMED_MAX: usize = 20;

/// The value in the form in which it is stored, whatever its field.
pub(crate) fn normal_form(value: Value) -> Result<Value, CellProblem> {
    match value {
        Value::Text(text) if text.contains('\0') => Err(CellProblem::NulCharacter),
        Value::Decimal(number) => Ok(Value::Decimal(normalized(number))),
        Value::Date(date) if !(0..=9999).contains(&date.year()) => {
            Err(CellProblem::Unrepresentable)
        }
        Value::Instant(instant) => normal_instant(instant).map(Value::Instant),
        Value::Json(json) => check_document(&json).map(|()| Value::Json(json)),
        other => Ok(other),
    }
}

/// Checks a value of the right kind against the rules of its field, and gives its stored form.
pub(crate) fn apply(definition: &FieldDefinition, value: Value) -> Result<Value, CellProblem> {
    let value = normal_form(value)?;
    if let Value::Text(text) = &value {
        check_length(text, definition.text_length_max())?;
    }
    match (&definition.field_type, value) {
        (FieldType::Text(rules), Value::Text(text)) => {
            check_text(rules, &text)?;
            Ok(Value::Text(text))
        }
        (FieldType::Integer(rules), Value::Integer(number)) => {
            check_bounds(
                &number,
                rules.minimum.as_ref(),
                rules.maximum.as_ref(),
                i64::to_string,
            )?;
            Ok(Value::Integer(number))
        }
        (FieldType::Decimal(rules), Value::Decimal(number)) => {
            decimal(rules, number).map(Value::Decimal)
        }
        (FieldType::Date(rules), Value::Date(date)) => {
            let (minimum, maximum) = (rules.minimum.as_ref(), rules.maximum.as_ref());
            check_bounds(&date, minimum, maximum, |bound| date_text(*bound))?;
            Ok(Value::Date(date))
        }
        (FieldType::Datetime(rules), Value::Instant(instant)) => {
            let (minimum, maximum) = (rules.minimum.as_ref(), rules.maximum.as_ref());
            check_bounds(&instant, minimum, maximum, |bound| instant_text(*bound))?;
            Ok(Value::Instant(instant))
        }
        (FieldType::Enum(options), Value::Text(key)) => {
            check_option(options, &key)?;
            Ok(Value::Text(key))
        }
        (FieldType::Json { bytes_max }, Value::Json(json)) => {
            check_bytes(&json, bytes_max.unwrap_or(JSON_BYTES_MAX))?;
            Ok(Value::Json(json))
        }
        (FieldType::Custom { .. }, Value::Json(json)) => {
            check_bytes(&json, JSON_BYTES_MAX)?;
            Ok(Value::Json(json))
        }
        (FieldType::Custom { .. }, Value::Decimal(number)) => {
            decimal(&DecimalRules::default(), number).map(Value::Decimal)
        }
        (_, other) => Ok(other),
    }
}

/// The number of bytes of a document, written without spaces.
pub(super) fn json_bytes(json: &Json) -> usize {
    let mut counter = ByteCounter(0);
    // Writing into a counter cannot fail, and what cannot be written has no bytes.
    let _ = serde_json::to_writer(&mut counter, json);
    counter.0
}

fn normal_instant(instant: OffsetDateTime) -> Result<OffsetDateTime, CellProblem> {
    instant
        .checked_to_offset(UtcOffset::UTC)
        .filter(|instant| (0..=9999).contains(&instant.year()))
        .map(OffsetDateTime::truncate_to_microsecond)
        .ok_or(CellProblem::Unrepresentable)
}

/// Walks a document with a list of its own: one that is nested too deep would end the thread.
fn check_document(json: &Json) -> Result<(), CellProblem> {
    let mut open = vec![(json, 1)];
    while let Some((json, depth)) = open.pop() {
        if depth > JSON_DEPTH_MAX {
            return Err(CellProblem::TooDeep {
                depth_max: JSON_DEPTH_MAX,
            });
        }
        match json {
            Json::String(text) if text.contains('\0') => return Err(CellProblem::NulCharacter),
            Json::Array(members) => open.extend(members.iter().map(|json| (json, depth + 1))),
            Json::Object(members) => {
                if members.keys().any(|name| name.contains('\0')) {
                    return Err(CellProblem::NulCharacter);
                }
                open.extend(members.values().map(|json| (json, depth + 1)));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn check_length(text: &str, max: usize) -> Result<(), CellProblem> {
    // Most texts have no more bytes than characters are allowed, and need no counting.
    if text.len() <= max {
        return Ok(());
    }
    match text.chars().count() {
        length if length > max => Err(CellProblem::TooLong { length, max }),
        _ => Ok(()),
    }
}

fn check_text(rules: &TextRules, text: &str) -> Result<(), CellProblem> {
    if let Some(min) = rules.length_min {
        let length = text.chars().count();
        if length < min {
            return Err(CellProblem::TooShort { length, min });
        }
    }
    match &rules.pattern {
        Some(pattern) if !pattern.is_match(text) => Err(CellProblem::Pattern {
            pattern: pattern.as_str().to_owned(),
        }),
        _ => Ok(()),
    }
}

fn check_bounds<T: Ord>(
    value: &T,
    minimum: Option<&T>,
    maximum: Option<&T>,
    text: impl Fn(&T) -> String,
) -> Result<(), CellProblem> {
    match (minimum, maximum) {
        (Some(minimum), _) if value.cmp(minimum) == Ordering::Less => {
            Err(CellProblem::BelowMinimum {
                minimum: text(minimum),
            })
        }
        (_, Some(maximum)) if value.cmp(maximum) == Ordering::Greater => {
            Err(CellProblem::AboveMaximum {
                maximum: text(maximum),
            })
        }
        _ => Ok(()),
    }
}

/// A number with as many digits after the point as its field keeps. Nothing is rounded: a number that
/// would have to be is refused.
fn decimal(rules: &DecimalRules, number: Decimal) -> Result<Decimal, CellProblem> {
    let mut number = number;
    if let Some(scale) = rules.scale {
        if number.scale() > scale {
            return Err(CellProblem::Scale { scale });
        }
        number.rescale(scale);
        if number.scale() != scale {
            return Err(CellProblem::Unrepresentable);
        }
    }
    if digits(&number) > DECIMAL_DIGITS_MAX {
        return Err(CellProblem::Unrepresentable);
    }
    let (minimum, maximum) = (rules.minimum.as_ref(), rules.maximum.as_ref());
    check_bounds(&number, minimum, maximum, Decimal::to_string)?;
    Ok(number)
}

/// How many digits a number is written with.
pub(crate) fn digits(number: &impl Display) -> usize {
    let text = number.to_string();
    text.bytes().filter(u8::is_ascii_digit).count()
}

fn check_option(options: &EnumOptions, key: &str) -> Result<(), CellProblem> {
    if options.has(key) {
        return Ok(());
    }
    let named = options.keys().take(OPTIONS_NAMED_MAX);
    Err(CellProblem::NotAnOption {
        options: named.map(str::to_owned).collect(),
    })
}

fn check_bytes(json: &Json, max: usize) -> Result<(), CellProblem> {
    match json_bytes(json) {
        bytes if bytes > max => Err(CellProblem::TooLarge { bytes, max }),
        _ => Ok(()),
    }
}

/// Counts bytes instead of keeping them.
struct ByteCounter(usize);

impl std::io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
