// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of objects in the order of their keys' bytes, read folder by folder.
//!
//! Only the names of the folders on the way are held, each sorted; the facts of a file are asked for when
//! its turn comes. Links, the backend's own folder, names that are no text and empty folders are not
//! listed. A list is no snapshot: what changes meanwhile may be in it or not.

use std::io;
use std::sync::Arc;
use std::vec;

use cap_std::fs::{Dir, DirEntry};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, Extensions, ListResult, ObjectMeta, Result};

use super::{Root, blocking, path};

/// How many objects are found before the stream hands them on.
const BATCH_OBJECTS_MAX: usize = 1_000;

/// All objects below a prefix of whole segments, behind `offset`.
pub(super) fn list(
    root: Arc<Root>,
    prefix: Option<Path>,
    offset: Option<Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(blocking(move || {
        Walk::start(&root, prefix.as_ref(), offset.map(String::from))
    }))
    .map_ok(|walk| stream::try_unfold(walk, next_batch))
    .try_flatten()
    .map_ok(|batch| stream::iter(batch.into_iter().map(Ok::<_, Error>)))
    .try_flatten()
    .boxed()
}

/// The objects and the folders of one folder. All of them are held at once.
pub(super) fn level(root: &Root, prefix: Option<&Path>) -> Result<ListResult> {
    let mut found = ListResult {
        common_prefixes: Vec::new(),
        objects: Vec::new(),
        extensions: Extensions::new(),
    };
    let Some(level) = Level::open(root, prefix)? else {
        return Ok(found);
    };
    let Level { dir, prefix, names } = level;
    for name in names {
        let key = format!("{prefix}{name}");
        if let Some(folder) = name.strip_suffix('/') {
            let holds_object = or_absent(&key, dir.open_dir(folder))?
                .map(|dir| holds_object(&key, dir))
                .transpose()?;
            if holds_object == Some(true)
                && let Ok(location) = Path::parse(&key)
            {
                found.common_prefixes.push(location);
            }
        } else if let Some(meta) = describe(&dir, &name, &key)? {
            found.objects.push(meta);
        }
    }
    Ok(found)
}

/// A walk over a tree, which stops between any two objects.
struct Walk {
    /// The folders on the way down.
    levels: Vec<Level>,
    /// Only keys behind it are wanted.
    offset: Option<String>,
}

/// A folder, and the names of it that are still to come.
struct Level {
    dir: Dir,
    /// What the keys of it begin with: nothing, or a text that ends in `/`.
    prefix: String,
    /// In the order of keys. Folders end in `/`.
    names: vec::IntoIter<String>,
}

async fn next_batch(mut walk: Walk) -> Result<Option<(Vec<ObjectMeta>, Walk)>> {
    blocking(move || {
        let batch = walk.batch()?;
        Ok((!batch.is_empty()).then_some((batch, walk)))
    })
    .await
}

impl Walk {
    fn start(root: &Root, prefix: Option<&Path>, offset: Option<String>) -> Result<Self> {
        Ok(Self {
            levels: Level::open(root, prefix)?.into_iter().collect(),
            offset,
        })
    }

    /// The next objects; none at the end.
    fn batch(&mut self) -> Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        while found.len() < BATCH_OBJECTS_MAX {
            let Some(level) = self.levels.last_mut() else {
                break;
            };
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let key = format!("{}{name}", level.prefix);
            if is_before(&key, self.offset.as_deref()) {
                continue;
            }
            if let Some(folder) = name.strip_suffix('/') {
                if let Some(dir) = or_absent(&key, level.dir.open_dir(folder))? {
                    let next = Level::read(dir, key)?;
                    self.levels.push(next);
                }
            } else if let Some(meta) = describe(&level.dir, &name, &key)? {
                found.push(meta);
            }
        }
        Ok(found)
    }
}

