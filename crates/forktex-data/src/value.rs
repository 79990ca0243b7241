// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values: what a cell may hold, how it is stored, and how two of them compare.
//!
//! It checks no rule of a field. There is no floating point number among the values, so that what was
//! written is what is read.

mod text;

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::cell::Cell;

pub(crate) use text::{
    date_text, instant_text, is_decimal, parse_date, parse_exact_decimal, parse_instant, parse_uuid,
};

/// One value of a row.
///
/// An instant is kept in UTC with microseconds: its years are 0 to 9999, and what is finer is cut off
/// when it is stored.
///
/// # Examples
/// ```
/// use forktex_data::{Value, ValueKind};
///
/// let total = Value::from(42);
/// assert_eq!(total.kind(), ValueKind::Integer);
/// assert_eq!(total.as_integer(), Some(42));
/// assert_eq!(Value::from("paid").to_json(), serde_json::json!("paid"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A text, compared by code point.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// An exact decimal number of at most 28 digits.
    Decimal(Decimal),
    /// True or false; false comes first.
    Boolean(bool),
    /// A day of the years 0 to 9999.
    Date(Date),
    /// An instant with microseconds.
    Instant(OffsetDateTime),
    /// A UUID.
    Uuid(Uuid),
    /// A JSON document; `null` is one of them, and is not the same as an emptied cell.
    Json(Json),
}

/// What kind of value a field holds, whatever its type makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ValueKind {
    /// Text; also the keys of an enum.
    Text,
    /// Whole numbers.
    Integer,
    /// Exact decimal numbers.
    Decimal,
    /// True or false.
    Boolean,
    /// Days.
    Date,
    /// Instants.
    Datetime,
    /// UUIDs; also what references point to.
    Uuid,
    /// JSON documents.
    Json,
}

impl ValueKind {
    /// Whether values of this kind are numbers, which are compared with each other across kinds.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }

    /// The word for it: `text`, `integer`, ..
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Uuid => "uuid",
            Self::Json => "json",
        }
    }
}

impl Value {
    /// The kind of the value.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Text(_) => ValueKind::Text,
            Self::Integer(_) => ValueKind::Integer,
            Self::Decimal(_) => ValueKind::Decimal,
            Self::Boolean(_) => ValueKind::Boolean,
            Self::Date(_) => ValueKind::Date,
            Self::Instant(_) => ValueKind::Datetime,
            Self::Uuid(_) => ValueKind::Uuid,
            Self::Json(_) => ValueKind::Json,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The number as a decimal, if it is a number: a whole one is converted, without loss.
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Integer(number) => Some(Decimal::from(*number)),
            Self::Decimal(number) => Some(*number),
            _ => None,
        }
    }

    /// True or false, if it is one of them.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(yes) => Some(*yes),
            _ => None,
        }
    }

    /// The day, if it is one.
    pub fn as_date(&self) -> Option<Date> {
        match self {
            Self::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// The instant, if it is one.
    pub fn as_instant(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Instant(instant) => Some(*instant),
            _ => None,
        }
    }

    /// The UUID, if it is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(uuid) => Some(*uuid),
            _ => None,
        }
    }

    /// The JSON document, if it is one.
    pub fn as_json(&self) -> Option<&Json> {
        match self {
            Self::Json(json) => Some(json),
            _ => None,
        }
    }

    /// The value as JSON for people and services: a decimal as a string, so that it stays exact, a
    /// date as `2026-01-31`, an instant as `2026-01-31T13:45:00.000000Z`.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::String(text.clone()),
            Self::Integer(number) => Json::from(*number),
            Self::Decimal(number) => Json::String(number.to_string()),
            Self::Boolean(yes) => Json::Bool(*yes),
            Self::Json(json) => json.clone(),
            Self::Date(_) | Self::Instant(_) | Self::Uuid(_) => Json::String(self.canonical_text()),
        }
    }

    /// The text that stands for the value in the side tables and in groups. Texts of one kind sort as
    /// their values do, but for numbers, which have a table of their own.
    pub(crate) fn canonical_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number) => normalized(*number).to_string(),
            Self::Boolean(yes) => yes.to_string(),
            Self::Date(date) => date_text(*date),
            Self::Instant(instant) => instant_text(*instant),
            Self::Uuid(uuid) => uuid.to_string(),
            Self::Json(json) => json.to_string(),
        }
    }

    /// The value as it stands among the cells of a row: a JSON document is wrapped in a list, so that
    /// `null` as a document is not an emptied cell.
    pub(crate) fn to_cell_json(&self) -> Json {
        match self {
            Self::Json(json) => Json::Array(vec![json.clone()]),
            other => other.to_json(),
        }
    }

    /// Reads what [`to_cell_json`](Self::to_cell_json) wrote; `None` where it is of another kind,
    /// which only happens to rows that others than this crate wrote.
    pub(crate) fn from_cell_json(kind: ValueKind, json: &Json) -> Option<Cell> {
        if json.is_null() {
            return Some(Cell::Null);
        }
        let value = match kind {
            ValueKind::Text => Self::Text(json.as_str()?.to_owned()),
            ValueKind::Integer => Self::Integer(json.as_i64()?),
            ValueKind::Decimal => Self::Decimal(parse_exact_decimal(json.as_str()?)?),
            ValueKind::Boolean => Self::Boolean(json.as_bool()?),
            ValueKind::Date => Self::Date(parse_date(json.as_str()?)?),
            ValueKind::Datetime => Self::Instant(parse_instant(json.as_str()?)?),
            ValueKind::Uuid => Self::Uuid(parse_uuid(json.as_str()?)?),
            ValueKind::Json => match json.as_array()?.as_slice() {
                [document] => Self::Json(document.clone()),
                _ => return None,
            },
        };
        Some(Cell::Value(value))
    }

    /// How two values of one kind, or two numbers, are ordered. `None` for values of different kinds
    /// and for JSON documents, which have no order.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            // The bytes of UTF-8 are in the order of the code points.
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::Integer(one), Self::Integer(two)) => Some(one.cmp(two)),
            (Self::Boolean(one), Self::Boolean(two)) => Some(one.cmp(two)),
            (Self::Date(one), Self::Date(two)) => Some(one.cmp(two)),
            (Self::Instant(one), Self::Instant(two)) => Some(one.cmp(two)),
            (Self::Uuid(one), Self::Uuid(two)) => Some(one.cmp(two)),
            _ => Some(self.as_decimal()?.cmp(&other.as_decimal()?)),
        }
    }
}

/// The shortest form of a decimal: without zeros at the end, and zero without a sign.
pub(crate) fn normalized(number: Decimal) -> Decimal {
    if number.is_zero() {
        Decimal::ZERO
    } else {
        number.normalize()
    }
}

/// As [`Value::to_json`], which is not made on the way.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Decimal(number) => serializer.collect_str(number),
            Self::Boolean(yes) => serializer.serialize_bool(*yes),
            Self::Json(json) => json.serialize(serializer),
            Self::Date(_) | Self::Instant(_) | Self::Uuid(_) => {
                serializer.serialize_str(&self.canonical_text())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<Decimal> for Value {
    fn from(number: Decimal) -> Self {
        Self::Decimal(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Boolean(yes)
    }
}

impl From<Date> for Value {
    fn from(date: Date) -> Self {
        Self::Date(date)
    }
}

impl From<OffsetDateTime> for Value {
    fn from(instant: OffsetDateTime) -> Self {
        Self::Instant(instant)
    }
}

impl From<Uuid> for Value {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

#[cfg(test)]
mod tests;
