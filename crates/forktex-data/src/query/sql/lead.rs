// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What leads through a list that is sorted by an indexed field.
//!
//! An entry of a side table is found by its value, never by its row alone. A plan that looks for the sort
//! key of each row that a filter has found reads all entries of the field for each of them. The server
//! cannot know how many rows a bound value has once its plan is made for any value, and takes that plan;
//! so the way is chosen here, and the statement leaves it no other.

use crate::filter::check::CheckedFilter;
use crate::query::plan::CheckedQuery;

use super::filter::write_test_on;
use super::{Key, RowSource, Search, SqlWriter, conjuncts, entry, is_by_value, outgoing_link};

/// As many rows of one value are sorted; of more, the order is followed and each row asked for the value.
const SORTED_ROWS_MAX: usize = 1_000;

/// What leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// What the planner takes: no index has the order.
    Any,
    /// The index that has the order; the rest is asked of each row that it gives.
    Sort,
    /// The filter; what it finds is sorted by its cells.
    Filter,
}

/// A lead, or what it depends on.
pub(crate) enum LeadChoice {
    Known(Lead),
    /// A statement that counts the rows of the rarest value, up to a bound: see [`lead_by`].
    Counted(SqlWriter),
}

/// The lead by the count of the rarest value.
pub(crate) fn lead_by(count: i64) -> Lead {
    match usize::try_from(count) {
        Ok(count) if count >= SORTED_ROWS_MAX => Lead::Sort,
        _ => Lead::Filter,
    }
}

/// What leads through a list.
pub(crate) fn choose(source: &dyn RowSource, query: &CheckedQuery) -> LeadChoice {
    let first = query.sort.first().map(|key| key.column);
    let Some(first) =
        first.filter(|first| source.is_one_table() && entry(source, *first).is_some())
    else {
        return LeadChoice::Known(Lead::Any);
    };
    let members = conjuncts(&query.filter);
    // How many rows those leave is not to be learnt by a short look at an index.
    let is_narrowed = |member: &&CheckedFilter| match member {
        CheckedFilter::Related(_) => true,
        CheckedFilter::Test(test) => {
            is_by_value(test.operator) && outgoing_link(source, test.column)
        }
        _ => false,
    };
    if query.search != Search::None || members.iter().any(is_narrowed) {
        return LeadChoice::Known(Lead::Filter);
    }
    let values: Vec<_> = members
        .into_iter()
        .filter_map(|member| match member {
            CheckedFilter::Test(test) if is_by_value(test.operator) && test.column != first => {
                Some((test, entry(source, test.column)?))
            }
            _ => None,
        })
        .collect();
    if values.is_empty() {
        return LeadChoice::Known(Lead::Sort);
    }
    let mut writer = SqlWriter::new("SELECT least(");
    for (n, (test, entry)) in values.into_iter().enumerate() {
        let comma = if n > 0 { ", " } else { "" };
        let key = writer.bind_key(Key::Field(entry.key));
        writer.push(&format!(
            "{comma}(SELECT count(*) FROM (SELECT 1 FROM {} e WHERE e.field_key = {key} AND ",
            entry.table
        ));
        write_test_on(&mut writer, test, &entry.expression("e"));
        writer.push(&format!(" LIMIT {SORTED_ROWS_MAX}) some_rows)"));
    }
    writer.push(") AS rarest");
    LeadChoice::Counted(writer)
}
