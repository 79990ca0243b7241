// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Queries: one shape over stored, bound and virtual registers.
//!
//! A query is checked as a whole before anything is asked. It never answers in part: where a bound is
//! passed, it is an error.

pub(crate) mod aggregates;
mod count;
mod error;
mod facets;
mod page;
pub(crate) mod plan;
mod related;
mod run;
pub(crate) mod sql;
pub(crate) mod stored;

use std::fmt;

use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::capability::AggregateFunction;
use crate::cursor::Cursor;
use crate::error::DataError;
use crate::explain::Explanation;
use crate::filter::{Filter, Operand, field};
use crate::register::Register;
use crate::result::QueryResult;
use crate::row::Row;

pub use error::{FilterProblem, QueryError, QueryPart};

/// How many aggregates a query may have.
pub const AGGREGATES_MAX: usize = 20;

/// How many fields a query may group by.
pub const GROUP_FIELDS_MAX: usize = 5;

/// How many groups a query may have; more are an error.
pub const GROUPS_MAX: usize = 1_000;

/// How many relationships a query may read along.
pub const RELATED_MAX: usize = 10;

/// How many related rows, and how many links, one page may bring along; more are an error.
pub const RELATED_ROWS_MAX: usize = 10_000;

/// How many rows a page may pass over. Scrolling has no such bound.
pub const PAGE_OFFSET_MAX: u64 = 100_000;

/// Whether archived rows are among the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archived {
    /// They are left out.
    #[default]
    Exclude,
    /// They are among the others.
    Include,
    /// There are no others.
    Only,
}

/// Whether and how the matching rows are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// They are not.
    #[default]
    None,
    /// The planner of the database says what it expects: quick, and off by any factor. A virtual
    /// register counts exactly.
    Estimated,
    /// Each is counted: the cost grows with their number.
    Exact,
}

/// What the values of all matching rows, or of each group, are made into.
///
/// # Examples
/// ```
/// use forktex_data::Aggregate;
///
/// // In the answer under the name `total_sum`, and this one under `revenue`.
/// let _ = Aggregate::sum("total");
/// let _ = Aggregate::sum("total").named("revenue");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an aggregate does nothing until a query takes it"]
pub struct Aggregate {
    function: AggregateFunction,
    field: Option<String>,
    name: String,
}

impl Aggregate {
    /// How many rows; called `count`.
    pub fn count() -> Self {
        Self {
            function: AggregateFunction::Count,
            field: None,
            name: "count".to_owned(),
        }
    }

    /// How many rows have a value in the field.
    pub fn count_of(field: impl Into<String>) -> Self {
        Self::of(AggregateFunction::Count, field)
    }

    /// The sum of numbers, exact.
    pub fn sum(field: impl Into<String>) -> Self {
        Self::of(AggregateFunction::Sum, field)
    }

    /// The average of numbers, rounded to 10 digits after the point, half away from zero.
    pub fn average(field: impl Into<String>) -> Self {
        Self::of(AggregateFunction::Average, field)
    }

    /// The least value.
    pub fn min(field: impl Into<String>) -> Self {
        Self::of(AggregateFunction::Min, field)
    }

    /// The greatest value.
    pub fn max(field: impl Into<String>) -> Self {
        Self::of(AggregateFunction::Max, field)
    }

    /// Any function of a field; called after both, as `total_sum`.
    pub fn of(function: AggregateFunction, field: impl Into<String>) -> Self {
        let field = field.into();
        Self {
            function,
            name: format!("{field}_{}", function.as_str()),
            field: Some(field),
        }
    }

