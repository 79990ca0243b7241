// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A private folder under the temporary folder, for one server.
//!
//! It does not remove itself: the guardian does, after it has stopped the server inside. Should the
//! guardian have been killed as well, the next process to make a folder sees to it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use crate::TestkitError;
use crate::account::Account;
use crate::guardian::Guardian;
use crate::owner::Owner;

const PREFIX: &str = "forktex-";
/// In each folder: whose it is.
const OWNER_FILE: &str = "owner";

/// Makes a new folder that only `account` (and root) can enter.
pub(crate) fn create(
    parent: Option<&Path>,
    kind: &str,
    account: Account,
) -> Result<PathBuf, TestkitError> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
    // The real path is compared with a process's working folder later. It is kept short, because
    // the path of a unix socket may have 107 bytes at most.
    let parent = fs::canonicalize(&parent).map_err(TestkitError::io("resolve", parent))?;
    remove_stale(&parent, account)?;
    let random = uuid::Uuid::new_v4().simple().to_string();
    let folder = parent.join(format!("{PREFIX}{kind}-{}", &random[..12]));
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(TestkitError::io("create", &folder))?;
    let owner_file = folder.join(OWNER_FILE);
    fs::write(&owner_file, Owner::current().to_string())
        .map_err(TestkitError::io("write", &owner_file))?;
    chown(&folder, Some(account.uid), Some(account.gid))
        .map_err(TestkitError::io("change the owner of", &folder))?;
    Ok(folder)
}

/// A folder of the system's that lies in memory, when it has much room.
///
/// Creating a database means creating some 300 files, which may take ten times as long on a disk.
pub(crate) fn in_memory() -> Option<PathBuf> {
    const FOLDER: &str = "/dev/shm";
    const FREE_BYTES_MIN: u64 = 2 * 1024 * 1024 * 1024;
    let space = rustix::fs::statvfs(FOLDER).ok()?;
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    (free_bytes >= FREE_BYTES_MIN).then(|| PathBuf::from(FOLDER))
}

/// Stops and removes what processes left behind that were killed together with their guardians.
fn remove_stale(parent: &Path, account: Account) -> Result<(), TestkitError> {
    let entries = fs::read_dir(parent).map_err(TestkitError::io("list", parent))?;
    for entry in entries.filter_map(Result::ok) {
        let folder = entry.path();
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_stale(&folder, account) {
            // SIGQUIT ends each kind of server at once.
            Guardian::of_server(&folder, "QUIT")?.finish_in_background(None);
        }
    }
    Ok(())
}

fn is_stale(folder: &Path, account: Account) -> bool {
    // Another user's folder is neither ours to remove nor to believe.
    fs::symlink_metadata(folder)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == account.uid)
        && fs::read_to_string(folder.join(OWNER_FILE))
            .is_ok_and(|owner| owner.parse().is_ok_and(Owner::has_ended))
}
