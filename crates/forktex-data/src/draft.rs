// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Drafts: what a caller says that a row is to be, before anything has checked it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use crate::coerce::{self, CellProblem};
use crate::row::RowId;
use crate::value::Value;

/// What a row is to be, or how it is to change: values by the names of fields.
///
/// A field that a draft does not name is left alone by a patch; a new row has its default there. Nothing
/// is checked before the row is written. `Debug` shows names, not values.
///
/// # Examples
/// ```
/// use forktex_data::Draft;
/// use serde_json::json;
///
/// let draft = Draft::new().set("status", "paid").set("quantity", 3).null("note");
/// let same = Draft::try_from(json!({"status": "paid", "quantity": 3, "note": null}))?;
/// assert_eq!(draft.iter().count(), same.iter().count());
/// # Ok::<(), forktex_data::DraftError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
#[must_use = "a draft does nothing until a row is written by it"]
#[allow(
    clippy::option_option,
    reason = "not given, taken away and given are three things"
)]
pub struct Draft {
    cells: BTreeMap<String, DraftCell>,
    /// Not given, taken away, or given.
    external_ref: Option<Option<String>>,
}

/// What a draft says of one field.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum DraftCell {
    /// As if it had never been filled.
    Absent,
    /// Emptied on purpose.
    Null,
    /// A value.
    Value(Value),
    /// JSON, to be read as the field's type asks.
    Json(Json),
    /// All rows that a reference is to point to.
    References(Vec<RowId>),
}

/// Why something is not a draft.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// A row is an object, with a member for each field.
    #[error("cannot read a row from JSON: expected an object, found another value")]
    NotAnObject,
    /// The reference of another system is a text.
    #[error("cannot read a row from JSON: `external_ref` must be a text or null")]
    ExternalRef,
    /// The value cannot be written as JSON. The cause is left out, as it may quote the value.
    #[error("cannot make a row of a `{type_name}`: it cannot be written as JSON")]
    Encode {
        /// The Rust type.
        type_name: &'static str,
    },
}

impl Draft {
    /// A draft that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A draft of what serde makes of a value: a member for each field of a struct. `None` is `null`,
    /// which empties the field; skip it to leave the field alone.
    ///
    /// # Errors
    /// [`DraftError::Encode`] when it cannot be written as JSON; [`DraftError::NotAnObject`] when it is
    /// no struct or map; [`DraftError::ExternalRef`] when that member is no text.
    ///
    /// # Examples
    /// ```
    /// use forktex_data::Draft;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Invoice<'a> {
    ///     status: &'a str,
    ///     quantity: u32,
    /// }
    ///
    /// let draft = Draft::from_serialize(&Invoice { status: "paid", quantity: 3 })?;
    /// assert!(draft.get("status").is_some());
    /// # Ok::<(), forktex_data::DraftError>(())
    /// ```
    pub fn from_serialize<T: Serialize + ?Sized>(row: &T) -> Result<Self, DraftError> {
        let json = serde_json::to_value(row).map_err(|_| DraftError::Encode {
            type_name: std::any::type_name::<T>(),
        })?;
        Self::try_from(json)
    }

    /// Gives a field this value.
    pub fn set(self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(field, DraftCell::Value(value.into()))
    }

    /// Empties a field on purpose; a reference then points to nothing.
    pub fn null(self, field: impl Into<String>) -> Self {
        self.with(field, DraftCell::Null)
    }

    /// Makes a field as if it had never been filled.
    pub fn unset(self, field: impl Into<String>) -> Self {
        self.with(field, DraftCell::Absent)
    }

    /// Lets a reference point to this row, and to no other.
    pub fn reference(self, field: impl Into<String>, row: impl Into<RowId>) -> Self {
        self.references(field, [row])
    }

    /// Lets a reference point to these rows, and to no others. At most 1,000.
    pub fn references(
        self,
        field: impl Into<String>,
        rows: impl IntoIterator<Item = impl Into<RowId>>,
    ) -> Self {
        let rows = rows.into_iter().map(Into::into).collect();
        self.with(field, DraftCell::References(rows))
    }

    /// Gives the reference under which another system knows the row: unique in its register, at most
    /// 255 characters.
    pub fn external_ref(mut self, reference: impl Into<String>) -> Self {
        self.external_ref = Some(Some(reference.into()));
        self
    }

    /// Takes the reference of another system away.
    pub fn without_external_ref(mut self) -> Self {
        self.external_ref = Some(None);
        self
    }

    /// What the draft says of a field, if it says anything.
    pub fn get(&self, field: &str) -> Option<&DraftCell> {
        self.cells.get(field)
    }

    /// What the draft says, by name of the field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DraftCell)> {
        self.cells.iter().map(|(name, cell)| (name.as_str(), cell))
    }

    /// What it says of the reference of another system: nothing, that there is none, or which.
    #[allow(
        clippy::option_option,
        reason = "not given, taken away and given are three things"
    )]
    pub(crate) fn external(&self) -> Option<Option<&str>> {
        self.external_ref.as_ref().map(Option::as_deref)
    }

    fn with(mut self, field: impl Into<String>, cell: DraftCell) -> Self {
        self.cells.insert(field.into(), cell);
        self
    }
}

