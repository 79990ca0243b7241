// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fields that are computed: formulas over their own row, look-ups and rollups over related rows.
//!
//! Their values are stored with the row, so that they are read, compared and indexed as any other; a query
//! that does not ask for them pays nothing. They are brought up to date in the transaction that changes
//! what they are made of, up to a bound; beyond it the field is queued, and readers are told that it is
//! stale. No value is ever stale in silence.
//!
//! Bringing a computed value up to date raises no version of a row and leaves no trace in its history:
//! nobody changed that row.

pub(crate) mod after_write;
pub(crate) mod graph;
mod lookup;
mod own_row;
mod queue;
pub(crate) mod recompute;
mod refresh;
mod rollup;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::cell::Cell;
use crate::keys::{FieldKey, RegisterKey, RelationshipKey};
use crate::register::LoadedRegister;

pub(crate) use after_write::after_write;
pub(crate) use own_row::{OwnRow, own_row};

/// How many computed fields may depend on each other in a row: a formula on a look-up on a rollup is a
/// chain of three.
pub const COMPUTED_DEPTH_MAX: usize = 32;

/// The cells of one row in memory. A key that is missing is [`Cell::Absent`].
pub(crate) type Cells = BTreeMap<FieldKey, Cell>;

/// A row that was written, so that what is computed from it must follow.
#[derive(Clone, Debug)]
pub(crate) struct ChangedRow {
    pub(crate) id: Uuid,
    /// Its cells before; none if it was created.
    pub(crate) before: Option<Cells>,
    /// Its cells after; none if it was deleted.
    pub(crate) after: Option<Cells>,
    /// The links that were added or taken out, of this row or of any other.
    pub(crate) links: Vec<LinkChange>,
    /// Whether it was archived or restored: rollups leave archived rows out.
    pub(crate) is_archive_change: bool,
}

impl ChangedRow {
    /// No row of its own, but links that were added or taken out.
    pub(crate) fn of_links(links: Vec<LinkChange>) -> Self {
        Self {
            id: Uuid::nil(),
            before: None,
            after: None,
            links,
            is_archive_change: false,
        }
    }

    /// The fields whose values differ. A row that was created or deleted is reached by its links alone,
    /// and says so through them.
    fn changed_fields(&self) -> Vec<FieldKey> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Vec::new();
        };
        differing(before, after)
    }
}

/// A link that was added or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkChange {
    pub(crate) relationship: RelationshipKey,
    pub(crate) source: Uuid,
    pub(crate) target: Uuid,
}

/// The registers whose definitions a write must hold: its own, and those at the other ends of its
/// relationships, so that no look-up or rollup that is being added misses the write. In the order in which
/// they are locked.
pub(crate) fn registers_to_lock(register: &LoadedRegister) -> Vec<RegisterKey> {
    let ends = register
        .relationships
        .iter()
        .flat_map(|relationship| [relationship.source, relationship.target]);
    let keys: BTreeSet<RegisterKey> = ends.chain([register.key]).collect();
    keys.into_iter().collect()
}

/// The fields whose cells differ.
fn differing(before: &Cells, after: &Cells) -> Vec<FieldKey> {
    let keys: BTreeSet<FieldKey> = before.keys().chain(after.keys()).copied().collect();
    let cell = |cells: &Cells, key: &FieldKey| cells.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .filter(|key| cell(before, key) != cell(after, key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn cells_differ_by_value_and_by_state() {
        let cells = |of: &[(i64, Cell)]| -> Cells {
            let pairs = of.iter().cloned();
            pairs.map(|(key, cell)| (FieldKey(key), cell)).collect()
        };
        let before = cells(&[
            (1, Value::from("a").into()),
            (2, Cell::Null),
            (3, Value::from(1).into()),
            (5, Cell::Absent),
        ]);
        let after = cells(&[
            (1, Value::from("a").into()),
            (3, Value::from(2).into()),
            (4, Cell::Null),
        ]);
        assert_eq!(
            differing(&before, &after),
            [FieldKey(2), FieldKey(3), FieldKey(4)]
        );
    }

    #[test]
    fn a_created_row_has_no_changed_fields() {
        let row = ChangedRow {
            after: Some(Cells::from([(FieldKey(1), Cell::Null)])),
            ..ChangedRow::of_links(Vec::new())
        };
        assert!(row.changed_fields().is_empty());
    }
}
