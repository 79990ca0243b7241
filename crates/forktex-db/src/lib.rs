// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Async Postgres for services: a pool, transactions that cannot leak, typed errors, migrations,
//! advisory locks; models whose repositories cannot forget the tenant, filters and pages.
//!
//! | To | Use |
//! |---|---|
//! | connect | [`Db::connect`], [`DbOptions`] |
//! | write atomically | [`Db::transaction`], [`Transaction`] |
//! | retry on a serialisation failure | [`Db::retrying`] |
//! | tell failures apart | [`DbError`] |
//! | lay and change a schema | [`Migrator`] |
//! | keep structs as rows | [`Model`](macro@Model), [`Repository`], [`create_table`] |
//! | name rows, and sort them | [`Filter`], [`Sort`], column handles such as `User::email()` |
//! | take filters from callers | [`Filter::from_json`], [`Filter::only`] |
//! | page through a list | [`Query`], [`Page`], [`Cursor`], [`Repository::stream`] |
//! | keep organisations apart | [`Transaction::for_org`], [`Db::for_org`], [`row_security`] |
//! | seal fields | [`ColumnCipher`], [`DbOptions::cipher`] |
//! | hold tables against models | [`Db::check_schema`] |
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

extern crate self as forktex_db;

mod cipher;
mod connection;
mod db;
mod error;
mod filter;
mod identifier;
mod locks;
mod migrate;
mod model;
mod options;
mod page;
mod repository;
mod schema_check;
mod single;
mod sort;
mod statement;
mod tenant;
mod transaction;
mod url;
mod value;

#[doc(hidden)]
pub mod __private;

pub use crate::cipher::{CipherError, CipherErrorKind, ColumnCipher, Place, Preparation};
pub use crate::db::Db;
pub use crate::error::{Awaited, DbError, Retryable, SqlState};
pub use crate::filter::{
    AnyModel, FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_LIST_MAX, Field, Filter,
    FilterError, FilterProblem, field,
};
pub use crate::identifier::{Identifier, quote_identifier, rename_schema};
pub use crate::locks::{AdvisoryLock, LockKey};
pub use crate::migrate::{MigrateError, Migration, MigrationReport, Migrator};
pub use crate::model::{
    Archivable, Assignment, Column, ColumnInfo, ColumnRole, Columns, JsonColumn, Model, ModelInfo,
    NewModel, OrgScoped, Row, SealedColumn, Shared, SharedModel, Tenancy,
};
pub use crate::options::DbOptions;
pub use crate::page::{Cursor, CursorError, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page, Query};
pub use crate::repository::{LIST_ROWS_MAX, Repository};
pub use crate::schema_check::{SchemaFinding, SchemaProblem, SchemaReport};
pub use crate::single::{Session, Single, Singly};
pub use crate::sort::{Direction, SORT_COLUMNS_MAX, Sort};
pub use crate::tenant::{OrgTransaction, UnscopedTransaction, create_table, row_security};
pub use crate::transaction::{Isolation, RetryingTransaction, Transaction, TransactionOptions};
pub use crate::value::{Assignable, ColumnType, Comparable, Textual, Value, ValueKind};

/// Implements [`Model`](trait@Model) for a struct whose values are the rows of a table, and makes a
/// handle for each column and the struct that rows are created from.
///
/// Of `struct User { .. }` come `User::email()` and the like, handles to filter, sort and set with, and
/// `struct NewUser`, which has the fields that the caller gives. The fields that are filled in are named
/// in `#[model(..)]` and stand in the struct:
///
/// | in `#[model(..)]` | fields | filled in |
/// |---|---|---|
/// | always | `id: Uuid` | a `UUIDv7` |
/// | `timestamps` | `created_at: OffsetDateTime`, `updated_at: OffsetDateTime` | by the clock of the database |
/// | `audit` | `created_by: Option<Uuid>`, `updated_by: Option<Uuid>` | with the user of [`Transaction::acting_as`] |
/// | `org_scoped` | `org_id: Uuid` | with the organisation of [`Transaction::for_org`], without which there is no repository |
/// | `soft_delete` | `archived_at: Option<OffsetDateTime>` | by [`Repository::archive`] |
/// | `versioned` | `version: i64` | counts the changes; [`Repository::update`] refuses to overwrite one that was not seen |
///
/// Further options of the struct:
///
/// - `table = "schema.table"`: must be given.
/// - `unique(field, ..)`: unique together, among live rows and within the organisation; may be repeated.
///   [`Repository::upsert_by`] goes by it, [`create_table`] and [`Db::check_schema`] know it.
/// - `row_security`: the server itself keeps organisations apart; see [`row_security`].
/// - `new_derives(Trait, ..)`: what `NewUser` derives.
/// - `crate = ::path`: where this crate is found, for one that re-exports it.
///
/// Options of a field, as `#[model(..)]` on it:
///
/// - `column = "name"`: the column has another name than the field.
/// - `text`: stored as text, by `Display` and `FromStr`: for enums and identifiers of your own.
/// - `json`: stored as JSON, by serde.
/// - `encrypted`: stored as JSON that the [`ColumnCipher`] of the [`Db`] seals, for its row and
///   organisation; the column is `bytea`.
/// - `references = Other`: holds the id of a row of another model.
///
/// `Option` makes a column that may be NULL.
///
/// # Examples
/// ```
/// use forktex_db::{Model, create_table};
/// use time::OffsetDateTime;
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "shop.client", org_scoped)]
/// pub struct Client { id: Uuid, org_id: Uuid, pub name: String }
///
/// #[derive(Model, Clone, Debug)]
/// #[model(table = "shop.invoice", timestamps, org_scoped, soft_delete, unique(number), row_security)]
/// #[model(new_derives(Clone, Debug))]
/// pub struct Invoice {
///     pub id: Uuid,
///     pub org_id: Uuid,
///     pub number: String,
///     #[model(references = Client)]
///     pub client_id: Uuid,
///     #[model(json)]
///     pub lines: Vec<String>,
///     #[model(encrypted)]
///     pub iban: Option<String>,
///     pub created_at: OffsetDateTime,
///     pub updated_at: OffsetDateTime,
///     pub archived_at: Option<OffsetDateTime>,
/// }
///
/// let draft = NewInvoice {
///     number: "2026-1".into(),
///     client_id: Uuid::now_v7(),
///     lines: vec!["work".into()],
///     iban: None,
/// };
/// assert!(create_table::<Invoice>().contains(r#"FOREIGN KEY ("org_id", "client_id")"#));
/// # let _ = draft;
/// ```
pub use forktex_macros::Model;

/// The Postgres driver, at the version that this crate's types are built on.
pub use sqlx;
