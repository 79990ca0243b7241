// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A statement that is put together: its text, and the values that are bound to it.

use std::collections::BTreeMap;

use forktex_db::DbError;
use forktex_db::sqlx::postgres::PgArguments;
use forktex_db::sqlx::{self, Arguments as _, AssertSqlSafe, Postgres};
use uuid::Uuid;

use crate::keys::{FieldKey, RegisterKey, RelationshipKey};

/// A bound value. It is data of rows: only tests show it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Bind {
    Text(String),
    Texts(Vec<String>),
    Uuid(Uuid),
    Uuids(Vec<Uuid>),
    Integer(i64),
    Integers(Vec<i64>),
}

/// A key of the catalogue, as a statement asks by it. Keys are bound, so that all tenants and registers
/// share one text for each shape of a query: the driver keeps few statements prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Register(RegisterKey),
    Relationship(RelationshipKey),
    /// The field of an entry.
    Field(FieldKey),
    /// The member of a row's cells: the key of a field as text.
    Cell(FieldKey),
}

impl Key {
    fn value(self) -> Bind {
        match self {
            Self::Register(RegisterKey(key))
            | Self::Relationship(RelationshipKey(key))
            | Self::Field(FieldKey(key)) => Bind::Integer(key),
            Self::Cell(key) => Bind::Text(key.to_string()),
        }
    }
}

/// A statement ready to run.
pub(crate) type Statement = sqlx::query::Query<'static, Postgres, PgArguments>;

/// A statement under construction.
#[derive(Clone, Default)]
pub(crate) struct SqlWriter {
    text: String,
    binds: Vec<Bind>,
    /// Where the keys stand among the binds, from 1.
    keys: BTreeMap<Key, usize>,
}

impl SqlWriter {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Binds a value; what is returned stands for it in the text.
    pub(crate) fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    pub(crate) fn bind_text(&mut self, text: impl Into<String>) -> String {
        self.bind(Bind::Text(text.into()))
    }

    /// Binds a small number of something.
    pub(crate) fn bind_count(&mut self, count: usize) -> String {
        self.bind(Bind::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// Binds a key; what is returned stands for it in the text. A key that is bound already keeps its
    /// place: one column is one expression to the server wherever it is written, as `GROUP BY` needs it.
    pub(crate) fn bind_key(&mut self, key: Key) -> String {
        let next = self.binds.len() + 1;
        let place = *self.keys.entry(key).or_insert(next);
        if place == next {
            self.binds.push(key.value());
        }
        match key {
            Key::Cell(_) => format!("${place}::text"),
            Key::Register(_) | Key::Relationship(_) | Key::Field(_) => format!("${place}::bigint"),
        }
    }

    /// Adds a statement to words that bind nothing, such as `EXPLAIN`.
    pub(crate) fn append(&mut self, statement: Self) {
        debug_assert!(self.binds.is_empty());
        self.text.push_str(&statement.text);
        self.binds = statement.binds;
        self.keys = statement.keys;
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[cfg(test)]
    pub(crate) fn binds(&self) -> &[Bind] {
        &self.binds
    }

    /// The statement with its values encoded.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when a value cannot be encoded, as one of more than a gigabyte.
    pub(crate) fn statement(self) -> Result<Statement, DbError> {
        let mut arguments = PgArguments::default();
        for bind in self.binds {
            let added = match bind {
                Bind::Text(text) => arguments.add(text),
                Bind::Texts(texts) => arguments.add(texts),
                Bind::Uuid(uuid) => arguments.add(uuid),
                Bind::Uuids(uuids) => arguments.add(uuids),
                Bind::Integer(number) => arguments.add(number),
                Bind::Integers(numbers) => arguments.add(numbers),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(AssertSqlSafe(self.text), arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_place_in_a_statement_and_keys_of_two_sorts_have_two() {
        let mut writer = SqlWriter::default();
        let places = [
            writer.bind_key(Key::Register(RegisterKey(7))),
            writer.bind_key(Key::Field(FieldKey(7))),
            writer.bind_text("value"),
            writer.bind_key(Key::Cell(FieldKey(7))),
            writer.bind_key(Key::Field(FieldKey(7))),
            writer.bind_key(Key::Relationship(RelationshipKey(7))),
            writer.bind_key(Key::Register(RegisterKey(8))),
        ];
        assert_eq!(
            places,
            [
                "$1::bigint",
                "$2::bigint",
                "$3",
                "$4::text",
                "$2::bigint",
                "$5::bigint",
                "$6::bigint"
            ]
        );
        assert_eq!(
            writer.binds(),
            [
                Bind::Integer(7),
                Bind::Integer(7),
                Bind::Text("value".to_owned()),
                Bind::Text("7".to_owned()),
                Bind::Integer(7),
                Bind::Integer(8)
            ]
        );
    }

    #[test]
    fn what_is_appended_keeps_its_binds() {
        let mut asked = SqlWriter::new("SELECT ");
        let key = asked.bind_key(Key::Register(RegisterKey(7)));
        asked.push(&key);
        let mut writer = SqlWriter::new("EXPLAIN ");
        writer.append(asked);
        assert_eq!(writer.text(), "EXPLAIN SELECT $1::bigint");
        assert_eq!(writer.bind_key(Key::Register(RegisterKey(7))), "$1::bigint");
        assert_eq!(writer.binds(), [Bind::Integer(7)]);
    }
}
