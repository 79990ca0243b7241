// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Creates rows, from drafts to what stands in the tables.
//!
//! Everything that needs no database is checked first. Without numbered fields, the statement that writes
//! is also the one that holds the definition, so that a row costs one round trip beside those of its
//! transaction.
//!
//! Races that are closed here:
//! - **A definition that changed since the drafts were checked.** The insert writes nothing then (see
//!   `write`), and the drafts are checked by the newer one, which can change no more.
//! - **Rows with references of another system.** They are inserted in the order of those, so that two
//!   batches with the same ones wait for each other, and not in a circle.

use std::collections::BTreeMap;
use std::sync::Arc;

use forktex_db::Transaction;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cell::Cell;
use crate::computed::{self, Cells};
use crate::custom_type::TypeRegistry;
use crate::draft::Draft;
use crate::error::DataError;
use crate::keys::FieldKey;
use crate::limits::CREATE_ROWS_MAX;
use crate::register::{LoadedRegister, Register};
use crate::relations::link::{self, LinkWrite};
use crate::row::{Row, RowId};
use crate::rows::batch::{BatchError, RowFailure};
use crate::rows::dependents;
use crate::rows::lock::{self, StoredRow};
use crate::rows::number;
use crate::rows::read::{self, References};
use crate::rows::write::{self, Guard, Insertion, RowWrite, Target};
use crate::validate::{self, DraftMode, RowProblems};

/// Rows that are worked on before other futures have their turn.
pub(crate) const TURN_ROWS: usize = 64;

/// How often the drafts are checked at most: by the snapshot, and by the definition that is held.
const ROUNDS_MAX: usize = 3;

/// Rows that were created, in the order of their drafts.
pub(crate) struct Created {
    pub(crate) definition: Arc<LoadedRegister>,
    pub(crate) rows: Vec<CreatedRow>,
}

impl Created {
    /// As callers see them.
    fn into_rows(self) -> impl Iterator<Item = Row> {
        let definition = self.definition;
        let rows = self.rows.into_iter();
        rows.map(move |row| read::to_row(&definition, row.stored, &row.references))
    }
}

pub(crate) struct CreatedRow {
    pub(crate) stored: StoredRow,
    pub(crate) references: References,
}

/// A draft, and the id that its row is to have. Drafts are in the order of their ids.
#[derive(Clone, Copy)]
pub(crate) struct NewRow<'d> {
    pub(crate) id: RowId,
    pub(crate) draft: &'d Draft,
}

/// Rows that are checked and complete, with the statement that creates them.
pub(crate) struct Prepared {
    /// That of the definition by which they were checked.
    version: i64,
    writes: Vec<RowWrite>,
    insertion: Insertion,
}

/// What comes of making rows ready within the transaction.
enum Outcome {
    Ready(Box<Prepared>),
    /// The definition is another one by now. It is held.
    Newer(Register),
}

/// A row to be created, as its draft says.
struct Planned {
    id: Uuid,
    cells: Cells,
    external_ref: Option<String>,
    references: References,
}

impl Prepared {
    fn new(register: &Register, writes: Vec<RowWrite>, guard: Guard) -> Self {
        let definition = register.loaded();
        Self {
            version: definition.version,
            insertion: Insertion::new(target(register, definition), &writes, guard),
            writes,
        }
    }
}

/// Gives the row of each draft its id.
pub(crate) fn new_rows(drafts: &[Draft]) -> Vec<NewRow<'_>> {
    let ids = RowId::generate_many(OffsetDateTime::now_utc(), drafts.len());
    let rows = drafts.iter().zip(ids);
    rows.map(|(draft, id)| NewRow { id, draft }).collect()
}

