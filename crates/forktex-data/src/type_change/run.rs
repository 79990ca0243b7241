// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The work of a type change, batch by batch. Each batch is a transaction that notes how far it came, so
//! that whoever goes on, here or in another process, begins behind it.

use std::time::Instant;

use forktex_db::Transaction;
use uuid::Uuid;

use super::conversion::{Conversion, detached};
use super::store::{self, Read, Rows, Staged, Started, Target};
use super::switch::{self, give_up};
use super::{
    TYPE_CHANGE_BATCH_ROWS, TypeChangeError, TypeChangeId, TypeChangeReport, TypeChangeState,
};
use crate::catalog::{self, Unfinished};
use crate::custom_type::TypeRegistry;
use crate::error::DataError;
use crate::index;
use crate::keys::FieldKey;
use crate::tenant_data::TenantData;

/// How often what was written meanwhile is converted again before a change gives way to the writers.
const CATCH_UPS_MAX: usize = 1_000;

/// Cells that are forgotten at once.
const FORGET_ROWS: i64 = 10_000;

/// What one batch came to.
enum Batch {
    /// There may be more.
    Staged,
    /// There are no rows left.
    Filled,
    /// The change was done or undone by somebody else.
    Ended(TypeChangeReport),
}

/// Goes on with a change until it is done or the deadline has passed.
pub(super) async fn run(
    tenant: &TenantData,
    id: TypeChangeId,
    deadline: Option<Instant>,
) -> Result<TypeChangeReport, DataError> {
    let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    // Ends with the rows: each batch begins behind the last.
    loop {
        match backfill(tenant, id).await? {
            Batch::Staged if is_late() => return report(tenant, id).await,
            Batch::Staged => {}
            Batch::Filled => break,
            Batch::Ended(report) => return Ok(report),
        }
    }
    for _ in 0..CATCH_UPS_MAX {
        if is_late() {
            return report(tenant, id).await;
        }
        if !catch_up(tenant, id).await? {
            continue;
        }
        check_failed(tenant, id).await?;
        if let Some(restored) = switch::switch(tenant, id).await? {
            forget(tenant, restored).await?;
            return report(tenant, id).await;
        }
    }
    Err(TypeChangeError::Busy { id }.into())
}

/// Goes on with a change until it is done, and builds what the new field asks for.
pub(super) async fn run_whole(
    tenant: &TenantData,
    id: TypeChangeId,
) -> Result<TypeChangeReport, DataError> {
    let report = run(tenant, id, None).await?;
    if report.state == TypeChangeState::Done {
        let started = tenant
            .transaction(async |tx| store::lock(tx, tenant.org(), id).await)
            .await?;
        let unfinished = Unfinished {
            registers: vec![started.register],
            recomputes: true,
        };
        index::settle_now(tenant, &unfinished).await?;
    }
    Ok(report)
}

/// Converts the next rows.
async fn backfill(tenant: &TenantData, id: TypeChangeId) -> Result<Batch, DataError> {
    tenant
        .transaction(async |tx| {
            let started = store::lock(tx, tenant.org(), id).await?;
            if started.state != TypeChangeState::Backfilling {
                return Ok(Batch::Ended(report_of(&started)));
            }
            let after = started.after.unwrap_or(Uuid::nil());
            let limit = TYPE_CHANGE_BATCH_ROWS;
            let rows =
                store::read_rows(tx, tenant.org(), &started, Rows::After(after), limit).await?;
            let Some(last) = rows.last().map(|row| row.id) else {
                return Ok(Batch::Filled);
            };
            let types = tenant.data().types();
            let failed = stage(tx, tenant.org(), types, &started, rows, Some(last)).await?;
            tracing::debug!(%id, failed, "a batch of a type change was staged");
            Ok(Batch::Staged)
        })
        .await
}

/// Converts rows that were written since they were converted; says whether that were all.
async fn catch_up(tenant: &TenantData, id: TypeChangeId) -> Result<bool, DataError> {
    tenant
        .transaction(async |tx| {
            let started = store::lock(tx, tenant.org(), id).await?;
            if started.state != TypeChangeState::Backfilling {
                return Ok(true);
            }
            let limit = TYPE_CHANGE_BATCH_ROWS;
            let rows = store::read_rows(tx, tenant.org(), &started, Rows::Lagging, limit).await?;
            let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let types = tenant.data().types();
            stage(tx, tenant.org(), types, &started, rows, None).await?;
            Ok(count < limit)
        })
        .await
}

/// Converts rows and stages them; says how many failed.
pub(super) async fn stage(
    tx: &mut Transaction,
    tenant: Uuid,
    types: &TypeRegistry,
    started: &Started,
    rows: Vec<Read>,
    last: Option<Uuid>,
) -> Result<u64, DataError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let conversion = conversion_of(started, types);
    let (mut staged, mut converted, mut failed) = (Vec::with_capacity(rows.len()), 0, 0);
    for row in rows {
        let outcome = convert(&conversion, started, &row);
        if outcome.problem.is_some() {
            failed += 1;
        } else if outcome.cell.as_ref().is_some_and(|cell| !cell.is_null()) {
            converted += 1;
        }
        staged.push(Staged {
            id: row.id,
            before: row.before,
            after: outcome.cell,
        });
    }
    store::stage(tx, tenant, started, staged).await?;
    let all = started.failed + failed;
    store::progress(tx, tenant, started.id, last, converted, all).await?;
    Ok(failed)
}

fn conversion_of<'t>(started: &Started, types: &'t TypeRegistry) -> Conversion<'t> {
    let target = &started.target;
    Conversion::new(
        detached(started.field, started.from.clone(), types),
        detached(FieldKey(target.key), target.definition.clone(), types),
        types,
    )
}

