// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The cells of one row, between the JSON that is stored and the typed values in memory.
//!
//! A write sends only the cells that differ. Keys that the definition does not know, such as those of a
//! field that was dropped a moment ago, are never touched.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::cell::Cell;
use crate::computed::Cells;
use crate::register::LoadedRegister;
use crate::value::Value;

/// Reads the cells that the definition knows. One that does not fit its field's kind is left out, as if
/// it had never been filled.
pub(crate) fn read(register: &LoadedRegister, json: &Json) -> Cells {
    let Some(members) = json.as_object() else {
        return Cells::new();
    };
    if members.is_empty() {
        return Cells::new();
    }
    register
        .fields
        .iter()
        .filter_map(|field| {
            let member = members.get(&field.key.to_string())?;
            let cell = Cell::from_member(field.kind, Some(member))?;
            Some((field.key, cell))
        })
        .collect()
}

/// The cells as they are stored. Serialized, they are written where they are sent from, and nowhere
/// before.
#[derive(Clone, Copy)]
pub(crate) struct StoredCells<'a>(pub(crate) &'a Cells);

impl Serialize for StoredCells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.0.iter().filter(|(_, cell)| is_filled(cell));
        serializer.collect_map(filled.map(|(key, cell)| (key.0, StoredCell(cell))))
    }
}

/// One cell as it stands among them: what [`Cell::to_json`] gives.
struct StoredCell<'a>(&'a Cell);

impl Serialize for StoredCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.value() {
            None => serializer.serialize_none(),
            Some(Value::Json(json)) => [json].serialize(serializer),
            Some(value) => value.serialize(serializer),
        }
    }
}

/// What a write changes among the stored cells.
pub(crate) struct Difference {
    /// The cells that are new or have changed, as JSON text.
    pub(crate) changed: String,
    /// The keys of those that are gone, with commas between.
    pub(crate) removed: String,
}

impl Difference {
    pub(crate) fn between(before: &Cells, after: &Cells) -> Self {
        let changed: Map<String, Json> = after
            .iter()
            .filter(|(key, cell)| before.get(*key) != Some(*cell))
            .filter_map(|(key, cell)| Some((key.to_string(), cell.to_json()?)))
            .collect();
        let removed: Vec<String> = before
            .iter()
            .filter(|(key, cell)| is_filled(cell) && !after.get(*key).is_some_and(is_filled))
            .map(|(key, _)| key.to_string())
            .collect();
        Self {
            changed: Json::Object(changed).to_string(),
            removed: removed.join(","),
        }
    }
}

/// Whether the cell stands in the stored row: an emptied one does.
fn is_filled(cell: &Cell) -> bool {
    *cell != Cell::Absent
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::{date, datetime};
    use uuid::Uuid;

    use super::*;
    use crate::keys::FieldKey;

    fn cells(of: &[(i64, Cell)]) -> Cells {
        of.iter()
            .map(|(key, cell)| (FieldKey(*key), cell.clone()))
            .collect()
    }

    fn stored(cells: &Cells) -> String {
        serde_json::to_string(&StoredCells(cells)).unwrap()
    }

    #[test]
    fn cells_of_every_kind_are_stored_as_they_are_read() {
        for value in [
            Value::from("a \"text\"\n"),
            Value::from(-7),
            Value::from(rust_decimal::Decimal::new(1_250, 2)),
            Value::from(true),
            Value::from(date!(2026 - 01 - 31)),
            Value::from(datetime!(2026-01-31 13:45:00.000001 UTC)),
            Value::from(Uuid::from_u128(7)),
            Value::from(json!(null)),
            Value::from(json!({"a": [1]})),
        ] {
            let cell = Cell::Value(value);
            let expected = json!({"1042": cell.to_json()});
            assert_eq!(stored(&cells(&[(1_042, cell)])), expected.to_string());
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        let before = cells(&[
            (1, Value::from("a").into()),
            (2, Value::from(1).into()),
            (3, Value::from(true).into()),
        ]);
        let after = cells(&[
            (1, Value::from("a").into()),
            (2, Cell::Null),
            (4, Value::from("new").into()),
        ]);
        let difference = Difference::between(&before, &after);
        assert_eq!(difference.changed, r#"{"2":null,"4":"new"}"#);
        assert_eq!(difference.removed, "3");
    }

    #[test]
    fn a_cell_that_was_never_filled_is_not_stored() {
        let after = cells(&[(1, Cell::Absent), (2, Cell::Null)]);
        assert_eq!(stored(&after), r#"{"2":null}"#);
        assert_eq!(stored(&Cells::new()), "{}");
        let difference = Difference::between(&Cells::new(), &after);
        assert_eq!(difference.changed, r#"{"2":null}"#);
        assert_eq!(difference.removed, "");
    }
}
