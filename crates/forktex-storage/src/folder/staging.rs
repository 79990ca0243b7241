// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writing objects: aside first, then flushed, then renamed into place under the lock of the key.
//!
//! A crash at any point leaves the old object or the new one, never a piece of either. What it leaves
//! aside is removed by a sweep. Power that fails after an object was placed does not undo it: the file,
//! its attributes and the folders that were made for it are flushed before the call returns.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cap_std::fs::{Metadata, OpenOptions};
use object_store::path::Path;
use object_store::{Attributes, Error, ObjectMeta, PutMode, Result};
use uuid::Uuid;

use super::attributes::{self, KeyLock};
use super::{FolderError, FolderSwept, Root, blocking, path};

/// How often an object is moved into a folder that others remove, being empty, under our hands.
const RENAME_ATTEMPTS_MAX: usize = 100;

/// An object in the making, which nobody sees.
///
/// Dropped before [`place`](Self::place), it is removed in the background, or by the next sweep where the
/// runtime ends first.
#[derive(Debug)]
pub(crate) struct Staged {
    root: Arc<Root>,
    name: String,
    file: Mutex<File>,
    written: AtomicU64,
    placed: AtomicBool,
}

impl Staged {
    pub(super) fn create(root: Arc<Root>) -> Result<Self> {
        let name = Uuid::new_v4().simple().to_string();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = root
            .dir
            .open_with(format!("{}/{name}", path::STAGING), &options)
            .map_err(|error| path::failure(path::STAGING, error))?;
        Ok(Self {
            root,
            name,
            file: Mutex::new(file.into_std()),
            written: AtomicU64::new(0),
            placed: AtomicBool::new(false),
        })
    }

    /// Makes an object in one go, on this thread. What fails leaves nothing.
    pub(super) fn at_once<T>(root: Arc<Root>, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let staged = Self::create(root)?;
        let done = work(&staged);
        if done.is_err() {
            staged.remove_now();
        }
        done
    }

    /// Writes pieces one after the other from `offset` on.
    ///
    /// # Cancellation
    /// A write that was begun is finished.
    pub(crate) async fn write(self: &Arc<Self>, offset: u64, pieces: Vec<Bytes>) -> Result<()> {
        let staged = Arc::clone(self);
        blocking(move || staged.write_now(offset, &pieces)).await
    }

