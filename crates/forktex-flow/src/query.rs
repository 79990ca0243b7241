// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of runs: filtered, sorted, paged, counted, summed up, and acted on in bulk.
//!
//! All that reads goes by the same filters, so that the pages, the count, the first and the
//! summary agree.

mod bulk;

use std::fmt;
use std::sync::Arc;

pub use forktex_db::{Cursor, Direction};
use forktex_db::{Value as DbValue, ValueKind};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

pub use crate::instance::list::{FILTER_BYTES_MAX, FILTER_VALUES_MAX, InstanceSummary, SortField};
pub use bulk::{BulkAction, RATE_DEFAULT, RATE_MAX};

use crate::error::{QueryError, ReadError};
use crate::handle::{Access, completed};
use crate::identifier::{InstanceId, Version};
use crate::instance::list::InstanceFilter;
use crate::instance::{Instance, InstanceStatus};
use crate::store::query::PageRequest;

/// The runs of a page by default.
pub const PAGE_RUNS_DEFAULT: u32 = 50;

/// The most runs of a page.
pub const PAGE_RUNS_MAX: u32 = 1_000;

/// Up to how many runs a page counts its list; a longer one is told to be longer.
pub const TOTAL_MAX: u64 = 10_000;

/// A list of runs; made by [`Flow::query`](crate::Flow::query).
///
/// Filters narrow the list and may be combined; several values of one filter mean any of them. Nothing
/// is read before one of the endings is awaited.
///
/// # Examples
/// ```no_run
/// use forktex_flow::prelude::*;
/// use forktex_flow::query::{Direction, SortField};
///
/// # async fn example(flow: Flow) -> Result<(), FlowError> {
/// let failed = flow
///     .query()
///     .workflow("cloud.deploy.up")
///     .status([InstanceStatus::Failed])
///     .metadata(json!({"org_id": "abc"}))
///     .sort(SortField::FinishedAt, Direction::Descending)
///     .limit(20);
/// let page = failed.fetch(None).await?;
/// for run in &page.items {
///     println!("{} {:?}", run.instance_id, run.failure);
/// }
/// let next = failed.fetch(page.next_cursor.as_ref()).await?;
/// let again = failed.retry().rate(10).await?;
/// println!("{} runs are tried again", again.done);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is read until an ending is awaited"]
pub struct InstanceQuery {
    access: Arc<Access>,
    filter: InstanceFilter,
    sort: SortField,
    direction: Direction,
    limit: u32,
}

/// Some runs of a list, in its order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstancePage {
    /// The runs, with their states.
    pub items: Vec<Instance>,
    /// How many runs the list has; at most [`TOTAL_MAX`].
    pub total: u64,
    /// Whether the list has no more than `total`.
    pub total_is_exact: bool,
    /// Where the next page begins; `None` on the last one.
    pub next_cursor: Option<Cursor>,
}

impl InstanceQuery {
    pub(crate) fn new(access: Arc<Access>) -> Self {
        Self {
            access,
            filter: InstanceFilter::default(),
            sort: SortField::CreatedAt,
            direction: Direction::Descending,
            limit: PAGE_RUNS_DEFAULT,
        }
    }

    /// Runs of this workflow. Index: by workflow and creation.
    pub fn workflow(mut self, name: impl Into<String>) -> Self {
        self.filter.workflow = Some(name.into());
        self
    }

    /// Runs of this version.
    pub fn version(mut self, version: Version) -> Self {
        self.filter.version = Some(version);
        self
    }

