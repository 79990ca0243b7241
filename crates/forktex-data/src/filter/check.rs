// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A filter held against the definition of a register: names become columns, operands values of the
//! column's kind. What comes out needs no further check, in SQL or in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::{OffsetDateTime, Time};

use crate::capability::Capabilities;
use crate::coerce::{coerce_operand, operand_from_value};
use crate::custom_type::TypeRegistry;
use crate::error::nearest;
use crate::keys::RelationshipKey;
use crate::operator::{OperandShape, Operator};
use crate::query::{FilterProblem, QueryError};
use crate::register::{Field, LoadedRegister, Side};
use crate::value::{Value, ValueKind, parse_date, parse_instant, parse_uuid};

use super::json::{Path, check_bounds, complemented, one_object};
use super::{Filter, Operand};

/// What is compared, sorted by or counted: a field, or what every row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Column {
    /// By its place among the register's fields.
    Field(usize),
    Id,
    CreatedAt,
    UpdatedAt,
    ArchivedAt,
    Version,
    ExternalRef,
}

/// What every row has.
const SYSTEM: [(&str, Column); 6] = [
    ("id", Column::Id),
    ("created_at", Column::CreatedAt),
    ("updated_at", Column::UpdatedAt),
    ("archived_at", Column::ArchivedAt),
    ("version", Column::Version),
    ("external_ref", Column::ExternalRef),
];

impl Column {
    /// The column of a name; a field cannot have the name of what every row has.
    pub(crate) fn find(register: &LoadedRegister, name: &str) -> Option<Self> {
        let system = SYSTEM.iter().find(|(known, _)| *known == name);
        system.map(|(_, column)| *column).or_else(|| {
            let mut fields = register.fields.iter();
            fields
                .position(|field| field.name() == name)
                .map(Self::Field)
        })
    }

    /// All columns of a register: what every row has, and then its fields.
    pub(crate) fn all(register: &LoadedRegister) -> impl Iterator<Item = Self> + use<> {
        let system = SYSTEM.iter().map(|(_, column)| *column);
        system.chain((0..register.fields.len()).map(Self::Field))
    }

    /// A known name that is like this one.
    pub(crate) fn nearest(register: &LoadedRegister, name: &str) -> Option<String> {
        let system = SYSTEM.iter().map(|(known, _)| *known);
        nearest(name, system.chain(register.fields.iter().map(Field::name)))
    }

    /// The field, where it is one.
    pub(crate) fn field(self, register: &LoadedRegister) -> Option<&Field> {
        match self {
            Self::Field(index) => register.fields.get(index),
            _ => None,
        }
    }

    pub(crate) fn name(self, register: &LoadedRegister) -> &str {
        if let Some(field) = self.field(register) {
            return field.name();
        }
        let system = SYSTEM.iter().find(|(_, column)| *column == self);
        system.map_or("", |(name, _)| name)
    }

    pub(crate) fn kind(self, register: &LoadedRegister) -> ValueKind {
        match self {
            Self::Field(_) => self.field(register).map_or(ValueKind::Text, Field::kind),
            Self::Id => ValueKind::Uuid,
            Self::CreatedAt | Self::UpdatedAt | Self::ArchivedAt => ValueKind::Datetime,
            Self::Version => ValueKind::Integer,
            Self::ExternalRef => ValueKind::Text,
        }
    }

    pub(crate) fn capabilities(self, register: &LoadedRegister) -> Capabilities {
        match self.field(register) {
            Some(field) => field.capabilities(),
            None => Capabilities::of_kind(self.kind(register)),
        }
    }

    /// Whether its values are links and not cells.
    pub(crate) fn is_reference(self, register: &LoadedRegister) -> bool {
        self.field(register)
            .is_some_and(|field| field.definition().field_type.is_reference())
    }
}

/// One comparison.
#[derive(Clone, PartialEq)]
pub(crate) struct Test {
    pub(crate) column: Column,
    pub(crate) operator: Operator,
    /// As many as the operator takes, each of the column's kind.
    pub(crate) operands: Vec<Value>,
}

/// A filter that fits its register.
#[derive(Clone)]
pub(crate) enum CheckedFilter {
    And(Vec<CheckedFilter>),
    Or(Vec<CheckedFilter>),
    Not(Box<CheckedFilter>),
    Test(Test),
    Related(Box<CheckedRelated>),
}

/// A condition on rows at the other end of a relationship. Only stored registers have one.
#[derive(Clone)]
pub(crate) struct CheckedRelated {
    pub(crate) relationship: RelationshipKey,
    /// The end at which the query's own register stands.
    pub(crate) side: Side,
    pub(crate) register: Arc<LoadedRegister>,
    pub(crate) filter: CheckedFilter,
}

