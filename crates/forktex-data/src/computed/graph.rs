// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which fields are computed from which, over all registers of a tenant. It checks the definitions of
//! computed fields, finds the kinds of their values, and refuses circles. It is pure, and knows no row.

use std::collections::{BTreeMap, BTreeSet};

use super::COMPUTED_DEPTH_MAX;
use super::own_row::field_uses;
use crate::error::{DataError, nearest};
use crate::field::FieldDefinition;
use crate::field_type::{FieldType, Rollup};
use crate::formula::Formula;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::LoadedRegister;
use crate::relation_error::RelationError;
use crate::relationship::{self, Path, Relationship};
use crate::value::ValueKind;

/// A register, as the graph sees it.
pub(crate) struct GraphRegister<'a> {
    pub(crate) key: RegisterKey,
    pub(crate) name: &'a str,
    pub(crate) fields: Vec<(FieldKey, &'a FieldDefinition)>,
    /// Those of which it is the source or the target.
    pub(crate) relationships: &'a [Relationship],
}

/// The fields of a tenant and what is computed from them.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    fields: BTreeMap<FieldKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    register: RegisterKey,
    /// As `register.field`.
    name: String,
    kind: ValueKind,
    /// How many computed fields stand below it in a row, with itself.
    level: usize,
    /// The fields that are computed from it.
    read_by: BTreeSet<FieldKey>,
}

impl Graph {
    /// Builds the graph over all registers of a tenant. `kind_of` tells the kind of a field that is not
    /// computed; it is not asked about others.
    ///
    /// # Errors
    /// [`DataError::Formula`] for a formula that cannot be used, and [`DataError::Relation`] for a look-up
    /// or rollup that cannot be, for a circle, and for a chain of more than 32.
    pub(crate) fn build(
        registers: &[GraphRegister<'_>],
        kind_of: &dyn Fn(&FieldDefinition) -> Option<ValueKind>,
    ) -> Result<Self, DataError> {
        Self::build_with(registers, &|_, definition| kind_of(definition))
    }

    /// The graph over registers as they were loaded.
    pub(super) fn of_loaded(registers: &[LoadedRegister]) -> Result<Self, DataError> {
        let fields = registers.iter().flat_map(|register| &register.fields);
        let kinds: BTreeMap<FieldKey, ValueKind> =
            fields.map(|field| (field.key, field.kind)).collect();
        let registers: Vec<GraphRegister<'_>> = registers
            .iter()
            .map(|register| {
                let fields = register.fields.iter();
                GraphRegister {
                    key: register.key,
                    name: &register.name,
                    fields: fields.map(|field| (field.key, &field.definition)).collect(),
                    relationships: &register.relationships,
                }
            })
            .collect();
        Self::build_with(&registers, &|key, _| kinds.get(&key).copied())
    }

    fn build_with(registers: &[GraphRegister<'_>], kind_of: KindOf<'_>) -> Result<Self, DataError> {
        let mut builder = Builder {
            registers: registers
                .iter()
                .map(|register| (register.key, register))
                .collect(),
            kind_of,
            graph: Self::default(),
            stack: Vec::new(),
        };
        for register in registers {
            for (key, definition) in &register.fields {
                builder.resolve(register, *key, definition)?;
            }
        }
        Ok(builder.graph)
    }

    /// The kind of a field's values.
    pub(crate) fn kind(&self, field: FieldKey) -> Option<ValueKind> {
        self.fields.get(&field).map(|entry| entry.kind)
    }

    /// The fields that are computed from this one at once, as `register.field`.
    #[allow(
        dead_code,
        reason = "for messages of those who drop a field that others read"
    )]
    pub(crate) fn dependents_names(&self, field: FieldKey) -> Vec<String> {
        let readers = self.fields.get(&field).map(|entry| &entry.read_by);
        readers
            .into_iter()
            .flatten()
            .filter_map(|reader| Some(self.fields.get(reader)?.name.clone()))
            .collect()
    }