    /// Runs of this namespace; empty for the platform's own. Index: by namespace and creation, but for
    /// the empty one.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.filter.namespace = Some(namespace.into());
        self
    }

    /// Runs of one of these statuses. Index: living runs by the table of what lives, failed and
    /// cancelled ones by status and creation.
    pub fn status(mut self, statuses: impl IntoIterator<Item = InstanceStatus>) -> Self {
        self.filter.statuses = Some(statuses.into_iter().collect());
        self
    }

    /// Runs whose metadata contain these fields, as jsonb's `@>` says. Index: GIN on the metadata.
    pub fn metadata(mut self, fields: Value) -> Self {
        self.filter.metadata = Some(fields);
        self
    }

    /// Runs whose input contains these fields, as jsonb's `@>` says. Index: GIN on the input. With a
    /// [`payload_cipher`](crate::FlowBuilder::payload_cipher) it is a [`QueryError::Filter`].
    pub fn state(mut self, fields: Value) -> Self {
        self.filter.input = Some(fields);
        self
    }

    /// Runs that are at one of these nodes. A node that runs in parallel with others counts until all
    /// of them are done. Only living runs are looked at.
    pub fn current_node(mut self, nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.current_nodes = Some(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Runs that were accepted at this time or later, by the database's clock.
    pub fn since(mut self, time: OffsetDateTime) -> Self {
        self.filter.since = Some(time);
        self
    }

    /// Runs that were accepted before this time, by the database's clock.
    pub fn until(mut self, time: OffsetDateTime) -> Self {
        self.filter.until = Some(time);
        self
    }

    /// Runs that were started by one of these: `manual`, `schedule`, `parent`, `retry`, `fork`. Index:
    /// by trigger and creation, but for `manual`.
    pub fn triggered_by(mut self, triggers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.triggers = Some(triggers.into_iter().map(Into::into).collect());
        self
    }

    /// Runs that this run spawned. Index: by parent.
    pub fn parent(mut self, parent: InstanceId) -> Self {
        self.filter.parent = Some(parent);
        self
    }

    /// Runs that retry this one, or were forked from it. Index: by the run that is retried.
    pub fn retry_of(mut self, source: InstanceId) -> Self {
        self.filter.retry_of = Some(source);
        self
    }

    /// The order; newest first by default. Another order than by creation sorts all that the filters
    /// leave, so filter first.
    pub fn sort(mut self, field: SortField, direction: Direction) -> Self {
        (self.sort, self.direction) = (field, direction);
        self
    }

    /// The runs of a page, from 1 to 1,000; 50 by default.
    pub fn limit(mut self, runs: u32) -> Self {
        self.limit = runs;
        self
    }

    /// Reads a page, from its beginning or from where a page before it ended. Three statements, and
    /// the journals of all its runs.
    ///
    /// Runs that are started while one pages move no others: none that was there is skipped or
    /// repeated. One whose sort field changes meanwhile moves with it; one that is started in a long
    /// transaction counts as of its beginning.
    ///
    /// # Errors
    /// [`QueryError::Cursor`] when the cursor is none of this list, of the same filters and sort;
    /// [`QueryError::Filter`] and [`QueryError::Limit`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn fetch(&self, cursor: Option<&Cursor>) -> Result<InstancePage, QueryError> {
        self.check()?;
        let list = self.list();
        let kinds = [self.sort.kind(), ValueKind::Uuid];
        let after = cursor.map(|cursor| cursor.values(&list, &kinds));
        let after = after.transpose().map_err(QueryError::Cursor)?;
        // One more than asked for tells whether there is a next page.
        let mut items = self.read(after, self.limit + 1).await?;
        let is_last = items.len() <= self.limit as usize;
        items.truncate(self.limit as usize);
        let next_cursor = match items.last() {
            Some(run) if !is_last => {
                let values = [self.sort.value(run), DbValue::Uuid(run.instance_id.0)];
                Some(Cursor::after(&list, &values).map_err(QueryError::Database)?)
            }
            _ => None,
        };
        let total = self
            .access
            .store
            .count_runs(&self.filter, Some(TOTAL_MAX + 1));
        let total = total.await.map_err(QueryError::Database)?;
        Ok(InstancePage {
            items,
            total: total.min(TOTAL_MAX),
            total_is_exact: total <= TOTAL_MAX,
            next_cursor,
        })
    }

    /// The identifiers of up to 1,000 runs, in order, without their states and journals. One statement.
    ///
    /// # Errors
    /// [`QueryError::Filter`] and [`QueryError::Limit`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn ids(&self) -> Result<Vec<InstanceId>, QueryError> {
        self.check()?;
        let request = self.request(None, self.limit);
        let runs = self.access.store.page_of_ids(&request).await;
        let runs = runs.map_err(QueryError::Database)?;
        Ok(runs.into_iter().map(|(_, instance)| instance).collect())
    }

    /// How many runs there are, exactly. One statement, which counts all that the filters leave.
    ///
    /// # Errors
    /// [`QueryError::Filter`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn count(&self) -> Result<u64, QueryError> {
        self.check_filter()?;
        let count = self.access.store.count_runs(&self.filter, None);
        count.await.map_err(QueryError::Database)
    }

    /// The first run of the list. Two statements.
    ///
    /// # Errors
    /// [`QueryError::Filter`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn first(&self) -> Result<Option<Instance>, QueryError> {
        self.check_filter()?;
        Ok(self.read(None, 1).await?.into_iter().next())
    }

    /// The list, summed up. One statement, which reads all that the filters leave.
    ///
    /// # Errors
    /// [`QueryError::Filter`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn summary(&self) -> Result<InstanceSummary, QueryError> {
        self.check_filter()?;
        let summary = self.access.store.sum_up(&self.filter);
        summary.await.map_err(QueryError::Database)
    }

    async fn read(
        &self,
        after: Option<Vec<DbValue>>,
        limit: u32,
    ) -> Result<Vec<Instance>, QueryError> {
        let request = self.request(after, limit);
        let stored = self.access.store.page(&request).await;
        let stored = stored.map_err(QueryError::Database)?;
        let runs = stored
            .into_iter()
            .map(|stored| completed(&self.access, stored));
        runs.collect::<Result<Vec<_>, ReadError>>()
            .map_err(QueryError::Read)
    }

    fn check(&self) -> Result<(), QueryError> {
        self.check_filter()?;
        if (1..=PAGE_RUNS_MAX).contains(&self.limit) {
            return Ok(());
        }
        Err(QueryError::Limit {
            given: self.limit,
            max: PAGE_RUNS_MAX,
        })
    }

    fn check_filter(&self) -> Result<(), QueryError> {
        if self.filter.input.is_some() && self.access.seals_payloads {
            return Err(QueryError::Filter {
                filter: "state",
                rule: "cannot look into inputs that a payload cipher seals: put what runs are to be \
                       found by into their metadata",
            });
        }
        self.filter.check()
    }

    fn request(&self, after: Option<Vec<DbValue>>, limit: u32) -> PageRequest {
        PageRequest {
            filter: self.filter.clone(),
            sort: self.sort,
            direction: self.direction,
            after,
            limit,
        }
    }

    /// What cursors are bound to.
    fn list(&self) -> String {
        format!(
            "runs {:?} by {:?} {:?}",
            self.filter, self.sort, self.direction
        )
    }
}

impl fmt::Debug for InstanceQuery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InstanceQuery")
            .field("filter", &self.filter)
            .field("sort", &self.sort)
            .field("direction", &self.direction)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
