// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A statement that is put together: its text, and the values that are bound to it.
//!
//! Values can only be bound. What is written into the text are words of this crate, so that the server
//! sees few texts: one for each shape of a write, whichever register it is about.

use std::fmt;

use forktex_db::DbError;
use forktex_db::sqlx::error::BoxDynError;
use forktex_db::sqlx::postgres::{PgArguments, PgBindIterExt as _, PgHasArrayType};
use forktex_db::sqlx::query::Query;
use forktex_db::sqlx::{self, Arguments, AssertSqlSafe, Encode, Postgres, Type};

/// A statement under construction: common table expressions, and the query behind them.
#[derive(Default)]
pub(crate) struct Statement {
    text: String,
    arguments: PgArguments,
    bound: usize,
    /// The first value that could not be encoded.
    fault: Option<BoxDynError>,
    has_parts: bool,
}

/// The place of a bound value. It may be written several times.
#[derive(Clone, Copy)]
pub(crate) struct Placeholder(usize);

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.0)
    }
}

impl Statement {
    /// Binds a value, and gives the place that stands for it in the text.
    pub(crate) fn bind<'q, T>(&mut self, value: T) -> Placeholder
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Err(fault) = Arguments::add(&mut self.arguments, value) {
            self.fault.get_or_insert(fault);
        }
        self.bound += 1;
        Placeholder(self.bound)
    }

    /// Binds an array of what an iterator gives, which is written where it is sent from at once.
    pub(crate) fn bind_each<'q, I>(&mut self, values: I) -> Placeholder
    where
        I: Iterator,
        I::Item: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        self.bind(values.bind_iter())
    }

    /// Adds a common table expression.
    pub(crate) fn part(&mut self, name: &str, sql: &str) {
        self.text
            .push_str(if self.has_parts { ",\n" } else { "WITH " });
        self.has_parts = true;
        self.text.push_str(name);
        self.text.push_str(" AS MATERIALIZED (");
        self.text.push_str(sql);
        self.text.push(')');
    }

    /// Ends the text with the query that stands behind the parts.
    pub(crate) fn end(&mut self, sql: &str) {
        self.text.push('\n');
        self.text.push_str(sql);
    }

    /// The statement, ready to run.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when a value could not be encoded.
    pub(crate) fn query(self) -> Result<Query<'static, Postgres, PgArguments>, DbError> {
        match self.fault {
            Some(fault) => Err(sqlx::Error::Encode(fault).into()),
            None => Ok(sqlx::query_with(AssertSqlSafe(self.text), self.arguments)),
        }
    }

    /// The text so far.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_places_are_counted() {
        let mut statement = Statement::default();
        let key = statement.bind(7_i64);
        let names = statement.bind_each(["a", "b"].into_iter());
        statement.part("a", &format!("SELECT {key}"));
        statement.part("b", &format!("SELECT {names}::text[], {key}"));
        statement.end("SELECT 1");
        assert_eq!(
            statement.text(),
            "WITH a AS MATERIALIZED (SELECT $1),\nb AS MATERIALIZED (SELECT $2::text[], $1)\nSELECT 1"
        );
        assert!(statement.query().is_ok());
    }
}
