// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Async Postgres for services: a pool, transactions that cannot leak, typed errors, migrations
//! and advisory locks.
//!
//! | To | Use |
//! |---|---|
//! | connect | [`Db::connect`], [`DbOptions`] |
//! | write atomically | [`Db::transaction`], [`Transaction`] |
//! | retry on a serialisation failure | [`Db::retrying`] |
//! | tell failures apart | [`DbError`] |
//! | lay and change a schema | [`Migrator`] |
//! | take turns | [`Transaction::lock`], [`Db::advisory_lock`], [`LockKey`] |
//! | put a name into SQL | [`quote_identifier`], [`rename_schema`] |
//!
//! The driver is [`sqlx`], re-exported so that a statement can be run inside a transaction without
//! naming a second version of it.
//!
//! This crate reads no environment variables, and never shows a caller the text of a driver error:
//! such text may hold the values of a row. It is logged at the debug level only.
//!
//! # Examples
//!
//! ```no_run
//! use forktex_db::{Db, DbError, DbOptions, sqlx};
//!
//! # async fn example() -> Result<(), DbError> {
//! let db = Db::connect("postgres://app:secret@localhost/shop", DbOptions::new()).await?;
//! db.transaction(async |tx| -> Result<(), DbError> {
//!     sqlx::query("INSERT INTO shop.order (id, total) VALUES ($1, $2)")
//!         .bind(1_i64)
//!         .bind(990_i64)
//!         .execute(tx.connection())
//!         .await?;
//!     tx.after_commit(async { println!("the order stands") });
//!     Ok(())
//! })
//! .await?;
//! db.close().await;
//! # Ok(())
//! # }
//! ```

mod cipher;
mod db;
mod error;
mod identifier;
mod locks;
mod migrate;
mod options;
mod transaction;
mod url;

pub use crate::cipher::{CipherError, CipherErrorKind, ColumnCipher, Place, Preparation};
pub use crate::db::Db;
pub use crate::error::{Awaited, DbError, Retryable, SqlState};
pub use crate::identifier::{Identifier, quote_identifier, rename_schema};
pub use crate::locks::{AdvisoryLock, LockKey};
pub use crate::migrate::{MigrateError, Migration, MigrationReport, Migrator};
pub use crate::options::DbOptions;
pub use crate::transaction::{Isolation, RetryingTransaction, Transaction, TransactionOptions};

/// The Postgres driver, at the version that this crate's types are built on.
pub use sqlx;
