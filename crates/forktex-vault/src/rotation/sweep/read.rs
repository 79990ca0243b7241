// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a table in pages, and does the work on them. Holds no lock, and writes nothing.

use forktex_db::sqlx::postgres::{PgArguments, PgRow};
use forktex_db::sqlx::query::Query;
use forktex_db::sqlx::{self, Postgres, SqlStr};
use forktex_db::{DbError, TransactionOptions};

use super::batch::{BYTES_MAX, Batch, Page, PageEnd};
use crate::rotation::error::RotationError;
use crate::rotation::statement::fill;
use crate::rotation::target::{Facts, Names};
use crate::rotation::work::Work;

/// The most rows that are passed over at once. A server looks at so many in some hundredths of a second.
const STRIDE_ROWS_MAX: u32 = 32_000;

/// How many times as many rows are looked at next, where there was no work in these: what is looked at
/// in vain, for a row further on, costs about as much as what was saved before.
const STRIDE_GROWTH: u32 = 4;

/// The reader of one column.
#[derive(Debug)]
pub(super) struct Reader {
    table: TransactionOptions,
    work: Work,
    batch_rows: u32,
    read_first: SqlStr,
    read_next: SqlStr,
    pass_over: SqlStr,
}

impl Reader {
    pub(super) fn new(
        table: TransactionOptions,
        names: &Names,
        facts: &Facts,
        work: Work,
        batch_rows: u32,
    ) -> Self {
        let parts = work.sql_parts(names);
        let filled = |template: &str, is_after: &str| {
            let parts = parts.iter().map(|(name, sql)| (*name, &**sql));
            let parts: Vec<_> = parts.chain([("is_after", is_after)]).collect();
            fill(template, &parts)
        };
        let is_after = format!("{} > $1::text::{}", names.id, facts.id_type);
        let read_page = include_str!("../sql/read_page.sql");
        Self {
            read_first: filled(read_page, "$1::text IS NULL"),
            read_next: filled(read_page, &is_after),
            pass_over: filled(include_str!("../sql/pass_over.sql"), &is_after),
            table,
            work,
            batch_rows,
        }
    }

    /// Reads the page behind a position. None at the end of the table. One statement.
    pub(super) async fn first(&self, after: Option<&str>) -> Result<Option<Page>, RotationError> {
        let statement = match after {
            Some(_) => &self.read_next,
            None => &self.read_first,
        };
        let row = self
            .fetch(|| {
                sqlx::query(statement.clone())
                    .bind(after)
                    .bind(i64::from(self.batch_rows))
                    .bind(BYTES_MAX)
            })
            .await?;
        Ok(Page::read(&row, self.batch_rows)?)
    }

    /// Reads the page behind another one. Where there was no work in that, it is a longer one, as long as
    /// there is none in this.
    pub(super) async fn following(&self, end: &PageEnd) -> Result<Option<Page>, RotationError> {
        if end.is_idle && self.work.is_told_by_server() {
            let rows = end.stride.saturating_mul(STRIDE_GROWTH);
            let rows = rows.min(STRIDE_ROWS_MAX.max(self.batch_rows));
            let row = self
                .fetch(|| {
                    sqlx::query(self.pass_over.clone())
                        .bind(&end.last)
                        .bind(i64::from(rows))
                })
                .await?;
            if let Some(passed) = Page::passed_over(&row, rows)? {
                return Ok(Some(passed));
            }
        }
        self.first(Some(&end.last)).await
    }

    /// Does the work on a page.
    pub(super) async fn seal(&self, page: Page) -> Result<Batch, RotationError> {
        Batch::seal(page, &self.work).await
    }

    async fn fetch<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<PgRow, DbError> {
        self.table
            .clone()
            .transaction(async |tx| Ok(query().fetch_one(tx.connection()).await?))
            .await
    }
}
