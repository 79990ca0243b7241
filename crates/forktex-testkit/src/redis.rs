// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis servers: private ones that a test may hurt, and one for tests that merely use it.
//!
//! It speaks just enough of the protocol to see that a server answers; it is no client.

mod cluster;
mod connection;
mod options;
mod server;
mod test_redis;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use cluster::RedisCluster;
pub use options::RedisOptions;
pub use test_redis::TestRedis;

use crate::TestkitError;
use crate::error::off_thread;
use server::Server;

/// A private Redis server on a free port of 127.0.0.1, without a password.
///
/// It takes some 30 ms to start. Dropping it stops the server and removes its folder, in the
/// background.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// use forktex_testkit::{Redis, RedisOptions};
///
/// let redis = Redis::start(RedisOptions::new()).await?;
/// assert_eq!(redis.url(), format!("redis://{}", redis.address()));
/// redis.kill().await?;
/// redis.restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Redis {
    server: Arc<Server>,
    url: String,
}

impl Redis {
    /// Starts `redis-server` (or `valkey-server`) from `REDIS_BIN` or `PATH`.
    ///
    /// # Errors
    /// [`TestkitError::ServerMissing`] without the program; [`TestkitError::StartFailed`] and
    /// [`TestkitError::Timeout`] with the end of the server's log.
    ///
    /// # Cancellation
    /// The server is started all the same, and then stopped.
    pub async fn start(options: RedisOptions) -> Result<Self, TestkitError> {
        off_thread(move || Server::start(&options).map(Self::of)).await
    }

    fn of(server: Server) -> Self {
        let url = format!("redis://127.0.0.1:{}", server.port());
        Self {
            server: Arc::new(server),
            url,
        }
    }

    /// The server's URL, `redis://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the server listens. It stays the same over [`restart`](Self::restart).
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    /// Crashes the server with `SIGKILL`, and returns when it is gone. Its data is lost, unless it
    /// is [`durable`](RedisOptions::durable).
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] when it is dead already.
    pub async fn kill(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::kill).await
    }

    /// Starts the server again on the same port, and waits until it answers. A server that still
    /// runs is killed first.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::restart).await
    }

    /// Freezes the server (`SIGSTOP`): connections stay open, and nothing answers.
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill.
    pub async fn pause(&self) -> Result<(), TestkitError> {
        self.off_thread(Server::pause).await
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// [`TestkitError::NotRunning`] after a kill.
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
}
