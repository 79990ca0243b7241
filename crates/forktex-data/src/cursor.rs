// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a page ended, as a text that a client hands back.
//!
//! It stands for the values of the last row in the columns of the order, and for the query that they
//! belong to. The driver of the text is `forktex-db`'s: nothing is signed here, and nothing trusted.

use std::fmt;

use forktex_db::{Cursor as Text, CursorError, Value as TextValue, ValueKind as TextKind};
use serde_json::Value as Json;

use crate::cell::Cell;
use crate::filter::Filter;
use crate::query::QueryError;
use crate::register::LoadedRegister;
use crate::value::{Value, ValueKind};

/// Where a page ended. Opaque: hand it to the client and take it back as it is.
///
/// It holds the values of one row that the client has seen, in the columns of the sort, readable for
/// whoever decodes it. It opens no door: a client that makes one up moves within its own list.
///
/// # Examples
/// ```
/// use forktex_data::Cursor;
///
/// // As it came in the address of a request; it is checked when a query takes it.
/// let cursor = Cursor::from("AbC");
/// assert_eq!(cursor.as_str(), "AbC");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Cursor(Text);

impl Cursor {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The cursor after a row with these values in the columns of the order, the id last.
    ///
    /// # Errors
    /// [`QueryError::CursorTooLong`].
    pub(crate) fn encode(
        fingerprint: &Fingerprint,
        values: &[Option<Value>],
    ) -> Result<Self, QueryError> {
        let values: Vec<Json> = values.iter().map(|value| write(value.as_ref())).collect();
        let text = TextValue::Text(Json::Array(values).to_string());
        let cursor = Text::after(&fingerprint.0, &[text]);
        cursor.map(Self).map_err(|_| QueryError::CursorTooLong)
    }

    /// The values that [`encode`](Self::encode) was given.
    ///
    /// # Errors
    /// [`QueryError::CursorOfAnotherQuery`], [`QueryError::CursorMalformed`].
    pub(crate) fn decode(
        &self,
        fingerprint: &Fingerprint,
        kinds: &[ValueKind],
    ) -> Result<Vec<Option<Value>>, QueryError> {
        let values =
            self.0
                .values(&fingerprint.0, &[TextKind::Text])
                .map_err(|error| match error {
                    CursorError::OfAnotherList => QueryError::CursorOfAnotherQuery,
                    _ => QueryError::CursorMalformed,
                })?;
        let Some(TextValue::Text(text)) = values.first() else {
            return Err(QueryError::CursorMalformed);
        };
        read_all(text, kinds).ok_or(QueryError::CursorMalformed)
    }
}

/// Takes any text; whether it is a cursor of the query is checked when it is used.
impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Cursor {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<&Cursor> for Cursor {
    fn from(cursor: &Cursor) -> Self {
        cursor.clone()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Stands for all that the rows of a list and their order depend on.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    /// `rest` is what else decides: the search, the order, the archived rows.
    pub(crate) fn new(
        register: &LoadedRegister,
        tenant: uuid::Uuid,
        filter: &Filter,
        rest: &Json,
    ) -> Self {
        Self(format!(
            "forktex-data {tenant} {} {} {} {rest}",
            register.key,
            register.name,
            filter.to_json()
        ))
    }
}

/// An empty cell is null; a JSON document cannot be sorted by.
fn write(value: Option<&Value>) -> Json {
    value.map_or(Json::Null, Value::to_cell_json)
}

fn read_all(text: &str, kinds: &[ValueKind]) -> Option<Vec<Option<Value>>> {
    let values: Vec<Json> = serde_json::from_str(text).ok()?;
    if values.len() != kinds.len() {
        return None;
    }
    let values = kinds.iter().zip(&values);
    values
        .map(|(kind, json)| Value::from_cell_json(*kind, json).map(Cell::into_value))
        .collect()
}

/// For fuzzing: reads the text as a cursor's payload, of each kind. Whatever it is, there is an answer.
#[doc(hidden)]
pub fn parse_cursor_of_any_kind(text: &str) {
    let kinds = [
        ValueKind::Text,
        ValueKind::Integer,
        ValueKind::Decimal,
        ValueKind::Boolean,
        ValueKind::Date,
        ValueKind::Datetime,
        ValueKind::Uuid,
        ValueKind::Json,
    ];
    for kind in kinds {
        let _ = read_all(text, &[kind]);
    }
    let _ = Cursor::from(text).decode(&Fingerprint(String::new()), &kinds);
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};
    use uuid::Uuid;

    use super::*;

    fn list(name: &str) -> Fingerprint {
        Fingerprint(name.to_owned())
    }

    #[test]
    fn values_come_back_as_they_were() {
        let values = [
            Some(Value::from("ü\"")),
            Some(Value::from(i64::MIN)),
            Some(Value::Decimal("-0.0001".parse().unwrap())),
            Some(Value::from(true)),
            Some(Value::from(date!(2026 - 01 - 31))),
            Some(Value::from(datetime!(2026-01-31 13:45:00.000_001 UTC))),
            None,
            Some(Value::from(Uuid::from_u128(7))),
        ];
        let kinds = [
            ValueKind::Text,
            ValueKind::Integer,
            ValueKind::Decimal,
            ValueKind::Boolean,
            ValueKind::Date,
            ValueKind::Datetime,
            ValueKind::Text,
            ValueKind::Uuid,
        ];
        let cursor = Cursor::encode(&list("a"), &values).unwrap();
        assert_eq!(cursor.decode(&list("a"), &kinds).unwrap(), values);
    }

    #[test]
    fn a_cursor_of_another_query_is_refused() {
        let cursor = Cursor::encode(&list("a"), &[None]).unwrap();
        let refused = cursor.decode(&list("b"), &[ValueKind::Text]);
        assert_eq!(refused, Err(QueryError::CursorOfAnotherQuery));
        let refused = cursor.decode(&list("a"), &[ValueKind::Text, ValueKind::Text]);
        assert_eq!(refused, Err(QueryError::CursorMalformed));
    }

    #[test]
    fn whatever_is_no_cursor_is_malformed() {
        for text in ["", "AbC", "%", "\0"] {
            let refused = Cursor::from(text).decode(&list("a"), &[]);
            assert_eq!(refused, Err(QueryError::CursorMalformed), "{text}");
        }
        parse_cursor_of_any_kind("[1]");
    }

    #[test]
    fn a_long_value_is_refused() {
        let long = Some(Value::from("x".repeat(20_000)));
        let refused = Cursor::encode(&list("a"), &[long]);
        assert_eq!(refused, Err(QueryError::CursorTooLong));
    }
}
