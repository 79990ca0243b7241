// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The form in which a schema is written down: registers with their fields and relationships, without
//! keys, so that it can be moved from one tenant to another.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::limits::{FIELDS_MAX, REGISTERS_MAX, RELATIONSHIPS_MAX};
use crate::relationship::RelationshipDefinition;
use crate::schema::SchemaError;

/// The form that this version reads and writes.
const FORM: u32 = 1;

/// The registers of a tenant, or some of them, as data.
///
/// # Examples
/// ```
/// use forktex_data::{FieldDefinition, RegisterDefinition, SchemaDocument};
///
/// let document = SchemaDocument::new()
///     .register(RegisterDefinition::new("clients").field(FieldDefinition::text("name").required()));
/// let json = serde_json::to_string(&document)?;
/// assert_eq!(serde_json::from_str::<SchemaDocument>(&json)?, document);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SchemaDocument {
    /// The form of the document: 1.
    pub form: u32,
    /// The registers. [`describe`](crate::TenantData::describe) sorts them by name.
    pub registers: Vec<RegisterDefinition>,
}

impl Default for SchemaDocument {
    fn default() -> Self {
        Self {
            form: FORM,
            registers: Vec::new(),
        }
    }
}

impl SchemaDocument {
    /// Without registers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a register.
    pub fn register(mut self, register: RegisterDefinition) -> Self {
        self.registers.push(register);
        self
    }

    /// Refuses at once what is too large to look at, of an unknown form, or says one thing twice.
    pub(crate) fn check_size(&self) -> Result<(), DataError> {
        if self.form != FORM {
            let (found, known) = (self.form, FORM);
            return Err(SchemaError::UnknownForm { found, known }.into());
        }
        limit("registers", self.registers.len(), REGISTERS_MAX)?;
        let mut names = BTreeSet::new();
        for register in &self.registers {
            register.check_size()?;
            if !names.insert(register.name.as_str()) {
                return Err(DataError::AlreadyExists {
                    what: "register",
                    name: register.name.chars().take(100).collect(),
                });
            }
        }
        Ok(())
    }
}

/// A register as data: what it is called, and what its rows have.
///
/// # Examples
/// ```
/// use forktex_data::{FieldDefinition, RegisterDefinition, RelationshipDefinition};
///
/// let invoices = RegisterDefinition::new("invoices")
///     .label("Invoices")
///     .keeps_history()
///     .relationship(RelationshipDefinition::many_to_one("client", "clients").inverse("invoices"))
///     .field(FieldDefinition::reference("client").required())
///     .field(FieldDefinition::decimal("total").scale(2).indexed());
/// assert_eq!(invoices.fields.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RegisterDefinition {
    /// The name: 1 to 63 characters of `a-z`, `0-9` and `_`, with a letter first.
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether each change of a row is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_history: bool,
    /// The fields, in their order. At most 500.
    #[serde(default)]
    pub fields: Vec<FieldDefinition>,
    /// The relationships in which this register is the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<RelationshipDefinition>,
}

impl RegisterDefinition {
    /// A register without fields.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            label: None,
            description: None,
            keeps_history: false,
            fields: Vec::new(),
            relationships: Vec::new(),
        }
    }

    /// Says what people call it. At most 200 characters.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what it is for. At most 4,000 characters.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Keeps each change of a row: who, when, what.
    pub fn keeps_history(mut self) -> Self {
        self.keeps_history = true;
        self
    }

    /// Adds a field.
    pub fn field(mut self, field: FieldDefinition) -> Self {
        self.fields.push(field);
        self
    }

    /// Adds a relationship to another register of the tenant, or to this one.
    pub fn relationship(mut self, relationship: RelationshipDefinition) -> Self {
        self.relationships.push(relationship);
        self
    }

    /// Refuses at once what is too large to look at, cannot be stored, or says one thing twice.
    pub(crate) fn check_size(&self) -> Result<(), DataError> {
        let words = [("label", &self.label), ("description", &self.description)];
        for (what, text) in words {
            if text.as_ref().is_some_and(|text| text.contains('\0')) {
                let register = self.name.chars().take(100).collect();
                return Err(SchemaError::NulCharacter { register, what }.into());
            }
        }
        limit("fields of one register", self.fields.len(), FIELDS_MAX)?;
        limit(
            "relationships of one register",
            self.relationships.len(),
            RELATIONSHIPS_MAX,
        )?;
        let relationships = self.relationships.iter().map(|one| one.name.as_str());
        self.once(relationships)?;
        self.once(self.fields.iter().map(|field| field.name.as_str()))
    }

    fn once<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<(), DataError> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(SchemaError::NameTaken {
                    register: self.name.chars().take(100).collect(),
                    name: name.chars().take(100).collect(),
                }
                .into());
            }
        }
        Ok(())
    }
}

/// Refuses more than `max`.
pub(crate) fn limit(what: &'static str, given: usize, max: usize) -> Result<(), DataError> {
    if given > max {
        return Err(DataError::LimitReached { what, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_of_ten_thousand_fields_is_refused_before_anything_is_read() {
        let mut register = RegisterDefinition::new("wide");
        register.fields = vec![FieldDefinition::text("a"); 10_000];
        let document = SchemaDocument::new().register(register);
        assert!(matches!(
            document.check_size(),
            Err(DataError::LimitReached {
                max: FIELDS_MAX,
                ..
            })
        ));
    }

    #[test]
    fn words_that_cannot_be_stored_are_refused_before_anything_is_written() {
        for register in [
            RegisterDefinition::new("a").label("\0"),
            RegisterDefinition::new("a").description("b\0c"),
        ] {
            let document = SchemaDocument::new().register(register);
            assert!(matches!(
                document.check_size(),
                Err(DataError::Schema(SchemaError::NulCharacter { .. }))
            ));
        }
    }

    #[test]
    fn an_unknown_member_and_an_unknown_form_are_refused() {
        let json = r#"{"form": 1, "registers": [], "tables": []}"#;
        assert!(serde_json::from_str::<SchemaDocument>(json).is_err());
        let later: SchemaDocument =
            serde_json::from_str(r#"{"form": 2, "registers": []}"#).unwrap();
        assert!(matches!(
            later.check_size(),
            Err(DataError::Schema(SchemaError::UnknownForm {
                found: 2,
                known: 1
            }))
        ));
    }
}
