// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Upload tickets: a stranger may upload one object, and it is looked at before it is in its place.
//!
//! The service makes a ticket for a key and hands its upload and its token to a client. The client uploads
//! into quarantine, `quarantine/<id>` beside the keys of the same scope, where nobody looks for it. Then the
//! service passes the token to [`finalize`](crate::Storage::finalize), which checks what arrived and puts
//! that into its place. The service keeps no record of tickets: the token holds all terms, signed.
//!
//! | State of a ticket | In quarantine | At the key | `finalize` answers |
//! |---|---|---|---|
//! | asked for | nothing | as before | `NotUploaded` |
//! | uploaded, fits | the upload | as before | the object, placed; quarantine is emptied |
//! | uploaded, does not fit | the upload | as before | `Rejected`; quarantine is emptied |
//! | uploaded, and the key is taken | the upload | another object | `TargetTaken`; unless the ticket says `replace` |
//! | finalized | nothing | the object | the same again, as repeated |
//! | finalized, uploaded again | a second upload | the object | the same again; quarantine is emptied |
//! | expired, within the hour of grace | as it is | as it is | as above |
//! | expired | left to the sweeper | as it is | `Expired` |
//! | forged, cut or changed | not looked at | not looked at | `Forged` |
//! | another tenant's, or another bucket's | not looked at | not looked at | `OtherScope` |
//!
//! The token is signed and not encrypted: its holder can read the key and the terms. It opens nothing by
//! itself; the form or link beside it does.
//!
//! What lies in quarantine is stored as `application/octet-stream`, wherever the backend can bind that, and
//! our router never serves it in public. Keep `quarantine/` closed in a bucket that is public itself.

pub(crate) mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde::ser::{Error as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::attributes::{check_cache_control, check_metadata};
use crate::key::IntoKey;
use crate::signed_url::terms::check_download_name;
use crate::signed_url::{TTL, check_ttl, expires_at};
use crate::{
    BackendKind, ConfigError, ContentType, Key, KeyError, PresignedPost, PublicAccess, Secret,
    Sha256Digest, SignedUrl, Storage, StorageError,
};
use token::Claims;

/// The prefix, in each scope, where uploads wait to be looked at.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The metadata by which an object is known as the one of a ticket.
pub(crate) const TICKET_NAME: &str = "forktex-ticket";

/// The most types that a ticket names, and the most bytes of one.
const TYPES_MAX: usize = 50;
const TYPE_BYTES_MAX: usize = 127;

/// A ticket that is to be made; begun by [`Storage::upload_ticket`], and made when awaited.
#[derive(Clone, Debug)]
#[must_use = "a ticket is made when the request is awaited"]
pub struct UploadTicketRequest {
    storage: Storage,
    key: Result<Key, KeyError>,
    ttl: Duration,
    bytes_min: u64,
    bytes_max: Option<u64>,
    content_types: Vec<String>,
    sha256: Option<Sha256Digest>,
    download_as: Option<String>,
    is_inline: bool,
    is_replacing: bool,
    cache_control: Option<String>,
    metadata: BTreeMap<String, String>,
}

/// A ticket: the upload goes to the client, and the token comes back for
/// [`finalize`](Storage::finalize).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadTicket {
    /// The signed terms. The client may keep it; only this service reads it.
    pub token: String,
    /// How the client uploads.
    pub upload: TicketUpload,
    /// Where the upload arrives, in the scope of the storage.
    pub quarantine: Key,
    /// When the upload ends. The token holds for an hour more.
    pub expires_at: OffsetDateTime,
}

/// How the upload of a ticket comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TicketUpload {
    /// By a form, within the sizes of the ticket: S3, GCS and a folder.
    Post(PresignedPost),
    /// By one `PUT`, of any size and once only: Azure, which has no forms.
    Put(SignedUrl),
    /// By this process, which puts the object into [`UploadTicket::quarantine`] itself: memory has no
    /// address for a client. It is for tests.
    InProcess,
}

