// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `get`: an object, or a range of it, as a stream, as bytes or into a file.
//!
//! Whole objects are compared with their SHA-256 where one is known. A range cannot be compared, and
//! nothing is retried once bytes were given out, beyond what the connection itself resumes.

mod object;
mod save;

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use object_store::{GetOptions, GetRange, ObjectStore};
use time::OffsetDateTime;
use tracing::Instrument;

use crate::attributes::Description;
use crate::backend::BackendKind;
use crate::checksum::Sha256Digest;
use crate::error::StorageError;
use crate::key::{IntoKey, Key, KeyError};
use crate::object::{ObjectInfo, date_of};
use crate::storage::Storage;

pub use object::Object;

/// The most bytes that are given in one piece, unless [`Get::bytes_max`] says otherwise: 64 MiB.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The operation, as errors name it.
const READ: &str = "read";

impl Storage {
    /// Reads an object. Await what is given back: it is one request, and the bytes come after it.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotModified`] and
    /// [`StorageError::PreconditionFailed`] by the conditions, [`StorageError::InvalidRange`],
    /// [`StorageError::TooLarge`] by [`Get::bytes_max`], [`StorageError::Unsupported`] for a version in a
    /// folder or in memory, [`StorageError::Denied`], [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// Dropping it, or the object, ends the request.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// let stored = storage.put("a.txt", "hello world").await?;
    ///
    /// let object = storage.get("a.txt").await?;
    /// assert_eq!(object.info().size, 11);
    /// assert_eq!(object.bytes().await?, "hello world");
    ///
    /// let end = storage.get("a.txt").suffix(5).await?;
    /// assert_eq!(end.range(), 6..11);
    /// assert_eq!(end.bytes().await?, "world");
    ///
    /// let etag = stored.etag.unwrap();
    /// let again = storage.get("a.txt").if_none_match(etag).await;
    /// assert!(matches!(again, Err(StorageError::NotModified { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: impl IntoKey) -> Get {
        Get {
            storage: self.clone(),
            key: key.into_key(),
            options: GetOptions::default(),
            if_modified_since: None,
            sha256: None,
            bytes_max: None,
        }
    }
}

/// An object to be read. It is asked for when it is awaited. See [`Storage::get`].
#[must_use = "nothing is read until it is awaited"]
pub struct Get {
    storage: Storage,
    key: Result<Key, KeyError>,
    options: GetOptions,
    if_modified_since: Option<OffsetDateTime>,
    sha256: Option<Sha256Digest>,
    bytes_max: Option<u64>,
}

impl Get {
    /// Only these bytes. A range that ends behind the object ends with it; one that is empty or begins
    /// behind it is [`StorageError::InvalidRange`].
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.options.range = Some(GetRange::Bounded(range));
        self
    }

    /// Only the bytes from this offset on.
    pub fn from(mut self, offset: u64) -> Self {
        self.options.range = Some(GetRange::Offset(offset));
        self
    }

    /// Only the last bytes, at most as many as the object has.
    pub fn suffix(mut self, bytes: u64) -> Self {
        self.options.range = Some(GetRange::Suffix(bytes));
        self
    }

    /// Only if the object has this `ETag`, else [`StorageError::PreconditionFailed`].
    pub fn if_match(mut self, etag: impl Into<String>) -> Self {
        self.options.if_match = Some(etag.into());
        self
    }

    /// Only if the object has another `ETag`, else [`StorageError::NotModified`].
    pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
        self.options.if_none_match = Some(etag.into());
        self
    }

    /// Only if the object was changed after this time, else [`StorageError::NotModified`]. Services
    /// compare whole seconds.
    pub fn if_modified_since(mut self, time: OffsetDateTime) -> Self {
        self.if_modified_since = Some(time);
        self
    }

    /// This version, where the bucket keeps versions. On GCS it is a generation.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// The digest that the whole object must have. It takes the place of the one that is stored with the
    /// object. With a range that leaves something out it is [`StorageError::InvalidOption`].
    pub fn sha256(mut self, digest: Sha256Digest) -> Self {
        self.sha256 = Some(digest);
        self
    }

    /// The most bytes that are taken, also as a stream; more is [`StorageError::TooLarge`]. Without it
    /// [`Object::bytes`] takes 64 MiB, and a stream has no limit.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = Some(bytes_max);
        self
    }

    async fn run(self) -> Result<Object, StorageError> {
        let key = self.key?;
        let storage = self.storage;
        let mut options = self.options;
        check(&storage, &key, &options)?;
        if let Some(time) = self.if_modified_since {
            options.if_modified_since = Some(date_of(time).ok_or_else(|| {
                StorageError::option("if_modified_since", "no calendar reaches so far")
            })?);
        }
        let path = storage.full_key(&key)?.to_path();
        let result = storage
            .store()
            .get_opts(&path, options)
            .await
            .map_err(|error| {
                StorageError::from_store(READ, storage.bucket_name(), key.as_str(), error)
            })?;
        let description = Description::from_attributes(&result.attributes, storage.backend());
        let range = result.range.clone();
        let info = ObjectInfo::new(key, &result.meta, description);
        let bytes = range.end.saturating_sub(range.start);
        if let Some(bytes_max) = self.bytes_max.filter(|bytes_max| bytes > *bytes_max) {
            return Err(too_large(
                storage.bucket_name(),
                info.key.as_str(),
                bytes_max,
            ));
        }
        let is_whole = bytes == info.size;
        if self.sha256.is_some() && !is_whole {
            return Err(StorageError::option(
                "sha256",
                "a range cannot be compared with the digest of the whole object; read all of it",
            ));
        }
        Ok(Object {
            bucket: storage.bucket_name().to_owned(),
            expected: self.sha256.or(info.sha256).filter(|_| is_whole),
            bytes_max: self.bytes_max.unwrap_or(BYTES_MAX),
            stream: result.into_stream(),
            range,
            info,
        })
    }
}

