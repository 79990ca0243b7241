// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a client is told when a request fails: a status code by the type of the error, and its message.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forktex::db::DbError;
use forktex::flow::prelude::json;
use forktex::flow::{CancelError, ReadError, SignalError, StartError};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the header `{0}` cannot be read")]
    Header(&'static str),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Signal(#[from] SignalError),
    #[error(transparent)]
    Cancel(#[from] CancelError),
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Header(_) => StatusCode::BAD_REQUEST,
            Self::Start(error) => of_start(error),
            Self::Read(ReadError::NotFound { .. })
            | Self::Signal(SignalError::NotFound { .. })
            | Self::Cancel(CancelError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Self::Signal(SignalError::Conflict { .. } | SignalError::AlreadyTerminal { .. })
            | Self::Cancel(CancelError::AlreadyTerminal { .. }) => StatusCode::CONFLICT,
            Self::Signal(SignalError::MailboxFull { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Signal(
                SignalError::Name(_)
                | SignalError::Payload { .. }
                | SignalError::IdempotencyKey { .. },
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Read(ReadError::Database { error, .. })
            | Self::Signal(SignalError::Database { error, .. })
            | Self::Cancel(CancelError::Database { error, .. }) => of_database(error),
            Self::Read(_) | Self::Signal(_) | Self::Cancel(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn of_start(error: &StartError) -> StatusCode {
    match error {
        StartError::State { .. }
        | StartError::Payload { .. }
        | StartError::IdempotencyKey { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        StartError::Conflict { .. } => StatusCode::CONFLICT,
        StartError::Closed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        StartError::Database { error, .. } => of_database(error),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A database that is away is worth another try; whatever else it says is a fault of ours.
fn of_database(error: &DbError) -> StatusCode {
    match error {
        DbError::Unavailable { .. } | DbError::Timeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let message = if status.is_server_error() {
            // The operator reads it; a client has no use for it.
            tracing::error!(error = %self, "a request failed");
            "try again later".to_owned()
        } else {
            self.to_string()
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}
