// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a caller does to a run besides cancelling it: pause it, fork it, follow it.

use async_trait::async_trait;
use forktex_db::DbError;

use crate::definition::retention::RetentionRule;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::journal::{Pin, Recorded};

/// What became of a wish to pause, to resume, or to undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paused {
    Done,
    AlreadyTerminal(InstanceStatus),
    NotFound,
}

/// A run that goes on from where another one was.
#[derive(Debug, Clone)]
pub(crate) struct Fork {
    pub(crate) source: InstanceId,
    pub(crate) instance_id: InstanceId,
    pub(crate) triggered_by: &'static str,
    /// The entries of the other's journal that it begins with.
    pub(crate) sequences: Vec<i64>,
    /// What it is pinned to, where that is not what the other is pinned to now.
    pub(crate) pin: Option<Pin>,
}

/// What callers do to runs.
#[async_trait]
pub(crate) trait ControlStore {
    /// Pauses a run, or lets it go on.
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError>;

    /// Asks for the end of a run as cancelled, once what it did is undone.
    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError>;

    /// Starts the run. Returns whether the source is there.
    async fn fork(&self, fork: &Fork) -> Result<bool, DbError>;

    /// Removes up to `limit` runs that a rule says are old enough. Returns how many.
    async fn prune(&self, rule: &RetentionRule, limit: u32) -> Result<u64, DbError>;

    /// The entries of a run's journal after a sequence number, up to `limit`.
    async fn events(
        &self,
        instance: InstanceId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, DbError>;
}
