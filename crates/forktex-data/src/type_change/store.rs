// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tables of type changes: one method per statement. It decides nothing.

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{TypeChangeError, TypeChangeId, TypeChangeState, TypeChangeSummary};
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::Field;

/// The sequence of the keys belongs to the table alone, so that a key is taken by a field that never is:
/// it is gone before anybody can see it.
const TAKE_KEY: &str = "
    INSERT INTO forktex_data.field (register_key, tenant_id, name, position, definition, value_kind)
    VALUES ($1, $2, $3, 0, '{}', 'text')
    RETURNING key";

const GIVE_FIELD_BACK: &str = "
    DELETE FROM forktex_data.field WHERE key = $1 AND tenant_id = $2";

const UNDER_WAY: &str = "
    SELECT key FROM forktex_data.type_change
    WHERE tenant_id = $1 AND register_key = $2 AND field_key = $3 AND state = 'backfilling'";

const INSERT: &str = "
    INSERT INTO forktex_data.type_change
        (tenant_id, register_key, field_key, from_definition, to_definition, state)
    VALUES ($1, $2, $3, $4, $5, 'backfilling')
    RETURNING key";

const READ: &str = "
    SELECT key, register_key, field_key, from_definition, to_definition, state, after_row, converted,
        failed, started_at, ended_at
    FROM forktex_data.type_change WHERE key = $1 AND tenant_id = $2
    FOR UPDATE";

const LIST: &str = "
    SELECT key, register_key, field_key, from_definition, to_definition, state, after_row, converted,
        failed, started_at, ended_at
    FROM forktex_data.type_change WHERE tenant_id = $1 AND register_key = $2
    ORDER BY key DESC LIMIT $3";

const RUNNING: &str = "
    SELECT key FROM forktex_data.type_change
    WHERE tenant_id = $1 AND state = 'backfilling' ORDER BY key LIMIT 1000";

const PROGRESS: &str = "
    UPDATE forktex_data.type_change
    SET after_row = coalesce($3, after_row), converted = converted + $4, failed = $5
    WHERE key = $1 AND tenant_id = $2";

const END: &str = "
    UPDATE forktex_data.type_change SET state = $3, ended_at = now()
    WHERE key = $1 AND tenant_id = $2";

/// Locks the rows, so that what is staged fits what is there. Index: the primary key of `row`.
const READ_BATCH: &str = "
    SELECT r.id, r.cells -> $3::text AS before, k.row_id IS NOT NULL AS is_kept, k.cell AS kept
    FROM forktex_data.row r
    LEFT JOIN forktex_data.type_change_cell k ON k.change_key = $5 AND k.row_id = r.id
    WHERE r.register_key = $1 AND r.tenant_id = $2 AND r.id > $4
    ORDER BY r.id LIMIT $6
    FOR NO KEY UPDATE OF r";

/// Rows that were written since they were staged, and new ones.
const READ_LAGGING: &str = "
    SELECT r.id, r.cells -> $3::text AS before, k.row_id IS NOT NULL AS is_kept, k.cell AS kept
    FROM forktex_data.row r
    LEFT JOIN forktex_data.type_change_cell t ON t.change_key = $4 AND t.row_id = r.id
    LEFT JOIN forktex_data.type_change_cell k ON k.change_key = $5 AND k.row_id = r.id
    WHERE r.register_key = $1 AND r.tenant_id = $2
        AND (t.row_id IS NULL OR t.cell IS DISTINCT FROM (r.cells -> $3::text)
            OR ((r.cells ? $3::text) AND NOT (r.cells ? $7::text)))
    ORDER BY r.id LIMIT $6
    FOR NO KEY UPDATE OF r";

/// Cells that had a value and are staged as null: those among which the failed ones are.
const READ_SUSPECTS: &str = "
    SELECT r.id, r.cells -> $3::text AS before, k.row_id IS NOT NULL AS is_kept, k.cell AS kept
    FROM forktex_data.row r
    LEFT JOIN forktex_data.type_change_cell k ON k.change_key = $5 AND k.row_id = r.id
    WHERE r.register_key = $1 AND r.tenant_id = $2 AND r.id > $4
        AND r.cells -> $7::text = 'null'::jsonb AND r.cells -> $3::text <> 'null'::jsonb
    ORDER BY r.id LIMIT $6";

