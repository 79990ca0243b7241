// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How often each value of a field occurs among the rows that match.

use std::collections::BTreeMap;

use super::aggregates::Key;
use super::{MemoryRow, number};
use crate::filter::check::Column;
use crate::limits::FACET_VALUES_MAX;
use crate::query::plan::CheckedQuery;
use crate::register::LoadedRegister;
use crate::result::FacetValue;

/// The facets that the query asks for, by the names of their fields. The most frequent value comes
/// first, equally frequent ones in their order, rows without a value as one value at the end of it.
pub(super) fn facets(
    register: &LoadedRegister,
    rows: &[MemoryRow],
    query: &CheckedQuery,
) -> BTreeMap<String, Vec<FacetValue>> {
    let columns = query.facets.iter().map(|field| Column::Field(*field));
    columns
        .map(|column| {
            let name = column.name(register).to_owned();
            (name, values(rows, column))
        })
        .collect()
}

fn values(rows: &[MemoryRow], column: Column) -> Vec<FacetValue> {
    let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(Key::of(row, column)).or_default() += 1;
    }
    let mut counts: Vec<(Key, usize)> = counts.into_iter().collect();
    // Stable: values that are equally frequent stay in their order.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
        .into_iter()
        .take(FACET_VALUES_MAX)
        .map(|(key, count)| FacetValue::new(key.into_value(), number(count)))
        .collect()
}
