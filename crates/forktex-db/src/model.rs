// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a model is: a struct whose values are the rows of one table.
//!
//! `#[derive(Model)]` writes the implementation. The repository works from the constant description,
//! [`ModelInfo`], so that little code is made anew for each model.

mod column;
mod row;

use std::fmt;

use uuid::Uuid;

use crate::error::DbError;
use crate::identifier::Quoted;
use crate::value::{Value, ValueKind};

pub use column::{Assignment, Column, Columns, JsonColumn, SealedColumn};
pub use row::{Row, json, optional_text, plaintext, text};
pub(crate) use row::{cipher, sealed_error};

/// A struct whose values are the rows of one table. Derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    note = "write `#[derive(Model)] #[model(table = \"schema.table\")]` on the struct"
)]
pub trait Model: Sized + Send + Sync + 'static {
    /// The fields that a caller gives to create a row; the rest is filled in.
    type New: NewModel;

    /// Whether rows belong to an organisation: [`Shared`] or [`OrgScoped`].
    type Tenancy: Tenancy;

    /// The table and its columns.
    const INFO: &'static ModelInfo;

    /// Reads a row of the table.
    ///
    /// # Errors
    /// [`DbError::Unreadable`] and [`DbError::Sealed`] name the column.
    fn from_row(row: &Row<'_>) -> Result<Self, DbError>;

    /// The values of all columns, in the order of [`ModelInfo::columns`]; those of sealed columns as the
    /// bytes of their JSON.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when a field cannot be written as JSON.
    fn values(&self) -> Result<Vec<Value>, DbError>;

    /// The row's id.
    fn id(&self) -> Uuid;
}

/// The fields that a caller gives to create a row. `#[derive(Model)]` makes the struct, named `New` and
/// the model.
pub trait NewModel: Send {
    /// The values of the fields, in the order in which the model's own columns stand in
    /// [`ModelInfo::columns`].
    ///
    /// # Errors
    /// [`DbError::Invalid`] when a field cannot be written as JSON.
    fn values(self) -> Result<Vec<Value>, DbError>;
}

/// Whether rows belong to an organisation.
pub trait Tenancy: sealed::Sealed {}

/// The rows belong to no organisation.
#[derive(Clone, Copy, Debug)]
pub enum Shared {}

/// Each row belongs to the organisation in its `org_id`. A repository is had only by
/// [`Transaction::for_org`](crate::Transaction::for_org), or for a stated reason by
/// [`Transaction::unscoped`](crate::Transaction::unscoped).
#[derive(Clone, Copy, Debug)]
pub enum OrgScoped {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Shared {}
    impl Sealed for super::OrgScoped {}
}

impl Tenancy for Shared {}
impl Tenancy for OrgScoped {}

/// A model whose rows belong to no organisation, so that a plain transaction gives its repository.
#[diagnostic::on_unimplemented(
    message = "the rows of `{Self}` belong to organisations, so a plain transaction has no repository of it",
    note = "say whose rows: `tx.for_org(org).await?.repository::<{Self}>()`",
    note = "work that spans organisations states why: `tx.unscoped(\"reason\").await?.repository::<{Self}>()`"
)]
pub trait SharedModel: Model<Tenancy = Shared> {}

/// A model whose rows are archived before they are deleted: one with `soft_delete`.
#[diagnostic::on_unimplemented(
    message = "the rows of `{Self}` cannot be archived",
    note = "add `soft_delete` to its `#[model(..)]`, and the field `archived_at: Option<OffsetDateTime>`"
)]
pub trait Archivable: Model {}

/// A table and its columns, as a model declares them.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The schema; where none is given, the search path decides.
    pub schema: Option<&'static str>,
    /// The table.
    pub table: &'static str,
    /// Both, as `schema.table`: what sealed values are bound to.
    pub name: &'static str,
    /// The columns, in the order in which they are read.
    pub columns: &'static [ColumnInfo],
    /// Columns that are unique together: among the live rows where rows are archived, and within one
    /// organisation where they belong to one.
    pub unique: &'static [&'static [&'static str]],
    /// Whether the database itself keeps organisations apart.
    pub row_security: bool,
}

