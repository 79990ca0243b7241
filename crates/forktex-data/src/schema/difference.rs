// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What differs between the schema that is there and the one that is wanted. Pure, and in an order in which
//! it can be carried out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::field::FieldDefinition;
use crate::field_type::FieldType;
use crate::relationship::RelationshipDefinition;
use crate::schema::{RegisterDefinition, SchemaDocument};

/// One difference between two schemas, and so one step from the one to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A register is new.
    CreateRegister {
        /// The register.
        register: String,
    },
    /// A register itself differs.
    ChangeRegister {
        /// The register.
        register: String,
        /// In what: `label`, `description`, `keeps_history`.
        parts: Vec<&'static str>,
    },
    /// A field is not wanted any more. Its values are lost.
    DropField {
        /// The register.
        register: String,
        /// The field.
        field: String,
    },
    /// A relationship is not wanted any more. Its links are lost.
    DropRelationship {
        /// The register that is its source.
        register: String,
        /// The relationship.
        relationship: String,
    },
    /// A relationship is new.
    AddRelationship {
        /// The register that is its source.
        register: String,
        /// The relationship.
        relationship: String,
    },
    /// A relationship differs.
    ChangeRelationship {
        /// The register that is its source.
        register: String,
        /// The relationship.
        relationship: String,
        /// In what: `inverse_name`, `on_delete`; `target` and `cardinality` cannot be changed.
        parts: Vec<&'static str>,
    },
    /// A field is new.
    AddField {
        /// The register.
        register: String,
        /// The field.
        field: String,
    },
    /// A field differs, in what needs no value converted.
    ChangeField {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// In what: `label`, `description`, `type`, `required`, `unique`, `indexed`, `searchable`, `default`.
        parts: Vec<&'static str>,
    },
    /// The values of a field would have to be converted: not done here, but by a type change.
    ConvertField {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// What differs, such as `text to integer`.
        what: String,
    },
    /// A register is not wanted any more. Its rows are lost.
    DropRegister {
        /// The register.
        register: String,
    },
}

impl Change {
    /// Whether values, links or rows are lost.
    pub fn is_destructive(&self) -> bool {
        matches!(
            self,
            Self::DropField { .. } | Self::DropRelationship { .. } | Self::DropRegister { .. }
        )
    }
}

/// What it does, as after "cannot".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRegister { register } => write!(f, "create register `{register}`"),
            Self::ChangeRegister { register, parts } => {
                write!(f, "change {} of register `{register}`", parts.join(", "))
            }
            Self::DropField { register, field } => {
                write!(f, "drop field `{field}` of register `{register}`")
            }
            Self::DropRelationship {
                register,
                relationship,
            } => write!(
                f,
                "drop relationship `{relationship}` of register `{register}`"
            ),
            Self::AddRelationship {
                register,
                relationship,
            } => write!(
                f,
                "add relationship `{relationship}` to register `{register}`"
            ),
            Self::ChangeRelationship {
                register,
                relationship,
                parts,
            } => write!(
                f,
                "change {} of relationship `{relationship}` of register `{register}`",
                parts.join(", ")
            ),
            Self::AddField { register, field } => {
                write!(f, "add field `{field}` to register `{register}`")
            }
            Self::ChangeField {
                register,
                field,
                parts,
            } => write!(
                f,
                "change {} of field `{field}` of register `{register}`",
                parts.join(", ")
            ),
            Self::ConvertField {
                register,
                field,
                what,
            } => write!(
                f,
                "convert field `{field}` of register `{register}` ({what})"
            ),
            Self::DropRegister { register } => write!(f, "drop register `{register}`"),
        }
    }
}

