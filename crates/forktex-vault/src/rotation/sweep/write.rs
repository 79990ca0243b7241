// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes a batch together with its checkpoint: both stand, or neither.

use std::time::Duration;

use forktex_db::sqlx::{self, SqlStr};
use forktex_db::{DbError, Transaction};

use super::Sweep;
use super::batch::Batch;
use crate::rotation::checkpoint::Checkpoint;
use crate::rotation::error::RotationError;
use crate::rotation::statement::{fill, in_schema};
use crate::rotation::target::{Facts, Names};
use crate::rotation::work::Work;

/// How long a batch waits for a row that somebody else holds. It holds rows itself meanwhile, so it
/// rather lets go and comes again.
const ROW_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The statement of a batch.
pub(super) fn statement(
    schema: &str,
    names: &Names,
    facts: &Facts,
    work: &Work,
) -> Result<SqlStr, DbError> {
    let parts = work.sql_parts(names);
    let parts = parts.iter().map(|(name, sql)| (*name, &**sql));
    let parts: Vec<_> = parts.chain([("id_type", &*facts.id_type)]).collect();
    let template = in_schema(include_str!("../sql/write_batch.sql"), schema)?;
    Ok(fill(template.as_str(), &parts))
}

impl Sweep {
    /// Writes a batch, and moves the checkpoint behind it. One transaction, of one statement where every
    /// value opened.
    pub(super) async fn write(
        &self,
        batch: &Batch,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), RotationError> {
        let run = checkpoint.run;
        let swapped = self
            .table
            .clone()
            .lock_timeout(ROW_LOCK_TIMEOUT)
            .transaction(async |tx| self.apply(tx, batch, batch.ids.len(), run).await)
            .await;
        let rotated = match swapped {
            // Somebody holds a row of the batch, or waited for us in a circle: nothing was written. All
            // of its swaps are lost, and the next pass comes again.
            Err(RotationError::Database(DbError::Conflict { .. })) => {
                self.table
                    .clone()
                    .transaction(async |tx| self.apply(tx, batch, 0, run).await)
                    .await?
            }
            swapped => swapped?,
        };
        checkpoint.advanced(&batch.last, batch.tally(rotated));
        Ok(())
    }

    /// Writes the first `rows` of the batch that still hold what was found, and says how many they were.
    async fn apply(
        &self,
        tx: &mut Transaction,
        batch: &Batch,
        rows: usize,
        run: i64,
    ) -> Result<i64, RotationError> {
        let planned = batch.tally(0);
        let written: Option<i64> = sqlx::query_scalar(self.write_batch.clone())
            .bind(&batch.ids[..rows])
            .bind(&batch.found[..rows])
            .bind(&batch.sealed[..rows])
            .bind(&self.identity.table)
            .bind(&self.identity.column)
            .bind(run)
            .bind(&batch.last)
            .bind(planned.scanned)
            .bind(planned.already_current)
            .bind(planned.lost_swaps)
            .fetch_optional(tx.connection())
            .await
            .map_err(DbError::from)?;
        let Some(rotated) = written else {
            return Err(self.identity.superseded());
        };
        if !batch.bad.is_empty() {
            self.identity.quarantine(tx, &self.own, &batch.bad).await?;
        }
        Ok(rotated)
    }
}
