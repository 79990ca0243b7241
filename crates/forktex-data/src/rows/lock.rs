// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a write holds before it decides anything: the register's definition, and the rows.
//!
//! Races that are closed here:
//! - **A definition that changes under a write.** Whoever evolves a register locks its row `FOR UPDATE`;
//!   a write holds the same row `FOR KEY SHARE` until it commits. So while a write goes on, no field is
//!   added, dropped, indexed or made unique, and a write that came later waits, then sees the new
//!   version and reads the definition anew. Writes do not hinder each other.
//! - **Look-ups and rollups that are added elsewhere meanwhile.** The registers at the other ends of
//!   relationships are held in the same way.
//! - **Two changes of one row.** The row is locked `FOR NO KEY UPDATE` before its cells are looked at;
//!   the second change sees what the first one committed, and its expected version is held against that.
//!   References from other rows, which lock it `FOR KEY SHARE`, do not wait.
//!
//! The order is registers by key, then counters, then rows by id, then unique values by field and value,
//! then links. What meets in another order, as deletions may, is a deadlock that the server breaks, and
//! the transaction is run again.

use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row as _};
use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog;
use crate::computed::{self, Cells};
use crate::error::DataError;
use crate::register::{LoadedRegister, Register};
use crate::rows::cells;

/// Locks registers. $1: their keys. Locks: register, FOR KEY SHARE.
const LOCK_REGISTERS: &str = "\
SELECT key, version FROM forktex_data.register WHERE key = ANY($1) ORDER BY key FOR KEY SHARE";

/// Locks registers, then rows. The key of the rows' register is taken from what is locked, so that the
/// registers come first. $1: keys of registers; $2: that of the rows; $3: what the rows are found by.
macro_rules! lock_register_and_rows {
    ($condition:literal, $strength:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (\
             SELECT key, version FROM forktex_data.register WHERE key = ANY($1) \
             ORDER BY key FOR KEY SHARE\
             ), locked AS MATERIALIZED (\
             SELECT id, version, external_ref, updated_at, archived_at, cells \
             FROM forktex_data.row \
             WHERE register_key = (SELECT key FROM held WHERE key = $2) AND ",
            $condition,
            " ORDER BY id ",
            $strength,
            ") SELECT h.version AS register_version, l.id, l.version, l.external_ref, \
             l.updated_at, l.archived_at, l.cells \
             FROM held AS h LEFT JOIN locked AS l ON true WHERE h.key = $2"
        )
    };
}

/// By their ids. Index: the primary key.
const LOCK_BY_ID: &str = lock_register_and_rows!("id = ANY($3)", "FOR NO KEY UPDATE");

/// By their ids, to be deleted.
const LOCK_BY_ID_FOR_DELETE: &str = lock_register_and_rows!("id = ANY($3)", "FOR UPDATE");

/// By the references of another system. Index: `row_external_ref`.
const LOCK_BY_EXTERNAL_REF: &str = lock_register_and_rows!(
    "external_ref IS NOT NULL AND external_ref = ANY($3)",
    "FOR NO KEY UPDATE"
);

/// Locks rows of a register that is locked already. $1: the register; $2: ids.
const LOCK_ROWS: &str = "\
SELECT id, version, external_ref, updated_at, archived_at, cells FROM forktex_data.row \
WHERE register_key = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE";

/// As [`LOCK_ROWS`], for rows that are to be deleted.
const LOCK_ROWS_FOR_DELETE: &str = "\
SELECT id, version, external_ref, updated_at, archived_at, cells FROM forktex_data.row \
WHERE register_key = $1 AND id = ANY($2) ORDER BY id FOR UPDATE";

/// A row as it is stored, without its references.
#[derive(Clone)]
pub(crate) struct StoredRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) external_ref: Option<String>,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) archived_at: Option<OffsetDateTime>,
    pub(crate) cells: Cells,
}

impl StoredRow {
    /// Reads the columns of that name.
    pub(crate) fn read(register: &LoadedRegister, row: &PgRow) -> Result<Self, DataError> {
        let cells: Json = row.try_get("cells")?;
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            external_ref: row.try_get("external_ref")?,
            updated_at: row.try_get("updated_at")?,
            archived_at: row.try_get("archived_at")?,
            cells: cells::read(register, &cells),
        })
    }

    /// Whether the row is archived.
    pub(crate) fn is_archived(&self) -> bool {
        self.archived_at.is_some()
    }
}

