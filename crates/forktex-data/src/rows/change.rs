// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes rows that are there: patch, replace, archive, restore.
//!
//! The row is locked first and changed by what it is then, never by what a caller saw before; whoever
//! wants to be sure of that says which version it was. Races that are closed here:
//! - **Two patches of one row.** The second waits, and merges into what the first has made of it. With an
//!   expected version, it is refused instead.
//! - **Archiving and the unique values.** An archived row gives its values free in the statement that
//!   archives it. Restoring takes them back in the same way, and is refused if another row has one by
//!   then. A patch of an archived row takes none.
//! - **A deletion meanwhile.** It waits for the change, or the change finds no row.

use forktex_db::Transaction;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cell::Cell;
use crate::computed::{self, OwnRow};
use crate::custom_type::TypeRegistry;
use crate::draft::Draft;
use crate::error::DataError;
use crate::register::{LoadedRegister, Register};
use crate::relations::link::{self, LinkWrite};
use crate::row::{Row, RowId};
use crate::rows::batch::{BatchError, RowFailure};
use crate::rows::create::{check_size, references_of, refused};
use crate::rows::dependents;
use crate::rows::history::RowAction;
use crate::rows::lock::{self, StoredRow, Wanted};
use crate::rows::read::{self, References};
use crate::rows::write::{self, RowWrite, Target};
use crate::validate::{self, CheckedDraft, DraftMode};

/// What shall become of a row.
#[derive(Clone)]
pub(crate) enum ChangeKind {
    /// The cells and references of the draft are set; the others stay.
    Patch(Draft),
    /// The row becomes what the draft says. Numbers and the reference of another system stay.
    Replace(Draft),
    /// It is put aside.
    Archive,
    /// It is taken back.
    Restore,
}

impl ChangeKind {
    fn action(&self) -> RowAction {
        match self {
            Self::Patch(_) | Self::Replace(_) => RowAction::Updated,
            Self::Archive => RowAction::Archived,
            Self::Restore => RowAction::Restored,
        }
    }
}

/// A change of a row that is locked.
pub(crate) struct Asked {
    /// Its place in the batch.
    pub(crate) index: usize,
    pub(crate) row: StoredRow,
    /// What it refers to now.
    pub(crate) references: References,
    pub(crate) kind: ChangeKind,
}

/// A change that has been worked out.
struct Planned {
    write: RowWrite,
    links: Vec<LinkWrite>,
}

/// Changes one row, and gives it as it is then. Two round trips, one more where the register has
/// references, and those of what depends on the row.
pub(crate) async fn change(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
    kind: &ChangeKind,
    expected: Option<i64>,
) -> Result<Row, DataError> {
    let ids = [id.as_uuid()];
    let (definition, rows) = lock::register_and_rows(tx, register, Wanted::Ids(&ids)).await?;
    let register = register.with_definition(definition);
    let row = the_row(&register, id, rows, expected)?;
    let mut linked = read::references(tx, register.loaded(), &ids).await?;
    let asked = Asked {
        index: 0,
        references: linked.remove(&row.id).unwrap_or_default(),
        row,
        kind: kind.clone(),
    };
    change_locked(tx, &register, asked).await
}

/// Changes a row that is locked, under a definition that is held.
pub(crate) async fn change_locked(
    tx: &mut Transaction,
    register: &Register,
    asked: Asked,
) -> Result<Row, DataError> {
    let unchanged = (asked.row.clone(), asked.references.clone());
    let written = apply(tx, register, vec![asked]).await;
    let written = written.map_err(BatchError::into_error_of_one)?;
    let (stored, references) = written
        .into_iter()
        .find_map(|write| Some((write.after?, write.references)))
        .unwrap_or(unchanged);
    Ok(read::to_row(register.loaded(), stored, &references))
}

/// The row that was locked, if it is there and has the version that the caller knows.
pub(crate) fn the_row(
    register: &Register,
    id: RowId,
    rows: Vec<StoredRow>,
    expected: Option<i64>,
) -> Result<StoredRow, DataError> {
    let Some(row) = rows.into_iter().next() else {
        return Err(DataError::RowNotFound {
            register: register.name().to_owned(),
            id,
        });
    };
    match expected {
        Some(expected) if expected != row.version => Err(DataError::VersionConflict {
            register: register.name().to_owned(),
            id,
            expected,
            found: row.version,
        }),
        _ => Ok(row),
    }
}

