// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes and deletes one row.

use uuid::Uuid;

use super::Repository;
use crate::error::DbError;
use crate::identifier::Quoted;
use crate::model::{Assignment, ColumnInfo, ColumnRole, Model};
use crate::statement::Statement;
use crate::value::{Value, ValueKind};

impl<M: Model> Repository<'_, M> {
    /// Writes all fields of a row that was read before and changed since, and gives it back as it is
    /// stored. One round trip.
    ///
    /// Where the model is `versioned`, the row must still be as it was read. Where it is not, what
    /// others changed meanwhile is overwritten: use [`set`](Self::set) to write some fields only.
    ///
    /// # Errors
    /// - [`DbError::Conflict`] when the row was changed since it was read; found out by one round trip
    ///   more. [`Db::retrying`](crate::Db::retrying) does not run it again, since what the row was read
    ///   for may not hold any more; where it is read in the same transaction,
    ///   [`get_for_update`](Self::get_for_update) keeps others from it meanwhile;
    /// - [`DbError::NotFound`] when there is no such row, or it is archived;
    /// - those of [`create`](Self::create).
    pub async fn update(&mut self, row: &M) -> Result<M, DbError> {
        let id = row.id();
        let values = row.values()?;
        let org_of_row = uuid_of(M::INFO.position_of(ColumnRole::OrgId), &values);
        let org = self.scope.org().or(org_of_row);
        let version = M::INFO
            .position_of(ColumnRole::Version)
            .and_then(|position| values.get(position).cloned());
        let own = M::INFO.columns.iter().zip(values);
        let own = own.filter(|(column, _)| column.role == ColumnRole::Own);
        let own = own.map(|(column, value)| Ok((column, self.stored(column, value, id, org)?)));
        let own: Vec<_> = own.collect::<Result<_, DbError>>()?;

        let mut statement = self.update_columns(own);
        statement.push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_id(id, &mut statement);
        if let Some(version) = version {
            let column = M::INFO.column_of(ColumnRole::Version);
            statement
                .push(" AND ")
                .put(Quoted(column.map_or("", |column| column.name)));
            statement.push(" = ").bind(ValueKind::Integer, version);
        }
        Self::write_returning(&mut statement);
        match self.fetch_optional(statement).await? {
            Some(row) => Ok(row),
            None => Err(self.why_not_updated(id).await?),
        }
    }

    /// Gives some fields of a row new values, leaves the others as they are, and gives the row back as
    /// it is stored. One round trip.
    ///
    /// # Errors
    /// - [`DbError::NotFound`] when there is no such row, or it is archived;
    /// - [`DbError::Invalid`] when there is nothing to set, or a column is filled in by the repository;
    /// - those of [`create`](Self::create).
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{DbError, Model, Repository};
    /// # #[derive(Model)]
    /// # #[model(table = "app.user")]
    /// # struct User { id: uuid::Uuid, email: String, age: Option<i32> }
    /// # async fn example(mut users: Repository<'_, User>, id: uuid::Uuid) -> Result<(), DbError> {
    /// let user = users.set(id, [User::email().set("ada@example.com"), User::age().set(37)]).await?;
    /// assert_eq!(user.age, Some(37));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set(
        &mut self,
        id: Uuid,
        assignments: impl IntoIterator<Item = Assignment<M>>,
    ) -> Result<M, DbError> {
        let mut statement = self.update_set(assignments, Some(id))?;
        statement.push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_id(id, &mut statement);
        Self::write_returning(&mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }

    /// Deletes a row for good. One round trip.
    ///
    /// # Errors
    /// [`DbError::NotFound`] when there is no such row, or it is archived (look at it
    /// [`with_archived`](Self::with_archived)); [`DbError::Invalid`] when another row refers to it.
    pub async fn delete(&mut self, id: Uuid) -> Result<(), DbError> {
        let mut statement = Statement::new("DELETE FROM ");
        statement.put(M::INFO.quoted()).push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_id(id, &mut statement);
        match self.execute(statement).await? {
            0 => Err(DbError::NotFound),
            _ => Ok(()),
        }
    }

    /// `UPDATE` with assignments of the caller's, for one row or, without one, for many.
    pub(super) fn update_set(
        &self,
        assignments: impl IntoIterator<Item = Assignment<M>>,
        row: Option<Uuid>,
    ) -> Result<Statement, DbError> {
        let mut own: Vec<(&ColumnInfo, Value)> = Vec::new();
        for assignment in assignments {
            let refused = |reason: &str| {
                DbError::invalid(format!(
                    "cannot set `{}` of {}: {reason}",
                    assignment.column,
                    M::INFO.name
                ))
            };
            let column = M::INFO
                .column(assignment.column)
                .filter(|column| column.role == ColumnRole::Own)
                .ok_or_else(|| refused("it is filled in by the repository"))?;
            if own.iter().any(|(other, _)| other.name == column.name) {
                return Err(refused("it is set twice"));
            }
            let value = match (row, column.is_sealed) {
                (None, true) => return Err(refused("it is encrypted, for each row on its own")),
                (Some(row), true) => {
                    if M::INFO.column_of(ColumnRole::OrgId).is_some() && self.scope.org().is_none()
                    {
                        return Err(refused(
                            "it is encrypted for an organisation; use `for_org`",
                        ));
                    }
                    self.stored(column, assignment.value?, row, self.scope.org())?
                }
                _ => assignment.value?,
            };
            own.push((column, value));
        }
        if own.is_empty() {
            return Err(DbError::invalid("there is nothing to set"));
        }
        Ok(self.update_columns(own))
    }

    /// `UPDATE` of these columns, and of those that every change touches.
    fn update_columns(&self, own: Vec<(&ColumnInfo, Value)>) -> Statement {
        let mut statement = Statement::new("UPDATE ");
        statement.put(M::INFO.quoted()).push(" SET ");
        let mut separator = "";
        for (column, value) in own {
            statement.push(separator).put(Quoted(column.name));
            statement.push(" = ").bind(column.kind, value);
            separator = ", ";
        }
        self.write_touched(separator, &mut statement);
        statement
    }

    /// Writes the assignments that go with every change.
    pub(super) fn write_touched(&self, mut separator: &'static str, statement: &mut Statement) {
        for column in M::INFO.columns {
            let name = Quoted(column.name);
            match column.role {
                ColumnRole::UpdatedAt => {
                    statement.push(separator).put(name).push(" = now()");
                }
                ColumnRole::UpdatedBy => {
                    let user = self.tx.actor().map_or(Value::Null, Value::Uuid);
                    statement.push(separator).put(name).push(" = ");
                    statement.bind(ValueKind::Uuid, user);
                }
                ColumnRole::Version => {
                    statement.push(separator).put(&name).push(" = ");
                    statement.put(&name).push(" + 1");
                }
                _ => continue,
            }
            separator = ", ";
        }
    }

    /// Tells a row that is gone from one that was changed.
    async fn why_not_updated(&mut self, id: Uuid) -> Result<DbError, DbError> {
        let mut statement = Statement::new("SELECT EXISTS (SELECT FROM ");
        statement.put(M::INFO.quoted()).push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_id(id, &mut statement);
        statement.push(")");
        let is_there: bool = self.fetch_scalar(statement).await?;
        if !is_there {
            return Ok(DbError::NotFound);
        }
        Ok(DbError::Conflict {
            reason: "the row was changed since it was read; read it again",
            constraint: None,
            sqlstate: None,
        })
    }
}

fn uuid_of(position: Option<usize>, values: &[Value]) -> Option<Uuid> {
    match position.and_then(|position| values.get(position)) {
        Some(Value::Uuid(uuid)) => Some(*uuid),
        _ => None,
    }
}
