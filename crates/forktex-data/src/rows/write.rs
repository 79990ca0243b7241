// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one path by which rows are written: a row, its entries in the indexes, its unique values and its
//! history in one statement, so that none is ever there without the others.
//!
//! It decides nothing about a row: what is written was checked before, on a definition that the
//! transaction holds (see `lock`).
//!
//! Races that are closed here:
//! - **A new row by an old definition.** An insert takes the lock on the register in its own statement
//!   and writes only if the version is the one that the row was checked by. Else nothing is written, and
//!   the caller begins again with the definition that holds by then.
//! - **Two rows that want the same unique value.** The primary key of `unique_value` makes the second
//!   wait for the first. If that one commits, the second gets no value, which is found in the answer of
//!   the statement, with the field; if it is rolled back, the second gets it. Values are taken in one
//!   order, so that two writes never wait in a circle.
//! - **An index that is being built.** A build locks the rows of its batch in the statement that puts
//!   their entries in. So it either sees what a write committed, or the write waits and sees the entries.

mod sql;

use forktex_db::sqlx::{Error, Row as _};
use forktex_db::{DbError, Transaction};
use uuid::Uuid;

use crate::computed::Cells;
use crate::error::DataError;
use crate::keys::FieldKey;
use crate::register::{Field, LoadedRegister};
use crate::rows::entries::{Moves, Side};
use crate::rows::history::{self, RowAction};
use crate::rows::lock::StoredRow;
use crate::rows::read::References;
use crate::rows::statement::Statement;
use crate::search::{self, SearchEntry};

/// Under which definition is written, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) tenant: Uuid,
    pub(crate) actor: Option<Uuid>,
    pub(crate) register: &'a LoadedRegister,
}

/// A row that is created, changed or deleted.
pub(crate) struct RowWrite {
    /// The row as it is locked; none if it is created.
    pub(crate) before: Option<StoredRow>,
    /// The row as it shall be; none if it is deleted.
    pub(crate) after: Option<StoredRow>,
    /// What it refers to afterwards, for the history.
    pub(crate) references: References,
}

/// A row whose computed or converted cells are written anew.
pub(crate) struct CellRewrite {
    pub(crate) id: Uuid,
    pub(crate) is_archived: bool,
    /// The cells as they are locked.
    pub(crate) before: Cells,
    pub(crate) after: Cells,
}

/// Whether an insert must first find that the definition is the one that it goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The transaction holds the register already.
    Held,
    /// The statement takes the lock, and compares the version.
    Check,
}

/// What became of a statement.
pub(crate) struct Written {
    /// The version of the register, where the statement checked it; none where it is gone.
    pub(crate) version: Option<i64>,
    /// The unique values that other rows have, by field and row. If there are any, the caller must roll
    /// back: the rest has been written.
    pub(crate) duplicates: Vec<(FieldKey, Uuid)>,
}

/// What creates rows: a statement with all that it needs, and the words that are kept behind it.
pub(crate) struct Insertion {
    statement: Statement,
    words: Vec<SearchEntry>,
    guard: Guard,
}

impl Insertion {
    /// Pure: it may be made long before it is run.
    pub(crate) fn new(target: Target<'_>, rows: &[RowWrite], guard: Guard) -> Self {
        let mut moves = moves_of(target.register, rows);
        Self {
            statement: sql::insert(target, rows, &moves, guard),
            words: std::mem::take(&mut moves.search_new),
            guard,
        }
    }

    /// Whether the statement compares the version of the register.
    pub(crate) fn guard(&self) -> Guard {
        self.guard
    }
}

/// Creates rows, for the target that the insertion was made for. One round trip, and up to three more
/// where the register can be searched.
pub(crate) async fn insert(
    tx: &mut Transaction,
    target: Target<'_>,
    insertion: Insertion,
) -> Result<Written, DataError> {
    let Insertion {
        statement,
        words,
        guard,
    } = insertion;
    let written = run(tx, target, statement).await?;
    let is_written = guard == Guard::Held || written.version == Some(target.register.version);
    if is_written && written.duplicates.is_empty() && !words.is_empty() {
        search::write_entries(tx, target.tenant, target.register.key, &words).await?;
    }
    Ok(written)
}

/// Changes rows that are locked. One round trip, and up to three more where a text that can be searched
/// has changed.
pub(crate) async fn update(
    tx: &mut Transaction,
    target: Target<'_>,
    rows: &[RowWrite],
    action: RowAction,
) -> Result<Written, DataError> {
    let moves = moves_of(target.register, rows);
    let statement = sql::update(target, rows, &moves, action);
    let written = run(tx, target, statement).await?;
    if written.duplicates.is_empty() {
        write_search(tx, target, &moves).await?;
    }
    Ok(written)
}

/// Deletes rows that are locked `FOR UPDATE` and have no links any more, with all their entries. One
/// round trip, and one more where the register can be searched.
///
/// # Errors
/// [`DataError::Db`] when the database refuses.
pub(crate) async fn remove(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    actor: Option<Uuid>,
    rows: &[StoredRow],
) -> Result<(), DataError> {
    if rows.is_empty() {
        return Ok(());
    }
    let target = Target {
        tenant,
        actor,
        register,
    };
    let mut moves = Moves::default();
    for row in rows {
        moves.add(row.id, Some(side(register, row)), None);
    }
    let moves = moves.finish();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let statement = sql::delete(target, ids, &moves);
    run(tx, target, statement).await?;
    write_search(tx, target, &moves).await
}