impl Storage {
    /// A ticket for one upload to a key, good for 15 minutes unless said otherwise.
    /// [`bytes_max`](UploadTicketRequest::bytes_max) must be said.
    ///
    /// Awaiting it makes no request with keys of our own, as for [`signed_url`](Self::signed_url).
    ///
    /// # Errors
    /// [`StorageError::Config`] without
    /// [`StorageConfig::ticket_key`](crate::StorageConfig::ticket_key);
    /// [`StorageError::Unsupported`] where the backend cannot sign an upload;
    /// [`StorageError::InvalidOption`] where something is missing or out of its range;
    /// [`StorageError::Key`].
    ///
    /// # Cancellation
    /// Nothing is changed anywhere: it may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::{MemoryConfig, Storage, StorageConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = StorageConfig::new(MemoryConfig::new())
    ///     .ticket_key("a key of thirty-two bytes or more");
    /// let storage = Storage::open(config).await?;
    ///
    /// let ticket = storage
    ///     .upload_ticket("avatars/7.png")
    ///     .bytes_max(1024 * 1024)
    ///     .content_types(["image/png", "image/jpeg"])
    ///     .await?;
    /// // A client would upload by `ticket.upload`; in memory it is done here.
    /// storage.put(&ticket.quarantine, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").await?;
    ///
    /// let finalized = storage.finalize(&ticket.token).await?;
    /// assert_eq!(finalized.stored.content_type.as_str(), "image/png");
    /// assert!(storage.exists("avatars/7.png").await?);
    /// assert!(!storage.exists(&ticket.quarantine).await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn upload_ticket(&self, key: impl IntoKey) -> UploadTicketRequest {
        UploadTicketRequest {
            storage: self.clone(),
            key: key.into_key(),
            ttl: TTL,
            bytes_min: 0,
            bytes_max: None,
            content_types: Vec::new(),
            sha256: None,
            download_as: None,
            is_inline: false,
            is_replacing: false,
            cache_control: None,
            metadata: BTreeMap::new(),
        }
    }

    /// The key that tickets are signed with.
    pub(crate) fn ticket_key(&self) -> Result<&Secret, StorageError> {
        let key = self.shared().ticket_key.as_ref();
        key.ok_or_else(|| ConfigError::NoTicketKey.into())
    }
}

impl UploadTicketRequest {
    /// The most bytes of the upload; it must be said. S3 takes up to 5 GiB by a form.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = Some(bytes_max);
        self
    }

    /// The fewest bytes of the upload; 0 where nothing is said.
    pub fn bytes_min(mut self, bytes_min: u64) -> Self {
        self.bytes_min = bytes_min;
        self
    }

    /// The types that are let in, such as `image/png` or `image/*`: at most 50. Without it any type is.
    ///
    /// The bytes decide, and never what the client says. A type that its bytes show, such as PNG, must be
    /// shown by them; of a type that has no such mark, such as CSV, the name of the key or of
    /// [`download_as`](Self::download_as) decides.
    pub fn content_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        // One more is kept than is let through, so that too many are noticed and not gathered.
        self.content_types = types
            .into_iter()
            .take(TYPES_MAX + 1)
            .map(Into::into)
            .collect();
        self
    }

    /// The SHA-256 that the upload must have.
    pub fn sha256(mut self, digest: Sha256Digest) -> Self {
        self.sha256 = Some(digest);
        self
    }

    /// How long the client may upload: 1 second to 7 days, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// As [`ttl`](Self::ttl), in seconds.
    pub fn ttl_secs(self, seconds: u64) -> Self {
        self.ttl(Duration::from_secs(seconds))
    }

    /// The object is downloaded under this name, at most 255 bytes.
    pub fn download_as(mut self, name: impl Into<String>) -> Self {
        self.download_as = Some(name.into());
        self
    }

    /// The object may be shown by a browser, even where it is active content.
    pub fn inline(mut self) -> Self {
        self.is_inline = true;
        self
    }

    /// An object that is at the key is replaced. Without it the upload is refused there.
    pub fn replace(mut self) -> Self {
        self.is_replacing = true;
        self
    }

    /// The object's `Cache-Control`, under the rules of [`Storage::put`].
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.cache_control = Some(value.into());
        self
    }

    /// Metadata of the object, under the rules of [`Storage::put`]. The name `forktex-ticket` is taken.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    async fn make(self) -> Result<UploadTicket, StorageError> {
        let ttl = check_ttl(self.ttl)?;
        let now = self.storage.shared().clock.now();
        let ends = expires_at(now, ttl)?;
        let claims = self.claims(ends)?;
        let token = claims.sign(self.storage.ticket_key()?)?;
        let quarantine = claims.quarantine()?;
        let storage = &self.storage;
        let upload = match storage.backend() {
            BackendKind::Memory => TicketUpload::InProcess,
            BackendKind::Azure => {
                // Nothing of what is sent can be bound there, but that it is sent once: `finalize` checks.
                let link = storage
                    .signed_url(&quarantine)
                    .access(PublicAccess::Write)
                    .inline()
                    .if_absent()
                    .ttl(ttl);
                TicketUpload::Put(link.await?)
            }
            _ => {
                let form = storage
                    .presigned_post(&quarantine)
                    .bytes_min(claims.bytes_min)
                    .bytes_max(claims.bytes_max)
                    .content_type("application/octet-stream")
                    .ttl(ttl);
                TicketUpload::Post(form.await?)
            }
        };
        Ok(UploadTicket {
            token,
            upload,
            quarantine,
            expires_at: ends,
        })
    }

    /// The terms, checked, so that a ticket which was made can be finalized.
    fn claims(&self, ends: OffsetDateTime) -> Result<Claims, StorageError> {
        let key = self.key.clone()?;
        let full = self.storage.full_key(&key)?;
        if is_quarantined(full.as_str()) {
            return Err(StorageError::option(
                "key",
                "`quarantine/` is where uploads wait; name the key that it is for",
            ));
        }
        let bytes_max = self.bytes_max.ok_or_else(|| {
            StorageError::option(
                "bytes_max",
                "a ticket needs a largest size; say `.bytes_max(n)`",
            )
        })?;
        if self.bytes_min > bytes_max {
            return Err(StorageError::option("bytes_min", "it is above `bytes_max`"));
        }
        let content_types = check_types(&self.content_types)?;
        check_download_name(self.download_as.as_deref())?;
        if let Some(value) = &self.cache_control {
            check_cache_control(value)?;
        }
        let claims = Claims {
            version: token::VERSION,
            id: Uuid::now_v7(),
            bucket: self.storage.bucket_name().to_owned(),
            scope: self.storage.scope().to_owned(),
            key,
            expires: ends.unix_timestamp(),
            bytes_min: self.bytes_min,
            bytes_max,
            content_types,
            sha256: self.sha256,
            download_as: self.download_as.clone(),
            inline: self.is_inline,
            replace: self.is_replacing,
            cache_control: self.cache_control.clone(),
            metadata: self.metadata.clone(),
        };
        if claims.metadata.contains_key(TICKET_NAME) {
            return Err(StorageError::option(
                "metadata",
                "`forktex-ticket` is set by this library; use another name",
            ));
        }
        // The mark of the ticket counts too.
        check_metadata(&claims.all_metadata())?;
        Ok(claims)
    }
}

