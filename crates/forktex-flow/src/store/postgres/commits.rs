// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The ways to commit checkpoints: many in one statement, and the cheaper one of a run alone.

use forktex_db::sqlx::{self, PgConnection};
use forktex_db::{DbError, Singly as _};

use super::PostgresStore;
use super::checkpoint_arrays::CheckpointArrays;
use super::entry_arrays::EntryArrays;
use super::journal_row::JournalColumns;
use crate::identifier::InstanceId;
use crate::store::{Checkpoint, Committed, Store, Then};

impl PostgresStore {
    pub(super) async fn commit_on(
        &self,
        connection: &mut PgConnection,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<InstanceId>, DbError> {
        CheckpointArrays::of(checkpoints, &self.sealing)?
            .write(self.statements.commit_checkpoints.clone(), connection)
            .await
    }

    /// The way of many runs that go on.
    pub(super) async fn commit_entries(
        &self,
        connection: &mut PgConnection,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<InstanceId>, DbError> {
        EntryArrays::of(checkpoints, &self.sealing)?
            .write(self.statements.commit_entries.clone(), connection)
            .await
    }

    /// The way of a run alone: one entry, and its owner goes on. `None` where it was not taken.
    pub(super) async fn commit_plain(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Committed>, DbError> {
        let ([entry], Then::Continue, true) = (
            &*checkpoint.entries,
            &checkpoint.then,
            checkpoint.is_plain(),
        ) else {
            return self.commit_batch_of_one(checkpoint).await;
        };
        let (run, sequence) = (checkpoint.instance_id, checkpoint.first_sequence);
        let columns = JournalColumns::of(entry, &self.sealing, run, sequence)?;
        let done = sqlx::query(self.statements.commit_checkpoint.clone())
            .bind(checkpoint.instance_id.0)
            .bind(checkpoint.epoch.0)
            .bind(checkpoint.first_sequence)
            .bind(columns.elapsed_us)
            .bind(columns.superstep)
            .bind(columns.visit)
            .bind(columns.attempt)
            .bind(columns.kind)
            .bind(columns.member)
            .bind(checkpoint.stage)
            .bind(columns.node)
            .bind(columns.payload)
            .single(&self.db)
            .execute()
            .await?;
        Ok((done.rows_affected() == 1).then_some(Committed::Written))
    }

    /// Those that spawn runs are passed over: they take a transaction of two statements.
    pub(super) async fn commit_those_without_children(
        &self,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Option<Committed>>, DbError> {
        let plain: Vec<Checkpoint> = checkpoints
            .iter()
            .filter(|checkpoint| checkpoint.children.is_empty())
            .cloned()
            .collect();
        let mut outcomes = match &*plain {
            [] => Vec::new(),
            plain => self.commit_batch(plain).await?,
        }
        .into_iter();
        Ok(checkpoints
            .iter()
            .map(|checkpoint| match &*checkpoint.children {
                [] => outcomes.next().flatten(),
                _ => None,
            })
            .collect())
    }

    pub(super) async fn commit_batch_of_one(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Committed>, DbError> {
        if !checkpoint.children.is_empty() {
            return Ok(None);
        }
        let mut session = self.db.session().await?;
        let written = self
            .commit_on(session.connection(), std::slice::from_ref(checkpoint))
            .await?;
        session.end().await?;
        Ok((!written.is_empty()).then_some(Committed::Written))
    }
}

#[cfg(test)]
mod tests;
