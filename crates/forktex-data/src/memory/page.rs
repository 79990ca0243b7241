// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which of the sorted rows are shown, and where the next ones begin.

use std::cmp::Ordering;

use super::MemoryRow;
use super::sort::{directed, ties_descend};
use crate::cell::Cell;
use crate::cursor::Cursor;
use crate::error::DataError;
use crate::filter::evaluate::{RowView as _, compare_cells};
use crate::memory::is_descending;
use crate::query::plan::{CheckedQuery, Window};
use crate::value::Value;

/// Whether a row comes after the query's cursor; every row does where there is none.
pub(crate) fn is_after(query: &CheckedQuery, row: &MemoryRow) -> bool {
    let Window::Scroll {
        after: Some(after), ..
    } = &query.window
    else {
        return true;
    };
    let mut cursor = after.iter().map(|value| match value {
        Some(value) => Cell::Value(value.clone()),
        None => Cell::Null,
    });
    for key in &query.sort {
        let there = cursor.next().unwrap_or(Cell::Null);
        let ordering = compare_cells(&row.cell(key.column), &there);
        match directed(ordering, is_descending(key)) {
            Ordering::Equal => {}
            other => return other.is_gt(),
        }
    }
    let id = Cell::Value(Value::Uuid(row.id));
    let there = cursor.next().unwrap_or(Cell::Null);
    directed(compare_cells(&id, &there), ties_descend(query)).is_gt()
}

/// The rows of the window, of rows that are sorted and come after the cursor, and the cursor of the next
/// ones where there are more.
pub(super) fn window(
    rows: Vec<MemoryRow>,
    query: &CheckedQuery,
) -> Result<(Vec<MemoryRow>, Option<Cursor>), DataError> {
    match &query.window {
        Window::Page { number, size } => {
            let before = number.saturating_sub(1).saturating_mul(u64::from(*size));
            let before = usize::try_from(before).unwrap_or(usize::MAX);
            let shown = rows.into_iter().skip(before).take(length(*size));
            Ok((shown.collect(), None))
        }
        Window::Scroll { size, .. } => {
            let mut rows = rows;
            // A query that counts reads every row, those before the cursor too.
            rows.retain(|row| is_after(query, row));
            let has_more = rows.len() > length(*size);
            rows.truncate(length(*size));
            let next = match rows.last().filter(|_| has_more) {
                Some(last) => Some(Cursor::encode(&query.fingerprint, &keys(query, last))?),
                None => None,
            };
            Ok((rows, next))
        }
    }
}

/// The sort keys of a row, and its id: what a cursor holds.
fn keys(query: &CheckedQuery, row: &MemoryRow) -> Vec<Option<Value>> {
    let keys = query.sort.iter().map(|key| key.column);
    keys.map(|column| row.cell(column).value().cloned())
        .chain([Some(Value::Uuid(row.id))])
        .collect()
}

fn length(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
