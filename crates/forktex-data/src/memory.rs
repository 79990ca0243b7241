// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Queries over rows that are all in memory: the same answers as from SQL, order, ties and empty cells
//! included.
//!
//! It fetches nothing and knows no source: whoever gives the rows has seen to it that they are all
//! there, and that they are few enough.

mod aggregates;
mod facets;
mod page;
mod search;
mod sort;

use std::borrow::Cow;
use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::cell::Cell;
use crate::error::DataError;
use crate::filter::check::Column;
use crate::filter::evaluate::{RowView, evaluate};
use crate::query::Archived;
use crate::query::plan::{CheckedQuery, Count};
use crate::register::LoadedRegister;
use crate::result::{QueryResult, Total};
use crate::row::{Row, RowId};
use crate::value::Value;

pub(crate) use page::is_after;
pub(crate) use search::check as check_search;
pub(crate) use sort::{compare_by, is_descending};

/// A row as it is held in memory.
#[derive(Clone)]
pub(crate) struct MemoryRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) external_ref: Option<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) archived_at: Option<OffsetDateTime>,
    /// One for each field of the register, in their order.
    pub(crate) cells: Vec<Cell>,
}

/// Whether the query is about the row: by its filter, its search, and by what is archived.
pub(crate) fn matches(register: &LoadedRegister, query: &CheckedQuery, row: &MemoryRow) -> bool {
    let is_asked = match query.archived {
        Archived::Exclude => row.archived_at.is_none(),
        Archived::Include => true,
        Archived::Only => row.archived_at.is_some(),
    };
    is_asked
        && evaluate(&query.filter, register, row)
        && search::matches(register, &query.search, row)
}

/// The answer from all the rows that match; the order in which they come does not matter.
///
/// Rows before the query's cursor may be missing, and so may rows that come after all that the window
/// shows, if one of those is there, so that it is known that more follow; but not where anything is
/// counted.
pub(crate) fn answer(
    register: &LoadedRegister,
    mut rows: Vec<MemoryRow>,
    query: &CheckedQuery,
) -> Result<QueryResult, DataError> {
    let total = match query.count {
        Count::None => None,
        Count::Estimated | Count::Exact => Some(Total::exact(number(rows.len()))),
    };
    let facets = facets::facets(register, &rows, query);
    let groups = aggregates::groups(register, &rows, query)?;
    let aggregates = if query.group_by.is_empty() {
        let all: Vec<&MemoryRow> = rows.iter().collect();
        aggregates::aggregates(register, &all, query)?
    } else {
        BTreeMap::new()
    };
    if !query.group_by.is_empty() {
        // Groups are shown in place of rows.
        rows.clear();
    }
    rows.sort_by(|one, two| sort::compare(query, one, two));
    let (rows, next) = page::window(rows, query)?;
    Ok(QueryResult {
        rows: rows
            .into_iter()
            .map(|row| row.into_row(register, query.fields.iter().copied()))
            .collect(),
        facets,
        aggregates,
        groups,
        total,
        next,
        stale_fields: Vec::new(),
    })
}

/// A count as it is shown.
fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl MemoryRow {
    /// The row as it is given out, with the fields that were asked for.
    pub(crate) fn into_row(
        mut self,
        register: &LoadedRegister,
        fields: impl IntoIterator<Item = usize>,
    ) -> Row {
        let id = RowId::from(self.id);
        let mut row = Row::new(id, self.version, self.created_at, self.updated_at);
        row.external_ref = self.external_ref;
        row.archived_at = self.archived_at;
        for position in fields {
            let field = register.fields.get(position);
            let cell = self.cells.get_mut(position).map(std::mem::take);
            if let (Some(field), Some(cell)) = (field, cell) {
                row.insert_cell(field.name(), cell);
            }
        }
        row
    }
}

impl RowView for MemoryRow {
    fn cell(&self, column: Column) -> Cow<'_, Cell> {
        let value = match column {
            Column::Field(position) => {
                let cell = self.cells.get(position);
                return cell.map_or(Cow::Owned(Cell::Absent), Cow::Borrowed);
            }
            Column::Id => Some(Value::Uuid(self.id)),
            Column::CreatedAt => Some(Value::Instant(self.created_at)),
            Column::UpdatedAt => Some(Value::Instant(self.updated_at)),
            Column::ArchivedAt => self.archived_at.map(Value::Instant),
            Column::Version => Some(Value::Integer(self.version)),
            Column::ExternalRef => self.external_ref.clone().map(Value::Text),
        };
        Cow::Owned(value.map_or(Cell::Absent, Cell::Value))
    }

    /// Sources in memory have no references.
    fn links(&self, _field: usize) -> Cow<'_, [Uuid]> {
        Cow::Borrowed(&[])
    }
}

#[cfg(test)]
pub(crate) mod tests;
