// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What becomes of one cell. Pure.

use serde_json::Value as Json;

use super::TypeChangeError;
use super::store::Kept;
use crate::cell::Cell;
use crate::coerce::{self, CellProblem};
use crate::custom_type::TypeRegistry;
use crate::field::FieldDefinition;
use crate::field_type::FieldType;
use crate::keys::FieldKey;
use crate::register::{BuildState, Field};
use crate::value::{Value, ValueKind};

/// From one definition of a field to another.
pub(super) struct Conversion<'t> {
    pub(super) from: Field,
    pub(super) to: Field,
    types: &'t TypeRegistry,
}

/// What a cell becomes, in the form of the rows' JSON; none is an absent cell.
#[derive(Debug, PartialEq)]
pub(super) struct Converted {
    pub(super) cell: Option<Json>,
    /// Why it became null.
    pub(super) problem: Option<CellProblem>,
}

/// Refuses definitions between which there is nothing to convert.
pub(super) fn check(
    field: &Field,
    to: &FieldDefinition,
    types: &TypeRegistry,
) -> Result<(), TypeChangeError> {
    let refuse = |reason| TypeChangeError::NotConvertible {
        field: field.name().to_owned(),
        reason,
    };
    let from = &field.definition().field_type;
    if from.is_reference() || to.field_type.is_reference() {
        return Err(refuse("references are links between rows and no cells"));
    }
    if from.is_computed() || to.field_type.is_computed() {
        return Err(refuse("a computed field is dropped, and added anew"));
    }
    if [from, &to.field_type]
        .iter()
        .any(|one| matches!(one, FieldType::Number))
    {
        return Err(refuse("gapless numbers are counted, and not written"));
    }
    to.check(types)
        .map_err(|error| TypeChangeError::Definition(Box::new(error)))?;
    if to.kind(types).is_none() {
        return Err(refuse("its new type is not registered"));
    }
    Ok(())
}

/// A field that is not in the catalogue, or not any more.
pub(super) fn detached(key: FieldKey, definition: FieldDefinition, types: &TypeRegistry) -> Field {
    let kind = definition.kind(types).unwrap_or(ValueKind::Text);
    Field {
        key,
        definition,
        kind,
        index: BuildState::None,
        unique_state: BuildState::None,
        search: BuildState::None,
    }
}

impl<'t> Conversion<'t> {
    pub(super) fn new(from: Field, to: Field, types: &'t TypeRegistry) -> Self {
        Self { from, to, types }
    }

    /// Converts a cell. Absent stays absent, null stays null.
    pub(super) fn convert(&self, before: Option<&Json>) -> Converted {
        let converted = |cell, problem| Converted { cell, problem };
        let Some(before) = before else {
            return converted(None, None);
        };
        match Value::from_cell_json(self.from.kind(), before) {
            // Somebody else's cell: nobody can read it now either.
            None => converted(Some(Json::Null), Some(CellProblem::Unrepresentable)),
            Some(Cell::Value(value)) => {
                match coerce::convert(&value, &self.from, &self.to, self.types) {
                    // A cell that was there is never absent afterwards.
                    Ok(cell) => converted(Some(cell.to_json().unwrap_or(Json::Null)), None),
                    Err(problem) => converted(Some(Json::Null), Some(problem)),
                }
            }
            Some(_) => converted(Some(Json::Null), None),
        }
    }

    /// Converts a cell back. `kept` is what the row had before the change that is undone, where it was
    /// there: if it still converts to what the row has now, nobody has touched the cell since.
    pub(super) fn restore(&self, before: Option<&Json>, kept: &Kept) -> Converted {
        let forth = Conversion::new(self.to.clone(), self.from.clone(), self.types);
        match kept {
            Kept::Cell(kept) if forth.convert(kept.as_ref()).cell.as_ref() == before => Converted {
                cell: kept.clone(),
                problem: None,
            },
            _ => self.convert(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(definition: FieldDefinition) -> Field {
        detached(FieldKey(1), definition, &TypeRegistry::default())
    }

    #[test]
    fn the_three_states_of_a_cell_stay_apart() {
        let types = TypeRegistry::default();
        let from = field(FieldDefinition::text("age"));
        let to = field(FieldDefinition::integer("age"));
        let conversion = Conversion::new(from, to, &types);
        assert_eq!(conversion.convert(None).cell, None);
        assert_eq!(conversion.convert(Some(&Json::Null)).cell, Some(Json::Null));
        assert_eq!(conversion.convert(Some(&json!("42"))).cell, Some(json!(42)));
        let failed = conversion.convert(Some(&json!("many")));
        assert_eq!(failed.cell, Some(Json::Null));
        assert!(failed.problem.is_some());
    }

    #[test]
    fn what_was_not_touched_comes_back_as_it_was() {
        let types = TypeRegistry::default();
        let text = field(FieldDefinition::text("age"));
        let number = field(FieldDefinition::integer("age"));
        let back = Conversion::new(number, text, &types);
        let restored =
            |before: Json, kept: Json| back.restore(Some(&before), &Kept::Cell(Some(kept))).cell;
        assert_eq!(restored(json!(42), json!("42")), Some(json!("42")));
        assert_eq!(restored(Json::Null, json!("many")), Some(json!("many")));
        assert_eq!(restored(json!(43), json!("42")), Some(json!("43")));
        assert_eq!(back.restore(None, &Kept::Cell(None)).cell, None);
    }

    #[test]
    fn what_has_no_cells_is_refused() {
        let types = TypeRegistry::default();
        let from = field(FieldDefinition::text("client"));
        for to in [
            FieldDefinition::reference("client"),
            FieldDefinition::formula("client", "1"),
            FieldDefinition::number("client"),
        ] {
            assert!(matches!(
                check(&from, &to, &types),
                Err(TypeChangeError::NotConvertible { .. })
            ));
        }
        assert_eq!(
            check(&from, &FieldDefinition::integer("client"), &types),
            Ok(())
        );
    }
}
