// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lays and changes one schema, forward only.
//!
//! There is no way back down: a mistake is mended by a further migration. Nothing is read from disk;
//! the SQL is part of the program.

mod error;
mod plan;

use std::borrow::Cow;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::db::Db;
use crate::error::DbError;
use crate::identifier::{Identifier, rename_schema, schema_identifier};
use crate::locks::LockKey;
use crate::transaction::{Isolation, Transaction, TransactionOptions};

pub use error::MigrateError;
use plan::{Applied, Plan, checksum, plan, validate};

/// One step of a schema's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Its place: 1 for the first, then without gaps.
    pub version: u32,
    /// What it does, for people.
    pub name: &'static str,
    /// The statements, separated by semicolons, with every table qualified by the default schema.
    pub sql: &'static str,
}

impl Migration {
    /// Describes a migration.
    pub const fn new(version: u32, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql }
    }
}

impl From<(u32, &'static str, &'static str)> for Migration {
    fn from((version, name, sql): (u32, &'static str, &'static str)) -> Self {
        Self::new(version, name, sql)
    }
}

/// What [`Migrator::run`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// The versions applied by this run, oldest first; empty if there was nothing to do.
    pub applied: Vec<u32>,
    /// The newest version in the database; 0 if there is none.
    pub current: u32,
    /// The versions in the database that this program does not know: it is older than the schema.
    pub ahead: Vec<u32>,
}

/// Brings one schema to the newest version that the program knows.
///
/// A run is one transaction, under an advisory lock: of many that run at once, one applies the
/// migrations and the others find them applied. A failure leaves the schema as it was. The history is
/// kept in `schema_migration` in the schema itself, each version with the SHA-256 of its text (line
/// ends aside), so that a migration edited after the fact is noticed.
///
/// **A newer database is accepted.** During a rolling deploy the old program runs on the new schema, so
/// migrations must add, never take away what the release before still uses. Versions that the program
/// does not know are listed in [`MigrationReport::ahead`].
///
/// Migrations cannot hold what Postgres refuses in a transaction, such as
/// `CREATE INDEX CONCURRENTLY`, nor `COMMIT`. A statement in them may run without a time limit.
///
/// # Examples
/// ```no_run
/// use forktex_db::{Db, MigrateError, Migration, Migrator};
///
/// # async fn example(db: Db) -> Result<(), MigrateError> {
/// let migrations = [Migration::new(1, "orders", "CREATE TABLE shop.order (id bigint PRIMARY KEY);")];
/// let report = Migrator::new("shop", &migrations).run(&db).await?;
/// println!("the schema is at version {}", report.current);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a migrator does nothing until `run` is called"]
pub struct Migrator {
    default_schema: String,
    schema: String,
    migrations: Vec<Migration>,
}

impl Migrator {
    /// Takes the name of the schema as the SQL writes it, and the migrations, oldest first.
    pub fn new(default_schema: impl Into<String>, migrations: &[Migration]) -> Self {
        let default_schema = default_schema.into();
        Self {
            schema: default_schema.clone(),
            default_schema,
            migrations: migrations.to_vec(),
        }
    }

