// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The schemas of what is asked of one register and of what it answers. They name its fields, each
//! where it can be used: what the register would refuse for a field does not fit them.
//!
//! What they cannot say: how deep a filter nests, how many comparisons and words it has, which field a
//! related row has, and whether a cursor belongs to the query.

use serde_json::{Map, Value as Json, json};

use crate::capability::AggregateFunction;
use crate::field_type::FieldType;
use crate::filter::check::Column;
use crate::json_schema::{self, NO_NUL};
use crate::limits::{FACETS_MAX, FILTER_LIST_MAX, PAGE_ROWS_MAX, SORT_KEYS_MAX};
use crate::operator::{OperandShape, Operator};
use crate::query::{AGGREGATES_MAX, GROUP_FIELDS_MAX, PAGE_OFFSET_MAX, RELATED_MAX};
use crate::register::{LoadedRegister, Side};

const FUNCTIONS: [AggregateFunction; 5] = [
    AggregateFunction::Count,
    AggregateFunction::Sum,
    AggregateFunction::Average,
    AggregateFunction::Min,
    AggregateFunction::Max,
];

/// Adds the schemas of one register.
pub(super) fn of_register(schemas: &mut Map<String, Json>, register: &LoadedRegister) {
    let name = &register.name;
    schemas.insert(format!("filter.{name}"), filter(register));
    schemas.insert(format!("query.{name}"), query(register));
    schemas.insert(format!("page.{name}"), page(register));
}

/// The filter, which has itself within.
fn filter(register: &LoadedRegister) -> Json {
    let this = json!({ "$ref": reference("filter", register) });
    let members = json!({ "type": "array", "items": this });
    let mut forms = vec![
        object(&json!({ "and": members }), &["and"]),
        object(&json!({ "or": members }), &["or"]),
        object(&json!({ "not": this }), &["not"]),
    ];
    let relationships = relationships(register);
    if !relationships.is_empty() {
        let properties = json!({
            "related": { "enum": relationships },
            "where": { "type": "object", "minProperties": 1 },
        });
        forms.push(object(&properties, &["related", "where"]));
    }
    // Fields that are compared alike stand together: a register may have hundreds of them.
    let mut alike: Vec<(&[Operator], Json, Vec<&str>)> = Vec::new();
    for column in Column::all(register) {
        let operators = column.capabilities(register).operators;
        let operand = operand(register, column);
        let found = alike
            .iter_mut()
            .find(|(known, schema, _)| *known == operators && *schema == operand);
        let name = column.name(register);
        match found {
            Some((.., names)) => names.push(name),
            None => alike.push((operators, operand, vec![name])),
        }
    }
    for (operators, operand, names) in alike {
        forms.push(comparison(operators, &operand, &names));
    }
    json!({ "anyOf": forms })
}

fn comparison(operators: &[Operator], operand: &Json, names: &[&str]) -> Json {
    let mut properties = Map::new();
    properties.insert("field".to_owned(), json!({ "enum": names }));
    for operator in operators {
        let schema = match operator.operands() {
            OperandShape::One => operand.clone(),
            OperandShape::Two => {
                json!({ "type": "array", "items": operand, "minItems": 2, "maxItems": 2 })
            }
            OperandShape::List => {
                json!({ "type": "array", "items": operand, "maxItems": FILTER_LIST_MAX })
            }
            OperandShape::Text => json!({ "type": "string", "pattern": NO_NUL }),
            OperandShape::Nothing => json!({ "type": "boolean" }),
        };
        properties.insert(operator.word().to_owned(), schema);
    }
    let mut schema = object(&Json::Object(properties), &["field"]);
    schema["minProperties"] = 2.into();
    schema
}

/// What a column is compared with.
fn operand(register: &LoadedRegister, column: Column) -> Json {
    let is_custom = column
        .field(register)
        .is_some_and(|field| matches!(field.definition().field_type, FieldType::Custom { .. }));
    if is_custom {
        // Its type reads more than one form.
        return json!({ "not": { "type": "null" } });
    }
    match column {
        Column::Version => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        _ => json_schema::operand(column.kind(register)),
    }
}

fn query(register: &LoadedRegister) -> Json {
    let filter = json!({ "$ref": reference("filter", register) });
    let text = json!({ "type": ["string", "null"] });
    let fields = names(register, |_| true);
    let groups = names(register, |column| column.capabilities(register).facetable);
    let facets = names(register, |column| {
        column.field(register).is_some() && column.capabilities(register).facetable
    });
    let properties = json!({
        "filter": json_schema::or_null(&filter),
        "search": text,
        "fuzzy_search": text,
        "order_by": order_by(register),
        "fields": json_schema::or_null(&some_of(&fields, None)),
        "facets": some_of(&facets, Some(FACETS_MAX)),
        "aggregates": aggregates(register),
        "group_by": some_of(&groups, Some(GROUP_FIELDS_MAX)),
        "with_related": some_of(&relationships(register), Some(RELATED_MAX)),
        "archived": { "enum": ["exclude", "include", "only", null] },
        "count": { "enum": ["none", "estimated", "exact", null] },
        "page": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": PAGE_OFFSET_MAX + 1,
        },
        "size": { "type": ["integer", "null"], "minimum": 1, "maximum": PAGE_ROWS_MAX },
        "after": text,
    });
    object(&properties, &[])
}