/// Makes rows ready before there is a transaction for them: the server can work on others meanwhile.
/// Gives way to other futures every [`TURN_ROWS`] rows.
///
/// None where it cannot be done without the database: rows that are numbered, and drafts that are
/// refused, as only the definition that is held can refuse them for good.
pub(crate) async fn prepare(register: &Register, rows: &[NewRow<'_>]) -> Option<Prepared> {
    let definition = register.loaded();
    let is_numbered = !number::fields(definition).is_empty();
    if rows.is_empty() || rows.len() > CREATE_ROWS_MAX || is_numbered {
        return None;
    }
    let mut planned = Vec::with_capacity(rows.len());
    for rows in rows.chunks(TURN_ROWS) {
        planned.extend(plan(definition, rows, register.data().types()).ok()?);
        tokio::task::yield_now().await;
    }
    let writes = complete(definition, planned).ok()?;
    tokio::task::yield_now().await;
    Some(Prepared::new(register, writes, Guard::Check))
}

/// Creates a row of each draft, in one statement beside those for numbers, references and what depends on
/// the rows. What was prepared of these same rows is used, unless the definition is a newer one.
pub(crate) async fn create(
    tx: &mut Transaction,
    register: &Register,
    rows: &[NewRow<'_>],
    prepared: Option<Prepared>,
) -> Result<Created, BatchError> {
    if rows.len() > CREATE_ROWS_MAX {
        return Err(BatchError::Whole(DataError::LimitReached {
            what: "rows in one call",
            max: CREATE_ROWS_MAX,
        }));
    }
    let mut register = register.clone();
    let (mut guard, mut prepared) = (Guard::Check, prepared);
    for _ in 0..ROUNDS_MAX {
        let definition = Arc::clone(register.loaded());
        if rows.is_empty() {
            let rows = Vec::new();
            return Ok(Created { definition, rows });
        }
        let outcome = match prepared.take() {
            Some(ready) if ready.version == definition.version => Outcome::Ready(Box::new(ready)),
            _ => make_ready(tx, &register, rows, guard).await?,
        };
        let ready = match outcome {
            Outcome::Ready(ready) => *ready,
            Outcome::Newer(newer) => {
                register = newer;
                guard = Guard::Held;
                continue;
            }
        };
        let mut writes = ready.writes;
        let is_checked = ready.insertion.guard() == Guard::Check;
        let written = write::insert(tx, target(&register, &definition), ready.insertion).await?;
        if is_checked && written.version != Some(definition.version) {
            let current = lock::current(tx, &register, written.version).await?;
            register = hold(tx, &register, current).await?;
            guard = Guard::Held;
            continue;
        }
        // The ids ascend in the order of the drafts.
        writes.sort_unstable_by_key(id_of);
        if !written.duplicates.is_empty() {
            return Err(duplicates(&definition, &writes, &written.duplicates));
        }
        let links = links_of(&writes);
        let settled = dependents::settle(tx, &register, &mut writes, &links, false).await;
        settled.map_err(|error| blame(&writes, error))?;
        return Ok(Created {
            definition,
            rows: created(writes),
        });
    }
    let key = register.loaded().key;
    Err(DataError::corrupt("version of register", key).into())
}

/// Checks the drafts within the transaction, and takes the numbers of their rows.
async fn make_ready(
    tx: &mut Transaction,
    register: &Register,
    rows: &[NewRow<'_>],
    guard: Guard,
) -> Result<Outcome, BatchError> {
    let definition = register.loaded();
    let mut guard = guard;
    let mut planned = match plan(definition, rows, register.data().types()) {
        // What an old definition refuses, the present one may take.
        Err(refusal) if guard == Guard::Check => {
            let newer = newer(tx, register).await?;
            return newer.map(Outcome::Newer).ok_or(refusal);
        }
        planned => planned?,
    };
    let numbered = number::fields(definition);
    if !numbered.is_empty() {
        if guard == Guard::Check {
            if let Some(newer) = newer(tx, register).await? {
                return Ok(Outcome::Newer(newer));
            }
            guard = Guard::Held;
        }
        let first = number::take(tx, register.tenant(), &numbered, planned.len()).await?;
        for (place, row) in planned.iter_mut().enumerate() {
            number::fill(&mut row.cells, &first, place);
        }
    }
    let writes = complete(definition, planned)?;
    let ready = Prepared::new(register, writes, guard);
    Ok(Outcome::Ready(Box::new(ready)))
}

/// Holds the definition; gives the register with the one that holds, where that is another one.
async fn newer(tx: &mut Transaction, register: &Register) -> Result<Option<Register>, DataError> {
    let current = lock::register(tx, register).await?;
    if current.version == register.loaded().version {
        return Ok(None);
    }
    hold(tx, register, current).await.map(Some)
}

/// Under which definition the rows are written, and by whom.
fn target<'d>(register: &Register, definition: &'d LoadedRegister) -> Target<'d> {
    Target {
        tenant: register.tenant(),
        actor: register.actor(),
        register: definition,
    }
}

/// Names the first draft that refers to the row which is not there.
fn blame(writes: &[RowWrite], error: DataError) -> BatchError {
    let DataError::RowNotFound { id, .. } = &error else {
        return error.into();
    };
    let missing = id.as_uuid();
    let refers = |write: &RowWrite| write.references.values().flatten().any(|id| *id == missing);
    match writes.iter().position(refers) {
        Some(index) => BatchError::Rows(vec![RowFailure { index, error }]),
        None => error.into(),
    }
}

/// Creates a row of each draft, and gives them as callers see them.
pub(crate) async fn many(
    tx: &mut Transaction,
    register: &Register,
    drafts: &[Draft],
) -> Result<Vec<Row>, DataError> {
    let created = create(tx, register, &new_rows(drafts), None).await;
    let created = created.map_err(BatchError::into_data_error)?;
    Ok(created.into_rows().collect())
}

/// Creates one row, and gives it as callers see it.
pub(crate) async fn one(
    tx: &mut Transaction,
    register: &Register,
    draft: &Draft,
) -> Result<Row, DataError> {
    let rows = new_rows(std::slice::from_ref(draft));
    let created = create(tx, register, &rows, None).await;
    let created = created.map_err(BatchError::into_error_of_one)?;
    let row = created.into_rows().next();
    row.ok_or_else(|| DataError::corrupt("row", "that was created"))
}

/// Goes on with a newer definition, which may have more relationships whose other ends are to be held.
async fn hold(
    tx: &mut Transaction,
    register: &Register,
    current: Arc<LoadedRegister>,
) -> Result<Register, DataError> {
    let register = register.with_definition(current);
    let held = lock::register(tx, &register).await?;
    Ok(register.with_definition(held))
}

/// Checks every draft. All that is wrong is told at once.
fn plan(
    definition: &LoadedRegister,
    rows: &[NewRow<'_>],
    types: &TypeRegistry,
) -> Result<Vec<Planned>, BatchError> {
    let mut planned = Vec::with_capacity(rows.len());
    let mut failures = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let fields = &definition.fields;
        match validate::check_draft(fields, row.draft, DraftMode::Create, types) {
            Ok(checked) => planned.push(Planned {
                id: row.id.as_uuid(),
                cells: cells_of(definition, checked.cells),
                external_ref: checked.external_ref.flatten(),
                references: references_of(definition, checked.references),
            }),
            Err(problems) => failures.push(RowFailure {
                index,
                error: refused(definition, problems),
            }),
        }
    }
    if failures.is_empty() {
        Ok(planned)
    } else {
        Err(BatchError::Rows(failures))
    }
}

/// Computes the formulas, and makes whole rows in the order in which they are inserted.
fn complete(
    definition: &LoadedRegister,
    planned: Vec<Planned>,
) -> Result<Vec<RowWrite>, BatchError> {
    let own = computed::own_row(definition)?;
    let now = OffsetDateTime::now_utc();
    let mut failures = Vec::new();
    let mut writes = Vec::with_capacity(planned.len());
    for (index, mut row) in planned.into_iter().enumerate() {
        own.compute(&mut row.cells);
        if let Err(error) = check_size(definition, &row.cells) {
            failures.push(RowFailure { index, error });
        }
        writes.push(RowWrite {
            before: None,
            after: Some(StoredRow {
                id: row.id,
                version: 1,
                external_ref: row.external_ref,
                updated_at: RowId::from(row.id).created_at().unwrap_or(now),
                archived_at: None,
                cells: row.cells,
            }),
            references: row.references,
        });
    }
    if !failures.is_empty() {
        return Err(BatchError::Rows(failures));
    }
    writes.sort_by(|one, two| external_ref_of(one).cmp(&external_ref_of(two)));
    Ok(writes)
}

/// The cells of a draft by the keys of their fields.
pub(crate) fn cells_of(definition: &LoadedRegister, cells: Vec<(usize, Cell)>) -> Cells {
    cells
        .into_iter()
        .filter(|(_, cell)| *cell != Cell::Absent)
        .filter_map(|(index, cell)| Some((definition.fields.get(index)?.key, cell)))
        .collect()
}

/// The references of a draft by the keys of their relationships, each row once.
pub(crate) fn references_of(
    definition: &LoadedRegister,
    references: Vec<(usize, Vec<RowId>)>,
) -> References {
    references
        .into_iter()
        .filter_map(|(index, targets)| {
            let relationship = link::outgoing(definition, definition.fields.get(index)?)?;
            let mut targets: Vec<Uuid> = targets.iter().map(|id| id.as_uuid()).collect();
            targets.sort_unstable();
            targets.dedup();
            Some((relationship.key, targets))
        })
        .collect()
}

/// Refuses a row whose cells take too much room.
pub(crate) fn check_size(definition: &LoadedRegister, cells: &Cells) -> Result<(), DataError> {
    validate::check_row_bytes(cells).map_err(|problem| {
        let mut problems = RowProblems::default();
        problems.push("row", problem);
        refused(definition, problems)
    })
}

/// The error of a row that does not fit its register.
pub(crate) fn refused(definition: &LoadedRegister, problems: RowProblems) -> DataError {
    DataError::Row {
        register: definition.name.clone(),
        problems,
    }
}

/// The links that new rows need; they have none yet.
fn links_of(writes: &[RowWrite]) -> Vec<LinkWrite> {
    let mut links = Vec::new();
    for write in writes {
        for (relationship, targets) in &write.references {
            if !targets.is_empty() {
                links.push(LinkWrite {
                    relationship: *relationship,
                    row_id: id_of(write),
                    targets: targets.clone(),
                    is_new: true,
                });
            }
        }
    }
    links
}

/// Each row that wants a unique value which another one has, in the order of the drafts.
fn duplicates(
    definition: &LoadedRegister,
    writes: &[RowWrite],
    found: &[(FieldKey, Uuid)],
) -> BatchError {
    let mut first = BTreeMap::new();
    for (field, id) in found {
        first.entry(*id).or_insert(*field);
    }
    let failures = writes.iter().enumerate().filter_map(|(index, write)| {
        let field = first.get(&id_of(write))?;
        let error = write::duplicate(definition, *field);
        Some(RowFailure { index, error })
    });
    BatchError::Rows(failures.collect())
}

fn created(writes: Vec<RowWrite>) -> Vec<CreatedRow> {
    let rows = writes.into_iter();
    rows.filter_map(|write| {
        Some(CreatedRow {
            stored: write.after?,
            references: write.references,
        })
    })
    .collect()
}

fn id_of(write: &RowWrite) -> Uuid {
    write.after.as_ref().map_or(Uuid::nil(), |row| row.id)
}

fn external_ref_of(write: &RowWrite) -> Option<&str> {
    write.after.as_ref()?.external_ref.as_deref()
}
