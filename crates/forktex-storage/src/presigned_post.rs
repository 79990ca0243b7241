// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Presigned forms: a browser uploads one file by `POST`, within a size that the server holds it to.
//!
//! A link that writes cannot have a largest size on S3; a form can. What a backend's forms cannot enforce
//! is refused and never dropped:
//!
//! | | S3 | GCS | folder |
//! |---|---|---|---|
//! | `bytes_min`, `bytes_max`, `content_type`, `content_type_prefix`, `metadata`, `download_as` | yes | yes | yes |
//! | `if_absent`, `sha256` | no | no | yes |
//!
//! Azure has no forms, and memory no server.
//!
//! A form without a type is bound to the one that its key is named for. A form that leaves the type to the
//! client, by a beginning, stores what comes to be downloaded, since any beginning has active types.
//! `inline` turns both off.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde::ser::{Error as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::attributes::check_metadata;
use crate::backend::Backend;
use crate::disposition::{attachment, inline};
use crate::key::IntoKey;
use crate::public_map::Route;
use crate::sign::folder::PostPolicy;
use crate::sign::form::{PostForm, PostKey};
use crate::sign::{SignError, folder, gcs_post, sigv4_post};
use crate::signed_url::link::{NamedEndpoint, memory_signs_nothing};
use crate::signed_url::terms::check_download_name;
use crate::signed_url::{SigningGcs, SigningS3, TTL, check_ttl, expires_at, not_signed};
use crate::{
    BackendKind, ContentType, Key, KeyError, PublicAccess, Sha256Digest, Storage, StorageError,
};

/// The largest file that S3 takes in one request: 5 GiB.
const S3_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// A form that is to be signed; made by [`Storage::presigned_post`], and signed when awaited.
#[derive(Clone, Debug)]
#[must_use = "a form is signed when the request is awaited"]
pub struct PresignedPostRequest {
    storage: Storage,
    key: Result<Key, KeyError>,
    ttl: Duration,
    bytes_min: u64,
    bytes_max: Option<u64>,
    content_type: Option<String>,
    content_type_prefix: Option<String>,
    download_as: Option<String>,
    is_inline: bool,
    if_absent: bool,
    sha256: Option<Sha256Digest>,
    metadata: BTreeMap<String, String>,
}

/// A signed form. Whoever has it can upload with it, also more than once, until it expires.
///
/// The client sends `multipart/form-data` to the URL: the fields, where its type is left to the client a
/// field `Content-Type`, and the file last, as the field `file`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresignedPost {
    /// Where the form is sent.
    pub url: String,
    /// Names and values, in the order in which they are sent.
    pub fields: Vec<(String, String)>,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// The request with everything checked.
struct Terms {
    bytes_min: u64,
    bytes_max: u64,
    content_type: Option<String>,
    content_type_prefix: Option<String>,
    disposition: Option<String>,
    download_as: Option<String>,
    is_inline: bool,
    if_absent: bool,
    sha256: Option<Sha256Digest>,
    metadata: BTreeMap<String, String>,
}

