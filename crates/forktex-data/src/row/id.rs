// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Ids of rows. One that we make holds when its row was created, so that ids are in that order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

use crate::value::parse_uuid;

/// The id of a row: a UUIDv7, made by us, for the rows that we store.
///
/// # Examples
/// ```
/// use forktex_data::RowId;
///
/// let id: RowId = "0198c5c0-7c00-7000-8000-000000000001".parse()?;
/// assert_eq!(id.to_string(), "0198c5c0-7c00-7000-8000-000000000001");
/// assert!("17".parse::<RowId>().is_err());
/// # Ok::<(), forktex_data::InvalidRowId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowId(pub(crate) Uuid);

/// A text that is no id of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read a row id: it is a UUID of 36 characters, with dashes")]
#[non_exhaustive]
pub struct InvalidRowId;

impl RowId {
    /// The id as a UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// When the row was created, to the millisecond. Ids that we did not make may not say it.
    pub fn created_at(self) -> Option<OffsetDateTime> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let [b1, b2, b3, b4, b5, b6, ..] = *self.0.as_bytes();
        let millis = i128::from(i64::from_be_bytes([0, 0, b1, b2, b3, b4, b5, b6]));
        OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).ok()
    }

    /// A new id for a row that is created at this instant.
    pub(crate) fn generate(at: OffsetDateTime) -> Self {
        // The fixed bits of the random id are where those of the new one are put over them.
        let [.., r1, r2, r3, r4, r5, r6, r7, r8, r9, r10] = *Uuid::new_v4().as_bytes();
        let random = [r1, r2, r3, r4, r5, r6, r7, r8, r9, r10];
        let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// New ids for rows that are created at this instant, ascending: so rows that are created together
    /// stay in the order in which they were given.
    pub(crate) fn generate_many(at: OffsetDateTime, count: usize) -> Vec<Self> {
        let mut ids: Vec<Self> = (0..count).map(|_| Self::generate(at)).collect();
        ids.sort_unstable();
        ids
    }
}

impl From<Uuid> for RowId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<RowId> for Uuid {
    fn from(id: RowId) -> Self {
        id.0
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RowId {
    type Err = InvalidRowId;

    fn from_str(text: &str) -> Result<Self, InvalidRowId> {
        parse_uuid(text).map(Self).ok_or(InvalidRowId)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn at(millis: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(millis)
    }

    #[test]
    fn an_id_holds_when_its_row_was_created() {
        for millis in [0, 1, 1_785_000_000_123, 253_402_300_799_999] {
            let id = RowId::generate(at(millis));
            assert_eq!(id.created_at(), Some(at(millis)));
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
        }
        assert_eq!(RowId::from(Uuid::new_v4()).created_at(), None);
        assert_eq!(RowId::generate(at(-5)).created_at(), Some(at(0)));
    }

    #[test]
    fn ids_of_one_instant_ascend_and_later_ones_come_after() {
        let first = RowId::generate_many(at(1_000), 500);
        let later = RowId::generate_many(at(1_001), 500);
        let all: Vec<_> = first.iter().chain(&later).collect();
        assert!(all.is_sorted());
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 1_000);
    }

    #[test]
    fn ids_go_through_text_and_json() {
        let id = RowId::generate(at(7));
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_value(id).unwrap();
        assert_eq!(json, serde_json::json!(id.to_string()));
        assert_eq!(serde_json::from_value::<RowId>(json).unwrap(), id);
        for text in [
            "",
            "1",
            "0198c5c07c0070008000000000000001",
            "x".repeat(36).as_str(),
        ] {
            assert_eq!(text.parse::<RowId>(), Err(InvalidRowId));
        }
    }
}
