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
use crate::rows::write::{self, Guard, RowWrite, Target};
use crate::validate::{self, DraftMode, RowProblems};

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

/// A row to be created, as its draft says.
struct Planned {
    id: Uuid,
    cells: Cells,
    external_ref: Option<String>,
    references: References,
}

/// Creates a row of each draft, in one statement beside those for numbers, references and what depends on
/// the rows.
pub(crate) async fn create(
    tx: &mut Transaction,
    register: &Register,
    drafts: &[Draft],
) -> Result<Created, BatchError> {
    if drafts.len() > CREATE_ROWS_MAX {
        return Err(BatchError::Whole(DataError::LimitReached {
            what: "rows in one call",
            max: CREATE_ROWS_MAX,
        }));
    }
    let mut register = register.clone();
    let mut guard = Guard::Check;
    for _ in 0..ROUNDS_MAX {
        let definition = Arc::clone(register.loaded());
        if drafts.is_empty() {
            let rows = Vec::new();
            return Ok(Created { definition, rows });
        }
        let now = OffsetDateTime::now_utc();
        let planned = plan(&definition, drafts, register.data().types(), now);
        let mut planned = match planned {
            // What an old definition refuses, the present one may take.
            Err(refusal) if guard == Guard::Check => {
                let current = lock::register(tx, &register).await?;
                if current.version == definition.version {
                    return Err(refusal);
                }
                guard = Guard::Held;
                register = hold(tx, &register, current).await?;
                continue;
            }
            planned => planned?,
        };
        let numbered = number::fields(&definition);
        if !numbered.is_empty() {
            if guard == Guard::Check {
                let current = lock::register(tx, &register).await?;
                guard = Guard::Held;
                if current.version != definition.version {
                    register = hold(tx, &register, current).await?;
                    continue;
                }
            }
            let first = number::take(tx, register.tenant(), &numbered, planned.len()).await?;
            for (place, row) in planned.iter_mut().enumerate() {
                number::fill(&mut row.cells, &first, place);
            }
        }
        let mut writes = complete(&definition, planned, now)?;
        let target = Target {
            tenant: register.tenant(),
            actor: register.actor(),
            register: &definition,
        };
        let written = write::insert(tx, target, &writes, guard).await?;
        if guard == Guard::Check && written.version != Some(definition.version) {
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
    let created = create(tx, register, drafts).await;
    let created = created.map_err(BatchError::into_data_error)?;
    Ok(created.into_rows().collect())
}

/// Creates one row, and gives it as callers see it.
pub(crate) async fn one(
    tx: &mut Transaction,
    register: &Register,
    draft: &Draft,
) -> Result<Row, DataError> {
    let created = create(tx, register, std::slice::from_ref(draft)).await;
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

/// Checks every draft, and gives each row its id. All that is wrong is told at once.
fn plan(
    definition: &LoadedRegister,
    drafts: &[Draft],
    types: &TypeRegistry,
    now: OffsetDateTime,
) -> Result<Vec<Planned>, BatchError> {
    let ids = RowId::generate_many(now, drafts.len());
    let mut planned = Vec::with_capacity(drafts.len());
    let mut failures = Vec::new();
    for (index, (draft, id)) in drafts.iter().zip(ids).enumerate() {
        let checked = validate::check_draft(&definition.fields, draft, DraftMode::Create, types);
        match checked {
            Ok(checked) => planned.push(Planned {
                id: id.as_uuid(),
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
    now: OffsetDateTime,
) -> Result<Vec<RowWrite>, BatchError> {
    let own = computed::own_row(definition)?;
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
