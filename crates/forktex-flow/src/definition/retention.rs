// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How long runs are kept after their end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::instance::InstanceStatus;

/// How long runs are kept after their end, by status and workflow; for ever where nothing is said.
///
/// The leader removes what is older, in small transactions, each run whole: its record, its journal and
/// its inbox, and with them its idempotency key. A run whose parent lives is kept. Ages go by the
/// database's clock.
///
/// ```
/// use forktex_flow::Retention;
/// use std::time::Duration;
///
/// let day = Duration::from_hours(24);
/// let retention = Retention::new()
///     .completed(30 * day)
///     .failed(90 * day)
///     .cancelled(30 * day)
///     .workflow("cloud.backup.create", Retention::new().completed(7 * day));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    completed: Option<Duration>,
    failed: Option<Duration>,
    cancelled: Option<Duration>,
    workflows: BTreeMap<String, Retention>,
}

impl Retention {
    /// All runs are kept for ever.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long completed runs are kept.
    #[must_use]
    pub fn completed(mut self, age: Duration) -> Self {
        self.completed = Some(age);
        self
    }

    /// How long failed runs are kept.
    #[must_use]
    pub fn failed(mut self, age: Duration) -> Self {
        self.failed = Some(age);
        self
    }

    /// How long cancelled runs are kept.
    #[must_use]
    pub fn cancelled(mut self, age: Duration) -> Self {
        self.cancelled = Some(age);
        self
    }

    /// What holds for the runs of one workflow, in place of all that is said for the others. What is
    /// said for workflows in it has no meaning.
    #[must_use]
    pub fn workflow(mut self, name: impl Into<String>, retention: Retention) -> Self {
        self.workflows.insert(name.into(), retention);
        self
    }

    /// What is to be removed.
    pub(crate) fn rules(&self) -> Vec<RetentionRule> {
        let others: Vec<String> = self.workflows.keys().cloned().collect();
        let mut rules = self.rules_of(None, &others);
        for (workflow, retention) in &self.workflows {
            rules.extend(retention.rules_of(Some(workflow), &[]));
        }
        rules
    }

    fn rules_of(&self, workflow: Option<&String>, except: &[String]) -> Vec<RetentionRule> {
        let ages = [
            (InstanceStatus::Completed, self.completed),
            (InstanceStatus::Failed, self.failed),
            (InstanceStatus::Cancelled, self.cancelled),
        ];
        let rule = |(status, age): (InstanceStatus, Option<Duration>)| {
            Some(RetentionRule {
                status,
                age: age?,
                workflow: workflow.cloned(),
                except: except.to_vec(),
            })
        };
        ages.into_iter().filter_map(rule).collect()
    }
}

/// Runs of a status that ended so long ago are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetentionRule {
    pub(crate) status: InstanceStatus,
    pub(crate) age: Duration,
    /// Of this workflow, or of all but some.
    pub(crate) workflow: Option<String>,
    pub(crate) except: Vec<String>,
}