impl Level {
    /// Opens the folder of a prefix, if there is one.
    fn open(root: &Root, prefix: Option<&Path>) -> Result<Option<Self>> {
        let prefix = prefix.map_or("", AsRef::as_ref);
        if prefix.is_empty() {
            let dir = root
                .dir
                .try_clone()
                .map_err(|error| path::failure(prefix, error))?;
            return Self::read(dir, String::new()).map(Some);
        }
        if prefix.split('/').next().is_some_and(path::is_own) {
            return Ok(None);
        }
        or_absent(prefix, root.dir.open_dir(prefix))?
            .map(|dir| Self::read(dir, format!("{prefix}/")))
            .transpose()
    }

    /// Reads the names of a folder.
    fn read(dir: Dir, prefix: String) -> Result<Self> {
        let mut names = or_absent(&prefix, names(&dir, prefix.is_empty()))?.unwrap_or_default();
        names.sort_unstable();
        Ok(Self {
            dir,
            prefix,
            names: names.into_iter(),
        })
    }
}

fn names(dir: &Dir, is_root: bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else {
            continue;
        };
        if is_root && path::is_own(&name) {
            continue;
        }
        match kind(&entry) {
            Some(Kind::Folder) => name.push('/'),
            Some(Kind::Object) => {}
            None => continue,
        }
        names.push(name);
    }
    Ok(names)
}

/// Whether there is an object anywhere in the folder. It stops at the first.
fn holds_object(key: &str, dir: Dir) -> Result<bool> {
    let mut folders = vec![dir];
    while let Some(dir) = folders.pop() {
        let Some(entries) = or_absent(key, dir.entries())? else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(|error| path::failure(key, error))?;
            match kind(&entry) {
                Some(Kind::Object) => return Ok(true),
                Some(Kind::Folder) => folders.extend(or_absent(key, entry.open_dir())?),
                None => {}
            }
        }
    }
    Ok(false)
}

enum Kind {
    Object,
    Folder,
}

/// What an entry is: a file, a folder, or nothing that counts, such as a link.
fn kind(entry: &DirEntry) -> Option<Kind> {
    let file_type = entry.file_type().ok()?;
    // Some file systems tell the kind only when asked for the whole.
    let file_type = if file_type.is_dir() || file_type.is_file() || file_type.is_symlink() {
        file_type
    } else {
        entry.metadata().ok()?.file_type()
    };
    if file_type.is_dir() {
        Some(Kind::Folder)
    } else {
        file_type.is_file().then_some(Kind::Object)
    }
}

/// The facts of a file, unless it vanished, or its name cannot be a key.
fn describe(dir: &Dir, name: &str, key: &str) -> Result<Option<ObjectMeta>> {
    let Ok(location) = Path::parse(key) else {
        return Ok(None);
    };
    let metadata = or_absent(key, dir.symlink_metadata(name))?;
    Ok(metadata
        .filter(cap_std::fs::Metadata::is_file)
        .map(|metadata| path::describe(location, &metadata)))
}

/// Whether a key, or all keys of a folder that ends in `/`, come at `offset` or before it.
fn is_before(key: &str, offset: Option<&str>) -> bool {
    offset.is_some_and(|offset| {
        let holds_offset = key.ends_with('/') && offset.starts_with(key);
        key <= offset && !holds_offset
    })
}

/// What was read of a file or folder; nothing when it vanished.
fn or_absent<T>(key: &str, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if path::is_absence(&error) => Ok(None),
        Err(error) => Err(path::failure(key, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_skips_whole_folders_before_it() {
        for (key, offset, skipped) in [
            ("a", Some("a"), true),
            ("b", Some("a"), false),
            ("a/", Some("a/b"), false),
            ("a/", Some("a"), false),
            ("a/", Some("b"), true),
            ("a.txt", Some("a/b"), true),
            ("x", None, false),
        ] {
            assert_eq!(is_before(key, offset), skipped, "{key} {offset:?}");
        }
    }
}
