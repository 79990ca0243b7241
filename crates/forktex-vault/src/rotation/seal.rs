// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The seal of a column: a CHECK that refuses values under any key but one.

use std::time::Duration;

use forktex_db::sqlx::{self, AssertSqlSafe, SqlStr};
use forktex_db::{Db, DbError, Identifier};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::error::RotationError;
use super::report::{RotationReport, SealReport};
use super::statement::fill;
use super::target::{Facts, Names};
use super::work::is_under_key;
use super::{Prepared, Rotation, Tokens};
use crate::key::KeyId;
use crate::scheme::Scheme;

const PREFIX: &str = "vault_seal_";

/// How long a change of the table waits for those who use it; those who come later wait behind it.
const TABLE_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a change of the table tries for its lock.
const LOCK_ATTEMPTS: u32 = 5;

/// How often late rows are swept up before the seal holds. Once the constraint is there, no more come.
pub(super) const ATTEMPTS: u32 = 4;

impl Rotation<Tokens> {
    /// Rotates what is left, then seals the column: from then on the database refuses, with
    /// [`DbError::Invalid`] naming the constraint, every value that is not under the new key, so that a
    /// process that was overlooked cannot bring the old key back.
    ///
    /// The constraint is named after the key and the column, such as
    /// `vault_seal_3fda43b6ffe9b158_payload`. It is added without looking at the rows, which locks the
    /// table for a moment, and then validated while reads and writes go on; if that meets a row that came
    /// late, the row is rotated and the validation made again. Before the next change of keys, take it
    /// off with [`unseal`](Self::unseal).
    ///
    /// A seal stands in the way of processes that still write under the old key: seal when all of them are
    /// gone. Between its two steps the database checks every row that is written, whichever columns the
    /// statement sets; a row that came late under the old key cannot be updated until it is rotated, which
    /// comes next.
    ///
    /// Fernet tokens name no key, so there is no constraint for them: the report says as of when none was
    /// left. [`dry_run`](Self::dry_run) has no effect here.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and
    /// - [`RotationError::Database`] with [`DbError::Denied`] when the role does not own the table;
    /// - [`RotationError::BadRowsLeft`] when rows are set aside;
    /// - [`RotationError::NeverClean`] when rows under an old key keep coming.
    ///
    /// # Cancellation
    /// Safe: the constraint may be there and not be validated yet, which the next call makes good.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_vault::{Key, RotationError, rotate_blobs};
    /// # async fn example(db: forktex_db::Db, old: Key, new: Key) -> Result<(), RotationError> {
    /// let sealed = rotate_blobs(&db, "app.credential", "payload").from(&old).to(&new).seal().await?;
    /// println!("{sealed}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn seal(self) -> Result<SealReport, RotationError> {
        let prepared = self.prepare().await?;
        let mut total = RotationReport::default();
        for _ in 0..ATTEMPTS {
            let report = prepared.sweep.run().await?;
            total.absorb(report);
            let clean_as_of = self.proof(&total)?;
            if self.scheme == Scheme::Fernet {
                return Ok(SealReport {
                    rotation: total,
                    constraint: None,
                    as_of: clean_as_of,
                });
            }
            let name = seal_name(&self.column, prepared.to)?;
            match self.add_and_validate(&prepared, &name).await {
                Ok(as_of) => {
                    return Ok(SealReport {
                        rotation: total,
                        constraint: Some(name.as_str().to_owned()),
                        as_of,
                    });
                }
                // A row came late. Rotate again; no more can come now.
                Err(error) if error.sqlstate() == Some("23514") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RotationError::NeverClean {
            table: self.table,
            column: self.column,
            passes: total.passes,
        })
    }

    /// Takes every seal off the column, and says which there were. No key is needed.
    ///
    /// # Errors
    /// [`RotationError::Database`], with [`DbError::Denied`] when the role does not own the table, and
    /// [`DbError::Conflict`] when the table is in use for too long.
    ///
    /// # Cancellation
    /// Safe: each seal is there or not.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(db: forktex_db::Db) -> Result<(), forktex_vault::RotationError> {
    /// let dropped = forktex_vault::rotate_blobs(&db, "app.credential", "payload").unseal().await?;
    /// println!("taken off: {dropped:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn unseal(self) -> Result<Vec<String>, RotationError> {
        let names = self.names()?;
        let facts = Facts::read(&self.db, &names).await?;
        let mut dropped = Vec::new();
        for (name, _) in find_seals(&self.db, &names, &facts).await? {
            let constraint = Identifier::new(&*name)?;
            let parts = [
                ("table", &*names.table()),
                ("constraint", &*constraint.to_string()),
            ];
            let statement = fill(include_str!("sql/drop_seal.sql"), &parts);
            alter(&self.db, statement, TABLE_LOCK_TIMEOUT).await?;
            dropped.push(name);
        }
        Ok(dropped)
    }

    async fn add_and_validate(
        &self,
        prepared: &Prepared,
        constraint: &Identifier,
    ) -> Result<OffsetDateTime, DbError> {
        let Prepared {
            names, facts, to, ..
        } = prepared;
        let is_sealed = is_under_key(facts.holds, *to, &names.column.to_string());
        let parts = [
            ("table", &*names.table()),
            ("constraint", &*constraint.to_string()),
            ("is_sealed", &*is_sealed),
        ];
        let seals = find_seals(&self.db, names, facts).await?;
        if !seals.iter().any(|(name, _)| name == constraint.as_str()) {
            let statement = fill(include_str!("sql/add_seal.sql"), &parts);
            alter(&self.db, statement, TABLE_LOCK_TIMEOUT).await?;
        }
        let statement = fill(include_str!("sql/validate_seal.sql"), &parts);
        alter(&self.db, statement, TABLE_LOCK_TIMEOUT).await
    }
}

