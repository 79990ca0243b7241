// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads definitions: registers with their fields and relationships, any number of them in one statement.

use forktex_db::Transaction;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row as _};
use serde::Deserialize;
use uuid::Uuid;

use crate::catalog::not_found;
use crate::error::{DataError, nearest};
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey, RelationshipKey};
use crate::limits::REGISTERS_MAX;
use crate::register::{BuildState, Field, LoadedRegister};
use crate::relationship::{Cardinality, OnDelete, Relationship};
use crate::value::ValueKind;

/// The statement, with a condition on the registers behind it. `$1` is the tenant.
macro_rules! select_registers {
    ($condition:literal) => {
        concat!(
            "
    SELECT r.key, r.name, r.label, r.description, r.keeps_history, r.version,
        (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'key', f.key, 'definition', f.definition, 'kind', f.value_kind,
                    'index', f.index_state, 'unique', f.unique_state, 'search', f.search_state)
                    ORDER BY f.position, f.key), '[]')
            FROM forktex_data.field f WHERE f.register_key = r.key) AS fields,
        (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'key', l.key, 'name', l.name, 'inverse_name', l.inverse_name,
                    'source', l.source_register_key, 'source_name', s.name,
                    'target', l.target_register_key, 'target_name', t.name,
                    'cardinality', l.cardinality, 'on_delete', l.on_delete)
                    ORDER BY l.key), '[]')
            FROM forktex_data.relationship l
            JOIN forktex_data.register s ON s.key = l.source_register_key
            JOIN forktex_data.register t ON t.key = l.target_register_key
            WHERE l.source_register_key = r.key OR l.target_register_key = r.key) AS relationships
    FROM forktex_data.register r
    WHERE r.tenant_id = $1",
            $condition
        )
    };
}

const BY_NAME: &str = select_registers!(" AND r.name = $2");
const BY_KEYS: &str = select_registers!(" AND r.key = ANY($2) ORDER BY r.key");
const ALL: &str = select_registers!(" ORDER BY r.key LIMIT $2");

/// What a tenant's stored registers are called.
const NAMES: &str = "
    SELECT name FROM forktex_data.register WHERE tenant_id = $1 ORDER BY name LIMIT $2";

/// The register of this name, if the tenant has one. One statement.
pub(crate) async fn by_name(
    tx: &mut Transaction,
    tenant: Uuid,
    name: &str,
) -> Result<Option<LoadedRegister>, DataError> {
    let row = sqlx::query(BY_NAME)
        .bind(tenant)
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    row.as_ref().map(read).transpose()
}

/// The register of this key. One statement.
pub(crate) async fn by_key(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RegisterKey,
) -> Result<LoadedRegister, DataError> {
    let found = by_keys(tx, tenant, &[key]).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| not_found(&key.to_string()))
}

/// The registers of these keys, by key; those that are gone are left out. One statement.
pub(crate) async fn by_keys(
    tx: &mut Transaction,
    tenant: Uuid,
    keys: &[RegisterKey],
) -> Result<Vec<LoadedRegister>, DataError> {
    let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let rows = sqlx::query(BY_KEYS)
        .bind(tenant)
        .bind(keys)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// All stored registers of the tenant, by key; there are at most 1,000. One statement.
pub(crate) async fn registers(
    tx: &mut Transaction,
    tenant: Uuid,
) -> Result<Vec<LoadedRegister>, DataError> {
    let rows = sqlx::query(ALL)
        .bind(tenant)
        .bind(registers_max())
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// The error for a register that the tenant does not have, with a similar name. One statement.
pub(crate) async fn missing(
    tx: &mut Transaction,
    tenant: Uuid,
    name: &str,
    others: &[&str],
) -> Result<DataError, DataError> {
    let names: Vec<String> = sqlx::query_scalar(NAMES)
        .bind(tenant)
        .bind(registers_max())
        .fetch_all(tx.connection())
        .await?;
    let candidates = names.iter().map(String::as_str);
    Ok(DataError::RegisterNotFound {
        name: name.chars().take(100).collect(),
        nearest: nearest(name, candidates.chain(others.iter().copied())),
    })
}

fn registers_max() -> i64 {
    // One more than allowed, so that too many are noticed.
    i64::try_from(REGISTERS_MAX + 1).unwrap_or(i64::MAX)
}

/// A field as the statement gives it.
#[derive(Deserialize)]
struct FieldRecord {
    key: i64,
    definition: FieldDefinition,
    kind: ValueKind,
    index: BuildState,
    unique: BuildState,
    search: BuildState,
}

/// A relationship as the statement gives it.
#[derive(Deserialize)]
struct RelationshipRecord {
    key: i64,
    name: String,
    inverse_name: String,
    source: i64,
    source_name: String,
    target: i64,
    target_name: String,
    cardinality: Cardinality,
    on_delete: OnDelete,
}

fn read(row: &PgRow) -> Result<LoadedRegister, DataError> {
    let key: i64 = row.try_get("key")?;
    let corrupt = |_: sqlx::Error| DataError::corrupt("register", key);
    let fields: Json<Vec<FieldRecord>> = row.try_get("fields").map_err(corrupt)?;
    let relationships: Json<Vec<RelationshipRecord>> =
        row.try_get("relationships").map_err(corrupt)?;
    Ok(LoadedRegister {
        key: RegisterKey(key),
        name: row.try_get("name")?,
        label: row.try_get("label")?,
        description: row.try_get("description")?,
        keeps_history: row.try_get("keeps_history")?,
        version: row.try_get("version")?,
        fields: fields.0.into_iter().map(field).collect(),
        relationships: relationships.0.into_iter().map(relationship).collect(),
    })
}

fn field(record: FieldRecord) -> Field {
    Field {
        key: FieldKey(record.key),
        definition: record.definition,
        kind: record.kind,
        index: record.index,
        unique_state: record.unique,
        search: record.search,
    }
}

fn relationship(record: RelationshipRecord) -> Relationship {
    Relationship {
        key: RelationshipKey(record.key),
        name: record.name,
        inverse_name: record.inverse_name,
        source: RegisterKey(record.source),
        source_name: record.source_name,
        target: RegisterKey(record.target),
        target_name: record.target_name,
        cardinality: record.cardinality,
        on_delete: record.on_delete,
    }
}
