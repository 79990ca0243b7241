// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads: an object, a range of it, or only its headers.
//!
//! The version is opened once, and headers and bytes are of that version. A task of its own reads ahead by
//! one piece, so that a client which takes nothing cannot keep the file open.

use std::io;
use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::conditions::{self, Answer, Facts};
use super::headers;
use super::refusal::Refused;
use super::router::{Served, Target};
use crate::Key;

/// The size of a piece: small enough that a slow connection takes one within the time for it.
const PIECE_BYTES: usize = 64 * 1024;

/// Answers `GET` and `HEAD`.
pub(super) async fn answer(
    served: &Served,
    target: Target<'_>,
    head: &Parts,
    key: &Key,
    permit: OwnedSemaphorePermit,
) -> Result<Response, Refused> {
    let allowed = served.authorise(target, head, key)?;
    let opened = target
        .folder
        .store
        .open_object(key.to_path())
        .await
        .map_err(|error| Refused::of_store(key.as_str(), &error))?;
    let etag = opened.meta.e_tag.clone().unwrap_or_default();
    let bytes = opened.meta.size;
    let modified = opened.meta.last_modified.timestamp();
    let facts = Facts {
        etag: &etag,
        modified,
        bytes,
    };
    let answer = conditions::decide(&head.method, &head.headers, facts);

    let attributes = &opened.attributes;
    let mut headers = headers::of_object(key, attributes, &allowed.constraints, allowed.is_public);
    headers::set_version(&mut headers, &etag, modified);
    let (status, range) = match answer {
        Answer::ConditionFailed => {
            return Err(Refused::condition("the object is another version"));
        }
        Answer::Unsatisfiable => return Err(Refused::range(bytes)),
        Answer::NotModified => {
            headers.remove(CONTENT_TYPE);
            // It is the length that a 200 would have; a zero would be wrong.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
            return Ok(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
        }
        Answer::Whole => (StatusCode::OK, 0..bytes),
        Answer::Part(range) => {
            set_content_range(&mut headers, &range, bytes);
            (StatusCode::PARTIAL_CONTENT, range)
        }
    };
    let length = range.end - range.start;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let body = if head.method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        let pieces = opened.stream(range, PIECE_BYTES);
        body_of(pieces, length, served.config.response_idle_timeout, permit)
    };
    Ok(response(status, headers, body))
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn set_content_range(headers: &mut HeaderMap, range: &Range<u64>, bytes: u64) {
    // A range is never empty.
    let last = range.end.saturating_sub(1);
    if let Ok(value) = HeaderValue::try_from(format!("bytes {}-{last}/{bytes}", range.start)) {
        headers.insert(CONTENT_RANGE, value);
    }
}

/// The bytes as a body. The file and the permit are let go when the client takes nothing for `idle`.
fn body_of(
    mut pieces: BoxStream<'static, object_store::Result<Bytes>>,
    length: u64,
    idle: Duration,
    permit: OwnedSemaphorePermit,
) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(piece) = pieces.next().await {
            let is_last = piece.is_err();
            // The client left, or takes nothing.
            if sender.send_timeout(piece, idle).await.is_err() || is_last {
                break;
            }
        }
        drop(permit);
    });
    Body::from_stream(stream::unfold((receiver, length), next_piece))
}

type Pieces = (mpsc::Receiver<object_store::Result<Bytes>>, u64);

/// The next piece. A body that ends before its length is an error, so that nobody takes it for whole.
async fn next_piece((mut receiver, left): Pieces) -> Option<(io::Result<Bytes>, Pieces)> {
    match receiver.recv().await {
        Some(Ok(piece)) => {
            let left = left.saturating_sub(piece.len() as u64);
            Some((Ok(piece), (receiver, left)))
        }
        Some(Err(error)) => {
            tracing::error!(error = %error, "an object could not be read to its end");
            Some((Err(io::Error::other(error)), (receiver, 0)))
        }
        None if left > 0 => {
            let cut = io::Error::new(
                io::ErrorKind::TimedOut,
                "the client took nothing for too long",
            );
            Some((Err(cut), (receiver, 0)))
        }
        None => None,
    }
}