impl<K> Rotation<K> {
    /// When the last pass of a rotation was clean, or why it proves nothing.
    pub(super) fn proof(&self, report: &RotationReport) -> Result<OffsetDateTime, RotationError> {
        let (table, column) = (self.table.clone(), self.column.clone());
        if report.quarantined > 0 {
            return Err(RotationError::BadRowsLeft {
                table,
                column,
                rows: report.quarantined,
                bad_rows: report.bad_rows.clone(),
            });
        }
        report.clean_as_of.ok_or(RotationError::NeverClean {
            table,
            column,
            passes: report.passes,
        })
    }
}

/// Refuses to rotate a column towards a key that its seal would refuse.
pub(super) async fn refuse_other_seals(
    db: &Db,
    names: &Names,
    facts: &Facts,
    to: KeyId,
    table: &str,
) -> Result<(), RotationError> {
    let seals = find_seals(db, names, facts).await?;
    let wanted = to.to_string();
    match seals.into_iter().find(|(_, key)| *key != wanted) {
        Some((constraint, key)) => Err(RotationError::SealedForOtherKey {
            table: table.to_owned(),
            column: names.column.as_str().to_owned(),
            constraint,
            key,
        }),
        None => Ok(()),
    }
}

/// The seals of the column: each one's name, and the key that it names.
async fn find_seals(
    db: &Db,
    names: &Names,
    facts: &Facts,
) -> Result<Vec<(String, String)>, DbError> {
    let found: Vec<String> = db
        .read_only()
        .transaction(async |tx| {
            let found = sqlx::query_scalar(AssertSqlSafe(include_str!("sql/find_seals.sql")))
                .bind(facts.table_oid)
                .fetch_all(tx.connection())
                .await;
            found.map_err(DbError::from)
        })
        .await?;
    let suffix = column_part(names.column.as_str());
    let of_column = |name: String| {
        let (key, rest) = name.strip_prefix(PREFIX)?.split_at_checked(16)?;
        let key = key.to_owned();
        (rest.strip_prefix('_')? == suffix).then_some((name, key))
    };
    Ok(found.into_iter().filter_map(of_column).collect())
}

/// The name of a seal: the same for the same key and column, and never cut by the server.
fn seal_name(column: &str, key: KeyId) -> Result<Identifier, DbError> {
    Identifier::new(format!("{PREFIX}{key}_{}", column_part(column)))
}

/// The column, or its fingerprint where its name is too long.
fn column_part(column: &str) -> String {
    const BYTES_MAX: usize = 63 - PREFIX.len() - 16 - 1;
    if column.len() <= BYTES_MAX {
        return column.to_owned();
    }
    let digest = Sha256::digest(column);
    let (first, _) = digest.as_chunks::<8>();
    format!("{:016x}", u64::from_be_bytes(first[0]))
}

/// Changes the table, as soon as its users let go for a moment, and says when that was done.
pub(super) async fn alter(
    db: &Db,
    statement: SqlStr,
    lock_timeout: Duration,
) -> Result<OffsetDateTime, DbError> {
    let mut attempt = 1;
    loop {
        let altered = db
            .lock_timeout(lock_timeout)
            // A validation reads the whole table.
            .statement_timeout(Duration::ZERO)
            .transaction(async |tx| -> Result<OffsetDateTime, DbError> {
                sqlx::query(statement.clone())
                    .execute(tx.connection())
                    .await?;
                let now = sqlx::query_scalar("SELECT clock_timestamp()")
                    .fetch_one(tx.connection())
                    .await?;
                Ok(now)
            })
            .await;
        match altered {
            Err(DbError::Conflict { .. }) if attempt < LOCK_ATTEMPTS => attempt += 1,
            altered => return altered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_seal_fits_and_is_the_same_each_time() {
        let key = KeyId::from_bytes([7; 8]);
        let name = |column: &str| seal_name(column, key).unwrap().as_str().to_owned();
        assert_eq!(name("payload"), "vault_seal_0707070707070707_payload");
        let long = "x".repeat(63);
        assert!(name(&long).len() <= 63);
        assert_eq!(name(&long), name(&long));
        assert_ne!(name(&long), name(&"x".repeat(62)));
    }
}