/// The definitions of the registers that a filter asks through relationships, by the names that it
/// uses.
#[derive(Clone, Default)]
pub(crate) struct RelatedRegisters(pub(crate) BTreeMap<String, Arc<LoadedRegister>>);

/// The names of the relationships that a filter goes through.
pub(crate) fn relationships(filter: &Filter) -> Vec<&str> {
    let mut names = Vec::new();
    let mut open = vec![filter];
    while let Some(filter) = open.pop() {
        match filter {
            Filter::And(members) | Filter::Or(members) => open.extend(members),
            Filter::Not(inner) => open.push(inner),
            Filter::Related { relationship, .. } => {
                if !names.contains(&relationship.as_str()) {
                    names.push(relationship);
                }
            }
            Filter::Comparison { .. } => {}
        }
    }
    names
}

/// Checks a filter.
///
/// # Errors
/// [`QueryError::Filter`] with the path of the first fault.
pub(crate) fn check(
    filter: &Filter,
    register: &LoadedRegister,
    related: &RelatedRegisters,
    types: &TypeRegistry,
) -> Result<CheckedFilter, QueryError> {
    check_bounds(filter)?;
    let checker = Checker {
        register,
        related: Some(related),
        types,
    };
    checker.filter(filter, &mut Path::default())
}

struct Checker<'a> {
    register: &'a LoadedRegister,
    /// None within a `related`.
    related: Option<&'a RelatedRegisters>,
    types: &'a TypeRegistry,
}

impl Checker<'_> {
    fn filter(&self, filter: &Filter, path: &mut Path) -> Result<CheckedFilter, QueryError> {
        if let Some(tests) = one_object(filter) {
            let tests = tests.iter().map(|test| self.filter(test, path));
            return Ok(CheckedFilter::And(tests.collect::<Result<_, _>>()?));
        }
        if let Some(test) = complemented(filter) {
            let test = self.filter(test, path)?;
            return Ok(CheckedFilter::Not(Box::new(test)));
        }
        match filter {
            Filter::And(members) => Ok(CheckedFilter::And(self.members("/and", members, path)?)),
            Filter::Or(members) => Ok(CheckedFilter::Or(self.members("/or", members, path)?)),
            Filter::Not(inner) => path
                .within("/not", |path| self.filter(inner, path))
                .map(|inner| CheckedFilter::Not(Box::new(inner))),
            Filter::Related {
                relationship,
                filter,
            } => self.related(relationship, filter, path),
            Filter::Comparison {
                field,
                operator,
                operands,
            } => self
                .test(field, *operator, operands, path)
                .map(CheckedFilter::Test),
        }
    }

    fn members(
        &self,
        step: &str,
        members: &[Filter],
        path: &mut Path,
    ) -> Result<Vec<CheckedFilter>, QueryError> {
        let members = members.iter().enumerate();
        members
            .map(|(n, member)| {
                path.within(&format!("{step}/{n}"), |path| self.filter(member, path))
            })
            .collect()
    }

    fn related(
        &self,
        name: &str,
        filter: &Filter,
        path: &mut Path,
    ) -> Result<CheckedFilter, QueryError> {
        let Some(registers) = self.related else {
            return Err(path.fault(FilterProblem::NestedRelated));
        };
        let found = self.register.relationship(name);
        let (Some((relationship, side)), Some(register)) = (found, registers.0.get(name)) else {
            let problem = FilterProblem::UnknownRelationship {
                relationship: name.to_owned(),
                nearest: nearest_relationship(self.register, name),
            };
            return Err(path.fault_at("/related", problem));
        };
        let inner = Checker {
            register,
            related: None,
            types: self.types,
        };
        let filter = path.within("/where", |path| inner.filter(filter, path))?;
        Ok(CheckedFilter::Related(Box::new(CheckedRelated {
            relationship: relationship.key,
            side,
            register: Arc::clone(register),
            filter,
        })))
    }

    fn test(
        &self,
        name: &str,
        operator: Operator,
        operands: &[Operand],
        path: &mut Path,
    ) -> Result<Test, QueryError> {
        let Some(column) = Column::find(self.register, name) else {
            let problem = FilterProblem::UnknownField {
                field: name.to_owned(),
                nearest: Column::nearest(self.register, name),
            };
            return Err(path.fault_at("/field", problem));
        };
        let shape = operator.operands();
        path.within(&format!("/{operator}"), |path| {
            if !column.capabilities(self.register).allows(operator) {
                return Err(path.fault(FilterProblem::Misfit {
                    operator: operator.word(),
                    field: name.to_owned(),
                    kind: column.kind(self.register),
                }));
            }
            if !has_shape(shape, operands) {
                return Err(path.fault(FilterProblem::Operand {
                    operator: operator.word(),
                    expected: shape.expected(),
                }));
            }
            let is_list = matches!(shape, OperandShape::List | OperandShape::Two);
            let values = operands.iter().enumerate().map(|(n, operand)| {
                let step = if is_list {
                    format!("/{n}")
                } else {
                    String::new()
                };
                self.operand(column, operator, operand)
                    .map_err(|problem| path.fault_at(&step, problem))
            });
            Ok(Test {
                column,
                operator,
                operands: values.collect::<Result<_, _>>()?,
            })
        })
    }

    fn operand(
        &self,
        column: Column,
        operator: Operator,
        operand: &Operand,
    ) -> Result<Value, FilterProblem> {
        let kind = column.kind(self.register);
        let wrong = |reason: String| FilterProblem::WrongValue {
            field: column.name(self.register).to_owned(),
            kind,
            reason,
        };
        if let Operand::Json(json) | Operand::Value(Value::Json(json)) = operand
            && json.is_null()
        {
            return Err(FilterProblem::NeedsValue {
                operator: operator.word(),
            });
        }
        // A part of a text is a text, though it need not be a whole one that the field could hold.
        if operator.operands() == OperandShape::Text {
            let text = as_text(operand).filter(|text| !text.contains('\0'));
            return text.map(Value::from).ok_or(FilterProblem::Operand {
                operator: operator.word(),
                expected: OperandShape::Text.expected(),
            });
        }
        if kind == ValueKind::Datetime
            && let Some(instant) = as_instant(operand)
        {
            return Ok(Value::Instant(instant));
        }
        let Some(field) = column.field(self.register) else {
            return system_operand(kind, operand)
                .ok_or_else(|| wrong(format!("expected {}", kind.as_str())));
        };
        let value = match operand {
            Operand::Json(json) => coerce_operand(field, json, self.types),
            Operand::Value(value) => operand_from_value(field, value.clone(), self.types),
        };
        value.map_err(|problem| wrong(problem.to_string()))
    }
}

