// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a schema could not be migrated. Like [`DbError`], it never holds the driver's text.

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::error::DbError;

/// A failed migration. Nothing was applied, except perhaps after [`DbError::OutcomeUnknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The program's migrations are not numbered 1, 2, 3 and so on.
    #[error("migration {found} stands where {expected} belongs; number them from 1, without gaps")]
    OutOfSequence {
        /// The version that belongs there.
        expected: u32,
        /// The version that stands there.
        found: u32,
    },

    /// A migration was edited after it had been applied.
    #[error(
        "migration {version} `{name}` was changed after it had been applied; restore its text and \
         put the change in a new migration"
    )]
    ChecksumChanged {
        /// The version.
        version: u32,
        /// The name that the program gives it.
        name: &'static str,
    },

    /// The database has a later version but not this one.
    #[error("the database has later migrations but not {version}; restore its history")]
    Hole {
        /// The version that is missing.
        version: u32,
    },

    /// The database refused a migration.
    #[error("migration {version} `{name}` failed{}", Line(*line))]
    Failed {
        /// The version.
        version: u32,
        /// Its name.
        name: &'static str,
        /// The line of its text, counted from 1, if the server named a place.
        line: Option<usize>,
        /// What the database reported.
        source: DbError,
    },

    /// The database could not be reached, or would not do what every run needs.
    #[error("the migrations could not be run: {0}")]
    Database(#[from] DbError),
}

/// Writes ` at line 7`, or nothing.
struct Line(Option<usize>);

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " at line {line}"))
    }
}

/// The line of `sql` that the server's report points at.
pub(super) fn line_of(error: &sqlx::Error, sql: &str) -> Option<usize> {
    let error = error.as_database_error()?;
    match error.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(character) => Some(line_at(sql, character)),
        PgErrorPosition::Internal { .. } => None,
    }
}

/// The line of the character at a position counted from 1.
fn line_at(sql: &str, character: usize) -> usize {
    1 + sql
        .chars()
        .take(character.saturating_sub(1))
        .filter(|&c| c == '\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_not_bytes() {
        let sql = "-- ü\nSELECT 1;\nSELEC 2";
        assert_eq!(line_at(sql, 1), 1);
        assert_eq!(line_at(sql, 6), 2);
        assert_eq!(line_at(sql, 16), 3);
    }
}
