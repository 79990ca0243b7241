// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The queue of computed fields that are still to be brought up to date, and with it the truth about which
//! fields are stale.
//!
//! An entry is about all rows of a register, or about a list of them. Fields that are computed from a
//! queued one are stale as well, though nothing is to be done for them: they follow by themselves. Each
//! gets an entry with an empty list, a mark, behind the entry that it waits for. A mark is taken away when
//! no entry of the tenant stands before it.

use std::collections::BTreeSet;

use forktex_db::Transaction;
use forktex_db::sqlx;
use uuid::Uuid;

use super::graph::Graph;
use crate::catalog;
use crate::error::DataError;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::{Field, LoadedRegister};

/// How many rows an entry lists. An entry for more is about all rows of the register.
pub(super) const LISTED_ROWS_MAX: usize = 10_000;

/// Keeps an entry about all rows from being begun until this transaction ends, if there is one that was
/// not begun. One that is at work is passed over: it may have seen our rows as they were.
/// $1: the register; $2: the field. Index: `recompute_by_field`.
const HOLD_UNBEGUN: &str = "\
SELECT key FROM forktex_data.recompute \
WHERE register_key = $1 AND field_key = $2 AND only_rows IS NULL AND after_row IS NULL \
LIMIT 1 FOR KEY SHARE SKIP LOCKED";

/// $1: the tenant; $2: the register; $3: the field; $4: the rows, or NULL for all.
const ENQUEUE: &str = "\
INSERT INTO forktex_data.recompute (tenant_id, register_key, field_key, only_rows) \
VALUES ($1, $2, $3, $4)";

/// Marks. $1: the tenant; $2, $3: registers and fields.
const MARK: &str = "\
INSERT INTO forktex_data.recompute (tenant_id, register_key, field_key, only_rows) \
SELECT $1, w.register_key, w.field_key, ARRAY[]::uuid[] \
FROM unnest($2::bigint[], $3::bigint[]) AS w (register_key, field_key)";

/// Which of some fields wait. $1: the register; $2: the fields. Index: `recompute_by_field`.
const STALE: &str = "\
SELECT DISTINCT field_key FROM forktex_data.recompute \
WHERE register_key = $1 AND field_key = ANY($2)";

/// Queues a computed field, in the rows that are given or in all, and marks what is computed from it. Two
/// to four round trips.
pub(super) async fn defer(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: FieldKey,
    only_rows: Option<&[Uuid]>,
) -> Result<(), DataError> {
    if only_rows.is_none() {
        let held: Option<i64> = sqlx::query_scalar(HOLD_UNBEGUN)
            .bind(register.0)
            .bind(field.0)
            .fetch_optional(tx.connection())
            .await?;
        if held.is_some() {
            return Ok(());
        }
    }
    sqlx::query(ENQUEUE)
        .bind(tenant)
        .bind(register.0)
        .bind(field.0)
        .bind(only_rows)
        .execute(tx.connection())
        .await?;
    tracing::debug!(
        register = register.0,
        field = field.0,
        rows = only_rows.map(<[Uuid]>::len),
        "a computed field is left to maintenance"
    );
    let registers = catalog::load::registers(tx, tenant).await?;
    let marked = Graph::of_loaded(&registers)?.downstream(field);
    if marked.is_empty() {
        return Ok(());
    }
    let (registers, fields): (Vec<i64>, Vec<i64>) = marked
        .into_iter()
        .map(|(register, field)| (register.0, field.0))
        .unzip();
    sqlx::query(MARK)
        .bind(tenant)
        .bind(registers)
        .bind(fields)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The names of those of the fields that are stale in some row. One round trip, and none where none of
/// them is computed.
///
/// # Errors
/// [`DataError::Db`] when the database cannot be reached.
pub(crate) async fn stale_fields(
    tx: &mut Transaction,
    register: &LoadedRegister,
    asked: &[FieldKey],
) -> Result<Vec<String>, DataError> {
    let asked: BTreeSet<FieldKey> = asked.iter().copied().collect();
    let computed: Vec<&Field> = register
        .fields
        .iter()
        .filter(|field| asked.contains(&field.key) && field.definition.field_type.is_computed())
        .collect();
    if computed.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = computed.iter().map(|field| field.key.0).collect();
    let stale: Vec<i64> = sqlx::query_scalar(STALE)
        .bind(register.key.0)
        .bind(keys)
        .fetch_all(tx.connection())
        .await?;
    Ok(computed
        .into_iter()
        .filter(|field| stale.contains(&field.key.0))
        .map(|field| field.name().to_owned())
        .collect())
}
