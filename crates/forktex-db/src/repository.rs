// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads and writes the rows of one model, in one transaction and for one organisation.
//!
//! Each call is one statement, but where its documentation says otherwise. A repository decides
//! nothing about whose rows it may touch: it was given that when it was made.

mod archive;
mod bulk;
mod insert;
mod read;
mod seal;
mod update;

use std::fmt;
use std::marker::PhantomData;

use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::DbError;
use crate::filter::{Filter, write_filter};
use crate::identifier::Quoted;
use crate::model::{ColumnRole, Model, ModelInfo, Row};
use crate::statement::Statement;
use crate::tenant::Scope;
use crate::transaction::Transaction;
use crate::value::{Value, ValueKind};

/// How many rows [`Repository::list`] gives at most.
pub const LIST_ROWS_MAX: u32 = 10_000;

/// The rows of one model, in one transaction.
///
/// Made by [`Transaction::repository`], for models whose rows belong to organisations by
/// [`OrgTransaction::repository`](crate::OrgTransaction::repository). Archived rows are left out, but
/// by [`with_archived`](Self::with_archived) and [`only_archived`](Self::only_archived).
///
/// A row of another organisation is as good as none: [`DbError::NotFound`].
///
/// # Cancellation
/// Dropping the future of a call and going on with the transaction is allowed; a write may then have
/// taken effect in it or not.
///
/// # Examples
/// ```no_run
/// use forktex_db::{Db, DbError, Model, Query};
/// use time::OffsetDateTime;
/// use uuid::Uuid;
///
/// #[derive(Model, Debug)]
/// #[model(table = "app.user", timestamps, soft_delete, versioned, unique(email))]
/// struct User {
///     id: Uuid,
///     email: String,
///     age: Option<i32>,
///     created_at: OffsetDateTime,
///     updated_at: OffsetDateTime,
///     archived_at: Option<OffsetDateTime>,
///     version: i64,
/// }
///
/// # async fn example(db: Db) -> Result<(), DbError> {
/// db.transaction(async |tx| -> Result<(), DbError> {
///     let mut users = tx.repository::<User>();
///     let mut ada = users
///         .create(NewUser { email: "ada@example.com".into(), age: Some(36) })
///         .await?;
///     ada.age = Some(37);
///     let ada = users.update(&ada).await?;
///     assert_eq!(ada.version, 2);
///
///     let page = users
///         .page(Query::from(User::age().gte(18)).sort(User::email().asc()).limit(20))
///         .await?;
///     println!("{} of {:?}", page.items.len(), page.total);
///     users.archive(ada.id).await?;
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub struct Repository<'t, M> {
    tx: &'t mut Transaction,
    scope: Scope,
    archived: Archived,
    model: PhantomData<fn() -> M>,
}

/// Which rows are seen of a model whose rows are archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Archived {
    Hidden,
    Included,
    Only,
}

impl<M> fmt::Debug for Repository<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("model", &std::any::type_name::<M>())
            .field("scope", &self.scope)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}

impl<'t, M: Model> Repository<'t, M> {
    pub(crate) fn new(tx: &'t mut Transaction, scope: Scope) -> Self {
        Self {
            tx,
            scope,
            archived: Archived::Hidden,
            model: PhantomData,
        }
    }

    /// Writes `SELECT` with all columns, up to the condition that the scope makes.
    fn write_select(&self, statement: &mut Statement) {
        statement.push("SELECT ");
        write_columns(M::INFO, statement);
        statement.push(" FROM ").put(M::INFO.quoted());
        statement.push(" WHERE ");
        self.write_scope(statement);
    }

    /// Writes whose rows, and which of them by their being archived; always a whole condition.
    fn write_scope(&self, statement: &mut Statement) {
        let mut is_empty = true;
        if let (Some(org), Some(org_id)) = (self.scope.org(), M::INFO.column_of(ColumnRole::OrgId))
        {
            statement.put(Quoted(org_id.name)).push(" = ");
            statement.bind(ValueKind::Uuid, Value::Uuid(org));
            is_empty = false;
        }
        let archived_at = M::INFO.column_of(ColumnRole::ArchivedAt);
        let state = match self.archived {
            Archived::Hidden => " IS NULL",
            Archived::Only => " IS NOT NULL",
            Archived::Included => "",
        };
        if let Some(archived_at) = archived_at.filter(|_| !state.is_empty()) {
            statement.push(if is_empty { "" } else { " AND " });
            statement.put(Quoted(archived_at.name)).push(state);
            is_empty = false;
        }
        if is_empty {
            statement.push("TRUE");
        }
    }

    fn write_and_filter(filter: &Filter<M>, statement: &mut Statement) -> Result<(), DbError> {
        statement.push(" AND ");
        write_filter(&filter.node, M::INFO, statement)?;
        Ok(())
    }

    fn write_and_id(id: Uuid, statement: &mut Statement) {
        statement.push(" AND \"id\" = ");
        statement.bind(ValueKind::Uuid, Value::Uuid(id));
    }

    async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<M>, DbError> {
        let query = statement.query()?;
        let row = query.fetch_optional(self.tx.connection()).await;
        let row = row.map_err(|error| self.tx.db().error(error))?;
        row.map(|row| self.read(&row)).transpose()
    }

    async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<M>, DbError> {
        let query = statement.query()?;
        let rows = query.fetch_all(self.tx.connection()).await;
        let rows = rows.map_err(|error| self.tx.db().error(error))?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    /// One value of one row.
    async fn fetch_scalar<T>(&mut self, statement: Statement) -> Result<T, DbError>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let query = statement.query()?;
        let row = query.fetch_one(self.tx.connection()).await;
        let value = row.and_then(|row| sqlx::Row::try_get(&row, 0));
        value.map_err(|error| self.tx.db().error(error))
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64, DbError> {
        let query = statement.query()?;
        let done = query.execute(self.tx.connection()).await;
        let done = done.map_err(|error| self.tx.db().error(error))?;
        Ok(done.rows_affected())
    }

    fn read(&self, row: &PgRow) -> Result<M, DbError> {
        M::from_row(&Row::new(row, M::INFO, self.tx.db().cipher()))
    }
}

/// Writes the names of all columns, separated by commas.
fn write_columns(info: &ModelInfo, statement: &mut Statement) {
    for (n, column) in info.columns.iter().enumerate() {
        statement.push(if n == 0 { "" } else { ", " });
        statement.put(Quoted(column.name));
    }
}
