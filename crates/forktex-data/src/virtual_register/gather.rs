// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a source page by page, until there are no more rows or enough of them.
//!
//! Each way in which an answer could come to lack rows is an error here: too many rows, no end, a row
//! that comes twice, an order that is not kept, a cell that does not fit.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::push::Push;
use super::request::VirtualCell;
use super::{
    Paging, VIRTUAL_PAGES_MAX, VirtualCapabilities, VirtualError, VirtualPage, VirtualPosition,
    VirtualRegister, VirtualRequest, VirtualRow,
};
use crate::cell::Cell;
use crate::coerce::{coerce, coerce_value};
use crate::custom_type::TypeRegistry;
use crate::memory::{self, MemoryRow};
use crate::query::plan::CheckedQuery;
use crate::register::LoadedRegister;
use crate::row::RowId;
use crate::validate::CellProblem;

/// A source as it is read for one tenant.
pub(super) struct Reader<'a> {
    pub(super) register: &'a LoadedRegister,
    pub(super) source: &'a dyn VirtualRegister,
    pub(super) types: &'a TypeRegistry,
    pub(super) tenant: Uuid,
    pub(super) capabilities: VirtualCapabilities,
}

impl Reader<'_> {
    /// The rows that match the query: all of them, or, where [`Push::needed`] says so, the first ones in
    /// its order and perhaps some more. One request for each page.
    pub(super) async fn matching(
        &self,
        query: &CheckedQuery,
        push: &Push,
    ) -> Result<Vec<MemoryRow>, VirtualError> {
        let mut walk = Walk::default();
        let mut matching = Vec::new();
        let mut last: Option<MemoryRow> = None;
        while let Some(position) = walk.next() {
            let page = self.fetch(&push.at(position)).await?;
            for row in walk.take(page, &self.capabilities)? {
                let row = self.read(row)?;
                if let Some(last) = &last
                    && push.compare(query, last, &row).is_gt()
                {
                    return Err(Self::misordered(push));
                }
                let is_shown = push.counts_all || memory::is_after(query, &row);
                if is_shown && memory::matches(self.register, query, &row) {
                    matching.push(row.clone());
                }
                last = Some(row);
            }
            if is_enough(query, push, &matching, last.as_ref()) {
                break;
            }
        }
        Ok(matching)
    }

    /// Every row of the source that the request asks for, as the source gave it.
    pub(super) async fn all(
        &self,
        request: &VirtualRequest,
    ) -> Result<Vec<VirtualRow>, VirtualError> {
        let mut walk = Walk::default();
        let mut rows = Vec::new();
        while let Some(position) = walk.next() {
            let request = VirtualRequest {
                position,
                ..request.clone()
            };
            let page = self.fetch(&request).await?;
            rows.extend(walk.take(page, &self.capabilities)?);
        }
        Ok(rows)
    }

    /// One page, within the time limit.
    async fn fetch(&self, request: &VirtualRequest) -> Result<VirtualPage, VirtualError> {
        self.within_limit(self.source.fetch(self.tenant, request))
            .await
    }

    /// Bounds one call of the source.
    pub(super) async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, VirtualError>>,
    ) -> Result<T, VirtualError> {
        let limit: Duration = self.capabilities.fetch_timeout;
        match tokio::time::timeout(limit, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(VirtualError::TimedOut { limit }),
        }
    }

    /// Holds a row against the fields.
    pub(super) fn read(&self, row: VirtualRow) -> Result<MemoryRow, VirtualError> {
        let id = row.id.row_id();
        let mut given: BTreeMap<String, VirtualCell> = row.cells;
        let mut cells = Vec::with_capacity(self.register.fields.len());
        for field in &self.register.fields {
            let problem = |problem: CellProblem| VirtualError::Cell {
                field: field.name().to_owned(),
                problem: Box::new(problem),
            };
            let cell = match given.remove(field.name()) {
                None => Cell::Absent,
                Some(VirtualCell::Json(json)) => {
                    coerce(field, &json, self.types).map_err(problem)?
                }
                Some(VirtualCell::Value(value)) => {
                    coerce_value(field, value, self.types).map_err(problem)?
                }
            };
            if field.definition.required && cell.is_empty() {
                return Err(problem(CellProblem::Required));
            }
            cells.push(cell);
        }
        if let Some(field) = given.into_keys().next() {
            return Err(VirtualError::UnknownField { field });
        }
        let created_at = row
            .created_at
            .or_else(|| RowId::from(id).created_at())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(MemoryRow {
            id,
            version: row.version,
            external_ref: row.id.external_ref(),
            created_at: microseconds(created_at),
            updated_at: microseconds(row.updated_at.unwrap_or(created_at)),
            archived_at: row.archived_at.map(microseconds),
            cells,
        })
    }

    fn misordered(push: &Push) -> VirtualError {
        let fields = push.request.sort.iter().map(|key| key.field.as_str());
        VirtualError::Misordered {
            field: fields.collect::<Vec<_>>().join(", "),
        }
    }
}

