// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is known of an object, and what is done with whole objects: head, delete, copy, rename.

mod copy;
mod delete;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use time::OffsetDateTime;

use crate::attributes::Description;
use crate::checksum::Sha256Digest;
use crate::content_type::ContentType;
use crate::error::StorageError;
use crate::key::{IntoKey, Key};
use crate::storage::Storage;

pub use copy::Copy;
pub use delete::Deleted;

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its key, within the storage that was asked.
    pub key: Key,
    /// How many bytes it has.
    pub size: u64,
    /// What conditions compare, in its quotes.
    pub etag: Option<String>,
    /// The version, where the bucket keeps versions. On GCS the generation.
    pub version: Option<String>,
    /// When it was written, in UTC. Services tell whole seconds.
    pub last_modified: OffsetDateTime,
    /// Its type, where it has one that can be read.
    pub content_type: Option<ContentType>,
    /// Whether and under which name browsers save it.
    pub content_disposition: Option<String>,
    /// How long browsers and CDNs keep it.
    pub cache_control: Option<String>,
    /// The words about it, by their names in lower case.
    pub metadata: BTreeMap<String, String>,
    /// The SHA-256 of its bytes, where it was known when it was stored.
    pub sha256: Option<Sha256Digest>,
}

impl ObjectInfo {
    pub(crate) fn new(key: Key, meta: &ObjectMeta, description: Description) -> Self {
        Self {
            key,
            size: meta.size,
            etag: meta.e_tag.clone(),
            version: meta.version.clone(),
            last_modified: time_of(meta.last_modified),
            content_type: description.content_type,
            content_disposition: description.content_disposition,
            cache_control: description.cache_control,
            metadata: description.metadata,
            sha256: description.sha256,
        }
    }

    /// An object of which only this is known.
    #[cfg(test)]
    pub(crate) fn named(key: Key, size: u64) -> Self {
        Self {
            key,
            size,
            etag: None,
            version: None,
            last_modified: OffsetDateTime::UNIX_EPOCH,
            content_type: None,
            content_disposition: None,
            cache_control: None,
            metadata: BTreeMap::new(),
            sha256: None,
        }
    }

    fn description(&self) -> Description {
        Description {
            content_type: self.content_type.clone(),
            content_disposition: self.content_disposition.clone(),
            cache_control: self.cache_control.clone(),
            metadata: self.metadata.clone(),
            sha256: self.sha256,
        }
    }
}

impl Storage {
    /// What is known of an object. It is one request.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Key`], [`StorageError::Denied`],
    /// [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// Dropping it changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("page.html", "<html>").await?;
    /// let info = storage.head("page.html").await?;
    /// assert_eq!(info.size, 6);
    /// assert_eq!(
    ///     info.content_disposition.as_deref(),
    ///     Some("attachment; filename=\"page.html\""),
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub async fn head(&self, key: impl IntoKey) -> Result<ObjectInfo, StorageError> {
        let key = key.into_key()?;
        let path = self.full_key(&key)?.to_path();
        let options = GetOptions::new().with_head(true);
        let result = self
            .store()
            .get_opts(&path, options)
            .await
            .map_err(|error| failed(self, "read", &key, error))?;
        let description = Description::from_attributes(&result.attributes, self.backend());
        Ok(ObjectInfo::new(key, &result.meta, description))
    }

    /// Whether there is such an object. It is one request.
    ///
    /// # Errors
    /// Those of [`head`](Self::head), save that an object that is absent is none.
    ///
    /// # Cancellation
    /// Dropping it changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// assert!(!Storage::memory().exists("a.txt").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn exists(&self, key: impl IntoKey) -> Result<bool, StorageError> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(StorageError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What `object_store` said of one object.
fn failed(
    storage: &Storage,
    operation: &'static str,
    key: &Key,
    error: object_store::Error,
) -> StorageError {
    StorageError::from_store(operation, storage.bucket_name(), key.as_str(), error)
}

/// A time of `object_store` in the type of this crate. What no calendar reaches is the epoch.
pub(crate) fn time_of(date: DateTime<Utc>) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(date.timestamp())
        .map_or(OffsetDateTime::UNIX_EPOCH, |time| {
            time + time::Duration::nanoseconds(i64::from(date.timestamp_subsec_nanos()))
        })
}

/// A time of this crate in the type of `object_store`.
pub(crate) fn date_of(time: OffsetDateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.unix_timestamp(), time.nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_nanoseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_767_225_600_123_456_789).unwrap();
        assert_eq!(time_of(date_of(time).unwrap()), time);
        let before = OffsetDateTime::from_unix_timestamp_nanos(-1_500_000_000).unwrap();
        assert_eq!(time_of(date_of(before).unwrap()), before);
    }
}
