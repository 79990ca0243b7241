// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes: a body goes to a staging file as it comes, and becomes an object when all of it was found good.
//!
//! What was signed is checked before the first byte where it can be, and else before the object is visible.
//! A body that is too large, too slow, cut, or not the promised one leaves nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use object_store::{PutMode, UpdateVersion};
use tokio::time::Instant;

use super::ServeConfig;
use super::conditions::{self, Comparison};
use super::refusal::Refused;
use super::router::{Served, Target};
use crate::attributes::Description;
use crate::backend::BackendKind;
use crate::checksum::Sha256Hasher;
use crate::content_type::FIRST_BYTES_MAX;
use crate::disposition::{attachment, inline};
use crate::folder::Staged;
use crate::{ContentType, Key, Sha256Digest};

/// How many bytes are gathered before they are written, beside the piece that fills them up.
const GATHERED_BYTES: usize = 1024 * 1024;

/// Answers `PUT`.
pub(super) async fn answer(
    served: &Served,
    target: Target<'_>,
    head: &Parts,
    key: &Key,
    body: Body,
) -> Result<Response, Refused> {
    let constraints = served.authorise(target, head, key)?.constraints;
    if text(&head.headers, CONTENT_ENCODING)?.is_some_and(|coding| coding != "identity") {
        return Err(Refused::wrong_type(
            "bodies with a content coding are not stored",
        ));
    }
    let given = content_type(text(&head.headers, CONTENT_TYPE)?)?;
    if let Some(wanted) = &constraints.content_type
        && given.as_ref() != ContentType::new(wanted).ok().as_ref()
    {
        return Err(Refused::wrong_type(format!(
            "the content type must be `{wanted}`"
        )));
    }
    let bytes_max = constraints
        .bytes_max
        .unwrap_or(u64::MAX)
        .min(served.config.body_bytes_max);
    let announced = text(&head.headers, CONTENT_LENGTH)?.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(Refused::too_large(bytes_max));
    }
    let mode = mode(target, head, key, constraints.if_absent).await?;

    let mut incoming = Incoming::new(body, &served.config);
    let mut writer = Writer::begin(target, key, bytes_max).await?;
    let arrived = async {
        while let Some(piece) = incoming.next().await? {
            writer.write(piece).await?;
        }
        Ok::<_, Refused>(())
    }
    .await;
    let wanted = Wanted {
        content_type: given,
        download_as: constraints.download_as,
        is_inline: constraints.inline,
        sha256: constraints.sha256,
        mode,
        ..Wanted::default()
    };
    let etag = writer.end(key, arrived, wanted).await?;
    Ok(stored(StatusCode::OK, &etag))
}

/// The answer to an upload.
pub(super) fn stored(status: StatusCode, etag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// What an object is to be, once all of it has arrived.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// As the client gave it; without, the bytes tell.
    pub(super) content_type: Option<ContentType>,
    pub(super) download_as: Option<String>,
    pub(super) is_inline: bool,
    pub(super) sha256: Option<Sha256Digest>,
    pub(super) metadata: std::collections::BTreeMap<String, String>,
    pub(super) bytes_min: u64,
    pub(super) mode: PutMode,
}

/// A body on its way to a staging file.
pub(super) struct Writer {
    staged: Arc<Staged>,
    key: String,
    bytes_max: u64,
    /// What was written.
    written: u64,
    /// What is to be written next.
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    first_bytes: Vec<u8>,
    hasher: Sha256Hasher,
}

