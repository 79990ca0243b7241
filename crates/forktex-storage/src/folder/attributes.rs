// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What an object carries beside its bytes, and the lock on its key.
//!
//! The attributes of each version are a file of their own, named after the version. They are written
//! before the version becomes visible, so that a reader never sees one without the other; those of older
//! versions are removed afterwards, under the same lock. A file that was put into the folder by hand has
//! none. Attributes that the format does not know are refused, not dropped.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use cap_std::fs::OpenOptions;
use object_store::{Attribute, Attributes};
use serde::{Deserialize, Serialize};

use super::{FolderError, Root, path};

/// The most bytes that the attributes of an object take, as JSON.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// How often a lock is tried that others remove under our hands.
const LOCK_ATTEMPTS_MAX: usize = 1_000;

/// The file of a key's folder that is locked.
const LOCK: &str = "lock";

/// The attributes as they are written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// For people who look at the file: its name is only a hash.
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

/// The JSON of the attributes, or nothing where there are none.
pub(super) fn encode(key: &str, attributes: &Attributes) -> Result<Option<Vec<u8>>, FolderError> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut stored = Stored {
        key: key.to_owned(),
        ..Stored::default()
    };
    for (attribute, value) in attributes {
        let value = value.as_ref().to_owned();
        match attribute {
            Attribute::ContentType => stored.content_type = Some(value),
            Attribute::ContentDisposition => stored.content_disposition = Some(value),
            Attribute::ContentEncoding => stored.content_encoding = Some(value),
            Attribute::ContentLanguage => stored.content_language = Some(value),
            Attribute::CacheControl => stored.cache_control = Some(value),
            Attribute::Metadata(name) => {
                stored.metadata.insert(name.clone().into_owned(), value);
            }
            Attribute::StorageClass => return Err(unsupported(key, "a storage class")),
            _ => return Err(unsupported(key, "an attribute that it does not know")),
        }
    }
    let json = serde_json::to_vec(&stored).map_err(|source| FolderError::AttributesCorrupt {
        key: key.to_owned(),
        source,
    })?;
    if json.len() > BYTES_MAX {
        return Err(FolderError::AttributesTooLarge {
            key: key.to_owned(),
            bytes: json.len(),
            bytes_max: BYTES_MAX,
        });
    }
    Ok(Some(json))
}

/// Reads the attributes of one version. Nothing is there when it has none, or is no longer the current one.
pub(super) fn read(root: &Root, key: &str, etag: &str) -> object_store::Result<Option<Attributes>> {
    let file = match root
        .dir
        .open(format!("{}/{etag}.json", path::attribute_folder(key)))
    {
        Ok(file) => file,
        Err(error) if path::is_absence(&error) => return Ok(None),
        Err(error) => return Err(path::failure(key, error)),
    };
    let mut json = Vec::new();
    file.take(BYTES_MAX as u64)
        .read_to_end(&mut json)
        .map_err(|error| path::failure(key, error))?;
    let stored: Stored =
        serde_json::from_slice(&json).map_err(|source| FolderError::AttributesCorrupt {
            key: key.to_owned(),
            source,
        })?;
    Ok(Some(decode(stored)))
}

fn decode(stored: Stored) -> Attributes {
    let mut attributes = Attributes::new();
    for (attribute, value) in [
        (Attribute::ContentType, stored.content_type),
        (Attribute::ContentDisposition, stored.content_disposition),
        (Attribute::ContentEncoding, stored.content_encoding),
        (Attribute::ContentLanguage, stored.content_language),
        (Attribute::CacheControl, stored.cache_control),
    ] {
        if let Some(value) = value {
            attributes.insert(attribute, value.into());
        }
    }
    for (name, value) in stored.metadata {
        attributes.insert(Attribute::Metadata(Cow::Owned(name)), value.into());
    }
    attributes
}

fn unsupported(key: &str, what: &'static str) -> FolderError {
    FolderError::Unsupported {
        key: key.to_owned(),
        what,
    }
}

/// The right to change one key, alone among all processes. It ends when it is dropped.
pub(super) struct KeyLock<'a> {
    root: &'a Root,
    folder: String,
    /// Whether the folder may be younger than the last flush of those above it.
    is_new: bool,
    /// Closing it releases the lock.
    file: File,
}

