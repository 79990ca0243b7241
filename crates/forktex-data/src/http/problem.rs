// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Answers that say what went wrong, as `application/problem+json` (RFC 9457).
//!
//! Only a fault of ours, or a database that is away, is a 5xx, and the caller is told nothing of it but
//! that.

use std::borrow::Cow;
use std::error::Error as _;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use crate::error::{DataError, DataErrorKind};
use crate::import::ImportError;
use crate::query::QueryError;
use crate::row::RowId;

/// A request that was refused. It holds no values of rows.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    /// What is wrong field by field, or where.
    more: Option<Box<(&'static str, Json)>>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            more: None,
        }
    }

    /// The request itself is malformed.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn too_large(bytes_max: u64) -> Self {
        let detail = format!("the body has more than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// Why a row was not written, of which `row` names the one in the path. Another row that is not there is
    /// one that the body refers to: then the path is right, and the body wrong.
    pub(super) fn of_write(error: DataError, row: Option<RowId>) -> Self {
        let is_reference = matches!(&error, DataError::RowNotFound { id, .. } if Some(*id) != row);
        let mut problem = Self::from(error);
        if is_reference {
            (problem.status, problem.code) = (StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        }
        problem
    }

    fn with(mut self, name: &'static str, value: Json) -> Self {
        self.more = Some(Box::new((name, value)));
        self
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        let (status, code) = match error.kind() {
            DataErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            DataErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            DataErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            DataErrorKind::Refused => (StatusCode::CONFLICT, "refused"),
            DataErrorKind::LimitReached => (StatusCode::UNPROCESSABLE_ENTITY, "limit_reached"),
            DataErrorKind::Unavailable => {
                return Self::ours(&error, StatusCode::SERVICE_UNAVAILABLE);
            }
            DataErrorKind::Internal => {
                return Self::ours(&error, StatusCode::INTERNAL_SERVER_ERROR);
            }
        };
        let problem = Self::new(status, code, told(&error));
        match &error {
            DataError::Row { problems, .. } => {
                problem.with("errors", serde_json::to_value(problems).unwrap_or_default())
            }
            DataError::Query(error) => match error.path() {
                Some(path) => problem.with("pointer", path.into()),
                None => problem,
            },
            DataError::Import(ImportError::Row { line, problems }) => {
                problem.with("errors", json!({ "line": line, "fields": problems }))
            }
            DataError::Import(ImportError::Refused { line, source }) => problem.with(
                "errors",
                json!({ "line": line, "message": source.to_string() }),
            ),
            DataError::VersionConflict { found, .. } => problem.with("version", (*found).into()),
            _ => problem,
        }
    }
}

/// What went wrong. Of a definition, what is wrong with it stands in the cause.
fn told(error: &DataError) -> String {
    let mut text = error.to_string();
    if let DataError::Schema(_) = error {
        let mut cause = error.source();
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
    }
    text
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        DataError::from(error).into()
    }
}

impl Problem {
    /// What the caller cannot help.
    fn ours(error: &DataError, status: StatusCode) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            status,
            "unavailable",
            "it is not the fault of the request; try again later",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let (Some(more), Json::Object(members)) = (self.more, &mut body) {
            let (name, value) = *more;
            members.insert(name.to_owned(), value);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let content_type = HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_row_that_a_body_refers_to_is_a_fault_of_the_body() {
        let (named, other) = (
            RowId::from(Uuid::from_u128(1)),
            RowId::from(Uuid::from_u128(2)),
        );
        let missing = |id| DataError::RowNotFound {
            register: "clients".to_owned(),
            id,
        };
        let status = |id, row| Problem::of_write(missing(id), row).status();
        assert_eq!(status(named, Some(named)), StatusCode::NOT_FOUND);
        assert_eq!(status(other, Some(named)), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(other, None), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn what_is_wrong_with_a_definition_is_told() {
        let field = crate::field::FieldDefinition::text("1");
        let fault = field.check(&crate::custom_type::TypeRegistry::default());
        let error = crate::schema::SchemaError::Definition {
            register: "clients".to_owned(),
            source: Box::new(fault.unwrap_err()),
        };
        let problem = Problem::from(DataError::from(error));
        assert!(
            problem.detail.contains("a name begins with a to z"),
            "{problem:?}"
        );
    }
}
