// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers as JSON Schemas (draft 2020-12): what a row to be written must be, and what a row that was
//! read is.
//!
//! A schema takes exactly the rows that the register takes, as far as a row by itself can say. It cannot
//! say what needs other rows or counts bytes: that a unique value is taken, that a referenced row is not
//! there, and the sizes of JSON cells and of whole rows.

mod numeral;
mod value;

use serde_json::{Map, Value as Json, json};

use crate::custom_type::TypeRegistry;
use crate::field_type::FieldType;
use crate::limits::EXTERNAL_REF_CHARACTERS_MAX;
use crate::register::{Field, LoadedRegister, Register};
use crate::relationship::Cardinality;

/// The dialect of the schemas.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where a schema that stands by itself has that of any JSON.
const JSON_HERE: &str = "#/$defs/json";

pub(crate) use value::{NO_NUL, bound, json_definition, operand, or_null};

/// Which rows a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A row that is to be created, or that replaces another.
    Create,
    /// What is to be changed in a row.
    Patch,
    /// A row that was read.
    Read,
}

impl Register {
    /// A JSON Schema (draft 2020-12) of the rows that can be created: it takes exactly those that the
    /// register takes, and refuses unknown members. It stands by itself. Costs nothing.
    ///
    /// What needs more than the row is left to the write: uniqueness, whether referenced rows are there,
    /// and the limits in bytes. An instant with an offset other than `Z` is not held to the bounds of
    /// its field. A `pattern` is written as the tenant did, in the dialect of the `regex` crate.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(invoices: &forktex_data::Register) {
    /// let schema = invoices.json_schema();
    /// assert_eq!(schema["additionalProperties"], false);
    /// # }
    /// ```
    pub fn json_schema(&self) -> Json {
        self.schema_of(Shape::Create)
    }

    /// A JSON Schema of the changes that a patch takes: no member is required. Else as
    /// [`json_schema`](Self::json_schema).
    pub fn patch_json_schema(&self) -> Json {
        self.schema_of(Shape::Patch)
    }

    /// A JSON Schema of the rows as they are read, computed fields included. Else as
    /// [`json_schema`](Self::json_schema).
    pub fn row_json_schema(&self) -> Json {
        self.schema_of(Shape::Read)
    }

    fn schema_of(&self, shape: Shape) -> Json {
        let mut schema = of_register(self.loaded(), self.data().types(), shape, JSON_HERE);
        if let Json::Object(members) = &mut schema {
            members.insert("$schema".to_owned(), DIALECT.into());
            let definitions = json!({ "json": json_definition(JSON_HERE) });
            members.insert("$defs".to_owned(), definitions);
        }
        schema
    }
}

/// The schema of a register's rows, without the name of the dialect. `json_reference` is where the
/// schema of any JSON is found.
pub(crate) fn of_register(
    register: &LoadedRegister,
    types: &TypeRegistry,
    shape: Shape,
    json_reference: &str,
) -> Json {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    if shape == Shape::Read {
        system_properties(&mut properties, &mut required);
    } else {
        let external_ref = json!({
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": EXTERNAL_REF_CHARACTERS_MAX,
            "pattern": value::NO_NUL,
        });
        properties.insert("external_ref".to_owned(), external_ref);
    }
    for field in &register.fields {
        let definition = field.definition();
        if shape != Shape::Read && definition.field_type.is_read_only() {
            continue;
        }
        let schema = of_field(register, field, types, shape, json_reference);
        properties.insert(field.name().to_owned(), schema);
        if shape == Shape::Create && definition.required && definition.default.is_none() {
            required.push(field.name().to_owned());
        }
    }
    let mut schema = json!({
        "title": register.label.as_deref().unwrap_or(&register.name),
        "type": "object",
        "properties": properties,
        "required": required,
        // With the rows of a query come related rows, under the names of their relationships.
        "additionalProperties": shape == Shape::Read,
    });
    if let (Some(description), Json::Object(members)) = (&register.description, &mut schema) {
        members.insert("description".to_owned(), description.as_str().into());
    }
    schema
}

/// What each row has besides its fields.
fn system_properties(properties: &mut Map<String, Json>, required: &mut Vec<String>) {
    let instant = json!({ "type": ["string", "null"], "format": "date-time" });
    for (name, schema) in [
        ("id", json!({ "type": "string", "format": "uuid" })),
        ("version", json!({ "type": "integer" })),
        ("external_ref", json!({ "type": ["string", "null"] })),
        ("created_at", instant.clone()),
        ("updated_at", instant.clone()),
        ("archived_at", instant),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    required.push("id".to_owned());
}

fn of_field(
    register: &LoadedRegister,
    field: &Field,
    types: &TypeRegistry,
    shape: Shape,
    json_reference: &str,
) -> Json {
    let definition = field.definition();
    let is_readable = shape == Shape::Read;
    let schema = match &definition.field_type {
        // The ids, or the rows themselves where they were asked for.
        FieldType::Reference { .. } if is_readable => {
            json!({ "type": ["string", "object", "array"] })
        }
        FieldType::Reference { relationship } => {
            let found = register
                .relationships
                .iter()
                .find(|found| found.source == register.key && found.name == *relationship);
            let is_many = found.is_some_and(|found| found.cardinality == Cardinality::ManyToMany);
            value::reference(is_many, definition.required)
        }
        _ if is_readable => value::of_kind(field.kind()),
        _ => value::to_be_written(definition, field.kind(), types, json_reference),
    };
    // A row that is read may have been written before its field was required.
    let mut schema = if definition.required && !is_readable {
        value::without_null(schema)
    } else {
        value::or_null(&schema)
    };
    if let Json::Object(members) = &mut schema {
        for (name, text) in [
            ("title", &definition.label),
            ("description", &definition.description),
        ] {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.as_str().into());
            }
        }
        if let (Some(default), Shape::Create) = (&definition.default, shape) {
            members.insert("default".to_owned(), default.clone());
        }
        if definition.field_type.is_read_only() {
            members.insert("readOnly".to_owned(), true.into());
        }
    }
    schema
}

#[cfg(test)]
mod tests;