impl<'a> KeyLock<'a> {
    /// Waits for the lock, on the calling thread. Holders only rename, so it is short.
    pub(super) fn acquire(root: &'a Root, key: &str) -> io::Result<Self> {
        let folder = path::attribute_folder(key);
        let lock = format!("{folder}/{LOCK}");
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Whoever deletes the object removes its lock too. So the lock counts only if it is still the
        // one that the next process will find.
        for _ in 0..LOCK_ATTEMPTS_MAX {
            let (file, is_new) = match root.dir.open_with(&lock, &options) {
                Ok(file) => (file, false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match make_lock(root, &folder, &lock) {
                        Ok(file) => (file, true),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            };
            let locked = file.metadata()?;
            let file = file.into_std();
            file.lock()?;
            match root.dir.metadata(&lock) {
                Ok(found) if path::is_same_file(&found, &locked) => {
                    return Ok(Self {
                        root,
                        folder,
                        is_new,
                        file,
                    });
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the lock of the key was removed each time it was taken",
        ))
    }

    /// Writes the attributes of a version that is about to be visible, and flushes them.
    pub(super) fn write(&self, etag: &str, json: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = self
            .root
            .dir
            .open_with(self.file_of(etag), &options)?
            .into_std();
        file.write_all(json)?;
        file.sync_all()?;
        self.root.sync_folder(&self.folder)?;
        if self.is_new {
            self.root.sync_folder(path::parent(&self.folder))?;
            self.root.sync_folder(path::ATTRIBUTES)?;
        }
        Ok(())
    }

    /// Takes back the attributes of a version that did not become visible.
    pub(super) fn remove(&self, etag: &str) {
        // What stays is removed with the next version.
        let _absent = self.root.dir.remove_file(self.file_of(etag));
    }

    /// Removes the attributes of all versions but `etag`. What cannot be removed now is removed with the
    /// next version.
    pub(super) fn prune(&self, etag: &str) {
        let kept = format!("{etag}.json");
        self.remove_files(|name| name != LOCK && name != kept);
    }

    /// Removes all that is kept for the key, the lock at last. The object must be gone.
    pub(super) fn forget(self) {
        self.remove_files(|name| name != LOCK);
        // A lock without an identity cannot be removed safely: two could hold it.
        if cfg!(unix) {
            let lock = format!("{}/{LOCK}", self.folder);
            // Another process may be here already; then the folder is not empty, and stays.
            let _busy = self
                .root
                .dir
                .remove_file(lock)
                .and_then(|()| self.root.dir.remove_dir(&self.folder));
        }
        drop(self.file);
    }

    fn file_of(&self, etag: &str) -> String {
        format!("{}/{etag}.json", self.folder)
    }

    fn remove_files(&self, unwanted: impl Fn(&str) -> bool) {
        let Ok(entries) = self.root.dir.read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(&unwanted) {
                let _absent = entry.remove_file();
            }
        }
    }
}

/// Makes the lock of a key and the folder for it. `NotFound` says that another process removed it at that
/// moment.
fn make_lock(root: &Root, folder: &str, lock: &str) -> io::Result<cap_std::fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    root.dir.create_dir_all(folder)?;
    root.dir.open_with(lock, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "text/plain".into());
        attributes.insert(Attribute::ContentDisposition, "inline".into());
        attributes.insert(Attribute::CacheControl, "no-store".into());
        attributes.insert(Attribute::ContentEncoding, "gzip".into());
        attributes.insert(Attribute::ContentLanguage, "de".into());
        attributes.insert(Attribute::Metadata("owner".into()), "ünï".to_owned().into());
        let json = encode("a/b", &attributes).unwrap().unwrap();
        let stored: Stored = serde_json::from_slice(&json).unwrap();
        assert_eq!(stored.key, "a/b");
        assert_eq!(decode(stored), attributes);
    }

    #[test]
    fn no_attributes_need_no_file() {
        assert!(encode("a", &Attributes::new()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let class = Attributes::from_iter([(Attribute::StorageClass, "COLD")]);
        assert!(matches!(
            encode("a", &class),
            Err(FolderError::Unsupported { .. })
        ));
        let long = Attributes::from_iter([(Attribute::ContentType, "x".repeat(BYTES_MAX))]);
        assert!(matches!(
            encode("a", &long),
            Err(FolderError::AttributesTooLarge { .. })
        ));
    }
}
