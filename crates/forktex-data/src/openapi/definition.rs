// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The schemas of definitions: of registers, fields and relationships.
//!
//! They say what a definition by itself can be. That its parts agree with each other and with the other
//! registers is for the catalogue to say.

use serde_json::{Map, Value as Json, json};

use super::query::object;
use crate::custom_type::TypeRegistry;
use crate::field_name::SYSTEM_NAMES;
use crate::json_schema::{NO_NUL, bound, or_null};
use crate::limits::{
    DESCRIPTION_CHARACTERS_MAX, ENUM_OPTION_CHARACTERS_MAX, ENUM_OPTIONS_MAX, FIELDS_MAX,
    FORMULA_CHARACTERS_MAX, JSON_BYTES_MAX, LABEL_CHARACTERS_MAX, NAME_CHARACTERS_MAX,
    PATTERN_LENGTH_MAX, REGISTERS_MAX, RELATIONSHIPS_MAX, TEXT_LENGTH_MAX,
};
use crate::validate::SCALE_MAX;
use crate::value::ValueKind;

/// Adds the schemas, which all registers share.
pub(super) fn add(schemas: &mut Map<String, Json>, types: &TypeRegistry) {
    let register = register();
    let mut described = register.clone();
    described["properties"]["version"] = json!({ "type": "integer", "minimum": 0 });
    described["required"] = json!(["name", "version"]);
    let registers = json!({
        "form": { "const": 1 },
        "registers": {
            "type": "array",
            "items": reference("register_definition"),
            "maxItems": REGISTERS_MAX,
        },
    });
    for (name, schema) in [
        ("register_definition", register),
        ("described_register", described),
        (
            "schema_document",
            object(&registers, &["form", "registers"]),
        ),
        ("field_definition", field()),
        ("field_type", field_type(types)),
        ("relationship_definition", relationship()),
    ] {
        schemas.insert(name.to_owned(), schema);
    }
}

/// A reference to one of the schemas that all registers share.
pub(super) fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn register() -> Json {
    let properties = json!({
        "name": name(),
        "label": words(LABEL_CHARACTERS_MAX),
        "description": words(DESCRIPTION_CHARACTERS_MAX),
        "keeps_history": { "type": "boolean" },
        "fields": {
            "type": "array",
            "items": reference("field_definition"),
            "maxItems": FIELDS_MAX,
        },
        "relationships": {
            "type": "array",
            "items": reference("relationship_definition"),
            "maxItems": RELATIONSHIPS_MAX,
        },
    });
    object(&properties, &["name"])
}

fn field() -> Json {
    let flag = json!({ "type": "boolean" });
    let properties = json!({
        "name": name(),
        "label": words(LABEL_CHARACTERS_MAX),
        "description": words(DESCRIPTION_CHARACTERS_MAX),
        "type": reference("field_type"),
        "required": flag,
        "unique": flag,
        "indexed": flag,
        "searchable": flag,
        "default": { "description": "What a new row has where it is not given a value" },
    });
    object(&properties, &["name", "type"])
}

fn relationship() -> Json {
    let properties = json!({
        "name": name(),
        "target": name(),
        "inverse_name": { "anyOf": [name(), { "const": "" }] },
        "cardinality": { "enum": ["one_to_one", "many_to_one", "many_to_many"] },
        "on_delete": { "enum": ["restrict", "cascade", "set_null"] },
    });
    object(&properties, &["name", "target", "cardinality"])
}

fn field_type(types: &TypeRegistry) -> Json {
    let length = json!({ "type": ["integer", "null"], "minimum": 0, "maximum": TEXT_LENGTH_MAX });
    let whole = json!({ "type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX });
    let limit = |kind| or_null(&bound(kind));
    let range = |kind| json!({ "minimum": limit(kind), "maximum": limit(kind) });
    let decimal = json!({
        "minimum": limit(ValueKind::Decimal),
        "maximum": limit(ValueKind::Decimal),
        "scale": { "type": ["integer", "null"], "minimum": 0, "maximum": SCALE_MAX },
    });
    let text = json!({
        "length_min": length,
        "length_max": length,
        "pattern": { "type": ["string", "null"], "maxLength": PATTERN_LENGTH_MAX },
    });
    let bytes = json!({ "type": ["integer", "null"], "minimum": 0, "maximum": JSON_BYTES_MAX });
    let expression = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": FORMULA_CHARACTERS_MAX,
    });
    let mut kinds = vec![
        kind("text", text, &[]),
        kind(
            "integer",
            json!({ "minimum": whole, "maximum": whole }),
            &[],
        ),
        kind("number", json!({}), &[]),
        kind("decimal", decimal, &[]),
        kind("boolean", json!({}), &[]),
        kind("date", range(ValueKind::Date), &[]),
        kind("datetime", range(ValueKind::Datetime), &[]),
        kind("uuid", json!({}), &[]),
        kind("enum", json!({ "options": options() }), &["options"]),
        kind("json", json!({ "bytes_max": bytes }), &[]),
        kind(
            "reference",
            json!({ "relationship": name() }),
            &["relationship"],
        ),
        kind(
            "lookup",
            json!({ "through": name(), "field": name() }),
            &["through", "field"],
        ),
        kind(
            "rollup",
            json!({ "through": name(), "aggregate": rollup() }),
            &["through", "aggregate"],
        ),
        kind(
            "formula",
            json!({ "expression": expression }),
            &["expression"],
        ),
    ];
    let names: Vec<&str> = types.names().collect();
    if !names.is_empty() {
        let custom = json!({ "custom_type": { "enum": names }, "options": {} });
        kinds.push(kind("custom", custom, &["custom_type"]));
    }
    json!({ "anyOf": kinds })
}

/// A type with its rules.
fn kind(word: &str, mut rules: Json, required: &[&str]) -> Json {
    rules["kind"] = json!({ "const": word });
    object(&rules, &[&["kind"], required].concat())
}

fn options() -> Json {
    let text = |min: usize, max: usize| json!({ "type": "string", "minLength": min, "maxLength": max, "pattern": NO_NUL });
    let key = text(1, ENUM_OPTION_CHARACTERS_MAX);
    let labelled = json!({ "key": key, "label": words(LABEL_CHARACTERS_MAX) });
    json!({
        "type": "array",
        "items": { "anyOf": [key, object(&labelled, &["key"])] },
        "minItems": 1,
        "maxItems": ENUM_OPTIONS_MAX,
    })
}

fn rollup() -> Json {
    let mut forms = vec![json!({ "enum": ["count", "exists"] })];
    for word in ["sum", "average", "min", "max"] {
        let mut properties = Map::new();
        properties.insert(word.to_owned(), name());
        forms.push(object(&Json::Object(properties), &[word]));
    }
    json!({ "anyOf": forms })
}

fn name() -> Json {
    json!({
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]*$",
        "maxLength": NAME_CHARACTERS_MAX,
        "not": { "enum": SYSTEM_NAMES },
    })
}

/// What people read; it may be left out.
fn words(characters_max: usize) -> Json {
    json!({ "type": ["string", "null"], "maxLength": characters_max, "pattern": NO_NUL })
}