impl Storage {
    /// A form by which a browser uploads one object, good for 15 minutes unless said otherwise.
    /// [`bytes_max`](PresignedPostRequest::bytes_max) must be said.
    ///
    /// Awaiting it makes no request with keys of our own, as for [`signed_url`](Self::signed_url). Where
    /// what arrived is to be looked at before it is in its place, use
    /// [`upload_ticket`](Self::upload_ticket).
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] where the backend has no forms or cannot enforce what is asked, with
    /// what to do instead; [`StorageError::InvalidOption`] where there is no largest size, or something is
    /// out of its range; [`StorageError::Key`].
    ///
    /// # Cancellation
    /// Nothing is changed anywhere: it may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::{FolderConfig, Secret, Storage, StorageConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = std::env::temp_dir().join(format!("forktex-{}", uuid::Uuid::now_v7()));
    /// let bucket = FolderConfig::new(&folder)
    ///     .serve_at("http://localhost:3000/files", Secret::from("a key of thirty-two bytes or more"));
    /// let storage = Storage::open(StorageConfig::new(bucket)).await?;
    ///
    /// let form = storage
    ///     .presigned_post("inbox/cat.png")
    ///     .bytes_max(5 * 1024 * 1024)
    ///     .content_type("image/png")
    ///     .await?;
    /// assert_eq!(form.url, "http://localhost:3000/files/default");
    /// assert!(form.fields.iter().any(|(name, _)| name == "policy"));
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), forktex_storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    pub fn presigned_post(&self, key: impl IntoKey) -> PresignedPostRequest {
        PresignedPostRequest {
            storage: self.clone(),
            key: key.into_key(),
            ttl: TTL,
            bytes_min: 0,
            bytes_max: None,
            content_type: None,
            content_type_prefix: None,
            download_as: None,
            is_inline: false,
            if_absent: false,
            sha256: None,
            metadata: BTreeMap::new(),
        }
    }
}