/// An instant without what is finer than a microsecond, as every other source has it.
fn microseconds(instant: OffsetDateTime) -> OffsetDateTime {
    let nanoseconds = instant.nanosecond() / 1_000 * 1_000;
    instant.replace_nanosecond(nanoseconds).unwrap_or(instant)
}

/// Whether the rows that the answer needs are all there: so many match, and the source has gone past
/// the last of them by the keys that it sorts by.
fn is_enough(
    query: &CheckedQuery,
    push: &Push,
    matching: &[MemoryRow],
    last: Option<&MemoryRow>,
) -> bool {
    let Some(needed) = push.needed else {
        return false;
    };
    let last_needed = needed.checked_sub(1).and_then(|n| matching.get(n));
    match (last_needed, last) {
        (Some(needed), Some(last)) => push.compare(query, needed, last).is_lt(),
        _ => false,
    }
}

/// The way through the pages of one reading, and its bounds.
struct Walk {
    next: Option<VirtualPosition>,
    pages: usize,
    rows: usize,
    seen: HashSet<Uuid>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            next: Some(VirtualPosition::Start),
            pages: 0,
            rows: 0,
            seen: HashSet::new(),
        }
    }
}

impl Walk {
    /// Where the next page begins; `None` when there is none.
    fn next(&self) -> Option<VirtualPosition> {
        self.next.clone()
    }

    /// Takes a page in: counts it, and finds out whether another one follows.
    fn take(
        &mut self,
        page: VirtualPage,
        capabilities: &VirtualCapabilities,
    ) -> Result<Vec<VirtualRow>, VirtualError> {
        self.pages += 1;
        self.rows += page.rows.len();
        let rows_max = capabilities.rows_max;
        if self.rows > rows_max {
            return Err(VirtualError::TooManyRows { rows_max });
        }
        if !page
            .rows
            .iter()
            .all(|row| self.seen.insert(row.id.row_id()))
        {
            return Err(VirtualError::Repeated);
        }
        let next = match (page.next, capabilities.paging) {
            // A cursor is followed whatever the source said of itself: it means that there is more.
            (Some(cursor), _) if !page.is_last => Some(VirtualPosition::Cursor(cursor)),
            (None, Paging::Offset) if !page.is_last && !page.rows.is_empty() => {
                let rows = u64::try_from(self.rows).unwrap_or(u64::MAX);
                Some(VirtualPosition::Offset(rows))
            }
            _ => None,
        };
        if next.is_some() && next == self.next {
            return Err(VirtualError::NoProgress);
        }
        if next.is_some() && self.pages >= VIRTUAL_PAGES_MAX {
            return Err(VirtualError::TooManyPages {
                pages_max: VIRTUAL_PAGES_MAX,
            });
        }
        self.next = next;
        Ok(page.rows)
    }
}

#[cfg(test)]
mod tests;