    /// All fields that are computed from this one, directly or over others.
    pub(super) fn downstream(&self, field: FieldKey) -> Vec<(RegisterKey, FieldKey)> {
        let mut found = BTreeSet::new();
        let mut pending = vec![field];
        // Each field is looked at once.
        while let Some(next) = pending.pop() {
            let readers = self.fields.get(&next).map(|entry| &entry.read_by);
            for reader in readers.into_iter().flatten() {
                if found.insert(*reader) {
                    pending.push(*reader);
                }
            }
        }
        found
            .into_iter()
            .filter_map(|field| Some((self.fields.get(&field)?.register, field)))
            .collect()
    }
}

type KindOf<'b> = &'b dyn Fn(FieldKey, &FieldDefinition) -> Option<ValueKind>;

/// What is known of a field once it was visited.
#[derive(Clone, Copy)]
struct Resolved {
    kind: ValueKind,
    level: usize,
}

struct Builder<'b, 'a> {
    registers: BTreeMap<RegisterKey, &'b GraphRegister<'a>>,
    kind_of: KindOf<'b>,
    graph: Graph,
    /// The fields that are being visited, each read by the one before it.
    stack: Vec<(FieldKey, String)>,
}

impl<'b, 'a> Builder<'b, 'a> {
    /// Visits a field after all that it is computed from.
    fn resolve(
        &mut self,
        register: &'b GraphRegister<'a>,
        key: FieldKey,
        definition: &'a FieldDefinition,
    ) -> Result<Resolved, DataError> {
        if let Some(entry) = self.graph.fields.get(&key) {
            return Ok(Resolved {
                kind: entry.kind,
                level: entry.level,
            });
        }
        let name = format!("{}.{}", register.name, definition.name);
        let resolved = if definition.field_type.is_computed() {
            self.enter(key, &name)?;
            let resolved = self.computed(register, key, definition, &name)?;
            self.stack.pop();
            resolved
        } else {
            let kind = (self.kind_of)(key, definition);
            Resolved {
                kind: kind.ok_or_else(|| DataError::corrupt("field", key))?,
                level: 0,
            }
        };
        if resolved.level > COMPUTED_DEPTH_MAX {
            return Err(too_deep(&name));
        }
        self.graph.fields.insert(
            key,
            Entry {
                register: register.key,
                name,
                kind: resolved.kind,
                level: resolved.level,
                read_by: BTreeSet::new(),
            },
        );
        Ok(resolved)
    }

    /// Begins to visit a computed field, unless that has been begun already: then there is a circle.
    fn enter(&mut self, key: FieldKey, name: &str) -> Result<(), DataError> {
        if let Some(at) = self.stack.iter().position(|(known, _)| *known == key) {
            let circle = self.stack.iter().skip(at).map(|(_, name)| name.clone());
            return Err(RelationError::Cycle {
                path: circle.chain([name.to_owned()]).collect(),
            }
            .into());
        }
        if self.stack.len() >= COMPUTED_DEPTH_MAX {
            return Err(too_deep(name));
        }
        self.stack.push((key, name.to_owned()));
        Ok(())
    }

    fn computed(
        &mut self,
        register: &'b GraphRegister<'a>,
        key: FieldKey,
        definition: &'a FieldDefinition,
        name: &str,
    ) -> Result<Resolved, DataError> {
        match &definition.field_type {
            FieldType::Formula { expression } => self.formula(register, key, expression, name),
            FieldType::Lookup { through, field } => {
                let path = path(register, through, name)?;
                if !path.is_to_one() {
                    return Err(RelationError::LookupOfMany {
                        field: name.to_owned(),
                        through: through.clone(),
                    }
                    .into());
                }
                let read = self.read(key, path, field, name)?;
                Ok(Resolved {
                    kind: read.kind,
                    level: read.level + 1,
                })
            }
            FieldType::Rollup { through, aggregate } => {
                let path = path(register, through, name)?;
                self.rollup(key, path, aggregate, name)
            }
            _ => Err(DataError::corrupt("field", key)),
        }
    }

