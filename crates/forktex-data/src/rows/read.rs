// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Single rows by their id or by the reference of another system.
//!
//! The register's key is part of a row's key, and the server knows the tenant: the id of a row of
//! another register or tenant finds nothing.
//!
//! A race that is closed here: a definition that changed since the snapshot was taken. Its version is
//! read in the same statement as the rows; on a difference the definition is read anew, so that no cell
//! is read as what it was before a change of its type.

use std::collections::BTreeMap;
use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use uuid::Uuid;

use crate::error::DataError;
use crate::keys::RelationshipKey;
use crate::register::{LoadedRegister, Register};
use crate::relations::link;
use crate::row::{Row, RowId};
use crate::rows::lock::{self, StoredRow};

/// What one row refers to, in the order of the ids.
pub(crate) type References = BTreeMap<RelationshipKey, Vec<Uuid>>;

/// $1: the register; $2: ids. The version comes also where no row is found. Index: the primary key.
const READ_BY_ID: &str = "\
SELECT g.version AS register_version, r.id, r.version, r.external_ref, r.updated_at, r.archived_at, r.cells \
FROM forktex_data.register AS g \
LEFT JOIN forktex_data.row AS r ON r.register_key = g.key AND r.id = ANY($2) \
WHERE g.key = $1";

/// $1: the register; $2: a reference of another system. Index: `row_external_ref`.
const READ_BY_EXTERNAL_REF: &str = "\
SELECT g.version AS register_version, r.id, r.version, r.external_ref, r.updated_at, r.archived_at, r.cells \
FROM forktex_data.register AS g \
LEFT JOIN forktex_data.row AS r \
ON r.register_key = g.key AND r.external_ref IS NOT NULL AND r.external_ref = $2 \
WHERE g.key = $1";

/// What rows refer to. $1: relationships; $2: ids of the sources. Index: the primary key.
const READ_REFERENCES: &str = "\
SELECT relationship_key, source_id, target_id FROM forktex_data.link \
WHERE relationship_key = ANY($1) AND source_id = ANY($2) \
ORDER BY relationship_key, source_id, target_id";

/// The rows of these ids, in the order of the ids; those that are not there are left out. One round trip,
/// and one more each where the register refers to others and where its definition has changed.
pub(crate) async fn by_ids(
    tx: &mut Transaction,
    register: &Register,
    ids: &[Uuid],
) -> Result<Vec<Row>, DataError> {
    let found = sqlx::query(READ_BY_ID)
        .bind(register.loaded().key.0)
        .bind(ids)
        .fetch_all(tx.connection())
        .await?;
    let (definition, stored) = understand(tx, register, &found).await?;
    let mut stored: BTreeMap<Uuid, StoredRow> =
        stored.into_iter().map(|row| (row.id, row)).collect();
    let stored: Vec<StoredRow> = ids.iter().filter_map(|id| stored.remove(id)).collect();
    with_references(tx, &definition, stored).await
}

/// The row that another system knows by this reference. Round trips as [`by_ids`].
pub(crate) async fn by_external_ref(
    tx: &mut Transaction,
    register: &Register,
    external_ref: &str,
) -> Result<Option<Row>, DataError> {
    let found = sqlx::query(READ_BY_EXTERNAL_REF)
        .bind(register.loaded().key.0)
        .bind(external_ref)
        .fetch_all(tx.connection())
        .await?;
    let (definition, stored) = understand(tx, register, &found).await?;
    let rows = with_references(tx, &definition, stored).await?;
    Ok(rows.into_iter().next())
}

/// Reads what was found by the definition that it was written by.
async fn understand(
    tx: &mut Transaction,
    register: &Register,
    found: &[sqlx::postgres::PgRow],
) -> Result<(Arc<LoadedRegister>, Vec<StoredRow>), DataError> {
    let version = match found.first() {
        Some(row) => Some(row.try_get::<i64, _>("register_version")?),
        None => None,
    };
    let definition = lock::current(tx, register, version).await?;
    let mut stored = Vec::with_capacity(found.len());
    for row in found {
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() {
            stored.push(StoredRow::read(&definition, row)?);
        }
    }
    Ok((definition, stored))
}

async fn with_references(
    tx: &mut Transaction,
    register: &LoadedRegister,
    stored: Vec<StoredRow>,
) -> Result<Vec<Row>, DataError> {
    let ids: Vec<Uuid> = stored.iter().map(|row| row.id).collect();
    let mut all = references(tx, register, &ids).await?;
    Ok(stored
        .into_iter()
        .map(|row| {
            let references = all.remove(&row.id).unwrap_or_default();
            to_row(register, row, &references)
        })
        .collect())
}

/// What these rows refer to; one that refers to nothing is left out. One round trip, and none where the
/// register has no references.
pub(crate) async fn references(
    tx: &mut Transaction,
    register: &LoadedRegister,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, References>, DataError> {
    let relationships: Vec<i64> = register
        .relationships
        .iter()
        .filter(|relationship| relationship.source == register.key)
        .map(|relationship| relationship.key.0)
        .collect();
    let mut all: BTreeMap<Uuid, References> = BTreeMap::new();
    if relationships.is_empty() || ids.is_empty() {
        return Ok(all);
    }
    let found = sqlx::query(READ_REFERENCES)
        .bind(relationships)
        .bind(ids)
        .fetch_all(tx.connection())
        .await?;
    for row in &found {
        let relationship = RelationshipKey(row.try_get("relationship_key")?);
        all.entry(row.try_get("source_id")?)
            .or_default()
            .entry(relationship)
            .or_default()
            .push(row.try_get("target_id")?);
    }
    Ok(all)
}

/// The row as callers see it.
pub(crate) fn to_row(register: &LoadedRegister, stored: StoredRow, references: &References) -> Row {
    let id = RowId::from(stored.id);
    let created_at = id.created_at().unwrap_or(stored.updated_at);
    let mut row = Row::new(id, stored.version, created_at, stored.updated_at);
    row.external_ref = stored.external_ref;
    row.archived_at = stored.archived_at;
    let mut cells = stored.cells;
    for field in &register.fields {
        if let Some(relationship) = link::outgoing(register, field) {
            let targets = references.get(&relationship.key);
            let targets = targets.into_iter().flatten().copied();
            row.set_references(
                field.name(),
                targets.map(RowId::from).collect(),
                !relationship.cardinality.has_one_target(),
            );
        } else if let Some(cell) = cells.remove(&field.key) {
            row.insert_cell(field.name(), cell);
        }
    }
    row
}
