// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Creates a row, or patches the one that another system knows by the same reference.
//!
//! A race that is closed here: two upserts of a reference that is not there yet. Neither finds a row to
//! lock, and both insert one. The unique index makes the second wait; when the first has committed, the
//! second is undone as a whole, with the numbers that it took, so that they leave no gap, and begins
//! again: now it finds the row, locks it and patches it. A row that is deleted between two attempts is
//! created by the next one. After [`UPSERT_ATTEMPTS`] it gives up.

use forktex_db::Transaction;

use crate::draft::Draft;
use crate::error::DataError;
use crate::register::Register;
use crate::row::Row;
use crate::rows::change::{self, Asked, ChangeKind};
use crate::rows::lock::{self, Wanted};
use crate::rows::{create, read, write};

/// How often an upsert is tried at most.
pub(crate) const UPSERT_ATTEMPTS: u32 = 5;

/// A row that was upserted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Upserted {
    /// The row as it is now.
    pub row: Row,
    /// Whether it was created; else it was there, and was patched.
    pub created: bool,
}

/// One attempt. It fails with a duplicate of the reference where another transaction has just created
/// the row: the caller undoes it and tries again.
pub(crate) async fn upsert_once(
    tx: &mut Transaction,
    register: &Register,
    external_ref: &str,
    draft: &Draft,
) -> Result<Upserted, DataError> {
    // Also where it is patched: a draft cannot give the row to another reference on the way.
    let draft = draft.clone().external_ref(external_ref);
    let wanted = [external_ref.to_owned()];
    let (definition, found) =
        lock::register_and_rows(tx, register, Wanted::ExternalRefs(&wanted)).await?;
    let register = register.with_definition(definition);
    if let Some(row) = found.into_iter().next() {
        let mut linked = read::references(tx, register.loaded(), &[row.id]).await?;
        let asked = Asked {
            index: 0,
            references: linked.remove(&row.id).unwrap_or_default(),
            row,
            kind: ChangeKind::Patch(draft),
        };
        let row = change::change_locked(tx, &register, asked).await?;
        return Ok(Upserted {
            row,
            created: false,
        });
    }
    let row = create::one(tx, &register, &draft).await?;
    Ok(Upserted { row, created: true })
}

/// Whether an upsert that failed so is worth another attempt.
pub(crate) fn may_try_again(error: &DataError, attempt: u32) -> bool {
    attempt < UPSERT_ATTEMPTS && write::is_taken_external_ref(error)
}
