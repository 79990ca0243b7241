// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Uploads in parts that a client sends by itself: each part has a signed link of its own.
//!
//! The service begins the upload, signs a link for each part, and ends it with the `ETag`s that the client
//! was answered. Nothing is visible before the end, and nothing is left of an upload that is aborted or
//! swept ([`Storage::sweep_uploads`]).
//!
//! S3 and GCS have such uploads. A folder, Azure and memory are refused. Nothing here looks at the whole:
//! neither its size nor its bytes are bound, beyond the size of each part on S3. For what strangers send,
//! begin the parts under a key that nobody reads, and pass on by [`Storage::put`] what you have checked.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::PutMultipartOptions;
use object_store::multipart::{MultipartStore, PartId};
use serde::{Deserialize, Serialize};

use crate::attributes::{Description, check_metadata};
use crate::backend::Backend;
use crate::key::IntoKey;
use crate::public_map::Route;
use crate::signed_url::link::NamedEndpoint;
use crate::signed_url::terms::{LinkOptions, Signer};
use crate::signed_url::{SigningGcs, SigningS3, TTL, check_ttl, expires_at, not_signed};
use crate::{
    BackendKind, ContentType, Key, KeyError, PublicAccess, SignedUrl, Storage, StorageError,
};

/// The most parts of one object, on S3 and on GCS.
const PARTS_MAX: u32 = 10_000;

/// The most bytes of an upload's id, and of an `ETag`.
const TEXT_BYTES_MAX: usize = 4_096;

/// The operations, as errors name them.
const BEGIN: &str = "begin the parts of";
const COMPLETE: &str = "complete the parts of";
const ABORT: &str = "abort the parts of";

/// An upload in parts that is to be begun; made by [`Storage::begin_parts`], and begun when awaited.
#[derive(Clone, Debug)]
#[must_use = "the upload is begun when the request is awaited"]
pub struct BeginParts {
    storage: Storage,
    key: Result<Key, KeyError>,
    content_type: Option<String>,
    download_as: Option<String>,
    is_inline: bool,
    metadata: BTreeMap<String, String>,
}

/// An upload in parts that was begun. Dropping it changes nothing: it is found again by its id.
#[derive(Clone, Debug)]
pub struct PartsUpload {
    storage: Storage,
    key: Key,
    full: Key,
    upload_id: String,
}

/// A link to one part that is to be signed; made by [`PartsUpload::sign_part`], and signed when awaited.
#[derive(Clone, Debug)]
#[must_use = "a link is signed when the request is awaited"]
pub struct SignPart {
    upload: PartsUpload,
    number: u32,
    ttl: Duration,
    bytes: Option<u64>,
}

/// A part that the client has sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentPart {
    /// Its number, from 1.
    pub number: u32,
    /// The `ETag` that the client was answered, as it was.
    pub etag: String,
}

/// An object that was put together of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredParts {
    /// Its key, in the scope of the storage.
    pub key: Key,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its version, where the bucket keeps them.
    pub version: Option<String>,
}

impl Storage {
    /// Begins an upload whose parts a client sends by itself, by signed links. One request.
    ///
    /// The type is the one that the key is named for, unless another is given; active types are stored to
    /// be downloaded.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] on a folder, on Azure and in memory, with what to do instead;
    /// [`StorageError::InvalidOption`], [`StorageError::Key`], and what the service says.
    ///
    /// # Cancellation
    /// Dropped while it waits, it may leave an upload without parts, which
    /// [`sweep_uploads`](Self::sweep_uploads) takes away.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_storage::{SentPart, Storage, StorageError};
    ///
    /// # async fn example(storage: Storage, etag: String) -> Result<(), StorageError> {
    /// let upload = storage.begin_parts("films/7.mp4").await?;
    /// let id = upload.upload_id().to_owned();
    /// let link = upload.sign_part(1).await?;
    /// // The client sends the part, and tells the `ETag` that it was answered.
    ///
    /// let upload = storage.resume_parts("films/7.mp4", id)?;
    /// upload.complete([SentPart { number: 1, etag }]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_parts(&self, key: impl IntoKey) -> BeginParts {
        BeginParts {
            storage: self.clone(),
            key: key.into_key(),
            content_type: None,
            download_as: None,
            is_inline: false,
            metadata: BTreeMap::new(),
        }
    }

    /// An upload that was begun before, by its key and its id. No request is made: an id that is none is
    /// noticed by the service.
    ///
    /// # Errors
    /// [`StorageError::Key`] and [`StorageError::InvalidOption`].
    pub fn resume_parts(
        &self,
        key: impl IntoKey,
        upload_id: impl Into<String>,
    ) -> Result<PartsUpload, StorageError> {
        let key = key.into_key()?;
        let full = self.full_key(&key)?;
        let upload_id = upload_id.into();
        check_text("upload_id", &upload_id)?;
        Ok(PartsUpload {
            storage: self.clone(),
            key,
            full,
            upload_id,
        })
    }
}

