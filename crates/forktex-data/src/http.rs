// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A router that serves a tenant's registers as JSON: definitions, rows, queries, files in and out, and
//! the OpenAPI document of it all.
//!
//! Who the tenant is, is for the service to say, from the head of each request; nothing in a path or a
//! body ever chooses one. Bad input is answered with a problem (RFC 9457) and never with a 5xx.

mod body;
mod files;
mod problem;
mod query;
mod registers;
mod rows;
mod target;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use crate::data::Data;

pub use self::problem::Problem;

/// Bytes of a body, files that are imported excepted: 2 MiB.
pub const BODY_BYTES_MAX_DEFAULT: usize = 2 * 1024 * 1024;

/// Bytes of a file that is imported: 1 GiB.
pub const IMPORT_BYTES_MAX_DEFAULT: u64 = 1024 * 1024 * 1024;

type TenantOf = dyn Fn(&Parts) -> Result<Uuid, Response> + Send + Sync;
type ActorOf = dyn Fn(&Parts) -> Option<Uuid> + Send + Sync;

/// Makes the router of a service's registers.
///
/// | request | does |
/// |---|---|
/// | `GET /registers` | the definitions of all registers |
/// | `POST /registers` | creates one |
/// | `GET /registers/{register}` | its definition |
/// | `POST /registers/{register}/fields` | adds a field |
/// | `GET /registers/{register}/rows` | rows, by the query string |
/// | `POST /registers/{register}/rows` | creates a row |
/// | `GET`, `PATCH`, `PUT`, `DELETE /registers/{register}/rows/{id}` | one row |
/// | `POST /registers/{register}/rows/{id}/archive`, `../restore` | hides it, and brings it back |
/// | `POST /registers/{register}/query` | rows, facets, aggregates, by a body |
/// | `GET /registers/{register}/schema.json` | the JSON Schema of its rows |
/// | `GET /registers/{register}/export.csv`, `export.json` | all rows |
/// | `POST /registers/{register}/import` | rows out of a CSV or JSON file |
/// | `GET /openapi.json` | the OpenAPI document of the tenant's registers |
///
/// `PATCH`, `PUT` and `DELETE` of a row take `If-Match` with the version that the caller has read.
///
/// # Examples
/// ```no_run
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse as _;
/// use forktex_data::http::RegistersRouter;
///
/// # fn example(data: forktex_data::Data) -> axum::Router {
/// RegistersRouter::new(data, |parts| {
///     // What an authentication layer has put there.
///     let tenant = parts.extensions.get::<uuid::Uuid>().copied();
///     tenant.ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
/// })
/// .into_router()
/// # }
/// ```
#[must_use = "there is no router until `into_router` is called"]
pub struct RegistersRouter {
    served: Served,
}

/// What all requests share.
struct Served {
    data: Data,
    tenant_of: Arc<TenantOf>,
    actor_of: Option<Arc<ActorOf>>,
    body_bytes_max: usize,
    import_bytes_max: u64,
    base_path: String,
}

impl RegistersRouter {
    /// Serves the registers of the tenant that `tenant` reads from the head of a request; what it
    /// refuses is answered as it says.
    pub fn new<F>(data: Data, tenant: F) -> Self
    where
        F: Fn(&Parts) -> Result<Uuid, Response> + Send + Sync + 'static,
    {
        Self {
            served: Served {
                data,
                tenant_of: Arc::new(tenant),
                actor_of: None,
                body_bytes_max: BODY_BYTES_MAX_DEFAULT,
                import_bytes_max: IMPORT_BYTES_MAX_DEFAULT,
                base_path: String::new(),
            },
        }
    }

    /// Notes the user whom `actor` reads from the head of a request in what it changes.
    pub fn acting_as<F>(mut self, actor: F) -> Self
    where
        F: Fn(&Parts) -> Option<Uuid> + Send + Sync + 'static,
    {
        self.served.actor_of = Some(Arc::new(actor));
        self
    }

    /// The most bytes of a body; 2 MiB by default. Files that are imported have a limit of their own.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.served.body_bytes_max = bytes;
        self
    }

    /// The most bytes of a file that is imported; 1 GiB by default. It is never held as a whole.
    pub fn import_bytes_max(mut self, bytes: u64) -> Self {
        self.served.import_bytes_max = bytes;
        self
    }

    /// Where the router is nested, such as `/api`, so that the OpenAPI document says so.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.served.base_path = path.into();
        self
    }

    /// The router.
    pub fn into_router(self) -> Router {
        Router::new()
            .route("/registers", get(registers::list).post(registers::create))
            .route("/registers/{register}", get(registers::read))
            .route("/registers/{register}/fields", post(registers::add_field))
            .route(
                "/registers/{register}/schema.json",
                get(registers::json_schema),
            )
            .route(
                "/registers/{register}/rows",
                get(query::list).post(rows::create),
            )
            .route(
                "/registers/{register}/rows/{id}",
                get(rows::read)
                    .patch(rows::patch)
                    .put(rows::replace)
                    .delete(rows::delete),
            )
            .route(
                "/registers/{register}/rows/{id}/archive",
                post(rows::archive),
            )
            .route(
                "/registers/{register}/rows/{id}/restore",
                post(rows::restore),
            )
            .route("/registers/{register}/query", post(query::run))
            .route("/registers/{register}/export.csv", get(files::export_csv))
            .route("/registers/{register}/export.json", get(files::export_json))
            .route("/registers/{register}/import", post(files::import))
            .route("/openapi.json", get(registers::openapi))
            .with_state(Arc::new(self.served))
    }
}

impl fmt::Debug for RegistersRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistersRouter")
            .field("body_bytes_max", &self.served.body_bytes_max)
            .field("import_bytes_max", &self.served.import_bytes_max)
            .field("base_path", &self.served.base_path)
            .finish_non_exhaustive()
    }
}
