// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A cell: a value, or one of the two ways of having none.
//!
//! Nothing here turns one state into another: a cell that was never filled stays apart from one that
//! was emptied on purpose.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::value::{Value, ValueKind};

/// What a row has in one field.
///
/// # Examples
/// ```
/// use forktex_data::{Cell, Value};
///
/// let cell = Cell::from(Value::from("paid"));
/// assert_eq!(cell.value().and_then(Value::as_str), Some("paid"));
/// assert!(Cell::Null.is_empty() && Cell::Absent.is_empty());
/// assert_ne!(Cell::Null, Cell::Absent);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Never filled: the field is younger than the row, or nobody gave a value.
    #[default]
    Absent,
    /// Emptied on purpose.
    Null,
    /// A value. JSON `null` in a field of JSON documents is one.
    Value(Value),
}

impl Cell {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value by itself, if there is one.
    pub fn into_value(self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Whether there is no value: never filled, or emptied on purpose.
    pub fn is_empty(&self) -> bool {
        self.value().is_none()
    }

    /// As it stands among the cells of a stored row; `None` where it does not stand there.
    pub(crate) fn to_json(&self) -> Option<Json> {
        match self {
            Self::Absent => None,
            Self::Null => Some(Json::Null),
            Self::Value(value) => Some(value.to_cell_json()),
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` where it is of another kind.
    pub(crate) fn from_member(kind: ValueKind, member: Option<&Json>) -> Option<Self> {
        match member {
            None => Some(Self::Absent),
            Some(json) => Value::from_cell_json(kind, json),
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// As [`Value::to_json`]; a cell without a value is `null`.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_null_and_a_json_null_stay_apart() {
        let cells = [
            Cell::Absent,
            Cell::Null,
            Cell::Value(Value::Json(Json::Null)),
        ];
        let written: Vec<_> = cells.iter().map(Cell::to_json).collect();
        assert_eq!(written, [None, Some(json!(null)), Some(json!([null]))]);
        for (cell, json) in cells.iter().zip(&written) {
            let read = Cell::from_member(ValueKind::Json, json.as_ref());
            assert_eq!(read.as_ref(), Some(cell));
        }
        assert_eq!(
            cells.iter().map(Cell::is_empty).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn people_see_null_for_each_of_them() {
        for cell in [
            Cell::Absent,
            Cell::Null,
            Cell::Value(Value::Json(Json::Null)),
        ] {
            assert_eq!(serde_json::to_value(&cell).unwrap(), Json::Null);
        }
        assert_eq!(
            serde_json::to_value(Cell::Value(Value::from(7))).unwrap(),
            json!(7)
        );
    }

    #[test]
    fn a_value_is_taken_out() {
        assert_eq!(
            Cell::from(Value::from(1)).into_value(),
            Some(Value::from(1))
        );
        assert_eq!(Cell::Null.into_value(), None);
        assert_eq!(Cell::default(), Cell::Absent);
    }
}
