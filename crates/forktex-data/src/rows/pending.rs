// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes and deletions that have been asked for and are done when they are awaited, so that a caller can
//! first say which version it means.

use std::fmt;
use std::pin::Pin;

use forktex_db::Transaction;

use super::change::ChangeKind;
use super::{delete, inside, source};
use crate::error::DataError;
use crate::register::Register;
use crate::relations::DeletePlan;
use crate::row::{Row, RowId};

/// A change of a row, made by [`Rows::patch`](super::Rows::patch) and its like. It is done when it is awaited.
///
/// # Cancellation
/// The row is changed as a whole, or not at all.
#[must_use = "nothing is changed until this is awaited"]
pub struct RowChange<'t> {
    pub(super) through: Through<'t>,
    pub(super) id: RowId,
    pub(super) kind: ChangeKind,
    pub(super) expected: Option<i64>,
}

impl RowChange<'_> {
    /// Refuses the change if the row is not at this version any more, so that nobody's change is
    /// overwritten unseen.
    pub fn expect_version(mut self, version: i64) -> Self {
        self.expected = Some(version);
        self
    }

    async fn run(self) -> Result<Row, DataError> {
        let Self {
            through,
            id,
            kind,
            expected,
        } = self;
        match through {
            Through::Own(register) => source::change(&register, id, &kind, expected).await,
            Through::In {
                register,
                tx,
                is_own,
            } => {
                inside::require_own(&register, is_own)?;
                let (register, kind) = (&register, &kind);
                tx.transaction(async |tx| source::change_in(tx, register, id, kind, expected).await)
                    .await
            }
        }
    }
}

impl<'t> IntoFuture for RowChange<'t> {
    type Output = Result<Row, DataError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for RowChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowChange")
            .field("id", &self.id)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// A deletion of a row, made by [`Rows::delete`](super::Rows::delete). It is done when it is awaited.
///
/// # Cancellation
/// The row is deleted with all that goes with it, or nothing is.
#[must_use = "nothing is deleted until this is awaited"]
pub struct RowDeletion<'t> {
    pub(super) through: Through<'t>,
    pub(super) id: RowId,
    pub(super) expected: Option<i64>,
}

impl RowDeletion<'_> {
    /// Refuses the deletion if the row is not at this version any more.
    pub fn expect_version(mut self, version: i64) -> Self {
        self.expected = Some(version);
        self
    }

    async fn run(self) -> Result<DeletePlan, DataError> {
        let Self {
            through,
            id,
            expected,
        } = self;
        match through {
            Through::Own(register) => source::delete(&register, id, expected).await,
            Through::In {
                register,
                tx,
                is_own,
            } => {
                inside::require_own(&register, is_own)?;
                let register = &register;
                register.require_stored("delete rows in a transaction")?;
                tx.transaction(async |tx| delete::delete(tx, register, id, expected).await)
                    .await
            }
        }
    }
}

impl<'t> IntoFuture for RowDeletion<'t> {
    type Output = Result<DeletePlan, DataError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for RowDeletion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowDeletion")
            .field("id", &self.id)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// In which transaction a change is made.
pub(super) enum Through<'t> {
    /// One of its own.
    Own(Register),
    /// The caller's.
    In {
        register: Register,
        tx: &'t mut Transaction,
        /// Whether it is about the organisation whose register it is.
        is_own: bool,
    },
}
