// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The registers of a tenant as an OpenAPI 3.1 document: what the router of the feature `http` serves,
//! with a typed path and schemas for each register.
//!
//! It describes one tenant, as its registers are now: a field that is added is in the next document.

mod definition;
mod path;
mod query;

use serde_json::{Map, Value as Json, json};

use crate::catalog::load;
use crate::custom_type::TypeRegistry;
use crate::error::DataError;
use crate::json_schema::{self, Shape};
use crate::register::LoadedRegister;
use crate::tenant_data::TenantData;

/// Where a document has the schema of any JSON.
const JSON_HERE: &str = "#/components/schemas/json";

impl TenantData {
    /// The OpenAPI 3.1 document of the tenant's registers, as the router of the feature `http` serves
    /// them below `base_path`, which is empty where the router is not nested.
    ///
    /// One request, and one more for each register that is not stored.
    ///
    /// # Errors
    /// [`DataError::Db`] when the database cannot be reached; for a bound register, what keeps it from
    /// being loaded.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(data: forktex_data::Data, org: uuid::Uuid) -> Result<(), forktex_data::DataError> {
    /// let document = data.tenant(org).openapi("/api").await?;
    /// assert_eq!(document["openapi"], "3.1.0");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn openapi(&self, base_path: &str) -> Result<Json, DataError> {
        document(self, base_path).await
    }
}

pub(crate) async fn document(tenant: &TenantData, base_path: &str) -> Result<Json, DataError> {
    let data = tenant.data();
    let bound = data.bound_registers().map(|(name, _)| name.to_owned());
    let virtual_ones = data.virtual_registers().map(|(name, _)| name.to_owned());
    let foreign: Vec<String> = bound.chain(virtual_ones).collect();
    let org = tenant.org();
    let mut registers = tenant
        .transaction(async |tx| load::registers(tx, org).await)
        .await?;
    // A bound register that was extended is in the catalogue with the added fields alone.
    registers.retain(|register| !foreign.contains(&register.name));
    for name in foreign {
        let register = tenant.register(&name).await?;
        registers.push(LoadedRegister::clone(register.loaded()));
    }
    Ok(write(&registers, data.types(), base_path))
}

fn write(registers: &[LoadedRegister], types: &TypeRegistry, base_path: &str) -> Json {
    let (mut paths, mut schemas) = (path::of_all(), shared_schemas(types));
    for register in registers {
        path::of_register(&mut paths, register);
        query::of_register(&mut schemas, register);
        for (word, shape) in [
            ("row", Shape::Read),
            ("create", Shape::Create),
            ("patch", Shape::Patch),
        ] {
            let schema = json_schema::of_register(register, types, shape, JSON_HERE);
            schemas.insert(format!("{word}.{}", register.name), schema);
        }
    }
    let url = if base_path.is_empty() { "/" } else { base_path };
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Registers", "version": "1" },
        "servers": [{ "url": url }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// Schemas that all registers share. Their names have no dot, and those of registers have one.
fn shared_schemas(types: &TypeRegistry) -> Map<String, Json> {
    let problem = json!({
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string" },
            "detail": { "type": "string" },
        },
        "required": ["title", "status", "code", "detail"],
    });
    let report = json!({
        "type": "object",
        "properties": {
            "import_id": { "type": "string", "format": "uuid" },
            "rows": { "type": "integer" },
            "created": { "type": "integer" },
            "updated": { "type": "integer" },
            "failed": { "type": "integer" },
            "problems": { "type": "array", "items": { "type": "object" } },
            "ignored_columns": { "type": "array", "items": { "type": "string" } },
            "is_dry_run": { "type": "boolean" },
        },
        "required": ["rows", "created", "updated", "failed", "problems"],
    });
    let mut schemas = Map::new();
    for (name, schema) in [
        ("json", json_schema::json_definition(JSON_HERE)),
        ("problem", problem),
        ("import_report", report),
    ] {
        schemas.insert(name.to_owned(), schema);
    }
    definition::add(&mut schemas, types);
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::check::tests::register;

    /// All references of a document.
    fn references(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::Object(members) => {
                if let Some(Json::String(reference)) = members.get("$ref") {
                    found.push(reference.clone());
                }
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Json::Array(members) => members.iter().for_each(|member| references(member, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name() {
        let document = write(&[register()], &TypeRegistry::default(), "/api");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
        }
        let mut names = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for (word, operation) in item.as_object().unwrap() {
                if word != "parameters" {
                    names.push(operation["operationId"].as_str().unwrap().to_owned());
                }
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
