// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes definitions, one statement for each change. It checks nothing: that is done once for all
//! changes of a transaction, before they are kept.

use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row as _};
use forktex_db::{DbError, Transaction};
use uuid::Uuid;

use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey, RelationshipKey};
use crate::register::BuildState;
use crate::relationship::RelationshipDefinition;
use crate::schema::RegisterDefinition;
use crate::value::ValueKind;

/// The version is raised to 1 when the transaction ends.
const INSERT_REGISTER: &str = "
    INSERT INTO forktex_data.register (tenant_id, name, label, description, keeps_history, version)
    VALUES ($1, $2, $3, $4, $5, 0)
    RETURNING key";

const UPDATE_REGISTER: &str = "
    UPDATE forktex_data.register
    SET name = $3, label = $4, description = $5, keeps_history = $6
    WHERE key = $1 AND tenant_id = $2";

const INSERT_FIELD: &str = "
    INSERT INTO forktex_data.field (register_key, tenant_id, name, position, definition, value_kind,
        index_state, unique_state, search_state)
    VALUES ($1, $2, $3, coalesce((SELECT max(f.position) + 1 FROM forktex_data.field f
        WHERE f.register_key = $1), 0), $4, $5, $6, $7, $8)
    RETURNING key";

/// The states follow in a statement of their own, where they change.
const UPDATE_FIELD: &str = "
    UPDATE forktex_data.field SET name = $3, definition = $4
    WHERE key = $1 AND tenant_id = $2";

/// A build begins anew whenever its state is set.
const UPDATE_STATES: &str = "
    UPDATE forktex_data.field
    SET index_state = $3, unique_state = $4, search_state = $5,
        index_after = CASE WHEN index_state = $3 THEN index_after END,
        unique_after = CASE WHEN unique_state = $4 THEN unique_after END,
        search_after = CASE WHEN search_state = $5 THEN search_after END
    WHERE key = $1 AND tenant_id = $2";

const UPDATE_KINDS: &str = "
    UPDATE forktex_data.field f SET value_kind = given.kind
    FROM unnest($2::bigint[], $3::text[]) AS given (key, kind)
    WHERE f.key = given.key AND f.tenant_id = $1";

const DELETE_FIELD: &str = "
    WITH gone AS (DELETE FROM forktex_data.counter WHERE field_key = $1 AND tenant_id = $2),
        queued AS (DELETE FROM forktex_data.recompute WHERE field_key = $1 AND tenant_id = $2)
    DELETE FROM forktex_data.field WHERE key = $1 AND tenant_id = $2";

const INSERT_RELATIONSHIP: &str = "
    INSERT INTO forktex_data.relationship (tenant_id, source_register_key, target_register_key, name,
        inverse_name, cardinality, on_delete)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    RETURNING key";

const UPDATE_RELATIONSHIP: &str = "
    UPDATE forktex_data.relationship SET inverse_name = $3, on_delete = $4
    WHERE key = $1 AND tenant_id = $2";

/// With its links: left behind, they would keep rows from being deleted.
const DELETE_RELATIONSHIP: &str = "
    WITH links AS (DELETE FROM forktex_data.link WHERE relationship_key = $1 AND tenant_id = $2)
    DELETE FROM forktex_data.relationship WHERE key = $1 AND tenant_id = $2";

/// With all that names it. Its rows are left to a removal.
const DELETE_REGISTER: [&str; 3] = [
    "WITH gone AS (DELETE FROM forktex_data.counter c USING forktex_data.field f
        WHERE f.register_key = $1 AND c.field_key = f.key AND c.tenant_id = $2),
        queued AS (DELETE FROM forktex_data.recompute WHERE register_key = $1 AND tenant_id = $2)
    DELETE FROM forktex_data.field WHERE register_key = $1 AND tenant_id = $2",
    "DELETE FROM forktex_data.register_version WHERE register_key = $1 AND tenant_id = $2",
    "DELETE FROM forktex_data.register WHERE key = $1 AND tenant_id = $2",
];

/// Waits for the writers of these registers, in the order of their keys.
const LOCK_REGISTERS: &str = "
    SELECT key FROM forktex_data.register
    WHERE tenant_id = $1 AND key = ANY($2)
    ORDER BY key
    FOR UPDATE";

/// How far builds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) index: BuildState,
    pub(crate) unique: BuildState,
    pub(crate) search: BuildState,
}

pub(crate) async fn insert_register(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &RegisterDefinition,
) -> Result<RegisterKey, DataError> {
    let key = sqlx::query_scalar(INSERT_REGISTER)
        .bind(tenant)
        .bind(&register.name)
        .bind(&register.label)
        .bind(&register.description)
        .bind(register.keeps_history)
        .fetch_one(tx.connection())
        .await
        .map_err(|error| taken(error, "register", &register.name))?;
    Ok(RegisterKey(key))
}