impl IntoFuture for UploadTicketRequest {
    type Output = Result<UploadTicket, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// Shows neither the token nor what lets upload.
impl fmt::Debug for UploadTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadTicket")
            .field("upload", &self.upload)
            .field("quarantine", &self.quarantine)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// `{"token", "upload": {"kind": "post" | "put" | "in_process", ..}, "expires_at"}`, for the answer to a
/// client.
impl Serialize for UploadTicket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expires_at = self.expires_at.format(&Rfc3339).map_err(S::Error::custom)?;
        let mut out = serializer.serialize_struct("UploadTicket", 3)?;
        out.serialize_field("token", &self.token)?;
        out.serialize_field("upload", &self.upload)?;
        out.serialize_field("expires_at", &expires_at)?;
        out.end()
    }
}

/// Whether a full key lies in the quarantine of any scope.
pub(crate) fn is_quarantined(full_key: &str) -> bool {
    let mut rest = full_key;
    // A scope is any number of `org/<org>/`; each turn takes one away.
    loop {
        if rest
            .strip_prefix(QUARANTINE)
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        {
            return true;
        }
        match rest
            .strip_prefix("org/")
            .and_then(|org| org.split_once('/'))
        {
            Some((_, below)) => rest = below,
            None => return false,
        }
    }
}

/// Patterns of types: `image/png`, `image/*`, `*/*`.
fn check_types(types: &[String]) -> Result<Vec<String>, StorageError> {
    if types.len() > TYPES_MAX {
        return Err(StorageError::option(
            "content_types",
            "at most 50 types are named",
        ));
    }
    let is_pattern = |pattern: &str| match pattern.split_once('/') {
        Some(("*", subtype)) => subtype == "*",
        Some((kind, "*")) => ContentType::new(format!("{kind}/any")).is_ok(),
        Some(_) => ContentType::new(pattern).is_ok_and(|it| it.essence() == it.as_str()),
        None => false,
    };
    for pattern in types {
        if pattern.len() > TYPE_BYTES_MAX || !is_pattern(pattern) {
            return Err(StorageError::option(
                "content_types",
                format!(
                    "`{}` is no type such as `image/png` or `image/*`",
                    pattern.escape_debug()
                ),
            ));
        }
    }
    Ok(types.to_vec())
}

#[cfg(test)]
mod tests;
