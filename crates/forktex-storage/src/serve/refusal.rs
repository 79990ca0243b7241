// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a refused request is told: a status, a code for programs, a sentence for people.
//!
//! It repeats nothing of the request but its key, names no path of the machine, and never a signature. A
//! fault of ours is logged with its cause, and told without it.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::KeyError;
use crate::folder::is_name_clash;
use crate::sign::folder::Refusal;

/// A request that is not served.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    message: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refused {
    /// A refusal without a header of its own.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    /// The request cannot be read.
    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// It is not allowed.
    pub(super) fn denied(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// There is no such object.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no such object",
        )
    }

    /// The router has no such method for the path.
    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "objects are read by GET and HEAD and stored by PUT; a bucket takes forms by POST",
        )
        .with(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST"))
    }

    /// The client is too slow.
    pub(super) fn too_slow(message: &'static str) -> Self {
        // What is left of the body cannot be told from the next request.
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
            .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// Too many requests are being answered.
    pub(super) fn busy() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "too many requests are being answered; try again",
        )
        .with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A condition does not hold.
    pub(super) fn condition(message: &'static str) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            message,
        )
    }

    /// The body has more bytes than are allowed.
    pub(super) fn too_large(bytes_max: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("more than {bytes_max} bytes are not allowed"),
        )
    }

    /// The body has another type than is allowed.
    pub(super) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_type", message)
    }

    /// The object does not have the range.
    pub(super) fn range(bytes: u64) -> Self {
        let refused = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "invalid_range",
            format!("the range is outside of the object, which has {bytes} bytes"),
        );
        match HeaderValue::try_from(format!("bytes */{bytes}")) {
            Ok(value) => refused.with(CONTENT_RANGE, value),
            Err(_) => refused,
        }
    }

    /// What the folder said of a key.
    pub(super) fn of_store(key: &str, error: &object_store::Error) -> Self {
        use object_store::Error as Store;

        match error {
            Store::NotFound { .. } => Self::not_found(),
            Store::AlreadyExists { .. } => Self::condition("the object exists already"),
            Store::Precondition { .. } => Self::condition("the object has another version"),
            Store::PermissionDenied { .. } => Self::denied("denied", "the key is out of reach"),
            error if is_name_clash(error) => Self::new(
                StatusCode::CONFLICT,
                "name_clash",
                "the key goes through another object's key, or another's through it",
            ),
            error => {
                tracing::error!(key, error = %error, "a request to the folder's router failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "failed",
                    "the folder failed; try again later",
                )
            }
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::WrongSignature => Self::denied("wrong_signature", message),
            Refusal::Expired { .. } => Self::denied("expired", message),
            Refusal::WrongMethod { .. } => Self::denied("wrong_method", message),
            Refusal::WrongHost => Self::denied("wrong_host", message),
            Refusal::Malformed { .. } | Refusal::UnsupportedVersion { .. } => {
                Self::malformed(message)
            }
        }
    }
}

impl From<KeyError> for Refused {
    fn from(error: KeyError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_key", error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let error = serde_json::json!({
            "error": { "code": self.code, "message": self.message }
        });
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}
