// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the shop keeps: clients and their invoices, each of one organisation.

use forktex::db::{Db, MigrateError, Migration, Migrator, Model};
use time::OffsetDateTime;
use uuid::Uuid;

/// A client of an organisation.
#[derive(Model, Clone, Debug)]
#[model(
    table = "shop.client",
    org_scoped,
    soft_delete,
    unique(email),
    row_security
)]
pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) org_id: Uuid,
    pub(crate) email: String,
    pub(crate) archived_at: Option<OffsetDateTime>,
}

/// An invoice. Who reads the table, or a backup of it, does not learn the account.
#[derive(Model, Clone, Debug)]
#[model(
    table = "shop.invoice",
    org_scoped,
    timestamps,
    versioned,
    unique(number),
    row_security
)]
pub(crate) struct Invoice {
    pub(crate) id: Uuid,
    pub(crate) org_id: Uuid,
    pub(crate) number: i32,
    #[model(references = Client)]
    pub(crate) client_id: Uuid,
    pub(crate) cents: i64,
    pub(crate) paid_at: Option<OffsetDateTime>,
    #[model(encrypted)]
    pub(crate) iban: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) version: i64,
}

/// The history of the schema. `forktex::db::create_table::<Client>()` wrote the first draft of it, and
/// `Db::check_schema` says whether it still fits the models.
const MIGRATIONS: [Migration; 1] = [Migration::new(
    1,
    "clients and invoices",
    include_str!("schema.sql"),
)];

/// Lays the tables, or brings them up to date. Safe from many processes at once.
pub(crate) async fn migrate(db: &Db) -> Result<(), MigrateError> {
    forktex::vault::migrate(db).await?;
    Migrator::new("shop", &MIGRATIONS).run(db).await?;
    Ok(())
}
