// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One local Postgres server. Blocking; never on async threads.
//!
//! It knows nothing of databases and roles.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::initdb_cache::{DATA, SUPERUSER, SUPERUSER_PASSWORD, create_cluster};
use super::{PostgresOptions, binaries};
use crate::TestkitError;
use crate::daemon::{Daemon, with_free_port};
use crate::launch;

/// A server with its data, running or not.
#[derive(Debug)]
pub(crate) struct Server {
    daemon: Daemon,
    bin_dir: PathBuf,
    port: u16,
    settings: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn start(options: &PostgresOptions) -> Result<Self, TestkitError> {
        let bin_dir = binaries::find()?;
        // SIGQUIT is an "immediate" shutdown: the server ends its processes and then itself.
        let daemon = Daemon::new(
            "Postgres",
            "postgres",
            options.parent_folder().as_deref(),
            "QUIT",
        )?;
        let mut server = Self {
            daemon,
            bin_dir,
            port: 0,
            settings: options.all_settings(),
        };
        create_cluster(&server.bin_dir, server.folder(), server.daemon.account())?;
        server.port = with_free_port(launch::free_port, |port| server.start_on(port))?;
        Ok(server)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.daemon.folder()
    }

    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.daemon.folder().join(DATA)
    }

    pub(crate) fn kill(&self) -> Result<(), TestkitError> {
        self.daemon.kill()
    }

    pub(crate) fn stop(&self) -> Result<(), TestkitError> {
        // SIGINT is a "fast" shutdown: sessions are ended, a checkpoint is written.
        self.daemon.stop(Signal::INT)
    }

    pub(crate) fn restart(&self) -> Result<(), TestkitError> {
        if self.daemon.is_running() {
            self.stop()?;
        }
        // A killed server leaves the file; it would refuse to start if its old process id were in
        // use again.
        let _ = fs::remove_file(self.status_path());
        self.start_on(self.port)
    }

    pub(crate) fn pause(&self) -> Result<(), TestkitError> {
        self.daemon.pause()
    }

    pub(crate) fn resume(&self) -> Result<(), TestkitError> {
        self.daemon.resume()
    }

    fn start_on(&self, port: u16) -> Result<(), TestkitError> {
        let mut arguments = vec![
            "-D".to_owned(),
            self.data_folder().display().to_string(),
            format!("-cport={port}"),
            "-clisten_addresses=127.0.0.1".to_owned(),
            format!("-cunix_socket_directories={}", self.folder().display()),
        ];
        arguments.extend(
            self.settings
                .iter()
                .map(|(name, value)| format!("-c{name}={value}")),
        );
        let status_path = self.status_path();
        self.daemon
            .start(&self.bin_dir.join("postgres"), arguments, |pid| {
                fs::read_to_string(&status_path).is_ok_and(|status| is_ready(&status, pid))
            })
    }

    fn status_path(&self) -> PathBuf {
        self.data_folder().join("postmaster.pid")
    }
}

/// The server's own report, as `pg_ctl` reads it: line 1 is its process id, line 8 its state.
fn is_ready(postmaster_pid: &str, pid: u32) -> bool {
    let mut lines = postmaster_pid.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::is_ready;

    #[test]
    fn a_server_is_ready_when_its_own_report_says_so() {
        let report = |state| format!("42\n/data\n1\n5432\n/sockets\n127.0.0.1\n 1 2\n{state}\n");
        assert!(is_ready(&report("ready   "), 42));
        assert!(!is_ready(&report("starting"), 42));
        assert!(!is_ready(&report("ready   "), 43));
        assert!(!is_ready("42\n", 42));
    }
}
