// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: a pool of connections to one database.
//!
//! A [`Db`] runs no statements of its own accord; the pool's upkeep (closing idle connections) is all
//! that happens in the background.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use crate::cipher::ColumnCipher;
use crate::connection::{Connection, Warm};
use crate::error::{Awaited, DbError};
use crate::options::DbOptions;
use crate::page::CursorKey;
use crate::single::Session;
use crate::transaction::{Isolation, RetryingTransaction, Transaction, TransactionOptions};
use crate::url::{DatabaseUrl, server_address};

/// A pool of connections to one Postgres database. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    /// `host:port/database`, for errors.
    server: String,
    ownership: Ownership,
    pooled_by_proxy: bool,
    /// Set in each transaction; only behind a proxy, as a session carries it otherwise.
    statement_timeout: Option<Duration>,
    cipher: Option<Arc<dyn ColumnCipher>>,
    cursor_key: Option<CursorKey>,
    warm: Arc<Warm>,
}

#[derive(PartialEq, Eq)]
enum Ownership {
    Owned,
    Borrowed,
}

impl Db {
    /// Connects to `postgres://user:password@host:port/database`, and makes sure at once that the
    /// server answers and lets the user in.
    ///
    /// The URL must name the host, the user and the database; neither the environment nor a password
    /// file is read for them. One connection is opened and closed again for the check, which tells why
    /// it failed at once where the pool would go on trying; then the pool opens
    /// [`min_connections`](DbOptions::min_connections), or one.
    ///
    /// # Errors
    /// - [`DbError::Invalid`] names what is wrong with the URL, without the password.
    /// - [`DbError::Unavailable`] names the server that does not answer.
    /// - [`DbError::Timeout`] when it accepts but stays silent beyond
    ///   [`connect_timeout`](DbOptions::connect_timeout).
    /// - [`DbError::Denied`] when the user or the password is wrong, [`DbError::Missing`] when there
    ///   is no such database.
    ///
    /// # Cancellation
    /// Safe: nothing stays open.
    pub async fn connect(url: &str, options: DbOptions) -> Result<Self, DbError> {
        let DatabaseUrl {
            connect_options,
            server,
        } = DatabaseUrl::parse(url)?;
        let connect_options = options.apply(connect_options);

        let check = async {
            let connection = PgConnection::connect_with(&connect_options).await?;
            connection.close().await
        };
        match tokio::time::timeout(options.connect_timeout, check).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(DbError::from(error).at(&server)),
            Err(_) => {
                return Err(DbError::Timeout {
                    awaited: Awaited::Connect,
                });
            }
        }

