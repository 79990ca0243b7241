// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whole rows against their fields: everything that is wrong with a row is told at once.
//!
//! Nothing is read from the database here. Whether a unique value is free, whether a referenced row is
//! there, and what number is next is found out by whoever writes.

mod problem;
mod rules;

use std::collections::BTreeMap;

use crate::cell::Cell;
use crate::coerce;
use crate::custom_type::TypeRegistry;
use crate::draft::{Draft, DraftCell};
use crate::error::nearest;
use crate::field_name::is_system_name;
use crate::keys::FieldKey;
use crate::limits::{
    EXTERNAL_REF_CHARACTERS_MAX, INDEXED_TEXT_LENGTH_MAX, ROW_BYTES_MAX, TEXT_LENGTH_MAX,
};
use crate::register::{BuildState, Field};
use crate::row::RowId;
use crate::value::Value;
use problem::PROBLEMS_MAX;

pub use problem::{CellProblem, RowProblems};
pub(crate) use rules::{apply, digits, normal_form};

/// The most digits of a decimal number.
pub(crate) const DECIMAL_DIGITS_MAX: usize = 28;

/// The most digits that a field of decimals can keep after the point.
pub(crate) const SCALE_MAX: u32 = 27;

/// No cell but a text or a document takes more bytes than this, with its key.
const SMALL_CELL_BYTES_MAX: usize = 64;

/// The bytes of the longest escape of one byte in JSON.
const ESCAPE_BYTES_MAX: usize = 6;

/// What a draft is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DraftMode {
    /// A whole row, new or in place of another: defaults are filled in, and what is required must be there.
    Create,
    /// Some fields of a row that is there.
    Patch,
}

/// What a draft says, in the form in which it is stored. A field is named by its place in the register.
#[derive(Debug, Default)]
#[allow(
    clippy::option_option,
    reason = "not given, taken away and given are three things"
)]
pub(crate) struct CheckedDraft {
    /// Cells of stored fields. Those that are computed, or counted by us, are not among them.
    pub(crate) cells: Vec<(usize, Cell)>,
    /// All rows that a reference is to point to; none of them empties it.
    pub(crate) references: Vec<(usize, Vec<RowId>)>,
    /// The reference of another system: not given, taken away, or given.
    pub(crate) external_ref: Option<Option<String>>,
}

/// Checks a draft against the fields of its register.
pub(crate) fn check_draft(
    fields: &[Field],
    draft: &Draft,
    mode: DraftMode,
    types: &TypeRegistry,
) -> Result<CheckedDraft, RowProblems> {
    let mut checked = CheckedDraft::default();
    let mut problems = RowProblems::default();
    for (index, field) in fields.iter().enumerate() {
        let outcome = match draft.get(field.name()) {
            Some(cell) => check_given(index, field, cell, types, &mut checked),
            None if mode == DraftMode::Create => fill_in(index, field, types, &mut checked),
            None => Ok(()),
        };
        if let Err(problem) = outcome {
            problems.push(field.name(), problem);
        }
    }
    find_unknown(fields, draft, &mut problems);
    match check_external(draft) {
        Ok(external_ref) => checked.external_ref = external_ref,
        Err(problem) => problems.push("external_ref", problem),
    }
    if problems.is_empty() {
        Ok(checked)
    } else {
        Err(problems)
    }
}

/// Checks a computed value before it is stored: its form, and that it is not too long for where it is
/// kept. The rules of the fields that it comes from do not hold for it.
pub(crate) fn check_computed(field: &Field, value: Value) -> Result<Cell, CellProblem> {
    let value = normal_form(value)?;
    if let Value::Text(text) = &value {
        let is_keyed = field.index != BuildState::None || field.definition.indexed;
        let max = if is_keyed {
            INDEXED_TEXT_LENGTH_MAX
        } else {
            TEXT_LENGTH_MAX
        };
        rules::check_length(text, max)?;
    }
    Ok(Cell::Value(value))
}

/// Checks that all cells of a row together are not too large. It is for the row as it will be stored.
pub(crate) fn check_row_bytes(cells: &BTreeMap<FieldKey, Cell>) -> Result<(), CellProblem> {
    // Most rows are far below, and need no counting.
    if cells.values().map(bytes_at_most).sum::<usize>() <= ROW_BYTES_MAX {
        return Ok(());
    }
    let bytes: usize = cells
        .iter()
        .filter_map(|(key, cell)| Some((key, cell.to_json()?)))
        // The key with its quotes, the colon and the comma.
        .map(|(key, json)| rules::json_bytes(&json) + digits(key) + 4)
        .sum();
    if bytes > ROW_BYTES_MAX {
        return Err(CellProblem::TooLarge {
            bytes,
            max: ROW_BYTES_MAX,
        });
    }
    Ok(())
}

/// No fewer bytes than a cell takes with its key.
fn bytes_at_most(cell: &Cell) -> usize {
    let long = match cell.value() {
        Some(Value::Text(text)) => text.len().saturating_mul(ESCAPE_BYTES_MAX),
        Some(Value::Json(json)) => rules::json_bytes(json),
        _ => 0,
    };
    long.saturating_add(SMALL_CELL_BYTES_MAX)
}

fn check_given(
    index: usize,
    field: &Field,
    cell: &DraftCell,
    types: &TypeRegistry,
    checked: &mut CheckedDraft,
) -> Result<(), CellProblem> {
    if field.definition.field_type.is_reference() {
        let targets = cell.to_references()?;
        if targets.is_empty() && field.definition.required {
            return Err(CellProblem::Required);
        }
        checked.references.push((index, targets));
    } else {
        let cell = coerce::coerce_draft(field, cell, types)?;
        checked.cells.push((index, cell));
    }
    Ok(())
}

/// What a new row has in a field that its draft leaves out.
fn fill_in(
    index: usize,
    field: &Field,
    types: &TypeRegistry,
    checked: &mut CheckedDraft,
) -> Result<(), CellProblem> {
    let definition = &field.definition;
    if definition.field_type.is_read_only() {
        return Ok(());
    }
    match &definition.default {
        Some(default) if !definition.field_type.is_reference() => {
            let cell = coerce::default_cell(definition, default, types)?;
            checked.cells.push((index, cell));
            Ok(())
        }
        _ if definition.required => Err(CellProblem::Required),
        _ => Ok(()),
    }
}

/// Names in a draft that are not those of fields. Those that every row has cannot be set.
fn find_unknown(fields: &[Field], draft: &Draft, problems: &mut RowProblems) {
    for (name, _) in draft.iter() {
        if problems.len() >= PROBLEMS_MAX {
            return;
        }
        if fields.iter().any(|field| field.name() == name) {
            continue;
        }
        let shown: String = name.chars().take(100).collect();
        if is_system_name(name) {
            problems.push(shown, CellProblem::ReadOnly);
        } else {
            let nearest = nearest(name, fields.iter().map(Field::name));
            problems.push(shown, CellProblem::UnknownField { nearest });
        }
    }
}

#[allow(
    clippy::option_option,
    reason = "not given, taken away and given are three things"
)]
fn check_external(draft: &Draft) -> Result<Option<Option<String>>, CellProblem> {
    let Some(Some(text)) = draft.external() else {
        return Ok(draft.external().map(|_| None));
    };
    if text.is_empty() {
        return Err(CellProblem::TooShort { length: 0, min: 1 });
    }
    if text.contains('\0') {
        return Err(CellProblem::NulCharacter);
    }
    rules::check_length(text, EXTERNAL_REF_CHARACTERS_MAX)?;
    Ok(Some(Some(text.to_owned())))
}

#[cfg(test)]
mod tests;
