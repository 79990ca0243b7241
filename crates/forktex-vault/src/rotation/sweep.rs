// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The engine of rotation: passes over a table in batches, each committed with its checkpoint.
//!
//! No lock is held while values are opened and sealed. A value is written only where the row still
//! holds what was read, so a concurrent write is never lost; the row is visited again by the next
//! pass. Passes are made until one finds nothing to do.

mod batch;
mod read;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, SqlStr};
use forktex_db::{Db, DbError, LockKey};
use time::OffsetDateTime;

use super::checkpoint::{Checkpoint, Identity, Tally};
use super::error::RotationError;
use super::report::{BAD_ROWS_MAX, BadRow, RotationReport};
use super::statement::{OwnStatements, fill};
use super::target::{Facts, Names};
use super::work::Work;
use batch::Batch;
use read::Reader;

/// How long a batch waits for a row that somebody else holds. It holds rows itself meanwhile, so it
/// rather lets go and comes again.
const ROW_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Told of each batch.
pub(super) type Progress = Arc<dyn Fn(&RotationReport) + Send + Sync>;

/// How a sweep goes about.
#[derive(Clone)]
pub(super) struct Pace {
    pub(super) batch_rows: u32,
    pub(super) pause: Duration,
    pub(super) passes_max: u32,
    pub(super) progress: Option<Progress>,
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("batch_rows", &self.batch_rows)
            .field("pause", &self.pause)
            .field("passes_max", &self.passes_max)
            .finish_non_exhaustive()
    }
}

/// One rotation, ready to run.
#[derive(Debug)]
pub(super) struct Sweep {
    db: Db,
    own: OwnStatements,
    table_oid: i64,
    identity: Identity,
    reader: Reader,
    pace: Pace,
    swap: SqlStr,
}

impl Sweep {
    pub(super) fn new(
        db: Db,
        own: OwnStatements,
        names: &Names,
        facts: &Facts,
        identity: Identity,
        work: Work,
        pace: Pace,
    ) -> Self {
        let parts = work.sql_parts(names);
        let mut parts: Vec<(&str, &str)> =
            parts.iter().map(|(name, sql)| (*name, &**sql)).collect();
        parts.push(("id_type", &facts.id_type));
        Self {
            swap: fill(include_str!("sql/swap_values.sql"), &parts),
            table_oid: facts.table_oid,
            reader: Reader::new(db.clone(), names, facts, work, pace.batch_rows),
            db,
            own,
            identity,
            pace,
        }
    }

    /// Sweeps until a pass is clean, alone on the column.
    pub(super) async fn run(&self) -> Result<RotationReport, RotationError> {
        let Identity { table, column, .. } = &self.identity;
        let key = LockKey::new(format!("forktex_vault.rotate:{}:{column}", self.table_oid));
        let Some(lock) = self.db.try_advisory_lock(&key).await? else {
            return Err(RotationError::AlreadyRunning {
                table: table.clone(),
                column: column.clone(),
            });
        };
        let outcome = self.sweep().await;
        // If this fails the connection was lost, and the lock with it: the fence of the checkpoint keeps
        // two runs apart then.
        lock.release().await.ok();
        outcome
    }

    async fn sweep(&self) -> Result<RotationReport, RotationError> {
        let started = Instant::now();
        let mut checkpoint = Checkpoint::take(&self.db, &self.own, &self.identity).await?;
        let mut clean_as_of = None;
        for passes in 1..=self.pace.passes_max {
            self.pass(&mut checkpoint, started).await?;
            checkpoint
                .end_pass(&self.db, &self.own, &self.identity)
                .await?;
            if checkpoint.found_in_pass == 0 {
                clean_as_of = Some(checkpoint.pass_started_at);
                break;
            }
            if passes < self.pace.passes_max {
                checkpoint
                    .next_pass(&self.db, &self.own, &self.identity)
                    .await?;
            }
        }
        let mut report = checkpoint.report(&self.identity);
        if clean_as_of.is_none() {
            // So that the next run makes a whole pass, not the rest of this one.
            checkpoint
                .next_pass(&self.db, &self.own, &self.identity)
                .await?;
        }
        self.identity
            .list_quarantine(&self.db, &self.own, &mut report)
            .await?;
        report.clean_as_of = clean_as_of;
        report.elapsed = started.elapsed();
        tracing::info!(
            table = report.table,
            column = report.column,
            rotated = report.rotated,
            passes = report.passes,
            quarantined = report.quarantined,
            is_complete = report.is_complete(),
            "a rotation ended"
        );
        Ok(report)
    }

