// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A list of runs as data: what it is narrowed by and its bounds, its order, and its summary.

use std::collections::BTreeMap;
use std::time::Duration;

use forktex_db::{Value as DbValue, ValueKind};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Instance, InstanceStatus};
use crate::error::QueryError;
use crate::identifier::{InstanceId, Version};
use crate::state::payload;

/// The most values that one filter may name.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// The most bytes that the fields of a filter may have.
pub const FILTER_BYTES_MAX: usize = 64 * 1024;

/// The filters of a list; what is `None` does not narrow it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct InstanceFilter {
    pub(crate) workflow: Option<String>,
    pub(crate) version: Option<Version>,
    pub(crate) namespace: Option<String>,
    pub(crate) statuses: Option<Vec<InstanceStatus>>,
    pub(crate) metadata: Option<Value>,
    pub(crate) input: Option<Value>,
    pub(crate) current_nodes: Option<Vec<String>>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
    pub(crate) triggers: Option<Vec<String>>,
    pub(crate) parent: Option<InstanceId>,
    pub(crate) retry_of: Option<InstanceId>,
    /// Only those that have no retry yet.
    pub(crate) without_retry: bool,
}

impl InstanceFilter {
    /// Checks what was given, before anything is asked of the database.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        let refused = |filter, rule| Err(QueryError::Filter { filter, rule });
        for (filter, fields) in [("metadata", &self.metadata), ("state", &self.input)] {
            let Some(fields) = fields else { continue };
            if !fields.is_object() {
                return refused(filter, "must be a JSON object");
            }
            if payload::check(fields, FILTER_BYTES_MAX).is_err() {
                return refused(filter, "must have at most 64 KiB and no NUL");
            }
        }
        let lists = [
            ("status", self.statuses.as_ref().map(Vec::len)),
            ("current_node", self.current_nodes.as_ref().map(Vec::len)),
            ("triggered_by", self.triggers.as_ref().map(Vec::len)),
        ];
        for (filter, length) in lists {
            if length.is_some_and(|length| length > FILTER_VALUES_MAX) {
                return refused(filter, "must have at most 1,000 values");
            }
        }
        let names = [
            ("workflow", self.workflow.iter().collect::<Vec<_>>()),
            ("namespace", self.namespace.iter().collect()),
            (
                "current_node",
                self.current_nodes.iter().flatten().collect(),
            ),
            ("triggered_by", self.triggers.iter().flatten().collect()),
        ];
        for (filter, names) in names {
            if names.iter().any(|name| name.contains('\0')) {
                return refused(filter, "must have no NUL");
            }
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return refused("until", "must be later than since");
        }
        Ok(())
    }

    /// Whether only runs that live can be in the list.
    pub(crate) fn is_of_the_living(&self) -> bool {
        let all_live =
            |statuses: &Vec<InstanceStatus>| statuses.iter().all(|status| !status.is_terminal());
        self.current_nodes.is_some() || self.statuses.as_ref().is_some_and(all_live)
    }
}

/// What runs are sorted by. Runs that are equal in it are sorted by their identifiers, in the same
/// direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortField {
    /// When the run was accepted. The default, newest first; an index gives this order.
    CreatedAt,
    /// When a worker first took it; those that no worker took count as the earliest.
    StartedAt,
    /// When it ended; those that have not count as the earliest.
    FinishedAt,
    /// The workflow's name, by its bytes.
    WorkflowName,
    /// The status, by its word.
    Status,
}

impl SortField {
    pub(crate) fn kind(self) -> ValueKind {
        match self {
            Self::CreatedAt | Self::StartedAt | Self::FinishedAt => ValueKind::Timestamp,
            Self::WorkflowName | Self::Status => ValueKind::Text,
        }
    }

    pub(crate) fn value(self, run: &Instance) -> DbValue {
        let at = |time: Option<OffsetDateTime>| {
            DbValue::Timestamp(time.unwrap_or(OffsetDateTime::UNIX_EPOCH))
        };
        match self {
            Self::CreatedAt => at(Some(run.created_at)),
            Self::StartedAt => at(run.started_at),
            Self::FinishedAt => at(run.finished_at),
            Self::WorkflowName => DbValue::Text(run.workflow_name.as_str().to_owned()),
            Self::Status => DbValue::Text(run.status.as_str().to_owned()),
        }
    }
}

/// A list of runs, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstanceSummary {
    /// How many runs there are.
    pub total: u64,
    /// How many of each status; those without any are missing.
    pub by_status: BTreeMap<InstanceStatus, u64>,
    /// The mean time from the start to the end, of those that have both.
    pub avg_duration: Option<Duration>,
    /// The time within which 95 % of those ended.
    pub p95_duration: Option<Duration>,
    /// When the oldest was accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest: Option<OffsetDateTime>,
    /// When the newest was accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub newest: Option<OffsetDateTime>,
}

/// What acting on a list came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkOutcome {
    /// How many runs were acted on.
    pub done: u64,
    /// How many were passed over, as they had ended, or were there no more, when their turn came.
    pub passed_over: u64,
    /// The runs that were started, in order, where the action starts some.
    pub started: Vec<InstanceId>,
}
