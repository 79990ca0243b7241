// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The catalogue: definitions in the database, read in one statement, changed under one lock, and checked
//! as a whole before a change is kept.
//!
//! Nothing here looks at a row: no definition costs work per row. What must be built or taken out is left
//! to `index`.

mod check;
mod edit;
pub(crate) mod load;
mod rename;
mod version;
pub(crate) mod write;

use std::collections::BTreeSet;

use forktex_db::{LockKey, Transaction, sqlx};
use uuid::Uuid;

use crate::custom_type::TypeRegistry;
use crate::data::Data;
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::field_name;
use crate::keys::{FieldKey, RegisterKey};
use crate::limits::FIELDS_MAX;
use crate::schema::SchemaError;

pub(crate) use edit::{Edit, Unfinished};
pub(crate) use version::list as list_versions;

const LOCK_REGISTER: &str = "
    SELECT version FROM forktex_data.register
    WHERE key = $1 AND tenant_id = $2
    FOR KEY SHARE";

/// Keeps the definition of a register from changing until the transaction ends, and tells its version; none
/// when the register is gone.
pub(crate) async fn lock_shared(
    tx: &mut Transaction,
    tenant: Uuid,
    key: RegisterKey,
) -> Result<Option<i64>, DataError> {
    Ok(sqlx::query_scalar(LOCK_REGISTER)
        .bind(key.0)
        .bind(tenant)
        .fetch_optional(tx.connection())
        .await?)
}

/// Makes the changes of a tenant's schema take turns. First in each transaction that makes one.
pub(crate) async fn lock_schema(tx: &mut Transaction, tenant: Uuid) -> Result<(), DataError> {
    let key = LockKey::new(format!("forktex_data.schema:{tenant}"));
    Ok(tx.lock(&key).await?)
}

/// Ends a change of definitions that was written by other means than [`Edit`]: checks all of the tenant's
/// definitions, works out what computed fields are, waits for the writers of the changed registers, and
/// raises their versions.
pub(crate) async fn finish(
    tx: &mut Transaction,
    data: &Data,
    tenant: Uuid,
    actor: Option<Uuid>,
    changed: &[RegisterKey],
) -> Result<(), DataError> {
    let mut edit = Edit::resume(tx, tenant, data.types());
    edit.mark(changed);
    edit.finish(actor).await.map(|_| ())
}

/// Checks whether the tenant's definitions would still go together if a field had this one. One statement.
///
/// # Errors
/// What is wrong, such as a formula that cannot go by the new type.
pub(crate) async fn check_replacement(
    tx: &mut Transaction,
    tenant: Uuid,
    types: &TypeRegistry,
    field: FieldKey,
    definition: &FieldDefinition,
) -> Result<(), DataError> {
    let mut registers = load::registers(tx, tenant).await?;
    let mut changed = BTreeSet::new();
    for register in &mut registers {
        let known = register.fields.iter_mut().find(|known| known.key == field);
        if let Some(known) = known {
            known.definition = definition.clone();
            known.kind = definition.kind(types).unwrap_or(known.kind);
            changed.insert(register.key);
        }
    }
    check::check(&registers, &changed, types)?;
    Ok(())
}

/// Checks the name of a register.
pub(crate) fn check_name(name: &str) -> Result<(), SchemaError> {
    field_name::check_name(name).map_err(|problem| SchemaError::name(name, problem))
}

/// Checks the definition of a field by itself.
fn check_field(
    register: &str,
    field: &FieldDefinition,
    types: &TypeRegistry,
) -> Result<(), SchemaError> {
    field
        .check(types)
        .map_err(|source| SchemaError::Definition {
            register: register.to_owned(),
            source: Box::new(source),
        })
}

/// Checks the fields of a register that the catalogue does not know.
pub(crate) fn check_foreign_fields(
    register: &str,
    fields: &[FieldDefinition],
    types: &TypeRegistry,
) -> Result<(), DataError> {
    crate::schema::limit("fields of one register", fields.len(), FIELDS_MAX)?;
    for (at, field) in fields.iter().enumerate() {
        check_field(register, field, types)?;
        let mut before = fields.iter().take(at);
        if before.any(|other| other.name == field.name) {
            return Err(SchemaError::NameTaken {
                register: register.to_owned(),
                name: field.name.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// The register was there and is not any more, so that no similar name is looked for.
pub(crate) fn not_found(name: &str) -> DataError {
    DataError::RegisterNotFound {
        name: name.to_owned(),
        nearest: None,
    }
}
