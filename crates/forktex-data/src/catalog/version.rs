// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The versions of a definition: one for each change that was kept.

use forktex_db::Transaction;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row as _};
use uuid::Uuid;

use crate::error::DataError;
use crate::keys::RegisterKey;
use crate::limits::VERSIONS_LISTED_MAX;
use crate::register::LoadedRegister;
use crate::schema::{RegisterDefinition, RegisterVersion};

/// Raises the versions and notes the definitions, for all registers that changed at once.
const RAISE: &str = "
    WITH given AS (SELECT * FROM unnest($2::bigint[], $3::text[]) AS given (key, schema)),
        raised AS (
            UPDATE forktex_data.register r SET version = r.version + 1
            FROM given WHERE r.key = given.key AND r.tenant_id = $1
            RETURNING r.key, r.version)
    INSERT INTO forktex_data.register_version (register_key, version, tenant_id, schema, changed_by)
    SELECT raised.key, raised.version, $1, given.schema::jsonb, $4
    FROM raised JOIN given ON given.key = raised.key";

const LIST: &str = "
    SELECT version, schema, changed_by, changed_at
    FROM forktex_data.register_version
    WHERE register_key = $1 AND tenant_id = $2
    ORDER BY version DESC
    LIMIT $3";

/// Raises the versions of these registers, and notes how they are defined now. One statement.
pub(super) async fn raise(
    tx: &mut Transaction,
    tenant: Uuid,
    actor: Option<Uuid>,
    registers: &[&LoadedRegister],
) -> Result<(), DataError> {
    let mut keys = Vec::new();
    let mut schemas = Vec::new();
    for register in registers {
        let schema = serde_json::to_string(&register.to_definition())
            .map_err(|_| DataError::corrupt("register", register.key))?;
        keys.push(register.key.0);
        schemas.push(schema);
    }
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(RAISE)
        .bind(tenant)
        .bind(keys)
        .bind(schemas)
        .bind(actor)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The versions of a register, the newest first. One statement.
pub(crate) async fn list(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
) -> Result<Vec<RegisterVersion>, DataError> {
    let rows = sqlx::query(LIST)
        .bind(register.0)
        .bind(tenant)
        .bind(i64::try_from(VERSIONS_LISTED_MAX).unwrap_or(i64::MAX))
        .fetch_all(tx.connection())
        .await?;
    rows.iter()
        .map(|row| {
            let version: i64 = row.try_get("version")?;
            let definition: Json<RegisterDefinition> = row
                .try_get("schema")
                .map_err(|_| DataError::corrupt("version", format!("{register}/{version}")))?;
            Ok(RegisterVersion {
                version,
                definition: definition.0,
                changed_by: row.try_get("changed_by")?,
                changed_at: row.try_get("changed_at")?,
            })
        })
        .collect()
}
