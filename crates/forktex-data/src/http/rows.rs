// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One row at a time.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::target::{Path, Tenant, expected_version, row_id};
use super::{Problem, Served, body};
use crate::draft::Draft;
use crate::row::Row;

pub(super) async fn create(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path(register): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let draft = draft(&served, body).await?;
    let register = tenant.register(&register).await?;
    let row = register.rows().create(draft).await;
    let row = row.map_err(|error| Problem::of_write(error, None))?;
    Ok(answer(StatusCode::CREATED, &row))
}

pub(super) async fn read(
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = row_id(&register, &id)?;
    let register = tenant.register(&register).await?;
    Ok(answer(StatusCode::OK, &register.rows().get(id).await?))
}

pub(super) async fn patch(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, version) = (row_id(&register, &id)?, expected_version(&headers)?);
    let draft = draft(&served, body).await?;
    let rows = tenant.register(&register).await?.rows();
    let mut change = rows.patch(id, draft);
    if let Some(version) = version {
        change = change.expect_version(version);
    }
    let row = change.await;
    let row = row.map_err(|error| Problem::of_write(error, Some(id)))?;
    Ok(answer(StatusCode::OK, &row))
}

pub(super) async fn replace(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, version) = (row_id(&register, &id)?, expected_version(&headers)?);
    let draft = draft(&served, body).await?;
    let rows = tenant.register(&register).await?.rows();
    let mut change = rows.replace(id, draft);
    if let Some(version) = version {
        change = change.expect_version(version);
    }
    let row = change.await;
    let row = row.map_err(|error| Problem::of_write(error, Some(id)))?;
    Ok(answer(StatusCode::OK, &row))
}

pub(super) async fn delete(
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (id, version) = (row_id(&register, &id)?, expected_version(&headers)?);
    let rows = tenant.register(&register).await?.rows();
    let mut delete = rows.delete(id);
    if let Some(version) = version {
        delete = delete.expect_version(version);
    }
    delete.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn archive(
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = row_id(&register, &id)?;
    let rows = tenant.register(&register).await?.rows();
    Ok(answer(StatusCode::OK, &rows.archive(id).await?))
}

pub(super) async fn restore(
    tenant: Tenant,
    Path((register, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = row_id(&register, &id)?;
    let rows = tenant.register(&register).await?.rows();
    Ok(answer(StatusCode::OK, &rows.restore(id).await?))
}

async fn draft(served: &Served, body: Body) -> Result<Draft, Problem> {
    let json: Value = body::json(body, served.body_bytes_max).await?;
    Draft::try_from(json).map_err(|error| Problem::malformed(error.to_string()))
}

/// A row, with its version as the entity tag.
fn answer(status: StatusCode, row: &Row) -> Response {
    let mut response = (status, Json(row.to_json())).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", row.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
