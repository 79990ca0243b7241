// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Launches a server inside its folder, in such a way that it is never out of the guardian's sight.
//!
//! The process writes its own id into `server.pid` before it becomes the server. If we are killed
//! between the two, the guardian has removed the folder, the write fails, and no server starts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::TestkitError;
use crate::account::Account;

/// `$0` is the folder, the rest the server's command line.
const SCRIPT: &str = r#"echo "$$" >"$0/server.pid" && exec "$@""#;

/// Below the ephemeral range of common systems, so that no outgoing connection takes the port of a
/// server that is down for a moment.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Starts `program` in `folder`, its output going to the log there.
pub(crate) fn launch(
    folder: &Path,
    account: Account,
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Child, TestkitError> {
    let log_path = log_path(folder);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(TestkitError::io("open", &log_path))?;
    let errors = log
        .try_clone()
        .map_err(TestkitError::io("open", &log_path))?;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT])
        .arg(folder)
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Its own group: Ctrl-C is for the tests; the guardian stops the server in order.
        .process_group(0);
    clean_environment(&mut command);
    account.apply(&mut command);
    command.spawn().map_err(TestkitError::io("run", program))
}

/// Leaves nothing of our environment to a server but the search path: `PGDATA`, `PGPORT` and the
/// like would change its behaviour.
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", LOCALE);
    for name in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// UTF-8 with the order of bytes, where the system has it.
pub(crate) const LOCALE: &str = if cfg!(target_os = "macos") {
    "en_US.UTF-8"
} else {
    "C.UTF-8"
};

/// Where a server's output goes.
pub(crate) fn log_path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The last lines of a server's log.
pub(crate) fn log_tail(folder: &Path) -> String {
    const LINES_MAX: usize = 30;
    let bytes = fs::read(log_path(folder)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}

/// Forgets the process id of a server that has ended.
pub(crate) fn forget_pid(folder: &Path) {
    // It may be missing: then there is nothing to forget.
    let _ = fs::remove_file(folder.join("server.pid"));
}

/// A port that nobody listens on now. Another process may still take it first.
pub(crate) fn free_port() -> Result<u16, TestkitError> {
    const ATTEMPTS_MAX: u32 = 200;
    for _ in 0..ATTEMPTS_MAX {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        let span = u64::from(PORTS.end - PORTS.start);
        let Ok(offset) = u16::try_from(random % span) else {
            continue;
        };
        let port = PORTS.start + offset;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(TestkitError::NoFreePort)
}

/// Whether nobody listens on a port now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
