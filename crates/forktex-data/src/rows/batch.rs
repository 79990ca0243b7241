// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Many rows at once, for imports: what is wrong is told for each row, not for the first alone.
//!
//! After an error the caller rolls back, to a savepoint at least: part of the batch may have been
//! written.

use std::collections::{BTreeMap, BTreeSet};

use forktex_db::sqlx::Error;
use forktex_db::{DbError, Retryable, Transaction};
use uuid::Uuid;

use crate::draft::Draft;
use crate::error::DataError;
use crate::limits::CREATE_ROWS_MAX;
use crate::register::Register;
use crate::row::RowId;
use crate::rows::change::{self, Asked, ChangeKind};
use crate::rows::create::{self, NewRow, Prepared};
use crate::rows::lock::{self, StoredRow, Wanted};
use crate::rows::{read, upsert, write};

/// One row of a batch that cannot be written.
#[derive(Debug)]
pub(crate) struct RowFailure {
    /// Its place in the batch, from zero.
    pub(crate) index: usize,
    pub(crate) error: DataError,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum BatchError {
    /// These rows cannot be written; never empty.
    Rows(Vec<RowFailure>),
    /// The batch as a whole failed, or it cannot be said which row is the cause.
    Whole(DataError),
}

impl BatchError {
    /// The error of the first row that is wrong, with its place in the batch.
    pub(crate) fn into_data_error(self) -> DataError {
        match self {
            Self::Whole(error) => error,
            Self::Rows(failures) => match failures.into_iter().next() {
                Some(RowFailure { index, error }) => DataError::Draft {
                    index,
                    cause: Box::new(error),
                },
                None => DataError::corrupt("batch", "without a failure"),
            },
        }
    }

    /// The error of a batch of one row, which needs no place.
    pub(crate) fn into_error_of_one(self) -> DataError {
        match self.into_data_error() {
            DataError::Draft { cause, .. } => *cause,
            error => error,
        }
    }
}

impl From<DataError> for BatchError {
    fn from(error: DataError) -> Self {
        Self::Whole(error)
    }
}

impl From<DbError> for BatchError {
    fn from(error: DbError) -> Self {
        Self::Whole(error.into())
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        Self::Whole(error.into())
    }
}

impl Retryable for BatchError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Whole(error) if error.is_retryable())
    }
}

/// How many rows a batch has made and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchCounts {
    pub(crate) created: u64,
    /// Rows that were there already, also those that the batch left as they were.
    pub(crate) updated: u64,
}

