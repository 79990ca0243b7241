// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which parts of a query its source is asked to do. Pure.
//!
//! Nothing is taken out of the query: what is pushed only makes the source's answer smaller.

use std::cmp::Ordering;

use super::{VirtualCapabilities, VirtualCondition, VirtualPosition, VirtualRequest, VirtualSort};
use crate::filter::check::{CheckedFilter, Column};
use crate::memory::{MemoryRow, is_descending};
use crate::operator::Operator;
use crate::query::plan::{CheckedQuery, Count, Window};
use crate::register::LoadedRegister;
use crate::search::Search;
use crate::value::Value;

/// What a source is asked, and when enough was read.
pub(super) struct Push {
    /// The request for the first page.
    pub(super) request: VirtualRequest,
    /// How many keys of the query's order the source keeps.
    pub(super) sorted_keys: usize,
    /// Whether every row that matches counts, also those before the cursor.
    pub(super) counts_all: bool,
    /// How many matching rows the answer needs, where it does not need all of them: then reading ends
    /// once so many are there and no other row can come before one of them.
    pub(super) needed: Option<usize>,
}

impl Push {
    pub(super) fn new(
        register: &LoadedRegister,
        capabilities: &VirtualCapabilities,
        query: &CheckedQuery,
    ) -> Self {
        let mut request = VirtualRequest::new(capabilities.page_rows);
        let tests = conjuncts(&query.filter);
        for test in tests {
            let CheckedFilter::Test(test) = test else {
                continue;
            };
            let field = test.column.name(register);
            if capabilities.can_filter(field, test.operator) {
                request.conditions.push(VirtualCondition::new(
                    field,
                    test.operator,
                    test.operands.clone(),
                ));
            }
        }
        if let (Search::Words(words), true) = (&query.search, capabilities.has_search) {
            request.search = Some(words.join(" "));
        }
        let fields = query.sort.iter().map(|key| key.column.name(register));
        let sorted_keys = capabilities.sortable_keys(fields);
        request.sort = query
            .sort
            .iter()
            .take(sorted_keys)
            .map(|key| VirtualSort::new(key.column.name(register), is_descending(key)))
            .collect();
        let counts_all = counts_all(query);
        if !counts_all {
            let after = cursor_condition(register, capabilities, query);
            request.conditions.extend(after);
        }
        Self {
            request,
            sorted_keys,
            counts_all,
            needed: (!counts_all && sorted_keys > 0).then(|| needed(query)),
        }
    }

    /// The request for the page at a position.
    pub(super) fn at(&self, position: VirtualPosition) -> VirtualRequest {
        VirtualRequest {
            position,
            ..self.request.clone()
        }
    }

    /// How two rows stand by the keys that the source keeps.
    pub(super) fn compare(
        &self,
        query: &CheckedQuery,
        one: &MemoryRow,
        two: &MemoryRow,
    ) -> Ordering {
        let keys = query.sort.iter().take(self.sorted_keys);
        keys.map(|key| crate::memory::compare_by(key, one, two))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// The members of the filter that must hold each.
fn conjuncts(filter: &CheckedFilter) -> Vec<&CheckedFilter> {
    match filter {
        CheckedFilter::And(members) => members.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

/// Whether something is said about all the rows that match, and not only about those that are shown.
fn counts_all(query: &CheckedQuery) -> bool {
    query.count != Count::None
        || !query.facets.is_empty()
        || !query.aggregates.is_empty()
        || !query.group_by.is_empty()
}

/// How many matching rows, in order, are enough for the window and for knowing whether more follow.
fn needed(query: &CheckedQuery) -> usize {
    let rows = match &query.window {
        Window::Page { number, size } => number.saturating_mul(u64::from(*size)),
        Window::Scroll { size, .. } => u64::from(*size),
    };
    usize::try_from(rows)
        .unwrap_or(usize::MAX)
        .saturating_add(1)
}

/// Leaves out rows before the cursor, by the first key of the order: those that are strictly on the
/// wrong side of its value there.
///
/// Ascending, the rows without a value come last and must not be lost by a comparison, so that the field
/// has to be a required one; descending, they have been passed already.
fn cursor_condition(
    register: &LoadedRegister,
    capabilities: &VirtualCapabilities,
    query: &CheckedQuery,
) -> Option<VirtualCondition> {
    let Window::Scroll {
        after: Some(after), ..
    } = &query.window
    else {
        return None;
    };
    let key = query.sort.first()?;
    let value: &Value = after.first()?.as_ref()?;
    let Column::Field(position) = key.column else {
        return None;
    };
    let field = register.fields.get(position)?;
    let operator = if is_descending(key) {
        Operator::Lte
    } else if field.definition.required {
        Operator::Gte
    } else {
        return None;
    };
    capabilities
        .can_filter(field.name(), operator)
        .then(|| VirtualCondition::new(field.name(), operator, vec![value.clone()]))
}