    pub(super) fn write_now(&self, offset: u64, pieces: &[Bytes]) -> Result<()> {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut file = self.file();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| pieces.iter().try_for_each(|piece| file.write_all(piece)))
            .map_err(|error| path::failure(path::STAGING, error))?;
        self.written.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// Writes all of another file.
    pub(super) fn write_file(&self, source: &mut File) -> Result<()> {
        let mut file = self.file();
        let bytes =
            io::copy(source, &mut *file).map_err(|error| path::failure(path::STAGING, error))?;
        self.written.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Makes the object visible under its key, if `mode` allows it, and tells what it is now.
    ///
    /// # Errors
    /// `AlreadyExists` or `Precondition` by the mode, a clash of names, or what the file system says. The
    /// object is as invisible as before.
    ///
    /// # Cancellation
    /// What was begun is finished: the object may become visible although nobody waited.
    pub(crate) async fn place(
        self: &Arc<Self>,
        location: Path,
        attributes: Attributes,
        mode: PutMode,
    ) -> Result<ObjectMeta> {
        let staged = Arc::clone(self);
        blocking(move || staged.place_now(&location, &attributes, &mode)).await
    }

    pub(super) fn place_now(
        &self,
        location: &Path,
        attributes: &Attributes,
        mode: &PutMode,
    ) -> Result<ObjectMeta> {
        let key = path::object_key(location)?;
        let failed = |error| path::failure(key, error);
        let json = attributes::encode(key, attributes)?;
        // The long flush is done before the lock is taken.
        self.stamp(SystemTime::now()).map_err(failed)?;
        let lock = KeyLock::acquire(&self.root, key).map_err(failed)?;
        let current = path::current(&self.root, key).map_err(failed)?;
        let placed = check(key, mode, current.as_ref())
            .and_then(|()| self.swap(key, json.as_deref(), current.as_ref(), &lock));
        if placed.is_err() && current.is_none() && !self.is_placed() {
            lock.forget();
        }
        placed.map(|metadata| path::describe(location.clone(), &metadata))
    }

    /// Removes the staging file now. What is not removed here is left to a sweep.
    pub(crate) async fn discard(self: &Arc<Self>) {
        let staged = Arc::clone(self);
        let _left = blocking(move || {
            staged.remove_now();
            Ok(())
        })
        .await;
    }

    fn remove_now(&self) {
        if !self.placed.swap(true, Ordering::AcqRel) {
            let _left = self.root.dir.remove_file(self.path());
        }
    }

    /// Puts the file in the place of `current`, with its attributes. The lock is held.
    fn swap(
        &self,
        key: &str,
        json: Option<&[u8]>,
        current: Option<&Metadata>,
        lock: &KeyLock<'_>,
    ) -> Result<Metadata> {
        let failed = |error| path::failure(key, error);
        let mut metadata = self.metadata().map_err(failed)?;
        if let Some(before) = current.map(path::modified)
            && path::modified(&metadata) <= before
        {
            // A version is known by its time: it must not come twice.
            self.stamp(before + Duration::from_nanos(1))
                .map_err(failed)?;
            metadata = self.metadata().map_err(failed)?;
        }
        let etag = path::etag(&metadata);
        if let Some(json) = json {
            lock.write(&etag, json).map_err(failed)?;
        }
        let renamed = self.rename(key);
        if self.is_placed() {
            // Also where only the last flush failed: the object is there, and keeps its attributes.
            lock.prune(&etag);
        } else {
            lock.remove(&etag);
        }
        renamed?;
        Ok(metadata)
    }

    fn rename(&self, key: &str) -> Result<()> {
        let dir = &self.root.dir;
        let failed = |error| path::failure(key, error);
        let mut made_folders = false;
        for _ in 0..RENAME_ATTEMPTS_MAX {
            let Err(error) = dir.rename(self.path(), dir, key) else {
                self.placed.store(true, Ordering::Release);
                return self.root.sync_above(key, made_folders).map_err(failed);
            };
            match error.kind() {
                io::ErrorKind::NotFound if self.is_gone() => {
                    let key = key.to_owned();
                    return Err(FolderError::Swept { key }.into());
                }
                // Its folder is missing, or was removed by whoever deleted the last object of it.
                io::ErrorKind::NotFound => {
                    make_folder(&self.root, key)?;
                    made_folders = true;
                }
                // A folder stands there. It is in the way only if it holds something.
                io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
                    match dir.remove_dir(key) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(_) => return Err(clash(key)),
                    }
                }
                io::ErrorKind::NotADirectory | io::ErrorKind::DirectoryNotEmpty => {
                    return Err(clash(key));
                }
                _ => return Err(failed(error)),
            }
        }
        Err(FolderError::Contended {
            key: key.to_owned(),
        }
        .into())
    }

    /// Gives the file its time, and flushes it with all that was written.
    fn stamp(&self, time: SystemTime) -> io::Result<()> {
        let file = self.file();
        file.set_modified(time)?;
        file.sync_all()
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Metadata::from_file(&self.file())
    }

    fn is_placed(&self) -> bool {
        self.placed.load(Ordering::Acquire)
    }

    fn is_gone(&self) -> bool {
        self.root
            .dir
            .symlink_metadata(self.path())
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn path(&self) -> String {
        format!("{}/{}", path::STAGING, self.name)
    }

    fn file(&self) -> MutexGuard<'_, File> {
        // A file has no state that a panic could break: each write says where it goes.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if *self.placed.get_mut() {
            return;
        }
        let root = Arc::clone(&self.root);
        let path = self.path();
        let remove = move || {
            let _left = root.dir.remove_file(path);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl Root {
    /// Flushes the names in a folder, so that they survive a failure of power.
    pub(super) fn sync_folder(&self, folder: &str) -> io::Result<()> {
        // Elsewhere folders cannot be opened as files.
        if cfg!(unix) {
            self.dir.open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Flushes the folder of a key, and those above it where they may be new.
    fn sync_above(&self, key: &str, all: bool) -> io::Result<()> {
        let mut folder = path::parent(key);
        loop {
            match self.sync_folder(folder) {
                // Somebody deleted the object already, and its folder with it.
                Err(error) if path::is_absence(&error) => {}
                other => other?,
            }
            if !all || folder == "." {
                return Ok(());
            }
            folder = path::parent(folder);
        }
    }
}

/// Removes staging files that were not written to for `older_than` before `now`.
pub(super) fn sweep(root: &Root, older_than: Duration, now: SystemTime) -> Result<FolderSwept> {
    let failed = |error| path::failure(path::STAGING, error);
    let mut swept = FolderSwept::default();
    for entry in root.dir.read_dir(path::STAGING).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else {
            continue;
        };
        let is_stale = now
            .duration_since(path::modified(&metadata))
            .is_ok_and(|age| age >= older_than);
        if !is_stale || !metadata.is_file() {
            continue;
        }
        match entry.remove_file() {
            Ok(()) => {
                swept.bytes += metadata.len();
                swept.names.push(name);
            }
            Err(error) if path::is_absence(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(swept)
}

/// Whether `mode` allows that `current` is replaced.
fn check(key: &str, mode: &PutMode, current: Option<&Metadata>) -> Result<()> {
    let path = key.to_owned();
    match (mode, current) {
        (PutMode::Overwrite, _) | (PutMode::Create, None) => Ok(()),
        (PutMode::Create, Some(_)) => Err(Error::AlreadyExists {
            path,
            source: "an object has this key".into(),
        }),
        (PutMode::Update(expected), current) => {
            let Some(wanted) = &expected.e_tag else {
                let what = "an update that names no etag";
                return Err(FolderError::Unsupported { key: path, what }.into());
            };
            if current.is_some_and(|metadata| path::etag(metadata) == *wanted) {
                return Ok(());
            }
            Err(Error::Precondition {
                path,
                source: "the object has another version, or there is none".into(),
            })
        }
    }
}

/// Makes the folders that a key goes through.
fn make_folder(root: &Root, key: &str) -> Result<()> {
    let Some(folder) = FilePath::new(key).parent() else {
        return Ok(());
    };
    match root.dir.create_dir_all(folder) {
        Ok(()) => Ok(()),
        // Somebody removes them again, being empty: the caller comes back.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(clash(key))
        }
        Err(error) => Err(path::failure(key, error)),
    }
}

fn clash(key: &str) -> Error {
    FolderError::NameClash {
        key: key.to_owned(),
    }
    .into()
}
