// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds rows: one, some, a page, all of them one after another.

use futures_util::{Stream, StreamExt as _};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{LIST_ROWS_MAX, Repository};
use crate::error::DbError;
use crate::filter::Filter;
use crate::model::{Model, Row};
use crate::page::{
    Cursor, Fingerprint, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page, Query, parts_after, write_part,
};
use crate::sort::TotalOrder;
use crate::statement::Statement;
use crate::value::Value;

impl<M: Model> Repository<'_, M> {
    /// The row with this id. One round trip; by the primary key.
    ///
    /// # Errors
    /// [`DbError::NotFound`] when there is none.
    pub async fn get(&mut self, id: Uuid) -> Result<M, DbError> {
        let mut statement = Statement::default();
        self.write_select(&mut statement);
        Self::write_and_id(id, &mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }

    /// The row with this id, locked until the transaction ends: others that would change it, or lock
    /// it, wait. One round trip.
    ///
    /// # Errors
    /// [`DbError::NotFound`] when there is none; [`DbError::Conflict`] after the lock timeout.
    pub async fn get_for_update(&mut self, id: Uuid) -> Result<M, DbError> {
        let mut statement = Statement::default();
        self.write_select(&mut statement);
        Self::write_and_id(id, &mut statement);
        statement.push(" FOR UPDATE");
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }

    /// The first row that matches, in the order of the query; none when no row does.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter or the sort.
    pub async fn find(&mut self, query: impl Into<Query<M>>) -> Result<Option<M>, DbError> {
        let query = query.into();
        let statement = self.select_ordered(&query, Some(1))?;
        self.fetch_optional(statement).await
    }

    /// All rows that match, or the first so many of the query's limit.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when more than [`LIST_ROWS_MAX`] match and no limit was given, or a greater
    /// one: a list is never cut silently. Use [`page`](Self::page) or [`stream`](Self::stream) then.
    pub async fn list(&mut self, query: impl Into<Query<M>>) -> Result<Vec<M>, DbError> {
        let query = query.into();
        let too_long = || {
            DbError::invalid(format!(
                "a list has at most {LIST_ROWS_MAX} rows; use `page` or `stream`"
            ))
        };
        let limit = match query.limit {
            Some(limit) if limit > LIST_ROWS_MAX => return Err(too_long()),
            Some(limit) => limit,
            None => LIST_ROWS_MAX + 1,
        };
        let statement = self.select_ordered(&query, Some(limit))?;
        let rows = self.fetch_all(statement).await?;
        if rows.len() > LIST_ROWS_MAX as usize {
            return Err(too_long());
        }
        Ok(rows)
    }

    /// One page, and how many rows match in all.
    ///
    /// Two round trips; the count reads every row that matches. Use [`scroll`](Self::scroll) where
    /// nobody looks at the total.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter, the sort, the limit or the cursor.
    pub async fn page(&mut self, query: impl Into<Query<M>>) -> Result<Page<M>, DbError> {
        let query = query.into();
        let filter = query.filter.clone();
        let mut page = self.scroll(query).await?;
        page.total = Some(self.count(filter).await?);
        Ok(page)
    }

    /// One page, without the total. One round trip, whose cost does not grow with the number of pages
    /// before it where an index serves the sort: one on its columns in their directions and the id.
    /// Where the columns go different ways, rows that are equal in the first are read again.
    ///
    /// The pages that follow one another by their cursors give each row that stays unchanged exactly
    /// once, in order, whatever is inserted, changed or deleted meanwhile.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter, the sort, the limit or the cursor.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{DbError, Model, Query, Repository};
    /// # async fn example<M: Model>(mut rows: Repository<'_, M>) -> Result<(), DbError> {
    /// let mut cursor = None;
    /// loop {
    ///     let page = rows.scroll(Query::new().limit(500).after(cursor)).await?;
    ///     println!("{} rows", page.items.len());
    ///     cursor = page.next_cursor;
    ///     if cursor.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scroll(&mut self, query: impl Into<Query<M>>) -> Result<Page<M>, DbError> {
        let query = query.into();
        let limit = query.limit.unwrap_or(PAGE_ROWS_DEFAULT);
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            return Err(DbError::invalid(format!(
                "a page has 1 to {PAGE_ROWS_MAX} rows, not {limit}"
            )));
        }
        // One row more tells whether there is a next page.
        let statement = self.select_ordered(&query, Some(limit + 1))?;
        let mut items = self.fetch_all(statement).await?;
        let has_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| has_more);
        let cursor = last
            .map(|last| self.cursor_after(last, &query))
            .transpose()?;
        Ok(Page::new(items, cursor))
    }

    /// The rows that match, one after another, as the server sends them: memory does not grow with
    /// their number. One round trip.
    ///
    /// The connection is busy with it until the stream has ended. Dropped midway, the next statement
    /// of the transaction first receives the rest of the rows.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter or the sort. The stream itself ends
    /// with an error when the connection is lost, or a row cannot be read.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{DbError, Model, Query, Repository};
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn example<M: Model>(mut rows: Repository<'_, M>) -> Result<(), DbError> {
    /// let mut stream = rows.stream(Query::new())?;
    /// while let Some(row) = stream.try_next().await? {
    ///     println!("{}", row.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(
        &mut self,
        query: impl Into<Query<M>>,
    ) -> Result<impl Stream<Item = Result<M, DbError>> + Send + Unpin, DbError> {
        let query = query.into();
        let statement = self.select_ordered(&query, query.limit)?;
        let db = self.tx.db().clone();
        let rows = statement.query()?.fetch(self.tx.connection());
        Ok(rows.map(move |row: Result<PgRow, sqlx::Error>| {
            let row = row.map_err(|error| db.error(error))?;
            M::from_row(&Row::new(&row, M::INFO, db.cipher()))
        }))
    }

    /// How many rows match. One round trip; reads every one of them.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter.
    pub async fn count(&mut self, filter: Filter<M>) -> Result<u64, DbError> {
        let mut statement = Statement::new("SELECT count(*) FROM ");
        statement.put(M::INFO.quoted()).push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_filter(&filter, &mut statement)?;
        let count: i64 = self.fetch_scalar(statement).await?;
        Ok(count.unsigned_abs())
    }

    /// Whether any row matches. One round trip; stops at the first.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names what is wrong with the filter.
    pub async fn exists(&mut self, filter: Filter<M>) -> Result<bool, DbError> {
        let mut statement = Statement::new("SELECT EXISTS (SELECT FROM ");
        statement.put(M::INFO.quoted()).push(" WHERE ");
        self.write_scope(&mut statement);
        Self::write_and_filter(&filter, &mut statement)?;
        statement.push(")");
        self.fetch_scalar(statement).await
    }

    /// The rows of the query in their order, from its cursor on, at most so many.
    fn select_ordered(&self, query: &Query<M>, limit: Option<u32>) -> Result<Statement, DbError> {
        let order = TotalOrder::new(&query.sort, M::INFO)?;
        let write_end = |statement: &mut Statement| {
            statement.push(" ORDER BY ");
            order.write(statement);
            if let Some(limit) = limit {
                statement.push(" LIMIT ").put(limit);
            }
        };
        let mut statement = Statement::default();
        let Some(cursor) = &query.after else {
            self.write_select(&mut statement);
            Self::write_and_filter(&query.filter, &mut statement)?;
            write_end(&mut statement);
            return Ok(statement);
        };
        let kinds: Vec<_> = order.0.iter().map(|key| key.column.kind).collect();
        let list = self.fingerprint(query, &order);
        let values = cursor.decode(list, &kinds, self.tx.db().cursor_key())?;
        let parts = parts_after(&order, &values);
        for (n, part) in parts.iter().enumerate() {
            statement.push(if n == 0 { "(" } else { " UNION ALL (" });
            self.write_select(&mut statement);
            Self::write_and_filter(&query.filter, &mut statement)?;
            statement.push(" AND ");
            write_part(*part, &order, &values, &mut statement);
            write_end(&mut statement);
            statement.push(")");
        }
        if parts.len() > 1 {
            write_end(&mut statement);
        }
        Ok(statement)
    }

    fn cursor_after(&self, row: &M, query: &Query<M>) -> Result<Cursor, DbError> {
        let order = TotalOrder::new(&query.sort, M::INFO)?;
        let mut values = row.values()?;
        let of_order = order.0.iter().filter_map(|key| {
            let mut columns = M::INFO.columns.iter();
            let position = columns.position(|column| column.name == key.column.name)?;
            values
                .get_mut(position)
                .map(|value| std::mem::replace(value, Value::Null))
        });
        let of_order: Vec<Value> = of_order.collect();
        let list = self.fingerprint(query, &order);
        Cursor::encode(list, &of_order, self.tx.db().cursor_key())
    }

    fn fingerprint(&self, query: &Query<M>, order: &TotalOrder) -> Fingerprint {
        let scope = format!("{} {:?}", self.scope, self.archived);
        Fingerprint::new(M::INFO.name, &scope, &query.filter.to_json(), order)
    }
}
