// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Pausing, forking and following on Postgres.

use std::collections::HashSet;

use async_trait::async_trait;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use serde_json::Value;

use super::PostgresStore;
use super::journal_row::{self, JournalColumns};
use super::row::{microseconds, unreadable};
use super::sealing::Cell;
use crate::definition::retention::RetentionRule;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::journal::Recorded;
use crate::store::control::{ControlStore, Fork, Paused};

/// The input of a run and the payloads of its entries, as its columns hold them.
type Resealed = (Value, Vec<Option<String>>);

impl PostgresStore {
    /// What a fork begins with, sealed for where it will stand; nothing where this flow does not seal.
    /// Entries that are written never change, so that they may be read before.
    async fn resealed(&self, fork: &Fork) -> Result<Option<Resealed>, DbError> {
        if !self.sealing.is_on() {
            return Ok(None);
        }
        let source = sqlx::query(self.statements.read_instance.clone())
            .bind(fork.source.0)
            .single(&self.db)
            .fetch_optional()
            .await?;
        let Some(source) = source else {
            return Ok(None);
        };
        let Json(input) = source.try_get("input")?;
        let input = self.sealing.open_input(fork.source, input)?;
        let input = self.sealing.input(fork.instance_id, &input)?.into_owned();
        let rows = sqlx::query(self.statements.load_journals.clone())
            .bind([fork.source.0])
            .single(&self.db)
            .fetch_all()
            .await?;
        let kept: HashSet<i64> = fork.sequences.iter().copied().collect();
        let mut payloads = Vec::with_capacity(kept.len());
        for row in &rows {
            let sequence: i64 = row.try_get("sequence")?;
            if kept.contains(&sequence) {
                let recorded = journal_row::told(row, &self.sealing)?;
                let place = i64::try_from(payloads.len()).unwrap_or(i64::MAX);
                let columns = JournalColumns::of(
                    &recorded.entry,
                    &self.sealing,
                    fork.instance_id,
                    place + 1,
                )?;
                payloads.push(columns.payload);
            }
        }
        Ok(Some((input, payloads)))
    }
}

#[async_trait]
impl ControlStore for PostgresStore {
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError> {
        let row = sqlx::query(self.statements.pause_run.clone())
            .bind(instance.0)
            .bind(is_paused)
            .single(&self.db)
            .fetch_optional()
            .await?;
        paused(row.as_ref(), "is_changed")
    }

    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError> {
        let reason = self.sealing.text(Cell::Reason(instance), reason)?;
        let row = sqlx::query(self.statements.request_undo.clone())
            .bind(instance.0)
            .bind(&*reason)
            .single(&self.db)
            .fetch_optional()
            .await?;
        paused(row.as_ref(), "is_asked")
    }

    async fn fork(&self, fork: &Fork) -> Result<bool, DbError> {
        let resealed = self.resealed(fork).await?;
        let (input, payloads) = resealed.unzip();
        let started: i64 = sqlx::query_scalar(self.statements.fork_run.clone())
            .bind(fork.source.0)
            .bind(fork.instance_id.0)
            .bind(fork.triggered_by)
            .bind(&fork.sequences)
            .bind(input.map(Json))
            .bind(payloads)
            .bind(fork.pin.map(|pin| pin.definition.0))
            .bind(
                fork.pin
                    .map(|pin| i32::try_from(pin.version).unwrap_or(i32::MAX)),
            )
            .single(&self.db)
            .fetch_one()
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
            .single(&self.db)
            .fetch_one()
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
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| journal_row::told(row, &self.sealing))
            .collect()
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
