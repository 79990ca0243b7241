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

/// Other tasks get their turn after this many bytes have been opened and sealed: the write of the batch
/// before is under way, and its round trips must not wait.
const YIELD_AFTER_BYTES: usize = 8 << 10;

/// Each value costs about as much as this many bytes, however short it is.
const BYTES_PER_VALUE: usize = 512;

/// A batch, read and sealed. The three lists of rows to write run in step.
pub(super) struct Batch {
    /// How many rows it was to have at most.
    pub(super) stride: u32,
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
    /// Does the work on the rows of a page, which come in the order of their ids. None if there are none.
    pub(super) async fn prepare(
        page: &PgRow,
        stride: u32,
        work: &Work,
    ) -> Result<Option<Self>, RotationError> {
        let get = DbError::from;
        let Some(last) = page.try_get("last_id").map_err(get)? else {
            return Ok(None);
        };
        let ids: Vec<String> = page.try_get("row_ids").map_err(get)?;
        let orgs: Vec<Option<String>> = page.try_get("org_ids").map_err(get)?;
        let found: Vec<Vec<u8>> = page.try_get("found").map_err(get)?;
        let mut batch = Self {
            stride,
            last,
            ids: Vec::with_capacity(ids.len()),
            found: Vec::with_capacity(ids.len()),
            sealed: Vec::with_capacity(ids.len()),
            bad: Vec::new(),
            scanned: page.try_get("scanned").map_err(get)?,
            already_current: page.try_get("already_current").map_err(get)?,
        };
        let mut bytes_since_yield = 0;
        for ((id, org), found) in ids.into_iter().zip(orgs).zip(found) {
            bytes_since_yield += BYTES_PER_VALUE + found.len();
            batch.take(id, org.as_deref(), found, work)?;
            if bytes_since_yield >= YIELD_AFTER_BYTES {
                bytes_since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(Some(batch))
    }

    /// A batch of rows that were looked at on the server, and need no work. None if one does, or there
    /// are none.
    pub(super) fn passed_over(page: &PgRow, stride: u32) -> Result<Option<Self>, DbError> {
        let (has_work, last) = (page.try_get("has_work")?, page.try_get("last_id")?);
        let (false, Some(last)) = (has_work, last) else {
            return Ok(None);
        };
        Ok(Some(Self {
            stride,
            last,
            ids: Vec::new(),
            found: Vec::new(),
            sealed: Vec::new(),
            bad: Vec::new(),
            scanned: page.try_get("scanned")?,
            already_current: page.try_get("already_current")?,
        }))
    }

    fn take(
        &mut self,
        id: String,
        org: Option<&str>,
        found: Vec<u8>,
        work: &Work,
    ) -> Result<(), RotationError> {
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
        Ok(())
    }

    /// Whether there was no work in it.
    pub(super) fn is_idle(&self) -> bool {
        self.ids.is_empty() && self.bad.is_empty()
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
