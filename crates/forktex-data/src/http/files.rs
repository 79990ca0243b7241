// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Files in and out, in pieces.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::target::{Path, Tenant};
use super::{Problem, Served, body};
use crate::export::ExportFormat;
use crate::import::{ImportFormat, ImportReport, OnError};

pub(super) async fn export_csv(
    tenant: Tenant,
    Path(register): Path<String>,
) -> Result<Response, Problem> {
    export(tenant, &register, ExportFormat::Csv).await
}

pub(super) async fn export_json(
    tenant: Tenant,
    Path(register): Path<String>,
) -> Result<Response, Problem> {
    export(tenant, &register, ExportFormat::Json).await
}

async fn export(tenant: Tenant, register: &str, format: ExportFormat) -> Result<Response, Problem> {
    let register = tenant.register(register).await?;
    let mut response = Response::new(Body::from_stream(register.export(format).stream()));
    let content_type = HeaderValue::from_static(format.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

pub(super) async fn import(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path(register): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportReport>, Problem> {
    let format = format_of(&headers)?;
    let register = tenant.register(&register).await?;
    let pieces = body::limited(body, served.import_bytes_max);
    let mut import = register.import_stream(format, pieces);
    for (name, value) in body::members(query.as_deref())? {
        import = match (name.as_str(), value.as_str()) {
            ("on_error", "stop") => import.on_error(OnError::Stop),
            ("on_error", "skip") => import.on_error(OnError::Skip),
            ("on_error", "quarantine") => import.on_error(OnError::Quarantine),
            ("dry_run", "true") => import.dry_run(),
            ("dry_run", "false") => import,
            ("match_by", column) => import.match_by(column),
            _ => {
                return Err(Problem::malformed(
                    "the query string takes `on_error` (stop, skip, quarantine), `dry_run` (true, \
                     false) and `match_by`",
                ));
            }
        };
    }
    Ok(Json(import.await?))
}

fn format_of(headers: &HeaderMap) -> Result<ImportFormat, Problem> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "text/csv" => Ok(ImportFormat::Csv),
        "application/json" | "application/jsonl" | "application/x-ndjson" => Ok(ImportFormat::Json),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "a file is `text/csv`, `application/json` or `application/jsonl`",
        )),
    }
}
