// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds the Postgres server's programs on this machine. It downloads nothing.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::TestkitError;

/// Where Debian and its kin keep each major version, outside `PATH`.
const VERSIONS_FOLDER: &str = "/usr/lib/postgresql";

pub(super) const REMEDY: &str = if cfg!(target_os = "macos") {
    "run `brew install postgresql`"
} else if cfg!(target_os = "linux") {
    "run `apt-get install -y postgresql` (on Debian or Ubuntu), or set FORKTEX_TEST_POSTGRES_URL \
     to a running server, or PG_BIN to the folder of `initdb` and `postgres`"
} else {
    "set FORKTEX_TEST_POSTGRES_URL to a running server, or PG_BIN to the folder of `initdb` and \
     `postgres`"
};

/// The folder of `initdb`, `postgres` and the clients.
pub(crate) fn find() -> Result<PathBuf, TestkitError> {
    if let Some(folder) = std::env::var_os("PG_BIN").filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        return if is_complete(&folder) {
            Ok(folder)
        } else {
            Err(TestkitError::ProgramMissing {
                variable: "PG_BIN",
                folder,
                program: "initdb",
            })
        };
    }
    std::env::var_os("PATH")
        .and_then(|path| in_search_path(&path))
        .or_else(|| newest_version(Path::new(VERSIONS_FOLDER)))
        .ok_or_else(missing)
}

/// The error that names the remedy.
pub(crate) fn missing() -> TestkitError {
    TestkitError::ServerMissing {
        server: "Postgres",
        remedy: REMEDY,
    }
}

fn in_search_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).find_map(|folder| {
        // The link's target is the folder that also has the clients and the server's library.
        let program = fs::canonicalize(folder.join("initdb")).ok()?;
        let folder = program.parent()?.to_path_buf();
        is_complete(&folder).then_some(folder)
    })
}

fn newest_version(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let major: u32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            is_complete(&folder).then_some((major, folder))
        })
        .max()
        .map(|(_, folder)| folder)
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}
