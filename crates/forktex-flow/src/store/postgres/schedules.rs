// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Schedules on Postgres. Lock order: the schedule, then the rows of its runs, which are new.

use async_trait::async_trait;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::sealing::{Cell, Sealing};
use super::{PostgresStore, definition_ids};
use crate::identifier::{DefinitionId, InstanceId, Version, WorkflowName};
use crate::schedule::firing::Standing;
use crate::schedule::{CatchUp, Overlap, Schedule};
use crate::store::NewRun;
use crate::store::schedules::{
    DueSchedule, FiringToWrite, ScheduleRow, ScheduleStore, StoredSchedule,
};

/// The namespace of workflows that are declared in code.
const NAMESPACE: &str = "";

#[async_trait]
impl ScheduleStore for PostgresStore {
    async fn register_schedule(
        &self,
        workflow: &WorkflowName,
        version: Version,
        definition: DefinitionId,
        schedule: Option<&Schedule>,
    ) -> Result<(), DbError> {
        let version = i32::try_from(version).unwrap_or(i32::MAX);
        let Some(schedule) = schedule else {
            sqlx::query(self.statements.retire_schedule.clone())
                .bind(workflow.as_str())
                .bind(NAMESPACE)
                .bind(version)
                .bind(definition.0)
                .single(&self.db)
                .execute()
                .await?;
            return Ok(());
        };
        let now: OffsetDateTime = sqlx::query_scalar(self.statements.database_clock.clone())
            .single(&self.db)
            .fetch_one()
            .await?;
        sqlx::query(self.statements.register_schedule.clone())
            .bind(workflow.as_str())
            .bind(NAMESPACE)
            .bind(version)
            .bind(definition.0)
            .bind(schedule.cron_expression())
            .bind(schedule.timezone_name())
            .bind(schedule.overlap_policy().as_str())
            .bind(schedule.catch_up_policy().as_str())
            .bind(schedule.next_after(now))
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    async fn due_schedules(
        &self,
        definitions: &[DefinitionId],
        limit: i64,
    ) -> Result<Vec<DueSchedule>, DbError> {
        let rows = sqlx::query(self.statements.due_schedules.clone())
            .bind(definition_ids(definitions))
            .bind(limit)
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DueSchedule {
                    workflow_name: workflow_name(row)?,
                    definition_id: DefinitionId(row.try_get("definition_id")?),
                    stored: stored(row)?,
                    standing: Standing {
                        next_fire_at: row.try_get("next_fire_at")?,
                        waiting_tick: row.try_get("waiting_tick")?,
                        is_busy: row.try_get("is_busy")?,
                        now: row.try_get("now")?,
                    },
                })
            })
            .collect()
    }

    async fn fire_schedule(&self, written: FiringToWrite<'_>) -> Result<Option<usize>, DbError> {
        let FiringToWrite {
            due,
            firing,
            runs,
            error,
        } = written;
        let Standing {
            next_fire_at,
            waiting_tick,
            is_busy,
            ..
        } = due.standing;
        // Where overlaps are allowed, nothing was decided by whether an earlier run lives.
        let cell = Cell::ScheduleError {
            workflow: due.workflow_name.as_str(),
        };
        let sealed = error
            .map(|error| self.sealing.text(cell, error))
            .transpose()?;
        let may_be_busy = is_busy || due.stored.overlap == Overlap::Allow;
        self.db
            .transaction(async |tx| -> Result<Option<usize>, DbError> {
                let locked = sqlx::query(self.statements.lock_schedule.clone())
                    .bind(due.workflow_name.as_str())
                    .bind(NAMESPACE)
                    .bind(due.definition_id.0)
                    .bind(&due.stored.cron)
                    .bind(&due.stored.timezone)
                    .bind(due.stored.overlap.as_str())
                    .bind(due.stored.catch_up.as_str())
                    .bind(next_fire_at)
                    .bind(waiting_tick)
                    .bind(may_be_busy)
                    .fetch_optional(tx.connection())
                    .await?;
                if locked.is_none() {
                    return Ok(None);
                }
                // The second wall: a tick whose key is taken has its run already, and gets no other.
                let inserted = self.insert_runs(tx.connection(), runs).await?;
                let started: Vec<Uuid> = runs
                    .iter()
                    .filter(|run| inserted.contains_key(&run.instance_id))
                    .map(|run| run.instance_id.0)
                    .collect();
                let is_fired = error.is_none();
                sqlx::query(self.statements.advance_schedule.clone())
                    .bind(due.workflow_name.as_str())
                    .bind(NAMESPACE)
                    .bind(firing.next_fire_at)
                    .bind(firing.waiting_tick)
                    .bind(firing.ticks.last().copied().filter(|_| is_fired))
                    .bind(&started)
                    .bind(firing.last_skipped)
                    .bind(i64::try_from(firing.skipped).unwrap_or(i64::MAX))
                    .bind(sealed.as_deref())
                    .execute(tx.connection())
                    .await?;
                Ok(Some(started.len()))
            })
            .await
    }

    async fn fire_now(&self, run: &NewRun) -> Result<bool, DbError> {
        self.db
            .transaction(async |tx| -> Result<bool, DbError> {
                let noted = sqlx::query(self.statements.note_fired_now.clone())
                    .bind(run.workflow_name.as_str())
                    .bind(NAMESPACE)
                    .bind(run.instance_id.0)
                    .bind(run.definition_id.0)
                    .fetch_optional(tx.connection())
                    .await?;
                if noted.is_none() {
                    return Ok(false);
                }
                self.insert_runs(tx.connection(), std::slice::from_ref(run))
                    .await?;
                Ok(true)
            })
            .await
    }

    async fn schedules(&self, workflow: Option<&str>) -> Result<Vec<ScheduleRow>, DbError> {
        let rows = sqlx::query(self.statements.list_schedules.clone())
            .bind(NAMESPACE)
            .bind(workflow)
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| schedule_row(row, &self.sealing))
            .collect()
    }

    async fn enable_schedule(
        &self,
        workflow: &WorkflowName,
        stored: &StoredSchedule,
        next_fire_at: Option<OffsetDateTime>,
    ) -> Result<bool, DbError> {
        let done = sqlx::query(self.statements.enable_schedule.clone())
            .bind(workflow.as_str())
            .bind(NAMESPACE)
            .bind(&stored.cron)
            .bind(&stored.timezone)
            .bind(next_fire_at)
            .single(&self.db)
            .execute()
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn disable_schedule(&self, workflow: &str) -> Result<bool, DbError> {
        let done = sqlx::query(self.statements.disable_schedule.clone())
            .bind(workflow)
            .bind(NAMESPACE)
            .single(&self.db)
            .execute()
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn schedule_row(row: &PgRow, sealing: &Sealing) -> Result<ScheduleRow, DbError> {
    let workflow_name = workflow_name(row)?;
    let cell = Cell::ScheduleError {
        workflow: workflow_name.as_str(),
    };
    let last_error: Option<String> = row.try_get("last_error")?;
    let last_error = last_error.map(|error| sealing.open_text(cell, error));
    let version: i32 = row.try_get("workflow_version")?;
    let last_instance_id: Option<Uuid> = row.try_get("last_instance_id")?;
    Ok(ScheduleRow {
        last_error: last_error.transpose()?,
        workflow_name,
        version: version.unsigned_abs(),
        stored: stored(row)?,
        is_enabled: row.try_get("is_enabled")?,
        next_fire_at: row.try_get("next_fire_at")?,
        waiting_tick: row.try_get("waiting_tick")?,
        last_fire_at: row.try_get("last_fire_at")?,
        last_instance_id: last_instance_id.map(InstanceId),
        last_skipped_at: row.try_get("last_skipped_at")?,
        skipped: row.try_get::<i64, _>("skipped_count")?.unsigned_abs(),
        now: row.try_get("now")?,
    })
}

fn workflow_name(row: &PgRow) -> Result<WorkflowName, DbError> {
    let name: &str = row.try_get("workflow_name")?;
    Ok(WorkflowName::unchecked(name))
}

fn stored(row: &PgRow) -> Result<StoredSchedule, DbError> {
    let overlap: &str = row.try_get("overlap")?;
    let catch_up: &str = row.try_get("catch_up")?;
    Ok(StoredSchedule {
        cron: row.try_get("cron")?,
        timezone: row.try_get("timezone")?,
        // A CHECK holds both to the words that are known.
        overlap: Overlap::from_word(overlap).unwrap_or_default(),
        catch_up: CatchUp::from_word(catch_up).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
