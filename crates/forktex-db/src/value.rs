// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values of columns: what a filter compares with, a cursor remembers, and a statement binds.
//!
//! The kinds are fewer than Postgres's types: each stands for a family whose members compare with one
//! another, so that `smallint`, `integer` and `bigint` are all [`ValueKind::Integer`].

mod column_type;
mod convert;

use std::fmt;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Error};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;

pub use column_type::{Assignable, ColumnType, Comparable, Textual};

/// A value of a column. SQL's NULL is [`Value::Null`].
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// NULL, of any kind.
    Null,
    /// `boolean`
    Boolean(bool),
    /// `smallint`, `integer`, `bigint`
    Integer(i64),
    /// `real`, `double precision`
    Float(f64),
    /// `text`, `varchar`
    Text(String),
    /// `bytea`
    Bytes(Vec<u8>),
    /// `uuid`
    Uuid(Uuid),
    /// `date`
    Date(Date),
    /// `time`
    Time(Time),
    /// `timestamp`, without a time zone
    LocalTimestamp(PrimitiveDateTime),
    /// `timestamptz`
    Timestamp(OffsetDateTime),
    /// `jsonb`
    Json(serde_json::Value),
}

/// A family of column types whose values compare with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// `boolean`
    Boolean,
    /// `smallint`, `integer`, `bigint`
    Integer,
    /// `real`, `double precision`
    Float,
    /// `text`, `varchar`
    Text,
    /// `bytea`
    Bytes,
    /// `uuid`
    Uuid,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`, without a time zone
    LocalTimestamp,
    /// `timestamptz`
    Timestamp,
    /// `jsonb`
    Json,
}

impl ValueKind {
    /// Whether the values have an order that users would expect: all but truth values, bytes and JSON.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::Boolean | Self::Bytes | Self::Json)
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "a truth value",
            Self::Integer => "an integer",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Uuid => "a UUID",
            Self::Date => "a date such as 2026-01-31",
            Self::Time => "a time such as 13:45:00",
            Self::LocalTimestamp => "a time without a zone such as 2026-01-31T13:45:00",
            Self::Timestamp => "a time such as 2026-01-31T13:45:00Z",
            Self::Json => "a JSON value",
        })
    }
}

impl Value {
    /// The kind; none for NULL.
    pub fn kind(&self) -> Option<ValueKind> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => ValueKind::Boolean,
            Self::Integer(_) => ValueKind::Integer,
            Self::Float(_) => ValueKind::Float,
            Self::Text(_) => ValueKind::Text,
            Self::Bytes(_) => ValueKind::Bytes,
            Self::Uuid(_) => ValueKind::Uuid,
            Self::Date(_) => ValueKind::Date,
            Self::Time(_) => ValueKind::Time,
            Self::LocalTimestamp(_) => ValueKind::LocalTimestamp,
            Self::Timestamp(_) => ValueKind::Timestamp,
            Self::Json(_) => ValueKind::Json,
        })
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Shows the kind, never the value: it may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            None => f.write_str("Null"),
            Some(kind) => write!(f, "{kind:?}(..)"),
        }
    }
}

/// A parameter of a statement: one value, or an array of one kind. NULL needs the kind too, since
/// Postgres wants a type for every parameter.
#[derive(Clone, PartialEq)]
pub(crate) enum Parameter {
    One(ValueKind, Value),
    Many(ValueKind, Vec<Value>),
}

impl Parameter {
    /// Adds the parameter to the arguments of a statement.
    pub(crate) fn bind(self, arguments: &mut PgArguments) -> Result<(), Error> {
        match self {
            Self::One(kind, value) => bind_one(kind, value, arguments),
            Self::Many(kind, values) => bind_many(kind, values, arguments),
        }
        .map_err(Error::Encode)
    }
}

type Bound = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// For each kind: its variant, to bind one, or none, or many of it.
macro_rules! by_kind {
    ($kind:expr, $bind:ident) => {
        match $kind {
            ValueKind::Boolean => $bind!(Boolean),
            ValueKind::Integer => $bind!(Integer),
            ValueKind::Float => $bind!(Float),
            ValueKind::Text => $bind!(Text),
            ValueKind::Bytes => $bind!(Bytes),
            ValueKind::Uuid => $bind!(Uuid),
            ValueKind::Date => $bind!(Date),
            ValueKind::Time => $bind!(Time),
            ValueKind::LocalTimestamp => $bind!(LocalTimestamp),
            ValueKind::Timestamp => $bind!(Timestamp),
            ValueKind::Json => $bind!(Json),
        }
    };
}

fn bind_one(kind: ValueKind, value: Value, arguments: &mut PgArguments) -> Bound {
    macro_rules! one {
        ($variant:ident) => {
            arguments.add(match value {
                Value::$variant(value) => Some(value),
                // A value of another kind was refused before it came here.
                _ => None,
            })
        };
    }
    by_kind!(kind, one)
}

fn bind_many(kind: ValueKind, values: Vec<Value>, arguments: &mut PgArguments) -> Bound {
    macro_rules! many {
        ($variant:ident) => {
            arguments.add(
                values
                    .into_iter()
                    .map(|value| match value {
                        Value::$variant(value) => Some(value),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            )
        };
    }
    by_kind!(kind, many)
}
