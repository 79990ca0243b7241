// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a transaction begins, and whether it is run again.
//!
//! Everything that is asked for goes to the server together with `BEGIN`, in one round trip.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use uuid::Uuid;

use super::{Transaction, run};
use crate::db::Db;
use crate::error::{DbError, Retryable};
use crate::options::milliseconds;
use crate::tenant::{Scope, log_unscoped, set_scope};

/// The wait before the first retry is at most this long, and the bound doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);

/// No wait before a retry is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How much of what others do at the same time a transaction may see.
///
/// Without one, the database's own default holds, which is `READ COMMITTED` unless changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// Every statement sees the same snapshot; updating a row that changed since is a
    /// [`DbError::Conflict`].
    RepeatableRead,
    /// As if the transactions ran one after another; where that cannot be had, one of them is a
    /// [`DbError::Conflict`]. Use it with [`TransactionOptions::retrying`].
    Serializable,
}

/// The options of one transaction, begun by a method of [`Db`] such as [`Db::isolation`] and ended by
/// [`transaction`](Self::transaction).
///
/// # Examples
/// ```no_run
/// # use std::time::Duration;
/// # use forktex_db::{Db, DbError, Isolation};
/// # async fn example(db: Db) -> Result<(), DbError> {
/// db.isolation(Isolation::Serializable)
///     .lock_timeout(Duration::from_secs(1))
///     .retrying(3)
///     .transaction(async |tx| -> Result<(), DbError> {
///         let _ = tx.connection();
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `transaction` or `begin` is called"]
pub struct TransactionOptions {
    db: Db,
    settings: Settings,
}

/// What is sent with `BEGIN`.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) isolation: Option<Isolation>,
    access: Access,
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) scope: Scope,
    pub(crate) acting_as: Option<Uuid>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            isolation: None,
            access: Access::ReadWrite,
            statement_timeout: None,
            lock_timeout: None,
            scope: Scope::Shared,
            acting_as: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Access {
    #[default]
    ReadWrite,
    ReadOnly,
}

impl TransactionOptions {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            settings: Settings::default(),
        }
    }

    /// Sets the isolation level.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.settings.isolation = Some(isolation);
        self
    }

    /// Lets the transaction only read; a write in it is [`DbError::Denied`].
    pub fn read_only(mut self) -> Self {
        self.settings.access = Access::ReadOnly;
        self
    }

    /// The longest that one statement may run before it is a [`DbError::Timeout`]. Zero lifts the
    /// limit of the session.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.settings.statement_timeout = Some(timeout);
        self
    }

    /// The longest that one statement waits for a lock before it is a [`DbError::Conflict`]. Zero lifts
    /// the limit of the session.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.settings.lock_timeout = Some(timeout);
        self
    }

    /// Tells the server with `BEGIN` that the transaction is about this organisation, so that
    /// [`Transaction::for_org`] costs no round trip of its own.
    pub fn for_org(mut self, org: Uuid) -> Self {
        self.settings.scope = Scope::Org(org);
        self
    }

    /// Tells the server with `BEGIN` that the transaction is about the rows of all organisations, for a
    /// reason that is logged as a warning, now and not with each transaction; then
    /// [`Transaction::unscoped`] costs no round trip.
    pub fn unscoped(mut self, reason: &str) -> Self {
        log_unscoped(reason);
        self.settings.scope = Scope::Everyone;
        self
    }

    /// Notes this user in the rows that are written: [`Transaction::acting_as`].
    pub fn acting_as(mut self, user: Uuid) -> Self {
        self.settings.acting_as = Some(user);
        self
    }

    /// Runs the transaction again, up to `retries` times more, when it
    /// [loses a race](DbError::is_retryable), whether in a statement or at the commit.
    ///
    /// Each retry begins anew on whatever connection is free, after a random wait that is at most 10
    /// milliseconds at first, doubles, and never exceeds a second. Hooks of a run that failed are
    /// dropped. [`DbError::OutcomeUnknown`] is never retried. The body runs several times, so what it
    /// does outside the database must bear that.
    pub fn retrying(self, retries: u32) -> RetryingTransaction {
        RetryingTransaction {
            options: self,
            retries,
        }
    }

    /// Runs `body` in a transaction with these options; see [`Db::transaction`] for its errors and for
    /// cancelling.
    ///
    /// # Errors
    /// Those of [`Db::transaction`].
    pub async fn transaction<T, E, F>(self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, E>,
        E: From<DbError>,
    {
        run(&self.db, &self.settings, body).await
    }

    /// Begins a transaction with these options; see [`Db::begin`].
    ///
    /// # Errors
    /// Those of [`Db::begin`].
    pub async fn begin(self) -> Result<Transaction, DbError> {
        Transaction::begin(&self.db, &self.settings).await
    }
}

/// The options of a transaction that is run again when it loses a race. Made by
/// [`TransactionOptions::retrying`], which has the rules.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `transaction` is called"]
pub struct RetryingTransaction {
    options: TransactionOptions,
    retries: u32,
}

