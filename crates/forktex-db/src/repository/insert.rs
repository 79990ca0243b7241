// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Makes rows, one at a time.

use uuid::Uuid;

use super::{Repository, write_columns};
use crate::error::DbError;
use crate::identifier::Quoted;
use crate::model::{ColumnInfo, ColumnRole, Columns, Model, NewModel};
use crate::statement::Statement;
use crate::tenant::Scope;
use crate::value::{Value, ValueKind};

impl<M: Model> Repository<'_, M> {
    /// Makes a row and gives it back as it is stored. Its id is a new `UUIDv7`. One round trip.
    ///
    /// # Errors
    /// - [`DbError::AlreadyExists`] names the unique index that the row offends;
    /// - [`DbError::Invalid`] names the constraint that refuses it;
    /// - [`DbError::Sealed`] when an encrypted field cannot be sealed.
    pub async fn create(&mut self, new: M::New) -> Result<M, DbError> {
        self.create_with_id(Uuid::now_v7(), new).await
    }

    /// Makes a row with an id that the caller chose, as one that must be known beforehand. One round
    /// trip.
    ///
    /// # Errors
    /// Those of [`create`](Self::create); [`DbError::AlreadyExists`] also when the id is taken.
    pub async fn create_with_id(&mut self, id: Uuid, new: M::New) -> Result<M, DbError> {
        let mut statement = self.insert(id, new)?;
        Self::write_returning(&mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }

    /// Makes the row with this id, or gives it these fields if it is there. An archived one is live
    /// again. One round trip.
    ///
    /// # Errors
    /// Those of [`create`](Self::create). An id that is a row of another organisation is
    /// [`DbError::AlreadyExists`], and the row is left alone.
    pub async fn upsert(&mut self, id: Uuid, new: M::New) -> Result<M, DbError> {
        let mut statement = self.insert(id, new)?;
        statement.push(" ON CONFLICT (\"id\") DO UPDATE SET ");
        Self::write_excluded(&mut statement, true);
        if let Some(org_id) = M::INFO.column_of(ColumnRole::OrgId) {
            let org_id = Quoted(org_id.name);
            statement.push(" WHERE ").put(M::INFO.quoted());
            statement
                .push(".")
                .put(&org_id)
                .push(" = excluded.")
                .put(&org_id);
        }
        Self::write_returning(&mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::AlreadyExists { constraint: None })
    }

    /// Makes a row, or gives the live row with the same values in `columns` these fields. The columns
    /// must be those of a `unique(..)` of the model. One round trip.
    ///
    /// # Errors
    /// Those of [`create`](Self::create), and [`DbError::Invalid`] when the columns are not declared
    /// unique, or when the model has encrypted fields: those are sealed for the row's id, which is not
    /// known before.
    pub async fn upsert_by(&mut self, columns: impl Columns<M>, new: M::New) -> Result<M, DbError> {
        let columns = columns.names();
        if !M::INFO.unique.iter().any(|unique| *unique == columns) {
            return Err(DbError::invalid(format!(
                "cannot upsert {} by ({}): declare `unique({})` on the model",
                M::INFO.name,
                columns.join(", "),
                columns.join(", ")
            )));
        }
        if M::INFO.columns.iter().any(|column| column.is_sealed) {
            return Err(DbError::invalid(format!(
                "cannot upsert {} but by its id: its encrypted fields are sealed for the id",
                M::INFO.name
            )));
        }
        let mut statement = self.insert(Uuid::now_v7(), new)?;
        statement.push(" ON CONFLICT (");
        let org_id = M::INFO
            .column_of(ColumnRole::OrgId)
            .map(|column| column.name);
        for (n, column) in org_id.into_iter().chain(columns).enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            statement.put(Quoted(column));
        }
        statement.push(")");
        if let Some(archived_at) = M::INFO.column_of(ColumnRole::ArchivedAt) {
            statement.push(" WHERE ").put(Quoted(archived_at.name));
            statement.push(" IS NULL");
        }
        statement.push(" DO UPDATE SET ");
        Self::write_excluded(&mut statement, false);
        Self::write_returning(&mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }

    /// `INSERT` with the values of one row.
    fn insert(&self, id: Uuid, new: M::New) -> Result<Statement, DbError> {
        let org = self.org_of_new_rows()?;
        let mut own = new.values()?.into_iter();
        let mut statement = insert_into::<M>();
        statement.push(" VALUES (");
        for (n, column) in M::INFO.columns.iter().enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            match column.role {
                ColumnRole::Own => {
                    let value = own.next().unwrap_or(Value::Null);
                    let value = self.stored(column, value, id, org)?;
                    statement.bind(column.kind, value);
                }
                ColumnRole::Id => {
                    statement.bind(ValueKind::Uuid, Value::Uuid(id));
                }
                _ => self.write_managed(column, &mut statement),
            }
        }
        statement.push(")");
        Ok(statement)
    }

    /// Writes what a column that is not the caller's holds in a new row.
    pub(super) fn write_managed(&self, column: &ColumnInfo, statement: &mut Statement) {
        let user_or_org = match column.role {
            ColumnRole::OrgId => self.scope.org(),
            ColumnRole::CreatedBy | ColumnRole::UpdatedBy => self.tx.actor(),
            ColumnRole::CreatedAt | ColumnRole::UpdatedAt => {
                statement.push("now()");
                return;
            }
            ColumnRole::Version => {
                statement.push("1");
                return;
            }
            ColumnRole::Own | ColumnRole::Id | ColumnRole::ArchivedAt => {
                statement.push("NULL");
                return;
            }
        };
        let value = user_or_org.map_or(Value::Null, Value::Uuid);
        statement.bind(ValueKind::Uuid, value);
    }

    /// The organisation that a new row belongs to.
    pub(super) fn org_of_new_rows(&self) -> Result<Option<Uuid>, DbError> {
        match (self.scope, M::INFO.column_of(ColumnRole::OrgId)) {
            (Scope::Everyone, Some(_)) => Err(DbError::invalid(format!(
                "nothing says whose row of {} this would be; name the organisation with `for_org`",
                M::INFO.name
            ))),
            (scope, _) => Ok(scope.org()),
        }
    }

    /// Writes the assignments by which a row that was in the way takes on the new one's fields.
    fn write_excluded(statement: &mut Statement, revive: bool) {
        let mut is_first = true;
        for column in M::INFO.columns {
            let name = Quoted(column.name);
            let is_excluded = match column.role {
                ColumnRole::Own | ColumnRole::UpdatedAt | ColumnRole::UpdatedBy => true,
                ColumnRole::Version => false,
                ColumnRole::ArchivedAt if revive => true,
                _ => continue,
            };
            statement.push(if is_first { "" } else { ", " });
            is_first = false;
            statement.put(&name).push(" = ");
            if is_excluded {
                statement.push("excluded.").put(&name);
            } else {
                statement.put(M::INFO.quoted()).push(".").put(&name);
                statement.push(" + 1");
            }
        }
        if is_first {
            // A model with an id and nothing else.
            statement.push("\"id\" = excluded.\"id\"");
        }
    }

    pub(super) fn write_returning(statement: &mut Statement) {
        statement.push(" RETURNING ");
        write_columns(M::INFO, statement);
    }
}

/// `INSERT INTO` with the table and all its columns.
pub(super) fn insert_into<M: Model>() -> Statement {
    let mut statement = Statement::new("INSERT INTO ");
    statement.put(M::INFO.quoted()).push(" (");
    write_columns(M::INFO, &mut statement);
    statement.push(")");
    statement
}
