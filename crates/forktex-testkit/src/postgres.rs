// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Postgres servers: private ones, and the one that the whole test process shares.
//!
//! It refuses to touch a server it did not start, other than by creating and dropping databases
//! and two roles there.

pub(crate) mod admin;
mod binaries;
#[cfg(feature = "containers")]
mod container;
mod initdb_cache;
mod options;
mod server;
pub(crate) mod shared;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

pub use options::PostgresOptions;

use crate::TestkitError;
use crate::database::TestDatabase;
use crate::error::off_thread;
use admin::Admin;
use server::Server;

/// A private Postgres server, for tests that hurt it and for benchmarks.
///
/// It listens on a free port of 127.0.0.1 and on a unix socket in its folder. Dropping it stops the
/// server at once and removes its data, in the background.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// use forktex_testkit::{Postgres, PostgresOptions};
///
/// let postgres = Postgres::start(PostgresOptions::new().durable()).await?;
/// let database = postgres.create_database().await?;
/// postgres.kill().await?;
/// postgres.restart().await?;
/// # drop(database);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Postgres {
    server: Arc<Server>,
    admin: Arc<Admin>,
}

impl Postgres {
    /// Starts a server from local binaries: those in `PG_BIN`, in `PATH`, or the newest in
    /// `/usr/lib/postgresql`.
    ///
    /// `initdb` runs once per machine, version and user; later servers start from a copy.
    ///
    /// # Errors
    /// [`TestkitError::ServerMissing`] without binaries; [`TestkitError::StartFailed`] and
    /// [`TestkitError::Timeout`] with the end of the server's log.
    ///
    /// # Cancellation
    /// The server is started all the same, and then stopped.
    pub async fn start(options: PostgresOptions) -> Result<Self, TestkitError> {
        off_thread(move || {
            let server = Server::start(&options)?;
            let admin = Admin::of_private_server(&server.url("postgres"))?;
            Ok(Self {
                server: Arc::new(server),
                admin: Arc::new(admin),
            })
        })
        .await
    }

    /// Creates a fresh database here. It does not keep the server alive.
    ///
    /// # Errors
    /// [`TestkitError::Sql`] when the server refuses.
    pub async fn create_database(&self) -> Result<TestDatabase, TestkitError> {
        TestDatabase::create_on(Arc::clone(&self.admin)).await
    }

    /// The superuser's URL of `database`, which need not exist; `postgres` always does.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Where the server listens. It stays the same over [`restart`](Self::restart).
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    /// The folder of the server's unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.server.folder()
    }

    /// The folder of `postgres`, `psql`, `pgbench` and the like, of the server's version.
    pub fn bin_dir(&self) -> &Path {
        self.server.bin_dir()
    }

    /// The data folder, owned by the account that the server runs as.
    pub fn data_folder(&self) -> std::path::PathBuf {
        self.server.data_folder()
    }

    /// Crashes the server: `SIGKILL` to it and to every process of it, in use or not.
    ///
    /// Returns when all are gone. [`restart`](Self::restart) then recovers as after a crash of
    /// the program; it is no power failure, since the kernel keeps what was written.
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill or stop.
    pub async fn kill(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::kill).await
    }

    /// Stops the server in order (a "fast" shutdown), keeping its data for
    /// [`restart`](Self::restart).
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill or stop.
    pub async fn stop(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::stop).await
    }

    /// Starts the server again on the same port and data, and waits until it takes connections. A
    /// server that still runs is stopped in order first.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::restart).await
    }

    /// Freezes the server and all its processes (`SIGSTOP`): connections stay open, and nothing
    /// answers.
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill or stop.
    pub async fn pause(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::pause).await
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill or stop.
    pub async fn resume(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::resume).await
    }

    async fn off_thread(
        &self,
        work: impl FnOnce(&Server) -> Result<(), TestkitError> + Send + 'static,
    ) -> Result<(), TestkitError> {
        let server = Arc::clone(&self.server);
        off_thread(move || work(&server)).await
    }

    pub(crate) fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }
}