impl PresignedPostRequest {
    /// The most bytes of the file; it must be said. S3 takes up to 5 GiB by a form.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = Some(bytes_max);
        self
    }

    /// The fewest bytes of the file; 0 where nothing is said.
    pub fn bytes_min(mut self, bytes_min: u64) -> Self {
        self.bytes_min = bytes_min;
        self
    }

    /// How long the form is good: 1 second to 7 days, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// As [`ttl`](Self::ttl), in seconds.
    pub fn ttl_secs(self, seconds: u64) -> Self {
        self.ttl(Duration::from_secs(seconds))
    }

    /// The type that the file is stored with; it is one of the form's fields.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The client chooses a type that begins so, such as `image/`, and sends it as the field
    /// `Content-Type`. The file is stored to be downloaded, unless [`inline`](Self::inline) is said.
    pub fn content_type_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.content_type_prefix = Some(prefix.into());
        self
    }

    /// The file is stored to be downloaded under this name, at most 255 bytes.
    pub fn download_as(mut self, name: impl Into<String>) -> Self {
        self.download_as = Some(name.into());
        self
    }

    /// The file may be shown by a browser, whatever it is, and without a type here the client chooses any.
    /// Say it of content that you trust.
    pub fn inline(mut self) -> Self {
        self.is_inline = true;
        self
    }

    /// The upload succeeds only while there is no such object.
    pub fn if_absent(mut self) -> Self {
        self.if_absent = true;
        self
    }

    /// The upload succeeds only with a file of this SHA-256.
    pub fn sha256(mut self, digest: Sha256Digest) -> Self {
        self.sha256 = Some(digest);
        self
    }

    /// Metadata that is stored with the file, under the rules of [`Storage::put`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    async fn sign(self) -> Result<PresignedPost, StorageError> {
        let key = self.key.clone()?;
        let full = self.storage.full_key(&key)?;
        let ttl = check_ttl(self.ttl)?;
        let terms = self.terms(&key)?;
        let now = self.storage.shared().clock.now();
        let ends = expires_at(now, ttl)?;
        let bucket = self.storage.bucket_inner();
        let map = &self.storage.shared().public_map;
        let named = match map.route(&bucket.name, full.as_str(), PublicAccess::Write) {
            Route::Endpoint { url, style } => Some(NamedEndpoint { url, style }),
            _ => None,
        };
        let failed = |error| not_signed(&bucket.name, full.as_str(), error);
        let (url, fields) = match &bucket.backend {
            Backend::S3(backend) => {
                terms.refuse_what_clouds_cannot(BackendKind::S3)?;
                let signing = SigningS3::new(backend, named, now).await?;
                signing.post(full.as_str(), &terms, ttl).map_err(failed)?
            }
            Backend::Gcs(backend) => {
                terms.refuse_what_clouds_cannot(BackendKind::Gcs)?;
                let signing = SigningGcs::new(backend, named, now)?;
                signing.post(full.as_str(), &terms, ttl).map_err(failed)?
            }
            Backend::Folder(backend) => {
                let signing = crate::signed_url::folder_signing(backend)?;
                let policy = terms.policy(&bucket.name, full.as_str());
                let fields = folder::sign_post(&policy, &signing.base_url, &signing.key, now, ttl)
                    .map_err(failed)?;
                let url = folder::post_url(&signing.base_url, &bucket.name).map_err(failed)?;
                (url, fields.fields)
            }
            Backend::Azure(_) => {
                return Err(StorageError::unsupported(
                    BackendKind::Azure,
                    "an upload by a form",
                    "use `upload_ticket(key)`, which gives a link to write and checks what arrived",
                ));
            }
            Backend::Memory(_) => return Err(memory_signs_nothing()),
        };
        Ok(PresignedPost {
            url,
            fields,
            expires_at: ends,
        })
    }

    fn terms(&self, key: &Key) -> Result<Terms, StorageError> {
        let bytes_max = self.bytes_max.ok_or_else(|| {
            StorageError::option(
                "bytes_max",
                "a form needs a largest size; say `.bytes_max(n)`",
            )
        })?;
        if self.bytes_min > bytes_max {
            return Err(StorageError::option("bytes_min", "it is above `bytes_max`"));
        }
        check_metadata(&self.metadata)?;
        check_download_name(self.download_as.as_deref())?;
        let bound = match (&self.content_type, &self.content_type_prefix) {
            (Some(_), Some(_)) => {
                return Err(StorageError::option(
                    "content_type_prefix",
                    "the whole type is given too; say one of them",
                ));
            }
            (Some(given), None) => Some(
                ContentType::new(given)
                    .map_err(|error| StorageError::option("content_type", error.to_string()))?,
            ),
            (None, Some(prefix)) => {
                check_prefix(prefix)?;
                None
            }
            // A form that leaves the type open would let its holder store a page under any name.
            (None, None) => (!self.is_inline).then(|| ContentType::sniff(&[], key.name())),
        };
        // Any beginning has active types: `image/` has SVG, and `+xml` may end each of them.
        let may_be_active = bound.as_ref().is_none_or(ContentType::is_active);
        let disposition = match (&self.download_as, self.is_inline) {
            (Some(name), false) => Some(attachment(name)),
            (Some(name), true) => Some(inline(name)),
            (None, true) => None,
            (None, false) => may_be_active.then(|| attachment(key.name())),
        };
        // The folder makes its own disposition of the name and the flag.
        let download_as = match (&self.download_as, self.is_inline) {
            (Some(name), _) => Some(name.clone()),
            (None, true) => None,
            (None, false) => may_be_active.then(|| key.name().to_owned()),
        };
        let content_type_prefix = match (&bound, &self.content_type_prefix) {
            (None, None) => Some(String::new()),
            (_, prefix) => prefix.clone(),
        };
        Ok(Terms {
            bytes_min: self.bytes_min,
            bytes_max,
            content_type: bound.map(String::from),
            content_type_prefix,
            disposition,
            download_as,
            is_inline: self.is_inline,
            if_absent: self.if_absent,
            sha256: self.sha256,
            metadata: self.metadata.clone(),
        })
    }
}

impl IntoFuture for PresignedPostRequest {
    type Output = Result<PresignedPost, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sign())
    }
}

impl Terms {
    fn refuse_what_clouds_cannot(&self, backend: BackendKind) -> Result<(), StorageError> {
        const TICKET: &str = "use `upload_ticket(key)`, whose `finalize` checks it";
        if self.if_absent {
            return Err(StorageError::unsupported(
                backend,
                "a form that writes only where there is no object",
                TICKET,
            ));
        }
        if self.sha256.is_some() {
            return Err(StorageError::unsupported(
                backend,
                "a form that checks a SHA-256",
                TICKET,
            ));
        }
        if backend == BackendKind::S3 && self.bytes_max > S3_BYTES_MAX {
            return Err(StorageError::unsupported(
                backend,
                "a form for more than 5 GiB",
                "let the client send parts, by `begin_parts(key)`",
            ));
        }
        Ok(())
    }

