// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Transactions that cannot leak: whatever happens to the future, the connection goes back to the
//! pool outside a transaction, or not at all.
//!
//! The driver's own transaction is deliberately not used. When the future of its `begin` is dropped
//! between sending `BEGIN` and reading the answer, the connection can return to the pool inside a
//! transaction, and the next user's writes vanish with it.

mod guard;
mod hooks;
mod options;
mod savepoint;

use std::future::Future;

use sqlx::{Executor, PgConnection};
use tracing::Instrument;
use uuid::Uuid;

use crate::db::Db;
use crate::error::DbError;
use crate::locks::LockKey;
use crate::tenant::Told;

pub(crate) use guard::ConnectionGuard;
use hooks::Hooks;
pub use options::{Isolation, RetryingTransaction, TransactionOptions};
pub(crate) use options::{Settings, begin_statement};
use savepoint::Savepoint;

/// Commits, in one round trip. The savepoint is a probe: `COMMIT` in a transaction that a failed
/// statement has spoiled reports success and rolls back, while `SAVEPOINT` there is an error, as it
/// is when the transaction was ended by a `COMMIT` among the caller's statements.
const COMMIT: &str = "SAVEPOINT forktex_commit; COMMIT";

/// A transaction under way.
///
/// Run statements on [`connection`](Self::connection). Do not start or end transactions on it, by SQL
/// or by the driver's `begin`: that one would commit the whole. For a part that may fail on its own,
/// nest with [`transaction`](Self::transaction). A transaction found ended by other means is reported
/// as [`DbError::Aborted`] at the commit.
///
/// # Cancellation
/// A transaction dropped before its commit or rollback is complete rolls back, by closing the
/// connection; it never returns to the pool. The cost is one new connection (a few milliseconds, more
/// with TLS) at the next need, so cancel where it matters, not as a matter of course. The server
/// notices the end once it has finished the statement that it is running: bound that with a
/// [`statement_timeout`](crate::DbOptions::statement_timeout).
///
/// Dropping the future of one statement and going on with the transaction is allowed: the next
/// statement waits until the server has finished the dropped one, which may have taken effect.
#[derive(Debug)]
pub struct Transaction {
    guard: ConnectionGuard,
    hooks: Hooks,
    db: Db,
    /// A nested transaction was dropped midway, so part of its writes may be in this one.
    nested_interrupted: bool,
    /// Whose rows the server was last told that this is about.
    pub(crate) told: Told,
    /// Who is noted in the rows that are written.
    acting_as: Option<Uuid>,
}

impl Transaction {
    pub(crate) async fn begin(db: &Db, settings: &Settings) -> Result<Self, DbError> {
        let statement = begin_statement(settings, db);
        // From here on the guard closes the connection unless the transaction is seen to end.
        let mut guard = ConnectionGuard::new(db.acquire().await?);
        guard
            .connection()
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .map_err(|error| db.error(error))?;
        Ok(Self {
            guard,
            hooks: Hooks::default(),
            db: db.clone(),
            nested_interrupted: false,
            told: Told::Scope(settings.scope),
            acting_as: settings.acting_as,
        })
    }

