// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows as callers get them: cells by the names of fields, with what every row has.
//!
//! A row is what was read. Changing it changes nothing in the register.

mod id;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use crate::cell::Cell;
use crate::value::{Value, instant_text};

pub use id::{InvalidRowId, RowId};

/// One row of a register.
///
/// It has the cells of the fields that were asked for. What was not asked for looks like a cell that was
/// never filled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The id, unique over all registers.
    pub id: RowId,
    /// 1 when the row is created, and one more with each change.
    pub version: i64,
    /// The reference under which another system knows the row.
    pub external_ref: Option<String>,
    /// When it was created, to the millisecond.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
    /// When it was archived, if it is.
    pub archived_at: Option<OffsetDateTime>,
    cells: BTreeMap<String, Cell>,
    references: BTreeMap<String, Ends<RowId>>,
    related: BTreeMap<String, Ends<Row>>,
}

/// What is at the other end of a relationship.
#[derive(Clone, Debug, PartialEq)]
struct Ends<T> {
    items: Vec<T>,
    /// Whether there may be more than one: then it is a list also where there is one, or none.
    is_many: bool,
}

/// A row that cannot be read as a Rust type. Values of the row are left out of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read row {row} as `{type_name}`: {reason}")]
#[non_exhaustive]
pub struct RowDecodeError {
    /// The row.
    pub row: RowId,
    /// The Rust type.
    pub type_name: &'static str,
    /// What does not fit.
    pub reason: String,
}

impl Row {
    /// A row without cells.
    pub(crate) fn new(
        id: RowId,
        version: i64,
        created_at: OffsetDateTime,
        updated_at: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            version,
            external_ref: None,
            created_at,
            updated_at,
            archived_at: None,
            cells: BTreeMap::new(),
            references: BTreeMap::new(),
            related: BTreeMap::new(),
        }
    }

    /// The value of a field, if it has one.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.cells.get(field)?.value()
    }

    /// The cell of a field, which tells a field that was emptied from one that was never filled.
    pub fn cell(&self, field: &str) -> Cell {
        self.cells.get(field).cloned().unwrap_or_default()
    }

    /// The cells, by name of the field.
    pub fn cells(&self) -> &BTreeMap<String, Cell> {
        &self.cells
    }

    /// The rows that a reference points to.
    pub fn references(&self, field: &str) -> &[RowId] {
        self.references
            .get(field)
            .map(|ends| ends.items.as_slice())
            .unwrap_or_default()
    }

    /// The related rows that the query was asked to bring along, by the name of the relationship.
    pub fn related(&self, relationship: &str) -> &[Self] {
        self.related
            .get(relationship)
            .map(|ends| ends.items.as_slice())
            .unwrap_or_default()
    }

    /// The row as one JSON object: `id`, `version`, `created_at`, `updated_at`, where there is one
    /// `archived_at` and `external_ref`, and the fields by their names. Cells that were never filled
    /// are left out. A reference is the id of a row, or a list of ids where there may be more than one;
    /// where the related rows were brought along, it is those rows.
    pub fn to_json(&self) -> Json {
        let mut members = Map::new();
        let mut put = |name: &str, json: Json| {
            members.insert(name.to_owned(), json);
        };
        for (name, cell) in &self.cells {
            match cell {
                Cell::Absent => {}
                Cell::Null => put(name, Json::Null),
                Cell::Value(value) => put(name, value.to_json()),
            }
        }
        for (name, ends) in &self.references {
            put(name, ends.to_json(|id| Json::String(id.to_string())));
        }
        for (name, ends) in &self.related {
            put(name, ends.to_json(Self::to_json));
        }
        // Last, so that nothing can stand in their place.
        put("id", Json::String(self.id.to_string()));
        put("version", Json::from(self.version));
        put("created_at", Json::String(instant_text(self.created_at)));
        put("updated_at", Json::String(instant_text(self.updated_at)));
        if let Some(archived_at) = self.archived_at {
            put("archived_at", Json::String(instant_text(archived_at)));
        }
        if let Some(external_ref) = &self.external_ref {
            put("external_ref", Json::String(external_ref.clone()));
        }
        Json::Object(members)
    }

    /// Reads the row as a Rust type, from its [JSON](Self::to_json). A field that may be without a value
    /// is an `Option` there.
    ///
    /// # Errors
    /// [`RowDecodeError`] when a member is missing or of another type.
    ///
    /// # Examples
    /// ```
    /// use forktex_data::Row;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Invoice {
    ///     status: String,
    ///     note: Option<String>,
    /// }
    ///
    /// fn is_paid(row: &Row) -> Result<bool, forktex_data::RowDecodeError> {
    ///     let invoice: Invoice = row.decode()?;
    ///     Ok(invoice.status == "paid" && invoice.note.is_none())
    /// }
    /// ```
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, RowDecodeError> {
        serde_json::from_value(self.to_json()).map_err(|error| RowDecodeError {
            row: self.id,
            type_name: std::any::type_name::<T>(),
            reason: safe_reason(&error),
        })
    }

    /// Puts in a cell. One that was never filled is not kept.
    pub(crate) fn insert_cell(&mut self, field: impl Into<String>, cell: Cell) {
        if cell != Cell::Absent {
            self.cells.insert(field.into(), cell);
        }
    }

    /// Puts in what a reference points to.
    pub(crate) fn set_references(
        &mut self,
        field: impl Into<String>,
        items: Vec<RowId>,
        is_many: bool,
    ) {
        self.references
            .insert(field.into(), Ends { items, is_many });
    }

    /// Puts in related rows.
    pub(crate) fn set_related(
        &mut self,
        relationship: impl Into<String>,
        items: Vec<Self>,
        is_many: bool,
    ) {
        self.related
            .insert(relationship.into(), Ends { items, is_many });
    }
}

impl<T> Ends<T> {
    fn to_json(&self, item: impl Fn(&T) -> Json) -> Json {
        match self.items.as_slice() {
            [] if !self.is_many => Json::Null,
            [one] if !self.is_many => item(one),
            items => items.iter().map(item).collect(),
        }
    }
}

/// As [`Row::to_json`].
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// What serde says, where it names members only: everything else may quote a value.
fn safe_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_members = ["missing field `", "unknown field `", "duplicate field `"];
    if names_members.iter().any(|begin| text.starts_with(begin)) {
        text
    } else {
        "the value of a member is of another type".to_owned()
    }
}

#[cfg(test)]
mod tests;
