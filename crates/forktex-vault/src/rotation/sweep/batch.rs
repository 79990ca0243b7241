// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of one batch: what was found, and what shall stand there.

use forktex_db::DbError;
use forktex_db::sqlx::Row as _;
use forktex_db::sqlx::postgres::PgRow;
use zeroize::Zeroize as _;

use crate::rotation::checkpoint::Tally;
use crate::rotation::error::RotationError;
use crate::rotation::report::BadRowKind;
use crate::rotation::work::{Verdict, Work};

/// A batch ends after this many bytes of values, however few rows that is. One row is always read.
pub(super) const BYTES_MAX: i64 = 8 << 20;

/// Other tasks get their turn after this many bytes have been opened and sealed.
const YIELD_AFTER_BYTES: usize = 32 << 10;

/// Each value costs about as much as this many bytes, however short it is.
const BYTES_PER_VALUE: usize = 512;

/// A batch, read and sealed. The three lists of rows to write run in step.
pub(super) struct Batch {
    /// The id of the last row read.
    pub(super) last: String,
    pub(super) ids: Vec<String>,
    /// What the rows hold; plain values, when those are sealed.
    pub(super) found: Vec<Vec<u8>>,
    pub(super) sealed: Vec<Vec<u8>>,
    pub(super) bad: Vec<(String, BadRowKind)>,
    scanned: i64,
    already_current: i64,
}

impl Batch {
    /// Does the work on rows in the order of their ids. None if there are no rows.
    pub(super) async fn prepare(
        rows: Vec<PgRow>,
        work: &Work,
    ) -> Result<Option<Self>, RotationError> {
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        let mut batch = Self {
            last: last.try_get("row_id").map_err(DbError::from)?,
            ids: Vec::new(),
            found: Vec::new(),
            sealed: Vec::new(),
            bad: Vec::new(),
            scanned: i64::try_from(rows.len()).unwrap_or(i64::MAX),
            already_current: 0,
        };
        let mut bytes_since_yield = 0;
        for row in rows {
            bytes_since_yield += BYTES_PER_VALUE + batch.take(&row, work)?;
            if bytes_since_yield >= YIELD_AFTER_BYTES {
                bytes_since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(Some(batch))
    }

    /// Takes a row in, and says how long its value is.
    fn take(&mut self, row: &PgRow, work: &Work) -> Result<usize, RotationError> {
        let is_current: bool = row.try_get("is_current").map_err(DbError::from)?;
        let found: Option<Vec<u8>> = row.try_get("found").map_err(DbError::from)?;
        let Some(found) = found else {
            // A NULL is neither to be done nor done.
            self.already_current += i64::from(is_current);
            return Ok(0);
        };
        let id: String = row.try_get("row_id").map_err(DbError::from)?;
        let org: Option<&str> = row.try_get("org_id").map_err(DbError::from)?;
        let bytes = found.len();
        match work.judge(&id, org, &found) {
            Ok(Verdict::Current) => self.already_current += 1,
            Ok(Verdict::Replace(sealed)) => {
                self.ids.push(id);
                self.found.push(found);
                self.sealed.push(sealed);
            }
            Err(error) => match BadRowKind::of(&error) {
                Some(kind) => self.bad.push((id, kind)),
                None => return Err(error.into()),
            },
        }
        Ok(bytes)
    }

    /// The counts of the batch, when so many of its rows were written.
    pub(super) fn tally(&self, rotated: i64) -> Tally {
        let to_write = i64::try_from(self.ids.len()).unwrap_or(i64::MAX);
        Tally {
            scanned: self.scanned,
            rotated,
            already_current: self.already_current,
            lost_swaps: to_write - rotated,
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.found.zeroize();
    }
}