/// What leads from what is there to what is wanted. Without `prunes`, what the document does not name is
/// left as it is.
pub(super) fn difference(
    existing: &[RegisterDefinition],
    wanted: &SchemaDocument,
    prunes: bool,
) -> Vec<Change> {
    let empty = RegisterDefinition::new("");
    let existing: BTreeMap<&str, &RegisterDefinition> = existing
        .iter()
        .map(|register| (register.name.as_str(), register))
        .collect();
    let pairs: Vec<(&RegisterDefinition, &RegisterDefinition)> = wanted
        .registers
        .iter()
        .map(|register| {
            let old = existing.get(register.name.as_str()).copied();
            (old.unwrap_or(&empty), register)
        })
        .collect();

    let mut changes = Vec::new();
    for (old, new) in &pairs {
        if old.name.is_empty() {
            let register = new.name.clone();
            changes.push(Change::CreateRegister { register });
        } else {
            changes.extend(register_change(old, new));
        }
    }
    if prunes {
        for (old, new) in &pairs {
            changes.extend(dropped(old, new));
        }
    }
    for (old, new) in &pairs {
        changes.extend(relationship_changes(old, new));
    }
    for (old, new) in &pairs {
        changes.extend(field_changes(old, new));
    }
    if prunes {
        let is_wanted = |name: &str| wanted.registers.iter().any(|one| one.name == name);
        let unwanted = existing.keys().filter(|name| !is_wanted(name));
        changes.extend(unwanted.map(|name| Change::DropRegister {
            register: (*name).to_owned(),
        }));
    }
    changes
}

fn register_change(old: &RegisterDefinition, new: &RegisterDefinition) -> Option<Change> {
    let parts = differing(&[
        ("label", old.label == new.label),
        ("description", old.description == new.description),
        ("keeps_history", old.keeps_history == new.keeps_history),
    ]);
    (!parts.is_empty()).then(|| Change::ChangeRegister {
        register: new.name.clone(),
        parts,
    })
}

/// Fields first: a reference goes by its relationship.
fn dropped(old: &RegisterDefinition, new: &RegisterDefinition) -> Vec<Change> {
    let register = || new.name.clone();
    let has_field = |name: &str| new.fields.iter().any(|field| field.name == name);
    let has_relationship = |name: &str| new.relationships.iter().any(|one| one.name == name);
    let fields = old.fields.iter().map(|field| &field.name);
    let relationships = old.relationships.iter().map(|one| &one.name);
    let fields = fields
        .filter(|name| !has_field(name))
        .map(|name| Change::DropField {
            register: register(),
            field: name.clone(),
        });
    let relationships = relationships
        .filter(|name| !has_relationship(name))
        .map(|name| Change::DropRelationship {
            register: register(),
            relationship: name.clone(),
        });
    fields.chain(relationships).collect()
}

fn relationship_changes(old: &RegisterDefinition, new: &RegisterDefinition) -> Vec<Change> {
    let find = |name: &str| old.relationships.iter().find(|one| one.name == name);
    let changes = new.relationships.iter().filter_map(|wanted| {
        let (register, relationship) = (new.name.clone(), wanted.name.clone());
        let Some(existing) = find(&wanted.name) else {
            return Some(Change::AddRelationship {
                register,
                relationship,
            });
        };
        let inverse = |one: &RelationshipDefinition| one.inverse_name_for(&new.name);
        let parts = differing(&[
            ("target", existing.target == wanted.target),
            ("cardinality", existing.cardinality == wanted.cardinality),
            ("inverse_name", inverse(existing) == inverse(wanted)),
            ("on_delete", existing.on_delete == wanted.on_delete),
        ]);
        (!parts.is_empty()).then_some(Change::ChangeRelationship {
            register,
            relationship,
            parts,
        })
    });
    changes.collect()
}

fn field_changes(old: &RegisterDefinition, new: &RegisterDefinition) -> Vec<Change> {
    let find = |name: &str| old.fields.iter().find(|field| field.name == name);
    let changes = new.fields.iter().filter_map(|wanted| {
        let (register, field) = (new.name.clone(), wanted.name.clone());
        let Some(existing) = find(&wanted.name) else {
            return Some(Change::AddField { register, field });
        };
        if let Some(what) = conversion(&existing.field_type, &wanted.field_type) {
            return Some(Change::ConvertField {
                register,
                field,
                what,
            });
        }
        let parts = field_parts(existing, wanted);
        (!parts.is_empty()).then_some(Change::ChangeField {
            register,
            field,
            parts,
        })
    });
    changes.collect()
}