    /// The connection, to run statements on: `sqlx::query(..).execute(tx.connection())`.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.guard.connection()
    }

    /// Runs `body` in a nested transaction: a savepoint. If it fails, only what it did is undone, and
    /// the transaction around it goes on.
    ///
    /// Costs two round trips over the statements inside. Undone with it are the settings that it made,
    /// the locks that it took, and the hooks that it registered with
    /// [`after_commit`](Self::after_commit).
    ///
    /// # Errors
    /// The body's own, or through `E: From<DbError>` what the savepoint failed with; in particular
    /// [`DbError::Aborted`] when the body returned `Ok` though a statement in it had failed.
    ///
    /// # Cancellation
    /// If the future is dropped midway, or the body panics, and the transaction around it is kept, then
    /// that one can only roll back: its commit, and any further nesting, give [`DbError::Aborted`].
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{Db, DbError, sqlx};
    /// # async fn example(db: Db) -> Result<(), DbError> {
    /// db.transaction(async |tx| -> Result<(), DbError> {
    ///     let bonus = tx
    ///         .transaction(async |tx| -> Result<(), DbError> {
    ///             sqlx::query("INSERT INTO shop.bonus (id) VALUES (1)")
    ///                 .execute(tx.connection())
    ///                 .await?;
    ///             Ok(())
    ///         })
    ///         .await;
    ///     if let Err(DbError::AlreadyExists { .. }) = bonus {
    ///         // Only the bonus was undone.
    ///     }
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn transaction<T, E, F>(&mut self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
        E: From<DbError>,
    {
        let mut savepoint = Savepoint::open(self).await?;
        match body(savepoint.transaction()).await {
            Ok(value) => {
                savepoint.release().await?;
                Ok(value)
            }
            Err(error) => {
                savepoint.roll_back().await;
                Err(error)
            }
        }
    }

    /// Runs `hook` after the outermost transaction has committed, and never after a rollback.
    ///
    /// Hooks run one after another, in the order in which they were registered, before the call that
    /// commits returns. They hold no connection. They run in a task of their own, so that dropping the
    /// caller's future does not stop them; one that panics is logged, and neither undoes nor hides the
    /// commit. They do not run after [`DbError::OutcomeUnknown`], nor if the process ends between the
    /// commit and the hook: what must happen belongs in the transaction, as a row that a worker reads.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{Db, DbError};
    /// # async fn example(db: Db) -> Result<(), DbError> {
    /// db.transaction(async |tx| -> Result<(), DbError> {
    ///     tx.after_commit(async { println!("kept") });
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn after_commit<H>(&mut self, hook: H)
    where
        H: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push(hook);
    }

    /// Waits for the advisory lock of `key` and holds it until the transaction ends, or until the
    /// nested transaction around this call is rolled back. One round trip.
    ///
    /// The same transaction may take a lock again. Take several in one agreed order, or two
    /// transactions can block each other.
    ///
    /// # Errors
    /// [`DbError::Conflict`] after the [`lock_timeout`](TransactionOptions::lock_timeout) or on a
    /// deadlock, [`DbError::Timeout`] after the statement timeout. Either spoils the transaction.
    ///
    /// # Cancellation
    /// The server goes on waiting in its place and may get the lock; it is let go with the transaction.
    pub async fn lock(&mut self, key: &LockKey) -> Result<(), DbError> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(key.value())
            .execute(self.guard.connection())
            .await
            .map_err(|error| self.db.error(error))?;
        Ok(())
    }

    /// Takes the advisory lock of `key` if it is free, and says whether it did. It is held as by
    /// [`lock`](Self::lock). One round trip.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection is lost.
    ///
    /// # Cancellation
    /// The lock may have been taken; it is let go with the transaction.
    pub async fn try_lock(&mut self, key: &LockKey) -> Result<bool, DbError> {
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(key.value())
            .fetch_one(self.guard.connection())
            .await
            .map_err(|error| self.db.error(error))
    }

    /// Notes this user as `created_by` and `updated_by` in the rows that repositories write from now
    /// on, where their models ask for it (`audit`). Costs nothing; the server is not told.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{Db, DbError};
    /// # async fn example(db: Db, user: uuid::Uuid) -> Result<(), DbError> {
    /// db.transaction(async |tx| -> Result<(), DbError> {
    ///     tx.acting_as(user);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn acting_as(&mut self, user: Uuid) {
        self.acting_as = Some(user);
    }

    /// Who is noted in the rows that are written.
    pub(crate) fn actor(&self) -> Option<Uuid> {
        self.acting_as
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Commits, then runs the [`after_commit`](Self::after_commit) hooks. One round trip.
    ///
    /// # Errors
    /// In every case but the last, nothing was kept:
    /// - [`DbError::Conflict`] or [`DbError::Invalid`] when the server refuses the commit, as by a
    ///   deferred constraint or a serialisation failure;
    /// - [`DbError::Aborted`] when a statement had failed and the failure was passed over;
    /// - [`DbError::OutcomeUnknown`] when the connection broke during the commit.
    ///
    /// # Cancellation
    /// The transaction is then either wholly there or wholly absent, and the connection is closed. Once
    /// the server has answered, the hooks run to their end regardless.
    pub async fn commit(mut self) -> Result<(), DbError> {
        if self.nested_interrupted {
            self.guard.roll_back().await.ok();
            return Err(nested_was_interrupted());
        }
        if let Err(error) = self.guard.connection().execute(COMMIT).await {
            let error = DbError::from_commit(error).at(self.db.server());
            if error != DbError::OutcomeUnknown {
                self.guard.recover_from_refused_commit(&error).await;
            }
            return Err(error);
        }
        self.guard.settle();
        self.hooks.run().await;
        Ok(())
    }

    /// Rolls back. One round trip.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection is lost; the server rolls back then as well.
    ///
    /// # Cancellation
    /// Rolls back all the same, by closing the connection.
    pub async fn rollback(self) -> Result<(), DbError> {
        let db = self.db.clone();
        self.guard
            .roll_back()
            .await
            .map_err(|error| db.error(error))
    }
}

/// Runs `body` between a begin and a commit or a rollback.
pub(crate) async fn run<T, E, F>(db: &Db, settings: &Settings, body: F) -> Result<T, E>
where
    F: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    E: From<DbError>,
{
    let span = tracing::debug_span!(
        "transaction",
        db.system.name = "postgresql",
        server.address = db.server()
    );
    async {
        let mut tx = Transaction::begin(db, settings).await?;
        match body(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The body's error is the one that matters. If this fails, the guard closes the
                // connection, which rolls back as well.
                tx.rollback().await.ok();
                Err(error)
            }
        }
    }
    .instrument(span)
    .await
}

fn nested_was_interrupted() -> DbError {
    DbError::Aborted {
        reason: "a nested transaction was dropped before it ended",
    }
}
