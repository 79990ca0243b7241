// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a write changes in the side tables, worked out from the cells before and after, without I/O.
//!
//! An entry that moves is taken out by its old value, which is known from the locked row, and put in
//! anew. It is never updated in place: while an index is being built, a row may have no entry yet, and
//! an update would find none.

use uuid::Uuid;

use crate::cell::Cell;
use crate::computed::Cells;
use crate::keys::FieldKey;
use crate::register::LoadedRegister;
use crate::search::{self, SearchEntry};
use crate::value::Value;

/// One side of a change: the cells of a row, under the definition that they are written by.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) register: &'a LoadedRegister,
    pub(crate) cells: &'a Cells,
    pub(crate) is_archived: bool,
}

/// Entries of one side table, in columns, as they are bound.
#[derive(Default)]
pub(crate) struct Entries<V> {
    pub(crate) fields: Vec<i64>,
    pub(crate) values: Vec<V>,
    pub(crate) rows: Vec<Uuid>,
}

impl<V> Entries<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn push(&mut self, field: FieldKey, value: V, row: Uuid) {
        self.fields.push(field.0);
        self.values.push(value);
        self.rows.push(row);
    }
}

impl Entries<String> {
    /// Puts the entries in the order of field and value, in which every transaction takes unique values:
    /// two that want the same ones wait for each other, and not in a circle.
    fn sort(&mut self) {
        let fields = std::mem::take(&mut self.fields).into_iter();
        let values = std::mem::take(&mut self.values);
        let rows = std::mem::take(&mut self.rows);
        let mut sorted: Vec<_> = fields.zip(values).zip(rows).collect();
        sorted.sort_unstable();
        for ((field, value), row) in sorted {
            self.push(FieldKey(field), value, row);
        }
    }
}

/// What one index table loses and gets. Entries without a value are taken out apart, as SQL compares
/// them in another way.
#[derive(Default)]
pub(crate) struct IndexMoves {
    pub(crate) gone: Entries<String>,
    pub(crate) gone_empty: Entries<()>,
    pub(crate) new: Entries<Option<String>>,
}

/// All that a write changes beside the rows.
#[derive(Default)]
pub(crate) struct Moves {
    pub(crate) text: IndexMoves,
    pub(crate) number: IndexMoves,
    pub(crate) unique_gone: Entries<String>,
    pub(crate) unique_new: Entries<String>,
    pub(crate) search_gone: Vec<Uuid>,
    pub(crate) search_new: Vec<SearchEntry>,
}

/// One entry of an index: exactly one for each row and indexed field, empty where the cell is.
#[derive(PartialEq)]
struct IndexEntry {
    field: FieldKey,
    is_number: bool,
    value: Option<String>,
}

impl Moves {
    /// Adds what becomes of one row: nothing before is a new row, nothing after a deleted one.
    pub(crate) fn add(&mut self, id: Uuid, before: Option<Side<'_>>, after: Option<Side<'_>>) {
        self.add_index_entries(id, before, after);
        self.add_unique_values(id, before, after);
        self.add_search_entry(id, before, after);
    }

    /// Ends the collection.
    pub(crate) fn finish(mut self) -> Self {
        self.unique_new.sort();
        self.unique_gone.sort();
        self
    }

    fn add_index_entries(&mut self, id: Uuid, before: Option<Side<'_>>, after: Option<Side<'_>>) {
        let old = before.map(index_entries).unwrap_or_default();
        let new = after.map(index_entries).unwrap_or_default();
        for entry in &old {
            if new.contains(entry) {
                continue;
            }
            let moves = self.index(entry.is_number);
            match &entry.value {
                Some(value) => moves.gone.push(entry.field, value.clone(), id),
                None => moves.gone_empty.push(entry.field, (), id),
            }
        }
        for entry in new {
            if !old.contains(&entry) {
                let moves = self.index(entry.is_number);
                moves.new.push(entry.field, entry.value, id);
            }
        }
    }

    fn index(&mut self, is_number: bool) -> &mut IndexMoves {
        if is_number {
            &mut self.number
        } else {
            &mut self.text
        }
    }

    fn add_unique_values(&mut self, id: Uuid, before: Option<Side<'_>>, after: Option<Side<'_>>) {
        let old = before.map(unique_values).unwrap_or_default();
        let new = after.map(unique_values).unwrap_or_default();
        for value in &old {
            if !new.contains(value) {
                self.unique_gone.push(value.0, value.1.clone(), id);
            }
        }
        for value in new {
            if !old.contains(&value) {
                self.unique_new.push(value.0, value.1, id);
            }
        }
    }

    /// The words are only worked out where a text that can be searched has changed.
    fn add_search_entry(&mut self, id: Uuid, before: Option<Side<'_>>, after: Option<Side<'_>>) {
        let old = before.and_then(searchable_texts);
        let new = after.and_then(searchable_texts);
        match (old, new) {
            (None, None) => {}
            (Some(_), None) => self.search_gone.push(id),
            (Some(old), Some(new)) if old == new => {}
            (_, Some(new)) => self.search_new.push(SearchEntry {
                row_id: id,
                words: search::words_of(new.iter().map(String::as_str)),
                is_new: before.is_none(),
            }),
        }
    }
}

fn index_entries(side: Side<'_>) -> Vec<IndexEntry> {
    let indexed = side.register.fields.iter();
    indexed
        .filter(|field| field.index.is_kept())
        .map(|field| {
            let cell = side.cells.get(&field.key);
            IndexEntry {
                field: field.key,
                is_number: field.kind.is_number(),
                value: cell.and_then(Cell::value).map(Value::canonical_text),
            }
        })
        .collect()
}

