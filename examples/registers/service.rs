// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The service: the router of the registers, the page, and the work in the background.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use forktex::data::Data;
use forktex::data::http::RegistersRouter;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Below which path the registers are served.
pub(crate) const API: &str = "/api";
/// Where a request says whose registers it means.
pub(crate) const TENANT: &str = "x-tenant";

/// The tenants of this example.
pub(crate) const NORTH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
pub(crate) const SOUTH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);

/// How long indexes that tenants ask for may wait for their rows.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn router(data: Data) -> Router {
    let registers = RegistersRouter::new(data, tenant).base_path(API);
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .nest(API, registers.into_router())
}

/// Whose registers a request means. A service takes that from the session that it has checked; here it
/// is a header, so that the page can be both tenants.
#[allow(
    clippy::result_large_err,
    reason = "a refusal is a whole response, as the router asks for"
)]
fn tenant(parts: &Parts) -> Result<Uuid, Response> {
    let name = parts
        .headers
        .get(TENANT)
        .and_then(|value| value.to_str().ok());
    match name {
        Some("north") => Ok(NORTH),
        Some("south") => Ok(SOUTH),
        _ => Err((StatusCode::UNAUTHORIZED, "who are you?").into_response()),
    }
}

/// Works off, batch by batch, what the tenants' changes have left to do.
pub(crate) async fn maintain(data: &Data, stop: &CancellationToken) {
    loop {
        for tenant in [NORTH, SOUTH] {
            // What fails, as while the database is away, is tried again.
            if let Err(error) = data.tenant(tenant).run_maintenance().await {
                tracing::error!(%error, %tenant, "maintenance failed");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
        }
    }
}