/// Which rows are to be locked together with their register.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Those of these ids.
    Ids(&'a [Uuid]),
    /// Those of these ids, to be deleted.
    IdsForDelete(&'a [Uuid]),
    /// Those that another system knows by these references.
    ExternalRefs(&'a [String]),
}

/// Holds the definition of the register until the transaction ends, and gives the one that holds. One
/// round trip, and one more when the definition has changed since the snapshot was taken.
pub(crate) async fn register(
    tx: &mut Transaction,
    register: &Register,
) -> Result<Arc<LoadedRegister>, DataError> {
    let found = sqlx::query(LOCK_REGISTERS)
        .bind(keys_to_lock(register.loaded()))
        .fetch_all(tx.connection())
        .await?;
    let own = register.loaded().key.0;
    let mut version = None;
    for row in &found {
        if row.try_get::<i64, _>("key")? == own {
            version = Some(row.try_get("version")?);
        }
    }
    current(tx, register, version).await
}

/// Holds the definition, and locks rows of the register in the order of their ids. Rows that are not
/// there are left out. One round trip, and one more when the definition has changed.
pub(crate) async fn register_and_rows(
    tx: &mut Transaction,
    register: &Register,
    wanted: Wanted<'_>,
) -> Result<(Arc<LoadedRegister>, Vec<StoredRow>), DataError> {
    let keys = keys_to_lock(register.loaded());
    let own = register.loaded().key.0;
    let found = match wanted {
        Wanted::Ids(ids) => sqlx::query(LOCK_BY_ID).bind(keys).bind(own).bind(ids),
        Wanted::IdsForDelete(ids) => sqlx::query(LOCK_BY_ID_FOR_DELETE)
            .bind(keys)
            .bind(own)
            .bind(ids),
        Wanted::ExternalRefs(references) => sqlx::query(LOCK_BY_EXTERNAL_REF)
            .bind(keys)
            .bind(own)
            .bind(references),
    };
    let found = found.fetch_all(tx.connection()).await?;
    let version = match found.first() {
        Some(row) => Some(row.try_get("register_version")?),
        None => None,
    };
    let definition = current(tx, register, version).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        // A register of which no row was found comes with empty columns.
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() {
            rows.push(StoredRow::read(&definition, row)?);
        }
    }
    Ok((definition, rows))
}

/// Locks rows of a register that the transaction holds already, in the order of their ids. Rows that are
/// not there are left out. One round trip.
pub(crate) async fn rows(
    tx: &mut Transaction,
    register: &LoadedRegister,
    ids: &[Uuid],
) -> Result<Vec<StoredRow>, DataError> {
    lock_rows(tx, register, ids, LOCK_ROWS).await
}

/// As [`rows`], for rows that are to be deleted: nobody can begin to refer to them.
pub(crate) async fn rows_for_delete(
    tx: &mut Transaction,
    register: &LoadedRegister,
    ids: &[Uuid],
) -> Result<Vec<StoredRow>, DataError> {
    lock_rows(tx, register, ids, LOCK_ROWS_FOR_DELETE).await
}

async fn lock_rows(
    tx: &mut Transaction,
    register: &LoadedRegister,
    ids: &[Uuid],
    statement: &'static str,
) -> Result<Vec<StoredRow>, DataError> {
    let found = sqlx::query(statement)
        .bind(register.key.0)
        .bind(ids)
        .fetch_all(tx.connection())
        .await?;
    found
        .iter()
        .map(|row| StoredRow::read(register, row))
        .collect()
}

/// The registers that a write holds: its own, and those that are related to it.
pub(crate) fn keys_to_lock(register: &LoadedRegister) -> Vec<i64> {
    computed::registers_to_lock(register)
        .into_iter()
        .map(|key| key.0)
        .collect()
}

/// The definition that holds, of a register whose row is locked at this version; none was found where
/// the register was dropped, or is another tenant's.
pub(crate) async fn current(
    tx: &mut Transaction,
    register: &Register,
    version: Option<i64>,
) -> Result<Arc<LoadedRegister>, DataError> {
    let known = register.loaded();
    let Some(version) = version else {
        return Err(DataError::RegisterNotFound {
            name: known.name.clone(),
            nearest: None,
        });
    };
    if version == known.version {
        return Ok(Arc::clone(known));
    }
    let loaded = catalog::load::by_key(tx, register.tenant(), known.key).await?;
    Ok(Arc::new(loaded))
}