    fn formula(
        &mut self,
        register: &'b GraphRegister<'a>,
        key: FieldKey,
        expression: &str,
        name: &str,
    ) -> Result<Resolved, DataError> {
        let formula =
            Formula::parse(expression).map_err(|error| error.of_field(name.to_owned()))?;
        let mut level = 0;
        let mut kinds = BTreeMap::new();
        for named in formula.names() {
            let found = register
                .fields
                .iter()
                .find(|(_, field)| field.name == named);
            let Some((read, field)) = found.filter(|(_, field)| !field.field_type.is_reference())
            else {
                // The check below says what is wrong with it, and where.
                continue;
            };
            let resolved = self.resolve(register, *read, field)?;
            self.connect(*read, key);
            level = level.max(resolved.level);
            kinds.insert(named, resolved.kind);
        }
        // Fields that are not named are listed too, to be offered in place of a name that is not known.
        let uses = field_uses(register.fields.iter().map(|(_, field)| {
            let kind = kinds.get(field.name.as_str()).copied();
            let kind = kind.unwrap_or(ValueKind::Text);
            (field.name.as_str(), &field.field_type, kind)
        }));
        let checked = formula
            .check_uses(&uses)
            .map_err(|error| error.of_field(name.to_owned()))?;
        Ok(Resolved {
            kind: checked.kind(),
            level: level + 1,
        })
    }

    fn rollup(
        &mut self,
        key: FieldKey,
        path: Path<'_>,
        aggregate: &Rollup,
        name: &str,
    ) -> Result<Resolved, DataError> {
        let Some(field) = aggregate.field() else {
            let kind = match aggregate {
                Rollup::Exists => ValueKind::Boolean,
                _ => ValueKind::Integer,
            };
            return Ok(Resolved { kind, level: 1 });
        };
        let read = self.read(key, path, field, name)?;
        let refuse = |reason| {
            Err(DataError::from(RelationError::UnusableRead {
                field: name.to_owned(),
                read: format!("{}.{field}", path.other_name()),
                reason,
            }))
        };
        let kind = match aggregate {
            Rollup::Sum(_) | Rollup::Average(_) if !read.kind.is_number() => {
                return refuse("it holds no numbers; use `count`, `min` or `max`");
            }
            Rollup::Min(_) | Rollup::Max(_)
                if matches!(read.kind, ValueKind::Json | ValueKind::Boolean) =>
            {
                return refuse("its values have no order; use `count` or `exists`");
            }
            Rollup::Average(_) => ValueKind::Decimal,
            _ => read.kind,
        };
        Ok(Resolved {
            kind,
            level: read.level + 1,
        })
    }

    /// The field at the other end that is read.
    fn read(
        &mut self,
        key: FieldKey,
        path: Path<'_>,
        field: &str,
        name: &str,
    ) -> Result<Resolved, DataError> {
        let other = self.registers.get(&path.other()).copied();
        let other = other.ok_or_else(|| DataError::corrupt("register", path.other()))?;
        let read_name = || format!("{}.{field}", other.name);
        let found = other.fields.iter().find(|(_, known)| known.name == field);
        let Some((read, definition)) = found else {
            let names = other.fields.iter().map(|(_, known)| known.name.as_str());
            return Err(RelationError::UnknownRead {
                field: name.to_owned(),
                read: read_name(),
                nearest: nearest(field, names),
            }
            .into());
        };
        if definition.field_type.is_reference() {
            return Err(RelationError::UnusableRead {
                field: name.to_owned(),
                read: read_name(),
                reason: "it is a reference; add a look-up to that register, and read the look-up",
            }
            .into());
        }
        let resolved = self.resolve(other, *read, definition)?;
        self.connect(*read, key);
        Ok(resolved)
    }

    fn connect(&mut self, read: FieldKey, reader: FieldKey) {
        if let Some(entry) = self.graph.fields.get_mut(&read) {
            entry.read_by.insert(reader);
        }
    }
}

fn path<'a>(
    register: &GraphRegister<'a>,
    through: &str,
    name: &str,
) -> Result<Path<'a>, DataError> {
    let relationships = register.relationships;
    relationship::find(relationships, register.key, through).ok_or_else(|| {
        let names = relationships.iter().flat_map(|known| {
            let source = (known.source == register.key).then_some(known.name.as_str());
            let target = (known.target == register.key).then_some(known.inverse_name.as_str());
            source.into_iter().chain(target)
        });
        let nearest = nearest(through, names);
        DataError::from(RelationError::UnknownThrough {
            field: name.to_owned(),
            through: through.to_owned(),
            nearest,
        })
    })
}

fn too_deep(name: &str) -> DataError {
    RelationError::TooDeep {
        field: name.to_owned(),
        max: COMPUTED_DEPTH_MAX,
    }
    .into()
}

#[cfg(test)]
mod tests;
