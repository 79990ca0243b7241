// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Throwaway Postgres, Redis and S3 servers, one call each, for tests, demos and local development.
//!
//! - [`TestDatabase::create`] gives a fresh database on a server shared by the whole test process.
//! - [`Postgres::start`] gives a private server that a test may kill, pause and restart.
//! - [`Proxy::start`] stands before any server, and cuts, delays and loses what passes.
//! - [`PgBouncer::start`] puts a pooler in transaction mode before a database.
//! - `Redis`, `RedisCluster` and `TestRedis` (feature `redis`) do the same for Redis.
//! - [`figure`] prints what a benchmark measured against its baseline.
//! - `S3` (feature `s3`) serves S3 from this process.
//!
//! Nothing outlives the process that asked for it: a guardian process watches a pipe to each
//! server's owner, and stops the server and removes its folder when the owner ends, be it by
//! return, panic or `SIGKILL`.
//!
//! # Features
//!
//! | Feature | Meaning |
//! |---|---|
//! | `redis` | Redis servers and clusters, from a local `redis-server` or `valkey-server` |
//! | `s3` | An S3 server in the process |
//! | `containers` | [`TestDatabase::create`] starts a container where no Postgres is installed |
//!
//! # Environment variables
//!
//! | Variable | Meaning |
//! |---|---|
//! | `FORKTEX_TEST_POSTGRES_URL` | Use this running server for [`TestDatabase::create`]; its role needs superuser, or `CREATEDB` and `CREATEROLE` |
//! | `PG_BIN` | The folder of `initdb` and `postgres` |
//! | `PGBOUNCER_BIN` | The folder of `pgbouncer` |
//! | `FORKTEX_TEST_REDIS_URL` | Use this running server for `TestRedis::create` |
//! | `REDIS_BIN` | The folder of `redis-server` |
//! | `TMPDIR` | Where servers keep their folders; where the tests run as root, the account `postgres` or `nobody` must be able to enter it |
//!
//! On a running server the kit creates two roles that it leaves there (see
//! [`TestDatabase::APPLICATION_ROLE`] and [`TestDatabase::OWNER_ROLE`]), with a well-known
//! password: name a server that is for tests. One run of many test processes shares a server by
//! this variable: start one with [`Postgres::start`], and hand on its
//! [`url`](Postgres::url)`("postgres")`.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), forktex_testkit::TestkitError> {
//! let database = forktex_testkit::TestDatabase::create().await?;
//! assert!(database.url().starts_with("postgres://"));
//! # Ok(())
//! # }
//! ```
//!
//! The crate refuses to be part of a product: it depends on no sibling crate, starts servers with
//! well-known passwords on the loopback interface, and reads the environment.

mod account;
mod daemon;
mod database;
mod error;
pub mod figure;
mod folder;
mod guardian;
mod launch;
mod owner;
mod pooler;
mod postgres;
mod process;
mod proxy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod url;

pub use database::TestDatabase;
pub use error::TestkitError;
pub use pooler::PgBouncer;
pub use postgres::{Postgres, PostgresOptions};
pub use proxy::Proxy;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisCluster, RedisOptions, TestRedis};
#[cfg(feature = "s3")]
pub use s3::{S3, S3Options};