const STAGE: &str = "
    WITH staged AS (
        SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[]) AS s (id, before, after)
    ), kept AS (
        INSERT INTO forktex_data.type_change_cell (change_key, row_id, tenant_id, cell)
        SELECT $6, s.id, $2, s.before::jsonb FROM staged s
        ON CONFLICT (change_key, row_id) DO UPDATE SET cell = EXCLUDED.cell
    )
    UPDATE forktex_data.row r
    SET cells = CASE WHEN s.after IS NULL THEN r.cells - $7::text
        ELSE r.cells || jsonb_build_object($7::text, s.after::jsonb) END
    FROM staged s
    WHERE r.register_key = $1 AND r.tenant_id = $2 AND r.id = s.id
        AND (r.cells -> $7::text) IS DISTINCT FROM s.after::jsonb";

const FORGET_CELLS: &str = "
    DELETE FROM forktex_data.type_change_cell
    WHERE change_key = $1 AND tenant_id = $2 AND row_id = ANY(ARRAY(
        SELECT c.row_id FROM forktex_data.type_change_cell c WHERE c.change_key = $1 LIMIT $3))";

/// What a field is to become.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    /// Under which its cells are staged, and which becomes that of the field. Zero until it is taken.
    pub(super) key: i64,
    pub(super) definition: FieldDefinition,
    /// Cells that cannot be converted become null.
    pub(super) empties: bool,
    /// The change that this one undoes.
    pub(super) restores: Option<i64>,
}

impl Target {
    pub(super) fn new(definition: FieldDefinition, empties: bool, restores: Option<i64>) -> Self {
        Self {
            key: 0,
            definition,
            empties,
            restores,
        }
    }
}

/// A type change that was started.
#[derive(Clone, Debug)]
pub(super) struct Started {
    pub(super) id: TypeChangeId,
    pub(super) register: RegisterKey,
    pub(super) field: FieldKey,
    pub(super) from: FieldDefinition,
    pub(super) target: Target,
    pub(super) state: TypeChangeState,
    pub(super) after: Option<Uuid>,
    pub(super) converted: u64,
    pub(super) failed: u64,
    begun_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
}

impl Started {
    pub(super) fn into_summary(self) -> TypeChangeSummary {
        TypeChangeSummary {
            id: self.id,
            state: self.state,
            from: self.from,
            to: self.target.definition,
            converted: self.converted,
            failed: self.failed,
            started_at: self.begun_at,
            ended_at: self.ended_at,
        }
    }
}

/// What a change that is undone has kept of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    /// The row was not there.
    Nothing,
    /// The cell was as it says; absent for none.
    Cell(Option<Json>),
}

/// A cell that is to be converted.
pub(super) struct Read {
    pub(super) id: Uuid,
    pub(super) before: Option<Json>,
    /// What the change that is undone has kept of it.
    pub(super) kept: Kept,
}

/// A cell that was converted.
pub(super) struct Staged {
    pub(super) id: Uuid,
    pub(super) before: Option<Json>,
    pub(super) after: Option<Json>,
}

/// Which rows are read.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    /// Those after this id.
    After(Uuid),
    Lagging,
    SuspectsAfter(Uuid),
}

/// Takes a key for the new field, and notes the change.
pub(super) async fn start(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    field: &Field,
    mut target: Target,
) -> Result<TypeChangeId, DataError> {
    let under_way: Option<i64> = sqlx::query_scalar(UNDER_WAY)
        .bind(tenant)
        .bind(register.0)
        .bind(field.key.0)
        .fetch_optional(tx.connection())
        .await?;
    if let Some(id) = under_way {
        return Err(DataError::TypeChange(TypeChangeError::UnderWay {
            field: field.name().to_owned(),
            id: TypeChangeId(id),
        }));
    }
    target.key = sqlx::query_scalar(TAKE_KEY)
        .bind(register.0)
        .bind(tenant)
        .bind(format!("type_change_{}", Uuid::now_v7().simple()))
        .fetch_one(tx.connection())
        .await?;
    sqlx::query(GIVE_FIELD_BACK)
        .bind(target.key)
        .bind(tenant)
        .execute(tx.connection())
        .await?;
    let id = sqlx::query_scalar(INSERT)
        .bind(tenant)
        .bind(register.0)
        .bind(field.key.0)
        .bind(sqlx::types::Json(field.definition()))
        .bind(sqlx::types::Json(&target))
        .fetch_one(tx.connection())
        .await?;
    Ok(TypeChangeId(id))
}

/// Reads a change and keeps others from going on with it until the transaction ends.
pub(super) async fn lock(
    tx: &mut Transaction,
    tenant: Uuid,
    id: TypeChangeId,
) -> Result<Started, DataError> {
    let row = sqlx::query(READ)
        .bind(id.0)
        .bind(tenant)
        .fetch_optional(tx.connection())
        .await?;
    let row = row.ok_or(TypeChangeError::NotFound { id })?;
    read(&row)
}

