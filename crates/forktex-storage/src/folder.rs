// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The folder backend: objects are plain files of one folder, under their keys.
//!
//! Whatever else it needs lies in `.forktex-storage` of that folder, which no key reaches and no list
//! shows. An object appears whole and with its attributes, or not at all: it is written aside, flushed,
//! and renamed into its place under a lock on its key. The lock is one of the operating system, so that
//! "if absent" and "if it is still this one" are exact among processes as well.
//!
//! Every path is resolved from the opened root. What leads out of it, by `..` or by a symbolic link, is
//! refused. Links that stay inside are followed when a key is opened, and are never listed. The store
//! refuses to guess: an option that it cannot keep is an error.
//!
//! All work on files is done on the threads for blocking work, in pieces of at most 1 MiB. A stream reads
//! its next piece when it is asked to, so that no slow reader holds a thread.

mod attributes;
mod list;
mod path;
mod read;
mod staging;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use object_store::Error;

pub(crate) use read::Opened;
pub(crate) use staging::Staged;

use crate::StorageError;
use crate::backend::BackendKind;

/// The name that errors of this store carry.
pub(crate) const STORE: &str = "folder";

/// The option that a clash of names is the fault of.
const CLASH: &str = "key";

/// A folder whose files are objects.
///
/// Cloning is cheap; clones share the opened root.
#[derive(Clone)]
pub(crate) struct FolderStore {
    root: Arc<Root>,
}

/// The opened folder, and the name that it was opened under.
pub(super) struct Root {
    dir: Dir,
    path: PathBuf,
}

/// What a sweep of unfinished uploads removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FolderSwept {
    /// The staging files, by the ids that they were begun under. They do not know their keys.
    pub(crate) names: Vec<String>,
    /// How many bytes they held.
    pub(crate) bytes: u64,
}

impl FolderStore {
    /// Opens `root`, and makes it where it is missing. It blocks for a few calls of the file system.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the folder cannot be made or opened, or when its own part of it leads
    /// out of it.
    pub(crate) fn open(root: &Path) -> Result<Self, StorageError> {
        let failed = |operation: &'static str| {
            move |source: io::Error| StorageError::Io {
                operation,
                path: root.to_path_buf(),
                source,
            }
        };
        std::fs::create_dir_all(root).map_err(failed("make the folder"))?;
        let dir =
            Dir::open_ambient_dir(root, ambient_authority()).map_err(failed("open the folder"))?;
        for own in [path::ATTRIBUTES, path::STAGING] {
            dir.create_dir_all(own)
                .map_err(failed("make the folder of attributes and uploads"))?;
        }
        let path = root.to_path_buf();
        Ok(Self {
            root: Arc::new(Root { dir, path }),
        })
    }

    /// Begins a new object: see [`Staged`].
    pub(crate) async fn stage(&self) -> object_store::Result<Arc<Staged>> {
        let root = Arc::clone(&self.root);
        blocking(move || Staged::create(root).map(Arc::new)).await
    }

    /// Opens an object: what is read from it afterwards is one version of it, whatever is written
    /// meanwhile.
    ///
    /// # Errors
    /// `NotFound`, and `PermissionDenied` for a key that leads out of the root.
    pub(crate) async fn open_object(
        &self,
        location: object_store::path::Path,
    ) -> object_store::Result<Opened> {
        let root = Arc::clone(&self.root);
        blocking(move || read::open(&root, &location)).await
    }

    /// Removes what uploads left behind that nothing was written to for `older_than`.
    ///
    /// An upload that is still alive and was silent for so long loses what it wrote, and fails when it
    /// is finished.
    pub(crate) async fn sweep(&self, older_than: Duration) -> object_store::Result<FolderSwept> {
        let root = Arc::clone(&self.root);
        blocking(move || staging::sweep(&root, older_than, SystemTime::now())).await
    }
}

impl fmt::Display for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "folder {}", self.root.path.display())
    }
}

impl fmt::Debug for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FolderStore").field(&self.root.path).finish()
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Root").field(&self.path).finish()
    }
}

/// What only a folder can refuse. It is the `source` of what the store answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FolderError {
    /// The key lies in the backend's own folder.
    #[error(
        "cannot use `{key}`: `.forktex-storage` belongs to the folder backend; use another key"
    )]
    Reserved { key: String },

    /// A file system has no place for an object and a folder of one name.
    #[error(
        "cannot store `{key}`: another object's key goes through this one, or this one goes through \
         another object's; a folder cannot hold both, so rename one of them"
    )]
    NameClash { key: String },

    /// The staging file is gone.
    #[error(
        "cannot store `{key}`: its staging file was swept as stale; upload it again, or sweep only what \
         is older"
    )]
    Swept { key: String },

    /// Not all parts arrived before the end.
    #[error(
        "cannot store `{key}`: {written} of {expected} bytes were written; finish every part first"
    )]
    PartsMissing {
        key: String,
        written: u64,
        expected: u64,
    },

    /// The upload was finished or aborted before.
    #[error("cannot go on with the upload of `{key}`: it was finished or aborted before")]
    UploadEnded { key: String },

    /// Content type, metadata and the rest are too long together.
    #[error(
        "cannot store `{key}`: its attributes have {bytes} bytes, and {bytes_max} are allowed; store \
         less metadata"
    )]
    AttributesTooLarge {
        key: String,
        bytes: usize,
        bytes_max: usize,
    },

    /// The file of attributes cannot be understood.
    #[error("cannot read the attributes of `{key}`: their file is damaged; store the object again")]
    AttributesCorrupt {
        key: String,
        source: serde_json::Error,
    },

    /// An option that the folder has nothing for.
    #[error("cannot use `{key}` with {what}: the folder backend has none")]
    Unsupported { key: String, what: &'static str },

    /// The range begins behind the end, or ends before it begins.
    #[error("cannot read `{key}` in that range: the object has {bytes} bytes")]
    InvalidRange { key: String, bytes: u64 },

    /// The object changed each time it was looked at.
    #[error("cannot settle on a version of `{key}`: it is written again and again; try later")]
    Contended { key: String },
}

impl From<FolderError> for Error {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Reserved { ref key } => Self::PermissionDenied {
                path: key.clone(),
                source: error.into(),
            },
            // What the caller can mend keeps its class up to the caller.
            FolderError::NameClash { .. } => own(StorageError::option(CLASH, error.to_string())),
            FolderError::AttributesTooLarge { .. } => {
                own(StorageError::option("metadata", error.to_string()))
            }
            FolderError::Unsupported { .. } => own(StorageError::unsupported(
                BackendKind::Folder,
                error.to_string(),
                "drop it, or use another backend",
            )),
            _ => Self::Generic {
                store: STORE,
                source: error.into(),
            },
        }
    }
}

/// Whether an object cannot be stored because a folder has the name of an object, or the other way round.
#[cfg(feature = "serve")]
pub(crate) fn is_name_clash(error: &Error) -> bool {
    let Error::Generic { source, .. } = error else {
        return false;
    };
    matches!(
        source.downcast_ref(),
        Some(StorageError::InvalidOption { option: CLASH, .. })
    )
}

fn own(error: StorageError) -> Error {
    Error::Generic {
        store: STORE,
        source: Box::new(error),
    }
}

/// Does `work` on a thread for blocking work. Work that was begun is finished, even when nobody waits.
pub(super) async fn blocking<T, F>(work: F) -> object_store::Result<T>
where
    F: FnOnce() -> object_store::Result<T> + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| Error::Generic {
            store: STORE,
            source: source.into(),
        })?
}
