// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The engine of rotation: passes over a table in batches, each committed with its checkpoint.
//!
//! No lock is held while values are opened and sealed. A value is written only where the row still
//! holds what was read, so a concurrent write is never lost; the row is visited again by the next
//! pass. Passes are made until one finds nothing to do.

mod batch;
mod read;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_db::sqlx::SqlStr;
use forktex_db::{Db, DbError, LockKey, TransactionOptions};
use time::OffsetDateTime;

use super::checkpoint::{Checkpoint, Identity};
use super::error::RotationError;
use super::report::{BAD_ROWS_MAX, BadRow, RotationReport};
use super::statement::OwnStatements;
use super::target::{Facts, Names};
use super::work::Work;
use batch::Batch;
use read::Reader;

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
    /// Begins transactions on the rows of all organisations.
    table: TransactionOptions,
    own: OwnStatements,
    table_oid: i64,
    identity: Identity,
    reader: Reader,
    write_batch: SqlStr,
    pace: Pace,
}

impl Sweep {
    pub(super) fn new(
        db: &Db,
        schema: &str,
        names: &Names,
        facts: &Facts,
        identity: Identity,
        work: Work,
        pace: Pace,
    ) -> Result<Self, DbError> {
        let reason = format!(
            "{} of {}.{}",
            identity.kind, identity.table, identity.column
        );
        let table = db.unscoped(&reason);
        Ok(Self {
            own: OwnStatements::for_schema(schema)?,
            table_oid: facts.table_oid,
            identity,
            write_batch: write::statement(schema, names, facts, &work)?,
            reader: Reader::new(
                table.clone().read_only(),
                names,
                facts,
                work,
                pace.batch_rows,
            ),
            table,
            db: db.clone(),
            pace,
        })
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

    /// One pass. In each step the server writes a batch, the next one is sealed, and the page after that
    /// is read.
    async fn pass(
        &self,
        checkpoint: &mut Checkpoint,
        started: Instant,
    ) -> Result<(), RotationError> {
        let mut page = self.reader.first(checkpoint.position.as_deref()).await?;
        let mut batch: Option<Batch> = None;
        while page.is_some() || batch.is_some() {
            let end = page.as_ref().map(|page| page.end.clone());
            let write = async {
                match &batch {
                    Some(batch) => self.write_and_tell(batch, checkpoint, started).await,
                    None => Ok(()),
                }
            };
            let seal = async {
                match page.take() {
                    Some(page) => self.reader.seal(page).await.map(Some),
                    None => Ok(None),
                }
            };
            let read = async {
                match &end {
                    Some(end) => self.reader.following(end).await,
                    None => Ok(None),
                }
            };
            let (written, sealed, next) = tokio::join!(write, seal, read);
            written?;
            (batch, page) = (sealed?, next?);
        }
        Ok(())
    }

    async fn write_and_tell(
        &self,
        batch: &Batch,
        checkpoint: &mut Checkpoint,
        started: Instant,
    ) -> Result<(), RotationError> {
        self.write(batch, checkpoint).await?;
        if let Some(progress) = &self.pace.progress {
            let mut report = checkpoint.report(&self.identity);
            report.elapsed = started.elapsed();
            progress(&report);
        }
        if !self.pace.pause.is_zero() {
            tokio::time::sleep(self.pace.pause).await;
        }
        Ok(())
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
        let mut page = self.reader.first(None).await?;
        while let Some(read) = page {
            let end = read.end.clone();
            let mut batch = self.reader.seal(read).await?;
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
            page = self.reader.following(&end).await?;
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }
}
