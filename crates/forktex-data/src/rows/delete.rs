// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deletes rows for good, and links rows: what is planned over several registers is done by `relations`;
//! here the register is held and the row locked first.
//!
//! Races that are closed here: a row that is to be deleted is locked `FOR UPDATE`, so that nobody begins to
//! refer to it meanwhile; a change that waits for it finds no row.

use forktex_db::Transaction;

use crate::computed::{self, ChangedRow, LinkChange};
use crate::error::DataError;
use crate::register::Register;
use crate::relations::{DeletePlan, delete, link};
use crate::row::RowId;
use crate::rows::change::the_row;
use crate::rows::lock::{self, Wanted};

/// Deletes a row with all that goes with it.
pub(crate) async fn delete(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
    expected: Option<i64>,
) -> Result<DeletePlan, DataError> {
    let ids = [id.as_uuid()];
    let (definition, rows) =
        lock::register_and_rows(tx, register, Wanted::IdsForDelete(&ids)).await?;
    the_row(register, id, rows, expected)?;
    let rows_max = register.data().recompute_rows_max();
    delete::delete_rows(
        tx,
        register.tenant(),
        &definition,
        &ids,
        register.actor(),
        rows_max,
    )
    .await
}

/// What [`delete`] would do.
pub(crate) async fn plan_delete(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
) -> Result<DeletePlan, DataError> {
    let definition = lock::register(tx, register).await?;
    delete::plan_delete(tx, &definition, &[id.as_uuid()]).await
}

/// Whether a link is made or taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkKind {
    Link,
    Unlink,
}

/// Makes one link or takes it away, and recomputes what depends on it. The row keeps its version.
pub(crate) async fn change_link(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
    name: &str,
    other: RowId,
    kind: LinkKind,
) -> Result<(), DataError> {
    let ids = [id.as_uuid()];
    let (definition, rows) = lock::register_and_rows(tx, register, Wanted::Ids(&ids)).await?;
    let row = the_row(register, id, rows, None)?;
    let tenant = register.tenant();
    let links: Vec<LinkChange> = match kind {
        LinkKind::Link => {
            link::link(tx, tenant, &definition, name, row.id, other.as_uuid()).await?
        }
        LinkKind::Unlink => {
            link::unlink(tx, tenant, &definition, name, row.id, other.as_uuid()).await?
        }
    };
    if links.is_empty() {
        return Ok(());
    }
    let changed = [ChangedRow {
        id: row.id,
        before: Some(row.cells.clone()),
        after: Some(row.cells),
        links,
        is_archive_change: false,
    }];
    let rows_max = register.data().recompute_rows_max();
    computed::after_write(tx, tenant, &definition, &changed, rows_max).await?;
    Ok(())
}