impl RetryingTransaction {
    /// See [`TransactionOptions::isolation`].
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.options = self.options.isolation(isolation);
        self
    }

    /// See [`TransactionOptions::read_only`].
    pub fn read_only(mut self) -> Self {
        self.options = self.options.read_only();
        self
    }

    /// See [`TransactionOptions::for_org`].
    pub fn for_org(mut self, org: Uuid) -> Self {
        self.options = self.options.for_org(org);
        self
    }

    /// See [`TransactionOptions::acting_as`].
    pub fn acting_as(mut self, user: Uuid) -> Self {
        self.options = self.options.acting_as(user);
        self
    }

    /// See [`TransactionOptions::statement_timeout`].
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.statement_timeout(timeout);
        self
    }

    /// See [`TransactionOptions::lock_timeout`].
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.lock_timeout(timeout);
        self
    }

    /// Runs `body` in a transaction, and again while it loses a race and retries are left.
    ///
    /// The body is cloned for each run. An async closure is `Clone` when it captures by reference, or
    /// owns only what is `Clone`; it cannot capture `&mut`, so count in a `Cell` or an atomic.
    ///
    /// # Errors
    /// Those of [`Db::transaction`]; when the retries are used up, the error of the last run.
    ///
    /// # Cancellation
    /// As for [`Db::transaction`]; between two runs nothing is open.
    // `AsyncFn` would say it better, but the compiler (1.95) cannot prove that the future is `Send`
    // when such a closure captures by reference.
    pub async fn transaction<T, E, F>(self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, E> + Clone,
        E: From<DbError> + Retryable,
    {
        let Self { options, retries } = self;
        let mut retried = 0;
        loop {
            match run(&options.db, &options.settings, body.clone()).await {
                Err(error) if retried < retries && error.is_retryable() => {
                    tracing::debug!(
                        retried,
                        retries,
                        "a transaction lost a race and is run again"
                    );
                    tokio::time::sleep(backoff(retried)).await;
                    retried += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A random wait, so that those who collided do not collide again in step.
fn backoff(retried: u32) -> Duration {
    backoff_bound(retried).mul_f64(fastrand::f64())
}

fn backoff_bound(retried: u32) -> Duration {
    FIRST_BACKOFF
        .saturating_mul(2_u32.saturating_pow(retried))
        .min(BACKOFF_MAX)
}

/// Writes the statements that begin a transaction, to be sent in one message.
pub(crate) fn begin_statement(settings: &Settings, db: &Db) -> Cow<'static, str> {
    let proxied = db.is_pooled_by_proxy();
    write_begin(settings, proxied, db.transaction_statement_timeout())
}

fn write_begin(
    settings: &Settings,
    pooled_by_proxy: bool,
    default_timeout: Option<Duration>,
) -> Cow<'static, str> {
    let mut statement = Cow::Borrowed("BEGIN");
    if let Some(isolation) = settings.isolation {
        statement += match isolation {
            Isolation::ReadCommitted => " ISOLATION LEVEL READ COMMITTED",
            Isolation::RepeatableRead => " ISOLATION LEVEL REPEATABLE READ",
            Isolation::Serializable => " ISOLATION LEVEL SERIALIZABLE",
        };
    }
    if settings.access == Access::ReadOnly {
        statement += " READ ONLY";
    }
    if pooled_by_proxy {
        // The driver names every prepared statement `sqlx_s_1` and so on. Behind a pooler, other
        // clients have left the same names on this server connection.
        statement += "; DEALLOCATE ALL";
    }
    let limits = [
        (
            "statement_timeout",
            settings.statement_timeout.or(default_timeout),
        ),
        ("lock_timeout", settings.lock_timeout),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit {
            // Writing to a string cannot fail.
            let _ = write!(
                statement.to_mut(),
                "; SET LOCAL {name} = {}",
                milliseconds(limit)
            );
        }
    }
    if settings.scope != Scope::Shared {
        let _ = write!(statement.to_mut(), "; {}", set_scope(settings.scope));
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_transaction_begins_with_a_static_text() {
        let statement = write_begin(&Settings::default(), false, None);
        assert!(matches!(statement, Cow::Borrowed("BEGIN")));
    }

    #[test]
    fn all_options_go_into_one_text() {
        let settings = Settings {
            isolation: Some(Isolation::Serializable),
            access: Access::ReadOnly,
            statement_timeout: Some(Duration::from_secs(2)),
            lock_timeout: Some(Duration::from_micros(1)),
            scope: Scope::Org(Uuid::nil()),
            acting_as: None,
        };
        assert_eq!(
            write_begin(&settings, true, Some(Duration::from_secs(9))),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; DEALLOCATE ALL; \
             SET LOCAL statement_timeout = 2000; SET LOCAL lock_timeout = 1; \
             SET LOCAL forktex.org_id = '00000000-0000-0000-0000-000000000000'"
        );
    }

    #[test]
    fn behind_a_proxy_the_default_limit_is_set_in_the_transaction() {
        assert_eq!(
            write_begin(&Settings::default(), true, Some(Duration::from_secs(9))),
            "BEGIN; DEALLOCATE ALL; SET LOCAL statement_timeout = 9000"
        );
    }

    #[test]
    fn the_wait_doubles_up_to_a_second() {
        let bounds: Vec<_> = (0..8).map(|n| backoff_bound(n).as_millis()).collect();
        assert_eq!(bounds, [10, 20, 40, 80, 160, 320, 640, 1000]);
        assert_eq!(backoff_bound(u32::MAX), BACKOFF_MAX);
        assert!((0..100).all(|n| backoff(n) <= BACKOFF_MAX));
    }
}
