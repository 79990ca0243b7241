// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From what came in to what is stored: strictly from JSON, loosely from text, and from type to type.
//!
//! Strict means that nothing is guessed: the text `"12"` is no number. Nothing is ever rounded or cut
//! but what is finer than a microsecond.

mod convert;
mod read;
mod text;

use serde_json::Value as Json;
use uuid::Uuid;

use crate::cell::Cell;
use crate::custom_type::TypeRegistry;
use crate::draft::DraftCell;
use crate::field::FieldDefinition;
use crate::field_type::FieldType;
use crate::limits::REFERENCES_MAX;
use crate::register::Field;
use crate::row::RowId;
use crate::validate;
use crate::value::{Value, ValueKind, parse_uuid};

pub(crate) use crate::validate::CellProblem;
pub(crate) use convert::convert;

/// Reads a cell from JSON, strictly, and checks it. `null` empties the cell, also in a field of JSON
/// documents.
pub(crate) fn coerce(
    field: &Field,
    json: &Json,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    let definition = &field.definition;
    check_writable(definition)?;
    if json.is_null() {
        return emptied(definition, Cell::Null);
    }
    let raw = raw_from_json(definition, field.kind, json)?;
    finish(definition, raw, types)
}

/// Checks a value that comes from Rust. A text is read as JSON would be where the field holds dates,
/// instants, decimals or UUIDs.
pub(crate) fn coerce_value(
    field: &Field,
    value: Value,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    let definition = &field.definition;
    check_writable(definition)?;
    if matches!(&value, Value::Json(json) if json.is_null()) && field.kind != ValueKind::Json {
        return emptied(definition, Cell::Null);
    }
    let raw = match &definition.field_type {
        FieldType::Custom { .. } => read::from_value(field.kind, value.clone()).unwrap_or(value),
        _ => read::from_value(field.kind, value)?,
    };
    finish(definition, raw, types)
}

/// Reads a cell from text, loosely, as people and spreadsheets write, and checks it. A text without
/// anything in it is an absent cell.
pub(crate) fn coerce_text(
    field: &Field,
    text: &str,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    let definition = &field.definition;
    check_writable(definition)?;
    let is_blank = match definition.field_type {
        FieldType::Text(_) => text.is_empty(),
        _ => text.trim().is_empty(),
    };
    if is_blank {
        return emptied(definition, Cell::Absent);
    }
    let raw = raw_from_text(definition, field.kind, text)?;
    finish(definition, raw, types)
}

/// One cell of a draft, of a field that is no reference.
pub(crate) fn coerce_draft(
    field: &Field,
    cell: &DraftCell,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    match cell {
        DraftCell::Absent => {
            check_writable(&field.definition)?;
            emptied(&field.definition, Cell::Absent)
        }
        DraftCell::Null => {
            check_writable(&field.definition)?;
            emptied(&field.definition, Cell::Null)
        }
        DraftCell::Value(value) => coerce_value(field, value.clone(), types),
        DraftCell::Json(json) => coerce(field, json, types),
        DraftCell::References(_) => {
            check_writable(&field.definition)?;
            Err(CellProblem::WrongType {
                expected: read::expected(field.kind),
                found: "references",
            })
        }
    }
}

/// The default of a definition as a cell.
pub(crate) fn default_cell(
    definition: &FieldDefinition,
    default: &Json,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    // A field of JSON documents has no default `null`: it would be gone when the definition is read.
    if default.is_null() {
        return emptied(definition, Cell::Absent);
    }
    // A type that is not registered is told by the check of the definition.
    let kind = definition.kind(types).unwrap_or(ValueKind::Json);
    let raw = raw_from_json(definition, kind, default)?;
    finish(definition, raw, types)
}

/// Reads what a filter compares a field with. The rules of the field do not hold for it: a number below
/// the minimum can be asked for. Numbers of all forms are taken, as long as they are exact.
pub(crate) fn coerce_operand(
    field: &Field,
    json: &Json,
    types: &TypeRegistry,
) -> Result<Value, CellProblem> {
    if let FieldType::Custom { .. } = &field.definition.field_type {
        let raw = read::from_json(field.kind, json);
        let loose = raw.clone().unwrap_or_else(|_| read::as_written(json));
        // A type that refuses it may still hold values that are greater or less.
        return custom(&field.definition, loose, types)
            .or(raw)
            .and_then(validate::normal_form);
    }
    validate::normal_form(read::operand(field.kind, json)?)
}

