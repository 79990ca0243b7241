// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Single rows of a bound register: read by their ids, and changed in the fields that the tenant has
//! added. The columns of the table are never written.

use std::collections::HashMap;
use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, AssertSqlSafe, Row as _};
use serde_json::Value as Json;
use uuid::Uuid;

use super::columns::OwnIds;
use super::query::BoundSource;
use super::{BoundRegister, extension};
use crate::cell::Cell;
use crate::draft::Draft;
use crate::error::DataError;
use crate::limits::VIRTUAL_ROWS_MAX;
use crate::memory::{self, MemoryRow};
use crate::query::plan::CheckedQuery;
use crate::query::sql::RowSource as _;
use crate::register::{LoadedRegister, Register};
use crate::result::QueryResult;
use crate::row::{Row, RowId};
use crate::rows::change::{self, ChangeKind};
use crate::validate::{CellProblem, RowProblems};

/// The rows of these ids, in the order asked; those that the tenant does not have are left out. One
/// query, by the index of the table's id.
pub(crate) async fn get_many(
    tx: &mut Transaction,
    register: &Register,
    bound: &Arc<BoundRegister>,
    ids: &[RowId],
) -> Result<Vec<Row>, DataError> {
    let source = BoundSource::new(register, bound)?;
    let statement = format!(
        "{} AND {} = ANY($1)",
        select(&source),
        source.table().id.sql
    );
    let own_ids = OwnIds::of(source.table().id_kind, ids);
    let found = own_ids
        .bind(sqlx::query(AssertSqlSafe(statement)))
        .fetch_all(tx.connection())
        .await?;
    let all = 0..register.fields().len();
    let mut rows = HashMap::with_capacity(found.len());
    for row in &found {
        let row = read(register.loaded(), row)?.into_row(register.loaded(), all.clone());
        rows.insert(row.id, row);
    }
    Ok(ids.iter().filter_map(|id| rows.get(id).cloned()).collect())
}

/// Answers a query that searches for words, for which a table has no index: reads the tenant's rows and
/// searches them in memory. One query.
///
/// # Errors
/// [`DataError::LimitReached`] when the tenant has more than [`VIRTUAL_ROWS_MAX`] rows.
pub(crate) async fn search(
    tx: &mut Transaction,
    register: &Register,
    bound: &Arc<BoundRegister>,
    query: &CheckedQuery,
) -> Result<QueryResult, DataError> {
    memory::check_search(register.loaded(), &query.search)?;
    let source = BoundSource::new(register, bound)?;
    let statement = format!("{} LIMIT {}", select(&source), VIRTUAL_ROWS_MAX + 1);
    let found = sqlx::query(AssertSqlSafe(statement))
        .fetch_all(tx.connection())
        .await?;
    if found.len() > VIRTUAL_ROWS_MAX {
        return Err(DataError::LimitReached {
            what: "rows of a bound register to search",
            max: VIRTUAL_ROWS_MAX,
        });
    }
    let register = register.loaded();
    let mut rows = Vec::new();
    for row in &found {
        let row = read(register, row)?;
        if memory::matches(register, query, &row) {
            rows.push(row);
        }
    }
    memory::answer(register, rows, query)
}

/// The rows of the tenant, to be narrowed by a further condition.
fn select(source: &BoundSource) -> String {
    let base = source.base();
    format!(
        "SELECT {} AS id, {} AS version, {} AS external_ref, {} AS created_at, \
         {} AS updated_at, {} AS archived_at, {} AS cells FROM {} WHERE {}",
        base.id,
        base.version,
        base.external_ref,
        base.created_at,
        base.updated_at,
        base.archived_at,
        base.cells,
        base.from,
        source.tenant_condition(),
    )
}

/// Changes the fields that the tenant has added. Four round trips.
///
/// # Errors
/// [`DataError::Row`] when the draft names a column of the table, which is read-only;
/// [`DataError::Unsupported`] when the register has no fields of the tenant's own.
pub(crate) async fn patch(
    tx: &mut Transaction,
    register: &Register,
    bound: &Arc<BoundRegister>,
    id: RowId,
    draft: &Draft,
) -> Result<Row, DataError> {
    let Some(stored) = extension::stored(register) else {
        return Err(DataError::Unsupported {
            register: register.name().to_owned(),
            what: "patch rows".into(),
            source_kind: register.source().kind(),
        });
    };
    refuse_columns(register, draft)?;
    let not_found = || DataError::RowNotFound {
        register: register.name().to_owned(),
        id,
    };
    let source = BoundSource::new(register, bound)?;
    extension::ensure_row(tx, register, &source, id).await?;
    // The row that holds what was added may outlive the table's own, which alone decides.
    let before = get_many(tx, register, bound, &[id]).await?;
    if before.is_empty() {
        return Err(not_found());
    }
    let change = ChangeKind::Patch(draft.clone());
    change::change(tx, &stored, id, &change, None).await?;
    let after = get_many(tx, register, bound, &[id]).await?;
    after.into_iter().next().ok_or_else(not_found)
}

/// Refuses a draft that names columns of the table, and names all of them.
fn refuse_columns(register: &Register, draft: &Draft) -> Result<(), DataError> {
    let is_column = |name: &str| {
        let field = register.field(name);
        field.is_some_and(|field| field.key.0 < 0)
    };
    let columns = draft.iter().map(|(name, _)| name);
    let problems: Vec<(String, CellProblem)> = columns
        .filter(|name| is_column(name))
        .chain(draft.external().map(|_| "external_ref"))
        .map(|name| (name.to_owned(), CellProblem::ReadOnly))
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(DataError::Row {
        register: register.name().to_owned(),
        problems: RowProblems::new(problems),
    })
}

fn read(register: &LoadedRegister, found: &PgRow) -> Result<MemoryRow, DataError> {
    let id: Uuid = found.try_get("id")?;
    let written: Json = found.try_get("cells")?;
    let cells = register.fields.iter().map(|field| {
        let member = written.get(field.key.to_string());
        match Cell::from_member(field.kind, member) {
            Some(cell) => Ok(cell),
            // What a type change has left behind in an added field is not shown, as in any stored row.
            None if field.key.0 > 0 => Ok(Cell::Absent),
            // A value of the table that no cell can hold is not shown as if there were none.
            None => Err(DataError::corrupt("row", id)),
        }
    });
    Ok(MemoryRow {
        id,
        version: found.try_get("version")?,
        external_ref: found.try_get("external_ref")?,
        created_at: found.try_get("created_at")?,
        updated_at: found.try_get("updated_at")?,
        archived_at: found.try_get("archived_at")?,
        cells: cells.collect::<Result<_, DataError>>()?,
    })
}
