// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Pausing, forking and following on Postgres.

use async_trait::async_trait;
use forktex_db::DbError;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row};

use super::PostgresStore;
use super::journal_row;
use super::row::{microseconds, unreadable};
use crate::definition::retention::RetentionRule;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::journal::Recorded;
use crate::store::control::{ControlStore, Fork, Paused};

#[async_trait]
impl ControlStore for PostgresStore {
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError> {
        let row = sqlx::query(self.statements.pause_run.clone())
            .bind(instance.0)
            .bind(is_paused)
            .fetch_optional(self.db.pool())
            .await?;
        paused(row.as_ref(), "is_changed")
    }

    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError> {
        let row = sqlx::query(self.statements.request_undo.clone())
            .bind(instance.0)
            .bind(reason)
            .fetch_optional(self.db.pool())
            .await?;
        paused(row.as_ref(), "is_asked")
    }

    async fn fork(&self, fork: &Fork) -> Result<bool, DbError> {
        let started: i64 = sqlx::query_scalar(self.statements.fork_run.clone())
            .bind(fork.source.0)
            .bind(fork.instance_id.0)
            .bind(fork.triggered_by)
            .bind(&fork.sequences)
            .bind(fork.pin.map(|pin| pin.definition.0))
            .bind(
                fork.pin
                    .map(|pin| i32::try_from(pin.version).unwrap_or(i32::MAX)),
            )
            .fetch_one(self.db.pool())
            .await?;
        Ok(started == 1)
    }

    async fn prune(&self, rule: &RetentionRule, limit: u32) -> Result<u64, DbError> {
        let removed: i64 = sqlx::query_scalar(self.statements.prune_runs.clone())
            .bind(rule.status.as_str())
            .bind(microseconds(rule.age))
            .bind(rule.workflow.as_deref())
            .bind(&rule.except)
            .bind(i64::from(limit))
            .fetch_one(self.db.pool())
            .await?;
        Ok(removed.unsigned_abs())
    }

    async fn events(
        &self,
        instance: InstanceId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, DbError> {
        let rows = sqlx::query(self.statements.read_events.clone())
            .bind(instance.0)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.db.pool())
            .await?;
        rows.iter().map(journal_row::recorded).collect()
    }
}

/// What a statement answers that changes a run which lives.
fn paused(row: Option<&PgRow>, is_done: &str) -> Result<Paused, DbError> {
    let Some(row) = row else {
        return Ok(Paused::NotFound);
    };
    if row.try_get(is_done)? {
        return Ok(Paused::Done);
    }
    let status: String = row.try_get("status")?;
    let status = InstanceStatus::parse(&status).ok_or_else(|| unreadable("status"))?;
    Ok(Paused::AlreadyTerminal(status))
}
