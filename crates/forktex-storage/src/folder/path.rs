// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From keys to files: which keys are allowed, where attributes lie, and what a file says of itself.
//!
//! Nothing here follows a path. It refuses keys of the backend's own folder, and turns the errors of the
//! file system into those of a store.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::Metadata;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, Result};
use sha2::{Digest, Sha256};

use super::{FolderError, Root, STORE};

/// The folder of the backend itself.
pub(super) const OWN: &str = ".forktex-storage";

/// Where attributes lie: two digits of the key's hash, the others, and then a file for each version.
pub(super) const ATTRIBUTES: &str = ".forktex-storage/attributes";

/// Where objects are written before they are visible.
pub(super) const STAGING: &str = ".forktex-storage/staging";

/// The key of an object, if it is one that a folder can hold.
pub(super) fn object_key(location: &Path) -> Result<&str> {
    let key = location.as_ref();
    // Some file systems take both cases for one name.
    let first = key.split('/').next().unwrap_or_default();
    if first.is_empty() || is_own(first) {
        return Err(FolderError::Reserved {
            key: key.to_owned(),
        }
        .into());
    }
    Ok(key)
}

/// Whether a name of the root is the backend's own folder.
pub(super) fn is_own(name: &str) -> bool {
    name.eq_ignore_ascii_case(OWN)
}

/// The folder that holds the attributes and the lock of a key. Keys may be longer than a file's name, so
/// it is called by their hash.
pub(super) fn attribute_folder(key: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
    let (shard, rest) = hash.split_at(2);
    format!("{ATTRIBUTES}/{shard}/{rest}")
}

/// The folder that a key lies in; `.` is the root.
pub(super) fn parent(key: &str) -> &str {
    key.rsplit_once('/').map_or(".", |(folder, _name)| folder)
}

/// The version of an object, as its file tells it. It has no quotes.
///
/// Writers keep the time of a key's file growing, so that no version of it comes twice, even where the
/// file system gives a freed inode to the next file at once.
pub(super) fn etag(metadata: &Metadata) -> String {
    let nanos = since_epoch(modified(metadata)).as_nanos();
    format!("{:x}-{nanos:x}-{:x}", inode(metadata), metadata.len())
}

/// When a file was last written. A file system without such times has all files from 1970.
pub(super) fn modified(metadata: &Metadata) -> SystemTime {
    metadata
        .modified()
        .map_or(UNIX_EPOCH, cap_std::time::SystemTime::into_std)
}

/// What a store tells of an object.
pub(super) fn describe(location: Path, metadata: &Metadata) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: timestamp(modified(metadata)),
        size: metadata.len(),
        e_tag: Some(etag(metadata)),
        version: None,
    }
}

/// The file that is an object now. A folder is none.
pub(super) fn current(root: &Root, key: &str) -> io::Result<Option<Metadata>> {
    match root.dir.metadata(key) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Ok(None),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether two files are the same one. Where files have no inodes, all are.
pub(super) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    inode(one) == inode(other)
}

/// Whether an error says that there is no such file: a missing folder on the way is one, and so is an
/// object on the way.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// An error of the file system, as one of the store.
pub(super) fn failure(key: &str, error: io::Error) -> Error {
    let path = key.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Error::NotFound {
                path,
                source: error.into(),
            }
        }
        io::ErrorKind::PermissionDenied => Error::PermissionDenied {
            path,
            source: error.into(),
        },
        _ => Error::Generic {
            store: STORE,
            source: error.into(),
        },
    }
}

/// The time in the type that stores speak. What it cannot say is 1970.
fn timestamp(time: SystemTime) -> DateTime<Utc> {
    let age = since_epoch(time);
    i64::try_from(age.as_secs())
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, age.subsec_nanos()))
        .unwrap_or(DateTime::UNIX_EPOCH)
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    use cap_std::fs::MetadataExt;
    metadata.ino()
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_backends_own_folder_are_refused_in_any_case() {
        for key in [
            ".forktex-storage",
            ".forktex-storage/staging/x",
            ".ForkTex-Storage/attributes",
            "",
        ] {
            let location = Path::parse(key).unwrap();
            assert!(
                matches!(object_key(&location), Err(Error::PermissionDenied { .. })),
                "{key}"
            );
        }
        for key in [".forktex-storage2", "a/.forktex-storage", ".forktex"] {
            let location = Path::parse(key).unwrap();
            assert_eq!(object_key(&location).unwrap(), key);
        }
    }

    #[test]
    fn attributes_of_any_key_fit_into_a_file_name() {
        let folder = attribute_folder(&"k/".repeat(512));
        assert!(folder.split('/').all(|name| name.len() <= 64));
        assert_ne!(attribute_folder("a"), attribute_folder("b"));
    }

    #[test]
    fn the_parent_of_a_key_is_its_folder() {
        assert_eq!(parent("a"), ".");
        assert_eq!(parent("a/b/c"), "a/b");
    }
}
