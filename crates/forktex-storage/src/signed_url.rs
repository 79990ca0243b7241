// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed URLs: a link that lets whoever has it read or write one object until it expires.
//!
//! A link is signed here, without a request, for the address that the client will call, and is never
//! rewritten. What the backend cannot enforce is refused and never dropped:
//!
//! | | S3 | GCS | Azure | folder | CloudFront |
//! |---|---|---|---|---|---|
//! | read, for `GET` | yes | yes | yes, with `HEAD` | yes | yes, with `HEAD` |
//! | `head` | yes | yes | no | yes | no |
//! | `content_type`, `download_as` on a read | yes | yes | yes | yes | where it forwards them |
//! | `version` | yes | yes | no | no | no |
//! | write, by `PUT` | yes | yes | yes | yes | takes the next rule |
//! | `content_type`, `download_as` on a write | yes | yes | no | yes | |
//! | `if_absent` | yes | yes | yes | yes | |
//! | `sha256` | yes | no | no | yes | |
//! | `content_length` | yes | yes | no | no | |
//! | `bytes_max` | no | yes | no | yes | |
//!
//! Memory signs nothing.
//!
//! # Active content
//! HTML, SVG and what else a browser would run is downloaded, not shown. A read whose key is named like
//! active content is signed with `Content-Disposition: attachment`. A write is bound to the type that the
//! key is named for, unless another type is given; so nobody can put a page under `photo.png`. Active
//! types are stored with `attachment`. `inline` turns both off.

mod address;
mod azure;
mod cloudfront;
mod cookies;
mod folder;
mod gcs;
pub(crate) mod link;
mod public_url;
mod s3;
pub(crate) mod terms;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use http::Method;
use serde::ser::{Error as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use cookies::{CloudFrontCookies, CookiesRequest};
pub(crate) use folder::signing as folder_signing;
pub(crate) use gcs::SigningGcs;
pub(crate) use s3::SigningS3;
use terms::LinkOptions;

use crate::key::IntoKey;
use crate::sign::SignError;
use crate::{ContentType, InvalidContentType, Key, KeyError, Sha256Digest, Storage, StorageError};

/// How long a link is good where nothing else is said: 15 minutes.
pub(crate) const TTL: Duration = Duration::from_mins(15);

/// The longest that a link may be good: seven days.
pub(crate) const TTL_MAX: Duration = crate::sign::EXPIRES_MAX;

/// What a link lets its holder do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicAccess {
    /// Read the object.
    #[default]
    Read,
    /// Write the object, whole, by `PUT`.
    Write,
}

/// A link that is to be signed; made by [`Storage::signed_url`], and signed when awaited.
#[derive(Clone, Debug)]
#[must_use = "a link is signed when the request is awaited"]
pub struct SignedUrlRequest {
    storage: Storage,
    key: Result<Key, KeyError>,
    content_type: Option<Result<ContentType, InvalidContentType>>,
    options: LinkOptions,
    ttl: Duration,
}

/// A signed link. Whoever has it can use it until it expires.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedUrl {
    /// The URL. Its bytes were signed: pass it on as it is.
    pub url: String,
    /// The method to call it with.
    pub method: Method,
    /// Headers that the client must send along, with these very values. `Content-Length`, where it is one
    /// of them, is sent by every client by itself.
    pub headers: Vec<(String, String)>,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

impl Storage {
    /// A link to one object, good for 15 minutes unless said otherwise.
    ///
    /// Awaiting it makes no request with keys of our own. On S3 with temporary credentials it may ask the
    /// instance's metadata or the token service for new ones, when the last ones are about to end.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] where the backend cannot enforce what is asked, with what to do
    /// instead; [`StorageError::InvalidOption`] where a time, a type or a name is out of its range;
    /// [`StorageError::Key`].
    ///
    /// # Cancellation
    /// Nothing is changed anywhere: it may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use forktex_storage::{FolderConfig, PublicAccess, Secret, Storage, StorageConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = std::env::temp_dir().join(format!("forktex-{}", uuid::Uuid::now_v7()));
    /// let bucket = FolderConfig::new(&folder)
    ///     .serve_at("http://localhost:3000/files", Secret::from("a key of thirty-two bytes or more"));
    /// let storage = Storage::open(StorageConfig::new(bucket)).await?;
    ///
    /// let link = storage
    ///     .signed_url("invoices/7.pdf")
    ///     .ttl(Duration::from_mins(1))
    ///     .download_as("Invoice 7.pdf")
    ///     .await?;
    /// assert!(link.url.starts_with("http://localhost:3000/files/"));
    ///
    /// let upload = storage
    ///     .signed_url("avatars/7.png")
    ///     .access(PublicAccess::Write)
    ///     .if_absent()
    ///     .await?;
    /// assert_eq!(upload.method, "PUT");
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), forktex_storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    pub fn signed_url(&self, key: impl IntoKey) -> SignedUrlRequest {
        SignedUrlRequest {
            storage: self.clone(),
            key: key.into_key(),
            content_type: None,
            options: LinkOptions::default(),
            ttl: TTL,
        }
    }
}

impl SignedUrlRequest {
    /// What the link is for; a read, where nothing is said.
    pub fn access(mut self, access: PublicAccess) -> Self {
        self.options.access = access;
        self
    }

    /// A read for `HEAD` alone: its holder learns the size and the type, and not the bytes.
    pub fn head(mut self) -> Self {
        self.options.is_head = true;
        self
    }

    /// How long the link is good: 1 second to 7 days, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// As [`ttl`](Self::ttl), in seconds.
    pub fn ttl_secs(self, seconds: u64) -> Self {
        self.ttl(Duration::from_secs(seconds))
    }

