// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `copy` and `rename`: an object under another key, with all that is kept beside its bytes.

use std::pin::Pin;

use object_store::{CopyMode, CopyOptions, ObjectStore, RenameOptions};

use super::failed;
use crate::backend::BackendKind;
use crate::body::Body;
use crate::error::StorageError;
use crate::key::{IntoKey, Key, KeyError};
use crate::storage::Storage;

impl Storage {
    /// Copies an object with all that is kept beside it, over one that may be there. Await what is given
    /// back.
    ///
    /// It is one request, and the bytes stay at the service. S3 copies at most 5 GiB so. With
    /// [`Copy::if_absent`] S3 has no request that services are known to honour, so there the bytes are read
    /// and written again, with the memory and the requests of [`put`](Self::put).
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::AlreadyExists`], [`StorageError::Key`],
    /// [`StorageError::Denied`], [`StorageError::Unavailable`], after which the copy may exist.
    ///
    /// # Cancellation
    /// The copy may exist, as a whole.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("a.txt", "a").await?;
    /// storage.copy("a.txt", "b.txt").if_absent().await?;
    /// let again = storage.copy("a.txt", "b.txt").if_absent().await;
    /// assert!(matches!(again, Err(StorageError::AlreadyExists { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn copy(&self, from: impl IntoKey, to: impl IntoKey) -> Copy {
        Copy {
            storage: self.clone(),
            from: from.into_key(),
            to: to.into_key(),
            if_absent: false,
        }
    }

    /// Moves an object to another key, over one that may be there: a copy, then a delete, so two
    /// requests. In between both exist.
    ///
    /// # Errors
    /// Those of [`copy`](Self::copy) and [`delete`](Self::delete). The object is never lost; it may exist
    /// twice.
    ///
    /// # Cancellation
    /// The object may exist twice.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("a.txt", "a").await?;
    /// storage.rename("a.txt", "b.txt").await?;
    /// assert!(!storage.exists("a.txt").await?);
    /// assert_eq!(storage.get("b.txt").await?.bytes().await?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rename(&self, from: impl IntoKey, to: impl IntoKey) -> Result<(), StorageError> {
        let (from, to) = (from.into_key()?, to.into_key()?);
        if from == to {
            // A copy onto itself and a delete would lose it.
            return self.head(from).await.map(drop);
        }
        let paths = (
            self.full_key(&from)?.to_path(),
            self.full_key(&to)?.to_path(),
        );
        self.store()
            .rename_opts(&paths.0, &paths.1, RenameOptions::default())
            .await
            .map_err(|error| failed(self, "rename", &from, error))
    }
}

/// An object to be copied. It is copied when it is awaited. See [`Storage::copy`].
#[derive(Debug)]
#[must_use = "nothing is copied until it is awaited"]
pub struct Copy {
    storage: Storage,
    from: Result<Key, KeyError>,
    to: Result<Key, KeyError>,
    if_absent: bool,
}

impl Copy {
    /// Copies only if there is no such object yet, else [`StorageError::AlreadyExists`].
    pub fn if_absent(mut self) -> Self {
        self.if_absent = true;
        self
    }

    async fn run(self) -> Result<(), StorageError> {
        let (from, to) = (self.from?, self.to?);
        let storage = self.storage;
        if from == to {
            let info = storage.head(from).await?;
            return if self.if_absent {
                Err(StorageError::AlreadyExists {
                    bucket: storage.bucket_name().to_owned(),
                    key: info.key.to_string(),
                })
            } else {
                Ok(())
            };
        }
        if self.if_absent && storage.backend() == BackendKind::S3 {
            return write_again(&storage, from, to).await;
        }
        let paths = (
            storage.full_key(&from)?.to_path(),
            storage.full_key(&to)?.to_path(),
        );
        let mode = if self.if_absent {
            CopyMode::Create
        } else {
            CopyMode::Overwrite
        };
        let options = CopyOptions::new().with_mode(mode);
        storage
            .store()
            .copy_opts(&paths.0, &paths.1, options)
            .await
            .map_err(|error| {
                let key = match &error {
                    object_store::Error::AlreadyExists { .. } => &to,
                    _ => &from,
                };
                failed(&storage, "copy", key, error)
            })
    }
}

/// Reads an object and writes it under another key that must be absent.
async fn write_again(storage: &Storage, from: Key, to: Key) -> Result<(), StorageError> {
    let object = storage.get(from).await?;
    let description = object.info().description();
    storage
        .put(to, Body::stream(object.stream()))
        .described_as(description)
        .if_absent()
        .await
        .map(drop)
}

impl IntoFuture for Copy {
    type Output = Result<(), StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_that_is_renamed_to_itself_stays() {
        let storage = Storage::memory();
        storage.put("a", "1").await.unwrap();
        storage.rename("a", "a").await.unwrap();
        storage.copy("a", "a").await.unwrap();
        assert!(storage.exists("a").await.unwrap());
        assert!(storage.copy("a", "a").if_absent().await.is_err());
        assert!(storage.rename("b", "b").await.unwrap_err().is_not_found());
    }

    #[tokio::test]
    async fn a_copy_that_is_written_again_keeps_all_that_was_beside_the_bytes() {
        let storage = Storage::memory();
        let put = storage.put("a.html", "<html>").metadata("author", "ada");
        put.cache_control("no-store").inline().await.unwrap();
        let (from, to) = (Key::new("a.html").unwrap(), Key::new("b").unwrap());
        write_again(&storage, from.clone(), to.clone())
            .await
            .unwrap();

        let original = storage.head("a.html").await.unwrap();
        let copy = storage.head("b").await.unwrap();
        assert_eq!(copy.description(), original.description());
        assert!(original.sha256.is_some());
        let again = write_again(&storage, from, to).await.unwrap_err();
        assert!(matches!(again, StorageError::AlreadyExists { .. }));
    }
}
