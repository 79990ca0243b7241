// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A `PgBouncer` in transaction mode in front of a test database.
//!
//! It lets everybody in: who may do what is up to the server behind it.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::TestkitError;
use crate::daemon::{Daemon, with_free_port};
use crate::database::TestDatabase;
use crate::error::off_thread;
use crate::launch;
use crate::url::UrlParts;

const PROGRAM: &str = "pgbouncer";
const VARIABLE: &str = "PGBOUNCER_BIN";
const REMEDY: &str = if cfg!(target_os = "macos") {
    "run `brew install pgbouncer`"
} else {
    "run `apt-get install -y pgbouncer` (on Debian or Ubuntu), or set PGBOUNCER_BIN to the folder \
     of `pgbouncer`"
};
/// Where it is besides the folders of `PATH`.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/// A pooler whose few server connections many clients share. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    bouncer: Arc<Bouncer>,
}

#[derive(Debug)]
struct Bouncer {
    daemon: Daemon,
    program: PathBuf,
    port: u16,
}

impl PgBouncer {
    /// Starts one in front of a database, with so many server connections for each role.
    ///
    /// # Errors
    /// [`TestkitError::ServerMissing`] where it is not installed, with the command that mends it;
    /// [`TestkitError::StartFailed`] with the end of its log.
    pub async fn start(
        database: &TestDatabase,
        server_connections: u32,
    ) -> Result<Self, TestkitError> {
        let urls = [
            database.url(),
            database.owner_url(),
            database.superuser_url(),
        ]
        .map(|url| UrlParts::parse(url, "the database's URL"));
        let urls = urls.into_iter().collect::<Result<Vec<_>, _>>()?;
        let name = database.name().to_owned();
        off_thread(move || {
            let bouncer = Bouncer::start(&name, &urls, server_connections)?;
            Ok(Self {
                bouncer: Arc::new(bouncer),
            })
        })
        .await
    }

    /// Where it listens. It stays the same over [`restart`](Self::restart).
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.bouncer.port).into()
    }

    /// The same database and role, through the pooler.
    ///
    /// # Errors
    /// [`TestkitError::InvalidUrl`] when it has no host.
    pub fn url_through(&self, url: &str) -> Result<String, TestkitError> {
        let parts = UrlParts::parse(url, "the URL to go through the pooler")?;
        Ok(parts.with_address(&self.address().to_string()).to_string())
    }

    /// Ends it with `SIGKILL`, and starts it again.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), TestkitError> {
        let bouncer = Arc::clone(&self.bouncer);
        off_thread(move || {
            bouncer.daemon.kill()?;
            bouncer.run()
        })
        .await
    }
}

impl Bouncer {
    fn start(name: &str, urls: &[UrlParts], server_connections: u32) -> Result<Self, TestkitError> {
        let program = find()?;
        let daemon = Daemon::new("PgBouncer", "pgbouncer", None, "KILL")?;
        let mut bouncer = Self {
            daemon,
            program,
            port: 0,
        };
        let users: String = urls
            .iter()
            .filter_map(UrlParts::user)
            .fold(String::new(), |users, (name, password)| {
                format!("{users}\"{name}\" \"{password}\"\n")
            });
        bouncer.write("users.txt", &users)?;
        let (host, server_port) = urls
            .first()
            .map(UrlParts::host_and_port)
            .unwrap_or_default();
        bouncer.port = with_free_port(launch::free_port, |port| {
            let folder = bouncer.daemon.folder().display();
            bouncer.write(
                "pgbouncer.ini",
                &format!(
                    "[databases]\n{name} = host={host} port={server_port} dbname={name}\n\
                     [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                     unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users.txt\n\
                     pool_mode = transaction\nmax_client_conn = 500\n\
                     default_pool_size = {server_connections}\nserver_login_retry = 1\n"
                ),
            )?;
            bouncer.run_on(port)
        })?;
        Ok(bouncer)
    }

    fn run(&self) -> Result<(), TestkitError> {
        self.run_on(self.port)
    }

    fn run_on(&self, port: u16) -> Result<(), TestkitError> {
        let settings = self.daemon.folder().join("pgbouncer.ini");
        let listens = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        self.daemon.start(&self.program, [settings], listens)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), TestkitError> {
        let path = self.daemon.folder().join(name);
        fs::write(&path, text).map_err(TestkitError::io("write", &path))
    }
}

fn find() -> Result<PathBuf, TestkitError> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        // The variable may name the program or its folder.
        let folder = Path::new(&named);
        return [folder.to_path_buf(), folder.join(PROGRAM)]
            .into_iter()
            .find(|program| program.is_file())
            .ok_or_else(|| TestkitError::ProgramMissing {
                variable: VARIABLE,
                folder: folder.to_path_buf(),
                program: PROGRAM,
            });
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(OsStr::new(PROGRAM)))
        .find(|program| program.is_file())
        .ok_or(TestkitError::ServerMissing {
            server: "PgBouncer",
            remedy: REMEDY,
        })
}
