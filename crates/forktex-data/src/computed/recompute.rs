// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Works off the queue of computed fields, a batch in a transaction, so that it can be stopped at any
//! time and goes on where it was.
//!
//! Several workers may run: each holds the entry that it works on, and passes over those of others.

use forktex_db::sqlx::{self, Row as _};
use forktex_db::{Db, Transaction};
use uuid::Uuid;

use super::after_write::{Affected, Follower};
use super::queue;
use crate::catalog;
use crate::error::DataError;
use crate::keys::{FieldKey, RegisterKey};
use crate::limits::RECOMPUTE_ROWS_DEFAULT;
use crate::register::LoadedRegister;

pub(crate) use queue::stale_fields;

/// Rows of one transaction.
const BATCH_ROWS: usize = 1_000;

/// How often a batch that lost a race is tried again.
const RETRIES: u32 = 5;

/// Takes the first entry that nobody works on. $1: the tenant. Locks: the entry. Index:
/// `recompute_by_tenant`.
const TAKE: &str = "\
SELECT key, register_key, field_key, after_row, only_rows FROM forktex_data.recompute \
WHERE tenant_id = $1 ORDER BY key LIMIT 1 FOR UPDATE SKIP LOCKED";

/// Takes a mark away if nothing stands before it. $1: the tenant; $2: its key.
const REMOVE_MARK: &str = "\
DELETE FROM forktex_data.recompute WHERE key = $2 AND NOT EXISTS (\
SELECT 1 FROM forktex_data.recompute AS earlier WHERE earlier.tenant_id = $1 AND earlier.key < $2)";

/// $1: the entry.
const REMOVE: &str = "DELETE FROM forktex_data.recompute WHERE key = $1";

/// $1: the entry; $2: the last row that was seen; $3: the rows that are left of a list.
const GO_ON: &str =
    "UPDATE forktex_data.recompute SET after_row = $2, only_rows = $3 WHERE key = $1";

/// Keeps the definition from changing. $1: the register. Locks: register FOR KEY SHARE.
const HOLD_REGISTER: &str = "SELECT key FROM forktex_data.register WHERE key = $1 FOR KEY SHARE";

/// The next rows of a register. $1: the register; $2: the row before them; $3: how many. Index: the primary
/// key.
const NEXT_ROWS: &str = "\
SELECT id FROM forktex_data.row WHERE register_key = $1 AND id > $2 ORDER BY id LIMIT $3";

/// $1: the tenant. Index: `recompute_by_tenant`.
const COUNT: &str = "SELECT count(*) FROM forktex_data.recompute WHERE tenant_id = $1";

/// Works the queue of a tenant off until it is empty or `rows_max` rows were looked at, and tells how many
/// entries are left. A transaction of some round trips for each thousand rows.
///
/// # Errors
/// [`DataError::Db`] when the database cannot be reached. What was done before stays done.
///
/// # Cancellation
/// Safe: the batch under way is rolled back.
pub(crate) async fn run(db: &Db, tenant: Uuid, rows_max: usize) -> Result<u64, DataError> {
    let mut left = rows_max;
    while left > 0 {
        let batch = left.min(BATCH_ROWS);
        let looked_at = db
            .retrying(RETRIES)
            .for_org(tenant)
            .transaction(async move |tx: &mut Transaction| step(tx, tenant, batch).await)
            .await?;
        let Some(rows) = looked_at else {
            break;
        };
        // An entry without rows counts as one, so that this ends however many there are.
        left = left.saturating_sub(rows.max(1));
    }
    let entries: i64 = db
        .for_org(tenant)
        .transaction(
            async move |tx: &mut Transaction| -> Result<i64, DataError> {
                let count = sqlx::query_scalar(COUNT).bind(tenant);
                Ok(count.fetch_one(tx.connection()).await?)
            },
        )
        .await?;
    Ok(u64::try_from(entries).unwrap_or_default())
}

/// Queues a computed field in all rows of its register, and marks what is computed from it. For a field
/// that is new or was changed. Up to four round trips.
///
/// # Errors
/// [`DataError::Db`] when the database refuses.
pub(crate) async fn queue_field(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: FieldKey,
) -> Result<(), DataError> {
    queue::defer(tx, tenant, register, field, None).await
}