/// Archived rows give their unique values free, and empty cells have none.
fn unique_values(side: Side<'_>) -> Vec<(FieldKey, String)> {
    if side.is_archived {
        return Vec::new();
    }
    let unique = side.register.fields.iter();
    unique
        .filter(|field| field.unique_state.is_kept())
        .filter_map(|field| {
            let value = side.cells.get(&field.key)?.value()?;
            Some((field.key, value.canonical_text()))
        })
        .collect()
}

/// The texts by which a row is found; none where its register has no field that can be searched.
fn searchable_texts(side: Side<'_>) -> Option<Vec<String>> {
    let fields = side.register.fields.iter();
    let mut searchable = fields.filter(|field| field.search.is_kept()).peekable();
    searchable.peek()?;
    Some(
        searchable
            .filter_map(|field| Some(side.cells.get(&field.key)?.value()?.canonical_text()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDefinition;
    use crate::keys::RegisterKey;
    use crate::register::{BuildState, Field};
    use crate::value::ValueKind;

    const ROW: Uuid = Uuid::from_u128(1);

    fn field(key: i64, kind: ValueKind, index: BuildState, unique: BuildState) -> Field {
        Field {
            key: FieldKey(key),
            definition: FieldDefinition::text(format!("f{key}")),
            kind,
            index,
            unique_state: unique,
            search: BuildState::None,
        }
    }

    fn register(fields: Vec<Field>) -> LoadedRegister {
        LoadedRegister {
            key: RegisterKey(1),
            name: "r".to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields,
            relationships: Vec::new(),
        }
    }

    fn cells(of: &[(i64, Value)]) -> Cells {
        of.iter()
            .map(|(key, value)| (FieldKey(*key), Cell::Value(value.clone())))
            .collect()
    }

    fn side<'a>(register: &'a LoadedRegister, cells: &'a Cells) -> Side<'a> {
        Side {
            register,
            cells,
            is_archived: false,
        }
    }

    fn sample() -> LoadedRegister {
        register(vec![
            field(1, ValueKind::Text, BuildState::Ready, BuildState::Ready),
            field(
                2,
                ValueKind::Integer,
                BuildState::Building,
                BuildState::None,
            ),
            field(3, ValueKind::Text, BuildState::None, BuildState::None),
        ])
    }

    #[test]
    fn a_new_row_has_one_entry_for_each_indexed_field_also_where_it_is_empty() {
        let register = sample();
        let cells = cells(&[(1, Value::from("a")), (3, Value::from("b"))]);
        let mut moves = Moves::default();
        moves.add(ROW, None, Some(side(&register, &cells)));
        assert_eq!(moves.text.new.values, [Some("a".to_owned())]);
        assert_eq!(moves.number.new.values, [None]);
        assert_eq!(moves.unique_new.values, ["a"]);
        assert!(moves.text.gone.is_empty() && moves.number.gone_empty.is_empty());
    }

    #[test]
    fn only_an_entry_whose_value_changes_moves() {
        let register = sample();
        let old = cells(&[(1, Value::from("a"))]);
        let new = cells(&[(1, Value::from("a")), (2, Value::from(7))]);
        let mut moves = Moves::default();
        moves.add(
            ROW,
            Some(side(&register, &old)),
            Some(side(&register, &new)),
        );
        assert!(moves.text.new.is_empty() && moves.unique_new.is_empty());
        assert_eq!(moves.number.gone_empty.fields, [2]);
        assert_eq!(moves.number.new.values, [Some("7".to_owned())]);
    }

    #[test]
    fn a_deleted_row_leaves_nothing_behind() {
        let register = sample();
        let old = cells(&[(1, Value::from("a")), (2, Value::from(7))]);
        let mut moves = Moves::default();
        moves.add(ROW, Some(side(&register, &old)), None);
        assert_eq!(moves.text.gone.values, ["a"]);
        assert_eq!(moves.number.gone.values, ["7"]);
        assert_eq!(moves.unique_gone.values, ["a"]);
    }

    #[test]
    fn an_archived_row_gives_its_unique_values_free_and_keeps_its_entries() {
        let register = sample();
        let cells = cells(&[(1, Value::from("a"))]);
        let archived = Side {
            is_archived: true,
            ..side(&register, &cells)
        };
        let mut moves = Moves::default();
        moves.add(ROW, Some(side(&register, &cells)), Some(archived));
        assert_eq!(moves.unique_gone.values, ["a"]);
        assert!(moves.text.gone.is_empty() && moves.text.new.is_empty());
    }

    #[test]
    fn unique_values_are_taken_in_one_order() {
        let register = sample();
        let mut moves = Moves::default();
        for (id, text) in [(1, "b"), (2, "a"), (3, "c")] {
            let cells = cells(&[(1, Value::from(text))]);
            moves.add(Uuid::from_u128(id), None, Some(side(&register, &cells)));
        }
        let moves = moves.finish();
        assert_eq!(moves.unique_new.values, ["a", "b", "c"]);
        assert_eq!(moves.unique_new.rows, [2, 1, 3].map(Uuid::from_u128));
    }

    #[test]
    fn a_field_of_another_kind_moves_to_the_other_table() {
        let before = register(vec![field(
            1,
            ValueKind::Text,
            BuildState::Ready,
            BuildState::None,
        )]);
        let after = register(vec![field(
            1,
            ValueKind::Integer,
            BuildState::Ready,
            BuildState::None,
        )]);
        let old = cells(&[(1, Value::from("7"))]);
        let new = cells(&[(1, Value::from(7))]);
        let mut moves = Moves::default();
        moves.add(ROW, Some(side(&before, &old)), Some(side(&after, &new)));
        assert_eq!(moves.text.gone.values, ["7"]);
        assert_eq!(moves.number.new.values, [Some("7".to_owned())]);
    }
}
