// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Pages of a long list, each found from where the one before it ended.
//!
//! A page is found by the values of the last row before it, not by counting rows: the cost of a page
//! does not grow with its number, and rows that come and go meanwhile neither repeat nor hide others.

mod cursor;
mod keyset;

use crate::filter::Filter;
use crate::sort::Sort;

#[doc(hidden)]
pub use cursor::parse_cursor_of_any_kind;
pub use cursor::{Cursor, CursorError};
pub(crate) use cursor::{CursorKey, Fingerprint};
pub(crate) use keyset::{parts_after, write_part};

/// How many rows a page may have.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// How many rows a page has unless it is said.
pub const PAGE_ROWS_DEFAULT: u32 = 50;

/// Which rows of `M`, in which order, how many, and from where on. A [`Filter`] alone is one too.
///
/// # Examples
/// ```
/// use forktex_db::{Model, Query};
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "app.user")]
/// struct User { id: Uuid, email: String, age: Option<i32> }
///
/// let query = Query::new()
///     .filter(User::age().gte(18))
///     .sort(User::age().desc())
///     .limit(20);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until a repository is asked with it"]
pub struct Query<M> {
    pub(crate) filter: Filter<M>,
    pub(crate) sort: Sort<M>,
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<Cursor>,
}

impl<M> Query<M> {
    /// All rows, in the order in which they were made.
    pub fn new() -> Self {
        Self {
            filter: Filter::all(),
            sort: Sort::unsorted(),
            limit: None,
            after: None,
        }
    }

    /// Only the rows that match this too.
    pub fn filter(mut self, filter: Filter<M>) -> Self {
        self.filter = if self.filter == Filter::all() {
            filter
        } else {
            self.filter.and(filter)
        };
        self
    }

    /// In this order.
    pub fn sort(mut self, sort: Sort<M>) -> Self {
        self.sort = sort;
        self
    }

    /// At most so many rows. A page has at most [`PAGE_ROWS_MAX`], and [`PAGE_ROWS_DEFAULT`] unless it
    /// is said.
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// From where a page ended on: its [`next_cursor`](Page::next_cursor). The filter and the sort must
    /// be those of that page; the limit may be another.
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }
}

impl<M> Default for Query<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> From<Filter<M>> for Query<M> {
    fn from(filter: Filter<M>) -> Self {
        Self::new().filter(filter)
    }
}

impl<M> From<Sort<M>> for Query<M> {
    fn from(sort: Sort<M>) -> Self {
        Self::new().sort(sort)
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows match in all, on every page; none where they were not counted.
    pub total: Option<u64>,
    /// Where the next page begins; none on the last.
    pub next_cursor: Option<Cursor>,
    /// Whether there is a next page.
    pub has_more: bool,
}

impl<T> Page<T> {
    pub(crate) fn new(items: Vec<T>, next_cursor: Option<Cursor>) -> Self {
        Self {
            items,
            total: None,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }

    /// The same page of other things.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(map).collect(),
            total: self.total,
            next_cursor: self.next_cursor,
            has_more: self.has_more,
        }
    }
}