    /// Under another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// A question to a register: which rows, in which order, and what is made of them.
///
/// Everything that is left out costs nothing. A page is one statement in a transaction of its own, two
/// where it crosses from rows with a value in the first sort key to rows without; a count, the facets,
/// the aggregates, the links of reference fields, and each relationship that is read along are one more
/// each, over the same snapshot of the database. A virtual register is asked as its capabilities have
/// it.
///
/// # Examples
/// ```no_run
/// use forktex_data::{Aggregate, Count, DataError, Register, RowQuery, field};
/// use time::macros::date;
///
/// # async fn example(invoices: Register) -> Result<(), DataError> {
/// let result = RowQuery::new(&invoices)
///     .filter(field("status").eq("paid"))
///     .since(date!(2026 - 01 - 01))
///     .order_by("-issued_at")
///     .search("acme")
///     .facets(["status", "country"])
///     .aggregate(Aggregate::sum("total").named("revenue"))
///     .count(Count::Exact)
///     .scroll(50)
///     .await?;
/// for row in &result.rows {
///     println!("{:?}", row.get("number"));
/// }
/// if let Some(next) = result.next {
///     println!("the next page begins at {next}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is ended, as by `page` or `scroll`"]
pub struct RowQuery {
    register: Register,
    filter: Filter,
    order: Vec<String>,
    search: Option<(String, bool)>,
    facets: Vec<String>,
    aggregates: Vec<Aggregate>,
    group_by: Vec<String>,
    fields: Option<Vec<String>>,
    related: Vec<String>,
    archived: Archived,
    count: Count,
    requires_index: bool,
}

impl RowQuery {
    /// All rows that are not archived, in the order in which they were made.
    pub fn new(register: &Register) -> Self {
        Self {
            register: register.clone(),
            filter: Filter::all(),
            order: Vec::new(),
            search: None,
            facets: Vec::new(),
            aggregates: Vec::new(),
            group_by: Vec::new(),
            fields: None,
            related: Vec::new(),
            archived: Archived::Exclude,
            count: Count::None,
            requires_index: false,
        }
    }

    /// Only rows that match this too.
    pub fn filter(mut self, filter: Filter) -> Self {
        // The first filter stays as it is, so that a fault is told with a path into it.
        self.filter = if self.filter == Filter::all() {
            filter
        } else {
            self.filter.and(filter)
        };
        self
    }

    /// Only rows with this value in the field.
    pub fn where_eq(self, name: impl Into<String>, value: impl Into<Operand>) -> Self {
        self.filter(field(name).eq(value))
    }

    /// Only rows that were made at this instant or later; a day begins in UTC.
    pub fn since(self, instant: impl Into<Operand>) -> Self {
        self.filter(field("created_at").gte(instant))
    }

    /// Only rows that were made before this instant; a day begins in UTC.
    pub fn until(self, instant: impl Into<Operand>) -> Self {
        self.filter(field("created_at").lt(instant))
    }

    /// By this field, after those that were named before; `-` before the name descends. At most 8.
    /// Empty cells count as the greatest. Ties end with the row's id.
    pub fn order_by(mut self, key: impl Into<String>) -> Self {
        self.order.push(key.into());
        self
    }

    /// Only rows in whose searchable fields each of these words begins a word. At most
    /// [`SEARCH_QUERY_WORDS_MAX`](crate::search::SEARCH_QUERY_WORDS_MAX) words; a text without words
    /// finds every row.
    pub fn search(mut self, words: impl Into<String>) -> Self {
        self.search = Some((words.into(), false));
        self
    }

    /// As [`search`](Self::search), with small mistakes allowed: each word shares a quarter of its
    /// trigrams with a word of the row.
    pub fn fuzzy_search(mut self, words: impl Into<String>) -> Self {
        self.search = Some((words.into(), true));
        self
    }

    /// Counts the values of these fields over all matching rows: at most 10 fields, 1,000 values each,
    /// in one pass.
    pub fn facets<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.facets.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Computes this over all matching rows, or over each group. At most [`AGGREGATES_MAX`].
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregates.push(aggregate);
        self
    }