impl DraftCell {
    /// The rows that a reference is to point to.
    pub(crate) fn to_references(&self) -> Result<Vec<RowId>, CellProblem> {
        match self {
            Self::Absent | Self::Null => Ok(Vec::new()),
            Self::Json(json) | Self::Value(Value::Json(json)) => coerce::coerce_references(json),
            Self::References(rows) => coerce::distinct(rows.clone()),
            Self::Value(value) => match coerce::reference_of(value) {
                Some(uuid) => Ok(vec![RowId::from(uuid)]),
                None => Err(CellProblem::WrongType {
                    expected: "the id of a row, or a list of ids",
                    found: value.kind().as_str(),
                }),
            },
        }
    }

    /// What it is, without the value.
    fn word(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null | Self::Json(Json::Null) => "null",
            Self::Value(value) => value.kind().as_str(),
            Self::Json(_) => "json",
            Self::References(_) => "references",
        }
    }
}

/// Each member is a field; `external_ref` is the reference of another system. What else every row has
/// cannot be set, and is refused when the row is written.
impl TryFrom<Json> for Draft {
    type Error = DraftError;

    fn try_from(json: Json) -> Result<Self, DraftError> {
        let Json::Object(members) = json else {
            return Err(DraftError::NotAnObject);
        };
        let mut draft = Self::new();
        for (name, member) in members {
            if name == "external_ref" {
                draft.external_ref = Some(match member {
                    Json::Null => None,
                    Json::String(text) => Some(text),
                    _ => return Err(DraftError::ExternalRef),
                });
                continue;
            }
            let cell = match member {
                Json::Null => DraftCell::Null,
                other => DraftCell::Json(other),
            };
            draft.cells.insert(name, cell);
        }
        Ok(draft)
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.cells.iter()).finish()
    }
}

impl fmt::Debug for DraftCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn json_and_builder_say_the_same_of_emptied_fields() {
        let read = Draft::try_from(json!({"a": null, "b": 1, "external_ref": "x"})).unwrap();
        assert_eq!(read.get("a"), Some(&DraftCell::Null));
        assert_eq!(read.get("b"), Some(&DraftCell::Json(json!(1))));
        assert_eq!(read.external(), Some(Some("x")));
        assert_eq!(read.iter().count(), 2);
        assert_eq!(Draft::new().null("a").get("a"), Some(&DraftCell::Null));
        assert_eq!(Draft::new().unset("a").get("a"), Some(&DraftCell::Absent));
    }

    #[test]
    fn the_reference_of_another_system_is_kept_apart_from_fields() {
        assert_eq!(Draft::new().external(), None);
        assert_eq!(Draft::new().without_external_ref().external(), Some(None));
        let taken = Draft::try_from(json!({"external_ref": null})).unwrap();
        assert_eq!(taken.external(), Some(None));
        let wrong = Draft::try_from(json!({"external_ref": 7}));
        assert!(matches!(wrong, Err(DraftError::ExternalRef)));
    }

    #[test]
    fn only_objects_are_rows() {
        for json in [json!(null), json!([]), json!("a"), json!(1)] {
            assert!(matches!(
                Draft::try_from(json),
                Err(DraftError::NotAnObject)
            ));
        }
        assert!(matches!(
            Draft::from_serialize(&[1, 2]),
            Err(DraftError::NotAnObject)
        ));
        let keys = BTreeMap::from([((1, 2), 3)]);
        let error = Draft::from_serialize(&keys).unwrap_err();
        assert!(matches!(error, DraftError::Encode { .. }));
    }

    #[test]
    fn references_come_in_every_form_and_once_each() {
        let (one, two) = (
            RowId::from(Uuid::from_u128(1)),
            RowId::from(Uuid::from_u128(2)),
        );
        for (cell, expected) in [
            (DraftCell::Null, vec![]),
            (DraftCell::Absent, vec![]),
            (DraftCell::Json(json!(null)), vec![]),
            (DraftCell::Json(json!(one.to_string())), vec![one]),
            (
                DraftCell::Json(json!([two.to_string(), one.to_string(), two.to_string()])),
                vec![two, one],
            ),
            (DraftCell::Value(Value::Uuid(one.as_uuid())), vec![one]),
            (DraftCell::Value(Value::from(one.to_string())), vec![one]),
            (DraftCell::References(vec![one, one]), vec![one]),
        ] {
            assert_eq!(cell.to_references(), Ok(expected), "{cell:?}");
        }
        for cell in [
            DraftCell::Json(json!(1)),
            DraftCell::Json(json!(["x"])),
            DraftCell::Json(json!([null])),
            DraftCell::Value(Value::from(1)),
            DraftCell::Value(Value::from("x")),
        ] {
            let problem = cell.to_references().unwrap_err();
            assert!(matches!(problem, CellProblem::WrongType { .. }), "{cell:?}");
        }
    }

    #[test]
    fn too_many_references_are_refused() {
        let ids = |count| {
            DraftCell::References((0..count).map(Uuid::from_u128).map(RowId::from).collect())
        };
        assert_eq!(ids(1_000).to_references().map(|ids| ids.len()), Ok(1_000));
        assert_eq!(
            ids(1_001).to_references(),
            Err(CellProblem::TooMany {
                count: 1_001,
                max: 1_000
            })
        );
    }

    #[test]
    fn debug_shows_no_values() {
        let draft = Draft::new().set("password", "hunter2").null("b");
        let shown = format!("{draft:?}");
        assert!(
            shown.contains("password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