fn aggregates(register: &LoadedRegister) -> Json {
    // Of rows.
    let count = json!({ "function": { "const": "count" }, "field": { "type": "null" } });
    let mut forms = vec![object(&count, &["function"])];
    for function in FUNCTIONS {
        let fields = names(register, |column| {
            column.capabilities(register).aggregates_by(function)
        });
        if !fields.is_empty() {
            let properties =
                json!({ "function": { "const": function }, "field": { "enum": fields } });
            forms.push(object(&properties, &["function", "field"]));
        }
    }
    json!({
        "type": "object",
        "additionalProperties": { "anyOf": forms },
        "maxProperties": AGGREGATES_MAX,
    })
}

/// What a query gives.
fn page(register: &LoadedRegister) -> Json {
    let count = json!({ "type": "integer", "minimum": 0 });
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let values = json!({ "type": "object", "additionalProperties": value });
    let counted = object(
        &json!({ "value": value, "count": count }),
        &["value", "count"],
    );
    let total = json!({ "rows": count, "is_exact": { "type": "boolean" } });
    let group = json!({ "keys": values, "count": count, "aggregates": values });
    json!({
        "type": "object",
        "properties": {
            "rows": { "type": "array", "items": { "$ref": reference("row", register) } },
            "next": { "type": ["string", "null"] },
            "total": json_schema::or_null(&object(&total, &["rows", "is_exact"])),
            "facets": {
                "type": "object",
                "additionalProperties": { "type": "array", "items": counted },
            },
            "aggregates": values,
            "groups": {
                "type": "array",
                "items": object(&group, &["keys", "count", "aggregates"]),
            },
            "stale_fields": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["rows", "next"],
    })
}

/// The parameters of a simple list.
pub(super) fn list_parameters(register: &LoadedRegister) -> Json {
    let parameter =
        |name: &str, schema: Json| json!({ "name": name, "in": "query", "schema": schema });
    // With commas between the names.
    let list = |name: &str, schema: Json| {
        let mut parameter = parameter(name, schema);
        parameter["style"] = "form".into();
        parameter["explode"] = false.into();
        parameter
    };
    let number = |maximum: Json| json!({ "type": "integer", "minimum": 1, "maximum": maximum });
    let filter = json!({ "schema": { "$ref": reference("filter", register) } });
    let fields = names(register, |_| true);
    json!([
        { "name": "filter", "in": "query", "content": { "application/json": filter } },
        parameter("search", json!({ "type": "string" })),
        list("order_by", at_least_one(order_by(register))),
        list("fields", at_least_one(some_of(&fields, None))),
        parameter("archived", json!({ "enum": ["exclude", "include", "only"] })),
        parameter("count", json!({ "enum": ["none", "estimated", "exact"] })),
        parameter("page", number((PAGE_OFFSET_MAX + 1).into())),
        parameter("size", number(PAGE_ROWS_MAX.into())),
        parameter("after", json!({ "type": "string" })),
    ])
}

/// The columns by which the rows of a file can be matched.
pub(super) fn matched_by(register: &LoadedRegister) -> Json {
    json!({ "enum": names(register, |_| true) })
}

fn at_least_one(mut schema: Json) -> Json {
    schema["minItems"] = 1.into();
    schema
}

/// Names of fields, with a minus before those that descend.
fn order_by(register: &LoadedRegister) -> Json {
    let sortable = names(register, |column| column.capabilities(register).sortable);
    let directions = sortable.iter();
    let keys: Vec<String> = directions
        .flat_map(|name| [(*name).to_owned(), format!("-{name}")])
        .collect();
    json!({ "type": "array", "items": { "enum": keys }, "maxItems": SORT_KEYS_MAX })
}

/// Some of these names, no more than so many.
fn some_of(names: &[&str], max: Option<usize>) -> Json {
    let mut schema = json!({ "type": "array" });
    // There is no enum of nothing.
    let max = if names.is_empty() { Some(0) } else { max };
    if !names.is_empty() {
        schema["items"] = json!({ "enum": names });
    }
    if let Some(max) = max {
        schema["maxItems"] = max.into();
    }
    schema
}

fn names(register: &LoadedRegister, takes: impl Fn(Column) -> bool) -> Vec<&str> {
    Column::all(register)
        .filter(|column| takes(*column))
        .map(|column| column.name(register))
        .collect()
}

fn relationships(register: &LoadedRegister) -> Vec<&str> {
    let sides = register.sides();
    sides
        .map(|(relationship, side)| match side {
            Side::Source => relationship.name.as_str(),
            Side::Target => relationship.inverse_name.as_str(),
        })
        .collect()
}

/// An object with these members and no others.
pub(super) fn object(properties: &Json, required: &[&str]) -> Json {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn reference(word: &str, register: &LoadedRegister) -> String {
    format!("#/components/schemas/{word}.{}", register.name)
}
