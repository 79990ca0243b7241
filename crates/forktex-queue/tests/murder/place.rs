// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The server that the jobs are on, and the way to it.

use std::time::{Duration, Instant};

#[cfg(feature = "redis")]
use forktex_cache::Cache;
use forktex_db::{Db, DbOptions};
use forktex_queue::Queue;
use forktex_testkit::{Postgres, PostgresOptions, TestDatabase};
#[cfg(feature = "redis")]
use forktex_testkit::{Redis, RedisOptions};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// How long a server may take to come back.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two tries to reach it.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Postgres,
    #[cfg(feature = "redis")]
    Redis,
}

impl Kind {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Postgres,
            #[cfg(feature = "redis")]
            Self::Redis,
        ]
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
        }
    }

    /// The queue at this address, once the server answers.
    pub(crate) async fn queue(self, url: &str) -> Outcome<Queue> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_queue(url).await {
                Ok(queue) => return Ok(queue),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn try_queue(self, url: &str) -> Outcome<Queue> {
        Ok(match self {
            Self::Postgres => {
                let options = DbOptions::new()
                    .max_connections(6)
                    .acquire_timeout(Duration::from_secs(2));
                Queue::postgres(&Db::connect(url, options).await?)
            }
            #[cfg(feature = "redis")]
            Self::Redis => Queue::redis(&Cache::connect(url).await?),
        })
    }
}

/// A server of our own.
pub(crate) enum Server {
    Postgres(Postgres, TestDatabase),
    #[cfg(feature = "redis")]
    Redis(Redis),
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Outcome<Self> {
        Ok(match kind {
            Kind::Postgres => {
                let server = Postgres::start(PostgresOptions::new().durable()).await?;
                let database = server.create_database().await?;
                Self::Postgres(server, database)
            }
            #[cfg(feature = "redis")]
            Kind::Redis => Self::Redis(Redis::start(RedisOptions::new().durable()).await?),
        })
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Postgres(_, database) => database.owner_url(),
            #[cfg(feature = "redis")]
            Self::Redis(server) => server.url(),
        }
    }

    /// `SIGKILL`, and up again after a moment.
    pub(crate) async fn crash(&self) -> Outcome<()> {
        match self {
            Self::Postgres(server, _) => {
                server.kill().await?;
                tokio::time::sleep(PAUSE).await;
                server.restart().await?;
            }
            #[cfg(feature = "redis")]
            Self::Redis(server) => {
                server.kill().await?;
                tokio::time::sleep(PAUSE).await;
                server.restart().await?;
            }
        }
        Ok(())
    }
}
