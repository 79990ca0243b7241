// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Seals a plain column into another one, and drops it when nothing depends on it any more.

use std::time::Duration;

use forktex_db::sqlx;
use forktex_db::{Db, DbError};

use super::error::{RotationError, invalid};
use super::report::RotationReport;
use super::seal::ATTEMPTS;
use super::statement::fill;
use super::work::Task;
use super::{Plaintext, Prepared, Rotation};

/// How long the last step waits for those who use the table.
const TABLE_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Seals a plain column of a table, given as `schema.table`, into a second column of it.
///
/// What is sealed is the JSON of the plain value, as Postgres writes it: a text becomes a JSON string,
/// `jsonb` stays as it is. So [`Encrypted<T>`](crate::Encrypted) opens it. Plain `BYTEA` is refused.
///
/// The order: add the second column, `NULL` so far; have every process write both columns, setting the
/// sealed one anew whenever it changes the plain one; run this; have them read the sealed column; then
/// [`drop_plaintext`](Rotation::drop_plaintext). A row is sealed only while its sealed column is NULL and
/// its plain one unchanged, so what a process has sealed is never overwritten. The engine, and its
/// promises, are those of [`rotate_blobs`](crate::rotate_blobs).
///
/// # Examples
/// ```no_run
/// use forktex_vault::{Key, RotationError, seal_plaintext};
///
/// # async fn example(db: forktex_db::Db, key: Key) -> Result<(), RotationError> {
/// // ALTER TABLE app.person ADD COLUMN tax_number_sealed bytea
/// let report = seal_plaintext(&db, "app.person", "tax_number", "tax_number_sealed")
///     .to(&key)
///     .run()
///     .await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
pub fn seal_plaintext(
    db: &Db,
    table: impl Into<String>,
    plain_column: impl Into<String>,
    sealed_column: impl Into<String>,
) -> Rotation<Plaintext> {
    let mut rotation = Rotation::new(db, table.into(), sealed_column.into());
    rotation.source = Some(plain_column.into());
    rotation
}

impl Rotation<Plaintext> {
    /// Sets the plain value to NULL in the same update that seals it. By default it stays.
    ///
    /// Backups, replicas and dead row versions hold it for longer.
    pub fn nulling_plaintext(mut self) -> Self {
        self.nulls_plain = true;
        self
    }

    /// Seals what is left, opens every sealed value to see that it is sound, and drops the plain column.
    ///
    /// Where the plain column holds text, whole numbers, booleans, UUIDs or JSON, each sealed value must be
    /// the plain one of its row, or the plain one be NULL: so a process that went on to change plain
    /// values alone is noticed before what it wrote is gone. For other types the two may have different
    /// JSON, and are not compared.
    ///
    /// The table is locked against everything for the last check, which reads it once, and the drop.
    /// [`from`](Self::from) names further keys that processes may have sealed under.
    ///
    /// # Errors
    /// In each case the plain column is still there. Those of [`run`](Self::run), and
    /// - [`RotationError::BadRowsLeft`] when sealed values do not open, or are not the plain ones;
    /// - [`RotationError::NeverClean`] when rows without a sealed value keep coming;
    /// - [`RotationError::Database`] with [`DbError::Denied`] when the role does not own the table, with
    ///   [`DbError::Conflict`] when the table is in use for too long, and with [`DbError::Invalid`] in a
    ///   dry run.
    ///
    /// # Cancellation
    /// Safe: the column is there or not.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_vault::{Key, RotationError, seal_plaintext};
    /// # async fn example(db: forktex_db::Db, key: Key) -> Result<(), RotationError> {
    /// let sealing = seal_plaintext(&db, "app.person", "tax_number", "tax_number_sealed").to(&key);
    /// sealing.drop_plaintext().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drop_plaintext(self) -> Result<RotationReport, RotationError> {
        if self.is_dry_run {
            return Err(invalid("a dry run drops nothing", None).into());
        }
        let prepared = self.prepare().await?;
        let mut total = RotationReport::default();
        for _ in 0..ATTEMPTS {
            let report = prepared.sweep.run().await?;
            total.absorb(report);
            self.proof(&total)?;
            self.verify(&prepared).await?;
            if self.drop_if_sealed(&prepared).await? {
                return Ok(total);
            }
        }
        Err(RotationError::NeverClean {
            table: self.table,
            column: self.column,
            passes: total.passes,
        })
    }

    /// Opens every sealed value of the column, and holds it against the plain one.
    async fn verify(&self, prepared: &Prepared) -> Result<(), RotationError> {
        let Prepared { names, facts, .. } = prepared;
        let task = Task::Verify {
            compares_plain: facts.plain_is_comparable,
        };
        let work = self.work(names, facts, self.opening()?, task);
        let sweep = self.sweep(names, facts, work)?;
        let verified = sweep.dry_run().await?;
        if verified.quarantined > 0 {
            return Err(RotationError::BadRowsLeft {
                table: self.table.clone(),
                column: self.column.clone(),
                rows: verified.quarantined,
                bad_rows: verified.bad_rows,
            });
        }
        Ok(())
    }

    /// Drops the plain column, unless a row has no sealed value yet.
    async fn drop_if_sealed(&self, prepared: &Prepared) -> Result<bool, RotationError> {
        let names = &prepared.names;
        let Some(source) = &names.source else {
            return Ok(false);
        };
        let (table, source, column) = (names.table(), source.to_string(), names.column.to_string());
        let parts = [
            ("table", &*table),
            ("source", &*source),
            ("column", &*column),
        ];
        let dropped = self
            .db
            .unscoped("a plain column is dropped when every row of it is sealed")
            .lock_timeout(TABLE_LOCK_TIMEOUT)
            .statement_timeout(Duration::ZERO)
            .transaction(async |tx| -> Result<bool, DbError> {
                let lock = fill(include_str!("sql/lock_table.sql"), &parts);
                sqlx::query(lock).execute(tx.connection()).await?;
                let check = fill(include_str!("sql/has_unsealed.sql"), &parts);
                let has_unsealed: bool =
                    sqlx::query_scalar(check).fetch_one(tx.connection()).await?;
                if has_unsealed {
                    return Ok(false);
                }
                let drop = fill(include_str!("sql/drop_plaintext.sql"), &parts);
                sqlx::query(drop).execute(tx.connection()).await?;
                Ok(true)
            })
            .await?;
        Ok(dropped)
    }
}
