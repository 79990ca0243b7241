// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Checkpoints as the arrays that one statement takes.

use forktex_db::DbError;
use forktex_db::sqlx::{self, PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::row::{self, JournalColumns, microseconds};
use crate::identifier::InstanceId;
use crate::store::{Checkpoint, Then};

/// The columns of `commit_checkpoints`, one array each.
#[derive(Default)]
pub(super) struct CheckpointArrays {
    instance_ids: Vec<Uuid>,
    epochs: Vec<i64>,
    is_cancelling: Vec<bool>,
    is_progress: Vec<bool>,
    wake_after_us: Vec<Option<i64>>,
    statuses: Vec<Option<&'static str>>,
    failures: Vec<Option<String>>,
    cancel_reasons: Vec<Option<String>>,
    entry_instance_ids: Vec<Uuid>,
    entry_sequences: Vec<i64>,
    entry_elapsed_us: Vec<i64>,
    entry_supersteps: Vec<i32>,
    entry_visits: Vec<i32>,
    entry_attempts: Vec<i32>,
    entry_kinds: Vec<i16>,
    entry_members: Vec<i16>,
    entry_nodes: Vec<String>,
    entry_payloads: Vec<Option<String>>,
}

impl CheckpointArrays {
    pub(super) fn of(checkpoints: &[Checkpoint]) -> Result<Self, DbError> {
        let mut arrays = Self::default();
        for checkpoint in checkpoints {
            arrays.instance_ids.push(checkpoint.instance_id.0);
            arrays.epochs.push(checkpoint.epoch.0);
            arrays.is_cancelling.push(checkpoint.is_cancelling);
            arrays.is_progress.push(checkpoint.is_progress());
            let (wake_after, status, failure) = match &checkpoint.then {
                Then::Continue => (None, None, None),
                Then::Sleep { wake_after } => (Some(microseconds(*wake_after)), None, None),
                Then::End { status, failure } => (
                    None,
                    Some(status.as_str()),
                    failure.as_ref().map(row::json).transpose()?,
                ),
            };
            arrays.wake_after_us.push(wake_after);
            arrays.statuses.push(status);
            arrays.failures.push(failure);
            arrays
                .cancel_reasons
                .push(checkpoint.cancel_reason().map(str::to_owned));
            for (sequence, entry) in (checkpoint.first_sequence..).zip(&checkpoint.entries) {
                let columns = JournalColumns::of(entry)?;
                arrays.entry_instance_ids.push(checkpoint.instance_id.0);
                arrays.entry_sequences.push(sequence);
                arrays.entry_elapsed_us.push(columns.elapsed_us);
                arrays.entry_supersteps.push(columns.superstep);
                arrays.entry_visits.push(columns.visit);
                arrays.entry_attempts.push(columns.attempt);
                arrays.entry_kinds.push(columns.kind);
                arrays.entry_members.push(columns.member);
                arrays.entry_nodes.push(columns.node);
                arrays.entry_payloads.push(columns.payload);
            }
        }
        Ok(arrays)
    }

    /// Writes the checkpoints and returns the runs that were held.
    pub(super) async fn write(
        &self,
        statement: SqlStr,
        connection: &mut PgConnection,
    ) -> Result<Vec<InstanceId>, DbError> {
        let rows = sqlx::query(statement)
            .bind(&self.instance_ids)
            .bind(&self.epochs)
            .bind(&self.is_cancelling)
            .bind(&self.wake_after_us)
            .bind(&self.statuses)
            .bind(&self.failures)
            .bind(&self.cancel_reasons)
            .bind(&self.entry_instance_ids)
            .bind(&self.entry_sequences)
            .bind(&self.entry_elapsed_us)
            .bind(&self.entry_supersteps)
            .bind(&self.entry_visits)
            .bind(&self.entry_attempts)
            .bind(&self.entry_kinds)
            .bind(&self.entry_members)
            .bind(&self.entry_nodes)
            .bind(&self.entry_payloads)
            .bind(&self.is_progress)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok(InstanceId(row.try_get("instance_id")?)))
            .collect()
    }
}
