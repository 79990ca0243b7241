// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a table in pages, and does the work on them. Holds no lock, and writes nothing.

use forktex_db::sqlx::{self, SqlStr};
use forktex_db::{Db, DbError};

use super::batch::{BYTES_MAX, Batch};
use crate::rotation::error::RotationError;
use crate::rotation::statement::fill;
use crate::rotation::target::{Facts, Names};
use crate::rotation::work::Work;

/// The most rows that a page passes over, where it finds nothing to do in them. The server reads as many
/// in some hundredths of a second.
const SCAN_ROWS_MAX: u32 = 32_000;

/// How many times as many rows the next page passes over, when one has found nothing to do.
const SCAN_GROWTH: u32 = 4;

/// The reader of one column.
#[derive(Debug)]
pub(super) struct Reader {
    db: Db,
    work: Work,
    batch_rows: u32,
    read_first: SqlStr,
    read_next: SqlStr,
}

impl Reader {
    pub(super) fn new(db: Db, names: &Names, facts: &Facts, work: Work, batch_rows: u32) -> Self {
        let parts = work.sql_parts(names);
        let read = |is_after: &str| {
            let parts = parts.iter().map(|(name, sql)| (*name, &**sql));
            let parts: Vec<_> = parts.chain([("is_after", is_after)]).collect();
            fill(include_str!("../sql/read_page.sql"), &parts)
        };
        let after = format!("{} > $1::text::{}", names.id, facts.id_type);
        Self {
            read_first: read("$1::text IS NULL"),
            read_next: read(&after),
            db,
            work,
            batch_rows,
        }
    }

    /// Reads the batch behind a position, and seals it anew. None at the end of the table. One statement.
    pub(super) async fn batch(
        &self,
        after: Option<&str>,
        scan_rows: u32,
    ) -> Result<Option<Batch>, RotationError> {
        let statement = match after {
            Some(_) => &self.read_next,
            None => &self.read_first,
        };
        let page = self
            .db
            .read_only()
            .transaction(async |tx| {
                let page = sqlx::query(statement.clone())
                    .bind(after)
                    .bind(i64::from(scan_rows))
                    .bind(BYTES_MAX)
                    .bind(i64::from(self.batch_rows))
                    .fetch_one(tx.connection())
                    .await;
                page.map_err(DbError::from)
            })
            .await?;
        Batch::prepare(&page, scan_rows, &self.work).await
    }

    /// Reads the batch behind another one.
    pub(super) async fn following(&self, batch: &Batch) -> Result<Option<Batch>, RotationError> {
        let scan_rows = if batch.is_idle() {
            let grown = batch.scan_rows.saturating_mul(SCAN_GROWTH);
            grown.min(SCAN_ROWS_MAX.max(self.batch_rows))
        } else {
            self.batch_rows
        };
        self.batch(Some(&batch.last), scan_rows).await
    }

    /// Reads the first batch behind a position.
    pub(super) async fn first(&self, after: Option<&str>) -> Result<Option<Batch>, RotationError> {
        self.batch(after, self.batch_rows).await
    }
}