/// An entry of the queue.
struct Entry {
    key: i64,
    register: RegisterKey,
    field: FieldKey,
    after_row: Option<Uuid>,
    only_rows: Option<Vec<Uuid>>,
}

/// Does a batch of the first entry. Tells how many rows it looked at; none when there is nothing that it
/// could do.
async fn step(
    tx: &mut Transaction,
    tenant: Uuid,
    rows_max: usize,
) -> Result<Option<usize>, DataError> {
    let taken = sqlx::query(TAKE)
        .bind(tenant)
        .fetch_optional(tx.connection())
        .await?;
    let Some(row) = taken else {
        return Ok(None);
    };
    let entry = Entry {
        key: row.try_get("key")?,
        register: RegisterKey(row.try_get("register_key")?),
        field: FieldKey(row.try_get("field_key")?),
        after_row: row.try_get("after_row")?,
        only_rows: row.try_get("only_rows")?,
    };
    if entry.only_rows.as_ref().is_some_and(Vec::is_empty) {
        let removed = sqlx::query(REMOVE_MARK)
            .bind(tenant)
            .bind(entry.key)
            .execute(tx.connection())
            .await?;
        // What stands before it is at work elsewhere; its mark must wait.
        return Ok((removed.rows_affected() > 0).then_some(0));
    }
    let Some(register) = definition(tx, tenant, &entry).await? else {
        remove(tx, entry.key).await?;
        return Ok(Some(0));
    };
    let ids = next_rows(tx, &entry, rows_max).await?;
    let affected: Affected = ids.iter().map(|id| (*id, [entry.field].into())).collect();
    let mut follower = Follower::new(tx, tenant, entry.register, RECOMPUTE_ROWS_DEFAULT);
    follower.know(register.into());
    let change = follower.refresh(entry.register, &affected).await?;
    if !change.is_empty() {
        follower.follow(entry.register, change).await?;
    }
    finish_batch(tx, &entry, &ids, rows_max).await?;
    Ok(Some(ids.len()))
}

/// The definition of the register, held; none where the register or the field is gone.
async fn definition(
    tx: &mut Transaction,
    tenant: Uuid,
    entry: &Entry,
) -> Result<Option<LoadedRegister>, DataError> {
    sqlx::query(HOLD_REGISTER)
        .bind(entry.register.0)
        .execute(tx.connection())
        .await?;
    let found = catalog::load::by_keys(tx, tenant, &[entry.register]).await?;
    Ok(found.into_iter().next().filter(|register| {
        register
            .field_by_key(entry.field)
            .is_some_and(|field| field.definition.field_type.is_computed())
    }))
}

async fn next_rows(
    tx: &mut Transaction,
    entry: &Entry,
    rows_max: usize,
) -> Result<Vec<Uuid>, DataError> {
    if let Some(rows) = &entry.only_rows {
        return Ok(rows.iter().take(rows_max).copied().collect());
    }
    let rows = sqlx::query_scalar(NEXT_ROWS)
        .bind(entry.register.0)
        .bind(entry.after_row.unwrap_or_default())
        .bind(i64::try_from(rows_max).unwrap_or(i64::MAX))
        .fetch_all(tx.connection())
        .await?;
    Ok(rows)
}

/// Notes how far the entry is, or takes it out when it is done.
async fn finish_batch(
    tx: &mut Transaction,
    entry: &Entry,
    seen: &[Uuid],
    rows_max: usize,
) -> Result<(), DataError> {
    let rest = entry
        .only_rows
        .as_ref()
        .map(|rows| rows.iter().skip(seen.len()).copied().collect::<Vec<Uuid>>());
    let is_done = match &rest {
        Some(rest) => rest.is_empty(),
        None => seen.len() < rows_max,
    };
    if is_done {
        return remove(tx, entry.key).await;
    }
    let after_row = seen.last().copied().filter(|_| rest.is_none());
    sqlx::query(GO_ON)
        .bind(entry.key)
        .bind(after_row)
        .bind(rest)
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn remove(tx: &mut Transaction, key: i64) -> Result<(), DataError> {
    sqlx::query(REMOVE)
        .bind(key)
        .execute(tx.connection())
        .await?;
    Ok(())
}