fn field_parts(old: &FieldDefinition, new: &FieldDefinition) -> Vec<&'static str> {
    differing(&[
        ("label", old.label == new.label),
        ("description", old.description == new.description),
        ("type", old.field_type == new.field_type),
        ("required", old.required == new.required),
        ("unique", old.unique == new.unique),
        ("indexed", old.indexed == new.indexed),
        ("searchable", old.searchable == new.searchable),
        ("default", old.default == new.default),
    ])
}

/// The names of the parts that are not the same.
fn differing(parts: &[(&'static str, bool)]) -> Vec<&'static str> {
    let differing = parts.iter().filter(|(_, is_same)| !is_same);
    differing.map(|(part, _)| *part).collect()
}

/// What would have to be done to the values of a field of the one type to make them values of the other;
/// none where they can stay. Rules that are merely stricter hold for what is written from then on.
pub(crate) fn conversion(old: &FieldType, new: &FieldType) -> Option<String> {
    match (old, new) {
        (FieldType::Decimal(old), FieldType::Decimal(new)) => {
            (old.scale != new.scale).then(|| "another scale".to_owned())
        }
        (FieldType::Enum(old), FieldType::Enum(new)) => {
            let gone: Vec<&str> = old.keys().filter(|key| !new.has(key)).take(10).collect();
            (!gone.is_empty()).then(|| format!("without the options {}", gone.join(", ")))
        }
        (
            FieldType::Custom {
                custom_type: old_type,
                options: old_options,
            },
            FieldType::Custom {
                custom_type,
                options,
            },
        ) => {
            let is_same = old_type == custom_type && old_options == options;
            (!is_same).then(|| format!("{old_type} to {custom_type}"))
        }
        // Computed values are computed anew.
        (old, new) if old.is_computed() && new.is_computed() => None,
        (old, new) if old.name() == new.name() => None,
        (old, new) => Some(format!("{} to {}", old.name(), new.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoices() -> RegisterDefinition {
        RegisterDefinition::new("invoices")
            .relationship(RelationshipDefinition::many_to_one("client", "clients"))
            .field(FieldDefinition::text("note"))
            .field(FieldDefinition::reference("client"))
    }

    fn names(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_the_same_gives_no_change() {
        let wanted = SchemaDocument::new().register(invoices());
        assert_eq!(difference(&[invoices()], &wanted, true), []);
    }

    #[test]
    fn what_is_new_comes_in_the_order_in_which_it_can_be_made() {
        let wanted = SchemaDocument::new()
            .register(invoices())
            .register(RegisterDefinition::new("clients"));
        assert_eq!(
            names(&difference(&[], &wanted, false)),
            [
                "create register `invoices`",
                "create register `clients`",
                "add relationship `client` to register `invoices`",
                "add field `note` to register `invoices`",
                "add field `client` to register `invoices`",
            ]
        );
    }

    #[test]
    fn only_pruning_drops_and_drops_are_destructive() {
        let other = RegisterDefinition::new("other");
        let wanted = SchemaDocument::new().register(RegisterDefinition::new("invoices"));
        let existing = [invoices(), other];
        assert_eq!(difference(&existing, &wanted, false), []);
        let changes = difference(&existing, &wanted, true);
        assert_eq!(changes.len(), 4);
        assert!(changes.iter().all(Change::is_destructive));
    }

    #[test]
    fn a_change_that_needs_values_converted_is_told_apart() {
        let text = FieldDefinition::text("a").field_type;
        let integer = FieldDefinition::integer("a").field_type;
        let cents = FieldDefinition::decimal("a").scale(2).field_type;
        let mills = FieldDefinition::decimal("a").scale(3).field_type;
        let three = FieldDefinition::one_of("a", ["x", "y", "z"]).field_type;
        let two = FieldDefinition::one_of("a", ["x", "y"]).field_type;
        let short = FieldDefinition::text("a").length(0..=5).field_type;
        assert_eq!(
            conversion(&text, &integer).as_deref(),
            Some("text to integer")
        );
        assert_eq!(conversion(&cents, &mills).as_deref(), Some("another scale"));
        assert_eq!(
            conversion(&three, &two).as_deref(),
            Some("without the options z")
        );
        assert_eq!(conversion(&two, &three), None);
        assert_eq!(conversion(&text, &short), None);
    }
}
