// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steering: cancel, pause, replay, discard, and the ticks of schedules.

use std::collections::BTreeSet;

use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limits::LimitKey;
use super::{PostgresBackend, concluded};
use crate::backend::{CancelAnswer, NewJob, ReplayAnswer};
use crate::identifier::{JobId, QueueName};

/// How often a job that moves is run after.
const CHASES_MAX: usize = 10;

/// A job that moved whenever it was looked at.
const MOVED: DbError = DbError::Conflict {
    reason: "the job moved from place to place",
    constraint: None,
    sqlstate: None,
};

impl PostgresBackend {
    /// Removes a job that does not run, and asks for the end of one that does.
    pub(super) async fn cancel_job(&self, id: JobId) -> Result<CancelAnswer, DbError> {
        for _ in 0..CHASES_MAX {
            let seen = sqlx::query(self.statements.place_of_job.clone())
                .bind(id.0)
                .single(&self.db)
                .fetch_optional()
                .await?;
            let Some(seen) = seen else {
                return Ok(CancelAnswer::Unknown);
            };
            let removed = match seen.try_get::<i16, _>("place")? {
                3 => return Ok(CancelAnswer::Unknown),
                0 => self.remove_ready(id, &seen).await?,
                _ => {
                    sqlx::query(self.statements.remove_waiting_job.clone())
                        .bind(id.0)
                        .single(&self.db)
                        .fetch_optional()
                        .await?
                }
            };
            if let Some(removed) = removed {
                if let Some(key) = removed.try_get::<Option<String>, _>("limit_key")? {
                    // It may be the one that was let go when another ended.
                    let limit: LimitKey = (removed.try_get("queue")?, key);
                    self.let_held_go_after(&BTreeSet::from([limit])).await;
                }
                return Ok(CancelAnswer::Removed);
            }
            let asked = sqlx::query(self.statements.ask_cancel.clone())
                .bind(id.0)
                .bind(seen.try_get::<i32, _>("generation")?)
                .single(&self.db)
                .execute()
                .await?;
            if asked.rows_affected() > 0 {
                return Ok(CancelAnswer::Asked);
            }
        }
        Err(MOVED)
    }

    async fn remove_ready(&self, id: JobId, seen: &PgRow) -> Result<Option<PgRow>, DbError> {
        sqlx::query(self.statements.remove_ready_job.clone())
            .bind(id.0)
            .bind(seen.try_get::<String, _>("queue")?)
            .bind(seen.try_get::<String, _>("tenant")?)
            .bind(seen.try_get::<i64, _>("score")?)
            .single(&self.db)
            .fetch_optional()
            .await
    }

    /// Pauses a queue, or ends its pause.
    pub(super) async fn set_queue_paused(
        &self,
        queue: &QueueName,
        is_paused: bool,
    ) -> Result<(), DbError> {
        let statement = if is_paused {
            &self.statements.pause_queue
        } else {
            &self.statements.resume_queue
        };
        sqlx::query(statement.clone())
            .bind(queue.as_str())
            .single(&self.db)
            .execute()
            .await?;
        if !is_paused {
            self.wakes.tell();
        }
        Ok(())
    }

    /// Makes a dead letter ready again.
    pub(super) async fn replay_job(&self, id: JobId) -> Result<ReplayAnswer, DbError> {
        let mut tx = self.db.begin().await?;
        let answer = self.replay_in(&mut tx, id).await;
        let answer = concluded(tx, answer).await?;
        if answer == ReplayAnswer::Replayed {
            self.forget_marks();
            self.wakes.tell();
        }
        Ok(answer)
    }

    async fn replay_in(&self, tx: &mut Transaction, id: JobId) -> Result<ReplayAnswer, DbError> {
        let dead = sqlx::query(self.statements.hold_dead_job.clone())
            .bind(id.0)
            .fetch_optional(tx.connection())
            .await?;
        let Some(dead) = dead else {
            return Ok(ReplayAnswer::Unknown);
        };
        if let Some(key) = dead.try_get::<Option<String>, _>("unique_key")? {
            let queue: String = dead.try_get("queue")?;
            // The other two modes go on, whatever became of the job.
            let is_taken_anew =
                matches!(dead.try_get::<Option<i16>, _>("unique_mode")?, Some(1 | 2));
            if let Some(holder) = self
                .other_holder(tx, id, &queue, &key, is_taken_anew)
                .await?
            {
                return Ok(ReplayAnswer::Conflict(holder));
            }
        }
        sqlx::query(self.statements.replay_job.clone())
            .bind(id.0)
            .execute(tx.connection())
            .await?;
        Ok(ReplayAnswer::Replayed)
    }

    /// The other job that holds a unique key; where none does, it may be taken for this one.
    async fn other_holder(
        &self,
        tx: &mut Transaction,
        id: JobId,
        queue: &str,
        key: &str,
        is_taken_anew: bool,
    ) -> Result<Option<JobId>, DbError> {
        for _ in 0..CHASES_MAX {
            if is_taken_anew {
                let taken = sqlx::query(self.statements.take_unique_lock.clone())
                    .bind(queue)
                    .bind(key)
                    .bind(id.0)
                    .execute(tx.connection())
                    .await?;
                if taken.rows_affected() > 0 {
                    return Ok(None);
                }
            }
            let holder: Option<Uuid> = sqlx::query_scalar(self.statements.unique_holder.clone())
                .bind(queue)
                .bind(key)
                .fetch_optional(tx.connection())
                .await?;
            match holder {
                Some(holder) if holder != id.0 => return Ok(Some(JobId(holder))),
                _ if !is_taken_anew => return Ok(None),
                // It was freed between the two.
                _ => {}
            }
        }
        Err(MOVED)
    }

    /// Removes a dead letter; whether there was one.
    pub(super) async fn discard_job(&self, id: JobId) -> Result<bool, DbError> {
        let done = sqlx::query(self.statements.discard_job.clone())
            .bind(id.0)
            .single(&self.db)
            .execute()
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Puts a job in for a tick, unless that or a later one was fired.
    pub(super) async fn fire_tick(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: &NewJob,
    ) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let is_fired = self.fire_tick_in(&mut tx, schedule, tick, job).await;
        let is_fired = concluded(tx, is_fired).await?;
        if is_fired {
            self.wakes.tell();
        }
        Ok(is_fired)
    }

    async fn fire_tick_in(
        &self,
        tx: &mut Transaction,
        schedule: &str,
        tick: OffsetDateTime,
        job: &NewJob,
    ) -> Result<bool, DbError> {
        let noted = sqlx::query(self.statements.note_tick.clone())
            .bind(schedule)
            .bind(tick)
            .execute(tx.connection())
            .await?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        self.put_on(tx.connection(), std::slice::from_ref(job))
            .await?;
        Ok(true)
    }
}
