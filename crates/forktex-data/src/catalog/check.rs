// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whether the definitions of a tenant fit together: names, bounds, what fields go by, and what computed
//! fields are. Pure; it sees the registers as they would be.

use std::collections::{BTreeMap, BTreeSet};

use crate::computed::graph::{Graph, GraphRegister};
use crate::custom_type::TypeRegistry;
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::field_type::FieldType;
use crate::keys::{FieldKey, RegisterKey};
use crate::limits::{
    DESCRIPTION_CHARACTERS_MAX, FIELDS_MAX, INDEXED_FIELDS_MAX, LABEL_CHARACTERS_MAX,
    REGISTERS_MAX, RELATIONSHIPS_MAX, UNIQUE_FIELDS_MAX,
};
use crate::register::{Field, LoadedRegister, Side};
use crate::schema::{SchemaError, limit};
use crate::value::ValueKind;

/// Checks all registers of a tenant, those that changed in every respect, and tells what the values of
/// each field are.
pub(super) fn check(
    registers: &[LoadedRegister],
    changed: &BTreeSet<RegisterKey>,
    types: &TypeRegistry,
) -> Result<BTreeMap<FieldKey, ValueKind>, DataError> {
    limit("registers", registers.len(), REGISTERS_MAX)?;
    let is_changed = |register: &&LoadedRegister| changed.contains(&register.key);
    for register in registers.iter().filter(is_changed) {
        check_alone(register, types)?;
    }
    for register in registers {
        check_references(register)?;
    }
    let kinds = kinds(registers, types)?;
    for register in registers.iter().filter(is_changed) {
        for field in &register.fields {
            let kind = kinds.get(&field.key).copied().unwrap_or(field.kind);
            check_options(register, field, kind)?;
        }
    }
    Ok(kinds)
}

/// What can be told of a register without the others.
fn check_alone(register: &LoadedRegister, types: &TypeRegistry) -> Result<(), DataError> {
    super::check_name(&register.name)?;
    check_length(
        register,
        "label",
        register.label.as_deref(),
        LABEL_CHARACTERS_MAX,
    )?;
    check_length(
        register,
        "description",
        register.description.as_deref(),
        DESCRIPTION_CHARACTERS_MAX,
    )?;
    let count = |has: fn(&FieldDefinition) -> bool| {
        let fields = register.fields.iter();
        fields.filter(|field| has(&field.definition)).count()
    };
    limit("fields of one register", register.fields.len(), FIELDS_MAX)?;
    limit(
        "indexed fields of one register",
        count(|field| field.indexed),
        INDEXED_FIELDS_MAX,
    )?;
    limit(
        "unique fields of one register",
        count(|field| field.unique),
        UNIQUE_FIELDS_MAX,
    )?;
    limit(
        "relationships of one register",
        register.sides().count(),
        RELATIONSHIPS_MAX,
    )?;
    for field in &register.fields {
        super::check_field(&register.name, &field.definition, types)?;
    }
    check_names(register)
}

fn check_length(
    register: &LoadedRegister,
    what: &'static str,
    text: Option<&str>,
    max: usize,
) -> Result<(), SchemaError> {
    let is_longer = text.is_some_and(|text| text.chars().nth(max).is_some());
    if is_longer {
        return Err(SchemaError::TooLong {
            register: register.name.clone(),
            what,
            max,
        });
    }
    Ok(())
}

/// No two fields, and no two ends of relationships, have one name. A field may be called like a
/// relationship only if it is the reference by it: that is how rows name it.
fn check_names(register: &LoadedRegister) -> Result<(), DataError> {
    let taken = |name: &str| {
        DataError::from(SchemaError::NameTaken {
            register: register.name.clone(),
            name: name.to_owned(),
        })
    };
    let mut ends = BTreeMap::new();
    for (relationship, side) in register.sides() {
        let name = match side {
            Side::Source => relationship.name.as_str(),
            Side::Target => relationship.inverse_name.as_str(),
        };
        if ends.insert(name, side).is_some() {
            return Err(taken(name));
        }
    }
    let mut fields = BTreeSet::new();
    for field in &register.fields {
        let name = field.name();
        let is_reference = matches!(
            &field.definition.field_type,
            FieldType::Reference { relationship } if relationship == name
        );
        let hides_an_end = match ends.get(name) {
            Some(Side::Source) => !is_reference,
            Some(Side::Target) => true,
            None => false,
        };
        if hides_an_end || !fields.insert(name) {
            return Err(taken(name));
        }
    }
    Ok(())
}

/// Each reference has its relationship, and no two have the same one.
fn check_references(register: &LoadedRegister) -> Result<(), SchemaError> {
    let mut seen = BTreeSet::new();
    for field in &register.fields {
        let FieldType::Reference { relationship } = &field.definition.field_type else {
            continue;
        };
        let broken = |reason: String| SchemaError::BrokenReference {
            register: register.name.clone(),
            field: field.name().to_owned(),
            reason: reason.into(),
        };
        let found = register.relationship(relationship);
        if !matches!(found, Some((_, Side::Source))) {
            return Err(broken(format!(
                "the register has no relationship `{relationship}`; add it first, or drop the field"
            )));
        }
        if !seen.insert(relationship.as_str()) {
            return Err(broken(format!(
                "another field is the reference by relationship `{relationship}` already"
            )));
        }
    }
    Ok(())
}

