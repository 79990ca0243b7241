// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Computes what a row has of itself: its formulas. It is pure, and prepared once for all rows of a batch.
//!
//! Values from related rows are not looked up here. A row that has none of them yet gets what no related
//! row gives: a count of zero, and emptiness else; `after_write` brings them later, where there are any.

use std::collections::{BTreeMap, BTreeSet};

use super::{COMPUTED_DEPTH_MAX, Cells};
use crate::cell::Cell;
use crate::error::DataError;
use crate::field_type::{FieldType, Rollup};
use crate::formula::{CheckedFormula, FieldUse, Formula};
use crate::keys::FieldKey;
use crate::register::{Field, LoadedRegister};
use crate::relation_error::RelationError;
use crate::validate::check_computed;
use crate::value::Value;

/// Why a formula cannot name a reference.
const REFERENCE: &str = "it is a reference; name a look-up through it instead";

/// The computed fields of one row, ready to be computed for any row of the register.
pub(crate) struct OwnRow<'r> {
    /// In the order in which they must be computed.
    formulas: Vec<(&'r Field, CheckedFormula)>,
    /// What a field over related rows has where there are none.
    without_related: Vec<(FieldKey, Cell)>,
    keys: BTreeMap<&'r str, FieldKey>,
}

/// Prepares the formulas of the register. Pure.
///
/// # Errors
/// [`DataError::Formula`] and [`DataError::Relation`] for a definition that should not have been taken.
pub(crate) fn own_row(register: &LoadedRegister) -> Result<OwnRow<'_>, DataError> {
    let uses = field_uses(
        register
            .fields
            .iter()
            .map(|field| (field.name(), &field.definition.field_type, field.kind)),
    );
    let mut formulas = Vec::new();
    for field in &register.fields {
        if let FieldType::Formula { expression } = &field.definition.field_type {
            let name = || format!("{}.{}", register.name, field.name());
            let formula = Formula::parse(expression)
                .and_then(|formula| formula.check_uses(&uses))
                .map_err(|error| error.of_field(name()))?;
            formulas.push((field, formula));
        }
    }
    Ok(OwnRow {
        formulas: ordered(&register.name, formulas)?,
        without_related: register.fields.iter().filter_map(without_related).collect(),
        keys: register
            .fields
            .iter()
            .map(|field| (field.name(), field.key))
            .collect(),
    })
}

/// What a formula may do with each field.
pub(super) fn field_uses<'f>(
    fields: impl Iterator<Item = (&'f str, &'f FieldType, crate::value::ValueKind)>,
) -> BTreeMap<&'f str, FieldUse> {
    fields
        .map(|(name, field_type, kind)| {
            let field_use = if field_type.is_reference() {
                FieldUse::Unusable(REFERENCE)
            } else {
                FieldUse::Kind(kind)
            };
            (name, field_use)
        })
        .collect()
}

impl OwnRow<'_> {
    /// Computes the formulas, and fills in fields over related rows that are missing. A value that its
    /// field cannot hold is empty.
    pub(crate) fn compute(&self, cells: &mut Cells) {
        for (key, cell) in &self.without_related {
            if cells.get(key).is_none_or(|cell| *cell == Cell::Absent) {
                cells.insert(*key, cell.clone());
            }
        }
        for (field, formula) in &self.formulas {
            let cell = formula.evaluate(&|name| {
                let key = self.keys.get(name);
                key.and_then(|key| cells.get(key))
                    .cloned()
                    .unwrap_or_default()
            });
            cells.insert(field.key, fitting(field, cell.into_value()));
        }
    }
}

/// The value as a cell of the field; emptied where it has none, or one that the field cannot hold.
pub(super) fn fitting(field: &Field, value: Option<Value>) -> Cell {
    value.map_or(Cell::Null, |value| {
        check_computed(field, value).unwrap_or(Cell::Null)
    })
}

/// What a look-up or rollup has where there is no related row.
pub(super) fn without_related(field: &Field) -> Option<(FieldKey, Cell)> {
    let cell = match &field.definition.field_type {
        FieldType::Lookup { .. } => Cell::Null,
        FieldType::Rollup { aggregate, .. } => match aggregate {
            Rollup::Count => Cell::Value(Value::Integer(0)),
            Rollup::Exists => Cell::Value(Value::Boolean(false)),
            Rollup::Sum(_) | Rollup::Average(_) | Rollup::Min(_) | Rollup::Max(_) => Cell::Null,
        },
        _ => return None,
    };
    Some((field.key, cell))
}