    /// Lays the schema under another name: each token `default.` of the SQL becomes `"name".`, by the
    /// rules of [`rename_schema`], and nothing else changes. The checksums are those of the text before.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Applies what is missing.
    ///
    /// If nothing is, this costs one round trip, takes no lock and writes nothing, so that a role that
    /// may only read the history can call it. Otherwise the role must own the schema, or be allowed to
    /// create it.
    ///
    /// # Errors
    /// Nothing was applied in any case but [`DbError::OutcomeUnknown`], after which it may be run again.
    /// - [`MigrateError::OutOfSequence`] if the versions are not 1, 2, 3 and so on.
    /// - [`MigrateError::ChecksumChanged`] if an applied migration has been edited since.
    /// - [`MigrateError::Hole`] if the database has a later version but not an earlier one.
    /// - [`MigrateError::Failed`] names the migration that the database refused.
    /// - [`MigrateError::Database`] for everything else.
    ///
    /// # Cancellation
    /// Safe: nothing is applied, or everything.
    pub async fn run(&self, db: &Db) -> Result<MigrationReport, MigrateError> {
        validate(&self.migrations)?;
        let schema = schema_identifier(&self.schema)?;
        let history = format!("{schema}.schema_migration");

        match read_history(db.pool(), &history)
            .await
            .map_err(|error| db.error(error))
        {
            Ok(applied) => {
                let Plan {
                    pending,
                    current,
                    ahead,
                } = plan(&self.migrations, &applied)?;
                if pending.is_empty() {
                    return Ok(MigrationReport {
                        applied: Vec::new(),
                        current,
                        ahead,
                    });
                }
            }
            Err(DbError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }

        // Later statements must see what the holder of the lock before us committed. The wait for the
        // lock and the building of an index may both be long.
        TransactionOptions::new(db.clone())
            .isolation(Isolation::ReadCommitted)
            .statement_timeout(Duration::ZERO)
            .transaction(async |tx| self.apply_pending(tx, &schema, &history).await)
            .await
    }

    async fn apply_pending(
        &self,
        tx: &mut Transaction,
        schema: &Identifier,
        history: &str,
    ) -> Result<MigrationReport, MigrateError> {
        tx.lock(&lock_key(schema)).await?;
        create_history(tx.connection(), schema, history).await?;
        let applied = read_history(tx.connection(), history)
            .await
            .map_err(DbError::from)?;
        let Plan {
            pending,
            current,
            ahead,
        } = plan(&self.migrations, &applied)?;

        for migration in &pending {
            let sql = rename_schema(migration.sql, &self.default_schema, &self.schema)?;
            apply(tx.connection(), migration, sql).await?;
            record(tx.connection(), migration, history).await?;
            tracing::info!(
                schema = schema.as_str(),
                version = migration.version,
                name = migration.name,
                "applied a migration"
            );
        }
        Ok(MigrationReport {
            current: pending.last().map_or(current, |last| last.version),
            applied: pending.iter().map(|migration| migration.version).collect(),
            ahead,
        })
    }
}

fn lock_key(schema: &Identifier) -> LockKey {
    LockKey::new(format!("forktex_db.migrate:{}", schema.as_str()))
}

/// Reads the history without parameters, hence in one message, which is right behind a pooler too.
async fn read_history<'c, E>(executor: E, history: &str) -> Result<Vec<Applied>, sqlx::Error>
where
    E: Executor<'c, Database = sqlx::Postgres>,
{
    let statement = format!("SELECT version, checksum FROM {history} ORDER BY version");
    executor
        .fetch_all(AssertSqlSafe(statement))
        .await?
        .iter()
        .map(|row| {
            let version: i32 = row.try_get("version")?;
            Ok(Applied {
                version: u32::try_from(version).unwrap_or_default(),
                checksum: row.try_get("checksum")?,
            })
        })
        .collect()
}

/// Creates the schema and its history where they are missing. Each is looked for first: asking with
/// `IF NOT EXISTS` needs the right to create even where there is nothing to create.
async fn create_history(
    connection: &mut PgConnection,
    schema: &Identifier,
    history: &str,
) -> Result<(), DbError> {
    let (has_schema, has_history): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1),
                EXISTS (SELECT FROM pg_catalog.pg_tables
                        WHERE schemaname = $1 AND tablename = 'schema_migration')",
    )
    .bind(schema.as_str())
    .fetch_one(&mut *connection)
    .await?;
    if !has_schema {
        let statement = format!("CREATE SCHEMA {schema}");
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    if !has_history {
        let statement = format!(
            "CREATE TABLE {history} (
                 version    integer PRIMARY KEY CHECK (version > 0),
                 name       text NOT NULL,
                 checksum   bytea NOT NULL CHECK (length(checksum) = 32),
                 applied_at timestamptz NOT NULL DEFAULT now()
             )"
        );
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

async fn apply(
    connection: &mut PgConnection,
    migration: &Migration,
    sql: Cow<'_, str>,
) -> Result<(), MigrateError> {
    connection
        .execute(AssertSqlSafe(sql.as_ref()))
        .await
        .map_err(|error| MigrateError::Failed {
            version: migration.version,
            name: migration.name,
            line: error::line_of(&error, &sql),
            source: error.into(),
        })?;
    Ok(())
}

async fn record(
    connection: &mut PgConnection,
    migration: &Migration,
    history: &str,
) -> Result<(), DbError> {
    let statement = format!("INSERT INTO {history} (version, name, checksum) VALUES ($1, $2, $3)");
    sqlx::query(AssertSqlSafe(statement))
        .bind(migration.version.cast_signed())
        .bind(migration.name)
        .bind(checksum(migration.sql).as_slice())
        .execute(connection)
        .await?;
    Ok(())
}
