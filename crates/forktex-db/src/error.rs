// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with the database, told apart by SQLSTATE.
//!
//! An error holds names and codes only: constraint, column, object kind, SQLSTATE. The driver's own
//! text may quote the values of a row, so it is logged at the debug level and then dropped: it is in
//! no `Display`, no `Debug` and no `source()`.

mod sqlstate;

use std::borrow::Cow;
use std::fmt;

pub use sqlstate::SqlState;

use crate::cipher::CipherError;

/// A failed database operation.
///
/// The variants say what the caller can do: repair the input ([`Invalid`](Self::Invalid),
/// [`AlreadyExists`](Self::AlreadyExists)), try the transaction again
/// ([`is_retryable`](Self::is_retryable)), wait for the server ([`Unavailable`](Self::Unavailable),
/// [`Timeout`](Self::Timeout)), look whether the write happened
/// ([`OutcomeUnknown`](Self::OutcomeUnknown)), or call the operator ([`Denied`](Self::Denied),
/// [`Missing`](Self::Missing), [`Internal`](Self::Internal)).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// A query that must return a row returned none.
    #[error("no row was found")]
    NotFound,

    /// A unique constraint or a primary key was violated (SQLSTATE 23505).
    #[error("a row with the same unique values already exists{}", Constraint(constraint.as_deref()))]
    AlreadyExists {
        /// The constraint or unique index.
        constraint: Option<String>,
    },

    /// The input cannot be stored or understood; the same call will fail again.
    #[error("invalid: {reason}{}{}", Column(column.as_deref()), Constraint(constraint.as_deref()))]
    Invalid {
        /// What is wrong, and where possible what to do.
        reason: Cow<'static, str>,
        /// The constraint that refused the row.
        constraint: Option<String>,
        /// The column at fault.
        column: Option<String>,
        /// The server's code; none when the call was refused before it reached the server.
        sqlstate: Option<SqlState>,
    },

    /// Another transaction is in the way.
    #[error("conflict with another transaction: {reason}{}", Constraint(constraint.as_deref()))]
    Conflict {
        /// What the two collided on.
        reason: &'static str,
        /// The exclusion constraint, where one is the cause.
        constraint: Option<String>,
        /// The server's code.
        sqlstate: Option<SqlState>,
    },

    /// The server cannot be reached, is shutting down, or has no resources left.
    #[error("the database{} is unavailable: {reason}", Server(server.as_deref()))]
    Unavailable {
        /// Where it was looked for, as `host:port/database`.
        server: Option<String>,
        /// What was noticed.
        reason: &'static str,
        /// The server's code, if it answered.
        sqlstate: Option<SqlState>,
    },

    /// A time limit passed.
    #[error("timed out while waiting for {awaited}")]
    Timeout {
        /// What was waited for.
        awaited: Awaited,
    },

    /// The connection broke while a commit was under way: the transaction is either wholly there or
    /// wholly absent, and only a look into the database can tell.
    ///
    /// It is never retried.
    #[error(
        "the connection broke during the commit, so it is unknown whether the transaction was \
         kept; read it back before trying again"
    )]
    OutcomeUnknown,

    /// The transaction could not be committed because an earlier part of it had failed; nothing of it
    /// was kept.
    #[error("the transaction was rolled back: {reason}")]
    Aborted {
        /// What spoiled the transaction.
        reason: &'static str,
    },

    /// The database role may not do this, or may not log in.
    #[error("the database refused access ({sqlstate}); grant the role what it needs")]
    Denied {
        /// The server's code.
        sqlstate: SqlState,
    },

    /// The statement names something that the database does not have, most often because a migration
    /// has not run.
    #[error("the database has no such {object}; run the migrations first")]
    Missing {
        /// What kind of object is missing: `table`, `column`, `schema`, `function`...
        object: &'static str,
        /// The server's code.
        sqlstate: Option<SqlState>,
    },

    /// A value that came back does not fit the Rust type that it was read into.
    #[error("a value cannot be read as the expected type{}", Column(column.as_deref()))]
    Unreadable {
        /// The column, by name or by position.
        column: Option<String>,
    },

    /// A sealed value could not be opened, or a value could not be sealed.
    #[error("column `{column}` cannot be sealed or opened: {cause}")]
    Sealed {
        /// The column.
        column: String,
        /// Why, without the value.
        cause: CipherError,
    },

    /// A fault that no caller can mend: a syntax error, a broken server, a driver fault.
    #[error("the database failed{}; the log has the details at the debug level", State(*sqlstate))]
    Internal {
        /// The server's code, if it gave one.
        sqlstate: Option<SqlState>,
    },
}

/// What a [`DbError::Timeout`] was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Awaited {
    /// A free connection of the pool.
    Connection,
    /// The server's answer to a connection attempt.
    Connect,
    /// A statement or a transaction, stopped by its time limit or by an operator.
    Statement,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "a free connection; raise max_connections or hold them for less",
            Self::Connect => "the server to accept a connection",
            Self::Statement => "a statement to finish",
        })
    }
}

/// Errors that know whether running the same transaction again may succeed.
///
/// Implement it for an error type of your own, so that [`Db::retrying`](crate::Db::retrying) can see
/// through it to the [`DbError`] inside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether its transaction may be retried",
    note = "implement `forktex_db::Retryable`: forward to the `DbError` inside and answer `false` for the rest"
)]
pub trait Retryable {
    /// Whether the transaction lost a race, kept nothing, and may well succeed when run again.
    fn is_retryable(&self) -> bool;
}

