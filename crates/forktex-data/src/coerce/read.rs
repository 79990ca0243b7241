// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values of one kind from JSON and from Rust, strictly.

use rust_decimal::Decimal;
use serde_json::{Number, Value as Json};

use crate::validate::{CellProblem, DECIMAL_DIGITS_MAX, digits};
use crate::value::{
    Value, ValueKind, is_decimal, parse_date, parse_exact_decimal, parse_instant, parse_uuid,
};

/// Two to the power of 63: the first number that is too large for 64 bits with a sign.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

/// Reads a value that is not `null`, strictly.
pub(super) fn from_json(kind: ValueKind, json: &Json) -> Result<Value, CellProblem> {
    let wrong = || wrong_type(kind, json);
    match kind {
        ValueKind::Text => Ok(Value::from(json.as_str().ok_or_else(wrong)?)),
        ValueKind::Integer => integer(json).map(Value::Integer),
        ValueKind::Decimal => {
            let text = json.as_str().ok_or_else(wrong)?;
            parse_decimal(text).map(Value::Decimal)
        }
        ValueKind::Boolean => json.as_bool().map(Value::Boolean).ok_or_else(wrong),
        ValueKind::Date => {
            let date = json.as_str().and_then(parse_date);
            date.map(Value::Date).ok_or_else(wrong)
        }
        ValueKind::Datetime => {
            let instant = json.as_str().and_then(parse_instant);
            instant.map(Value::Instant).ok_or_else(wrong)
        }
        ValueKind::Uuid => {
            let uuid = json.as_str().and_then(parse_uuid);
            uuid.map(Value::Uuid).ok_or_else(wrong)
        }
        ValueKind::Json => Ok(Value::Json(json.clone())),
    }
}

/// Takes a value from Rust: of the kind itself, a whole number for a decimal, or what stands for the
/// kind in JSON.
pub(super) fn from_value(kind: ValueKind, value: Value) -> Result<Value, CellProblem> {
    match (kind, value) {
        (ValueKind::Decimal, Value::Integer(number)) => Ok(Value::Decimal(number.into())),
        (kind, value) if value.kind() == kind => Ok(value),
        (ValueKind::Json, other) => Err(CellProblem::WrongType {
            expected: expected(ValueKind::Json),
            found: other.kind().as_str(),
        }),
        (kind, Value::Json(json)) => from_json(kind, &json),
        (
            ValueKind::Decimal | ValueKind::Date | ValueKind::Datetime | ValueKind::Uuid,
            Value::Text(text),
        ) => from_json(kind, &Json::String(text)),
        (kind, other) => Err(CellProblem::WrongType {
            expected: expected(kind),
            found: other.kind().as_str(),
        }),
    }
}

/// Reads what a filter compares with: as [`from_json`], with numbers of all forms that are exact, for
/// whole numbers and decimals alike.
pub(super) fn operand(kind: ValueKind, json: &Json) -> Result<Value, CellProblem> {
    match (kind, json) {
        (ValueKind::Integer | ValueKind::Decimal, Json::Number(number)) => number_operand(number),
        (ValueKind::Decimal, Json::String(text)) => {
            let number = parse_exact_decimal(text).map(Value::Decimal);
            number.ok_or(CellProblem::NotANumber)
        }
        _ => from_json(kind, json),
    }
}

/// The JSON as the value that it is by itself.
pub(super) fn as_written(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::from(text.as_str()),
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::Number(_) => match integer(json) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Json(json.clone()),
        },
        other => Value::Json(other.clone()),
    }
}

/// Reads a decimal as an API takes it: at most 28 digits, as they are written.
pub(super) fn parse_decimal(text: &str) -> Result<Decimal, CellProblem> {
    if !is_decimal(text) {
        return Err(CellProblem::NotANumber);
    }
    if digits(&text) > DECIMAL_DIGITS_MAX {
        return Err(CellProblem::Unrepresentable);
    }
    parse_exact_decimal(text).ok_or(CellProblem::Unrepresentable)
}

/// What a field of this kind takes, in words.
pub(super) fn expected(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Text => "a text",
        ValueKind::Integer => "a whole number",
        ValueKind::Decimal => "a decimal number as a string, such as \"12.50\"",
        ValueKind::Boolean => "true or false",
        ValueKind::Date => "a date as a string, such as \"2026-01-31\"",
        ValueKind::Datetime => "an instant as a string, such as \"2026-01-31T13:45:00Z\"",
        ValueKind::Uuid => "a UUID as a string, with dashes",
        ValueKind::Json => "a JSON document",
    }
}

/// What a JSON value is, in a word.
pub(super) fn found(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "text",
        Json::Array(_) => "list",
        Json::Object(_) => "object",
    }
}

/// A JSON number without a fraction, within 64 bits; `1.0` and `1e3` are such.
fn integer(json: &Json) -> Result<i64, CellProblem> {
    let Json::Number(number) = json else {
        return Err(wrong_type(ValueKind::Integer, json));
    };
    if let Some(number) = number.as_i64() {
        return Ok(number);
    }
    match number.as_f64() {
        Some(float) if float.fract() != 0.0 => Err(CellProblem::WrongType {
            expected: expected(ValueKind::Integer),
            found: "a number with a fraction",
        }),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it is without a fraction and within the bounds"
        )]
        Some(float) if (-INTEGER_END..INTEGER_END).contains(&float) => Ok(float as i64),
        _ => Err(CellProblem::Unrepresentable),
    }
}

/// A number to compare with. One with a fraction is taken as it is written in its shortest form.
fn number_operand(number: &Number) -> Result<Value, CellProblem> {
    if let Some(number) = number.as_i64() {
        return Ok(Value::Integer(number));
    }
    let text = number.to_string();
    parse_exact_decimal(&text)
        .map(Value::Decimal)
        .ok_or(CellProblem::Unrepresentable)
}

fn wrong_type(kind: ValueKind, json: &Json) -> CellProblem {
    CellProblem::WrongType {
        expected: expected(kind),
        found: found(json),
    }
}
