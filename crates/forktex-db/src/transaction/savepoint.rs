// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A nested transaction as a savepoint.
//!
//! All savepoints have one name: a new one hides the older of that name, and each statement below
//! means the newest.

use sqlx::Executor;

use super::{Transaction, nested_was_interrupted};
use crate::error::DbError;
use crate::tenant::Told;

/// A savepoint that is set, or may be. Dropped before it is known to be gone, it condemns the
/// transaction around it: nobody could say any more which writes are meant to stay.
pub(super) struct Savepoint<'a> {
    transaction: &'a mut Transaction,
    hooks_before: usize,
    told_before: Told,
    is_gone: bool,
}

impl<'a> Savepoint<'a> {
    pub(super) async fn open(transaction: &'a mut Transaction) -> Result<Self, DbError> {
        if transaction.nested_interrupted {
            return Err(nested_was_interrupted());
        }
        let mut savepoint = Self {
            hooks_before: transaction.hooks.len(),
            told_before: transaction.told,
            transaction,
            is_gone: false,
        };
        if let Err(error) = savepoint.execute("SAVEPOINT forktex_nested").await {
            // Refused, so there is nothing to undo.
            savepoint.is_gone = true;
            return Err(error);
        }
        Ok(savepoint)
    }

    pub(super) fn transaction(&mut self) -> &mut Transaction {
        self.transaction
    }

    /// Keeps what was done since. Fails if a statement had failed, and then undoes it all.
    pub(super) async fn release(mut self) -> Result<(), DbError> {
        if self.transaction.nested_interrupted {
            // A deeper one was dropped midway and the caller went on.
            self.roll_back().await;
            return Err(nested_was_interrupted());
        }
        match self.execute("RELEASE SAVEPOINT forktex_nested").await {
            Ok(()) => {
                self.is_gone = true;
                Ok(())
            }
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        }
    }

    /// Undoes what was done since. If that fails, the transaction around it can only roll back.
    pub(super) async fn roll_back(mut self) {
        self.transaction.hooks.truncate(self.hooks_before);
        let undone = self
            .execute("ROLLBACK TO SAVEPOINT forktex_nested; RELEASE SAVEPOINT forktex_nested")
            .await;
        self.is_gone = undone.is_ok();
        // The server has undone its settings as well.
        self.transaction.told = self.told_before;
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), DbError> {
        let executed = self.transaction.connection().execute(statement).await;
        executed
            .map(|_| ())
            .map_err(|error| self.transaction.db.error(error))
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        if !self.is_gone {
            self.transaction.nested_interrupted = true;
        }
    }
}
