// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can be done with single rows, by where they come from. What a source cannot do is refused; nothing
//! is left out silently.

use std::collections::{BTreeSet, HashSet};

use forktex_db::Transaction;
use uuid::Uuid;

use super::row_not_found;
use crate::bound;
use crate::draft::Draft;
use crate::error::DataError;
use crate::limits::CREATE_ROWS_MAX;
use crate::register::{Register, Source};
use crate::relations::{DeletePlan, PlannedRows};
use crate::row::{Row, RowId};
use crate::rows::change::{self, ChangeKind};
use crate::rows::{create, delete, read};
use crate::virtual_register::execute;

/// Creates a row, in a transaction of its own.
pub(super) async fn create(register: &Register, draft: &Draft) -> Result<Row, DataError> {
    match register.source() {
        Source::Virtual(source) => execute::create(register, source, draft).await,
        Source::Stored => {
            register
                .writing()
                .transaction(async |tx| create::one(tx, register, draft).await)
                .await
        }
        Source::Bound(_) => Err(unsupported(register, "create rows")),
    }
}

/// The rows of these ids that are there, in the order of the ids.
pub(super) async fn find_many(register: &Register, ids: &[RowId]) -> Result<Vec<Row>, DataError> {
    if let Source::Virtual(source) = register.source() {
        return execute::get_many(register, source, ids).await;
    }
    register
        .reading()
        .transaction(async |tx| find_many_in(tx, register, ids).await)
        .await
}

/// As [`find_many`], in a transaction of the caller's.
pub(super) async fn find_many_in(
    tx: &mut Transaction,
    register: &Register,
    ids: &[RowId],
) -> Result<Vec<Row>, DataError> {
    match register.source() {
        Source::Stored => {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
            read::by_ids(tx, register, &ids).await
        }
        Source::Bound(bound) => bound::rows::get_many(tx, register, bound, ids).await,
        Source::Virtual(source) => execute::get_many(register, source, ids).await,
    }
}

/// Changes a row, in a transaction of its own.
pub(super) async fn change(
    register: &Register,
    id: RowId,
    kind: &ChangeKind,
    expected: Option<i64>,
) -> Result<Row, DataError> {
    if let Source::Virtual(source) = register.source() {
        return match kind {
            ChangeKind::Patch(draft) if expected.is_none() => {
                execute::patch(register, source, id, draft).await
            }
            kind => Err(unsupported_change(register, kind)),
        };
    }
    register
        .writing()
        .transaction(async |tx| change_in(tx, register, id, kind, expected).await)
        .await
}

/// Changes a row, in a transaction of the caller's.
pub(super) async fn change_in(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
    kind: &ChangeKind,
    expected: Option<i64>,
) -> Result<Row, DataError> {
    match (register.source(), kind) {
        (Source::Stored, kind) => change::change(tx, register, id, kind, expected).await,
        (Source::Bound(bound), ChangeKind::Patch(draft)) if expected.is_none() => {
            bound::rows::patch(tx, register, bound, id, draft).await
        }
        (_, kind) => Err(unsupported_change(register, kind)),
    }
}

/// Deletes a row, in a transaction of its own.
pub(super) async fn delete(
    register: &Register,
    id: RowId,
    expected: Option<i64>,
) -> Result<DeletePlan, DataError> {
    match register.source() {
        Source::Virtual(source) if expected.is_none() => {
            execute::delete(register, source, id).await?;
            Ok(DeletePlan {
                deleted: vec![PlannedRows {
                    register: register.name().to_owned(),
                    rows: 1,
                }],
                ..DeletePlan::default()
            })
        }
        Source::Stored => {
            register
                .writing()
                .transaction(async |tx| delete::delete(tx, register, id, expected).await)
                .await
        }
        _ => Err(unsupported(register, "delete rows")),
    }
}

/// The ids without those that come again.
pub(super) fn distinct(ids: &[RowId]) -> Result<Vec<RowId>, DataError> {
    if ids.len() > CREATE_ROWS_MAX {
        return Err(DataError::LimitReached {
            what: "rows in one call",
            max: CREATE_ROWS_MAX,
        });
    }
    let mut seen = HashSet::with_capacity(ids.len());
    Ok(ids.iter().copied().filter(|id| seen.insert(*id)).collect())
}

/// The rows, if each of the ids has one.
pub(super) fn require_all(
    register: &Register,
    ids: &[RowId],
    found: Vec<Row>,
) -> Result<Vec<Row>, DataError> {
    if found.len() < ids.len() {
        let known: BTreeSet<RowId> = found.iter().map(|row| row.id).collect();
        if let Some(missing) = ids.iter().find(|id| !known.contains(*id)) {
            return Err(row_not_found(register, *missing));
        }
    }
    Ok(found)
}

fn unsupported_change(register: &Register, kind: &ChangeKind) -> DataError {
    let what = match kind {
        ChangeKind::Patch(_) => "patch rows of an expected version, or in a transaction,",
        ChangeKind::Replace(_) => "replace rows",
        ChangeKind::Archive => "archive rows",
        ChangeKind::Restore => "restore rows",
    };
    unsupported(register, what)
}

fn unsupported(register: &Register, what: &'static str) -> DataError {
    DataError::Unsupported {
        register: register.name().to_owned(),
        what: what.into(),
        source_kind: register.source().kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_twice_is_asked_for_once() {
        let ids = [1, 2, 1].map(|number| RowId::from(Uuid::from_u128(number)));
        assert_eq!(distinct(&ids).unwrap(), &ids[..2]);
        let many = vec![ids[0]; CREATE_ROWS_MAX + 1];
        assert!(matches!(
            distinct(&many),
            Err(DataError::LimitReached { .. })
        ));
    }
}