/// Sorts formulas so that each comes after those that it names. A turn takes all that wait for none, so
/// that the turns count the depth.
fn ordered<'r>(
    register: &str,
    mut waiting: Vec<(&'r Field, CheckedFormula)>,
) -> Result<Vec<(&'r Field, CheckedFormula)>, DataError> {
    let mut sorted = Vec::with_capacity(waiting.len());
    for _ in 0..COMPUTED_DEPTH_MAX {
        if waiting.is_empty() {
            break;
        }
        let unsorted: BTreeSet<&str> = waiting
            .iter()
            .map(|(field, _)| -> &'r str { field.name() })
            .collect();
        let (ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, formula)| {
            let inputs = formula.formula().names();
            !inputs.iter().any(|name| unsorted.contains(name))
        });
        waiting = later;
        sorted.extend(ready);
    }
    match waiting.first() {
        None => Ok(sorted),
        // A circle, too, leaves some that never become ready.
        Some((field, _)) => Err(RelationError::TooDeep {
            field: format!("{register}.{}", field.name()),
            max: COMPUTED_DEPTH_MAX,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDefinition;
    use crate::keys::RegisterKey;
    use crate::register::BuildState;
    use crate::value::ValueKind;

    fn register(fields: Vec<(FieldDefinition, ValueKind)>) -> LoadedRegister {
        let fields = fields
            .into_iter()
            .zip(1..)
            .map(|((definition, kind), key)| Field {
                key: FieldKey(key),
                definition,
                kind,
                index: BuildState::None,
                unique_state: BuildState::None,
                search: BuildState::None,
            });
        LoadedRegister {
            key: RegisterKey(1),
            name: "invoices".to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields: fields.collect(),
            relationships: Vec::new(),
        }
    }

    #[test]
    fn formulas_are_computed_after_those_that_they_name() {
        let register = register(vec![
            (
                FieldDefinition::formula("gross", "net + tax"),
                ValueKind::Decimal,
            ),
            (
                FieldDefinition::formula("tax", "net * 0.2"),
                ValueKind::Decimal,
            ),
            (FieldDefinition::integer("net"), ValueKind::Integer),
        ]);
        let mut cells = Cells::from([(FieldKey(3), Cell::from(Value::from(10)))]);
        own_row(&register).unwrap().compute(&mut cells);
        let gross = cells.get(&FieldKey(1)).unwrap();
        assert_eq!(serde_json::to_value(gross).unwrap(), "12");
        // Once more over what was computed gives the same.
        let before = cells.clone();
        own_row(&register).unwrap().compute(&mut cells);
        assert_eq!(cells, before);
    }

    #[test]
    fn a_row_without_related_rows_counts_none() {
        let register = register(vec![
            (
                FieldDefinition::rollup("lines_count", "lines", Rollup::Count),
                ValueKind::Integer,
            ),
            (
                FieldDefinition::rollup("total", "lines", Rollup::Sum("amount".to_owned())),
                ValueKind::Decimal,
            ),
            (
                FieldDefinition::formula("is_open", "lines_count = 0 and is_empty(total)"),
                ValueKind::Boolean,
            ),
        ]);
        let mut cells = Cells::new();
        own_row(&register).unwrap().compute(&mut cells);
        assert_eq!(cells.get(&FieldKey(1)), Some(&Value::from(0).into()));
        assert_eq!(cells.get(&FieldKey(2)), Some(&Cell::Null));
        assert_eq!(cells.get(&FieldKey(3)), Some(&Value::from(true).into()));
        // What is there stays.
        cells.insert(FieldKey(1), Value::from(3).into());
        own_row(&register).unwrap().compute(&mut cells);
        assert_eq!(cells.get(&FieldKey(1)), Some(&Value::from(3).into()));
        assert_eq!(cells.get(&FieldKey(3)), Some(&Value::from(false).into()));
    }

    #[test]
    fn a_circle_of_formulas_is_refused() {
        let register = register(vec![
            (FieldDefinition::formula("a", "b + 1"), ValueKind::Integer),
            (FieldDefinition::formula("b", "a + 1"), ValueKind::Integer),
        ]);
        assert!(own_row(&register).is_err());
    }

    #[test]
    fn a_formula_over_a_reference_says_what_to_name_instead() {
        let register = register(vec![
            (FieldDefinition::reference("client"), ValueKind::Uuid),
            (
                FieldDefinition::formula("x", "is_empty(client)"),
                ValueKind::Boolean,
            ),
        ]);
        let error = own_row(&register).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("`invoices.x`") && text.contains("look-up"),
            "{text}"
        );
    }
}
