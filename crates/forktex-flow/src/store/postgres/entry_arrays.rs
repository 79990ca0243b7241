// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is recorded as the arrays that statements take.

use forktex_db::DbError;
use forktex_db::sqlx::{self, PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::journal_row::JournalColumns;
use super::sealing::Sealing;
use crate::identifier::InstanceId;
use crate::store::Checkpoint;

/// What is recorded.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) instance_ids: Vec<Uuid>,
    pub(super) sequences: Vec<i64>,
    pub(super) elapsed_us: Vec<i64>,
    pub(super) supersteps: Vec<i32>,
    pub(super) visits: Vec<i32>,
    pub(super) attempts: Vec<i32>,
    pub(super) kinds: Vec<i16>,
    pub(super) members: Vec<i16>,
    pub(super) stages: Vec<i32>,
    pub(super) nodes: Vec<String>,
    pub(super) payloads: Vec<Option<String>>,
}

/// The columns of `commit_entries`, one array each.
#[derive(Default)]
pub(super) struct EntryArrays {
    epochs: Vec<i64>,
    entries: Entries,
}

impl EntryArrays {
    pub(super) fn of(checkpoints: &[Checkpoint], sealing: &Sealing) -> Result<Self, DbError> {
        let mut arrays = Self::default();
        for checkpoint in checkpoints {
            let run = checkpoint.instance_id;
            for (sequence, entry) in (checkpoint.first_sequence..).zip(&checkpoint.entries) {
                let columns = JournalColumns::of(entry, sealing, run, sequence)?;
                arrays.epochs.push(checkpoint.epoch.0);
                arrays
                    .entries
                    .push(run, sequence, checkpoint.stage, columns);
            }
        }
        Ok(arrays)
    }

    /// Writes the entries and returns the runs that were held, each for every entry of it.
    pub(super) async fn write(
        &self,
        statement: SqlStr,
        connection: &mut PgConnection,
    ) -> Result<Vec<InstanceId>, DbError> {
        let Self { epochs, entries } = self;
        let rows = sqlx::query(statement)
            .bind(&entries.instance_ids)
            .bind(epochs)
            .bind(&entries.sequences)
            .bind(&entries.elapsed_us)
            .bind(&entries.supersteps)
            .bind(&entries.visits)
            .bind(&entries.attempts)
            .bind(&entries.kinds)
            .bind(&entries.members)
            .bind(&entries.stages)
            .bind(&entries.nodes)
            .bind(&entries.payloads)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok(InstanceId(row.try_get("instance_id")?)))
            .collect()
    }
}

impl Entries {
    pub(super) fn push(
        &mut self,
        run: InstanceId,
        sequence: i64,
        stage: i32,
        columns: JournalColumns,
    ) {
        self.instance_ids.push(run.0);
        self.sequences.push(sequence);
        self.elapsed_us.push(columns.elapsed_us);
        self.supersteps.push(columns.superstep);
        self.visits.push(columns.visit);
        self.attempts.push(columns.attempt);
        self.kinds.push(columns.kind);
        self.members.push(columns.member);
        self.stages.push(stage);
        self.nodes.push(columns.node);
        self.payloads.push(columns.payload);
    }
}
