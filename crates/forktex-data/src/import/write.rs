// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes a batch of rows by the one path that all rows take, and sorts out those that fail.
//!
//! A batch that fails is undone to its savepoint and written again without the rows that were named, so
//! that one bad row costs its batch one more try, and no row is written that was not wanted.

use forktex_db::Transaction;

use super::prepare::{Refusal, Refused, Row};
use super::quarantine::Kept;
use super::report::{ImportProblem, RowProblem, Tally};
use super::{IMPORT_FAILED_ROWS_MAX, ImportError, OnError, Run};
use crate::draft::Draft;
use crate::error::DataError;
use crate::rows::batch::{self, BatchError};
use crate::rows::create::{NewRow, Prepared};

/// A batch of records, with all that could be found out about them without the database.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) refused: Vec<Refused>,
    /// What creates all of the rows.
    pub(super) prepared: Option<Prepared>,
}

impl Batch {
    /// How many records it was.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is to be created of rows.
pub(super) fn new_rows(rows: &[Row]) -> Vec<NewRow<'_>> {
    let rows = rows.iter();
    rows.map(|row| NewRow {
        id: row.id,
        draft: &row.draft,
    })
    .collect()
}

/// Rows that were written.
#[derive(Default)]
struct Counts {
    created: u64,
    updated: u64,
}

impl Run<'_> {
    /// Writes what can be written of a batch.
    pub(super) async fn write_rows(
        &self,
        tx: &mut Transaction,
        rows: Vec<Row>,
        prepared: Option<Prepared>,
        tally: &mut Tally,
        kept: &mut Vec<Kept>,
    ) -> Result<(), DataError> {
        // Each turn writes its rows, takes at least one out of them, or cuts them in two. What was
        // prepared is for all of them, and so for the first turn alone.
        let (mut pending, mut prepared) = (vec![rows], prepared);
        while let Some(mut rows) = pending.pop() {
            if rows.is_empty() {
                continue;
            }
            let error = match self.attempt(tx, &rows, prepared.take()).await {
                Ok(counts) => {
                    tally.created += counts.created;
                    tally.updated += counts.updated;
                    continue;
                }
                Err(error) => error,
            };
            match blame(error, rows.len())? {
                Blame::Rows(errors) => {
                    pending.push(self.take_out(rows, errors, tally, kept)?);
                }
                Blame::Unknown => {
                    let second = rows.split_off(rows.len() / 2);
                    pending.push(second);
                    pending.push(rows);
                }
            }
        }
        Ok(())
    }

    /// Takes the rows that failed out of a batch, and gives the rest.
    fn take_out(
        &self,
        rows: Vec<Row>,
        errors: Vec<Option<DataError>>,
        tally: &mut Tally,
        kept: &mut Vec<Kept>,
    ) -> Result<Vec<Row>, DataError> {
        let mut rest = Vec::with_capacity(rows.len());
        for (row, error) in rows.into_iter().zip(errors) {
            let Some(error) = error else {
                rest.push(row);
                continue;
            };
            let refused = Refused {
                line: row.line,
                raw: row.raw,
                refusal: refusal_of(error),
            };
            self.refuse(refused, tally, kept)?;
        }
        Ok(rest)
    }

    /// Tries to write all of them, within a savepoint.
    async fn attempt(
        &self,
        tx: &mut Transaction,
        rows: &[Row],
        prepared: Option<Prepared>,
    ) -> Result<Counts, BatchError> {
        let (register, actor) = (self.register, self.actor);
        if self.is_matched {
            let drafts: Vec<(&str, &Draft)> = rows
                .iter()
                .map(|row| (row.external_ref.as_deref().unwrap_or_default(), &row.draft))
                .collect();
            let counts = tx
                .transaction(async |tx| batch::upsert(tx, register, actor, &drafts).await)
                .await?;
            return Ok(Counts {
                created: counts.created,
                updated: counts.updated,
            });
        }
        let rows = new_rows(rows);
        let ids = tx
            .transaction(async |tx| batch::create(tx, register, actor, &rows, prepared).await)
            .await?;
        Ok(Counts {
            created: ids.len() as u64,
            updated: 0,
        })
    }

    /// Reports a row that failed, or ends the import with it.
    pub(super) fn refuse(
        &self,
        refused: Refused,
        tally: &mut Tally,
        kept: &mut Vec<Kept>,
    ) -> Result<(), DataError> {
        let Refused { line, raw, refusal } = refused;
        if self.on_error == OnError::Stop {
            return Err(DataError::Import(match refusal {
                Refusal::Record(problem) => ImportError::Record { line, problem },
                Refusal::Row(problems) => ImportError::Row { line, problems },
                Refusal::Write(error) => ImportError::Refused {
                    line,
                    source: error.into(),
                },
            }));
        }
        let problems = problems_of(line, &refusal);
        tally.fail(&problems);
        if tally.failed > IMPORT_FAILED_ROWS_MAX {
            return Err(DataError::Import(ImportError::TooManyFailures {
                written: tally.standing(),
            }));
        }
        if self.on_error == OnError::Quarantine {
            kept.push(Kept::new(line, &raw, &problems));
        }
        Ok(())
    }
}

