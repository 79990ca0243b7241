// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `sweep_uploads`: takes away what uploads left behind that never ended.
//!
//! A process that is killed in an upload leaves parts that are no object and are paid for all the same.
//! The sweeper knows them by their age alone, so it refuses to guess which upload is still alive.

#[cfg(any(feature = "aws", feature = "gcp"))]
mod remote;

use std::time::Duration;

use time::OffsetDateTime;

use crate::backend::{Backend, BackendKind};
use crate::error::StorageError;
use crate::key::Key;
use crate::storage::Storage;

impl Storage {
    /// Aborts the uploads that were begun longer ago than `older_than`, within the keys in reach. An
    /// upload that is still alive and that old fails: give more than the longest upload takes, such as a
    /// day.
    ///
    /// | Backend | What it does |
    /// |---|---|
    /// | S3, GCS | lists the unfinished uploads by pages of 1,000, at most 1,000 pages a call, and aborts eight at once: a request for each page and each upload |
    /// | folder | deletes the files of unfinished uploads that nobody wrote to for so long; no request |
    /// | memory | nothing: an upload is gone with its owner |
    /// | Azure | [`StorageError::Unsupported`]: it discards what was not committed after seven days by itself |
    ///
    /// A part that is on its way while its upload is aborted may stay; the next sweep takes it away. That
    /// an upload cannot be aborted is logged, and it is not among the swept.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] on Azure, on GCS without a service account, and for one tenant of a
    /// folder, whose unfinished files do not know their keys; [`StorageError::Denied`],
    /// [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// Some of the uploads may be aborted.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// let swept = storage.sweep_uploads(Duration::from_secs(24 * 3_600)).await?;
    /// assert!(swept.aborted.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sweep_uploads(&self, older_than: Duration) -> Result<Swept, StorageError> {
        match &self.bucket_inner().backend {
            Backend::Memory(_) => Ok(Swept::default()),
            Backend::Folder(folder) => {
                if !self.scope().is_empty() {
                    return Err(StorageError::unsupported(
                        BackendKind::Folder,
                        "sweep the uploads of one tenant, since they do not know their keys",
                        "sweep the whole bucket",
                    ));
                }
                let swept = folder.store.sweep(older_than).await.map_err(|error| {
                    StorageError::from_store("sweep", self.bucket_name(), "", error)
                })?;
                Ok(Swept {
                    aborted: swept.names.into_iter().map(SweptUpload::named).collect(),
                    bytes: Some(swept.bytes),
                })
            }
            Backend::Azure(_) => Err(StorageError::unsupported(
                BackendKind::Azure,
                "list unfinished uploads",
                "wait: it discards what was not committed after seven days by itself",
            )),
            #[cfg(any(feature = "aws", feature = "gcp"))]
            Backend::S3(_) | Backend::Gcs(_) => remote::sweep(self, older_than).await,
            #[cfg(not(any(feature = "aws", feature = "gcp")))]
            Backend::S3(_) | Backend::Gcs(_) => Err(StorageError::unsupported(
                self.backend(),
                "be spoken to",
                "turn on the feature `aws` or `gcp`",
            )),
        }
    }
}

/// What [`Storage::sweep_uploads`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// The uploads that were aborted.
    pub aborted: Vec<SweptUpload>,
    /// How many bytes their parts had. Only a folder tells; asking a service would be a request for each.
    pub bytes: Option<u64>,
}

/// An upload that was aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweptUpload {
    /// The key that the object would have had, within the storage that was swept. A folder does not know
    /// it, and a key that this crate would refuse is left out.
    pub key: Option<Key>,
    /// The id of the upload.
    pub upload_id: String,
    /// When it was begun, in UTC, where the service told.
    pub begun_at: Option<OffsetDateTime>,
}

impl SweptUpload {
    /// An upload of which only the id is known.
    fn named(upload_id: String) -> Self {
        Self {
            key: None,
            upload_id,
            begun_at: None,
        }
    }
}