/// A relationship of the register, at either end, with a name like this one.
pub(crate) fn nearest_relationship(register: &LoadedRegister, name: &str) -> Option<String> {
    let names = register.sides().map(|(relationship, side)| match side {
        Side::Source => relationship.name.as_str(),
        Side::Target => relationship.inverse_name.as_str(),
    });
    nearest(name, names)
}

fn has_shape(shape: OperandShape, operands: &[Operand]) -> bool {
    match shape {
        OperandShape::Nothing => operands.is_empty(),
        OperandShape::One | OperandShape::Text => operands.len() == 1,
        OperandShape::Two => operands.len() == 2,
        OperandShape::List => true,
    }
}

fn as_text(operand: &Operand) -> Option<&str> {
    match operand {
        Operand::Value(value) => value.as_str(),
        Operand::Json(json) => json.as_str(),
    }
}

/// An instant, or a day, which stands for its beginning in UTC. Cut to the microseconds that are stored.
fn as_instant(operand: &Operand) -> Option<OffsetDateTime> {
    let instant = match operand {
        Operand::Value(Value::Instant(instant)) => *instant,
        Operand::Value(Value::Date(date)) => date.with_time(Time::MIDNIGHT).assume_utc(),
        other => {
            let text = as_text(other)?;
            parse_instant(text).or_else(|| {
                parse_date(text).map(|date| date.with_time(Time::MIDNIGHT).assume_utc())
            })?
        }
    };
    let instant = instant.checked_to_offset(time::UtcOffset::UTC)?;
    let micros = instant.nanosecond() / 1_000 * 1_000;
    let instant = instant.replace_nanosecond(micros).ok()?;
    (0..=9_999).contains(&instant.year()).then_some(instant)
}

/// A value for what every row has.
fn system_operand(kind: ValueKind, operand: &Operand) -> Option<Value> {
    match (kind, operand) {
        (ValueKind::Uuid, Operand::Value(Value::Uuid(uuid))) => Some(Value::Uuid(*uuid)),
        (ValueKind::Uuid, other) => parse_uuid(as_text(other)?).map(Value::Uuid),
        (ValueKind::Integer, Operand::Value(value)) => value.as_integer().map(Value::Integer),
        (ValueKind::Integer, Operand::Json(json)) => json.as_i64().map(Value::Integer),
        (ValueKind::Text, other) => as_text(other)
            .filter(|text| !text.contains('\0'))
            .map(Value::from),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
