// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a source is asked, and what it answers with.
//!
//! A request only holds what the source said that it can do. It is a wish to be given less, not the
//! whole query: this module never leaves a part of the query to the source alone.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::operator::Operator;
use crate::value::Value;

/// What a source is asked for: one page of rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VirtualRequest {
    /// Conditions that all hold for the rows that are wanted. Only operators that the source declared
    /// for the field by [`VirtualCapabilities::filters`](crate::VirtualCapabilities::filters).
    pub conditions: Vec<VirtualCondition>,
    /// The order of the rows: no more keys, and no other fields, than the source declared.
    pub sort: Vec<VirtualSort>,
    /// Words to search for, where the source declared that it searches. Rows that have each of them as
    /// the beginning of a word, in any searchable field and in any case, must be among those given.
    pub search: Option<String>,
    /// Only the row of this id, where the source declared that it finds rows by id. A source that has no
    /// such row gives none.
    pub id: Option<VirtualId>,
    /// How many rows are wanted at most. A source that pages may give fewer; one that does not page
    /// gives all that it has.
    pub rows_max: usize,
    /// Where the page begins.
    pub position: VirtualPosition,
}

impl VirtualRequest {
    /// A request for the first `rows_max` rows, for tests of a source.
    pub fn new(rows_max: usize) -> Self {
        Self {
            conditions: Vec::new(),
            sort: Vec::new(),
            search: None,
            id: None,
            rows_max,
            position: VirtualPosition::Start,
        }
    }

    /// The operand of the condition that a field equals something, for sources that look up by one key.
    pub fn equal_to(&self, field: &str) -> Option<&Value> {
        let mut conditions = self.conditions.iter();
        let condition = conditions
            .find(|condition| condition.field == field && condition.operator == Operator::Eq)?;
        condition.operands.first()
    }
}

/// One condition on one field.
///
/// Its `Debug` hides the operands.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct VirtualCondition {
    /// The name of the field.
    pub field: String,
    /// The operator.
    pub operator: Operator,
    /// What it compares with: none for `is_empty` and its like, two for `between`, any number for the
    /// lists, else one.
    pub operands: Vec<Value>,
}

impl VirtualCondition {
    /// A condition, for tests of a source.
    pub fn new(field: impl Into<String>, operator: Operator, operands: Vec<Value>) -> Self {
        Self {
            field: field.into(),
            operator,
            operands,
        }
    }
}

impl fmt::Debug for VirtualCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualCondition")
            .field("field", &self.field)
            .field("operator", &self.operator)
            .finish_non_exhaustive()
    }
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualSort {
    /// The name of the field.
    pub field: String,
    /// Whether the greatest come first.
    pub is_descending: bool,
}

