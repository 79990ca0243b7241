// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The transactions of schedules. A firing and its runs are one.

use async_trait::async_trait;
use forktex_db::DbError;
use time::OffsetDateTime;

use super::NewRun;
use crate::identifier::{DefinitionId, InstanceId, Version, WorkflowName};
use crate::schedule::firing::{Firing, Standing};
use crate::schedule::{CatchUp, InvalidSchedule, Overlap, Schedule};

/// A schedule's words, as the table has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSchedule {
    pub(crate) cron: String,
    pub(crate) timezone: String,
    pub(crate) overlap: Overlap,
    pub(crate) catch_up: CatchUp,
}

impl StoredSchedule {
    /// A later release may have stored what this one cannot read.
    pub(crate) fn read(&self) -> Result<Schedule, InvalidSchedule> {
        let schedule = Schedule::new(self.cron.as_str())?.timezone(&self.timezone)?;
        Ok(schedule.overlap(self.overlap).catch_up(self.catch_up))
    }
}

/// A schedule that is due.
#[derive(Debug, Clone)]
pub(crate) struct DueSchedule {
    pub(crate) workflow_name: WorkflowName,
    pub(crate) definition_id: DefinitionId,
    pub(crate) stored: StoredSchedule,
    pub(crate) standing: Standing,
}

/// A firing to be written, if the schedule still stands as it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FiringToWrite<'a> {
    pub(crate) due: &'a DueSchedule,
    pub(crate) firing: &'a Firing,
    /// One a tick, or none where there is an error.
    pub(crate) runs: &'a [NewRun],
    pub(crate) error: Option<&'a str>,
}

/// A schedule with all that is known of it.
#[derive(Debug, Clone)]
pub(crate) struct ScheduleRow {
    pub(crate) workflow_name: WorkflowName,
    pub(crate) version: Version,
    pub(crate) stored: StoredSchedule,
    pub(crate) is_enabled: bool,
    pub(crate) next_fire_at: Option<OffsetDateTime>,
    pub(crate) waiting_tick: Option<OffsetDateTime>,
    pub(crate) last_fire_at: Option<OffsetDateTime>,
    pub(crate) last_instance_id: Option<InstanceId>,
    pub(crate) last_skipped_at: Option<OffsetDateTime>,
    pub(crate) skipped: u64,
    pub(crate) last_error: Option<String>,
    /// The database's clock.
    pub(crate) now: OffsetDateTime,
}

/// Where schedules are kept; the namespace is the platform's own.
#[async_trait]
pub(crate) trait ScheduleStore: Send + Sync + 'static {
    /// Brings the schedule of the newest version that this process has, or `None` where that has none.
    async fn register_schedule(
        &self,
        workflow: &WorkflowName,
        version: Version,
        definition: DefinitionId,
        schedule: Option<&Schedule>,
    ) -> Result<(), DbError>;

    /// Up to `limit` schedules of these definitions that are due.
    async fn due_schedules(
        &self,
        definitions: &[DefinitionId],
        limit: i64,
    ) -> Result<Vec<DueSchedule>, DbError>;

    /// Writes the runs and moves the schedule on, or nothing where another process was first. Returns
    /// how many runs were started, or `None` where it was not this call's to do.
    async fn fire_schedule(&self, firing: FiringToWrite<'_>) -> Result<Option<usize>, DbError>;

    /// Starts a run by hand and records it; `false` where the schedule is of another version now.
    async fn fire_now(&self, run: &NewRun) -> Result<bool, DbError>;

    /// All schedules that have not ended, or the one of a workflow.
    async fn schedules(&self, workflow: Option<&str>) -> Result<Vec<ScheduleRow>, DbError>;

    /// Enables a schedule from a tick; `false` where its words are others by now.
    async fn enable_schedule(
        &self,
        workflow: &WorkflowName,
        stored: &StoredSchedule,
        next_fire_at: Option<OffsetDateTime>,
    ) -> Result<bool, DbError>;

    /// `false` where there is no such schedule.
    async fn disable_schedule(&self, workflow: &str) -> Result<bool, DbError>;
}
