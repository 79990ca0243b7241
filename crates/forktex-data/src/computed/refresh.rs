// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Brings computed fields of some rows of one register up to date: look-ups and rollups from other rows,
//! then the formulas of the row. It follows nothing further; it tells what it changed.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::after_write::{Affected, Change, Follower};
use super::lookup::{self, Found};
use super::own_row::{self, OwnRow};
use super::rule::Rule;
use super::{differing, rollup};
use crate::error::DataError;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::LoadedRegister;
use crate::rows::lock::{self, StoredRow};
use crate::rows::write::{self, CellRewrite};

/// Rows that are brought up to date together.
const ROWS_PER_STATEMENT: usize = 1_000;

impl Follower<'_> {
    /// Brings the fields of the rows up to date, and tells what changed. Three round trips for each
    /// thousand rows, and one for each relationship that is read.
    pub(super) async fn refresh(
        &mut self,
        key: RegisterKey,
        affected: &Affected,
    ) -> Result<Change, DataError> {
        let register = self.register(key).await?;
        let own = own_row::own_row(&register)?;
        let mut change = Change::default();
        let ids: Vec<Uuid> = affected.keys().copied().collect();
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            let fields: BTreeSet<FieldKey> = ids
                .iter()
                .filter_map(|id| affected.get(id))
                .flatten()
                .copied()
                .collect();
            // Locked first, read after: what a transaction before this one wrote is then seen.
            let rows = lock::rows(self.tx, &register, ids).await?;
            let found = self.read(&register, &fields, &rows).await?;
            let rewrites = recomputed(&register, &own, &fields, rows, found);
            write::rewrite_cells(self.tx, self.tenant, &register, &rewrites).await?;
            for rewrite in rewrites {
                for field in differing(&rewrite.before, &rewrite.after) {
                    change.values.entry(field).or_default().insert(rewrite.id);
                }
                if key == self.origin {
                    self.rewritten.insert(rewrite.id, rewrite.after);
                }
            }
        }
        Ok(change)
    }

    /// What the look-ups and rollups among the fields find for the rows. One round trip for each
    /// relationship that they go by, and kind.
    async fn read(
        &mut self,
        register: &LoadedRegister,
        fields: &BTreeSet<FieldKey>,
        rows: &[StoredRow],
    ) -> Result<Found, DataError> {
        let rules: Vec<Rule<'_>> = register
            .fields
            .iter()
            .filter(|field| fields.contains(&field.key))
            .filter_map(|field| Rule::of(register, field))
            .collect();
        let mut groups: BTreeMap<_, Vec<&Rule<'_>>> = BTreeMap::new();
        for rule in &rules {
            groups.entry(rule.group()).or_default().push(rule);
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let mut found = Found::new();
        for ((.., is_rollup), rules) in &groups {
            let Some(rule) = rules.first() else {
                continue;
            };
            let other = self.register(rule.path.other()).await?;
            if *is_rollup {
                rollup::read(self.tx, rules, &other, &ids, &mut found).await?;
            } else {
                lookup::read(self.tx, rules, &other, &ids, &mut found).await?;
            }
        }
        Ok(found)
    }
}

/// The rows whose cells differ once they are computed anew. Pure.
fn recomputed(
    register: &LoadedRegister,
    own: &OwnRow<'_>,
    fields: &BTreeSet<FieldKey>,
    rows: Vec<StoredRow>,
    mut found: Found,
) -> Vec<CellRewrite> {
    let mut rewrites = Vec::new();
    for row in rows {
        let mut values = found.remove(&row.id).unwrap_or_default();
        let mut after = row.cells.clone();
        for field in register
            .fields
            .iter()
            .filter(|field| fields.contains(&field.key))
        {
            // A formula is none of these; it is computed with all others below.
            let Some((key, without_related)) = own_row::without_related(field) else {
                continue;
            };
            let cell = match values.remove(&key) {
                Some(value) => own_row::fitting(field, Some(value)),
                None => without_related,
            };
            after.insert(key, cell);
        }
        own.compute(&mut after);
        if !differing(&row.cells, &after).is_empty() {
            rewrites.push(CellRewrite {
                id: row.id,
                is_archived: row.is_archived(),
                before: row.cells,
                after,
            });
        }
    }
    rewrites
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::cell::Cell;
    use crate::computed::Cells;
    use crate::field::FieldDefinition;
    use crate::field_type::Rollup;
    use crate::register::{BuildState, Field};
    use crate::value::{Value, ValueKind};

    fn register() -> LoadedRegister {
        let sum = Rollup::Sum("amount".to_owned());
        let definitions = [
            (
                FieldDefinition::rollup("total", "lines", sum),
                ValueKind::Integer,
            ),
            (
                FieldDefinition::formula("is_large", "total > 10"),
                ValueKind::Boolean,
            ),
        ];
        let fields = definitions
            .into_iter()
            .zip(1..)
            .map(|((definition, kind), key)| Field {
                key: FieldKey(key),
                definition,
                kind,
                index: BuildState::None,
                unique_state: BuildState::None,
                search: BuildState::None,
            });
        LoadedRegister {
            key: RegisterKey(1),
            name: "invoices".to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields: fields.collect(),
            relationships: Vec::new(),
        }
    }

    fn stored(number: u128, total: i64, is_large: bool) -> StoredRow {
        StoredRow {
            id: Uuid::from_u128(number),
            version: 1,
            external_ref: None,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            archived_at: None,
            cells: Cells::from([
                (FieldKey(1), Cell::from(Value::from(total))),
                (FieldKey(2), Cell::from(Value::from(is_large))),
            ]),
        }
    }

    #[test]
    fn only_rows_that_differ_are_written() {
        let register = register();
        let own = own_row::own_row(&register).unwrap();
        let found = Found::from([
            (
                Uuid::from_u128(1),
                BTreeMap::from([(FieldKey(1), Value::from(20))]),
            ),
            (
                Uuid::from_u128(2),
                BTreeMap::from([(FieldKey(1), Value::from(5))]),
            ),
        ]);
        let rows = vec![
            stored(1, 5, false),
            stored(2, 5, false),
            stored(3, 5, false),
        ];
        let fields = BTreeSet::from([FieldKey(1)]);
        let rewrites = recomputed(&register, &own, &fields, rows, found);
        let ids: Vec<u128> = rewrites
            .iter()
            .map(|rewrite| rewrite.id.as_u128())
            .collect();
        // The second has the same sum; the third has no related rows any more.
        assert_eq!(ids, [1, 3]);
        let cells: Vec<_> = rewrites.iter().map(|rewrite| &rewrite.after).collect();
        assert_eq!(cells[0].get(&FieldKey(2)), Some(&Value::from(true).into()));
        assert_eq!(cells[1].get(&FieldKey(1)), Some(&Cell::Null));
        assert_eq!(cells[1].get(&FieldKey(2)), Some(&Value::from(false).into()));
    }

    #[test]
    fn a_formula_alone_leaves_what_is_looked_up() {
        let register = register();
        let own = own_row::own_row(&register).unwrap();
        let fields = BTreeSet::from([FieldKey(2)]);
        let rewrites = recomputed(
            &register,
            &own,
            &fields,
            vec![stored(1, 20, false)],
            Found::new(),
        );
        let after = &rewrites[0].after;
        assert_eq!(after.get(&FieldKey(1)), Some(&Value::from(20).into()));
        assert_eq!(after.get(&FieldKey(2)), Some(&Value::from(true).into()));
    }
}