/// Writes cells of rows that are locked, and moves their entries. Version, time of change and history
/// stay as they are: what is computed from other cells is no change of the row by anybody. Cells under
/// keys that the definition does not know stay too. One round trip, and up to three more where the
/// register can be searched.
///
/// # Errors
/// [`DataError::Duplicate`] when a unique field would hold a value twice.
pub(crate) async fn rewrite_cells(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    rows: &[CellRewrite],
) -> Result<(), DataError> {
    rewrite_cells_between(tx, tenant, register, register, rows).await
}

/// As [`rewrite_cells`], where the cells before were written by another definition than those after.
///
/// # Errors
/// As [`rewrite_cells`].
pub(crate) async fn rewrite_cells_between(
    tx: &mut Transaction,
    tenant: Uuid,
    before: &LoadedRegister,
    after: &LoadedRegister,
    rows: &[CellRewrite],
) -> Result<(), DataError> {
    if rows.is_empty() {
        return Ok(());
    }
    let target = Target {
        tenant,
        actor: None,
        register: after,
    };
    let mut moves = Moves::default();
    for row in rows {
        let side_of = |register, cells| {
            Some(Side {
                register,
                cells,
                is_archived: row.is_archived,
            })
        };
        moves.add(
            row.id,
            side_of(before, &row.before),
            side_of(after, &row.after),
        );
    }
    let moves = moves.finish();
    let statement = sql::rewrite(target, rows, &moves);
    let written = run(tx, target, statement).await?;
    if let Some((field, _)) = written.duplicates.first() {
        return Err(duplicate(after, *field));
    }
    write_search(tx, target, &moves).await
}

/// The error of a unique value that another row has.
pub(crate) fn duplicate(register: &LoadedRegister, field: FieldKey) -> DataError {
    let name = register.field_by_key(field).map(Field::name);
    DataError::Duplicate {
        register: register.name.clone(),
        field: name.unwrap_or_default().to_owned(),
    }
}

/// The error of a reference of another system that another row has.
pub(crate) fn duplicate_external_ref(register: &str) -> DataError {
    DataError::Duplicate {
        register: register.to_owned(),
        field: EXTERNAL_REF.to_owned(),
    }
}

/// Whether a row could not be created because another one has its external reference.
pub(crate) fn is_taken_external_ref(error: &DataError) -> bool {
    matches!(error, DataError::Duplicate { field, .. } if field == EXTERNAL_REF)
}

/// The name of the reference of another system, as errors and drafts have it.
const EXTERNAL_REF: &str = "external_ref";

/// The index that keeps it unique.
const EXTERNAL_REF_INDEX: &str = "row_external_ref";

fn moves_of(register: &LoadedRegister, rows: &[RowWrite]) -> Moves {
    let mut moves = Moves::default();
    for row in rows {
        let before = row.before.as_ref().map(|row| side(register, row));
        let after = row.after.as_ref().map(|row| side(register, row));
        if let Some(known) = row.after.as_ref().or(row.before.as_ref()) {
            moves.add(known.id, before, after);
        }
    }
    moves.finish()
}

fn side<'a>(register: &'a LoadedRegister, row: &'a StoredRow) -> Side<'a> {
    Side {
        register,
        cells: &row.cells,
        is_archived: row.is_archived(),
    }
}

/// Runs a statement of `sql`, which answers with the version that it checked, then the duplicates.
async fn run(
    tx: &mut Transaction,
    target: Target<'_>,
    statement: Statement,
) -> Result<Written, DataError> {
    let answer = statement.query()?.fetch_all(tx.connection()).await;
    let answer = answer.map_err(|error| write_error(target.register, error))?;
    let mut written = Written {
        version: None,
        duplicates: Vec::new(),
    };
    for row in &answer {
        if let Some(version) = row.try_get::<Option<i64>, _>("version")? {
            written.version = Some(version);
        }
        if let Some(field) = row.try_get::<Option<i64>, _>("field_key")? {
            written
                .duplicates
                .push((FieldKey(field), row.try_get("row_id")?));
        }
    }
    Ok(written)
}

/// Names the reference of another system where it is the cause.
fn write_error(register: &LoadedRegister, error: Error) -> DataError {
    match DbError::from(error) {
        DbError::AlreadyExists {
            constraint: Some(constraint),
        } if constraint == EXTERNAL_REF_INDEX => duplicate_external_ref(&register.name),
        error => error.into(),
    }
}

/// The words of a row are kept by `search`, after the row itself: a row that is found by a word is there.
async fn write_search(
    tx: &mut Transaction,
    target: Target<'_>,
    moves: &Moves,
) -> Result<(), DataError> {
    if !moves.search_gone.is_empty() {
        search::remove_entries(tx, target.register.key, &moves.search_gone).await?;
    }
    if !moves.search_new.is_empty() {
        search::write_entries(tx, target.tenant, target.register.key, &moves.search_new).await?;
    }
    Ok(())
}

/// The fields whose cells in the history hold what a row refers to, where the register keeps one.
fn history_references(register: &LoadedRegister, rows: &[RowWrite]) -> Option<Vec<String>> {
    if !register.keeps_history || !history::has_references(register) {
        return None;
    }
    let references = rows
        .iter()
        .map(|row| history::references_json(register, &row.references).to_string());
    Some(references.collect())
}
