// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The crate's own tables: where rotations stand, and the wrapped keys of organisations.

use forktex_db::{Db, MigrateError, Migration, MigrationReport, Migrator};

/// The schema of the crate's tables, unless another is asked for.
pub(crate) const DEFAULT_SCHEMA: &str = "forktex_vault";

/// Lays the tables that rotation and [`OrgKeys`](crate::OrgKeys) need, in the schema `forktex_vault`.
///
/// Idempotent, and safe from many processes at once. Run it as a role that may create the schema, and
/// grant the role of the service `USAGE` on it, and `SELECT, INSERT, UPDATE, DELETE` on its tables. It
/// costs one round trip when there is nothing to do.
///
/// # Errors
/// Those of [`Migrator::run`].
///
/// # Cancellation
/// Safe: nothing is applied, or everything.
///
/// # Examples
/// ```no_run
/// # async fn example(db: forktex_db::Db) -> Result<(), forktex_db::MigrateError> {
/// forktex_vault::migrate(&db).await?;
/// # Ok(())
/// # }
/// ```
pub async fn migrate(db: &Db) -> Result<MigrationReport, MigrateError> {
    migrate_in(db, DEFAULT_SCHEMA).await
}

/// Like [`migrate`], in a schema of another name, which is then to be given to each rotation and to
/// [`OrgKeys`](crate::OrgKeys) as well.
///
/// # Errors
/// Those of [`Migrator::run`].
///
/// # Cancellation
/// Safe: nothing is applied, or everything.
///
/// # Examples
/// ```no_run
/// # async fn example(db: forktex_db::Db) -> Result<(), forktex_db::MigrateError> {
/// forktex_vault::migrate_in(&db, "shop_vault").await?;
/// # Ok(())
/// # }
/// ```
pub async fn migrate_in(db: &Db, schema: &str) -> Result<MigrationReport, MigrateError> {
    let migrations: Vec<Migration> = forktex_migrations::VAULT
        .iter()
        .map(|source| Migration::new(source.version, source.name, source.sql))
        .collect();
    Migrator::new(DEFAULT_SCHEMA, &migrations)
        .schema(schema)
        .run(db)
        .await
}