    /// Makes groups of the rows that have the same values in these fields: at most
    /// [`GROUP_FIELDS_MAX`] fields, and [`GROUPS_MAX`] groups.
    pub fn group_by<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.group_by.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Only these fields in the rows of the answer. Without it, all. References that are not asked for
    /// save a statement, and computed fields the question whether they are up to date.
    pub fn fields<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        let named = fields.into_iter().map(Into::into);
        self.fields.get_or_insert_default().extend(named);
        self
    }

    /// Reads along the rows at the other ends of these relationships, archived ones too, without their
    /// own references: one statement each for the whole page. At most [`RELATED_MAX`] relationships,
    /// and [`RELATED_ROWS_MAX`] rows each.
    pub fn with_related<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.related.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whether archived rows are among the answer.
    pub fn archived(mut self, archived: Archived) -> Self {
        self.archived = archived;
        self
    }

    /// Whether and how the matching rows are counted.
    pub fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// Refuses the query where [`explain`](Self::explain) has a warning.
    pub fn require_index(mut self) -> Self {
        self.requires_index = true;
        self
    }

    /// One page by its number, from 1, of `size` rows: 1 to 1,000. Passes over the rows before it, at
    /// most [`PAGE_OFFSET_MAX`]; a page beyond the end is empty.
    ///
    /// # Errors
    /// - [`DataError::Query`] for what does not fit the register; nothing was asked then;
    /// - [`DataError::Unindexed`] with [`require_index`](Self::require_index);
    /// - [`DataError::LimitReached`] where the answer would be too large;
    /// - [`DataError::Unsupported`] for related rows of a register that is not stored;
    /// - [`DataError::Db`] and [`DataError::Virtual`] when the source fails.
    ///
    /// # Cancellation
    /// Safe: it only reads. The connection is closed, as for any transaction that is dropped.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, Register, RowQuery};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let third = RowQuery::new(&invoices).order_by("number").page(3, 20).await?;
    /// assert!(third.rows.len() <= 20);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn page(&self, number: u64, size: u32) -> Result<QueryResult, DataError> {
        run::run(self, &Ending::Page { number, size }).await
    }

    /// The first `size` rows, 1 to 1,000; [`next`](QueryResult::next) says where the next page begins.
    /// A page costs the same however far down it is, and rows that come and go meanwhile neither
    /// repeat nor hide others.
    ///
    /// # Errors
    /// Those of [`page`](Self::page).
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn scroll(&self, size: u32) -> Result<QueryResult, DataError> {
        run::run(self, &Ending::Scroll { size, after: None }).await
    }

    /// The next `size` rows after a page's [`next`](QueryResult::next). The register, the filter, the
    /// search, the order and the archived rows must be those of that page.
    ///
    /// # Errors
    /// Those of [`page`](Self::page); [`QueryError::CursorOfAnotherQuery`] and
    /// [`QueryError::CursorMalformed`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, Register, RowQuery};
    /// # async fn example(invoices: Register, cursor: &str) -> Result<(), DataError> {
    /// let page = RowQuery::new(&invoices).scroll_after(cursor, 50).await?;
    /// # let _ = page;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scroll_after(
        &self,
        cursor: impl Into<Cursor>,
        size: u32,
    ) -> Result<QueryResult, DataError> {
        let after = Some(cursor.into());
        run::run(self, &Ending::Scroll { size, after }).await
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// Those of [`page`](Self::page).
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn first(&self) -> Result<Option<Row>, DataError> {
        let result = self.page(1, 1).await?;
        Ok(result.rows.into_iter().next())
    }

    /// How many rows match, exactly: one statement.
    ///
    /// # Errors
    /// Those of [`page`](Self::page).
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn count_rows(&self) -> Result<u64, DataError> {
        let result = run::run(self, &Ending::Count).await?;
        Ok(result.total.map_or(0, |total| total.rows))
    }

    /// All matching rows, one after another, read by pages of 500. Each page is a transaction of its
    /// own: between two pages nothing is held. Facets, aggregates and counts are left out.
    ///
    /// # Errors
    /// The stream ends with the first error, of those of [`page`](Self::page).
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// use futures_util::TryStreamExt as _;
    /// # use forktex_data::{DataError, Register, RowQuery};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let mut rows = std::pin::pin!(RowQuery::new(&invoices).stream());
    /// while let Some(row) = rows.try_next().await? {
    ///     println!("{}", row.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self) -> impl Stream<Item = Result<Row, DataError>> + Send + use<> {
        run::stream(self.clone())
    }

    /// What of the query no index serves, and how the database would go about the first page of 50:
    /// one statement that reads no rows. A virtual register has no plan.
    ///
    /// # Errors
    /// Those of [`page`](Self::page), but for [`DataError::Unindexed`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, Register, RowQuery, field};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let explanation = RowQuery::new(&invoices)
    ///     .filter(field("note").contains("urgent"))
    ///     .explain()
    ///     .await?;
    /// for warning in &explanation.warnings {
    ///     println!("{}: {}", warning.field, warning.why);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self) -> Result<Explanation, DataError> {
        run::explain(self).await
    }
}

/// Shows what is asked, never with which values.
impl fmt::Debug for RowQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowQuery")
            .field("register", &self.register)
            .field("filter", &self.filter)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// How a query ends.
#[derive(Clone)]
enum Ending {
    Page { number: u64, size: u32 },
    Scroll { size: u32, after: Option<Cursor> },
    Count,
}
