// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Definitions of fields: what a tenant says that a field is, in Rust and as JSON.
//!
//! A definition knows neither its register nor the database. Whether it fits those is checked where it is
//! applied; whether it makes sense by itself is checked here.

mod build;
mod check;
mod error;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::custom_type::TypeRegistry;
use crate::field_type::FieldType;
use crate::limits::{INDEXED_TEXT_LENGTH_MAX, TEXT_LENGTH_DEFAULT};
use crate::value::ValueKind;

pub use error::{DefinitionError, DefinitionProblem};

/// The definition of a field.
///
/// As JSON: `{"name": "status", "type": {"kind": "enum", "options": ["draft", "paid"]}, "required": true}`.
/// A member that a definition does not have is refused.
///
/// # Examples
/// ```
/// use forktex_data::FieldDefinition;
///
/// let number = FieldDefinition::text("iban").required().unique().length(15..=34);
/// let same: FieldDefinition = serde_json::from_str(
///     r#"{"name": "iban", "type": {"kind": "text", "length_min": 15, "length_max": 34},
///         "required": true, "unique": true}"#,
/// )?;
/// assert_eq!(number, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, as tenants ask them"
)]
#[non_exhaustive]
pub struct FieldDefinition {
    /// The name: 1 to 63 of `a` to `z`, `0` to `9` and `_`, a letter first.
    pub name: String,
    /// What people see instead of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the field is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The type, with its rules.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether each row must have a value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether no two rows may have the same value. Rows without a value, and archived rows, do not count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique: bool,
    /// Whether filters and sorts by the field go by an index.
    #[serde(default, skip_serializing_if = "is_false")]
    pub indexed: bool,
    /// Whether the words of the field can be searched for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub searchable: bool,
    /// What a new row has where it is not given a value, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// What a builder was asked that the type cannot do; told when the definition is checked.
    #[serde(skip)]
    misuse: Option<DefinitionProblem>,
}

impl FieldDefinition {
    /// The most characters of a text in this field: its own limit, or the usual one, which is smaller
    /// where the field is indexed or unique.
    pub(crate) fn text_length_max(&self) -> usize {
        let is_keyed = self.indexed || self.unique;
        match &self.field_type {
            FieldType::Text(rules) => rules.length_max.unwrap_or(if is_keyed {
                INDEXED_TEXT_LENGTH_MAX
            } else {
                TEXT_LENGTH_DEFAULT
            }),
            _ if is_keyed => INDEXED_TEXT_LENGTH_MAX,
            _ => crate::limits::TEXT_LENGTH_MAX,
        }
    }

    /// The kind of the values, where the definition alone says it: not for look-ups, formulas, some
    /// rollups, and custom types that the registry does not know.
    pub(crate) fn kind(&self, types: &TypeRegistry) -> Option<ValueKind> {
        self.field_type.kind(types)
    }

    /// Checks the definition by itself: its name, its rules, its default, and whether its type can do
    /// what is asked of it.
    pub(crate) fn check(&self, types: &TypeRegistry) -> Result<(), DefinitionError> {
        check::check(self, types).map_err(|problem| DefinitionError {
            field: self.name.chars().take(100).collect(),
            problem,
        })
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
