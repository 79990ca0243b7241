// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a source says that it can do by itself.
//!
//! A capability makes queries cheaper and changes no answer: each condition is tested again in memory,
//! and each order is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::limits::VIRTUAL_ROWS_MAX;
use crate::operator::Operator;

/// How many rows a source may let one query hold in memory at most; a larger wish is cut to this.
pub const VIRTUAL_ROWS_LIMIT: usize = 100_000;

/// How many rows are asked for at once, unless the source says otherwise.
pub const VIRTUAL_PAGE_ROWS_DEFAULT: usize = 1_000;

/// How many pages one query may take.
pub const VIRTUAL_PAGES_MAX: usize = 10_000;

/// How long a source may take for one page, unless it says otherwise.
pub const VIRTUAL_FETCH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// How a source gives its rows in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Paging {
    /// Not at all: one request gives all rows.
    #[default]
    None,
    /// By how many rows to pass over.
    Offset,
    /// By a text of its own that says where the next page begins.
    Cursor,
}

/// What a source can do by itself; nothing, unless it is said.
///
/// # Examples
/// ```
/// use forktex_data::{Operator, Paging, VirtualCapabilities};
///
/// let capabilities = VirtualCapabilities::new()
///     .filters("status", [Operator::Eq])
///     .sorts_by(["issued_at"])
///     .paging(Paging::Cursor)
///     .page_rows(100);
/// assert!(capabilities.can_filter("status", Operator::Eq));
/// assert!(!capabilities.can_filter("status", Operator::Ne));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualCapabilities {
    operators: BTreeMap<String, Vec<Operator>>,
    sort_fields: BTreeSet<String>,
    sort_keys_max: usize,
    pub(crate) has_search: bool,
    pub(crate) has_find: bool,
    pub(crate) paging: Paging,
    pub(crate) rows_max: usize,
    pub(crate) page_rows: usize,
    pub(crate) fetch_timeout: Duration,
}

impl VirtualCapabilities {
    /// None at all.
    pub fn new() -> Self {
        Self {
            operators: BTreeMap::new(),
            sort_fields: BTreeSet::new(),
            sort_keys_max: 1,
            has_search: false,
            has_find: false,
            paging: Paging::None,
            rows_max: VIRTUAL_ROWS_MAX,
            page_rows: VIRTUAL_PAGE_ROWS_DEFAULT,
            fetch_timeout: VIRTUAL_FETCH_TIMEOUT_DEFAULT,
        }
    }

    /// The source filters a field by these operators. It means at least the rows that this crate means:
    /// texts equal by their code points, and a comparison with a cell that has no value is false.
    pub fn filters(
        mut self,
        field: impl Into<String>,
        operators: impl IntoIterator<Item = Operator>,
    ) -> Self {
        let known = self.operators.entry(field.into()).or_default();
        known.extend(operators);
        self
    }

    /// The source sorts by each of these fields, in either direction: by one of them at a time, unless
    /// [`sort_keys_max`](Self::sort_keys_max) says more.
    ///
    /// With it, the first rows of a long list are had without reading the rest.
    pub fn sorts_by<N: Into<String>>(mut self, fields: impl IntoIterator<Item = N>) -> Self {
        self.sort_fields.extend(fields.into_iter().map(Into::into));
        self
    }

    /// How many of the fields the source can sort by at once. 1 without it.
    pub fn sort_keys_max(mut self, keys_max: usize) -> Self {
        self.sort_keys_max = keys_max;
        self
    }

    /// The source searches for words.
    pub fn searches(mut self) -> Self {
        self.has_search = true;
        self
    }

    /// The source finds a row by its id. Without it, getting one row reads all of them.
    pub fn finds_by_id(mut self) -> Self {
        self.has_find = true;
        self
    }

    /// How it gives its rows in pieces. Not at all without it.
    pub fn paging(mut self, paging: Paging) -> Self {
        self.paging = paging;
        self
    }

    /// How many rows of it one query may hold: a query that needs more is an error. 10,000 without it,
    /// at most [`VIRTUAL_ROWS_LIMIT`].
    pub fn rows_max(mut self, rows_max: usize) -> Self {
        self.rows_max = rows_max.clamp(1, VIRTUAL_ROWS_LIMIT);
        self
    }

    /// How many rows it is asked for at once. 1,000 without it.
    pub fn page_rows(mut self, page_rows: usize) -> Self {
        self.page_rows = page_rows.clamp(1, VIRTUAL_ROWS_LIMIT);
        self
    }

    /// How long it may take for one page, or one write. 30 seconds without it.
    pub fn fetch_timeout(mut self, limit: Duration) -> Self {
        self.fetch_timeout = limit;
        self
    }

    /// Whether the source filters the field by the operator.
    pub fn can_filter(&self, field: &str, operator: Operator) -> bool {
        let known = self.operators.get(field);
        known.is_some_and(|operators| operators.contains(&operator))
    }

    /// How many of the keys of an order, from the first on, the source can sort by.
    pub(crate) fn sortable_keys<'a>(&self, fields: impl IntoIterator<Item = &'a str>) -> usize {
        let fields = fields.into_iter().take(self.sort_keys_max);
        fields
            .take_while(|field| self.sort_fields.contains(*field))
            .count()
    }
}

impl Default for VirtualCapabilities {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_possible_until_it_is_said() {
        let capabilities = VirtualCapabilities::new();
        assert!(!capabilities.can_filter("status", Operator::Eq));
        assert_eq!(capabilities.sortable_keys(["status"]), 0);
    }

    #[test]
    fn only_the_first_keys_of_an_order_can_be_left_to_the_source() {
        let capabilities = VirtualCapabilities::new().sorts_by(["a", "b"]);
        assert_eq!(capabilities.sortable_keys(["a", "b"]), 1);
        assert_eq!(capabilities.sortable_keys(["c", "a"]), 0);
        let more = capabilities.sort_keys_max(3);
        assert_eq!(more.sortable_keys(["a", "b", "c"]), 2);
    }

    #[test]
    fn the_rows_in_memory_have_an_upper_bound() {
        let capabilities = VirtualCapabilities::new().rows_max(usize::MAX);
        assert_eq!(capabilities.rows_max, VIRTUAL_ROWS_LIMIT);
    }
}
