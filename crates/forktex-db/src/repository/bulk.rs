// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Makes, changes and deletes many rows with few statements.

use uuid::Uuid;

use super::Repository;
use super::insert::insert_into;
use crate::error::DbError;
use crate::filter::Filter;
use crate::identifier::Quoted;
use crate::model::{Assignment, ColumnInfo, ColumnRole, Model, NewModel};
use crate::statement::Statement;
use crate::value::Value;

/// How many rows one statement inserts. More win little and cost memory on both sides.
const ROWS_PER_STATEMENT: usize = 2_000;

impl<M: Model> Repository<'_, M> {
    /// Makes many rows and gives them back as they are stored, in the order given. One round trip for
    /// every 2,000 of them: each column is sent as one array (`UNNEST`), not by `COPY`, which row
    /// security forbids.
    ///
    /// # Errors
    /// Those of [`create`](Self::create). None is kept then: roll the transaction back, or nest the
    /// call in [`Transaction::transaction`](crate::Transaction::transaction).
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{DbError, Model, Repository};
    /// # #[derive(Model)]
    /// # #[model(table = "app.tag")]
    /// # struct Tag { id: uuid::Uuid, name: String }
    /// # async fn example(mut tags: Repository<'_, Tag>) -> Result<(), DbError> {
    /// let made = tags
    ///     .create_many(["red", "green"].map(|name| NewTag { name: name.into() }))
    ///     .await?;
    /// assert_eq!(made.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_many(
        &mut self,
        news: impl IntoIterator<Item = M::New>,
    ) -> Result<Vec<M>, DbError> {
        let mut news = news.into_iter();
        let mut made = Vec::with_capacity(news.size_hint().0);
        loop {
            let batch: Vec<M::New> = news.by_ref().take(ROWS_PER_STATEMENT).collect();
            if batch.is_empty() {
                return Ok(made);
            }
            let statement = self.insert_many(batch)?;
            let mut rows = self.fetch_all(statement).await?;
            // The server need not return rows in the order in which it was given them. The ids were
            // made one after another, and UUIDv7 of one process ascend.
            rows.sort_unstable_by_key(M::id);
            made.append(&mut rows);
        }
    }

    /// `INSERT` from arrays, one for each column whose values differ from row to row.
    fn insert_many(&self, news: Vec<M::New>) -> Result<Statement, DbError> {
        let org = self.org_of_new_rows()?;
        let columns = || M::INFO.columns.iter().filter(|column| is_given(column));
        let mut arrays: Vec<Vec<Value>> =
            columns().map(|_| Vec::with_capacity(news.len())).collect();
        for new in news {
            let id = Uuid::now_v7();
            let mut own = new.values()?.into_iter();
            for (column, array) in columns().zip(&mut arrays) {
                array.push(match column.role {
                    ColumnRole::Id => Value::Uuid(id),
                    _ => self.stored(column, own.next().unwrap_or(Value::Null), id, org)?,
                });
            }
        }

        let mut statement = insert_into::<M>();
        statement.push(" SELECT ");
        for (n, column) in M::INFO.columns.iter().enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            match column.role {
                ColumnRole::Own | ColumnRole::Id => {
                    statement.push("given.").put(Quoted(column.name));
                }
                _ => self.write_managed(column, &mut statement),
            }
        }
        statement.push(" FROM unnest(");
        for (n, (column, array)) in columns().zip(arrays).enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            statement.bind_array(column.kind, array);
        }
        statement.push(") AS given (");
        for (n, column) in columns().enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            statement.put(Quoted(column.name));
        }
        statement.push(")");
        Self::write_returning(&mut statement);
        Ok(statement)
    }

    /// Changes all rows that match, and says how many. One round trip.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when there is nothing to set, when a column is filled in by the repository,
    /// or when one is encrypted: values are sealed for one row.
    pub async fn set_all(
        &mut self,
        filter: Filter<M>,
        assignments: impl IntoIterator<Item = Assignment<M>>,
    ) -> Result<u64, DbError> {
        let mut statement = self.update_set(assignments, None)?;
        statement.push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_filter(&filter, &mut statement)?;
        self.execute(statement).await
    }

    /// Deletes all rows that match, for good, and says how many. One round trip.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when another row still refers to one of them, or the filter is wrong.
    pub async fn delete_all(&mut self, filter: Filter<M>) -> Result<u64, DbError> {
        let mut statement = Statement::new("DELETE FROM ");
        statement.put(M::INFO.quoted()).push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_filter(&filter, &mut statement)?;
        self.execute(statement).await
    }
}

/// Whether each new row has a value of its own for the column.
fn is_given(column: &ColumnInfo) -> bool {
    matches!(column.role, ColumnRole::Own | ColumnRole::Id)
}
