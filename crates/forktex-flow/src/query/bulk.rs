// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Acts on all the runs of a list, one after another and not too fast.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use forktex_db::{Direction, Value as DbValue};
use futures_util::future::BoxFuture;
use tokio::time::MissedTickBehavior;

use super::{InstanceQuery, PAGE_RUNS_MAX, SortField};
use crate::error::{CancelError, ForkError, QueryError, ReadError};
use crate::handle::Run;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::list::BulkOutcome;
use crate::store::query::PageRequest;

/// How many runs a second are acted on by default.
pub const RATE_DEFAULT: u32 = 100;

/// The most runs a second that can be asked for.
pub const RATE_MAX: u32 = 10_000;

/// What is done to each run.
#[derive(Debug, Clone)]
enum Action {
    Cancel { reason: String },
    Retry,
}

/// Acts on all the runs of a list; made by [`InstanceQuery::cancel`] and [`InstanceQuery::retry`].
/// Await it.
#[must_use = "nothing is done until this is awaited"]
pub struct BulkAction {
    query: InstanceQuery,
    action: Action,
    rate: u32,
}

impl InstanceQuery {
    /// Asks for the end of every run of the list that lives, as [`Run::cancel`](crate::Run::cancel)
    /// does. The sort and the limit do not matter, and runs that are started after the call are left
    /// alone. Await the builder.
    ///
    /// # Errors
    /// [`QueryError::Stopped`], with what was done until then, when a run could neither be cancelled
    /// nor passed over.
    ///
    /// # Cancellation
    /// What was done when the future is dropped stays so; calling again goes on with the rest.
    pub fn cancel(&self, reason: impl Into<String>) -> BulkAction {
        let reason = reason.into();
        BulkAction {
            query: self.clone(),
            action: Action::Cancel { reason },
            rate: RATE_DEFAULT,
        }
    }

    /// Retries every failed run of the list that has no retry yet, as
    /// [`Run::retry`](crate::Run::retry) does. The sort and the limit do not matter, and runs that are
    /// started after the call, the retries among them, are left alone. Of two calls at once each may
    /// retry the same run. Await the builder.
    ///
    /// # Errors
    /// [`QueryError::Stopped`], with what was done until then, when a run could neither be retried nor
    /// passed over.
    ///
    /// # Cancellation
    /// What was done when the future is dropped stays so; calling again goes on with the rest.
    pub fn retry(&self) -> BulkAction {
        BulkAction {
            query: self.clone(),
            action: Action::Retry,
            rate: RATE_DEFAULT,
        }
    }
}

impl BulkAction {
    /// How many runs a second are acted on, from 1 to 10,000; 100 by default.
    pub fn rate(mut self, runs_per_second: u32) -> Self {
        self.rate = runs_per_second;
        self
    }

    async fn run(mut self) -> Result<BulkOutcome, QueryError> {
        if !(1..=RATE_MAX).contains(&self.rate) {
            return Err(QueryError::Limit {
                given: self.rate,
                max: RATE_MAX,
            });
        }
        self.query.check_filter()?;
        self.narrow();
        // What is started from now on, by this action too, is not a part of the list.
        let now = self.query.access.store.now().await;
        let now = now.map_err(QueryError::Database)?;
        let until = self.query.filter.until.map_or(now, |until| until.min(now));
        self.query.filter.until = Some(until);
        let mut outcome = BulkOutcome::default();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / self.rate);
        // The rate is a ceiling: what was held up is not made up for.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut after = None;
        loop {
            // By identifier, so that runs which leave the list meanwhile do not move the others.
            let request = PageRequest {
                filter: self.query.filter.clone(),
                sort: SortField::CreatedAt,
                direction: Direction::Ascending,
                after: after.take(),
                limit: PAGE_RUNS_MAX,
            };
            let runs = self.query.access.store.page_of_ids(&request).await;
            let runs = runs.map_err(QueryError::Database)?;
            let Some((created_at, last)) = runs.last().copied() else {
                return Ok(outcome);
            };
            after = Some(vec![DbValue::Timestamp(created_at), DbValue::Uuid(last.0)]);
            for (_, instance) in runs {
                pace.tick().await;
                if let Err(cause) = self.act(instance, &mut outcome).await {
                    return Err(QueryError::Stopped {
                        outcome: Box::new(outcome),
                        cause: Box::new(cause),
                    });
                }
            }
        }
    }

    /// Leaves only those in the list that the action is for.
    fn narrow(&mut self) {
        let filter = &mut self.query.filter;
        let wanted: &[InstanceStatus] = match self.action {
            Action::Cancel { .. } => &[InstanceStatus::Pending, InstanceStatus::Running],
            Action::Retry => {
                filter.without_retry = true;
                &[InstanceStatus::Failed]
            }
        };
        let given = filter.statuses.take();
        let is_given =
            |status: &InstanceStatus| given.as_ref().is_none_or(|given| given.contains(status));
        filter.statuses = Some(wanted.iter().copied().filter(is_given).collect());
    }

    async fn act(&self, instance: InstanceId, outcome: &mut BulkOutcome) -> Result<(), QueryError> {
        let run: Run = Run::new(instance, std::sync::Arc::clone(&self.query.access));
        let done = match &self.action {
            Action::Cancel { reason } => match run.cancel(reason.clone()).await {
                Ok(()) => true,
                Err(CancelError::AlreadyTerminal { .. } | CancelError::NotFound { .. }) => false,
                Err(error) => return Err(QueryError::Cancel(error)),
            },
            Action::Retry => match run.retry().await {
                Ok(again) => {
                    outcome.started.push(again.id());
                    true
                }
                Err(ForkError::NotFailed { .. } | ForkError::Read(ReadError::NotFound { .. })) => {
                    false
                }
                Err(error) => return Err(QueryError::Retry(error)),
            },
        };
        if done {
            outcome.done += 1;
        } else {
            outcome.passed_over += 1;
        }
        Ok(())
    }
}

impl IntoFuture for BulkAction {
    type Output = Result<BulkOutcome, QueryError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for BulkAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BulkAction")
            .field("query", &self.query)
            .field("action", &self.action)
            .field("rate", &self.rate)
            .finish()
    }
}