pub(super) async fn list(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    limit: i64,
) -> Result<Vec<Started>, DataError> {
    let rows = sqlx::query(LIST)
        .bind(tenant)
        .bind(register.0)
        .bind(limit)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// The changes that are under way, the oldest first, at most 1,000.
pub(super) async fn running(
    tx: &mut Transaction,
    tenant: Uuid,
) -> Result<Vec<TypeChangeId>, DataError> {
    let keys: Vec<i64> = sqlx::query_scalar(RUNNING)
        .bind(tenant)
        .fetch_all(tx.connection())
        .await?;
    Ok(keys.into_iter().map(TypeChangeId).collect())
}

pub(super) async fn read_rows(
    tx: &mut Transaction,
    tenant: Uuid,
    started: &Started,
    rows: Rows,
    limit: i64,
) -> Result<Vec<Read>, DataError> {
    let old = started.field.to_string();
    let new = started.target.key.to_string();
    let restores = started.target.restores.unwrap_or_default();
    let statement = match rows {
        Rows::After(_) => READ_BATCH,
        Rows::Lagging => READ_LAGGING,
        Rows::SuspectsAfter(_) => READ_SUSPECTS,
    };
    let query = sqlx::query(statement)
        .bind(started.register.0)
        .bind(tenant)
        .bind(old);
    let query = match rows {
        Rows::After(after) | Rows::SuspectsAfter(after) => query.bind(after),
        Rows::Lagging => query.bind(started.id.0),
    };
    let query = query.bind(restores).bind(limit);
    let query = match rows {
        Rows::After(_) => query,
        Rows::Lagging | Rows::SuspectsAfter(_) => query.bind(new),
    };
    let rows = query.fetch_all(tx.connection()).await?;
    rows.iter()
        .map(|row| -> Result<Read, DataError> {
            let is_kept: bool = row.try_get("is_kept")?;
            let kept: Option<Json> = row.try_get("kept")?;
            Ok(Read {
                id: row.try_get("id")?,
                before: row.try_get("before")?,
                kept: if is_kept {
                    Kept::Cell(kept)
                } else {
                    Kept::Nothing
                },
            })
        })
        .collect()
}

pub(super) async fn stage(
    tx: &mut Transaction,
    tenant: Uuid,
    started: &Started,
    staged: Vec<Staged>,
) -> Result<(), DataError> {
    let (mut ids, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for cell in staged {
        ids.push(cell.id);
        before.push(cell.before.map(|json| json.to_string()));
        after.push(cell.after.map(|json| json.to_string()));
    }
    sqlx::query(STAGE)
        .bind(started.register.0)
        .bind(tenant)
        .bind(ids)
        .bind(before)
        .bind(after)
        .bind(started.id.0)
        .bind(started.target.key.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes how far a change is: the last row that was seen, cells converted since, cells failed in all.
pub(super) async fn progress(
    tx: &mut Transaction,
    tenant: Uuid,
    id: TypeChangeId,
    after: Option<Uuid>,
    converted: u64,
    failed: u64,
) -> Result<(), DataError> {
    let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(PROGRESS)
        .bind(id.0)
        .bind(tenant)
        .bind(after)
        .bind(signed(converted))
        .bind(signed(failed))
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn end(
    tx: &mut Transaction,
    tenant: Uuid,
    id: TypeChangeId,
    state: TypeChangeState,
) -> Result<(), DataError> {
    sqlx::query(END)
        .bind(id.0)
        .bind(tenant)
        .bind(state.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Forgets cells that were kept for a change that nobody can undo any more; says how many.
pub(super) async fn forget_cells(
    tx: &mut Transaction,
    tenant: Uuid,
    id: TypeChangeId,
    limit: i64,
) -> Result<u64, DataError> {
    let done = sqlx::query(FORGET_CELLS)
        .bind(id.0)
        .bind(tenant)
        .bind(limit)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected())
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Started, DataError> {
    let key: i64 = row.try_get("key")?;
    let state: String = row.try_get("state")?;
    let from: sqlx::types::Json<FieldDefinition> = row.try_get("from_definition")?;
    let target: sqlx::types::Json<Target> = row.try_get("to_definition")?;
    let (converted, failed): (i64, i64) = (row.try_get("converted")?, row.try_get("failed")?);
    Ok(Started {
        id: TypeChangeId(key),
        register: RegisterKey(row.try_get("register_key")?),
        field: FieldKey(row.try_get("field_key")?),
        from: from.0,
        target: target.0,
        state: TypeChangeState::parse(&state)
            .ok_or_else(|| DataError::corrupt("type change", key))?,
        after: row.try_get("after_row")?,
        converted: converted.unsigned_abs(),
        failed: failed.unsigned_abs(),
        begun_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

impl TypeChangeState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Backfilling => "backfilling",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Backfilling, Self::Done, Self::Undone]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}
