// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The order of rows: by the keys of the query, empty cells as the greatest, and ties by the id in the
//! direction of the last key, so that no two rows are equal.

use std::cmp::Ordering;

use crate::filter::evaluate::{RowView as _, compare_cells};
use crate::memory::MemoryRow;
use crate::query::plan::CheckedQuery;
use crate::sort::{SortDirection, SortKey, tie_direction};

/// Whether the greatest come first by this key.
pub(crate) fn is_descending(key: &SortKey) -> bool {
    key.direction == SortDirection::Descending
}

/// The order by one key.
pub(crate) fn compare_by(key: &SortKey, one: &MemoryRow, two: &MemoryRow) -> Ordering {
    let ordering = compare_cells(&one.cell(key.column), &two.cell(key.column));
    directed(ordering, is_descending(key))
}

/// The order of two rows.
pub(super) fn compare(query: &CheckedQuery, one: &MemoryRow, two: &MemoryRow) -> Ordering {
    let by_keys = query
        .sort
        .iter()
        .map(|key| compare_by(key, one, two))
        .find(|ordering| ordering.is_ne());
    by_keys.unwrap_or_else(|| directed(one.id.cmp(&two.id), ties_descend(query)))
}

/// Whether ties are in descending order of their ids: as the last key is.
pub(super) fn ties_descend(query: &CheckedQuery) -> bool {
    tie_direction(&query.sort) == SortDirection::Descending
}

pub(super) fn directed(ordering: Ordering, is_descending: bool) -> Ordering {
    if is_descending {
        ordering.reverse()
    } else {
        ordering
    }
}
