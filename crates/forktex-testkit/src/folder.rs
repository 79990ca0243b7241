// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A private folder under the temporary folder, for one server.
//!
//! It does not remove itself: the guardian does, after it has stopped the server inside.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};

use crate::TestkitError;
use crate::account::Account;

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
    let random = uuid::Uuid::new_v4().simple().to_string();
    let folder = parent.join(format!("forktex-{kind}-{}", &random[..12]));
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(TestkitError::io("create", &folder))?;
    chown(&folder, Some(account.uid), Some(account.gid))
        .map_err(TestkitError::io("change the owner of", &folder))?;
    Ok(folder)
}
