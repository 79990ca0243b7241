// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `upload`: an object that is written piece by piece.
//!
//! It is `put` turned round: the caller pushes. Nothing is visible before [`Upload::finish`], and what was
//! sent of an upload that is dropped is taken away.

#[cfg(feature = "aws")]
mod conditional;
pub(crate) mod options;
mod parts;
mod plan;
pub(crate) mod transfer;
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(crate) mod xml_api;

use std::fmt;

use bytes::Bytes;

use crate::error::StorageError;
use crate::key::{IntoKey, Key, KeyError};
use crate::put::Stored;
use crate::storage::Storage;
use options::{WriteOptions, write_options};
use transfer::Transfer;

impl Storage {
    /// An object to be written piece by piece, with the options of [`put`](Self::put). Begin with
    /// [`UploadOptions::start`].
    ///
    /// Requests, memory and conditions are those of [`put`](Self::put).
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// let mut upload = storage.upload("log.txt").bytes_max(1_000_000).start().await?;
    /// upload.write("one\n").await?;
    /// upload.write("two\n").await?;
    /// assert!(!storage.exists("log.txt").await?);
    ///
    /// let stored = upload.finish().await?;
    /// assert_eq!(stored.size, 8);
    /// assert!(storage.exists("log.txt").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn upload(&self, key: impl IntoKey) -> UploadOptions {
        UploadOptions {
            storage: self.clone(),
            key: key.into_key(),
            options: WriteOptions::default(),
        }
    }
}

/// An upload that did not begin yet. See [`Storage::upload`].
#[must_use = "nothing is uploaded until it is started"]
#[derive(Debug)]
pub struct UploadOptions {
    storage: Storage,
    key: Result<Key, KeyError>,
    options: WriteOptions,
}

impl UploadOptions {
    write_options!();

    /// Begins. No request is made before the first part is full.
    ///
    /// # Errors
    /// [`StorageError::Key`] and [`StorageError::InvalidOption`].
    ///
    /// # Cancellation
    /// It never waits.
    #[allow(
        clippy::unused_async,
        reason = "backends that begin with a request may come"
    )]
    pub async fn start(self) -> Result<Upload, StorageError> {
        let key = self.key?;
        Ok(Upload {
            key: key.clone(),
            transfer: Some(Transfer::new(self.storage, key, self.options)?),
        })
    }
}

/// An object that is being written. See [`Storage::upload`].
///
/// Dropped before [`finish`](Self::finish), it leaves nothing visible, and its parts are taken away in the
/// background, on the runtime that it was written on. If that ends first,
/// [`Storage::sweep_uploads`] takes them away.
pub struct Upload {
    key: Key,
    /// Nothing after a failure.
    transfer: Option<Transfer>,
}

impl Upload {
    /// Takes the next bytes. It returns when they are in memory or sent, and waits while as many parts
    /// are on their way as may be.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`], [`StorageError::Unsupported`] for a condition that the backend cannot
    /// hold over so many bytes, [`StorageError::Denied`], [`StorageError::Unavailable`]. After an error
    /// the upload is given up, and each further call is [`StorageError::InvalidOption`].
    ///
    /// # Cancellation
    /// Dropping the call gives the upload up: how many of the bytes were taken cannot be told.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), StorageError> {
        let bytes = bytes.into();
        let mut transfer = self.transfer.take().ok_or_else(given_up)?;
        match transfer.write(bytes).await {
            Ok(()) => {
                self.transfer = Some(transfer);
                Ok(())
            }
            Err(error) => {
                transfer.abort().await;
                Err(error)
            }
        }
    }

    /// Sends the rest, compares the digest, and makes the object visible.
    ///
    /// # Errors
    /// Those of [`Storage::put`]. What was sent is taken away then.
    ///
    /// # Cancellation
    /// Dropping the call leaves nothing visible, unless the last request had left already.
    pub async fn finish(self) -> Result<Stored, StorageError> {
        self.transfer.ok_or_else(given_up)?.finish().await
    }

    /// Gives the upload up, and waits until its parts are taken away: one request, if a part was sent.
    ///
    /// A failure of it is only logged, since [`Storage::sweep_uploads`] does the same later.
    ///
    /// # Cancellation
    /// Parts that were not taken away yet stay for [`Storage::sweep_uploads`].
    pub async fn abort(self) {
        if let Some(transfer) = self.transfer {
            transfer.abort().await;
        }
    }
}

fn given_up() -> StorageError {
    StorageError::option(
        "upload",
        "it failed before, and was given up; begin another",
    )
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("key", &self.key)
            .field("given_up", &self.transfer.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sha256Digest;

    #[tokio::test]
    async fn an_upload_that_is_too_large_is_given_up() {
        let storage = Storage::memory();
        let mut upload = storage.upload("a").bytes_max(3).start().await.unwrap();
        upload.write("abc").await.unwrap();
        let error = upload.write("d").await.unwrap_err();
        assert!(matches!(error, StorageError::TooLarge { bytes_max: 3, .. }));
        assert!(upload.write("").await.is_err());
        assert!(upload.finish().await.is_err());
        assert!(!storage.exists("a").await.unwrap());
    }

    #[tokio::test]
    async fn a_wrong_digest_leaves_nothing_visible() {
        let storage = Storage::memory();
        let upload = storage.upload("a").sha256(Sha256Digest::of("other"));
        let mut upload = upload.start().await.unwrap();
        upload.write("abc").await.unwrap();
        let error = upload.finish().await.unwrap_err();
        assert!(matches!(error, StorageError::ChecksumMismatch { .. }));
        assert!(!storage.exists("a").await.unwrap());
    }

    #[tokio::test]
    async fn parts_are_joined_in_order_and_hashed_as_a_whole() {
        let storage = Storage::memory();
        let piece = 3 * 1024 * 1024 + 7;
        let whole: Vec<u8> = (0..10 * piece)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let mut upload = storage.upload("a.bin").start().await.unwrap();
        for bytes in whole.chunks(piece) {
            upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        }
        let stored = upload.finish().await.unwrap();
        assert_eq!(stored.size, whole.len() as u64);
        assert_eq!(stored.sha256, Sha256Digest::of(&whole));
        let read = storage.get("a.bin").await.unwrap().bytes().await.unwrap();
        assert!(read == whole, "the bytes differ");
    }
}
