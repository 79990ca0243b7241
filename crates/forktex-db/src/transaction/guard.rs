// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Holds a pooled connection whose server side may have state that must not reach the next user: an
//! open transaction, or a session lock.
//!
//! The guard is made before that state is, and is settled only after the server has confirmed that it
//! is gone. Dropped in between, it closes the connection. It never tries to clean up from `drop`,
//! where nothing can be awaited and a queued `ROLLBACK` could be lost.

use std::fmt;

use sqlx::{Executor, PgConnection};

use crate::connection::Connection;
use crate::error::DbError;

pub(crate) struct ConnectionGuard {
    /// There until it is settled.
    connection: Option<Connection>,
}

impl ConnectionGuard {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
        }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("only `settle` takes it, and the guard with it"),
        }
    }

    /// Gives the connection back: the server has confirmed that nothing is left on it.
    pub(crate) fn settle(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }

    /// Rolls back and lets the connection go back to the pool; closes it if that fails.
    pub(crate) async fn roll_back(mut self) -> Result<(), sqlx::Error> {
        self.finish_with("ROLLBACK").await?;
        self.settle();
        Ok(())
    }

    /// Saves the connection after the server has refused a commit; closes it where that is not sure.
    pub(crate) async fn recover_from_refused_commit(mut self, error: &DbError) {
        // After a refusal by COMMIT itself the session is idle, where a bare ROLLBACK would log a
        // warning; a BEGIN first makes it silent. In a spoiled transaction that BEGIN is an error,
        // and the connection is closed.
        let statement = match error {
            DbError::Aborted { .. } => "ROLLBACK",
            _ => "BEGIN; ROLLBACK",
        };
        if self.finish_with(statement).await.is_ok() {
            self.settle();
        }
    }

    /// Runs a statement that ends the transaction.
    async fn finish_with(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let first = self.connection().execute(statement).await;
        // If the future of an earlier statement was dropped, its error is only read now, and the
        // driver reports it in place of sending this statement. The second try sends it.
        if matches!(first, Err(sqlx::Error::Database(_))) {
            self.connection().execute(statement).await?;
        } else {
            first?;
        }
        Ok(())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionGuard")
            .field("is_settled", &self.connection.is_none())
            .finish_non_exhaustive()
    }
}