/// Whose fault it is that a batch was not written.
enum Blame {
    /// That of those rows that have an error here; at least one has.
    Rows(Vec<Option<DataError>>),
    /// That of a row, but it is not said of which.
    Unknown,
}

/// Finds the rows that are to blame for an error.
///
/// # Errors
/// When no row is: the database is away, or a limit of the whole was met.
fn blame(error: BatchError, count: usize) -> Result<Blame, DataError> {
    let failures = match error {
        BatchError::Rows(failures) => failures
            .into_iter()
            .map(|failure| (failure.index, failure.error))
            .collect(),
        BatchError::Whole(DataError::Draft { index, cause }) => vec![(index, *cause)],
        BatchError::Whole(error) if !is_of_a_row(&error) => return Err(error),
        BatchError::Whole(error) if count == 1 => vec![(0, error)],
        BatchError::Whole(_) => return Ok(Blame::Unknown),
    };
    let mut errors: Vec<Option<DataError>> = (0..count).map(|_| None).collect();
    for (index, error) in failures {
        if let Some(place) = errors.get_mut(index) {
            *place = Some(error);
        }
    }
    if errors.iter().all(Option::is_none) {
        return Err(DataError::corrupt("batch", "of an import"));
    }
    Ok(Blame::Rows(errors))
}

/// Whether an error is the fault of some row, such as a reference to one that is not there.
fn is_of_a_row(error: &DataError) -> bool {
    matches!(
        error,
        DataError::RowNotFound { .. }
            | DataError::Duplicate { .. }
            | DataError::Relation(_)
            | DataError::Row { .. }
            | DataError::LimitReached { .. }
    )
}

fn refusal_of(error: DataError) -> Refusal {
    match error {
        DataError::Row { problems, .. } => Refusal::Row(problems),
        other => Refusal::Write(Box::new(other)),
    }
}

fn problems_of(line: u64, refusal: &Refusal) -> Vec<ImportProblem> {
    let problem = |field: Option<&str>, problem| ImportProblem {
        line,
        field: field.map(str::to_owned),
        problem,
    };
    match refusal {
        Refusal::Record(found) => vec![problem(None, RowProblem::Record(found.clone()))],
        Refusal::Row(problems) => problems
            .iter()
            .map(|(field, found)| problem(Some(field), RowProblem::Cell(found.clone())))
            .collect(),
        Refusal::Write(error) => {
            let field = match &**error {
                DataError::Duplicate { field, .. } => Some(field.as_str()),
                _ => None,
            };
            let message = error.to_string();
            vec![problem(field, RowProblem::Refused { message })]
        }
    }
}