impl BeginParts {
    /// The type that the object is stored with.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The object is stored to be downloaded under this name, at most 255 bytes.
    pub fn download_as(mut self, name: impl Into<String>) -> Self {
        self.download_as = Some(name.into());
        self
    }

    /// The object may be shown by a browser, whatever it is. Say it of content that you trust.
    pub fn inline(mut self) -> Self {
        self.is_inline = true;
        self
    }

    /// Metadata of the object, under the rules of [`Storage::put`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    async fn begin(self) -> Result<PartsUpload, StorageError> {
        let key = self.key?;
        let full = self.storage.full_key(&key)?;
        check_metadata(&self.metadata)?;
        let content_type = self
            .content_type
            .map(ContentType::new)
            .transpose()
            .map_err(|error| StorageError::option("content_type", error.to_string()))?;
        let options = LinkOptions {
            access: PublicAccess::Write,
            content_type,
            download_as: self.download_as,
            is_inline: self.is_inline,
            ..LinkOptions::default()
        };
        let bucket = self.storage.bucket_inner();
        let parts = parts_of(&bucket.backend)?;
        // Both clouds store all of these; they are sent by us, and need no signature.
        let terms = options.terms(&key, Signer::S3)?;
        let description = Description {
            content_type: terms
                .content_type
                .map(ContentType::new)
                .transpose()
                .map_err(|error| StorageError::option("content_type", error.to_string()))?,
            content_disposition: terms.disposition,
            metadata: self.metadata,
            ..Description::default()
        };
        let options = PutMultipartOptions {
            attributes: description.to_attributes(bucket.backend.kind()),
            ..PutMultipartOptions::default()
        };
        let upload_id = parts
            .create_multipart_opts(&full.to_path(), options)
            .await
            .map_err(|error| StorageError::from_store(BEGIN, &bucket.name, full.as_str(), error))?;
        Ok(PartsUpload {
            storage: self.storage.clone(),
            key,
            full,
            upload_id,
        })
    }
}

impl IntoFuture for BeginParts {
    type Output = Result<PartsUpload, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}

impl PartsUpload {
    /// The key, in the scope of the storage.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The id that the service gave the upload. It is no secret: without a link it opens nothing.
    pub fn upload_id(&self) -> &str {
        &self.upload_id
    }

    /// A link by which the client sends one part, 1 to 10,000; good for 15 minutes unless said otherwise.
    /// Awaiting it makes no request, as for [`Storage::signed_url`].
    ///
    /// Each part but the last has at least 5 MiB, and each at most 5 GiB. Sending a part again replaces it.
    ///
    /// # Errors
    /// [`StorageError::InvalidOption`] where the number or the time is out of its range, and
    /// [`StorageError::Unsupported`] where the backend cannot enforce what is asked.
    ///
    /// # Cancellation
    /// Nothing is changed anywhere: it may be dropped at any time.
    pub fn sign_part(&self, number: u32) -> SignPart {
        SignPart {
            upload: self.clone(),
            number,
            ttl: TTL,
            bytes: None,
        }
    }

    /// Puts the object together and makes it visible, over one that may be there. One request.
    ///
    /// All parts are named, from 1 without a gap, in any order.
    ///
    /// # Errors
    /// [`StorageError::InvalidOption`] where the parts are not those, before anything is sent;
    /// [`StorageError::NotFound`] where the upload has ended or never was; what the service says of a part
    /// that it does not have.
    ///
    /// # Cancellation
    /// Dropped while it waits, the object may be visible or not; it is never in between.
    pub async fn complete(
        &self,
        parts: impl IntoIterator<Item = SentPart>,
    ) -> Result<StoredParts, StorageError> {
        let ids = part_ids(parts)?;
        let bucket = self.storage.bucket_inner();
        let result = parts_of(&bucket.backend)?
            .complete_multipart(&self.full.to_path(), &self.upload_id, ids)
            .await
            .map_err(|error| self.failed(COMPLETE, error))?;
        Ok(StoredParts {
            key: self.key.clone(),
            etag: result.e_tag,
            version: result.version,
        })
    }