    /// On a read, the type that the answer has; on a write, the only type that may be sent.
    pub fn content_type(mut self, content_type: impl AsRef<str>) -> Self {
        self.content_type = Some(ContentType::new(content_type));
        self
    }

    /// The object is downloaded under this name, at most 255 bytes; on a write it is stored so.
    pub fn download_as(mut self, name: impl Into<String>) -> Self {
        self.options.download_as = Some(name.into());
        self
    }

    /// The object may be shown by a browser, whatever it is. On a write without a type it lets the client
    /// choose any type. Say it of content that you trust.
    pub fn inline(mut self) -> Self {
        self.options.is_inline = true;
        self
    }

    /// A write succeeds only while there is no such object.
    pub fn if_absent(mut self) -> Self {
        self.options.if_absent = true;
        self
    }

    /// A write succeeds only with bytes of this SHA-256.
    pub fn sha256(mut self, digest: Sha256Digest) -> Self {
        self.options.sha256 = Some(digest);
        self
    }

    /// A write succeeds only with exactly so many bytes.
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.options.bytes = Some(bytes);
        self
    }

    /// A write succeeds only with at most so many bytes.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.options.bytes_max = Some(bytes_max);
        self
    }

    /// A read of this version of the object.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    async fn sign(self) -> Result<SignedUrl, StorageError> {
        let Self {
            storage,
            key,
            content_type,
            mut options,
            ttl,
        } = self;
        options.content_type = content_type
            .transpose()
            .map_err(|error| StorageError::option("content_type", error.to_string()))?;
        link::sign(&storage, &key?, &options, ttl).await
    }
}

impl IntoFuture for SignedUrlRequest {
    type Output = Result<SignedUrl, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sign())
    }
}

/// Shows the URL without its query: that is the signature.
impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrl")
            .field("url", &without_query(&self.url))
            .field("method", &self.method)
            .field("headers", &self.headers)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// `{"url", "method", "headers": [[name, value]], "expires_at"}`, for the answer to a client.
impl Serialize for SignedUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expires_at = self.expires_at.format(&Rfc3339).map_err(S::Error::custom)?;
        let mut out = serializer.serialize_struct("SignedUrl", 4)?;
        out.serialize_field("url", &self.url)?;
        out.serialize_field("method", self.method.as_str())?;
        out.serialize_field("headers", &self.headers)?;
        out.serialize_field("expires_at", &expires_at)?;
        out.end()
    }
}

/// A URL as it may be shown.
pub(crate) fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((shown, _)) => format!("{shown}?.."),
        None => url.to_owned(),
    }
}

/// Refuses a life that no backend takes.
pub(crate) fn check_ttl(ttl: Duration) -> Result<Duration, StorageError> {
    if ttl < Duration::from_secs(1) || ttl > TTL_MAX {
        return Err(StorageError::option(
            "ttl",
            "a link is good for 1 second to 7 days; sign a new one when it is needed",
        ));
    }
    // Signatures count whole seconds.
    Ok(Duration::from_secs(ttl.as_secs()))
}

/// When a link that is signed now ends.
pub(crate) fn expires_at(
    now: OffsetDateTime,
    ttl: Duration,
) -> Result<OffsetDateTime, StorageError> {
    // Signatures count whole seconds of both.
    let now = now.replace_nanosecond(0).unwrap_or(now);
    time::Duration::try_from(ttl)
        .ok()
        .and_then(|ttl| now.checked_add(ttl))
        .ok_or_else(|| {
            StorageError::option("ttl", "the link would end after the last date there is")
        })
}

/// What a signer said, of a link to a key.
pub(crate) fn not_signed(bucket: &str, key: &str, error: SignError) -> StorageError {
    StorageError::Other {
        operation: "sign a link to",
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_link_shows_no_signature() {
        let link = SignedUrl {
            url: "https://files.example/a?X-Amz-Signature=abc".to_owned(),
            method: Method::GET,
            headers: Vec::new(),
            expires_at: datetime!(2026-01-01 00:00 UTC),
        };
        let shown = format!("{link:?}");
        assert!(
            shown.contains("files.example/a?..") && !shown.contains("abc"),
            "{shown}"
        );
        let json = serde_json::to_value(&link).unwrap();
        assert_eq!(json["method"], "GET");
        assert_eq!(json["expires_at"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_life_is_one_second_to_seven_days() {
        for bad in [
            Duration::ZERO,
            Duration::from_millis(999),
            TTL_MAX + Duration::from_nanos(1),
        ] {
            assert!(check_ttl(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            check_ttl(Duration::from_millis(1_999)).unwrap(),
            Duration::from_secs(1)
        );
        assert_eq!(check_ttl(TTL_MAX).unwrap(), TTL_MAX);
    }

    #[test]
    fn a_link_ends_at_a_whole_second() {
        let now = datetime!(2026-01-01 00:00:00.9 UTC);
        let ends = expires_at(now, Duration::from_secs(2)).unwrap();
        assert_eq!(ends, datetime!(2026-01-01 00:00:02 UTC));
    }

    #[tokio::test]
    async fn memory_signs_nothing_and_says_what_does() {
        let error = Storage::memory().signed_url("a").await.unwrap_err();
        assert!(matches!(error, StorageError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("serve_at"), "{error}");
    }

    #[tokio::test]
    async fn a_key_and_a_type_are_checked_when_the_link_is_signed() {
        let storage = Storage::memory();
        assert!(matches!(
            storage.signed_url("../a").await,
            Err(StorageError::Key(_))
        ));
        let error = storage
            .signed_url("a")
            .content_type("png")
            .await
            .unwrap_err();
        assert!(error.to_string().contains("content_type"), "{error}");
    }
}
