// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Takes out what nobody can reach any more. What is to be taken out is noted in the transaction of the
//! change; this works it off in batches.

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use uuid::Uuid;

use crate::catalog;
use crate::error::DataError;
use crate::index::build::search_batch;
use crate::index::{Scope, batch_rows, walk_in_order};
use crate::keys::{FieldKey, RegisterKey};
use crate::tenant_data::TenantData;

const QUEUE: &str = "
    INSERT INTO forktex_data.removal (tenant_id, register_key, field_key, what)
    VALUES ($1, $2, $3, $4)";

const IS_QUEUED: &str = "
    SELECT EXISTS (SELECT FROM forktex_data.removal
        WHERE tenant_id = $1 AND register_key = $2 AND field_key IS NOT DISTINCT FROM $3
            AND what = $4)";

/// Others may work on the rest meanwhile.
const TAKE: &str = "
    SELECT key, register_key, field_key, what, after_row FROM forktex_data.removal
    WHERE tenant_id = $1 AND ($2::bigint[] IS NULL OR register_key = ANY($2))
    ORDER BY key
    LIMIT 1
    FOR UPDATE SKIP LOCKED";

const GO_ON_BEHIND: &str = "
    UPDATE forktex_data.removal SET after_row = $3 WHERE key = $1 AND tenant_id = $2";

const DONE: &str = "DELETE FROM forktex_data.removal WHERE key = $1 AND tenant_id = $2";

/// Takes the cells of a field out of a batch of rows. The rows are locked first, in the order of their
/// ids, as writers lock them.
const CLEAN_CELLS: &str = "
    WITH batch AS (
            SELECT id FROM forktex_data.row
            WHERE register_key = $2 AND tenant_id = $1 AND id > $4
            ORDER BY id
            LIMIT $5
            FOR NO KEY UPDATE),
        cleaned AS (
            UPDATE forktex_data.row r SET cells = r.cells - $3::bigint::text
            FROM batch
            WHERE r.register_key = $2 AND r.id = batch.id AND r.cells ? $3::bigint::text)
    SELECT count(*) AS rows, (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last FROM batch";

/// A batch of deletes, by the place of the rows: the tables have keys of different forms. `$1` is the
/// tenant, `$2` the key of the field or the register, `$3` the size of the batch.
macro_rules! drain {
    ($table:literal, $condition:literal) => {
        concat!(
            "DELETE FROM forktex_data.",
            $table,
            " WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM forktex_data.",
            $table,
            " t WHERE t.tenant_id = $1 AND ",
            $condition,
            " LIMIT $3))"
        )
    };
}

const INDEX: &[&str] = &[
    drain!("value_text", "t.field_key = $2"),
    drain!("value_number", "t.field_key = $2"),
];

const UNIQUE: &[&str] = &[drain!("unique_value", "t.field_key = $2")];

/// The rows come last: what is left of a register can always be found by them.
const REGISTER: &[&str] = &[
    drain!(
        "type_change_cell",
        "t.change_key IN (SELECT c.key FROM forktex_data.type_change c WHERE c.register_key = $2)"
    ),
    drain!("type_change", "t.register_key = $2"),
    drain!("search_word", "t.register_key = $2"),
    drain!("search_trigram", "t.register_key = $2"),
    drain!("quarantine", "t.register_key = $2"),
    drain!("history", "t.register_key = $2"),
    drain!("row", "t.register_key = $2"),
];

/// What is to be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The entries of a field's index.
    Index,
    /// The values that a unique field has taken.
    Unique,
    /// The words of a field that is searched no more: those of the register are made anew.
    Search,
    /// The cells of a field. What its type changes have kept stays: they may be undone.
    Field,
    /// All that a register had, but for the entries of its fields, which have removals of their own.
    Register,
}

impl Removal {
    const ALL: [Self; 5] = [
        Self::Index,
        Self::Unique,
        Self::Search,
        Self::Field,
        Self::Register,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Unique => "unique",
            Self::Search => "search",
            Self::Field => "field",
            Self::Register => "register",
        }
    }
}

