// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a row was: one entry for each version, in registers that keep a history.
//!
//! An entry holds the row after the change, with what it referred to; that of a deletion holds the row
//! before it, and outlives it. Values that are recomputed from other rows make no entry.

use std::collections::BTreeMap;
use std::fmt;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cell::Cell;
use crate::error::DataError;
use crate::register::{LoadedRegister, Register};
use crate::relations::link;
use crate::row::RowId;
use crate::rows::cells;
use crate::rows::read::References;
use crate::value::Value;

/// The most versions of a row that are listed, the newest first.
pub const HISTORY_VERSIONS_MAX: usize = 1_000;

/// $1: the register; $2: the row; $3: how many. Index: the primary key, backwards.
const READ_HISTORY: &str = "\
SELECT version, action, changed_by, changed_at, cells FROM forktex_data.history \
WHERE register_key = $1 AND row_id = $2 ORDER BY version DESC LIMIT $3";

/// $1: the register; $2: the row.
const ROW_EXISTS: &str =
    "SELECT EXISTS (SELECT 1 FROM forktex_data.row WHERE register_key = $1 AND id = $2)";

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RowAction {
    /// It was created.
    Created,
    /// Some of it was changed, or all of it replaced.
    Updated,
    /// It was archived.
    Archived,
    /// It was taken out of the archive.
    Restored,
    /// It was deleted for good.
    Deleted,
}

impl RowAction {
    const ALL: [Self; 5] = [
        Self::Created,
        Self::Updated,
        Self::Archived,
        Self::Restored,
        Self::Deleted,
    ];

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Archived => "archived",
            Self::Restored => "restored",
            Self::Deleted => "deleted",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// A row as it was after one change; after its deletion, as it was before.
///
/// Cells come under the names that their fields have now; those of fields that were dropped since are
/// left out.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct RowVersion {
    /// The version that the change made.
    pub version: i64,
    /// What was done.
    pub action: RowAction,
    /// The user who did it, where one was noted.
    pub changed_by: Option<Uuid>,
    /// When.
    pub changed_at: OffsetDateTime,
    cells: BTreeMap<String, Cell>,
    references: BTreeMap<String, Vec<RowId>>,
}

impl RowVersion {
    /// The value of a field, if it had one.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.cells.get(field).and_then(Cell::value)
    }

    /// The cells that were filled or emptied, by the names of their fields.
    pub fn cells(&self) -> &BTreeMap<String, Cell> {
        &self.cells
    }

    /// The rows that a reference field pointed to.
    pub fn references(&self, field: &str) -> &[RowId] {
        self.references.get(field).map_or(&[], Vec::as_slice)
    }
}

/// Shows what was done and when, never the values.
impl fmt::Debug for RowVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowVersion")
            .field("version", &self.version)
            .field("action", &self.action)
            .field("changed_by", &self.changed_by)
            .field("changed_at", &self.changed_at)
            .finish_non_exhaustive()
    }
}

/// An object with `version`, `action`, `changed_by`, `changed_at`, `cells` and `references`.
impl Serialize for RowVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;

        let mut version = serializer.serialize_struct("RowVersion", 6)?;
        version.serialize_field("version", &self.version)?;
        version.serialize_field("action", &self.action)?;
        version.serialize_field("changed_by", &self.changed_by)?;
        version.serialize_field("changed_at", &Value::Instant(self.changed_at))?;
        version.serialize_field("cells", &self.cells)?;
        version.serialize_field("references", &self.references)?;
        version.end()
    }
}

/// The versions of a row, the newest first. One round trip, and one more where there are none.
pub(crate) async fn read(
    tx: &mut Transaction,
    register: &Register,
    id: RowId,
) -> Result<Vec<RowVersion>, DataError> {
    let definition = register.loaded();
    let limit = i64::try_from(HISTORY_VERSIONS_MAX).unwrap_or(i64::MAX);
    let found = sqlx::query(READ_HISTORY)
        .bind(definition.key.0)
        .bind(id.as_uuid())
        .bind(limit)
        .fetch_all(tx.connection())
        .await?;
    if found.is_empty() {
        // A row that nobody has changed since its register keeps a history has none.
        let exists: bool = sqlx::query_scalar(ROW_EXISTS)
            .bind(definition.key.0)
            .bind(id.as_uuid())
            .fetch_one(tx.connection())
            .await?;
        if !exists {
            return Err(DataError::RowNotFound {
                register: definition.name.clone(),
                id,
            });
        }
    }
    found
        .iter()
        .map(|row| {
            let action: String = row.try_get("action")?;
            let stored: Json = row.try_get("cells")?;
            let (cells, references) = by_name(definition, &stored);
            Ok(RowVersion {
                version: row.try_get("version")?,
                action: RowAction::parse(&action)
                    .ok_or_else(|| DataError::corrupt("history of row", id))?,
                changed_by: row.try_get("changed_by")?,
                changed_at: row.try_get("changed_at")?,
                cells,
                references,
            })
        })
        .collect()
}

/// Whether rows of the register refer to others, so that their history holds references.
pub(crate) fn has_references(register: &LoadedRegister) -> bool {
    let mut fields = register.fields.iter();
    fields.any(|field| link::outgoing(register, field).is_some())
}

/// What a row refers to, as it stands among the cells of its history: a list of ids under the key of each
/// reference field.
pub(crate) fn references_json(register: &LoadedRegister, references: &References) -> Json {
    let mut members = Map::new();
    for field in &register.fields {
        let Some(relationship) = link::outgoing(register, field) else {
            continue;
        };
        if let Some(targets) = references.get(&relationship.key) {
            let targets = targets.iter().map(|id| Json::String(id.to_string()));
            members.insert(field.key.to_string(), targets.collect());
        }
    }
    Json::Object(members)
}

type Named = (BTreeMap<String, Cell>, BTreeMap<String, Vec<RowId>>);

fn by_name(register: &LoadedRegister, stored: &Json) -> Named {
    let mut typed = cells::read(register, stored);
    let mut named = BTreeMap::new();
    let mut references = BTreeMap::new();
    for field in &register.fields {
        if link::outgoing(register, field).is_some() {
            let targets = stored.get(field.key.to_string()).and_then(Json::as_array);
            let targets = targets.into_iter().flatten();
            let targets = targets.filter_map(|id| Uuid::parse_str(id.as_str()?).ok());
            references.insert(field.name().to_owned(), targets.map(RowId::from).collect());
        } else if let Some(cell) = typed.remove(&field.key) {
            named.insert(field.name().to_owned(), cell);
        }
    }
    (named, references)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_read_as_it_is_stored() {
        for action in RowAction::ALL {
            assert_eq!(RowAction::parse(action.as_str()), Some(action));
        }
        assert_eq!(RowAction::parse("delete"), None);
    }
}