        let pool = options.open(connect_options).await;
        Ok(Self {
            shared: Arc::new(Shared {
                pool: pool.map_err(|error| DbError::from(error).at(&server))?,
                server,
                ownership: Ownership::Owned,
                pooled_by_proxy: options.pooled_by_proxy,
                statement_timeout: options
                    .statement_timeout
                    .filter(|_| options.pooled_by_proxy),
                cipher: options.cipher,
                cursor_key: options.cursor_key,
                warm: Arc::default(),
            }),
        })
    }

    /// Uses a pool that the caller has already built, with whatever settings it has.
    ///
    /// The pool stays the caller's: [`close`](Self::close) leaves it open. It is taken to reach the
    /// server directly, not through a pooler in transaction mode.
    pub fn from_pool(pool: PgPool) -> Self {
        let server = server_address(&pool.connect_options());
        Self {
            shared: Arc::new(Shared {
                pool,
                server,
                ownership: Ownership::Borrowed,
                pooled_by_proxy: false,
                statement_timeout: None,
                cipher: None,
                cursor_key: None,
                warm: Arc::default(),
            }),
        }
    }

    /// The pool, for statements outside a transaction: `sqlx::query(..).execute(db.pool())`. Behind a
    /// pooler in transaction mode, [`single`](crate::Singly::single) is the way for them.
    ///
    /// Start transactions with [`transaction`](Self::transaction), not with the pool's own `begin`:
    /// when its future is dropped midway, that can put a connection back that is still inside a
    /// transaction.
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// Closes the pool: new callers are refused, and those that hold a connection are waited for.
    ///
    /// Does nothing on a pool taken by [`from_pool`](Self::from_pool).
    ///
    /// # Cancellation
    /// The pool stays closed to new callers; connections in use close when they come back.
    pub async fn close(&self) {
        self.shared.warm.clear();
        if self.shared.ownership == Ownership::Owned {
            self.shared.pool.close().await;
        }
    }

    /// Runs `body` in a transaction: commits when it returns `Ok`, rolls back when it returns `Err`,
    /// panics or is dropped.
    ///
    /// Costs two round trips over the statements inside, one to begin and one to commit. See
    /// [`Transaction`] for what the body can do, and for the rules on cancelling.
    ///
    /// # Errors
    /// The body's own, or through `E: From<DbError>`:
    /// - [`DbError::Timeout`] or [`DbError::Unavailable`] when no connection could be had;
    /// - [`DbError::Conflict`], [`DbError::Invalid`] and so on when the commit is refused;
    /// - [`DbError::Aborted`] when the body returned `Ok` though a statement had failed;
    /// - [`DbError::OutcomeUnknown`] when the connection broke during the commit.
    ///
    /// # Cancellation
    /// Dropping the future rolls back and closes the connection, which is then opened anew when
    /// needed. Dropped during the commit, the transaction is either wholly there or wholly absent.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{Db, DbError, sqlx};
    /// # async fn example(db: Db) -> Result<(), DbError> {
    /// let moved: u64 = db
    ///     .transaction(async |tx| -> Result<u64, DbError> {
    ///         let done = sqlx::query("UPDATE shop.stock SET place = 2 WHERE place = 1")
    ///             .execute(tx.connection())
    ///             .await?;
    ///         Ok(done.rows_affected())
    ///     })
    ///     .await?;
    /// # let _ = moved;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transaction<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
        E: From<DbError>,
    {
        TransactionOptions::new(self.clone())
            .transaction(body)
            .await
    }

    /// Begins a transaction that the caller ends with [`Transaction::commit`] or
    /// [`Transaction::rollback`]; dropped without either, it rolls back.
    ///
    /// Prefer [`transaction`](Self::transaction), which cannot be left open by an early return.
    ///
    /// # Errors
    /// [`DbError::Timeout`] or [`DbError::Unavailable`] when no connection could be had.
    ///
    /// # Cancellation
    /// Safe: a connection that may have begun is closed.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        TransactionOptions::new(self.clone()).begin().await
    }

    /// Starts the options of a transaction with its isolation level.
    pub fn isolation(&self, isolation: Isolation) -> TransactionOptions {
        TransactionOptions::new(self.clone()).isolation(isolation)
    }

    /// Starts the options of a transaction with the longest time that a statement in it may run.
    pub fn statement_timeout(&self, timeout: Duration) -> TransactionOptions {
        TransactionOptions::new(self.clone()).statement_timeout(timeout)
    }

    /// Starts the options of a transaction with the longest time that a statement in it waits for a
    /// lock.
    pub fn lock_timeout(&self, timeout: Duration) -> TransactionOptions {
        TransactionOptions::new(self.clone()).lock_timeout(timeout)
    }

    /// Starts the options of a transaction that may only read.
    pub fn read_only(&self) -> TransactionOptions {
        TransactionOptions::new(self.clone()).read_only()
    }

    /// Starts the options of a transaction on the rows of one organisation. The server is told with
    /// `BEGIN`, so that [`Transaction::for_org`] in it costs no round trip.
    pub fn for_org(&self, org: Uuid) -> TransactionOptions {
        TransactionOptions::new(self.clone()).for_org(org)
    }

    /// Starts the options of a transaction on the rows of all organisations, for a reason that is logged;
    /// see [`TransactionOptions::unscoped`].
    pub fn unscoped(&self, reason: &str) -> TransactionOptions {
        TransactionOptions::new(self.clone()).unscoped(reason)
    }

    /// Starts the options of a transaction whose rows note this user: [`Transaction::acting_as`].
    pub fn acting_as(&self, user: Uuid) -> TransactionOptions {
        TransactionOptions::new(self.clone()).acting_as(user)
    }

    /// Starts the options of a transaction that is run again, up to `retries` times more, when it
    /// loses a race. See [`TransactionOptions::retrying`].
    pub fn retrying(&self, retries: u32) -> RetryingTransaction {
        TransactionOptions::new(self.clone()).retrying(retries)
    }

    /// A connection for several statements outside a transaction of which each is committed by itself: see
    /// [`Session`]. Waits for one where all are in use. For one statement there is
    /// [`single`](crate::Singly::single).
    ///
    /// # Errors
    /// [`DbError::Timeout`] or [`DbError::Unavailable`] when none could be had.
    ///
    /// # Cancellation
    /// Safe.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_db::{Db, DbError, sqlx};
    /// # async fn example(db: Db) -> Result<(), DbError> {
    /// let mut session = db.session().await?;
    /// for place in [1, 2] {
    ///     sqlx::query("UPDATE shop.stock SET counted_at = now() WHERE place = $1")
    ///         .bind(place)
    ///         .execute(session.connection())
    ///         .await?;
    /// }
    /// session.end().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session(&self) -> Result<Session, DbError> {
        Session::open(self).await
    }

    /// Takes a connection, and tells a busy pool from a server that is gone.
    pub(crate) async fn acquire(&self) -> Result<Connection, DbError> {
        Connection::take(self).await.map_err(|error| {
            let pool = &self.shared.pool;
            // The pool keeps on trying while the server refuses connections, and then reports a
            // time-out. If it could not even fill up, the server is the cause, not the load.
            let server_is_gone = matches!(error, sqlx::Error::PoolTimedOut)
                && pool.size() < pool.options().get_max_connections();
            if server_is_gone {
                return DbError::unavailable("no connection could be opened")
                    .at(&self.shared.server);
            }
            self.error(error)
        })
    }

    /// The connections that are kept for the next statement.
    pub(crate) fn warm(&self) -> &Arc<Warm> {
        &self.shared.warm
    }

    /// Sorts a driver error, and names the server in it.
    pub(crate) fn error(&self, error: sqlx::Error) -> DbError {
        DbError::from(error).at(&self.shared.server)
    }

    pub(crate) fn server(&self) -> &str {
        &self.shared.server
    }

    /// Whether it was said that a pooler in transaction mode stands before the server:
    /// [`DbOptions::pooled_by_proxy`].
    pub fn is_pooled_by_proxy(&self) -> bool {
        self.shared.pooled_by_proxy
    }

    /// What seals and opens encrypted columns.
    pub fn cipher(&self) -> Option<&dyn ColumnCipher> {
        self.shared.cipher.as_deref()
    }

    /// What signs cursors.
    pub(crate) fn cursor_key(&self) -> Option<&CursorKey> {
        self.shared.cursor_key.as_ref()
    }

    /// The limit that each transaction must set for itself.
    pub(crate) fn transaction_statement_timeout(&self) -> Option<Duration> {
        self.shared.statement_timeout
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("server", &self.shared.server)
            .field("connections", &self.shared.pool.size())
            .field("idle", &self.shared.pool.num_idle())
            .finish_non_exhaustive()
    }
}
