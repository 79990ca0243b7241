// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Throwaway Postgres, Redis and S3 servers, one call each, for tests, demos and local development.
//!
//! - [`TestDatabase::create`] gives a fresh database on a server shared by the whole test process.
//! - [`Postgres::start`] gives a private server that a test may kill, pause and restart.
//! - [`Proxy::start`] stands before any server, and cuts, delays and loses what passes.
//!
//! Nothing outlives the process that asked for it: a guardian process watches a pipe to each
//! server's owner, and stops the server and removes its folder when the owner ends, be it by
//! return, panic or `SIGKILL`.
//!
//! # Environment variables
//!
//! | Variable | Meaning |
//! |---|---|
//! | `FORKTEX_TEST_POSTGRES_URL` | Use this running server for [`TestDatabase::create`]; its role needs superuser, or `CREATEDB` and `CREATEROLE` |
//! | `PG_BIN` | The folder of `initdb` and `postgres` |
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
mod folder;
mod guardian;
mod launch;
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
pub use postgres::{Postgres, PostgresOptions};
pub use proxy::Proxy;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisCluster, RedisOptions, TestRedis};
#[cfg(feature = "s3")]
pub use s3::S3;
