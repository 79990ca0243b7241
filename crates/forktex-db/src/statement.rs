// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A statement that is put together: its text, and the values that are bound to it.
//!
//! Values can only be bound. What is written into the text are words of ours and names that went
//! through the quoting helper.

use std::fmt;

use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, Postgres};

use crate::value::{Parameter, Value, ValueKind};

/// A statement under construction. Written to with `write!`, which cannot fail here.
#[derive(Default)]
pub(crate) struct Statement {
    text: String,
    parameters: Vec<Parameter>,
}

/// A statement ready to run.
pub(crate) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

impl Statement {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            parameters: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Writes something that displays as SQL: a number, or a quoted name.
    pub(crate) fn put(&mut self, part: impl fmt::Display) -> &mut Self {
        use fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{part}");
        self
    }

    /// Binds a value and writes its placeholder.
    pub(crate) fn bind(&mut self, kind: ValueKind, value: Value) -> &mut Self {
        self.bind_parameter(Parameter::One(kind, value))
    }

    /// Binds an array and writes its placeholder.
    pub(crate) fn bind_array(&mut self, kind: ValueKind, values: Vec<Value>) -> &mut Self {
        self.bind_parameter(Parameter::Many(kind, values))
    }

    fn bind_parameter(&mut self, parameter: Parameter) -> &mut Self {
        self.parameters.push(parameter);
        let number = self.parameters.len();
        self.push("$").put(number)
    }

    /// The statement with its arguments encoded.
    ///
    /// # Errors
    /// The driver's, when a value cannot be encoded.
    pub(crate) fn query(self) -> Result<Query, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for parameter in self.parameters {
            parameter.bind(&mut arguments)?;
        }
        Ok(sqlx::query_with(AssertSqlSafe(self.text), arguments))
    }
}