/// A column, as a model declares it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// The name.
    pub name: &'static str,
    /// What it holds; for a sealed column, [`ValueKind::Bytes`].
    pub kind: ValueKind,
    /// The type in SQL, as `integer`.
    pub sql_type: &'static str,
    /// Whether it may be NULL.
    pub is_nullable: bool,
    /// Whether its values are sealed by the [`ColumnCipher`](crate::ColumnCipher).
    pub is_sealed: bool,
    /// Who fills it in.
    pub role: ColumnRole,
    /// The model whose row it names.
    pub references: Option<fn() -> &'static ModelInfo>,
}

/// Who fills a column in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnRole {
    /// The caller.
    Own,
    /// The repository: a `UUIDv7`.
    Id,
    /// The scope that the repository was had from.
    OrgId,
    /// The database's clock, when the row is made.
    CreatedAt,
    /// The database's clock, at every change.
    UpdatedAt,
    /// The user of [`Transaction::acting_as`](crate::Transaction::acting_as), when the row is made.
    CreatedBy,
    /// The user of [`Transaction::acting_as`](crate::Transaction::acting_as), at every change.
    UpdatedBy,
    /// [`Repository::archive`](crate::Repository::archive).
    ArchivedAt,
    /// The repository: 1, and one more at every change.
    Version,
}

impl ModelInfo {
    /// A table with its columns. For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn new(
        schema: Option<&'static str>,
        table: &'static str,
        name: &'static str,
        columns: &'static [ColumnInfo],
    ) -> Self {
        Self {
            schema,
            table,
            name,
            columns,
            unique: &[],
            row_security: false,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn unique(mut self, unique: &'static [&'static [&'static str]]) -> Self {
        self.unique = unique;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn row_security(mut self) -> Self {
        self.row_security = true;
        self
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&'static ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that has this role; for [`ColumnRole::Own`], the first.
    pub fn column_of(&self, role: ColumnRole) -> Option<&'static ColumnInfo> {
        self.columns.iter().find(|column| column.role == role)
    }

    /// Where the column of this role stands among the columns.
    pub(crate) fn position_of(&self, role: ColumnRole) -> Option<usize> {
        self.columns.iter().position(|column| column.role == role)
    }

    /// The table as it is written in SQL.
    pub(crate) fn quoted(&self) -> QuotedTable<'_> {
        QuotedTable(self)
    }
}

/// `"schema"."table"`
pub(crate) struct QuotedTable<'a>(&'a ModelInfo);

impl fmt::Display for QuotedTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.0.schema {
            write!(f, "{}.", Quoted(schema))?;
        }
        Quoted(self.0.table).fmt(f)
    }
}

impl ColumnInfo {
    /// A column that holds values as they are. For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn plain<T: crate::value::ColumnType>(name: &'static str, role: ColumnRole) -> Self {
        Self {
            name,
            kind: T::KIND,
            sql_type: T::SQL_TYPE,
            is_nullable: T::IS_NULLABLE,
            is_sealed: false,
            role,
            references: None,
        }
    }

    /// A column that holds JSON. For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn json(name: &'static str, is_nullable: bool) -> Self {
        Self {
            name,
            kind: ValueKind::Json,
            sql_type: "jsonb",
            is_nullable,
            is_sealed: false,
            role: ColumnRole::Own,
            references: None,
        }
    }

    /// A column that holds sealed values. For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn sealed(name: &'static str, is_nullable: bool) -> Self {
        Self {
            name,
            kind: ValueKind::Bytes,
            sql_type: "bytea",
            is_nullable,
            is_sealed: true,
            role: ColumnRole::Own,
            references: None,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn references(mut self, model: fn() -> &'static ModelInfo) -> Self {
        self.references = Some(model);
        self
    }
}