impl Retryable for DbError {
    fn is_retryable(&self) -> bool {
        DbError::is_retryable(self)
    }
}

impl DbError {
    /// Whether the transaction lost a race (a serialisation failure, 40001, or a deadlock, 40P01),
    /// kept nothing, and may well succeed when run again.
    ///
    /// [`OutcomeUnknown`](Self::OutcomeUnknown) never is: the first run may have been kept.
    pub fn is_retryable(&self) -> bool {
        matches!(self.sqlstate(), Some("40001" | "40P01"))
    }

    /// The SQLSTATE code, for what the variants do not tell apart.
    ///
    /// None when the fault was noticed on this side, and for the variants that leave it out.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::AlreadyExists { .. } => Some("23505"),
            Self::Invalid { sqlstate, .. }
            | Self::Conflict { sqlstate, .. }
            | Self::Unavailable { sqlstate, .. }
            | Self::Missing { sqlstate, .. }
            | Self::Internal { sqlstate } => sqlstate.as_ref().map(SqlState::as_str),
            Self::Denied { sqlstate } => Some(sqlstate.as_str()),
            Self::NotFound
            | Self::Timeout { .. }
            | Self::OutcomeUnknown
            | Self::Aborted { .. }
            | Self::Sealed { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// An [`Invalid`](Self::Invalid) found before anything was sent.
    pub(crate) fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid {
            reason: reason.into(),
            constraint: None,
            column: None,
            sqlstate: None,
        }
    }

    pub(crate) fn unavailable(reason: &'static str) -> Self {
        Self::Unavailable {
            server: None,
            reason,
            sqlstate: None,
        }
    }

    /// Names the server in an [`Unavailable`](Self::Unavailable) that does not name one yet.
    pub(crate) fn at(mut self, address: &str) -> Self {
        if let Self::Unavailable { server, .. } = &mut self {
            server.get_or_insert_with(|| address.to_owned());
        }
        self
    }

    /// Reads an error that came out of a commit.
    ///
    /// An ordinary error means that the server rolled back. Anything that ended the connection leaves
    /// it open which came first, the commit or the end.
    pub(crate) fn from_commit(error: sqlx::Error) -> Self {
        if sqlstate::leaves_commit_unknown(&error) {
            log_driver_text(&error);
            return Self::OutcomeUnknown;
        }
        Self::from(error)
    }
}

/// Sorts a driver error by its SQLSTATE. The driver's text is logged at the debug level and dropped.
impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        log_driver_text(&error);
        match error {
            sqlx::Error::Database(error) => sqlstate::classify(error.as_ref()),
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::PoolTimedOut => Self::Timeout {
                awaited: Awaited::Connection,
            },
            sqlx::Error::PoolClosed => Self::unavailable("the pool was closed"),
            sqlx::Error::Io(_) => Self::unavailable("the connection failed"),
            sqlx::Error::Tls(_) => Self::unavailable("a TLS connection could not be made"),
            sqlx::Error::WorkerCrashed => Self::unavailable("the driver's worker stopped"),
            sqlx::Error::Configuration(_) => {
                Self::invalid("the connection options are not understood")
            }
            sqlx::Error::InvalidArgument(_) | sqlx::Error::Encode(_) => {
                Self::invalid("a bound value cannot be encoded")
            }
            sqlx::Error::TypeNotFound { .. } => Self::Missing {
                object: "type",
                sqlstate: None,
            },
            sqlx::Error::ColumnNotFound(column) => Self::Unreadable {
                column: Some(column),
            },
            sqlx::Error::ColumnDecode { index, .. } => Self::Unreadable {
                column: Some(index.trim_matches('"').to_owned()),
            },
            sqlx::Error::ColumnIndexOutOfBounds { index, .. } => Self::Unreadable {
                column: Some(index.to_string()),
            },
            sqlx::Error::Decode(_) => Self::Unreadable { column: None },
            sqlx::Error::BeginFailed | sqlx::Error::InvalidSavePointStatement => Self::Aborted {
                reason: "it could not be started inside another one",
            },
            // One that we sent through the driver ourselves.
            sqlx::Error::AnyDriverError(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(_) => Self::Internal { sqlstate: None },
            },
            _ => Self::Internal { sqlstate: None },
        }
    }
}

fn log_driver_text(error: &sqlx::Error) {
    tracing::debug!(error = ?error, "a database operation failed");
}

/// Writes the constraint's name after a comma, or nothing.
struct Constraint<'a>(Option<&'a str>);

impl fmt::Display for Constraint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |name| write!(f, ", constraint `{name}`"))
    }
}

/// Writes the column's name after a comma, or nothing.
struct Column<'a>(Option<&'a str>);

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, ", column `{name}`"))
    }
}

/// Writes ` at host:port/database`, or nothing.
struct Server<'a>(Option<&'a str>);

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |server| write!(f, " at {server}"))
    }
}

/// Writes ` (sqlstate 12345)`, or nothing.
struct State(Option<SqlState>);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |state| write!(f, " (sqlstate {state})"))
    }
}
