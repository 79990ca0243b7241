// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What follows a write in the same transaction: its links, and the computed fields of other rows.
//!
//! It comes after the rows themselves, since a link needs both of its ends, and what is computed from
//! other rows needs the links.

use forktex_db::Transaction;

use crate::computed::{self, ChangedRow};
use crate::error::DataError;
use crate::register::Register;
use crate::relations::link::{self, LinkWrite};
use crate::rows::write::RowWrite;

/// Writes the links, recomputes what depends on the rows, and puts the cells that were recomputed into
/// the rows that are given. Costs nothing in a register without relationships.
pub(crate) async fn settle(
    tx: &mut Transaction,
    register: &Register,
    writes: &mut [RowWrite],
    links: &[LinkWrite],
    is_archive_change: bool,
) -> Result<(), DataError> {
    let definition = register.loaded();
    if definition.relationships.is_empty() || writes.is_empty() {
        return Ok(());
    }
    let tenant = register.tenant();
    let mut moved_links = if links.is_empty() {
        Vec::new()
    } else {
        link::write_links(tx, tenant, definition, links).await?
    };
    let changed: Vec<ChangedRow> = writes
        .iter()
        .filter_map(|write| {
            let known = write.after.as_ref().or(write.before.as_ref())?;
            Some(ChangedRow {
                id: known.id,
                before: write.before.as_ref().map(|row| row.cells.clone()),
                after: write.after.as_ref().map(|row| row.cells.clone()),
                // They name their rows themselves, so that one row may carry them all.
                links: std::mem::take(&mut moved_links),
                is_archive_change,
            })
        })
        .collect();
    let rows_max = register.data().recompute_rows_max();
    let mut fresh = computed::after_write(tx, tenant, definition, &changed, rows_max).await?;
    for row in writes.iter_mut().filter_map(|write| write.after.as_mut()) {
        if let Some(cells) = fresh.remove(&row.id) {
            row.cells = cells;
        }
    }
    Ok(())
}