pub(crate) async fn update_register(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RegisterKey,
    register: &RegisterDefinition,
) -> Result<(), DataError> {
    sqlx::query(UPDATE_REGISTER)
        .bind(key.0)
        .bind(tenant)
        .bind(&register.name)
        .bind(&register.label)
        .bind(&register.description)
        .bind(register.keeps_history)
        .execute(tx.connection())
        .await
        .map_err(|error| taken(error, "register", &register.name))?;
    Ok(())
}

/// Deletes a register that no relationship names any more.
pub(crate) async fn delete_register(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RegisterKey,
) -> Result<(), DataError> {
    for statement in DELETE_REGISTER {
        sqlx::query(statement)
            .bind(key.0)
            .bind(tenant)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

pub(crate) async fn insert_field(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: &FieldDefinition,
    kind: ValueKind,
    states: States,
) -> Result<FieldKey, DataError> {
    let key = sqlx::query_scalar(INSERT_FIELD)
        .bind(register.0)
        .bind(tenant)
        .bind(&field.name)
        .bind(Json(field))
        .bind(kind.as_str())
        .bind(states.index.as_str())
        .bind(states.unique.as_str())
        .bind(states.search.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(|error| taken(error, "field", &field.name))?;
    Ok(FieldKey(key))
}

/// Replaces the definition of a field, its name included.
pub(crate) async fn set_definition(
    tx: &mut Transaction,
    tenant: Uuid,
    key: FieldKey,
    field: &FieldDefinition,
) -> Result<(), DataError> {
    sqlx::query(UPDATE_FIELD)
        .bind(key.0)
        .bind(tenant)
        .bind(&field.name)
        .bind(Json(field))
        .execute(tx.connection())
        .await
        .map_err(|error| taken(error, "field", &field.name))?;
    Ok(())
}

pub(crate) async fn set_states(
    tx: &mut Transaction,
    tenant: Uuid,
    key: FieldKey,
    states: States,
) -> Result<(), DataError> {
    sqlx::query(UPDATE_STATES)
        .bind(key.0)
        .bind(tenant)
        .bind(states.index.as_str())
        .bind(states.unique.as_str())
        .bind(states.search.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(crate) async fn set_kinds(
    tx: &mut Transaction,
    tenant: Uuid,
    kinds: &[(FieldKey, ValueKind)],
) -> Result<(), DataError> {
    let keys: Vec<i64> = kinds.iter().map(|(key, _)| key.0).collect();
    let words: Vec<&str> = kinds.iter().map(|(_, kind)| kind.as_str()).collect();
    sqlx::query(UPDATE_KINDS)
        .bind(tenant)
        .bind(keys)
        .bind(words)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(crate) async fn delete_field(
    tx: &mut Transaction,
    tenant: Uuid,
    key: FieldKey,
) -> Result<(), DataError> {
    sqlx::query(DELETE_FIELD)
        .bind(key.0)
        .bind(tenant)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(crate) async fn insert_relationship(
    tx: &mut Transaction,
    tenant: Uuid,
    source: RegisterKey,
    target: RegisterKey,
    inverse_name: &str,
    relationship: &RelationshipDefinition,
) -> Result<RelationshipKey, DataError> {
    let row = sqlx::query(INSERT_RELATIONSHIP)
        .bind(tenant)
        .bind(source.0)
        .bind(target.0)
        .bind(&relationship.name)
        .bind(inverse_name)
        .bind(relationship.cardinality.as_str())
        .bind(relationship.on_delete.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(|error| taken(error, "relationship", &relationship.name))?;
    Ok(RelationshipKey(row.try_get(0)?))
}

pub(crate) async fn update_relationship(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RelationshipKey,
    inverse_name: &str,
    relationship: &RelationshipDefinition,
) -> Result<(), DataError> {
    sqlx::query(UPDATE_RELATIONSHIP)
        .bind(key.0)
        .bind(tenant)
        .bind(inverse_name)
        .bind(relationship.on_delete.as_str())
        .execute(tx.connection())
        .await
        .map_err(|error| taken(error, "relationship", inverse_name))?;
    Ok(())
}

pub(crate) async fn delete_relationship(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RelationshipKey,
) -> Result<(), DataError> {
    sqlx::query(DELETE_RELATIONSHIP)
        .bind(key.0)
        .bind(tenant)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Waits until no writer goes by the definitions of these registers, and keeps new ones waiting until
/// the transaction ends.
pub(crate) async fn lock_registers(
    tx: &mut Transaction,
    tenant: Uuid,
    keys: &[RegisterKey],
) -> Result<(), DataError> {
    let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
    sqlx::query(LOCK_REGISTERS)
        .bind(tenant)
        .bind(keys)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Turns a violated unique constraint into the name that is taken.
fn taken(error: sqlx::Error, what: &'static str, name: &str) -> DataError {
    match DbError::from(error) {
        DbError::AlreadyExists { .. } => DataError::AlreadyExists {
            what,
            name: name.to_owned(),
        },
        error => error.into(),
    }
}
