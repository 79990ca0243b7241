// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one transaction in which a field gets its new type, for everybody at once.
//!
//! Under the lock of the schema and that of the register, so that no writer is under way, it converts
//! what was written last, and exchanges the rows of the catalogue. It does not wait for long: where more
//! than one batch is left to convert, it gives way.

use std::collections::BTreeSet;

use forktex_db::{Transaction, sqlx};
use uuid::Uuid;

use super::store::{self, Rows, Started};
use super::{TYPE_CHANGE_BATCH_ROWS, TypeChangeError, TypeChangeId, TypeChangeState, run};
use crate::catalog::{self, load, write};
use crate::computed::recompute;
use crate::error::DataError;
use crate::field_type::FieldType;
use crate::formula::Formula;
use crate::index::removal::{self, Removal};
use crate::keys::{FieldKey, RegisterKey};
use crate::register::{BuildState, Field, LoadedRegister};
use crate::tenant_data::TenantData;

/// Puts a field with a key that was taken before into the place of another.
const INSERT_FIELD: &str = "
    INSERT INTO forktex_data.field (key, register_key, tenant_id, name, position, definition,
        value_kind, index_state, unique_state, search_state)
    OVERRIDING SYSTEM VALUE
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const POSITION: &str = "
    SELECT position FROM forktex_data.field WHERE key = $1 AND tenant_id = $2";

/// Switches, and gives the change that was undone by it, if there is one. `None` where too much was
/// written meanwhile.
pub(super) async fn switch(
    tenant: &TenantData,
    id: TypeChangeId,
) -> Result<Option<Option<TypeChangeId>>, DataError> {
    let org = tenant.org();
    tenant
        .transaction(async |tx| {
            catalog::lock_schema(tx, org).await?;
            let started = store::lock(tx, org, id).await?;
            let restores = started.target.restores.map(TypeChangeId);
            if started.state != TypeChangeState::Backfilling {
                return Ok(Some(None));
            }
            write::lock_registers(tx, org, &[started.register]).await?;
            let limit = TYPE_CHANGE_BATCH_ROWS + 1;
            let rows = store::read_rows(tx, org, &started, Rows::Lagging, limit).await?;
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit {
                return Ok(None);
            }
            let types = tenant.data().types();
            let failed = run::stage(tx, org, types, &started, rows, None).await?;
            if failed > 0 && !started.target.empties {
                return Err(TypeChangeError::Unconvertible { id, failed }.into());
            }
            exchange(tx, tenant, &started).await?;
            store::end(tx, org, id, TypeChangeState::Done).await?;
            if let Some(restored) = restores {
                store::end(tx, org, restored, TypeChangeState::Undone).await?;
            }
            Ok(Some(restores))
        })
        .await
}

/// Gives a change up that nobody has seen anything of.
pub(super) async fn give_up(
    tx: &mut Transaction,
    tenant: Uuid,
    started: &Started,
) -> Result<(), DataError> {
    let staged = Some(FieldKey(started.target.key));
    removal::queue(tx, tenant, started.register, staged, Removal::Field).await?;
    store::end(tx, tenant, started.id, TypeChangeState::Undone).await
}

async fn exchange(
    tx: &mut Transaction,
    tenant: &TenantData,
    started: &Started,
) -> Result<(), DataError> {
    let (org, owner) = (tenant.org(), started.register);
    let register = load::by_key(tx, org, owner).await?;
    let Some(old) = register.field_by_key(started.field) else {
        return Err(DataError::FieldNotFound {
            register: register.name.clone(),
            field: started.from.name.clone(),
            nearest: None,
        });
    };
    // It may have been renamed since.
    let mut definition = started.target.definition.clone();
    old.name().clone_into(&mut definition.name);
    let new = super::conversion::detached(
        FieldKey(started.target.key),
        definition,
        tenant.data().types(),
    );
    remove(tx, org, owner, old, &new).await?;
    insert(tx, org, owner, old, &new).await?;
    catalog::finish(tx, tenant.data(), org, tenant.actor(), &[owner]).await?;
    let registers = load::registers(tx, org).await?;
    for (register, field) in dependents(&registers, owner, old.name()) {
        recompute::queue_field(tx, org, register, field).await?;
    }
    Ok(())
}

/// Has all that the old field leaves behind taken out in the background.
async fn remove(
    tx: &mut Transaction,
    tenant: Uuid,
    owner: RegisterKey,
    old: &Field,
    new: &Field,
) -> Result<(), DataError> {
    let loses_words = old.search.is_kept() && !new.definition.searchable;
    for (what, is_left) in [
        (Removal::Index, old.index.is_kept()),
        (Removal::Unique, old.unique_state.is_kept()),
        // Where the new field is searchable, its build writes the words of the rows anew.
        (Removal::Search, loses_words),
        (Removal::Field, true),
    ] {
        if is_left {
            let field = (what != Removal::Search).then_some(old.key);
            removal::queue(tx, tenant, owner, field, what).await?;
        }
    }
    Ok(())
}

async fn insert(
    tx: &mut Transaction,
    tenant: Uuid,
    owner: RegisterKey,
    old: &Field,
    new: &Field,
) -> Result<(), DataError> {
    let position: i32 = sqlx::query_scalar(POSITION)
        .bind(old.key.0)
        .bind(tenant)
        .fetch_one(tx.connection())
        .await?;
    write::delete_field(tx, tenant, old.key).await?;
    let state = |is_wanted: bool| {
        let state = if is_wanted {
            BuildState::Building
        } else {
            BuildState::None
        };
        state.as_str()
    };
    sqlx::query(INSERT_FIELD)
        .bind(new.key.0)
        .bind(owner.0)
        .bind(tenant)
        .bind(new.name())
        .bind(position)
        .bind(sqlx::types::Json(&new.definition))
        .bind(new.kind.as_str())
        .bind(state(new.definition.indexed))
        .bind(state(new.definition.unique))
        .bind(state(new.definition.searchable))
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The computed fields that read a field, directly or through others. Look-ups and rollups are told
/// apart by the name of the field alone: to recompute one too many does no harm.
fn dependents(
    registers: &[LoadedRegister],
    owner: RegisterKey,
    name: &str,
) -> Vec<(RegisterKey, FieldKey)> {
    let mut changed = BTreeSet::from([(owner, name.to_owned())]);
    let mut found = Vec::new();
    // Each turn but the last finds a field, and there are so many at most.
    loop {
        let mut more = Vec::new();
        for register in registers {
            for field in &register.fields {
                let own = (register.key, field.name().to_owned());
                if !changed.contains(&own) && reads(register.key, field, &changed) {
                    found.push((register.key, field.key));
                    more.push(own);
                }
            }
        }
        if more.is_empty() {
            return found;
        }
        changed.extend(more);
    }
}

fn reads(register: RegisterKey, field: &Field, changed: &BTreeSet<(RegisterKey, String)>) -> bool {
    let is_changed = |name: &str| changed.iter().any(|(_, changed)| changed == name);
    match &field.definition.field_type {
        FieldType::Formula { expression } => Formula::parse(expression).is_ok_and(|formula| {
            formula
                .names()
                .iter()
                .any(|name| changed.contains(&(register, (*name).to_owned())))
        }),
        FieldType::Lookup { field, .. } => is_changed(field),
        FieldType::Rollup { aggregate, .. } => aggregate.field().is_some_and(is_changed),
        _ => false,
    }
}
