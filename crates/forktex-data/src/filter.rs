// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which rows: conditions by the names of fields, from Rust and from JSON.
//!
//! A filter knows no register: whether the fields exist, and the operands fit them, is checked when a
//! query takes it. Its `Debug` never shows an operand.

pub(crate) mod check;
pub(crate) mod evaluate;
mod json;

use std::fmt;
use std::ops;

use rust_decimal::Decimal;
use serde_json::Value as Json;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::operator::Operator;
use crate::row::RowId;
use crate::value::Value;

/// A condition on rows.
///
/// # Examples
/// ```
/// use forktex_data::{Filter, field, related};
///
/// let filter = field("status").eq("paid") & !field("note").is_empty()
///     | related("client", field("country").is_in(["AT", "DE"]));
/// let json = filter.to_json();
/// assert_eq!(json["or"][0]["and"][0], serde_json::json!({"field": "status", "eq": "paid"}));
/// assert_eq!(Filter::from_json(&json)?.to_json(), json);
/// # Ok::<(), forktex_data::QueryError>(())
/// ```
#[derive(Clone, PartialEq)]
#[must_use = "a filter does nothing until a query takes it"]
pub enum Filter {
    /// All of them hold; with none, every row matches.
    And(Vec<Filter>),
    /// Any of them holds; with none, no row matches.
    Or(Vec<Filter>),
    /// It does not hold: the exact complement.
    Not(Box<Filter>),
    /// A field, or one of `id`, `created_at`, `updated_at`, `archived_at`, `version` and
    /// `external_ref`, is compared.
    Comparison {
        /// The field's name.
        field: String,
        /// How.
        operator: Operator,
        /// With what: as many as the operator takes.
        operands: Vec<Operand>,
    },
    /// At least one row at the other end of a relationship matches, archived ones left out. One hop:
    /// the inner filter has none of these.
    Related {
        /// The relationship's name, or its inverse name as seen from the other end.
        relationship: String,
        /// What the row at the other end has to match.
        filter: Box<Filter>,
    },
}

/// What a field is compared with: a value of Rust, or JSON that is read by the type of the field.
#[derive(Clone, PartialEq)]
pub enum Operand {
    /// A typed value.
    Value(Value),
    /// JSON, as it came from a caller: a date is a text there.
    Json(Json),
}

impl Operand {
    /// As JSON, for people and for [`Filter::to_json`].
    pub fn to_json(&self) -> Json {
        match self {
            Self::Value(value) => value.to_json(),
            Self::Json(json) => json.clone(),
        }
    }
}

macro_rules! operand_from {
    ($($from:ty),+ $(,)?) => {$(
        impl From<$from> for Operand {
            fn from(value: $from) -> Self {
                Self::Value(value.into())
            }
        }
    )+};
}

operand_from!(
    &str,
    String,
    i64,
    i32,
    Decimal,
    bool,
    Date,
    OffsetDateTime,
    Uuid,
);

impl From<Value> for Operand {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<Json> for Operand {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

/// For reference fields, and `id`.
impl From<RowId> for Operand {
    fn from(id: RowId) -> Self {
        Self::Value(Value::Uuid(id.as_uuid()))
    }
}

/// Hidden: an operand is data of a row.
impl fmt::Debug for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// Shows fields and operators, never the operands.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(members) => f.debug_tuple("And").field(members).finish(),
            Self::Or(members) => f.debug_tuple("Or").field(members).finish(),
            Self::Not(inner) => f.debug_tuple("Not").field(inner).finish(),
            Self::Comparison {
                field, operator, ..
            } => write!(f, "{field} {operator} _"),
            Self::Related {
                relationship,
                filter,
            } => f
                .debug_tuple("Related")
                .field(relationship)
                .field(filter)
                .finish(),
        }
    }
}

impl Filter {
    /// Matches every row.
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Matches no row.
    pub fn none() -> Self {
        Self::Or(Vec::new())
    }

    /// Matches what both match. A long chain stays flat, so that it does not count as deep.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::And(mut members), Self::And(others)) => {
                members.extend(others);
                Self::And(members)
            }
            (Self::And(mut members), other) => {
                members.push(other);
                Self::And(members)
            }
            (one, other) => Self::And(vec![one, other]),
        }
    }

    /// Matches what either matches. A long chain stays flat.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut members), Self::Or(others)) => {
                members.extend(others);
                Self::Or(members)
            }
            (Self::Or(mut members), other) => {
                members.push(other);
                Self::Or(members)
            }
            (one, other) => Self::Or(vec![one, other]),
        }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl ops::BitAnd for Filter {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.and(other)
    }
}

