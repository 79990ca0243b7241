// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a rotation stands, in memory and in its row. Each write is fenced by the number of the run.

use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row as _};
use forktex_db::{Db, DbError, Transaction};
use time::OffsetDateTime;

use super::error::RotationError;
use super::report::{BAD_ROWS_MAX, BadRow, BadRowKind, RotationReport};
use super::statement::OwnStatements;

/// What makes two rotations the same one, so that the second goes on where the first stopped.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) table: String,
    pub(super) column: String,
    pub(super) kind: &'static str,
    pub(super) id_column: String,
    pub(super) from_keys: Vec<String>,
    pub(super) to_key: String,
    pub(super) scheme: &'static str,
}

/// How many rows went which way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) scanned: i64,
    pub(super) rotated: i64,
    pub(super) already_current: i64,
    pub(super) lost_swaps: i64,
}

/// The state of a rotation.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) run: i64,
    pub(super) pass: i32,
    pub(super) position: Option<String>,
    pub(super) pass_started_at: OffsetDateTime,
    pub(super) found_in_pass: i64,
    pub(super) tally: Tally,
}

impl Checkpoint {
    /// Takes up the rotation that did not finish, or begins one. Two statements at most.
    pub(super) async fn take(
        db: &Db,
        own: &OwnStatements,
        identity: &Identity,
    ) -> Result<Self, DbError> {
        db.transaction(async |tx| {
            for statement in [&own.resume_rotation, &own.begin_rotation] {
                let row = sqlx::query(statement.clone())
                    .bind(&identity.table)
                    .bind(&identity.column)
                    .bind(identity.kind)
                    .bind(&identity.id_column)
                    .bind(&identity.from_keys)
                    .bind(&identity.to_key)
                    .bind(identity.scheme)
                    .fetch_optional(tx.connection())
                    .await?;
                if let Some(row) = row {
                    return Self::read(&row);
                }
            }
            Err(DbError::NotFound)
        })
        .await
    }

    fn read(row: &PgRow) -> Result<Self, DbError> {
        Ok(Self {
            run: row.try_get("run")?,
            pass: row.try_get("pass")?,
            position: row.try_get("position")?,
            pass_started_at: row.try_get("pass_started_at")?,
            found_in_pass: row.try_get("found_in_pass")?,
            tally: Tally {
                scanned: row.try_get("scanned")?,
                rotated: row.try_get("rotated")?,
                already_current: row.try_get("already_current")?,
                lost_swaps: row.try_get("lost_swaps")?,
            },
        })
    }

    /// The state after a step.
    pub(super) fn advanced(&mut self, position: &str, step: Tally) {
        self.position = Some(position.to_owned());
        self.found_in_pass += step.rotated + step.lost_swaps;
        self.tally.scanned += step.scanned;
        self.tally.rotated += step.rotated;
        self.tally.already_current += step.already_current;
        self.tally.lost_swaps += step.lost_swaps;
    }

    /// Begins the next pass. One statement.
    pub(super) async fn next_pass(
        &mut self,
        db: &Db,
        own: &OwnStatements,
        identity: &Identity,
    ) -> Result<(), RotationError> {
        let run = self.run;
        let begun = db
            .transaction(async |tx| {
                let begun = sqlx::query_scalar(own.begin_pass.clone())
                    .bind(&identity.table)
                    .bind(&identity.column)
                    .bind(run)
                    .fetch_optional(tx.connection())
                    .await;
                begun.map_err(DbError::from)
            })
            .await?;
        self.pass_started_at = begun.ok_or_else(|| identity.superseded())?;
        self.pass += 1;
        self.position = None;
        self.found_in_pass = 0;
        Ok(())
    }

    /// Ends the pass: rows that it did not find bad leave the quarantine, and a clean pass finishes the
    /// rotation. One transaction.
    pub(super) async fn end_pass(
        &self,
        db: &Db,
        own: &OwnStatements,
        identity: &Identity,
    ) -> Result<(), RotationError> {
        db.transaction(async |tx| {
            sqlx::query(own.release_rows.clone())
                .bind(&identity.table)
                .bind(&identity.column)
                .bind(self.pass_started_at)
                .execute(tx.connection())
                .await
                .map_err(DbError::from)?;
            if self.found_in_pass > 0 {
                return Ok(());
            }
            let finished = sqlx::query(own.finish_rotation.clone())
                .bind(&identity.table)
                .bind(&identity.column)
                .bind(self.run)
                .execute(tx.connection())
                .await
                .map_err(DbError::from)?;
            if finished.rows_affected() == 0 {
                return Err(identity.superseded());
            }
            Ok(())
        })
        .await
    }

    /// The counts so far.
    pub(super) fn report(&self, identity: &Identity) -> RotationReport {
        RotationReport {
            table: identity.table.clone(),
            column: identity.column.clone(),
            scanned: self.tally.scanned.unsigned_abs(),
            rotated: self.tally.rotated.unsigned_abs(),
            already_current: self.tally.already_current.unsigned_abs(),
            lost_swaps: self.tally.lost_swaps.unsigned_abs(),
            passes: self.pass.unsigned_abs(),
            ..RotationReport::default()
        }
    }
}

impl Identity {
    pub(super) fn superseded(&self) -> RotationError {
        RotationError::Superseded {
            table: self.table.clone(),
            column: self.column.clone(),
        }
    }

    /// Notes bad rows, in the batch's transaction.
    pub(super) async fn quarantine(
        &self,
        tx: &mut Transaction,
        own: &OwnStatements,
        bad: &[(String, BadRowKind)],
    ) -> Result<(), DbError> {
        let (ids, kinds): (Vec<&str>, Vec<&str>) =
            bad.iter().map(|(id, kind)| (&**id, kind.as_str())).unzip();
        sqlx::query(own.quarantine_rows.clone())
            .bind(&self.table)
            .bind(&self.column)
            .bind(ids)
            .bind(kinds)
            .execute(tx.connection())
            .await?;
        Ok(())
    }

    /// Puts the rows in quarantine into a report. One statement.
    pub(super) async fn list_quarantine(
        &self,
        db: &Db,
        own: &OwnStatements,
        report: &mut RotationReport,
    ) -> Result<(), DbError> {
        let rows = db
            .read_only()
            .transaction(async |tx| {
                let rows = sqlx::query(own.list_quarantine.clone())
                    .bind(&self.table)
                    .bind(&self.column)
                    .bind(i64::try_from(BAD_ROWS_MAX).unwrap_or(i64::MAX))
                    .fetch_all(tx.connection())
                    .await;
                rows.map_err(DbError::from)
            })
            .await?;
        for row in &rows {
            let kind: String = row.try_get("error_kind")?;
            report.quarantined = row.try_get::<i64, _>("total")?.unsigned_abs();
            report.bad_rows.push(BadRow::new(
                row.try_get("row_id")?,
                BadRowKind::from_name(&kind),
                row.try_get("seen_at")?,
            ));
        }
        Ok(())
    }
}
