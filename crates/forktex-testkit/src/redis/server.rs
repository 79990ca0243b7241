// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One local Redis server. Blocking; never on async threads.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::RedisOptions;
use super::connection::Connection;
use crate::TestkitError;
use crate::daemon::{Daemon, with_free_port};
use crate::launch;

const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

const REMEDY: &str = if cfg!(target_os = "macos") {
    "run `brew install redis`"
} else {
    "run `apt-get install -y redis-server` (on Debian or Ubuntu), or set REDIS_BIN to the folder \
     of `redis-server`"
};

/// A server with its data, running or not.
#[derive(Debug)]
pub(super) struct Server {
    daemon: Daemon,
    program: PathBuf,
    port: u16,
    settings: Vec<(String, String)>,
}

impl Server {
    pub(super) fn start(options: &RedisOptions) -> Result<Self, TestkitError> {
        Self::start_on_port_of(options, launch::free_port)
    }

    pub(super) fn start_on_port_of(
        options: &RedisOptions,
        choose_port: fn() -> Result<u16, TestkitError>,
    ) -> Result<Self, TestkitError> {
        let program = find()?;
        // Without SIGKILL it would finish a slow script first.
        let daemon = Daemon::new("Redis", "redis", None, "KILL")?;
        let mut server = Self {
            daemon,
            program,
            port: 0,
            settings: options.all_settings(),
        };
        server.port = with_free_port(choose_port, |port| server.start_on(port))?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn kill(&self) -> Result<(), TestkitError> {
        self.daemon.kill()
    }

    pub(super) fn restart(&self) -> Result<(), TestkitError> {
        if self.daemon.is_running() {
            self.kill()?;
        }
        self.start_on(self.port)
    }

    pub(super) fn pause(&self) -> Result<(), TestkitError> {
        self.daemon.pause()
    }

    pub(super) fn resume(&self) -> Result<(), TestkitError> {
        self.daemon.resume()
    }

    fn start_on(&self, port: u16) -> Result<(), TestkitError> {
        let port_text = port.to_string();
        let folder = self.daemon.folder().display().to_string();
        let fixed = [
            ("--port", port_text.as_str()),
            ("--bind", "127.0.0.1"),
            ("--dir", folder.as_str()),
            ("--daemonize", "no"),
        ];
        let mut arguments: Vec<String> = fixed
            .iter()
            .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
            .collect();
        for (name, value) in &self.settings {
            arguments.extend([format!("--{name}"), value.clone()]);
        }
        self.daemon
            .start(&self.program, arguments, |_| answers(port))
    }
}

/// Whether the server takes commands; while it loads its data it refuses them.
fn answers(port: u16) -> bool {
    match Connection::open(port).and_then(|mut connection| connection.ask(&["PING"])) {
        Ok(_) => true,
        Err(error) => error.to_string().starts_with("NOAUTH"),
    }
}

fn find() -> Result<PathBuf, TestkitError> {
    if let Some(folder) = std::env::var_os("REDIS_BIN").filter(|value| !value.is_empty()) {
        return in_folders(&folder).ok_or_else(|| TestkitError::ProgramMissing {
            variable: "REDIS_BIN",
            folder: folder.into(),
            program: PROGRAMS[0],
        });
    }
    std::env::var_os("PATH")
        .and_then(|path| in_folders(&path))
        .ok_or(TestkitError::ServerMissing {
            server: "Redis",
            remedy: REMEDY,
        })
}

fn in_folders(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .flat_map(|folder| PROGRAMS.map(|program| folder.join(program)))
        .find(|program| program.is_file())
}
