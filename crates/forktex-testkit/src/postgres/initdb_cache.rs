// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs `initdb` once per machine, version and user, and unpacks its result for each server.
//!
//! The cache is one archive that appears by a rename: whoever sees it sees it whole, be it that
//! processes fill it at the same time, or that something clears old files away. It is not used
//! where another user owns it: whoever owns the data owns the server.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TestkitError;
use crate::account::Account;
use crate::guardian::Guardian;
use crate::{folder, launch};

/// Changes whenever the arguments of `initdb` do.
const FORMAT: &str = "2";

/// The superuser of every server that we start.
pub(crate) const SUPERUSER: &str = "postgres";

/// Its password. The servers listen on the loopback interface only, and hold test data only; the
/// password keeps honest neighbours from connecting by mistake.
pub(crate) const SUPERUSER_PASSWORD: &str = "postgres";

/// The folder of a cluster, within a server's folder and within the archive.
pub(super) const DATA: &str = "data";

/// Makes a new cluster, owned by `account`, as [`DATA`] in `folder`.
pub(super) fn create_cluster(
    bin_dir: &Path,
    folder: &Path,
    account: Account,
) -> Result<(), TestkitError> {
    let cache = cache_path(bin_dir, account)?;
    if !is_usable(&cache, account) {
        fill(bin_dir, &cache, account)?;
    }
    if is_usable(&cache, account) {
        let mut unpack = Command::new("tar");
        unpack.arg("-xf").arg(&cache).arg("-C").arg(folder);
        return run(unpack, "tar", account).map(drop);
    }
    tracing::warn!(cache = %cache.display(), "the initdb cache belongs to another user; not used");
    initdb(bin_dir, folder, account)
}

fn cache_path(bin_dir: &Path, account: Account) -> Result<PathBuf, TestkitError> {
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
    let name = format!(
        "forktex-testkit-cache-{version}-{}-{FORMAT}.tar",
        account.uid
    );
    Ok(std::env::temp_dir().join(name))
}

fn is_usable(cache: &Path, account: Account) -> bool {
    fs::symlink_metadata(cache).is_ok_and(|metadata| {
        metadata.is_file() && metadata.uid() == account.uid && metadata.mode() & 0o777 == 0o600
    })
}

fn fill(bin_dir: &Path, cache: &Path, account: Account) -> Result<(), TestkitError> {
    let workshop = folder::create(None, "initdb", account)?;
    let guardian = Guardian::of_server(&workshop, "KILL")?;
    let result = fill_from(&workshop, bin_dir, cache, account);
    guardian.finish_in_background(None);
    result
}

fn fill_from(
    workshop: &Path,
    bin_dir: &Path,
    cache: &Path,
    account: Account,
) -> Result<(), TestkitError> {
    initdb(bin_dir, workshop, account)?;
    let archive = workshop.join("cluster.tar");
    let mut pack = Command::new("tar");
    pack.arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(workshop)
        .arg(DATA);
    run(pack, "tar", account)?;
    fs::set_permissions(&archive, Permissions::from_mode(0o600))
        .map_err(TestkitError::io("restrict the mode of", &archive))?;
    match fs::rename(&archive, cache) {
        // Something of another user's is there: the caller will see.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        renamed => renamed.map_err(TestkitError::io("rename the new cluster to", cache)),
    }
}

fn initdb(bin_dir: &Path, folder: &Path, account: Account) -> Result<(), TestkitError> {
    let password_file = folder.join("password");
    fs::write(&password_file, SUPERUSER_PASSWORD)
        .map_err(TestkitError::io("write", &password_file))?;
    let program = bin_dir.join("initdb");
    let mut command = Command::new(&program);
    command
        .arg(format!("--pgdata={}", folder.join(DATA).display()))
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