/// Changes rows that are locked, all in the same way, and gives those that really changed. A row that is
/// already what it shall become is not written: it gets no new version.
pub(crate) async fn apply(
    tx: &mut Transaction,
    register: &Register,
    asked: Vec<Asked>,
) -> Result<Vec<RowWrite>, BatchError> {
    let Some(action) = asked.first().map(|first| first.kind.action()) else {
        return Ok(Vec::new());
    };
    let definition = register.loaded();
    let own = computed::own_row(definition)?;
    let now = now();
    let (mut writes, mut links, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut failures = Vec::new();
    for asked in asked {
        let index = asked.index;
        match plan(definition, register.data().types(), &own, asked, now) {
            Ok(Some(planned)) => {
                writes.push(planned.write);
                links.extend(planned.links);
                places.push(index);
            }
            Ok(None) => {}
            Err(error) => failures.push(RowFailure { index, error }),
        }
    }
    if !failures.is_empty() {
        return Err(BatchError::Rows(failures));
    }
    if writes.is_empty() {
        return Ok(writes);
    }
    let target = Target {
        tenant: register.tenant(),
        actor: register.actor(),
        register: definition,
    };
    let written = write::update(tx, target, &writes, action).await?;
    if !written.duplicates.is_empty() {
        let failures = written.duplicates.iter().filter_map(|(field, id)| {
            let place = writes.iter().position(|write| id_of(write) == Some(*id))?;
            Some(RowFailure {
                index: places.get(place).copied()?,
                error: write::duplicate(definition, *field),
            })
        });
        return Err(BatchError::Rows(failures.collect()));
    }
    let is_archive_change = matches!(action, RowAction::Archived | RowAction::Restored);
    dependents::settle(tx, register, &mut writes, &links, is_archive_change).await?;
    Ok(writes)
}

fn id_of(write: &RowWrite) -> Option<Uuid> {
    write.after.as_ref().map(|row| row.id)
}

/// Works out a change, without I/O; none where the row is already what it shall become.
fn plan(
    definition: &LoadedRegister,
    types: &TypeRegistry,
    own: &OwnRow<'_>,
    asked: Asked,
    now: OffsetDateTime,
) -> Result<Option<Planned>, DataError> {
    let mut after = asked.row.clone();
    let mut references = asked.references.clone();
    match &asked.kind {
        ChangeKind::Patch(draft) => {
            let checked = check(definition, draft, DraftMode::Patch, types)?;
            set(definition, &mut after, &mut references, checked);
        }
        ChangeKind::Replace(draft) => {
            let checked = check(definition, draft, DraftMode::Create, types)?;
            clear(definition, &mut after, &mut references);
            set(definition, &mut after, &mut references, checked);
        }
        ChangeKind::Archive => after.archived_at = after.archived_at.or(Some(now)),
        ChangeKind::Restore => after.archived_at = None,
    }
    own.compute(&mut after.cells);
    check_size(definition, &after.cells)?;
    let links = changed_links(after.id, &asked.references, &references);
    let before = asked.row;
    let is_same = links.is_empty()
        && after.cells == before.cells
        && after.external_ref == before.external_ref
        && after.archived_at == before.archived_at;
    if is_same {
        return Ok(None);
    }
    after.version = before.version.saturating_add(1);
    after.updated_at = now;
    Ok(Some(Planned {
        write: RowWrite {
            before: Some(before),
            after: Some(after),
            references,
        },
        links,
    }))
}

fn check(
    definition: &LoadedRegister,
    draft: &Draft,
    mode: DraftMode,
    types: &TypeRegistry,
) -> Result<CheckedDraft, DataError> {
    let checked = validate::check_draft(&definition.fields, draft, mode, types);
    checked.map_err(|problems| refused(definition, problems))
}

/// Empties what a draft may set, before it is replaced as a whole.
fn clear(definition: &LoadedRegister, row: &mut StoredRow, references: &mut References) {
    for field in &definition.fields {
        if let Some(relationship) = link::outgoing(definition, field) {
            references.remove(&relationship.key);
        } else if !field.definition.field_type.is_read_only() {
            row.cells.remove(&field.key);
        }
    }
}

/// Sets what the draft says.
fn set(
    definition: &LoadedRegister,
    row: &mut StoredRow,
    references: &mut References,
    checked: CheckedDraft,
) {
    for (index, cell) in checked.cells {
        let Some(field) = definition.fields.get(index) else {
            continue;
        };
        if cell == Cell::Absent {
            row.cells.remove(&field.key);
        } else {
            row.cells.insert(field.key, cell);
        }
    }
    references.extend(references_of(definition, checked.references));
    if let Some(external_ref) = checked.external_ref {
        row.external_ref = external_ref;
    }
}

/// The relationships whose set of targets is another one than before.
fn changed_links(row_id: Uuid, before: &References, after: &References) -> Vec<LinkWrite> {
    let nothing = Vec::new();
    let mut relationships: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    relationships.sort_unstable();
    relationships.dedup();
    relationships
        .into_iter()
        .filter_map(|relationship| {
            let targets = after.get(&relationship).unwrap_or(&nothing);
            let is_same = before.get(&relationship).unwrap_or(&nothing) == targets;
            (!is_same).then(|| LinkWrite {
                relationship,
                row_id,
                targets: targets.clone(),
                is_new: false,
            })
        })
        .collect()
}

/// The time, in the microseconds that are stored: a row that is returned is the row that is read.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    let microseconds = now.nanosecond() / 1_000 * 1_000;
    now.replace_nanosecond(microseconds).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::RelationshipKey;

    fn references(of: &[(i64, &[u128])]) -> References {
        of.iter()
            .map(|(key, ids)| {
                let ids = ids.iter().copied().map(Uuid::from_u128).collect();
                (RelationshipKey(*key), ids)
            })
            .collect()
    }

    #[test]
    fn only_sets_of_targets_that_differ_are_written() {
        let before = references(&[(1, &[1, 2]), (2, &[3]), (3, &[4])]);
        let after = references(&[(1, &[1, 2]), (2, &[]), (4, &[5])]);
        let links = changed_links(Uuid::nil(), &before, &after);
        let written: Vec<_> = links
            .iter()
            .map(|link| (link.relationship.0, link.targets.len()))
            .collect();
        assert_eq!(written, [(2, 0), (3, 0), (4, 1)]);
    }

    #[test]
    fn a_time_has_no_more_than_microseconds() {
        assert_eq!(now().nanosecond() % 1_000, 0);
    }
}