/// Makes rows ready for [`create`], without I/O, while a batch before is being written; none where
/// [`create`] has to do it itself.
pub(crate) async fn prepare(
    register: &Register,
    actor: Option<Uuid>,
    rows: &[NewRow<'_>],
) -> Option<Prepared> {
    create::prepare(&acting(register, actor), rows).await
}

/// Creates rows; what [`prepare`] gave for these same rows and the same actor spares the making. Round
/// trips: one, and one more each for numbers, for references, and for what depends on the rows; not more
/// for more rows.
///
/// # Errors
/// [`BatchError`].
pub(crate) async fn create(
    tx: &mut Transaction,
    register: &Register,
    actor: Option<Uuid>,
    rows: &[NewRow<'_>],
    prepared: Option<Prepared>,
) -> Result<Vec<RowId>, BatchError> {
    let register = acting(register, actor);
    let created = create::create(tx, &register, rows, prepared).await?;
    let ids = created.rows.iter().map(|row| RowId::from(row.stored.id));
    Ok(ids.collect())
}

/// Creates rows, and patches those that another system's reference says are there already. A reference
/// that comes twice in a batch is a failure of the second row.
///
/// A race that is closed here: two batches that create a row of the same reference. The unique index lets
/// one of them through; the other one goes back to its savepoint, and finds the row when it looks again.
///
/// # Errors
/// [`BatchError`].
pub(crate) async fn upsert(
    tx: &mut Transaction,
    register: &Register,
    actor: Option<Uuid>,
    rows: &[(&str, &Draft)],
) -> Result<BatchCounts, BatchError> {
    check_batch(register, rows)?;
    let register = acting(register, actor);
    let mut attempt = 1;
    loop {
        let outcome = tx
            .transaction(async |tx| upsert_once(tx, &register, rows).await)
            .await;
        match outcome {
            Err(BatchError::Whole(error)) if upsert::may_try_again(&error, attempt) => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// The register, with the user who is noted in what is written.
fn acting(register: &Register, actor: Option<Uuid>) -> Register {
    actor.map_or_else(|| register.clone(), |user| register.acting_as(user))
}

/// Finds references that come twice, without I/O.
fn check_batch(register: &Register, rows: &[(&str, &Draft)]) -> Result<(), BatchError> {
    if rows.len() > CREATE_ROWS_MAX {
        return Err(BatchError::Whole(DataError::LimitReached {
            what: "rows in one call",
            max: CREATE_ROWS_MAX,
        }));
    }
    let mut seen = BTreeSet::new();
    let mut failures = Vec::new();
    for (index, (external_ref, _)) in rows.iter().enumerate() {
        if !seen.insert(*external_ref) {
            let error = write::duplicate_external_ref(register.name());
            failures.push(RowFailure { index, error });
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(BatchError::Rows(failures))
    }
}

async fn upsert_once(
    tx: &mut Transaction,
    register: &Register,
    rows: &[(&str, &Draft)],
) -> Result<BatchCounts, BatchError> {
    let references: Vec<String> = rows
        .iter()
        .map(|(reference, _)| (*reference).to_owned())
        .collect();
    let (definition, found) =
        lock::register_and_rows(tx, register, Wanted::ExternalRefs(&references)).await?;
    let register = register.with_definition(definition);
    let mut found: BTreeMap<String, StoredRow> = found
        .into_iter()
        .filter_map(|row| Some((row.external_ref.clone()?, row)))
        .collect();
    let ids: Vec<_> = found.values().map(|row| row.id).collect();
    let mut linked = read::references(tx, register.loaded(), &ids).await?;

    let mut changes = Vec::new();
    let (mut new, mut new_places) = (Vec::new(), Vec::new());
    for (index, (reference, draft)) in rows.iter().enumerate() {
        let draft = Draft::clone(draft).external_ref(*reference);
        if let Some(row) = found.remove(*reference) {
            let references = linked.remove(&row.id).unwrap_or_default();
            changes.push(Asked {
                index,
                row,
                references,
                kind: ChangeKind::Patch(draft),
            });
        } else {
            new.push(draft);
            new_places.push(index);
        }
    }
    let counts = BatchCounts {
        created: new.len() as u64,
        updated: changes.len() as u64,
    };
    change::apply(tx, &register, changes).await?;
    if !new.is_empty() {
        let created = create::create(tx, &register, &create::new_rows(&new), None).await;
        created.map_err(|error| at_places(error, &new_places))?;
    }
    Ok(counts)
}

/// Names the rows by their places in the whole batch.
fn at_places(error: BatchError, places: &[usize]) -> BatchError {
    match error {
        BatchError::Whole(error) => BatchError::Whole(error),
        BatchError::Rows(mut failures) => {
            for failure in &mut failures {
                failure.index = places.get(failure.index).copied().unwrap_or(failure.index);
            }
            BatchError::Rows(failures)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(index: usize) -> RowFailure {
        RowFailure {
            index,
            error: DataError::corrupt("row", index),
        }
    }

    #[test]
    fn failures_are_named_by_their_place_in_the_whole_batch() {
        let error = BatchError::Rows(vec![failure(0), failure(2)]);
        let BatchError::Rows(failures) = at_places(error, &[3, 5, 8]) else {
            panic!("the failures of rows stay failures of rows");
        };
        let places: Vec<_> = failures.iter().map(|failure| failure.index).collect();
        assert_eq!(places, [3, 8]);
    }

    #[test]
    fn one_row_alone_needs_no_place() {
        let alone = BatchError::Rows(vec![failure(0)]).into_error_of_one();
        assert!(matches!(alone, DataError::Corrupt { .. }));
        let several = BatchError::Rows(vec![failure(4)]).into_data_error();
        assert!(matches!(several, DataError::Draft { index: 4, .. }));
    }
}