fn convert(
    conversion: &Conversion<'_>,
    started: &Started,
    row: &Read,
) -> super::conversion::Converted {
    let before = row.before.as_ref();
    if started.target.restores.is_none() {
        return conversion.convert(before);
    }
    conversion.restore(before, &row.kept)
}

/// Counts the cells that do not convert, as they are now, and refuses to go on with them unless they
/// were to become null. Reads only rows whose cell is staged as null.
async fn check_failed(tenant: &TenantData, id: TypeChangeId) -> Result<(), DataError> {
    let (mut failed, mut after) = (0, Uuid::nil());
    // Ends with the rows: each batch begins behind the last.
    loop {
        let next = tenant
            .transaction(async |tx| {
                let started = store::lock(tx, tenant.org(), id).await?;
                let (suspects, limit) = (Rows::SuspectsAfter(after), TYPE_CHANGE_BATCH_ROWS);
                let rows = store::read_rows(tx, tenant.org(), &started, suspects, limit).await?;
                let conversion = conversion_of(&started, tenant.data().types());
                let mut count: u64 = 0;
                for row in &rows {
                    count += u64::from(convert(&conversion, &started, row).problem.is_some());
                }
                let all: u64 = failed + count;
                store::progress(tx, tenant.org(), id, None, 0, all).await?;
                let empties = started.target.empties;
                Ok((rows.last().map(|row| row.id), all, empties))
            })
            .await?;
        let (last, all, empties) = next;
        failed = all;
        match last {
            Some(last) => after = last,
            None if failed > 0 && !empties => {
                return Err(TypeChangeError::Unconvertible { id, failed }.into());
            }
            None => return Ok(()),
        }
    }
}

/// Undoes a change.
pub(super) async fn undo(
    tenant: &TenantData,
    id: TypeChangeId,
) -> Result<TypeChangeReport, DataError> {
    let back = tenant
        .transaction(async |tx| {
            catalog::lock_schema(tx, tenant.org()).await?;
            let started = store::lock(tx, tenant.org(), id).await?;
            match started.state {
                TypeChangeState::Undone => Err(TypeChangeError::Undone { id }.into()),
                TypeChangeState::Backfilling => {
                    give_up(tx, tenant.org(), &started).await?;
                    Ok(None)
                }
                TypeChangeState::Done => start_back(tx, tenant.org(), &started).await.map(Some),
            }
        })
        .await?;
    if let Some(back) = back {
        return run_whole(tenant, back).await;
    }
    forget(tenant, Some(id)).await?;
    report(tenant, id).await
}

/// Starts the change back, or finds the one that was started before.
async fn start_back(
    tx: &mut Transaction,
    tenant: Uuid,
    done: &Started,
) -> Result<TypeChangeId, DataError> {
    let register = catalog::load::by_key(tx, tenant, done.register).await?;
    let Some(field) = register.field_by_key(FieldKey(done.target.key)) else {
        return Err(DataError::FieldNotFound {
            register: register.name.clone(),
            field: done.target.definition.name.clone(),
            nearest: None,
        });
    };
    let mut definition = done.from.clone();
    field.name().clone_into(&mut definition.name);
    let target = Target::new(definition, true, Some(done.id.0));
    match store::start(tx, tenant, done.register, field, target).await {
        Err(DataError::TypeChange(TypeChangeError::UnderWay { id, field })) => {
            let other = store::lock(tx, tenant, id).await?;
            if other.target.restores == Some(done.id.0) {
                return Ok(id);
            }
            Err(TypeChangeError::UnderWay { id, field }.into())
        }
        started => started,
    }
}

/// Goes on with all changes of a tenant.
pub(super) async fn resume_all(tenant: &TenantData, deadline: Instant) -> Result<u64, DataError> {
    let running = tenant
        .transaction(async |tx| store::running(tx, tenant.org()).await)
        .await?;
    let mut left = 0;
    for id in running {
        if Instant::now() >= deadline {
            left += 1;
            continue;
        }
        match run(tenant, id, Some(deadline)).await {
            Ok(report) => left += u64::from(report.state == TypeChangeState::Backfilling),
            Err(DataError::TypeChange(TypeChangeError::Busy { .. })) => left += 1,
            // It waits for its owner: no maintenance will bring it further.
            Err(DataError::TypeChange(TypeChangeError::Unconvertible { .. })) => {}
            // The field or its register was dropped: there is nothing to change any more.
            Err(error) if error.is_not_found() => {
                tenant
                    .transaction(async |tx| {
                        let started = store::lock(tx, tenant.org(), id).await?;
                        give_up(tx, tenant.org(), &started).await
                    })
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

/// Forgets the cells that were kept for a change which is undone.
async fn forget(tenant: &TenantData, id: Option<TypeChangeId>) -> Result<(), DataError> {
    let Some(id) = id else {
        return Ok(());
    };
    // Ends with the cells: nobody adds to those of an ended change.
    loop {
        let count = tenant
            .transaction(async |tx| store::forget_cells(tx, tenant.org(), id, FORGET_ROWS).await)
            .await?;
        if count == 0 {
            return Ok(());
        }
    }
}

async fn report(tenant: &TenantData, id: TypeChangeId) -> Result<TypeChangeReport, DataError> {
    tenant
        .transaction(async |tx| {
            let started = store::lock(tx, tenant.org(), id).await?;
            Ok(report_of(&started))
        })
        .await
}

fn report_of(started: &Started) -> TypeChangeReport {
    TypeChangeReport {
        id: started.id,
        state: started.state,
        converted: started.converted,
        failed: started.failed,
    }
}