/// What the values of each field are; refuses circles and fields that go by what is not there.
fn kinds(
    registers: &[LoadedRegister],
    types: &TypeRegistry,
) -> Result<BTreeMap<FieldKey, ValueKind>, DataError> {
    let own_kind = |definition: &FieldDefinition| {
        let is_computed = definition.field_type.is_computed();
        definition.kind(types).filter(|_| !is_computed)
    };
    let nodes: Vec<GraphRegister<'_>> = registers
        .iter()
        .map(|register| GraphRegister {
            key: register.key,
            name: &register.name,
            fields: register
                .fields
                .iter()
                .map(|field| (field.key, &field.definition))
                .collect(),
            relationships: &register.relationships,
        })
        .collect();
    let graph = Graph::build(&nodes, &own_kind)?;
    let fields = registers.iter().flat_map(|register| &register.fields);
    Ok(fields
        .map(|field| {
            let own = own_kind(&field.definition);
            let kind = own.or_else(|| graph.kind(field.key)).unwrap_or(field.kind);
            (field.key, kind)
        })
        .collect())
}

/// Whether a field of this kind can have what is asked of it: of a computed one its definition alone
/// could not tell.
fn check_options(
    register: &LoadedRegister,
    field: &Field,
    kind: ValueKind,
) -> Result<(), SchemaError> {
    let definition = &field.definition;
    let can = definition.field_type.capabilities_as(kind);
    let refused = [
        ("indexed", definition.indexed && !can.indexable),
        ("unique", definition.unique && !can.unique),
        ("searchable", definition.searchable && !can.searchable),
    ];
    match refused.into_iter().find(|(_, is_refused)| *is_refused) {
        None => Ok(()),
        Some((option, _)) => Err(SchemaError::NotForType {
            register: register.name.clone(),
            field: field.name().to_owned(),
            field_type: definition.field_type.name(),
            option,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::RelationshipKey;
    use crate::register::BuildState;
    use crate::relationship::{Cardinality, OnDelete, Relationship};

    fn register(key: i64, name: &str, fields: Vec<FieldDefinition>) -> LoadedRegister {
        let keys = (key * 1000)..;
        LoadedRegister {
            key: RegisterKey(key),
            name: name.to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields: keys
                .zip(fields)
                .map(|(key, definition)| Field {
                    key: FieldKey(key),
                    definition,
                    kind: ValueKind::Text,
                    index: BuildState::None,
                    unique_state: BuildState::None,
                    search: BuildState::None,
                })
                .collect(),
            relationships: Vec::new(),
        }
    }

    fn relate(source: &mut LoadedRegister, target: &mut LoadedRegister, name: &str, inverse: &str) {
        let relationship = Relationship {
            key: RelationshipKey(1),
            name: name.to_owned(),
            inverse_name: inverse.to_owned(),
            source: source.key,
            source_name: source.name.clone(),
            target: target.key,
            target_name: target.name.clone(),
            cardinality: Cardinality::ManyToOne,
            on_delete: OnDelete::Restrict,
        };
        source.relationships.push(relationship.clone());
        target.relationships.push(relationship);
    }

    fn check_all(registers: &[LoadedRegister]) -> Result<(), DataError> {
        let changed = registers.iter().map(|register| register.key).collect();
        check(registers, &changed, &TypeRegistry::default()).map(|_| ())
    }

    #[test]
    fn a_reference_needs_its_relationship() {
        let mut invoices = register(1, "invoices", vec![FieldDefinition::reference("client")]);
        let mut clients = register(2, "clients", vec![FieldDefinition::text("name")]);
        assert!(matches!(
            check_all(&[invoices.clone(), clients.clone()]),
            Err(DataError::Schema(SchemaError::BrokenReference { field, .. })) if field == "client"
        ));
        relate(&mut invoices, &mut clients, "client", "invoices");
        check_all(&[invoices, clients]).unwrap();
    }

    #[test]
    fn a_field_does_not_hide_the_end_of_a_relationship() {
        let mut invoices = register(1, "invoices", vec![]);
        let mut clients = register(2, "clients", vec![FieldDefinition::text("invoices")]);
        relate(&mut invoices, &mut clients, "client", "invoices");
        assert!(matches!(
            check_all(&[invoices, clients]),
            Err(DataError::Schema(SchemaError::NameTaken { name, .. })) if name == "invoices"
        ));
    }

    #[test]
    fn two_fields_of_one_name_and_too_many_indexes_are_refused() {
        let twice = vec![FieldDefinition::text("a"), FieldDefinition::integer("a")];
        assert!(matches!(
            check_all(&[register(1, "twice", twice)]),
            Err(DataError::Schema(SchemaError::NameTaken { .. }))
        ));
        let indexed = (0..=INDEXED_FIELDS_MAX)
            .map(|n| FieldDefinition::integer(format!("n{n}")).indexed())
            .collect();
        assert!(matches!(
            check_all(&[register(1, "many", indexed)]),
            Err(DataError::LimitReached {
                max: INDEXED_FIELDS_MAX,
                ..
            })
        ));
    }
}
