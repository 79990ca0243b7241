// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tables of this release.

use forktex_db::{Db, MigrateError, Migration, Migrator};

use super::statement::DEFAULT_SCHEMA;

/// The schema of a namespace.
pub(super) fn schema_of(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || DEFAULT_SCHEMA.to_owned(),
        |namespace| format!("{DEFAULT_SCHEMA}_{namespace}"),
    )
}

/// Brings a schema to the version of this release: one transaction, idempotent.
pub(super) async fn migrate(db: &Db, schema: &str) -> Result<(), MigrateError> {
    let migrations: Vec<Migration> = forktex_migrations::QUEUE
        .iter()
        .map(|source| Migration::new(source.version, source.name, source.sql))
        .collect();
    Migrator::new(DEFAULT_SCHEMA, &migrations)
        .schema(schema)
        .run(db)
        .await
        .map(drop)
}