    /// Gives the upload up, with all its parts. One request. An upload that has ended is left as it is.
    ///
    /// A part that is on its way at the same moment may stay; call it again after that, or sweep.
    ///
    /// # Errors
    /// What the service says.
    ///
    /// # Cancellation
    /// Dropped while it waits, the upload may be there still.
    pub async fn abort(&self) -> Result<(), StorageError> {
        let aborted = parts_of(&self.storage.bucket_inner().backend)?
            .abort_multipart(&self.full.to_path(), &self.upload_id)
            .await
            .map_err(|error| self.failed(ABORT, error));
        match aborted {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn failed(&self, operation: &'static str, error: object_store::Error) -> StorageError {
        let bucket = &self.storage.bucket_inner().name;
        StorageError::from_store(operation, bucket, self.full.as_str(), error)
    }
}

impl SignPart {
    /// How long the link is good: 1 second to 7 days, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The part has exactly so many bytes. S3 enforces it.
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    async fn sign(self) -> Result<SignedUrl, StorageError> {
        let PartsUpload {
            storage,
            full,
            upload_id,
            ..
        } = &self.upload;
        if self.number == 0 || self.number > PARTS_MAX {
            return Err(StorageError::option(
                "number",
                "parts are counted from 1 to 10,000",
            ));
        }
        let ttl = check_ttl(self.ttl)?;
        let now = storage.shared().clock.now();
        let ends = expires_at(now, ttl)?;
        let bucket = storage.bucket_inner();
        let map = &storage.shared().public_map;
        let named = match map.route(&bucket.name, full.as_str(), PublicAccess::Write) {
            Route::Endpoint { url, style } => Some(NamedEndpoint { url, style }),
            _ => None,
        };
        // In the order in which botocore prints them.
        let query = [
            ("uploadId".to_owned(), upload_id.clone()),
            ("partNumber".to_owned(), self.number.to_string()),
        ];
        let headers: Vec<_> = self
            .bytes
            .map(|bytes| ("content-length".to_owned(), bytes.to_string()))
            .into_iter()
            .collect();
        let failed = |error| not_signed(&bucket.name, full.as_str(), error);
        let url = match &bucket.backend {
            Backend::S3(backend) => SigningS3::new(backend, named, now)
                .await?
                .presign("PUT", full.as_str(), &query, &headers, ttl)
                .map_err(failed)?,
            Backend::Gcs(_) if self.bytes.is_some() => {
                return Err(StorageError::unsupported(
                    BackendKind::Gcs,
                    "a link that binds the size of a part",
                    "drop `.content_length(n)`, and look at the size when the parts are together",
                ));
            }
            Backend::Gcs(backend) => SigningGcs::new(backend, named, now)?
                .presign("PUT", full.as_str(), &query, &headers, ttl)
                .map_err(failed)?,
            other => return Err(no_parts(other.kind())),
        };
        Ok(SignedUrl {
            url,
            method: Method::PUT,
            headers,
            expires_at: ends,
        })
    }
}

impl IntoFuture for SignPart {
    type Output = Result<SignedUrl, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sign())
    }
}

/// The interface for parts of the two clouds that have links for them.
fn parts_of(backend: &Backend) -> Result<&Arc<dyn MultipartStore>, StorageError> {
    match backend {
        Backend::S3(s3) => Ok(&s3.multipart),
        Backend::Gcs(gcs) => Ok(&gcs.multipart),
        other => Err(no_parts(other.kind())),
    }
}

fn no_parts(backend: BackendKind) -> StorageError {
    let remedy = match backend {
        BackendKind::Memory => "use S3 or GCS",
        _ => "sign one link to write the whole, by `signed_url(key).access(PublicAccess::Write)`",
    };
    StorageError::unsupported(backend, "links by which a client sends parts", remedy)
}

/// The parts in their order, which `object_store` numbers by itself.
fn part_ids(parts: impl IntoIterator<Item = SentPart>) -> Result<Vec<PartId>, StorageError> {
    let mut by_number = BTreeMap::new();
    for part in parts {
        check_text("parts", &part.etag)?;
        if part.number == 0 || part.number > PARTS_MAX {
            return Err(StorageError::option(
                "parts",
                "parts are counted from 1 to 10,000",
            ));
        }
        if by_number.insert(part.number, part.etag).is_some() {
            return Err(StorageError::option(
                "parts",
                format!("part {} is named twice", part.number),
            ));
        }
    }
    if by_number.is_empty() {
        return Err(StorageError::option(
            "parts",
            "there is none; abort the upload instead",
        ));
    }
    let missing = (1_u32..)
        .zip(by_number.keys())
        .find(|(wanted, number)| wanted != *number);
    if let Some((wanted, _)) = missing {
        return Err(StorageError::option(
            "parts",
            format!("part {wanted} is missing"),
        ));
    }
    let ids = by_number.into_values();
    Ok(ids.map(|content_id| PartId { content_id }).collect())
}

/// Refuses a text that no service gave.
fn check_text(option: &'static str, text: &str) -> Result<(), StorageError> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(StorageError::option(
            option,
            "it is empty, too long, or has a control character; pass it on as the service gave it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
