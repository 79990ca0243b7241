// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The settings of a pool.
//!
//! They hold no secret (the password is in the URL alone), so their `Debug` is safe to log.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::cipher::ColumnCipher;
use crate::page::CursorKey;

/// How long a connection may lie idle before it is checked with one round trip when it is next taken.
/// Every connection is checked as well when it comes back to the pool.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);

/// How to connect, and how many connections to hold.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_db::DbOptions;
///
/// let options = DbOptions::new()
///     .max_connections(20)
///     .statement_timeout(Duration::from_secs(30))
///     .application_name("shop-api");
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct DbOptions {
    max_connections: u32,
    min_connections: u32,
    acquire_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Option<Duration>,
    application_name: Option<String>,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
    pub(crate) pooled_by_proxy: bool,
    pub(crate) cipher: Option<Arc<dyn ColumnCipher>>,
    pub(crate) cursor_key: Option<CursorKey>,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            min_connections: 0,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: None,
            application_name: None,
            idle_timeout: Some(Duration::from_mins(10)),
            max_lifetime: Some(Duration::from_mins(30)),
            pooled_by_proxy: false,
            cipher: None,
            cursor_key: None,
        }
    }
}

impl DbOptions {
    /// The defaults: at most 10 connections, 5 seconds to get one, no limit on statements.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most connections that the pool opens. Default 10; zero counts as one.
    pub fn max_connections(mut self, count: u32) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// How many connections the pool keeps open even when idle. Default 0; never above
    /// [`max_connections`](Self::max_connections).
    pub fn min_connections(mut self, count: u32) -> Self {
        self.min_connections = count;
        self
    }

    /// How long a caller waits for a connection, opening one included. Default 5 seconds.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How long [`Db::connect`](crate::Db::connect) waits for its first connection. Default 5
    /// seconds. Later ones are bounded by [`acquire_timeout`](Self::acquire_timeout).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The longest that one statement may run, lock waits included. Default: the server's own limit.
    ///
    /// Each session carries it; behind a proxy ([`pooled_by_proxy`](Self::pooled_by_proxy)) it is set
    /// in each transaction instead, and does not bind statements outside one.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = Some(timeout);
        self
    }

    /// The name that the server lists its sessions under, in `pg_stat_activity`.
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Closes a connection after lying idle for so long. Default 10 minutes; `None` never does.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Closes a connection at this age, once it is free. Default 30 minutes; `None` never does.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = lifetime.into();
        self
    }

    /// The server is reached through a pooler in transaction mode, such as `PgBouncer`.
    ///
    /// What changes:
    ///
    /// - Prepared statements are not cached, so each costs one round trip more. The driver names them
    ///   all the same, so every transaction begins by clearing the names that other clients left on
    ///   the server connection, in the round trip of its `BEGIN`.
    /// - Settings that poolers refuse at connect are set in each transaction.
    /// - [`Db::advisory_lock`](crate::Db::advisory_lock) holds a transaction open.
    ///
    /// Run every statement with parameters inside a transaction, or by [`single`](crate::Singly::single):
    /// otherwise a pooler may send its two halves to different server connections.
    ///
    /// `PgBouncer` 1.21 must have `max_prepared_statements = 0`, its default; earlier and later
    /// versions work as they come.
    pub fn pooled_by_proxy(mut self) -> Self {
        self.pooled_by_proxy = true;
        self
    }

    /// Seals and opens the columns that a model marks as encrypted.
    pub fn cipher(mut self, cipher: impl ColumnCipher + 'static) -> Self {
        self.cipher = Some(Arc::new(cipher));
        self
    }

    /// Signs the cursors of pages with this secret, so that a client cannot make one up. All processes
    /// that serve the same list need the same; 32 random bytes do. After a change of it, clients begin
    /// their lists again.
    pub fn cursor_key(mut self, secret: &[u8]) -> Self {
        self.cursor_key = Some(CursorKey::new(secret));
        self
    }

    /// Puts these settings on the driver's connection options.
    pub(crate) fn apply(&self, mut connect: PgConnectOptions) -> PgConnectOptions {
        if let Some(name) = &self.application_name {
            connect = connect.application_name(name);
        }
        if self.pooled_by_proxy {
            // A pooler refuses start-up parameters that it does not track.
            connect = connect.statement_cache_capacity(0).extra_float_digits(None);
        } else if let Some(timeout) = self.statement_timeout {
            connect = connect.options([("statement_timeout", milliseconds(timeout).to_string())]);
        }
        connect
    }

    /// Opens a pool, with as many connections as it must have but at least one.
    pub(crate) async fn open(&self, connect: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .min_connections(self.min_connections.min(self.max_connections))
            .acquire_timeout(self.acquire_timeout)
            .idle_timeout(self.idle_timeout)
            .max_lifetime(self.max_lifetime)
            // The driver's own check is one round trip at every acquire. A connection that came back
            // a moment ago was checked then.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= CHECK_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect)
            .await
    }
}

/// A time limit in the unit and range that Postgres takes. Zero stays zero, which means no limit; a
/// fraction of a millisecond counts as a whole one, so that it does not.
pub(crate) fn milliseconds(limit: Duration) -> i32 {
    let rounded_up = limit.as_nanos().div_ceil(1_000_000);
    i32::try_from(rounded_up).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_a_millisecond_is_not_taken_for_none() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1500)), 2);
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::MAX), i32::MAX);
    }
}
