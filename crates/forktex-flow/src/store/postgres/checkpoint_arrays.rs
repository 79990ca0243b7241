// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Checkpoints as the arrays that one statement takes.

use std::borrow::Cow;

use forktex_db::DbError;
use forktex_db::sqlx::{self, PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::journal_row::JournalColumns;
use super::row::microseconds;
use super::sealing::{Cell, Sealing};
use crate::identifier::{InstanceId, NodeName};
use crate::instance::journal::MessageId;
use crate::store::{Checkpoint, RestsOn, Then};

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
    entry_stages: Vec<i32>,
    waits_on: Vec<Option<&'static str>>,
    waiting_signals: Vec<Option<String>>,
    waiting_children: Vec<Option<i32>>,
    fails_fast: Vec<bool>,
    current_nodes: Vec<Option<String>>,
    is_pausing: Vec<bool>,
    is_undoing: Vec<bool>,
    taken_instance_ids: Vec<Uuid>,
    taken_message_ids: Vec<i64>,
}

impl CheckpointArrays {
    pub(super) fn of(checkpoints: &[Checkpoint], sealing: &Sealing) -> Result<Self, DbError> {
        let mut arrays = Self::default();
        for checkpoint in checkpoints {
            arrays.instance_ids.push(checkpoint.instance_id.0);
            arrays.epochs.push(checkpoint.epoch.0);
            arrays.is_cancelling.push(checkpoint.is_cancelling);
            arrays.is_progress.push(checkpoint.is_progress());
            arrays.is_pausing.push(checkpoint.is_pausing);
            arrays.is_undoing.push(checkpoint.is_undoing);
            let run = checkpoint.instance_id;
            arrays.push_then(&checkpoint.then, sealing, run)?;
            let reason = checkpoint
                .cancel_reason()
                .map(|reason| sealing.text(Cell::Reason(run), reason))
                .transpose()?;
            arrays.cancel_reasons.push(reason.map(Cow::into_owned));
            for (sequence, entry) in (checkpoint.first_sequence..).zip(&checkpoint.entries) {
                let columns = JournalColumns::of(entry, sealing, run, sequence)?;
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
                arrays.entry_stages.push(checkpoint.stage);
                if let Some(MessageId(message)) = entry.message() {
                    arrays.taken_instance_ids.push(checkpoint.instance_id.0);
                    arrays.taken_message_ids.push(message);
                }
            }
        }
        Ok(arrays)
    }

    fn push_then(
        &mut self,
        then: &Then,
        sealing: &Sealing,
        run: InstanceId,
    ) -> Result<(), DbError> {
        let (status, failure) = match then {
            Then::End { status, failure } => (
                Some(status.as_str()),
                failure
                    .as_ref()
                    .map(|failure| sealing.json(Cell::Failure(run), failure))
                    .transpose()?,
            ),
            Then::Continue | Then::Wait(_) => (None, None),
        };
        self.statuses.push(status);
        self.failures.push(failure);
        let rest = match then {
            Then::Wait(rest) => Some(rest),
            Then::Continue | Then::End { .. } => None,
        };
        self.waits_on.push(rest.map(|rest| rest.on.as_str()));
        let wake_after = rest.and_then(|rest| rest.wake_after);
        self.wake_after_us.push(wake_after.map(microseconds));
        self.current_nodes.push(rest.map(|rest| {
            let nodes: Vec<&str> = rest.current_nodes.iter().map(NodeName::as_str).collect();
            nodes.join(" ")
        }));
        let (signals, children, fails_fast) = match rest.map(|rest| &rest.on) {
            Some(RestsOn::Signal(names)) => (Some(names.join(" ")), None, false),
            Some(RestsOn::Child {
                count,
                fails_fast,
                signals,
            }) => (
                (!signals.is_empty()).then(|| signals.join(" ")),
                Some(i32::try_from(*count).unwrap_or(i32::MAX)),
                *fails_fast,
            ),
            _ => (None, None, false),
        };
        self.fails_fast.push(fails_fast);
        self.waiting_signals.push(signals);
        self.waiting_children.push(children);
        Ok(())
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
            .bind(&self.waits_on)
            .bind(&self.waiting_signals)
            .bind(&self.waiting_children)
            .bind(&self.current_nodes)
            .bind(&self.is_pausing)
            .bind(&self.taken_instance_ids)
            .bind(&self.taken_message_ids)
            .bind(&self.entry_stages)
            .bind(&self.fails_fast)
            .bind(&self.is_undoing)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok(InstanceId(row.try_get("instance_id")?)))
            .collect()
    }
}