    async fn pass(
        &self,
        checkpoint: &mut Checkpoint,
        started: Instant,
    ) -> Result<(), RotationError> {
        let mut prepared = self.reader.first(checkpoint.position.as_deref()).await?;
        while let Some(batch) = prepared {
            if self.pace.pause.is_zero() {
                // The next batch is read and sealed while the server writes this one.
                let (written, next) = tokio::join!(
                    self.write(&batch, checkpoint),
                    self.reader.following(&batch)
                );
                written?;
                prepared = next?;
            } else {
                self.write(&batch, checkpoint).await?;
                tokio::time::sleep(self.pace.pause).await;
                prepared = self.reader.following(&batch).await?;
            }
            if let Some(progress) = &self.pace.progress {
                let mut report = checkpoint.report(&self.identity);
                report.elapsed = started.elapsed();
                progress(&report);
            }
        }
        Ok(())
    }

    /// Writes a batch with its checkpoint: one transaction of three statements at most.
    async fn write(&self, batch: &Batch, checkpoint: &mut Checkpoint) -> Result<(), RotationError> {
        let seen: &Checkpoint = checkpoint;
        let written = self
            .db
            .lock_timeout(ROW_LOCK_TIMEOUT)
            .transaction(async |tx| -> Result<Tally, RotationError> {
                let mut rotated = 0;
                if !batch.ids.is_empty() {
                    let swapped = sqlx::query(self.swap.clone())
                        .bind(&batch.ids)
                        .bind(&batch.found)
                        .bind(&batch.sealed)
                        .execute(tx.connection())
                        .await
                        .map_err(DbError::from)?;
                    rotated = i64::try_from(swapped.rows_affected()).unwrap_or(i64::MAX);
                }
                self.note(tx, batch, seen, rotated).await
            })
            .await;
        let step = match written {
            // Somebody holds a row of the batch, or waited for us in a circle: nothing was written. All
            // of its swaps are lost, and the next pass comes again.
            Err(RotationError::Database(DbError::Conflict { .. })) => {
                self.db
                    .transaction(async |tx| self.note(tx, batch, seen, 0).await)
                    .await?
            }
            written => written?,
        };
        checkpoint.advanced(&batch.last, step);
        Ok(())
    }

    /// Notes what became of a batch.
    async fn note(
        &self,
        tx: &mut forktex_db::Transaction,
        batch: &Batch,
        checkpoint: &Checkpoint,
        rotated: i64,
    ) -> Result<Tally, RotationError> {
        let step = batch.tally(rotated);
        if !batch.bad.is_empty() {
            self.identity.quarantine(tx, &self.own, &batch.bad).await?;
        }
        checkpoint
            .advance(tx, &self.own, &self.identity, &batch.last, step)
            .await?;
        Ok(step)
    }

    /// One pass that writes nothing.
    pub(super) async fn dry_run(&self) -> Result<RotationReport, RotationError> {
        let started = Instant::now();
        let mut report = RotationReport {
            table: self.identity.table.clone(),
            column: self.identity.column.clone(),
            passes: 1,
            is_dry_run: true,
            ..RotationReport::default()
        };
        let mut prepared = self.reader.first(None).await?;
        while let Some(mut batch) = prepared {
            let step = batch.tally(i64::try_from(batch.ids.len()).unwrap_or(i64::MAX));
            report.scanned += step.scanned.unsigned_abs();
            report.rotated += step.rotated.unsigned_abs();
            report.already_current += step.already_current.unsigned_abs();
            for (row_id, kind) in batch.bad.drain(..) {
                report.quarantined += 1;
                if report.bad_rows.len() < BAD_ROWS_MAX {
                    let seen_at = OffsetDateTime::now_utc();
                    report.bad_rows.push(BadRow::new(row_id, kind, seen_at));
                }
            }
            report.elapsed = started.elapsed();
            if let Some(progress) = &self.pace.progress {
                progress(&report);
            }
            if !self.pace.pause.is_zero() {
                tokio::time::sleep(self.pace.pause).await;
            }
            prepared = self.reader.following(&batch).await?;
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }
}