    /// The form, as the clouds have it.
    fn form(&self, metadata_prefix: &str) -> PostForm {
        let mut form = PostForm::new();
        if let Some(content_type) = &self.content_type {
            form = form.field("Content-Type", content_type);
        }
        if let Some(disposition) = &self.disposition {
            form = form.field("Content-Disposition", disposition);
        }
        for (name, value) in &self.metadata {
            form = form.field(format!("{metadata_prefix}{name}"), value);
        }
        if let Some(prefix) = &self.content_type_prefix {
            form = form.starts_with("Content-Type", prefix);
        }
        form.content_length_range(self.bytes_min, self.bytes_max)
    }

    /// The form, as our router has it.
    fn policy(&self, bucket: &str, key: &str) -> PostPolicy {
        PostPolicy {
            bytes_min: self.bytes_min,
            content_type: self.content_type.clone(),
            content_type_prefix: self
                .content_type_prefix
                .clone()
                .filter(|text| !text.is_empty()),
            if_absent: self.if_absent,
            download_as: self.download_as.clone(),
            inline: self.is_inline,
            sha256: self.sha256,
            metadata: self.metadata.clone(),
            ..PostPolicy::new(bucket, key, self.bytes_max)
        }
    }
}

impl SigningS3<'_> {
    fn post(
        &self,
        key: &str,
        terms: &Terms,
        ttl: Duration,
    ) -> Result<(String, Vec<(String, String)>), SignError> {
        let form = terms.form("x-amz-meta-");
        let request = sigv4_post::PostRequest {
            bucket: self.bucket,
            key: PostKey::Exact(key),
            form: &form,
        };
        let fields = sigv4_post::policy(&request, &self.credentials, &self.key, self.now, ttl)?;
        let url = sigv4_post::url(&self.place.endpoint, self.place.bucket_in_path)?;
        Ok((url, fields.fields))
    }
}

impl SigningGcs<'_> {
    fn post(
        &self,
        key: &str,
        terms: &Terms,
        ttl: Duration,
    ) -> Result<(String, Vec<(String, String)>), SignError> {
        let form = terms.form("x-goog-meta-");
        let request = gcs_post::PostRequest {
            bucket: self.bucket,
            key: PostKey::Exact(key),
            form: &form,
        };
        let fields = gcs_post::policy(&request, self.account, self.now, ttl)?;
        let url = gcs_post::url(&self.place.endpoint, self.place.bucket_in_path)?;
        Ok((url, fields.fields))
    }
}

/// Shows the names of the fields only: their values let upload.
impl fmt::Debug for PresignedPost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.iter().map(|(name, _)| name).collect();
        f.debug_struct("PresignedPost")
            .field("url", &self.url)
            .field("fields", &names)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// `{"url", "fields": [[name, value]], "expires_at"}`, for the answer to a client.
impl Serialize for PresignedPost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expires_at = self.expires_at.format(&Rfc3339).map_err(S::Error::custom)?;
        let mut out = serializer.serialize_struct("PresignedPost", 3)?;
        out.serialize_field("url", &self.url)?;
        out.serialize_field("fields", &self.fields)?;
        out.serialize_field("expires_at", &expires_at)?;
        out.end()
    }
}

/// A beginning of types is a type without its end: `image/`, `application/vnd.`.
fn check_prefix(prefix: &str) -> Result<(), StorageError> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/".contains(&byte);
    let has_kind = prefix
        .split_once('/')
        .is_some_and(|(kind, _)| !kind.is_empty());
    if has_kind && prefix.len() <= 127 && prefix.bytes().all(is_part) {
        return Ok(());
    }
    Err(StorageError::option(
        "content_type_prefix",
        "it is not the beginning of a type, such as `image/`",
    ))
}

#[cfg(test)]
mod tests;
