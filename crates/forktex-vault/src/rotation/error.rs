// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a rotation stopped. A row that cannot be opened is no reason to: it is set aside.

use forktex_db::{DbError, Retryable};

use super::report::BadRow;
use crate::error::VaultError;
use crate::key::KeyId;

/// A rotation that could not be begun, or was stopped. What it had done is kept, and the same call
/// goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The database refused, or is away.
    #[error("the rotation stopped: {0}")]
    Database(#[from] DbError),

    /// Values cannot be sealed.
    #[error("the rotation cannot seal: {0}")]
    Vault(#[from] VaultError),

    /// No key was given to seal under.
    #[error("the rotation of {table}.{column} has no key to seal under; name it with `to`")]
    NoTargetKey {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },

    /// Two keys bear one id, so that it could not be told what is still under the old one.
    #[error("an old key and the new one bear the same id, {id}; give the new key another")]
    SameKeyId {
        /// The id.
        id: KeyId,
    },

    /// A rotation of the column runs in another process, or elsewhere in this one.
    #[error("a rotation of {table}.{column} is already running; wait until it ends")]
    AlreadyRunning {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },

    /// This rotation lost its connection, and another has taken it up since.
    #[error("the rotation of {table}.{column} was taken up by another process; this one stops")]
    Superseded {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },

    /// The column is sealed for another key, and would refuse every new value.
    #[error(
        "{table}.{column} is sealed for key {key} by constraint `{constraint}`; take that off with `unseal` first"
    )]
    SealedForOtherKey {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The constraint that seals it.
        constraint: String,
        /// The key that it was sealed for.
        key: String,
    },

    /// Rows whose values cannot be opened, or are not those of the plain column, are in the way.
    #[error(
        "{rows} rows of {table}.{column} are in the way{}; mend or clear them, then try again",
        first_of(bad_rows)
    )]
    BadRowsLeft {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// How many there are.
        rows: u64,
        /// The first of them.
        bad_rows: Vec<BadRow>,
    },

    /// Rows under an old key, or in plain, kept coming.
    #[error(
        "after {passes} passes there are still writers of {table}.{column} that do not use the new key; find and restart them"
    )]
    NeverClean {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// How many passes were made.
        passes: u32,
    },
}

fn first_of(bad_rows: &[BadRow]) -> String {
    match bad_rows.first() {
        Some(BadRow { row_id, kind, .. }) => format!(", the first being {row_id} ({kind})"),
        None => String::new(),
    }
}

impl Retryable for RotationError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// A `Invalid` that was found before anything was written.
pub(super) fn invalid(
    reason: impl Into<std::borrow::Cow<'static, str>>,
    column: Option<&str>,
) -> DbError {
    DbError::Invalid {
        reason: reason.into(),
        constraint: None,
        column: column.map(str::to_owned),
        sqlstate: None,
    }
}
