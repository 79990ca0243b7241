// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The table from SQLSTATE codes to variants of [`DbError`].
//!
//! It reads codes and names, never the message: messages are translated by the server and may hold
//! row values.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::{Awaited, DbError};

/// A five-character SQLSTATE code, such as `23505`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// Reads a code; none unless it is five ASCII digits or capital letters.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 5] = code.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(bytes))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Turns the server's report into a [`DbError`], keeping only names and the code.
pub(super) fn classify(error: &dyn DatabaseError) -> DbError {
    let code = error.code().unwrap_or_default();
    let column = error
        .try_downcast_ref::<PgDatabaseError>()
        .and_then(PgDatabaseError::column);
    from_code(&code, error.constraint(), column)
}

/// Whether an error of a commit leaves open what became of it.
pub(super) fn leaves_commit_unknown(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            // An ERROR means that the commit was refused. FATAL and PANIC end the session, and may
            // strike after the commit record was written.
            let ends_session = error
                .try_downcast_ref::<PgDatabaseError>()
                .is_some_and(|error| {
                    matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                });
            let code = error.code().unwrap_or_default();
            ends_session || code == "40003" || code.starts_with("08") || code.starts_with("57P")
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn from_code(code: &str, constraint: Option<&str>, column: Option<&str>) -> DbError {
    let sqlstate = SqlState::new(code);
    let invalid = |reason: &'static str| DbError::Invalid {
        reason: reason.into(),
        constraint: constraint.map(str::to_owned),
        column: column.map(str::to_owned),
        sqlstate,
    };
    let conflict = |reason| DbError::Conflict {
        reason,
        constraint: constraint.map(str::to_owned),
        sqlstate,
    };
    let unavailable = |reason| DbError::Unavailable {
        server: None,
        reason,
        sqlstate,
    };
    let missing = |object| DbError::Missing { object, sqlstate };
    let denied = || {
        sqlstate.map_or(DbError::Internal { sqlstate }, |sqlstate| DbError::Denied {
            sqlstate,
        })
    };

    match code {
        "P0002" => DbError::NotFound,
        "23505" => DbError::AlreadyExists {
            constraint: constraint.map(str::to_owned),
        },
        "23P01" => conflict("the row overlaps one that exists"),
        "40001" => conflict("it could not be serialised"),
        "40P01" => conflict("a deadlock was broken"),
        "55P03" => conflict("a lock is held elsewhere"),
        "55006" => conflict("the object is in use"),
        "40003" => DbError::OutcomeUnknown,
        "25P01" => DbError::Aborted {
            reason: "it was ended by a statement inside it",
        },
        "25P02" => DbError::Aborted {
            reason: "a statement in it had failed; return that error, or run the statement in a \
                     nested transaction",
        },
        "57014" | "25P04" => DbError::Timeout {
            awaited: Awaited::Statement,
        },
        "25P03" => unavailable("the transaction was idle for too long and was ended"),
        "57P01" | "57P02" => unavailable("the server is shutting down"),
        "57P03" => unavailable("the server is starting up or shutting down"),
        "57P04" => unavailable("the database was dropped"),
        "57P05" => unavailable("the session was idle for too long and was ended"),
        "53300" => unavailable("the server has no free connections"),
        "53100" => unavailable("the server's disk is full"),
        "42501" | "25006" => denied(),
        "3D000" => missing("database"),
        "3F000" => missing("schema"),
        "42P01" => missing("table"),
        "42703" => missing("column"),
        "42883" => missing("function"),
        "42704" => missing("type or object"),
        "42P04" | "42P06" | "42P07" | "42710" | "42723" | "42701" => {
            invalid("an object of this name exists already")
        }
        "23502" => invalid("a required column is null"),
        "23503" => invalid("a referenced row does not exist, or is still referred to"),
        "23514" => invalid("a check constraint refused the row"),
        "P0001" => invalid("a function or trigger in the database refused the statement"),
        _ => match code.get(..2).unwrap_or_default() {
            "22" => invalid("a value is out of range or malformed for its type"),
            "23" | "44" => invalid("a constraint refused the row"),
            "40" => conflict("the transaction was rolled back by the server"),
            "28" => denied(),
            "08" => unavailable("the connection failed"),
            "53" | "58" => unavailable("the server has run out of resources"),
            _ => DbError::Internal { sqlstate },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_variant() {
        let kind = |code| from_code(code, Some("user_email_key"), Some("email"));
        assert_eq!(
            kind("23505"),
            DbError::AlreadyExists {
                constraint: Some("user_email_key".into())
            }
        );
        assert!(matches!(kind("23502"), DbError::Invalid { column: Some(c), .. } if c == "email"));
        assert!(matches!(kind("22003"), DbError::Invalid { .. }));
        assert!(matches!(kind("40001"), DbError::Conflict { .. }));
        assert!(matches!(kind("55P03"), DbError::Conflict { .. }));
        assert!(matches!(kind("57P01"), DbError::Unavailable { .. }));
        assert!(matches!(kind("08006"), DbError::Unavailable { .. }));
        assert!(matches!(kind("57014"), DbError::Timeout { .. }));
        assert!(matches!(kind("42501"), DbError::Denied { .. }));
        assert!(matches!(kind("28P01"), DbError::Denied { .. }));
        assert!(matches!(
            kind("42P01"),
            DbError::Missing {
                object: "table",
                ..
            }
        ));
        assert!(matches!(kind("25P02"), DbError::Aborted { .. }));
        assert!(matches!(kind("XX000"), DbError::Internal { .. }));
        assert!(matches!(
            kind("nonsense"),
            DbError::Internal { sqlstate: None }
        ));
    }

    #[test]
    fn only_lost_races_are_retryable() {
        for code in ["40001", "40P01"] {
            assert!(from_code(code, None, None).is_retryable(), "{code}");
        }
        for code in [
            "23505", "55P03", "57014", "40003", "57P01", "25P02", "40002",
        ] {
            assert!(!from_code(code, None, None).is_retryable(), "{code}");
        }
        assert!(!DbError::OutcomeUnknown.is_retryable());
    }

    #[test]
    fn messages_name_the_constraint_and_the_column() {
        let error = from_code("23514", Some("total_positive"), Some("total"));
        assert_eq!(
            error.to_string(),
            "invalid: a check constraint refused the row, column `total`, constraint `total_positive`"
        );
        assert_eq!(error.sqlstate(), Some("23514"));
    }

    #[test]
    fn a_code_is_five_digits_or_capitals() {
        assert_eq!(SqlState::new("40P01").unwrap().as_str(), "40P01");
        assert!(SqlState::new("4001").is_none());
        assert!(SqlState::new("40p01").is_none());
    }

    #[test]
    fn a_broken_connection_leaves_a_commit_unknown() {
        let io = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(leaves_commit_unknown(&io));
        assert!(!leaves_commit_unknown(&sqlx::Error::RowNotFound));
    }
}
