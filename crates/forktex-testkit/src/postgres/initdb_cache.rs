// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs `initdb` once per machine, version and user, and copies its result for each server.
//!
//! The cache appears by a rename, so that processes that fill it at the same time each end with a
//! whole copy. It is not used where another user owns it: whoever owns the data owns the server.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestkitError;
use crate::account::Account;
use crate::{folder, launch};

/// Changes whenever the arguments of `initdb` do.
const FORMAT: &str = "1";

/// The superuser of every server that we start.
pub(crate) const SUPERUSER: &str = "postgres";

/// Its password. The servers listen on the loopback interface only, and hold test data only; the
/// password keeps honest neighbours from connecting by mistake.
pub(crate) const SUPERUSER_PASSWORD: &str = "postgres";

/// Fills `data`, which must not exist, with a new cluster that `account` owns.
pub(crate) fn create_cluster(
    bin_dir: &Path,
    data: &Path,
    account: Account,
) -> Result<(), TestkitError> {
    let cache = cache_folder(bin_dir, account)?;
    if !is_usable(&cache, account) {
        fill(bin_dir, &cache, account)?;
    }
    if is_usable(&cache, account) {
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(&cache).arg(data);
        return run(copy, "cp", account).map(drop);
    }
    tracing::warn!(cache = %cache.display(), "the initdb cache belongs to another user; not used");
    initdb(bin_dir, data, account)
}

fn cache_folder(bin_dir: &Path, account: Account) -> Result<PathBuf, TestkitError> {
    let mut command = Command::new(bin_dir.join("postgres"));
    command.arg("--version");
    let version = run(command, "postgres", account)?;
    let version: String = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or("unknown")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .collect();
    let name = format!("forktex-testkit-cache-{version}-{}-{FORMAT}", account.uid);
    Ok(std::env::temp_dir().join(name))
}

fn is_usable(cache: &Path, account: Account) -> bool {
    fs::symlink_metadata(cache).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == account.uid && metadata.mode() & 0o777 == 0o700
    })
}

fn fill(bin_dir: &Path, cache: &Path, account: Account) -> Result<(), TestkitError> {
    let workshop = folder::create(None, "initdb", account)?;
    let made = workshop.join("data");
    let result = initdb(bin_dir, &made, account).and_then(|()| {
        match fs::rename(&made, cache) {
            Ok(()) => Ok(()),
            // Another process was first, or the folder is another user's: the caller looks.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::PermissionDenied
                ) =>
            {
                Ok(())
            }
            Err(source) => Err(TestkitError::Io {
                action: "rename the new cluster to",
                path: cache.to_path_buf(),
                source,
            }),
        }
    });
    // A workshop left behind costs disk, not correctness.
    let _ = fs::remove_dir_all(&workshop);
    result
}

fn initdb(bin_dir: &Path, data: &Path, account: Account) -> Result<(), TestkitError> {
    let password_file = data.with_extension("password");
    fs::write(&password_file, SUPERUSER_PASSWORD)
        .map_err(TestkitError::io("write", &password_file))?;
    let program = bin_dir.join("initdb");
    let mut command = Command::new(&program);
    command
        .arg(format!("--pgdata={}", data.display()))
        .arg(format!("--pwfile={}", password_file.display()))
        .arg(format!("--username={SUPERUSER}"))
        .arg(format!("--locale={}", launch::LOCALE))
        // The plain `password` method: over the loopback interface it hides nothing less, and it
        // spares clients built without optimisation the thousands of hashes that SCRAM asks for.
        .args(["--auth=password", "--encoding=UTF8", "--no-sync"]);
    let result = run(command, "initdb", account).map(drop);
    let _ = fs::remove_file(&password_file);
    result
}

/// Runs a program to its end as `account`, and gives what it printed.
fn run(mut command: Command, name: &str, account: Account) -> Result<String, TestkitError> {
    launch::clean_environment(&mut command);
    account.apply(&mut command);
    let output = command
        .current_dir("/")
        .output()
        .map_err(TestkitError::io("run", name))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(TestkitError::CommandFailed {
        program: command.get_program().into(),
        status: output.status,
        output: text,
    })
}