impl ops::BitOr for Filter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// Begins a comparison of a field, by its name.
///
/// The names `id`, `created_at`, `updated_at`, `archived_at`, `version` and `external_ref` stand for
/// what every row has. A reference field is compared with ids: [`RowId`], or their text.
///
/// # Examples
/// ```
/// use forktex_data::field;
///
/// let filter = field("total").gte(100) & field("name").icontains("acme");
/// assert_eq!(format!("{filter:?}"), "And([total gte _, name icontains _])");
/// ```
pub fn field(name: impl Into<String>) -> FilterField {
    FilterField { name: name.into() }
}

/// A condition on the rows at the other end of a relationship: at least one matches. See
/// [`Filter::Related`].
pub fn related(relationship: impl Into<String>, filter: Filter) -> Filter {
    Filter::Related {
        relationship: relationship.into(),
        filter: Box::new(filter),
    }
}

/// A field that a filter names; made by [`field`].
#[derive(Clone, Debug)]
#[must_use = "a field alone is no filter; compare it"]
pub struct FilterField {
    name: String,
}

impl FilterField {
    /// The same value.
    pub fn eq(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Eq, vec![value.into()])
    }

    /// A value, and another one: an empty cell does not match.
    pub fn ne(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Ne, vec![value.into()])
    }

    /// Less.
    pub fn lt(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Lt, vec![value.into()])
    }

    /// Less, or the same.
    pub fn lte(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Lte, vec![value.into()])
    }

    /// Greater.
    pub fn gt(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Gt, vec![value.into()])
    }

    /// Greater, or the same.
    pub fn gte(self, value: impl Into<Operand>) -> Filter {
        self.with(Operator::Gte, vec![value.into()])
    }

    /// Within two bounds, both counted in.
    pub fn between(self, low: impl Into<Operand>, high: impl Into<Operand>) -> Filter {
        self.with(Operator::Between, vec![low.into(), high.into()])
    }

    /// One of at most [`FILTER_LIST_MAX`](crate::limits::FILTER_LIST_MAX).
    pub fn is_in<T: Into<Operand>>(self, values: impl IntoIterator<Item = T>) -> Filter {
        self.with(Operator::In, values.into_iter().map(Into::into).collect())
    }

    /// A value, and none of at most [`FILTER_LIST_MAX`](crate::limits::FILTER_LIST_MAX): an empty cell
    /// does not match.
    pub fn not_in<T: Into<Operand>>(self, values: impl IntoIterator<Item = T>) -> Filter {
        let values = values.into_iter().map(Into::into).collect();
        self.with(Operator::NotIn, values)
    }

    /// A part of a text, as it is written: `%` and `_` stand for themselves. Of a JSON field, a part of
    /// the document.
    pub fn contains(self, part: impl Into<Operand>) -> Filter {
        self.with(Operator::Contains, vec![part.into()])
    }

    /// A part of a text, in upper or lower case.
    pub fn icontains(self, part: impl Into<String>) -> Filter {
        self.with(Operator::Icontains, text(part))
    }

    /// The beginning of a text, as it is written.
    pub fn starts_with(self, part: impl Into<String>) -> Filter {
        self.with(Operator::StartsWith, text(part))
    }

    /// The end of a text, as it is written.
    pub fn ends_with(self, part: impl Into<String>) -> Filter {
        self.with(Operator::EndsWith, text(part))
    }

    /// Each word of this is like a word of the text: they share a quarter of their trigrams.
    pub fn fuzzy(self, words: impl Into<String>) -> Filter {
        self.with(Operator::Fuzzy, text(words))
    }

    /// Absent, or null.
    pub fn is_empty(self) -> Filter {
        self.with(Operator::IsEmpty, Vec::new())
    }

    /// Null: emptied on purpose.
    pub fn is_null(self) -> Filter {
        self.with(Operator::IsNull, Vec::new())
    }

    /// Never set.
    pub fn is_absent(self) -> Filter {
        self.with(Operator::IsAbsent, Vec::new())
    }

    fn with(self, operator: Operator, operands: Vec<Operand>) -> Filter {
        Filter::Comparison {
            field: self.name,
            operator,
            operands,
        }
    }
}

fn text(text: impl Into<String>) -> Vec<Operand> {
    vec![Operand::Value(Value::Text(text.into()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_operand() {
        let filter = field("iban").eq("AT61") | !field("n").is_in([1_i64, 2]);
        assert_eq!(format!("{filter:?}"), "Or([iban eq _, Not(n in _)])");
    }

    #[test]
    fn a_chain_stays_flat() {
        let filter = field("a").eq(1) & field("b").eq(2) & field("c").eq(3);
        assert!(matches!(filter, Filter::And(members) if members.len() == 3));
    }
}
