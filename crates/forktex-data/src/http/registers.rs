// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Definitions: which registers there are, what they look like, new ones and new fields.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::body::Object;
use super::target::{Path, Tenant};
use super::{Problem, Served, body};
use crate::field::FieldDefinition;
use crate::openapi;
use crate::register::Register;
use crate::schema::{RegisterDefinition, SchemaDocument};

/// A register's definition with its version.
#[derive(Serialize)]
pub(super) struct Described {
    version: i64,
    #[serde(flatten)]
    definition: RegisterDefinition,
}

impl From<&Register> for Described {
    fn from(register: &Register) -> Self {
        Self {
            version: register.version(),
            definition: register.definition(),
        }
    }
}

pub(super) async fn list(tenant: Tenant) -> Result<Json<SchemaDocument>, Problem> {
    Ok(Json(tenant.0.describe().await?))
}

pub(super) async fn create(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    body: Body,
) -> Result<(StatusCode, Json<Described>), Problem> {
    let Object(definition) =
        body::json::<Object<RegisterDefinition>>(body, served.body_bytes_max).await?;
    let register = tenant.0.create_register(definition).await?;
    Ok((StatusCode::CREATED, Json(Described::from(&register))))
}

pub(super) async fn read(
    tenant: Tenant,
    Path(register): Path<String>,
) -> Result<Json<Described>, Problem> {
    let register = tenant.register(&register).await?;
    Ok(Json(Described::from(&register)))
}

pub(super) async fn add_field(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path(register): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Described>), Problem> {
    let Object(field) = body::json::<Object<FieldDefinition>>(body, served.body_bytes_max).await?;
    let register = tenant.register(&register).await?;
    let register = register.add_field(field).await?;
    Ok((StatusCode::CREATED, Json(Described::from(&register))))
}

pub(super) async fn json_schema(
    tenant: Tenant,
    Path(register): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(tenant.register(&register).await?.json_schema()))
}

pub(super) async fn openapi(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
) -> Result<Json<Value>, Problem> {
    Ok(Json(openapi::document(&tenant.0, &served.base_path).await?))
}
