// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Queries and single rows of virtual registers: what can be pushed goes to the source, the rest is
//! done over the rows that it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::gather::Reader;
use super::push::Push;
use super::{VirtualError, VirtualId, VirtualRegister, VirtualRequest, VirtualRow};
use crate::draft::Draft;
use crate::error::DataError;
use crate::memory;
use crate::query::plan::CheckedQuery;
use crate::register::Register;
use crate::result::QueryResult;
use crate::row::{Row, RowId};
use crate::validate::{DraftMode, check_draft};

/// Answers a query: whole, or not at all. One request for each page of the source that has to be read.
pub(crate) async fn run(
    register: &Register,
    source: &Arc<dyn VirtualRegister>,
    query: &CheckedQuery,
) -> Result<QueryResult, DataError> {
    memory::check_search(register.loaded(), &query.search)?;
    let reader = reader(register, source.as_ref());
    let push = Push::new(reader.register, &reader.capabilities, query);
    let rows = reader.matching(query, &push).await;
    let rows = rows.map_err(|source| failed(register, source))?;
    tracing::debug!(
        register = register.name(),
        rows = rows.len(),
        conditions = push.request.conditions.len(),
        "a virtual register was read"
    );
    memory::answer(reader.register, rows, query)
}

/// The rows of these ids, in the order asked; those that the source does not have are left out. One
/// request for each id where the source finds rows by id; else the whole source is read once.
pub(crate) async fn get_many(
    register: &Register,
    source: &Arc<dyn VirtualRegister>,
    ids: &[RowId],
) -> Result<Vec<Row>, DataError> {
    let reader = reader(register, source.as_ref());
    let found = find(&reader, ids).await;
    let found = found.map_err(|source| failed(register, source))?;
    let rows = ids.iter().filter_map(|id| found.get(&id.as_uuid()));
    rows.cloned()
        .map(|row| read_row(register, &reader, row))
        .collect()
}

/// Adds a row through the source.
pub(crate) async fn create(
    register: &Register,
    source: &Arc<dyn VirtualRegister>,
    draft: &Draft,
) -> Result<Row, DataError> {
    let reader = reader(register, source.as_ref());
    check(register, draft, DraftMode::Create)?;
    let created = reader.within_limit(source.create(register.tenant(), draft));
    let created = created
        .await
        .map_err(|source| refused(register, None, source))?;
    read_row(register, &reader, created)
}

/// Changes a row through the source.
pub(crate) async fn patch(
    register: &Register,
    source: &Arc<dyn VirtualRegister>,
    id: RowId,
    draft: &Draft,
) -> Result<Row, DataError> {
    let reader = reader(register, source.as_ref());
    check(register, draft, DraftMode::Patch)?;
    let own = own_id(register, &reader, id).await?;
    let patched = reader.within_limit(source.patch(register.tenant(), &own, draft));
    let patched = patched
        .await
        .map_err(|source| refused(register, Some(id), source))?;
    read_row(register, &reader, patched)
}

/// Deletes a row through the source.
pub(crate) async fn delete(
    register: &Register,
    source: &Arc<dyn VirtualRegister>,
    id: RowId,
) -> Result<(), DataError> {
    let reader = reader(register, source.as_ref());
    let own = own_id(register, &reader, id).await?;
    let deleted = reader.within_limit(source.delete(register.tenant(), &own));
    deleted
        .await
        .map_err(|source| refused(register, Some(id), source))
}

fn reader<'a>(register: &'a Register, source: &'a dyn VirtualRegister) -> Reader<'a> {
    Reader {
        register: register.loaded(),
        source,
        types: register.data().types(),
        tenant: register.tenant(),
        capabilities: source.capabilities(),
    }
}

/// The rows of these ids that the source has.
async fn find(
    reader: &Reader<'_>,
    ids: &[RowId],
) -> Result<BTreeMap<Uuid, VirtualRow>, VirtualError> {
    let mut request = VirtualRequest::new(reader.capabilities.page_rows);
    let own_ids: Option<Vec<VirtualId>> = ids
        .iter()
        .map(|id| VirtualId::of_row(id.as_uuid()))
        .collect();
    let mut found = BTreeMap::new();
    match own_ids {
        Some(own_ids) if reader.capabilities.has_find => {
            for id in own_ids {
                request.id = Some(id);
                found.extend(by_id(reader.all(&request).await?));
            }
        }
        _ => found.extend(by_id(reader.all(&request).await?)),
    }
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    found.retain(|id, _| wanted.contains(id));
    Ok(found)
}

fn by_id(rows: Vec<VirtualRow>) -> impl Iterator<Item = (Uuid, VirtualRow)> {
    rows.into_iter().map(|row| (row.id.row_id(), row))
}

/// What the source calls a row. Asks it, where that cannot be known from the row's own id.
async fn own_id(
    register: &Register,
    reader: &Reader<'_>,
    id: RowId,
) -> Result<VirtualId, DataError> {
    if let Some(own) = VirtualId::of_row(id.as_uuid()) {
        return Ok(own);
    }
    let found = find(reader, &[id]).await;
    let mut found = found.map_err(|source| failed(register, source))?;
    match found.remove(&id.as_uuid()) {
        Some(row) => Ok(row.id),
        None => Err(refused(register, Some(id), VirtualError::NotFound)),
    }
}

fn check(register: &Register, draft: &Draft, mode: DraftMode) -> Result<(), DataError> {
    match check_draft(register.fields(), draft, mode, register.data().types()) {
        Ok(_) => Ok(()),
        Err(problems) => Err(DataError::Row {
            register: register.name().to_owned(),
            problems,
        }),
    }
}

fn read_row(register: &Register, reader: &Reader<'_>, row: VirtualRow) -> Result<Row, DataError> {
    let row = reader.read(row);
    let row = row.map_err(|source| failed(register, source))?;
    let all = 0..reader.register.fields.len();
    Ok(row.into_row(reader.register, all))
}

fn failed(register: &Register, source: VirtualError) -> DataError {
    DataError::Virtual {
        register: register.name().to_owned(),
        source,
    }
}

/// Gives what every kind of register reports the error that it has there.
fn refused(register: &Register, id: Option<RowId>, source: VirtualError) -> DataError {
    match (source, id) {
        (VirtualError::NotFound, Some(id)) => DataError::RowNotFound {
            register: register.name().to_owned(),
            id,
        },
        (VirtualError::Unsupported { what }, _) => DataError::Unsupported {
            register: register.name().to_owned(),
            what: format!("{what} rows").into(),
            source_kind: "virtual",
        },
        (source, _) => failed(register, source),
    }
}
