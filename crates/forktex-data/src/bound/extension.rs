// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fields that a tenant adds to the rows of a table. Their cells are kept in a row of this crate that has
//! the same id as the table's row, so that the two meet by a primary key.
//!
//! Such a row comes to be when it is first needed. One whose row in the table is gone is never shown.

use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, AssertSqlSafe};

use super::query::BoundSource;
use crate::error::DataError;
use crate::keys::RegisterKey;
use crate::register::{Field, LoadedRegister, Register, RegisterInner, Source};
use crate::row::RowId;

/// The definition of a bound register: the fields of the table, and behind them those that the tenant
/// has added. Where the two have one name, the table's is the one.
pub(super) fn definition(
    name: &str,
    columns: &[Field],
    extension: Option<LoadedRegister>,
) -> LoadedRegister {
    let mut definition = extension.unwrap_or_else(|| LoadedRegister {
        key: RegisterKey::NONE,
        name: name.to_owned(),
        label: None,
        description: None,
        keeps_history: false,
        version: 1,
        fields: Vec::new(),
        relationships: Vec::new(),
    });
    let added = std::mem::take(&mut definition.fields);
    let is_new = |field: &Field| columns.iter().all(|column| column.name() != field.name());
    definition.fields = columns.to_vec();
    definition.fields.extend(added.into_iter().filter(is_new));
    definition
}

/// The register of what the tenant has added alone, as one whose rows are stored. `None` where nothing
/// was added.
pub(super) fn stored(register: &Register) -> Option<Register> {
    let mut definition = LoadedRegister::clone(register.loaded());
    definition.fields.retain(|field| field.key.0 > 0);
    if definition.key == RegisterKey::NONE || definition.fields.is_empty() {
        return None;
    }
    let inner = register.inner();
    Some(Register(Arc::new(RegisterInner {
        data: inner.data.clone(),
        tenant: inner.tenant,
        actor: inner.actor,
        definition: Arc::new(definition),
        source: Source::Stored,
    })))
}

/// Makes the row for what the tenant has added to a row of the table, unless it is there. Does nothing
/// where the table has no such row of the tenant's. One query.
///
/// Locks: a row of `forktex_data.row` that is new. Index: the table's own on its id.
pub(super) async fn ensure_row(
    tx: &mut Transaction,
    register: &Register,
    source: &BoundSource,
    id: RowId,
) -> Result<(), DataError> {
    let Some(own_id) = source.table().id_kind.own_id(id) else {
        return Ok(());
    };
    let statement = format!(
        "INSERT INTO forktex_data.row (register_key, id, tenant_id, cells, version, external_ref, updated_at) \
         SELECT {}, {}, '{}'::uuid, '{{}}'::jsonb, 1, ({})::text, now() \
         FROM {} WHERE {} AND {} = $1 \
         ON CONFLICT DO NOTHING",
        register.loaded().key,
        source.row_id(),
        register.tenant(),
        source.table().id.sql,
        source.table_sql(),
        source.tenant_condition(),
        source.table().id.sql,
    );
    let statement = sqlx::query(AssertSqlSafe(statement));
    own_id.bind(statement).execute(tx.connection()).await?;
    Ok(())
}