impl VirtualSort {
    /// A key, for tests of a source.
    pub fn new(field: impl Into<String>, is_descending: bool) -> Self {
        Self {
            field: field.into(),
            is_descending,
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VirtualPosition {
    /// At the first row.
    Start,
    /// After as many rows as were given already: for sources that page by
    /// [`Paging::Offset`](crate::Paging::Offset).
    Offset(u64),
    /// Where the source said that the page before ended: for sources that page by
    /// [`Paging::Cursor`](crate::Paging::Cursor).
    Cursor(String),
}

/// What a source calls a row.
///
/// The rows of this crate have a UUID. A number becomes one from which it can be had back; of a text one
/// is derived, and the text itself becomes the row's `external_ref`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VirtualId {
    /// A UUID.
    Uuid(Uuid),
    /// A number.
    Integer(i64),
    /// A text of any kind.
    Text(String),
}

impl VirtualId {
    /// The id of the row in this crate. The same for the same id, in each release.
    pub(crate) fn row_id(&self) -> Uuid {
        match self {
            Self::Uuid(id) => *id,
            Self::Integer(number) => uuid_of_integer(*number),
            Self::Text(text) => uuid_of_text(text),
        }
    }

    /// The id as the row's external reference, where it is no UUID.
    pub(crate) fn external_ref(&self) -> Option<String> {
        match self {
            Self::Uuid(_) => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The id that a source would call the row by, as far as it can be known from the row's own: the
    /// text that an id was derived from cannot.
    pub(crate) fn of_row(id: Uuid) -> Option<Self> {
        if let Some(number) = integer_of_uuid(id) {
            return Some(Self::Integer(number));
        }
        (id.get_version_num() != usize::from(DERIVED_VERSION)).then_some(Self::Uuid(id))
    }
}

impl From<Uuid> for VirtualId {
    fn from(id: Uuid) -> Self {
        Self::Uuid(id)
    }
}

impl From<i64> for VirtualId {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for VirtualId {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for VirtualId {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A cell as its source gives it, not yet held against its field.
#[derive(Clone, PartialEq)]
pub(crate) enum VirtualCell {
    /// From Rust.
    Value(Value),
    /// From an API.
    Json(Json),
}

/// A row as its source gives it.
///
/// A field that is not set is absent; one that is set to JSON null was emptied on purpose.
///
/// Its `Debug` hides the cells.
#[derive(Clone, PartialEq)]
pub struct VirtualRow {
    pub(crate) id: VirtualId,
    pub(crate) cells: BTreeMap<String, VirtualCell>,
    pub(crate) created_at: Option<OffsetDateTime>,
    pub(crate) updated_at: Option<OffsetDateTime>,
    pub(crate) archived_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

impl VirtualRow {
    /// A row with no cells.
    pub fn new(id: impl Into<VirtualId>) -> Self {
        Self {
            id: id.into(),
            cells: BTreeMap::new(),
            created_at: None,
            updated_at: None,
            archived_at: None,
            version: 1,
        }
    }

    /// Sets a cell.
    pub fn set(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        let cell = VirtualCell::Value(value.into());
        self.cells.insert(field.into(), cell);
        self
    }

    /// Empties a cell on purpose.
    pub fn null(self, field: impl Into<String>) -> Self {
        self.set_json(field, Json::Null)
    }

    /// Sets a cell to a value of JSON, as an API gave it. It is read as strictly as the API of a stored
    /// register reads it: `"12"` is a text, not a number.
    pub fn set_json(mut self, field: impl Into<String>, value: Json) -> Self {
        self.cells.insert(field.into(), VirtualCell::Json(value));
        self
    }

    /// When the row came to be. Without it, the time in the id where that is a `UUIDv7`, else 1970.
    pub fn created_at(mut self, instant: OffsetDateTime) -> Self {
        self.created_at = Some(instant);
        self
    }

    /// When the row last changed. Without it, when it came to be.
    pub fn updated_at(mut self, instant: OffsetDateTime) -> Self {
        self.updated_at = Some(instant);
        self
    }

    /// Marks the row as archived: queries leave it out unless they ask for such rows.
    pub fn archived_at(mut self, instant: OffsetDateTime) -> Self {
        self.archived_at = Some(instant);
        self
    }

    /// Which version of the row this is. 1 without it.
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// What the source calls the row.
    pub fn id(&self) -> &VirtualId {
        &self.id
    }
}

impl fmt::Debug for VirtualRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualRow")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// One page of a source's answer.
#[derive(Clone, Debug)]
pub struct VirtualPage {
    pub(crate) rows: Vec<VirtualRow>,
    pub(crate) next: Option<String>,
    pub(crate) is_last: bool,
}

impl VirtualPage {
    /// A page. For a source that pages by cursors, or does not page, it is the last one; one that pages
    /// by offset is asked again until a page has no rows, as a short page may only be the API's limit.
    pub fn new(rows: impl IntoIterator<Item = VirtualRow>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            next: None,
            is_last: false,
        }
    }

    /// Where the next page begins, by a source that pages by cursors.
    pub fn next(mut self, cursor: impl Into<String>) -> Self {
        self.next = Some(cursor.into());
        self
    }

    /// Says that there is nothing after this page: saves the last request of a source that pages by
    /// offset.
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }
}

/// What marks an id that was derived from a text: the version that the standard leaves to everyone.
const DERIVED_VERSION: u8 = 8;

/// A number as a UUID: its eight bytes behind eight of zero, shifted so that the order stays.
pub(crate) fn uuid_of_integer(number: i64) -> Uuid {
    let shifted = number.cast_unsigned() ^ (1 << 63);
    Uuid::from_u64_pair(0, shifted)
}

/// The number that [`uuid_of_integer`] made the id of.
pub(crate) fn integer_of_uuid(id: Uuid) -> Option<i64> {
    let (high, low) = id.as_u64_pair();
    (high == 0).then(|| (low ^ (1 << 63)).cast_signed())
}

/// A UUID derived from a text: its 128 bits of FNV-1a, of which six give way to the version and the
/// variant. Two texts that fell on one id would be found out as a row that came twice.
pub(crate) fn uuid_of_text(text: &str) -> Uuid {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = text.bytes().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    });
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_from_its_id_and_keeps_its_order() {
        let numbers = [i64::MIN, -1, 0, 1, 42, i64::MAX];
        let ids = numbers.map(uuid_of_integer);
        assert!(ids.is_sorted());
        assert_eq!(ids.map(integer_of_uuid), numbers.map(Some));
        assert_eq!(
            uuid_of_integer(42).to_string(),
            "00000000-0000-0000-8000-00000000002a"
        );
    }

    #[test]
    fn a_text_gives_the_same_id_each_time() {
        assert_eq!(uuid_of_text("acme"), uuid_of_text("acme"));
        assert_ne!(uuid_of_text("acme"), uuid_of_text("acne"));
        assert_eq!(uuid_of_text("acme").get_version_num(), 8);
        assert_eq!(VirtualId::of_row(uuid_of_text("acme")), None);
    }

    #[test]
    fn the_source_is_called_by_its_own_ids() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(VirtualId::of_row(id), Some(VirtualId::Uuid(id)));
        let number = VirtualId::Integer(7);
        assert_eq!(VirtualId::of_row(number.row_id()), Some(number));
    }

    #[test]
    fn no_values_are_shown() {
        let row = VirtualRow::new("a").set("iban", "DE01");
        let condition = VirtualCondition::new("iban", Operator::Eq, vec!["DE01".into()]);
        assert!(!format!("{row:?} {condition:?}").contains("DE01"));
    }
}
