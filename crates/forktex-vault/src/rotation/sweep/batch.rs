// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of one batch: what was found, and what shall stand there.

use forktex_db::DbError;
use forktex_db::sqlx::Row as _;
use forktex_db::sqlx::postgres::PgRow;
use zeroize::Zeroize as _;

use crate::rotation::checkpoint::Tally;
use crate::rotation::error::RotationError;
use crate::rotation::report::BadRowKind;
use crate::rotation::work::{Found, Verdict, Work};

/// A batch ends after this many bytes of values, however few rows that is. One row is always read.
pub(super) const BYTES_MAX: i64 = 8 << 20;

/// Other futures get their turn after this many bytes have been opened and sealed: the batch before is
/// being written and the next page read meanwhile, and their round trips must not wait.
const YIELD_AFTER_BYTES: usize = 8 << 10;

/// Each value costs about as much as this many bytes, however short it is.
const BYTES_PER_VALUE: usize = 512;

/// Where a page ends.
#[derive(Clone, Debug)]
pub(super) struct PageEnd {
    /// The id of the last row read.
    pub(super) last: String,
    /// How many rows the page was to have at most.
    pub(super) stride: u32,
    /// Whether the server saw that no row of it needs work.
    pub(super) is_idle: bool,
}

/// A page as it was read: what of it needs work, and the counts of the rest.
pub(super) struct Page {
    pub(super) end: PageEnd,
    ids: Vec<String>,
    orgs: Vec<Option<String>>,
    plain: Vec<Option<String>>,
    found: Vec<Vec<u8>>,
    scanned: i64,
    already_current: i64,
}

impl Page {
    /// Reads the one row of `read_page.sql`. None if there were no rows.
    pub(super) fn read(row: &PgRow, stride: u32) -> Result<Option<Self>, DbError> {
        let Some(last) = row.try_get("last_id")? else {
            return Ok(None);
        };
        let ids: Vec<String> = row.try_get("row_ids")?;
        let is_idle = ids.is_empty();
        Ok(Some(Self {
            end: PageEnd {
                last,
                stride,
                is_idle,
            },
            ids,
            orgs: row.try_get("org_ids")?,
            plain: row.try_get("plain")?,
            found: row.try_get("found")?,
            scanned: row.try_get("scanned")?,
            already_current: row.try_get("already_current")?,
        }))
    }

    /// Reads the one row of `pass_over.sql`. None if a row needs work, or there were none.
    pub(super) fn passed_over(row: &PgRow, stride: u32) -> Result<Option<Self>, DbError> {
        let (has_work, last) = (row.try_get("has_work")?, row.try_get("last_id")?);
        let (false, Some(last)) = (has_work, last) else {
            return Ok(None);
        };
        Ok(Some(Self {
            end: PageEnd {
                last,
                stride,
                is_idle: true,
            },
            ids: Vec::new(),
            orgs: Vec::new(),
            plain: Vec::new(),
            found: Vec::new(),
            scanned: row.try_get("scanned")?,
            already_current: row.try_get("already_current")?,
        }))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.found.zeroize();
        self.plain.zeroize();
    }
}

/// A page whose values were sealed anew. The three lists of rows to write run in step.
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
    /// Does the work on a page.
    pub(super) async fn seal(mut page: Page, work: &Work) -> Result<Self, RotationError> {
        let rows = page.ids.len();
        let mut batch = Self {
            last: std::mem::take(&mut page.end.last),
            ids: Vec::with_capacity(rows),
            found: Vec::with_capacity(rows),
            sealed: Vec::with_capacity(rows),
            bad: Vec::new(),
            scanned: page.scanned,
            already_current: page.already_current,
        };
        let mut bytes_since_yield = 0;
        let orgs = page.orgs.iter().zip(&page.plain);
        let rows = page.ids.drain(..).zip(orgs).zip(&mut page.found);
        for ((id, (org, plain)), found) in rows {
            bytes_since_yield += BYTES_PER_VALUE + found.len();
            let row = Found {
                id: &id,
                org: org.as_deref(),
                value: found,
                plain: plain.as_deref(),
            };
            match work.judge(row)? {
                Verdict::Current => batch.already_current += 1,
                Verdict::Replace(sealed) => {
                    batch.ids.push(id);
                    batch.found.push(std::mem::take(found));
                    batch.sealed.push(sealed);
                }
                Verdict::Bad(kind) => batch.bad.push((id, kind)),
            }
            if bytes_since_yield >= YIELD_AFTER_BYTES {
                bytes_since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(batch)
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
