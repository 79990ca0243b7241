// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The Rust types that a field of a model may have, and the kind of column that each stands for.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::types::Text as AsText;
use sqlx::{Decode, Postgres, Type};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;

use super::{Value, ValueKind};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A type that a column of a model is read into: `bool`, `i16`, `i32`, `i64`, `f32`, `f64`, `String`,
/// `Vec<u8>`, `Uuid`, the types of `time`, `serde_json::Value`, and an `Option` of each.
///
/// A field of another type is stored as text with `#[model(text)]`, through `Display` and `FromStr`, or
/// as JSON with `#[model(json)]`, through serde.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type of a column",
    note = "a field of this type can be stored as text with `#[model(text)]` (it needs `Display` and `FromStr`) or as JSON with `#[model(json)]` (it needs serde)"
)]
pub trait ColumnType: Type<Postgres> + for<'r> Decode<'r, Postgres> {
    /// The kind of the column.
    const KIND: ValueKind;

    /// The type in SQL.
    const SQL_TYPE: &'static str;

    /// Whether the column may be NULL.
    const IS_NULLABLE: bool = false;

    /// The value, to be bound.
    fn to_value(&self) -> Value;
}

/// What a column of the type `T` is compared with: a `T`, and for an optional column the `T` inside;
/// for a text also a `&str`.
#[diagnostic::on_unimplemented(
    message = "a column of type `{T}` cannot be compared with `{Self}`",
    note = "give a value of the column's own type; an optional column takes the value inside, and `is_null()` finds the rows without one"
)]
pub trait Comparable<T> {
    /// The value to compare with.
    fn into_value(self) -> Value;
}

/// What a column of the type `T` can be given: a `T`, for an optional column also the `T` inside, and
/// for a text also a `&str`.
#[diagnostic::on_unimplemented(
    message = "a column of type `{T}` cannot be given `{Self}`",
    note = "give a value of the column's own type; an optional column takes the value inside too, or `None`"
)]
pub trait Assignable<T> {
    /// The value to give.
    fn into_value(self) -> Value;
}

/// A column that holds text: `String` or `Option<String>`.
#[diagnostic::on_unimplemented(
    message = "only a text column has this operator, not one of type `{Self}`"
)]
pub trait Textual: ColumnType {}

impl Textual for String {}
impl Textual for Option<String> {}

impl<T: ColumnType> ColumnType for Option<T> {
    const KIND: ValueKind = T::KIND;
    const SQL_TYPE: &'static str = T::SQL_TYPE;
    const IS_NULLABLE: bool = true;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
}

macro_rules! column_types {
    ($($type:ty => $sql_type:literal $kind:ident ($self:ident) $value:expr;)*) => {$(
        impl ColumnType for $type {
            const KIND: ValueKind = ValueKind::$kind;
            const SQL_TYPE: &'static str = $sql_type;

            fn to_value(&$self) -> Value {
                Value::$kind($value)
            }
        }

        impl Comparable<$type> for $type {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }

        impl Comparable<Option<$type>> for $type {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }

        impl Assignable<$type> for $type {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }

        impl Assignable<Option<$type>> for $type {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }

        impl Assignable<Option<$type>> for Option<$type> {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }
    )*};
}

column_types! {
    bool => "boolean" Boolean(self) *self;
    i16 => "smallint" Integer(self) i64::from(*self);
    i32 => "integer" Integer(self) i64::from(*self);
    i64 => "bigint" Integer(self) *self;
    f32 => "real" Float(self) f64::from(*self);
    f64 => "double precision" Float(self) *self;
    String => "text" Text(self) self.clone();
    Vec<u8> => "bytea" Bytes(self) self.clone();
    Uuid => "uuid" Uuid(self) *self;
    Date => "date" Date(self) *self;
    Time => "time" Time(self) *self;
    PrimitiveDateTime => "timestamp" LocalTimestamp(self) *self;
    OffsetDateTime => "timestamptz" Timestamp(self) *self;
    serde_json::Value => "jsonb" Json(self) self.clone();
}

macro_rules! texts {
    ($($trait:ident<$column:ty>;)*) => {$(
        impl $trait<$column> for &str {
            fn into_value(self) -> Value {
                Value::Text(self.to_owned())
            }
        }
    )*};
}

texts! {
    Comparable<String>;
    Comparable<Option<String>>;
    Assignable<String>;
    Assignable<Option<String>>;
}

/// A field stored as text, by `#[model(text)]`.
impl<T> ColumnType for AsText<T>
where
    T: Display + FromStr,
    BoxedError: From<T::Err>,
{
    const KIND: ValueKind = ValueKind::Text;
    const SQL_TYPE: &'static str = "text";

    fn to_value(&self) -> Value {
        Value::Text(self.0.to_string())
    }
}

macro_rules! displayed {
    ($($trait:ident<$column:ty>;)*) => {$(
        impl<T: Display> $trait<$column> for T {
            fn into_value(self) -> Value {
                Value::Text(self.to_string())
            }
        }
    )*};
}

displayed! {
    Comparable<AsText<T>>;
    Comparable<Option<AsText<T>>>;
    Assignable<AsText<T>>;
    Assignable<Option<AsText<T>>>;
}

impl<T: Display> Assignable<Option<AsText<T>>> for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, |value| Value::Text(value.to_string()))
    }
}