impl Writer {
    pub(super) async fn begin(
        target: Target<'_>,
        key: &Key,
        bytes_max: u64,
    ) -> Result<Self, Refused> {
        let staged = target
            .folder
            .store
            .stage()
            .await
            .map_err(|error| Refused::of_store(key.as_str(), &error))?;
        Ok(Self {
            staged,
            key: key.to_string(),
            bytes_max,
            written: 0,
            gathered: Vec::new(),
            gathered_bytes: 0,
            first_bytes: Vec::new(),
            hasher: Sha256Hasher::new(),
        })
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), Refused> {
        let bytes = self.written + (self.gathered_bytes + piece.len()) as u64;
        if bytes > self.bytes_max {
            return Err(Refused::too_large(self.bytes_max));
        }
        let missing = FIRST_BYTES_MAX.saturating_sub(self.first_bytes.len());
        self.first_bytes.extend(piece.iter().take(missing));
        self.hasher.update_in_turns(&piece).await;
        self.gathered_bytes += piece.len();
        self.gathered.push(piece);
        if self.gathered_bytes >= GATHERED_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Makes the object visible if everything arrived and is as wanted; else nothing is left.
    pub(super) async fn end(
        mut self,
        key: &Key,
        arrived: Result<(), Refused>,
        wanted: Wanted,
    ) -> Result<String, Refused> {
        let staged = Arc::clone(&self.staged);
        let placed = match arrived {
            Ok(()) => self.place(key, wanted).await,
            Err(refused) => Err(refused),
        };
        if placed.is_err() {
            staged.discard().await;
        }
        placed
    }

    async fn place(&mut self, key: &Key, wanted: Wanted) -> Result<String, Refused> {
        self.flush().await?;
        if self.written < wanted.bytes_min {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "too_small",
                format!("fewer than {} bytes are not allowed", wanted.bytes_min),
            ));
        }
        let sha256 = std::mem::take(&mut self.hasher).finish();
        if wanted.sha256.is_some_and(|expected| expected != sha256) {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "wrong_checksum",
                "the bytes do not have the SHA-256 that was signed",
            ));
        }
        let mode = wanted.mode.clone();
        let description = self.describe(key, wanted, sha256);
        let attributes = description.to_attributes(BackendKind::Folder);
        let meta = self
            .staged
            .place(key.to_path(), attributes, mode)
            .await
            .map_err(|error| Refused::of_store(&self.key, &error))?;
        Ok(meta.e_tag.unwrap_or_default())
    }

    fn describe(&self, key: &Key, wanted: Wanted, sha256: Sha256Digest) -> Description {
        let content_type = wanted
            .content_type
            .unwrap_or_else(|| ContentType::sniff(&self.first_bytes, key.name()));
        let content_disposition = match (wanted.download_as, wanted.is_inline) {
            (Some(name), true) => Some(inline(&name)),
            (Some(name), false) => Some(attachment(&name)),
            (None, true) => None,
            (None, false) => content_type.is_active().then(|| attachment(key.name())),
        };
        Description {
            content_type: Some(content_type),
            content_disposition,
            cache_control: None,
            metadata: wanted.metadata,
            sha256: Some(sha256),
        }
    }

    async fn flush(&mut self) -> Result<(), Refused> {
        let pieces = std::mem::take(&mut self.gathered);
        self.staged
            .write(self.written, pieces)
            .await
            .map_err(|error| Refused::of_store(&self.key, &error))?;
        self.written += self.gathered_bytes as u64;
        self.gathered_bytes = 0;
        Ok(())
    }
}

/// A body that must not stall.
pub(super) struct Incoming {
    stream: BodyDataStream,
    idle: Duration,
    ends_at: Option<Instant>,
}

impl Incoming {
    pub(super) fn new(body: Body, config: &ServeConfig) -> Self {
        Self {
            stream: body.into_data_stream(),
            idle: config.idle_timeout,
            ends_at: Instant::now().checked_add(config.request_timeout),
        }
    }

    /// The next bytes; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let left = self
            .ends_at
            .map(|ends_at| ends_at.saturating_duration_since(Instant::now()));
        let wait = left.map_or(self.idle, |left| left.min(self.idle));
        match tokio::time::timeout(wait, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => {
                tracing::debug!(error = %error, "the body of an upload broke off");
                Err(Refused::malformed("the body broke off"))
            }
            Err(_) => Err(Refused::too_slow("the body did not come in time")),
        }
    }
}

/// A content type that a client gave.
pub(super) fn content_type(given: Option<&str>) -> Result<Option<ContentType>, Refused> {
    given
        .map(|text| ContentType::new(text).map_err(|error| Refused::wrong_type(error.to_string())))
        .transpose()
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refused> {
    headers
        .get(name)
        .map(|value| {
            value
                .to_str()
                .map_err(|_| Refused::malformed("a header is no plain text"))
        })
        .transpose()
}

/// Which object the new one may replace, by what was signed and by the request's own conditions.
async fn mode(
    target: Target<'_>,
    head: &Parts,
    key: &Key,
    is_if_absent: bool,
) -> Result<PutMode, Refused> {
    let none_match = text(&head.headers, IF_NONE_MATCH)?.map(str::trim);
    if none_match.is_some_and(|value| value != "*") {
        return Err(Refused::malformed(
            "a write takes no `If-None-Match` but `*`",
        ));
    }
    if is_if_absent || none_match.is_some() {
        return Ok(PutMode::Create);
    }
    if !head.headers.contains_key(IF_MATCH) {
        return Ok(PutMode::Overwrite);
    }
    let failed = || Refused::condition("the object has another version, or there is none");
    let current = match target.folder.store.open_object(key.to_path()).await {
        Ok(opened) => opened.meta.e_tag.unwrap_or_default(),
        Err(object_store::Error::NotFound { .. }) => return Err(failed()),
        Err(error) => return Err(Refused::of_store(key.as_str(), &error)),
    };
    if !conditions::names(&head.headers, IF_MATCH, &current, Comparison::Strong) {
        return Err(failed());
    }
    // It is compared again under the lock.
    Ok(PutMode::Update(UpdateVersion {
        e_tag: Some(current),
        version: None,
    }))
}