/// As [`coerce_operand`], for a value that comes from Rust.
pub(crate) fn operand_from_value(
    field: &Field,
    value: Value,
    types: &TypeRegistry,
) -> Result<Value, CellProblem> {
    if let FieldType::Custom { .. } = &field.definition.field_type {
        let raw = read::from_value(field.kind, value.clone());
        let loose = raw.clone().unwrap_or(value);
        return custom(&field.definition, loose, types)
            .or(raw)
            .and_then(validate::normal_form);
    }
    let value = match value {
        Value::Json(json) if field.kind != ValueKind::Json => read::operand(field.kind, &json)?,
        number @ (Value::Integer(_) | Value::Decimal(_)) if field.kind.is_number() => number,
        other => read::from_value(field.kind, other)?,
    };
    validate::normal_form(value)
}

/// The rows that a reference is to point to: an id, a list of ids, or `null` for none. Ids that come
/// twice count once.
pub(crate) fn coerce_references(json: &Json) -> Result<Vec<RowId>, CellProblem> {
    let ids = match json {
        Json::Null => &[],
        Json::Array(ids) => ids.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut targets = Vec::new();
    for id in ids {
        let uuid = id.as_str().and_then(parse_uuid);
        targets.push(RowId::from(uuid.ok_or(CellProblem::WrongType {
            expected: "the id of a row, or a list of ids",
            found: read::found(id),
        })?));
    }
    distinct(targets)
}

/// Each of these rows once, in the order in which they came.
pub(crate) fn distinct(ids: Vec<RowId>) -> Result<Vec<RowId>, CellProblem> {
    let mut seen = std::collections::BTreeSet::new();
    let mut targets = ids;
    targets.retain(|id| seen.insert(*id));
    let (count, max) = (targets.len(), REFERENCES_MAX);
    if count > max {
        return Err(CellProblem::TooMany { count, max });
    }
    Ok(targets)
}

/// Gives a value of the right kind the form in which it is stored, or says why it does not fit.
fn finish(
    definition: &FieldDefinition,
    raw: Value,
    types: &TypeRegistry,
) -> Result<Cell, CellProblem> {
    let value = match &definition.field_type {
        FieldType::Custom { .. } => custom(definition, raw, types)?,
        _ => raw,
    };
    validate::apply(definition, value).map(Cell::Value)
}

/// What the custom type of a field makes of a value.
fn custom(
    definition: &FieldDefinition,
    raw: Value,
    types: &TypeRegistry,
) -> Result<Value, CellProblem> {
    let FieldType::Custom {
        custom_type,
        options,
    } = &definition.field_type
    else {
        return Ok(raw);
    };
    let Some(known) = types.get(custom_type) else {
        return Err(CellProblem::Custom {
            message: format!("the custom type `{custom_type}` is not registered"),
        });
    };
    let value = known
        .coerce(raw, options)
        .map_err(|message| CellProblem::Custom { message })?;
    if value.kind() == known.kind() {
        return Ok(value);
    }
    Err(CellProblem::Custom {
        message: format!(
            "the custom type `{custom_type}` gave a value of kind {}, and is of kind {}",
            value.kind().as_str(),
            known.kind().as_str()
        ),
    })
}

fn raw_from_json(
    definition: &FieldDefinition,
    kind: ValueKind,
    json: &Json,
) -> Result<Value, CellProblem> {
    let read = read::from_json(kind, json);
    match definition.field_type {
        FieldType::Custom { .. } => Ok(read.unwrap_or_else(|_| read::as_written(json))),
        _ => read,
    }
}

fn raw_from_text(
    definition: &FieldDefinition,
    kind: ValueKind,
    text: &str,
) -> Result<Value, CellProblem> {
    match &definition.field_type {
        FieldType::Enum(options) => Ok(text::option(options, text)),
        FieldType::Custom { .. } => {
            Ok(text::from_text(kind, text).unwrap_or_else(|_| Value::from(text)))
        }
        _ => text::from_text(kind, text),
    }
}

fn check_writable(definition: &FieldDefinition) -> Result<(), CellProblem> {
    if definition.field_type.is_read_only() {
        return Err(CellProblem::ReadOnly);
    }
    Ok(())
}

/// A cell without a value, where the field allows it.
fn emptied(definition: &FieldDefinition, cell: Cell) -> Result<Cell, CellProblem> {
    if definition.required {
        return Err(CellProblem::Required);
    }
    Ok(cell)
}

/// A reference that a value stands for.
pub(crate) fn reference_of(value: &Value) -> Option<Uuid> {
    match value {
        Value::Uuid(uuid) => Some(*uuid),
        Value::Text(text) => parse_uuid(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
