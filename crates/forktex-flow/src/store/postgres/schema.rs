// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tables of this release.

use forktex_db::{Db, MigrateError, Migration, MigrationReport, Migrator};

use super::statement::DEFAULT_SCHEMA;

/// Brings a schema to the version of this release: one transaction, idempotent.
pub(crate) async fn migrate(db: &Db, schema: &str) -> Result<MigrationReport, MigrateError> {
    let migrations: Vec<Migration> = forktex_migrations::FLOW
        .iter()
        .map(|source| Migration::new(source.version, source.name, source.sql))
        .collect();
    Migrator::new(DEFAULT_SCHEMA, &migrations)
        .schema(schema)
        .run(db)
        .await
}
