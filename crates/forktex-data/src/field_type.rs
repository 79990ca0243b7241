// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Types of fields: what tenants choose from, with the rules of each.
//!
//! A type says what it is, as data. What a value must be to fit it is in `coerce`; whether the rules
//! of a type make sense is checked with the definition that it stands in.

mod options;
mod pattern;
mod rules;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use crate::custom_type::TypeRegistry;
use crate::value::ValueKind;

pub use options::{EnumOption, EnumOptions};
pub use pattern::Pattern;
pub use rules::{DateRules, DatetimeRules, DecimalRules, IntegerRules, TextRules};

/// The type of a field.
///
/// As JSON it is an object with a `kind`: `{"kind": "text", "length_max": 20}`. A member that the type
/// does not have is refused.
///
/// # Examples
/// ```
/// use forktex_data::FieldType;
///
/// let status: FieldType = serde_json::from_str(r#"{"kind": "enum", "options": ["draft", "paid"]}"#)?;
/// assert_eq!(status.name(), "enum");
/// assert!(serde_json::from_str::<FieldType>(r#"{"kind": "boolean", "length_max": 3}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FieldType {
    /// A text.
    Text(TextRules),
    /// A whole number.
    Integer(IntegerRules),
    /// A whole number that we give: 1, 2, 3, .. without a gap, in the order in which rows are committed.
    #[serde(deserialize_with = "no_members")]
    Number,
    /// An exact decimal number.
    Decimal(DecimalRules),
    /// True or false.
    #[serde(deserialize_with = "no_members")]
    Boolean,
    /// A day.
    Date(DateRules),
    /// An instant.
    Datetime(DatetimeRules),
    /// A UUID.
    #[serde(deserialize_with = "no_members")]
    Uuid,
    /// One of a list of options.
    Enum(EnumOptions),
    /// A JSON document.
    Json {
        /// The most bytes of a document, written without spaces. By default, and at most,
        /// [`JSON_BYTES_MAX`](crate::limits::JSON_BYTES_MAX).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_max: Option<usize>,
    },
    /// Rows of another register, by a relationship of which this register is the source.
    Reference {
        /// The name of the relationship.
        relationship: String,
    },
    /// What a field of the referenced row has. Computed.
    Lookup {
        /// The reference.
        through: String,
        /// The field of the row that it points to.
        field: String,
    },
    /// A sum, a count, .. of the rows on the other side of a relationship. Computed.
    Rollup {
        /// The relationship, by the name that it has on this side.
        through: String,
        /// What is made of those rows.
        aggregate: Rollup,
    },
    /// What an expression over fields of the same row gives. Computed.
    Formula {
        /// The expression.
        expression: String,
    },
    /// A type that the service brings along: see [`CustomType`](crate::CustomType).
    Custom {
        /// The name of the type.
        custom_type: String,
        /// What the type is told; its meaning is the type's own.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        options: Json,
    },
}

/// What a rollup makes of the rows on the other side.
///
/// As JSON: `"count"`, `"exists"`, or with a field, `{"sum": "amount"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rollup {
    /// How many rows there are.
    Count,
    /// The sum of a field of numbers; without a value where no row has one.
    Sum(String),
    /// The average of a field of numbers, as a decimal.
    Average(String),
    /// The smallest value of a field.
    Min(String),
    /// The greatest value of a field.
    Max(String),
    /// Whether there is any row.
    Exists,
}

impl Rollup {
    /// The field of the other side that is looked at, if one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Sum(field) | Self::Average(field) | Self::Min(field) | Self::Max(field) => {
                Some(field)
            }
            Self::Count | Self::Exists => None,
        }
    }
}

impl FieldType {
    /// The word for the type, which is its `kind` as JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "integer",
            Self::Number => "number",
            Self::Decimal(_) => "decimal",
            Self::Boolean => "boolean",
            Self::Date(_) => "date",
            Self::Datetime(_) => "datetime",
            Self::Uuid => "uuid",
            Self::Enum(_) => "enum",
            Self::Json { .. } => "json",
            Self::Reference { .. } => "reference",
            Self::Lookup { .. } => "lookup",
            Self::Rollup { .. } => "rollup",
            Self::Formula { .. } => "formula",
            Self::Custom { .. } => "custom",
        }
    }

    /// Whether its values are computed from other fields.
    pub fn is_computed(&self) -> bool {
        matches!(
            self,
            Self::Lookup { .. } | Self::Rollup { .. } | Self::Formula { .. }
        )
    }

    /// Whether nobody can give it a value: it is computed, or counted by us.
    pub fn is_read_only(&self) -> bool {
        self.is_computed() || matches!(self, Self::Number)
    }

    /// Whether it points to other rows.
    pub fn is_reference(&self) -> bool {
        matches!(self, Self::Reference { .. })
    }

    /// The kind of its values, where the type alone says it. That of a look-up, a formula and some
    /// rollups depends on other fields; that of a custom type stands in the registry.
    pub(crate) fn kind(&self, types: &TypeRegistry) -> Option<ValueKind> {
        match self {
            Self::Text(_) | Self::Enum(_) => Some(ValueKind::Text),
            Self::Integer(_) | Self::Number => Some(ValueKind::Integer),
            Self::Decimal(_) => Some(ValueKind::Decimal),
            Self::Boolean => Some(ValueKind::Boolean),
            Self::Date(_) => Some(ValueKind::Date),
            Self::Datetime(_) => Some(ValueKind::Datetime),
            Self::Uuid | Self::Reference { .. } => Some(ValueKind::Uuid),
            Self::Json { .. } => Some(ValueKind::Json),
            Self::Rollup { aggregate, .. } => match aggregate {
                Rollup::Count => Some(ValueKind::Integer),
                Rollup::Average(_) => Some(ValueKind::Decimal),
                Rollup::Exists => Some(ValueKind::Boolean),
                Rollup::Sum(_) | Rollup::Min(_) | Rollup::Max(_) => None,
            },
            Self::Lookup { .. } | Self::Formula { .. } => None,
            Self::Custom { custom_type, .. } => types.get(custom_type).map(|custom| custom.kind()),
        }
    }
}

/// Serde takes any member for a variant without fields; this takes none.
fn no_members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoMembers {}

    NoMembers::deserialize(deserializer).map(|NoMembers {}| ())
}

#[cfg(test)]
mod tests;
