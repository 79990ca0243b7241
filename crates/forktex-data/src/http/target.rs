// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whose registers a request is about, and which row of them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::Served;
use super::problem::Problem;
use crate::error::DataError;
use crate::register::Register;
use crate::row::RowId;
use crate::tenant_data::TenantData;

/// The tenant's data, as the service's closure says.
pub(super) struct Tenant(pub(super) TenantData);

impl FromRequestParts<Arc<Served>> for Tenant {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        served: &Arc<Served>,
    ) -> Result<Self, Self::Rejection> {
        let tenant = served.data.tenant((served.tenant_of)(parts)?);
        let actor = served
            .actor_of
            .as_ref()
            .and_then(|actor_of| actor_of(parts));
        Ok(Self(match actor {
            Some(actor) => tenant.acting_as(actor),
            None => tenant,
        }))
    }
}

/// What a path names; a path that cannot be read is a problem like any other.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Served>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        served: &Arc<Served>,
    ) -> Result<Self, Self::Rejection> {
        let read = axum::extract::Path::from_request_parts(parts, served).await;
        match read {
            Ok(axum::extract::Path(named)) => Ok(Self(named)),
            Err(_) => Err(Problem::malformed(
                "the path is not encoded as it should be",
            )),
        }
    }
}

impl Tenant {
    pub(super) async fn register(&self, name: &str) -> Result<Register, DataError> {
        self.0.register(name).await
    }
}

/// Reads the id of a row; what is none names no row.
pub(super) fn row_id(register: &str, id: &str) -> Result<RowId, Problem> {
    id.parse().map_err(|_| {
        let register: String = register.chars().take(64).collect();
        let detail = format!("register `{register}` has no such row: its id is no UUID");
        Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
    })
}

/// The version that the caller has read, from `If-Match`.
pub(super) fn expected_version(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.trim_matches('"').parse().ok();
    number.map(Some).ok_or_else(|| {
        Problem::malformed("`If-Match` must be the version of the row in quotes, such as \"3\"")
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_version_is_read_from_if_match() {
        let mut headers = HeaderMap::new();
        assert!(matches!(expected_version(&headers), Ok(None)));
        for (text, version) in [("\"3\"", Some(3)), ("4", Some(4)), ("*", None)] {
            headers.insert(IF_MATCH, HeaderValue::from_static(text));
            assert_eq!(expected_version(&headers).unwrap(), version);
        }
        headers.insert(IF_MATCH, HeaderValue::from_static("W/\"a\""));
        assert_eq!(
            expected_version(&headers).unwrap_err().status(),
            axum::http::StatusCode::BAD_REQUEST
        );
    }
}
