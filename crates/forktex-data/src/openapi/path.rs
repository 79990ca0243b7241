// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The paths of an OpenAPI document. They name what the router serves, and nothing else.

use serde_json::{Map, Value as Json, json};

use super::definition::reference as shared;
use super::query::{list_parameters, matched_by};
use crate::register::LoadedRegister;

/// The version of a row as an entity tag, or any version.
const VERSION: &str = "^(\\*|\"[0-9]{1,18}\")$";

/// Paths that are not about one register.
pub(super) fn of_all() -> Map<String, Json> {
    let mut paths = Map::new();
    let object = json!({ "type": "object" });
    let (all, described) = (shared("schema_document"), shared("described_register"));
    let create = with_body(
        operation("create_register", "Creates a register", "201", &described),
        &shared("register_definition"),
    );
    paths.insert(
        "/registers".to_owned(),
        json!({
            "get": operation("list_registers", "The definitions of all registers", "200", &all),
            "post": create,
        }),
    );
    paths.insert(
        "/openapi.json".to_owned(),
        json!({ "get": operation("read_openapi", "This document", "200", &object) }),
    );
    paths
}

/// The paths of one register.
pub(super) fn of_register(paths: &mut Map<String, Json>, register: &LoadedRegister) {
    let name = &register.name;
    let base = format!("/registers/{name}");
    let object = json!({ "type": "object" });
    let described = shared("described_register");
    let (row, page) = (reference("row", name), reference("page", name));
    let (create, patch) = (reference("create", name), reference("patch", name));
    let id = |word: &str| format!("{word}_{name}");
    let mut insert = |path: &str, item: Json| paths.insert(format!("{base}{path}"), item);

    let read = operation(&id("read_register"), "The definition", "200", &described);
    insert("", json!({ "get": read }));
    let add = operation(&id("add_field"), "Adds a field", "201", &described);
    let field = shared("field_definition");
    insert("/fields", json!({ "post": with_body(add, &field) }));
    let schema = operation(
        &id("read_schema"),
        "The JSON Schema of a row",
        "200",
        &object,
    );
    insert("/schema.json", json!({ "get": schema }));

    let mut list = operation(&id("list_rows"), "Rows", "200", &page);
    list["responses"]["414"] =
        json!({ "description": "The server takes no URL so long: use `query`" });
    list["parameters"] = list_parameters(register);
    let mut make = operation(&id("create_row"), "Creates a row", "201", &row);
    make["responses"]["201"]["links"] = links(name);
    insert(
        "/rows",
        json!({ "get": list, "post": with_body(make, &create) }),
    );

    let versioned = |mut operation: Json| {
        operation["parameters"] = json!([{
            "name": "If-Match",
            "in": "header",
            "description": "The version that the caller has read",
            "schema": { "type": "string", "pattern": VERSION },
        }]);
        operation
    };
    let change = operation(&id("patch_row"), "Changes a row", "200", &row);
    let replace = operation(&id("replace_row"), "Replaces a row", "200", &row);
    insert(
        "/rows/{id}",
        json!({
            "parameters": id_parameter(),
            "get": operation(&id("read_row"), "A row", "200", &row),
            "patch": versioned(with_body(change, &patch)),
            "put": versioned(with_body(replace, &create)),
            "delete": versioned(without_content(&id("delete_row"), "Deletes a row")),
        }),
    );
    for word in ["archive", "restore"] {
        let summary = if word == "archive" {
            "Hides a row"
        } else {
            "Brings a row back"
        };
        let turn = operation(&id(&format!("{word}_row")), summary, "200", &row);
        insert(
            &format!("/rows/{{id}}/{word}"),
            json!({ "parameters": id_parameter(), "post": turn }),
        );
    }

    let query = operation(&id("query"), "Rows, facets and aggregates", "200", &page);
    let asked = reference("query", name);
    insert("/query", json!({ "post": with_body(query, &asked) }));
    insert(
        "/export.csv",
        json!({ "get": file(&id("export_csv"), "text/csv", &json!({ "type": "string" })) }),
    );
    let rows = json!({ "type": "array", "items": row });
    insert(
        "/export.json",
        json!({ "get": file(&id("export_json"), "application/json", &rows) }),
    );
    insert(
        "/import",
        json!({ "post": import(&id("import"), &create, &matched_by(register)) }),
    );
}

/// What can be done with a row that was created, by its id.
fn links(register: &str) -> Json {
    let words = ["read", "patch", "replace", "delete", "archive", "restore"];
    let link = |word| {
        let operation = format!("{word}_row_{register}");
        let link = json!({
            "operationId": operation,
            "parameters": { "id": "$response.body#/id" },
        });
        (format!("{word}_row"), link)
    };
    words.into_iter().map(link).collect::<Map<_, _>>().into()
}

fn reference(word: &str, register: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{word}.{register}") })
}

/// An operation that answers with JSON.
fn operation(id: &str, summary: &str, status: &str, schema: &Json) -> Json {
    json!({
        "operationId": id,
        "summary": summary,
        "responses": {
            status: {
                "description": summary,
                "content": { "application/json": { "schema": schema } },
            },
            "default": refused(),
        },
    })
}

fn without_content(id: &str, summary: &str) -> Json {
    json!({
        "operationId": id,
        "summary": summary,
        "responses": { "204": { "description": "Done" }, "default": refused() },
    })
}

fn file(id: &str, content_type: &str, schema: &Json) -> Json {
    json!({
        "operationId": id,
        "summary": "All rows as a file",
        "responses": {
            "200": {
                "description": "The file",
                "content": { content_type: { "schema": schema } },
            },
            "default": refused(),
        },
    })
}

fn import(id: &str, row: &Json, matched_by: &Json) -> Json {
    let mut import = operation(id, "Rows out of a file", "200", &shared("import_report"));
    import["parameters"] = json!([
        query_parameter(
            "on_error",
            &json!({ "enum": ["stop", "skip", "quarantine"] })
        ),
        query_parameter("dry_run", &json!({ "type": "boolean" })),
        query_parameter("match_by", matched_by),
    ]);
    import["requestBody"] = json!({
        "required": true,
        "content": {
            "text/csv": { "schema": { "type": "string" } },
            "application/json": {
                "schema": { "type": ["array", "object"], "items": { "anyOf": [row, {
                    "type": "object",
                    "description": "What is no row of the register is told in the report",
                }] } },
            },
            "application/jsonl": { "schema": { "type": "string" } },
        },
    });
    import
}

fn with_body(mut operation: Json, schema: &Json) -> Json {
    operation["requestBody"] = json!({
        "required": true,
        "content": { "application/json": { "schema": schema } },
    });
    operation
}

fn refused() -> Json {
    json!({
        "description": "The request was refused, or failed",
        "content": {
            "application/problem+json": { "schema": shared("problem") },
        },
    })
}

fn id_parameter() -> Json {
    json!([{
        "name": "id",
        "in": "path",
        "required": true,
        "schema": { "type": "string", "format": "uuid" },
    }])
}

fn query_parameter(name: &str, schema: &Json) -> Json {
    json!({ "name": name, "in": "query", "schema": schema })
}
