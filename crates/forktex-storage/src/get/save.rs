// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An object that is saved to a file, whole or not at all.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::error::StorageError;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

/// Writes all pieces beside `path`, and renames the file at the end.
pub(super) async fn save(mut pieces: Pieces, path: PathBuf) -> Result<u64, StorageError> {
    let mut partial = Partial(Some(beside(&path)));
    let written = write(&mut pieces, partial.path()).await?;
    if let Err(source) = tokio::fs::rename(partial.path(), &path).await {
        return Err(StorageError::Io {
            operation: "replace",
            path,
            source,
        });
    }
    partial.0 = None;
    Ok(written)
}

async fn write(pieces: &mut Pieces, path: &Path) -> Result<u64, StorageError> {
    let failed = |source| StorageError::Io {
        operation: "write",
        path: path.to_owned(),
        source,
    };
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .await
        .map_err(failed)?;
    let mut written = 0;
    while let Some(piece) = pieces.try_next().await? {
        file.write_all(&piece).await.map_err(failed)?;
        written += piece.len() as u64;
    }
    file.flush().await.map_err(failed)?;
    // Without this a crash could leave an empty file in the place of the old one.
    file.sync_all().await.map_err(failed)?;
    Ok(written)
}

/// A name in the same folder, so that the rename stays within one file system.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.partial", Uuid::new_v4()))
}

/// A file that goes unless it took its place.
struct Partial(Option<PathBuf>);

impl Partial {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else {
            return;
        };
        let remove = move || {
            // It may not have been made yet.
            let _ = std::fs::remove_file(path);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
