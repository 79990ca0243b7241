// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `delete` and `delete_many`: objects that are gone afterwards, whether they were there or not.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::failed;
use crate::error::StorageError;
use crate::key::{IntoKey, Key, KeyError};
use crate::storage::Storage;

/// How many objects are deleted by one request, where the service can.
const DELETED_AT_ONCE: usize = 1_000;

impl Storage {
    /// Deletes an object. That there is none is no error. It is one request.
    ///
    /// # Errors
    /// [`StorageError::Key`], [`StorageError::Denied`], [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// The object may be deleted all the same.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("a.txt", "a").await?;
    /// storage.delete("a.txt").await?;
    /// storage.delete("a.txt").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete(&self, key: impl IntoKey) -> Result<(), StorageError> {
        let key = key.into_key()?;
        let path = self.full_key(&key)?.to_path();
        match self.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(self, "delete", &key, error)),
        }
    }

    /// Deletes many objects, and goes on when one cannot be deleted. Objects that are absent count as
    /// deleted.
    ///
    /// All keys are checked first. S3 takes 1,000 by a request, Azure 256; other backends one. After a
    /// failure the objects of that thousand that are not known to be deleted are tried one by one.
    ///
    /// # Errors
    /// [`StorageError::Key`], where nothing is deleted. What could not be deleted is in
    /// [`Deleted::failures`].
    ///
    /// # Cancellation
    /// Some of the objects may be deleted.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("a", "1").await?;
    /// let deleted = storage.delete_many(["a", "b"]).await?;
    /// assert_eq!(deleted.count, 2);
    /// assert!(deleted.failures.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Deleted, StorageError>> + Send {
        // The keys are read before the future is made, so that it is `Send` whatever they come from.
        let keys: Result<Vec<Key>, KeyError> = keys.into_iter().map(IntoKey::into_key).collect();
        let storage = self.clone();
        async move {
            let keys = keys?;
            let mut full = Vec::with_capacity(keys.len());
            for key in &keys {
                full.push(storage.full_key(key)?.to_path());
            }
            let mut deleted = Deleted::default();
            for (keys, paths) in keys
                .chunks(DELETED_AT_ONCE)
                .zip(full.chunks(DELETED_AT_ONCE))
            {
                storage.delete_chunk(keys, paths, &mut deleted).await;
            }
            Ok(deleted)
        }
    }

    async fn delete_chunk(&self, keys: &[Key], paths: &[Path], deleted: &mut Deleted) {
        let wanted: Vec<_> = paths.iter().cloned().map(Ok).collect();
        let mut stream = self
            .store()
            .delete_stream(futures_util::stream::iter(wanted).boxed());
        let mut gone = BTreeSet::new();
        while let Some(result) = stream.next().await {
            if let Ok(path) = result {
                gone.insert(path);
            }
        }
        for (key, path) in keys.iter().zip(paths) {
            if gone.contains(path) {
                deleted.count += 1;
                continue;
            }
            // An error of many objects does not say which of them it means.
            match self.delete(key).await {
                Ok(()) => deleted.count += 1,
                Err(error) => deleted.failures.push((key.clone(), error)),
            }
        }
    }
}

/// What [`Storage::delete_many`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Deleted {
    /// How many of the objects are gone now.
    pub count: u64,
    /// The others, each with its reason.
    pub failures: Vec<(Key, StorageError)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_deleted_where_a_key_is_wrong() {
        let storage = Storage::memory();
        storage.put("a", "1").await.unwrap();
        assert!(storage.delete_many(["a", "../b"]).await.is_err());
        assert!(storage.exists("a").await.unwrap());
    }
}
