// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The service: tickets, finalizing, the page, and the files' own router.
//!
//! It never touches the bytes of an upload: they go to the bucket, whose own rules hold them to the
//! ticket.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use forktex::storage::{
    FinalizeError, Storage, StorageError, StorageErrorKind, UploadTicket, serve,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// The most that a picture has.
pub(crate) const PICTURE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a client may take to begin its upload.
const TICKET_TTL: Duration = Duration::from_mins(10);
/// How long a link can be used.
const LINK_TTL: Duration = Duration::from_mins(5);

/// Where the files' router is; the base URL of the bucket ends so.
pub(crate) const FILES: &str = "/files";

/// The routes, and those of the files, where links and forms lead.
pub(crate) fn router(storage: Storage) -> Result<Router, StorageError> {
    let files = serve::router(&storage)?;
    Ok(Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/app/tickets", post(ticket))
        .route("/app/finalize", post(finalize))
        .with_state(storage)
        .nest(FILES, files))
}

#[derive(Deserialize)]
struct Wish {
    /// What the file is called where it comes from.
    name: String,
}

/// Lets a client upload one picture.
async fn ticket(
    State(storage): State<Storage>,
    Json(wish): Json<Wish>,
) -> Result<Json<UploadTicket>, Refused> {
    // The client's name is kept for the download. It is no part of the key, so that nobody can
    // choose whose picture is replaced.
    let key = format!("pictures/{}", Uuid::now_v7());
    let ticket = storage
        .upload_ticket(key)
        .bytes_max(PICTURE_BYTES_MAX)
        .content_types(["image/png", "image/jpeg", "image/webp"])
        .download_as(wish.name)
        .ttl(TICKET_TTL)
        .await?;
    Ok(Json(ticket))
}

#[derive(Deserialize)]
struct Arrived {
    token: String,
}

/// A picture that is in its place.
#[derive(Serialize)]
struct Picture {
    size: u64,
    content_type: String,
    /// Where it can be read for a while.
    link: String,
}

/// Checks what arrived, and puts it in its place.
async fn finalize(
    State(storage): State<Storage>,
    Json(arrived): Json<Arrived>,
) -> Result<Json<Picture>, Refused> {
    let stored = storage.finalize(&arrived.token).await?.stored;
    let link = storage.signed_url(&stored.key).ttl(LINK_TTL).await?;
    Ok(Json(Picture {
        size: stored.size,
        content_type: stored.content_type.to_string(),
        link: link.url,
    }))
}

/// Why a request was refused.
enum Refused {
    Finalize(FinalizeError),
    Storage(StorageError),
}

impl From<FinalizeError> for Refused {
    fn from(error: FinalizeError) -> Self {
        Self::Finalize(error)
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Finalize(FinalizeError::Rejected(rejection)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, rejection.to_string())
            }
            Self::Finalize(
                error @ (FinalizeError::NotUploaded { .. } | FinalizeError::TargetTaken { .. }),
            ) => (StatusCode::CONFLICT, error.to_string()),
            Self::Finalize(FinalizeError::Storage(error)) => unexpected(&error),
            // The ticket is none, or none any more.
            Self::Finalize(error) => (StatusCode::FORBIDDEN, error.to_string()),
            Self::Storage(error) if error.kind() == StorageErrorKind::InvalidInput => {
                (StatusCode::BAD_REQUEST, error.to_string())
            }
            Self::Storage(error) => unexpected(&error),
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}

/// What a client cannot help. It is told nothing of it.
fn unexpected(error: &(dyn std::error::Error + 'static)) -> (StatusCode, String) {
    tracing::error!(error, "a request failed");
    let message = "it is our fault; try again";
    (StatusCode::INTERNAL_SERVER_ERROR, message.to_owned())
}
