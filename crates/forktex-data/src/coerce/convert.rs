// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values from one type to another, when a field changes its type.
//!
//! A value that would lose something is refused, so that a dry run tells it: an instant within a day is
//! no date, and 1.5 is no whole number.

use serde_json::Value as Json;
use time::{OffsetDateTime, Time};

use super::{CellProblem, check_writable, emptied, finish, raw_from_text, read, text};
use crate::cell::Cell;
use crate::custom_type::TypeRegistry;
use crate::field_type::FieldType;
use crate::register::Field;
use crate::value::{Value, ValueKind};

/// What a value of the field `from` is in the field `to`. A text without anything in it, and a document
/// `null`, become emptied cells where the new field could not hold them.
pub(crate) fn convert(
    value: &Value,
    from: &Field,
    to: &Field,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    check_writable(&to.definition)?;
    let references = [from, to].map(|field| field.definition.field_type.is_reference());
    // Links are not cells: what was in one cannot go to the other.
    if references.contains(&true) {
        return Err(refuse(value, to.kind));
    }
    let raw = match (value, to.kind) {
        (Value::Text(text), ValueKind::Json) => Value::Json(Json::String(text.clone())),
        (Value::Text(text), _) if text.trim().is_empty() && !is_text(to) => {
            return emptied(&to.definition, Cell::Null);
        }
        (Value::Text(text), kind) => raw_from_text(&to.definition, kind, text)?,
        (Value::Json(Json::Null), kind) if kind != ValueKind::Json => {
            return emptied(&to.definition, Cell::Null);
        }
        (Value::Json(json), ValueKind::Text) => document_as_text(json),
        (Value::Json(Json::String(text)), kind) if kind != ValueKind::Json => {
            text::from_text(kind, text)?
        }
        (Value::Json(json), kind) => simple(&read::operand(kind, json)?, kind)?,
        (value, ValueKind::Text) => Value::Text(value.canonical_text()),
        (value, ValueKind::Json) => Value::Json(value.to_json()),
        // What has no plain way may have one of its own.
        (value, kind) if is_custom(to) => simple(value, kind).unwrap_or_else(|_| value.clone()),
        (value, kind) => simple(value, kind)?,
    };
    finish(&to.definition, raw, types)
}

/// Whether a field holds any text, also one without anything in it.
fn is_text(field: &Field) -> bool {
    matches!(field.definition.field_type, FieldType::Text(_))
}

fn is_custom(field: &Field) -> bool {
    matches!(field.definition.field_type, FieldType::Custom { .. })
}

/// A document as text: a string is what it says, everything else is written as JSON.
fn document_as_text(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::from(text.as_str()),
        other => Value::Text(other.to_string()),
    }
}

/// From one of the plain kinds to another, where nothing is lost.
fn simple(value: &Value, kind: ValueKind) -> Result<Value, CellProblem> {
    match (value, kind) {
        (value, kind) if value.kind() == kind => Ok(value.clone()),
        (Value::Integer(number), ValueKind::Decimal) => Ok(Value::Decimal((*number).into())),
        (Value::Decimal(_), ValueKind::Integer) => {
            text::whole(value).ok_or(CellProblem::Unrepresentable)
        }
        (Value::Boolean(yes), ValueKind::Integer) => Ok(Value::Integer((*yes).into())),
        (Value::Boolean(yes), ValueKind::Decimal) => Ok(Value::Decimal(i64::from(*yes).into())),
        (Value::Integer(_) | Value::Decimal(_), ValueKind::Boolean) => match text::whole(value) {
            Some(Value::Integer(0)) => Ok(Value::Boolean(false)),
            Some(Value::Integer(1)) => Ok(Value::Boolean(true)),
            _ => Err(CellProblem::Unrepresentable),
        },
        (Value::Date(date), ValueKind::Datetime) => {
            Ok(Value::Instant(date.midnight().assume_utc()))
        }
        (Value::Instant(instant), ValueKind::Date) => day(*instant),
        (value, kind) => Err(refuse(value, kind)),
    }
}

/// The day that an instant begins.
fn day(instant: OffsetDateTime) -> Result<Value, CellProblem> {
    if instant.time() == Time::MIDNIGHT {
        return Ok(Value::Date(instant.date()));
    }
    Err(CellProblem::Unrepresentable)
}

fn refuse(value: &Value, kind: ValueKind) -> CellProblem {
    CellProblem::WrongType {
        expected: read::expected(kind),
        found: value.kind().as_str(),
    }
}
