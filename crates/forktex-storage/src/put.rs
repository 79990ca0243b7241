// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `put`: one call that stores an object.
//!
//! An object is visible as a whole or not at all, and only once its bytes were compared with the digest
//! that was given.

use std::fmt;
use std::pin::Pin;

use tracing::Instrument;

use crate::body::{Body, Pieces, Source};
use crate::checksum::Sha256Digest;
use crate::content_type::ContentType;
use crate::error::StorageError;
use crate::key::{IntoKey, Key, KeyError};
use crate::storage::Storage;
use crate::upload::options::{Check, WriteOptions, write_options};
use crate::upload::transfer::Transfer;

impl Storage {
    /// Stores an object, over one that may be there. Await what is given back.
    ///
    /// A body of up to one part
    /// ([`StorageConfig::part_size`](crate::StorageConfig::part_size), 8 MiB) is one request. A longer one
    /// goes up in parts, several at once: one request to begin, one for each part, one to end. Memory is
    /// bounded by one part more than go up at once, however long the body is; beyond 1,250 parts they grow,
    /// so that 5 TiB fit into the 10,000 that services take, and fewer go up at once.
    ///
    /// A condition ([`Put::if_absent`], [`Put::if_match`]) holds over any length on S3, in a folder and in
    /// memory. GCS and Azure cannot hold one over parts: there a stream or a file of more than
    /// the bytes that may be in memory is refused, and so are more than 5 GiB.
    ///
    /// Active content (HTML, SVG, XML, scripts) is stored as an attachment, unless [`Put::inline`] says
    /// otherwise.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] and [`StorageError::PreconditionFailed`] by the condition,
    /// [`StorageError::ChecksumMismatch`], [`StorageError::TooLarge`],
    /// [`StorageError::InvalidOption`] and [`StorageError::Key`] where nothing was sent,
    /// [`StorageError::Unsupported`] for a condition that the backend cannot hold,
    /// [`StorageError::Denied`], and [`StorageError::Unavailable`], after which the object may exist.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing visible, unless the last request had left already. Parts are taken away
    /// in the background.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// let stored = storage
    ///     .put("notes/1.txt", "hello")
    ///     .metadata("author", "ada")
    ///     .if_absent()
    ///     .await?;
    /// assert_eq!((stored.size, stored.content_type.as_str()), (5, "text/plain"));
    ///
    /// let again = storage.put("notes/1.txt", "other").if_absent().await;
    /// assert!(matches!(again, Err(StorageError::AlreadyExists { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, key: impl IntoKey, body: impl Into<Body>) -> Put {
        Put {
            storage: self.clone(),
            key: key.into_key(),
            body: body.into(),
            options: WriteOptions::default(),
        }
    }
}

/// An object to be stored. It is stored when it is awaited. See [`Storage::put`].
#[must_use = "nothing is stored until it is awaited"]
pub struct Put {
    storage: Storage,
    key: Result<Key, KeyError>,
    body: Body,
    options: WriteOptions,
}

impl Put {
    write_options!();

    /// A look at how many bytes arrived, after the digest was compared and before anything is visible. Its error is
    /// given back as it is.
    pub(crate) fn check_before_visible(mut self, check: Check) -> Self {
        self.options.check = Some(check);
        self
    }

    /// Stores this description as it is, in place of all other options.
    pub(crate) fn described_as(mut self, copied: crate::attributes::Description) -> Self {
        self.options.sha256 = copied.sha256;
        self.options.copied = Some(copied);
        self
    }

    async fn run(self) -> Result<Stored, StorageError> {
        let key = self.key?;
        let bucket = self.storage.bucket_name().to_owned();
        let mut transfer = Transfer::new(self.storage, key.clone(), self.options)?;
        let mut pieces = match self.body.0 {
            Source::Bytes(bytes) => {
                return match transfer.write_whole(bytes).await {
                    Ok(()) => transfer.finish().await,
                    Err(error) => {
                        transfer.abort().await;
                        Err(error)
                    }
                };
            }
            Source::Stream(stream) => Pieces::Stream(stream),
            Source::File(path) => Pieces::open(path).await?,
        };
        let written = loop {
            match pieces.next(&bucket, key.as_str()).await {
                Ok(Some(bytes)) => {
                    if let Err(error) = transfer.write(bytes).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match written {
            Ok(()) => transfer.finish().await,
            Err(error) => {
                transfer.abort().await;
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("bucket", &self.storage.bucket_name())
            .field("key", &self.key)
            .field("body", &self.body)
            .field("options", &self.options)
            .finish()
    }
}

impl IntoFuture for Put {
    type Output = Result<Stored, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let span = tracing::debug_span!("storage.put", bucket = self.storage.bucket_name());
        Box::pin(self.run().instrument(span))
    }
}

/// An object that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its key, within the storage that stored it.
    pub key: Key,
    /// How many bytes it has.
    pub size: u64,
    /// What [`Put::if_match`] and [`Get::if_match`](crate::Get::if_match) compare, in its quotes.
    pub etag: Option<String>,
    /// The version, where the bucket keeps versions. On GCS the generation.
    pub version: Option<String>,
    /// The SHA-256 of the bytes, computed while they went up.
    pub sha256: Sha256Digest,
    /// The type that it is stored with.
    pub content_type: ContentType,
}
