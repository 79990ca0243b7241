// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reading objects: one version, its attributes, and a range of its bytes as a stream.
//!
//! What was opened stays readable when the object is replaced or deleted. A piece is read when it is
//! asked for; nothing is read ahead, and nothing waits on a thread for a slow reader.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{Attributes, Error, GetRange, ObjectMeta, Result};

use super::{FolderError, Root, attributes, blocking, path};

/// The most bytes of a piece of a stream.
pub(super) const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// How often an object is opened that is replaced while its attributes are looked for.
const OPEN_ATTEMPTS_MAX: usize = 100;

/// One version of an object, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    /// Its key, size, version and time.
    pub(crate) meta: ObjectMeta,
    /// Its content type and the rest.
    pub(crate) attributes: Attributes,
}

impl Opened {
    /// The bytes of `range`, in pieces of at most `piece_bytes`, which is at most 1 MiB.
    ///
    /// A file that became shorter meanwhile, which no writer of this store does, is an error.
    pub(crate) fn stream(
        self,
        range: Range<u64>,
        piece_bytes: usize,
    ) -> BoxStream<'static, Result<Bytes>> {
        let location = self.meta.location;
        let piece_bytes = piece_bytes.clamp(1, PIECE_BYTES_MAX);
        stream::try_unfold((self.file, range.start), move |(file, offset)| {
            let location = location.clone();
            async move {
                let left = range.end.saturating_sub(offset);
                if left == 0 {
                    return Ok::<_, Error>(None);
                }
                let wanted =
                    usize::try_from(left).map_or(piece_bytes, |left| left.min(piece_bytes));
                let (file, piece) = blocking(move || {
                    read_piece(file, offset, wanted)
                        .map_err(|error| path::failure(location.as_ref(), error))
                })
                .await?;
                let next = offset + piece.len() as u64;
                Ok(Some((piece, (file, next))))
            }
        })
        .boxed()
    }

    /// The bytes that `range` means for this version.
    ///
    /// # Errors
    /// When it begins behind the end, or ends before it begins.
    pub(super) fn resolve(&self, range: Option<&GetRange>) -> Result<Range<u64>> {
        let bytes = self.meta.size;
        range.map_or(Ok(0..bytes), |range| {
            range.as_range(bytes).map_err(|_| {
                let key = self.meta.location.to_string();
                FolderError::InvalidRange { key, bytes }.into()
            })
        })
    }

    /// The file and the attributes, for a copy.
    pub(super) fn into_parts(self) -> (File, ObjectMeta, Attributes) {
        (self.file, self.meta, self.attributes)
    }
}

/// Opens the current version of an object together with the attributes of that very version.
pub(super) fn open(root: &Root, location: &Path) -> Result<Opened> {
    let key = path::object_key(location)?;
    for _ in 0..OPEN_ATTEMPTS_MAX {
        let file = root
            .dir
            .open(key)
            .map_err(|error| path::failure(key, error))?;
        let metadata = file.metadata().map_err(|error| path::failure(key, error))?;
        if !metadata.is_file() {
            let folder = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(path::failure(key, folder));
        }
        let meta = path::describe(location.clone(), &metadata);
        let etag = path::etag(&metadata);
        let found = match attributes::read(root, key, &etag)? {
            Some(attributes) => Some(attributes),
            // Either this version has none, or it was replaced since and they were removed.
            None => is_current(root, key, &etag)?.then(Attributes::new),
        };
        if let Some(attributes) = found {
            return Ok(Opened {
                file: file.into_std(),
                meta,
                attributes,
            });
        }
    }
    Err(FolderError::Contended {
        key: key.to_owned(),
    }
    .into())
}

fn is_current(root: &Root, key: &str, etag: &str) -> Result<bool> {
    let current = path::current(root, key).map_err(|error| path::failure(key, error))?;
    Ok(current.is_some_and(|metadata| path::etag(&metadata) == etag))
}

fn read_piece(mut file: File, offset: u64, wanted: usize) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(wanted);
    file.seek(SeekFrom::Start(offset))?;
    let read = file.by_ref().take(wanted as u64).read_to_end(&mut piece)?;
    if read < wanted {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ));
    }
    Ok((file, piece.into()))
}