/// Notes that something is to be taken out, once the transaction is committed.
pub(crate) async fn queue(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: Option<FieldKey>,
    removal: Removal,
) -> Result<(), DataError> {
    sqlx::query(QUEUE)
        .bind(tenant)
        .bind(register.0)
        .bind(field.map(|field| field.0))
        .bind(removal.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Whether it is still to be taken out.
pub(crate) async fn is_queued(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: Option<FieldKey>,
    removal: Removal,
) -> Result<bool, DataError> {
    Ok(sqlx::query_scalar(IS_QUEUED)
        .bind(tenant)
        .bind(register.0)
        .bind(field.map(|field| field.0))
        .bind(removal.as_str())
        .fetch_one(tx.connection())
        .await?)
}

/// Works off what is noted, batch after batch.
pub(super) async fn run(tenant: &TenantData, scope: Scope<'_>) -> Result<(), DataError> {
    while !scope.is_over() {
        let worked = tenant
            .data()
            .db()
            .retrying(super::build::RETRIES)
            .for_org(tenant.org())
            .transaction(async |tx| -> Result<bool, DataError> { step(tx, tenant, scope).await })
            .await?;
        if !worked {
            return Ok(());
        }
    }
    Ok(())
}

/// One batch. False when there is nothing to do.
async fn step(
    tx: &mut Transaction,
    tenant: &TenantData,
    scope: Scope<'_>,
) -> Result<bool, DataError> {
    let org = tenant.org();
    let taken = sqlx::query(TAKE)
        .bind(org)
        .bind(scope.keys())
        .fetch_optional(tx.connection())
        .await?;
    let Some(taken) = taken else {
        return Ok(false);
    };
    walk_in_order(tx).await?;
    let key: i64 = taken.try_get("key")?;
    let register = RegisterKey(taken.try_get("register_key")?);
    let field: i64 = taken
        .try_get::<Option<i64>, _>("field_key")?
        .unwrap_or_default();
    let what: String = taken.try_get("what")?;
    let after: Option<Uuid> = taken.try_get("after_row")?;
    let after = after.unwrap_or_default();
    let removal = Removal::ALL.into_iter().find(|one| one.as_str() == what);
    let removal = removal.ok_or_else(|| DataError::corrupt("removal", key))?;

    // None: nothing is left.
    let last = match removal {
        Removal::Index => drain(tx, org, INDEX, field).await?.then_some(after),
        Removal::Unique => drain(tx, org, UNIQUE, field).await?.then_some(after),
        Removal::Register => drain(tx, org, REGISTER, register.0).await?.then_some(after),
        Removal::Search => {
            // The definition holds until the end.
            catalog::lock_shared(tx, org, register).await?;
            let found = catalog::load::by_keys(tx, org, &[register]).await?;
            match found.first() {
                Some(register) => search_batch(tx, org, register, after).await?,
                None => None,
            }
        }
        Removal::Field => clean_cells(tx, org, register, field, after).await?,
    };
    match last {
        Some(last) => {
            sqlx::query(GO_ON_BEHIND)
                .bind(key)
                .bind(org)
                .bind(last)
                .execute(tx.connection())
                .await?;
        }
        None => {
            sqlx::query(DONE)
                .bind(key)
                .bind(org)
                .execute(tx.connection())
                .await?;
        }
    }
    Ok(true)
}

/// Deletes a batch at most from the first table that has something. False when none has.
async fn drain(
    tx: &mut Transaction,
    org: Uuid,
    statements: &[&'static str],
    key: i64,
) -> Result<bool, DataError> {
    for statement in statements {
        let deleted = sqlx::query(*statement)
            .bind(org)
            .bind(key)
            .bind(batch_rows())
            .execute(tx.connection())
            .await?;
        if deleted.rows_affected() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last row of the batch; none when no row is left behind it.
async fn clean_cells(
    tx: &mut Transaction,
    org: Uuid,
    register: RegisterKey,
    field: i64,
    after: Uuid,
) -> Result<Option<Uuid>, DataError> {
    let row = sqlx::query(CLEAN_CELLS)
        .bind(org)
        .bind(register.0)
        .bind(field)
        .bind(after)
        .bind(batch_rows())
        .fetch_one(tx.connection())
        .await?;
    let is_last = row.try_get::<i64, _>("rows")? < batch_rows();
    let last: Option<Uuid> = row.try_get("last")?;
    Ok(last.filter(|_| !is_last))
}