impl fmt::Debug for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("bucket", &self.storage.bucket_name())
            .field("key", &self.key)
            .field("range", &self.options.range)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Get {
    type Output = Result<Object, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let span = tracing::debug_span!("storage.get", bucket = self.storage.bucket_name());
        Box::pin(self.run().instrument(span))
    }
}

/// Refuses what the backend would not, or would drop.
fn check(storage: &Storage, key: &Key, options: &GetOptions) -> Result<(), StorageError> {
    let is_empty = match &options.range {
        Some(GetRange::Bounded(range)) => range.is_empty(),
        Some(GetRange::Suffix(bytes)) => *bytes == 0,
        Some(GetRange::Offset(_)) | None => false,
    };
    if is_empty {
        return Err(StorageError::InvalidRange {
            bucket: storage.bucket_name().to_owned(),
            key: key.to_string(),
        });
    }
    let backend = storage.backend();
    if options.version.is_some() && matches!(backend, BackendKind::Folder | BackendKind::Memory) {
        return Err(StorageError::unsupported(
            backend,
            "read a version, since it keeps one",
            "leave the version out",
        ));
    }
    Ok(())
}

fn too_large(bucket: &str, key: &str, bytes_max: u64) -> StorageError {
    StorageError::TooLarge {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        bytes_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_that_are_too_large_are_refused_before_they_are_read() {
        let storage = Storage::memory();
        storage.put("a", "abcd").await.unwrap();
        let error = storage.get("a").bytes_max(3).await.unwrap_err();
        assert!(matches!(error, StorageError::TooLarge { bytes_max: 3, .. }));
        let part = storage.get("a").range(1..3).bytes_max(2).await.unwrap();
        assert_eq!(part.bytes().await.unwrap(), "bc");
    }

    #[tokio::test]
    async fn a_range_has_no_digest() {
        let storage = Storage::memory();
        let stored = storage.put("a", "abcd").await.unwrap();
        let part = storage.get("a").from(2).sha256(stored.sha256).await;
        assert!(matches!(part, Err(StorageError::InvalidOption { .. })));
        let whole = storage
            .get("a")
            .from(0)
            .sha256(stored.sha256)
            .await
            .unwrap();
        assert_eq!(whole.bytes().await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn ranges_that_hold_nothing_are_refused() {
        let storage = Storage::memory();
        storage.put("a", "abcd").await.unwrap();
        for get in [
            storage.get("a").range(2..2),
            storage.get("a").suffix(0),
            storage.get("a").range(4..5),
            storage.get("a").from(4),
        ] {
            let error = get.await.unwrap_err();
            assert!(
                matches!(error, StorageError::InvalidRange { .. }),
                "{error:?}"
            );
        }
    }
}
