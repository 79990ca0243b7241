// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What fuzz targets and random tests reach, and nobody else: readers of input that have no public door.
//! Nothing here is part of the crate's interface.

use serde_json::Value as Json;

use crate::cell::Cell;
use crate::coerce::{coerce, coerce_operand, coerce_references, coerce_text};
use crate::custom_type::TypeRegistry;
use crate::field::FieldDefinition;
use crate::keys::FieldKey;
use crate::register::{BuildState, Field};

pub use crate::import::read_file_of_any_kind;

/// Gives the bytes, as JSON and as text, to a field of each type. Whatever they are, there is an answer,
/// and what is taken is taken again in the form that it was given.
pub fn coerce_of_any_kind(bytes: &[u8]) {
    let types = TypeRegistry::default();
    let json: Option<Json> = serde_json::from_slice(bytes).ok();
    let text = std::str::from_utf8(bytes).ok();
    for field in fields(&types) {
        if let Some(json) = &json {
            let _ = coerce_operand(&field, json, &types);
            if let Ok(cell) = coerce(&field, json, &types) {
                assert_is_stable(&field, &cell, &types);
            }
        }
        if let Some(text) = text
            && let Ok(cell) = coerce_text(&field, text, &types)
        {
            assert_is_stable(&field, &cell, &types);
        }
    }
    if let Some(json) = &json {
        let _ = coerce_references(json);
    }
}

/// A field of each type, without rules and with them.
fn fields(types: &TypeRegistry) -> Vec<Field> {
    let definitions = [
        FieldDefinition::text("f"),
        FieldDefinition::text("f").length(1..=5).pattern("^[a-z]*$"),
        FieldDefinition::integer("f"),
        FieldDefinition::integer("f").range(-10, 10),
        FieldDefinition::decimal("f"),
        FieldDefinition::decimal("f").scale(2),
        FieldDefinition::boolean("f"),
        FieldDefinition::date("f"),
        FieldDefinition::datetime("f"),
        FieldDefinition::uuid("f"),
        FieldDefinition::one_of("f", ["a", "b"]),
        FieldDefinition::json("f"),
    ];
    let field = |definition: FieldDefinition| {
        let kind = definition.kind(types)?;
        Some(Field {
            key: FieldKey(1),
            definition,
            kind,
            index: BuildState::None,
            unique_state: BuildState::None,
            search: BuildState::None,
        })
    };
    definitions.into_iter().filter_map(field).collect()
}

fn assert_is_stable(field: &Field, cell: &Cell, types: &TypeRegistry) {
    let Cell::Value(value) = cell else {
        return;
    };
    let stored = crate::value::Value::from_cell_json(field.kind, &value.to_cell_json());
    assert!(
        stored.as_ref() == Some(cell),
        "a cell is read back as it was stored"
    );
    let json = value.to_json();
    // A document that is null is given as a value, not as JSON.
    if !json.is_null() {
        let again = coerce(field, &json, types);
        assert!(again.as_ref() == Ok(cell), "a value is its own form");
    }
}
