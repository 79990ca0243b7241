// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A statement that is put together: its text, and the values that are bound to it.

use forktex_db::DbError;
use forktex_db::sqlx::postgres::PgArguments;
use forktex_db::sqlx::{self, Arguments as _, AssertSqlSafe, Postgres};
use uuid::Uuid;

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

/// A statement ready to run.
pub(crate) type Statement = sqlx::query::Query<'static, Postgres, PgArguments>;

/// A statement under construction.
#[derive(Clone, Default)]
pub(crate) struct SqlWriter {
    text: String,
    binds: Vec<Bind>,
}

impl SqlWriter {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            binds: Vec::new(),
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

    /// Adds a statement to words that bind nothing, such as `EXPLAIN`.
    pub(crate) fn append(&mut self, statement: Self) {
        debug_assert!(self.binds.is_empty());
        self.text.push_str(&statement.text);
        self.binds.extend(statement.binds);
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
