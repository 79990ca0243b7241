// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Connections of the pool, kept warm between the statements of a busy process.
//!
//! The driver's pool checks each connection that comes back by a round trip of its own. One that was given
//! back after a statement that went well needs no check: it is kept aside for a moment, and the next
//! statement takes it from there.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

use crate::db::Db;

/// How long a connection is kept that nobody takes.
const KEEP: Duration = Duration::from_millis(50);

/// After so long a connection passes through the pool, which sees to its age and its health.
const RETURN_AFTER: Duration = Duration::from_secs(5);

/// A connection of the pool.
///
/// [Given back](Self::give_back), it is at hand for the next statement. Dropped, it goes back to the pool,
/// which checks it by a round trip first: right after an error, or where the future of a statement was
/// dropped.
pub(crate) struct Connection {
    pooled: PoolConnection<Postgres>,
    taken_at: Instant,
    db: Db,
}

impl Connection {
    /// The one that was given back last, or one of the pool.
    pub(crate) async fn take(db: &Db) -> Result<Self, sqlx::Error> {
        let kept = db.warm().stock().connections.pop();
        let (pooled, taken_at) = match kept {
            Some(kept) => (kept.connection, kept.taken_at),
            None => (db.pool().acquire().await?, Instant::now()),
        };
        Ok(Self {
            pooled,
            taken_at,
            db: db.clone(),
        })
    }

    /// Gives it back after statements that went well, for whoever needs one next. Costs no round trip.
    pub(crate) fn give_back(self) {
        let pool = self.db.pool();
        // Whoever waits for a connection of the pool must not wait for one that is kept.
        let is_scarce = pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections();
        if is_scarce || pool.is_closed() || self.taken_at.elapsed() > RETURN_AFTER {
            return;
        }
        let warm = Arc::clone(self.db.warm());
        warm.keep(Kept {
            connection: self.pooled,
            taken_at: self.taken_at,
            since: Instant::now(),
        });
    }

    /// Has it closed when it is dropped: nobody else must get it.
    pub(crate) fn close_on_drop(&mut self) {
        self.pooled.close_on_drop();
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.pooled
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.pooled
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("db", &self.db)
            .finish_non_exhaustive()
    }
}

/// The connections that are kept.
#[derive(Default)]
pub(crate) struct Warm(Mutex<Stock>);

#[derive(Default)]
struct Stock {
    /// The one that was kept last is at the end.
    connections: Vec<Kept>,
    /// Whether a task looks after them.
    is_swept: bool,
}

/// A connection that nobody uses.
struct Kept {
    connection: PoolConnection<Postgres>,
    taken_at: Instant,
    since: Instant,
}

impl Warm {
    fn keep(self: Arc<Self>, kept: Kept) {
        let mut stock = self.stock();
        stock.connections.push(kept);
        if !std::mem::replace(&mut stock.is_swept, true) {
            let sweeper = Sweeper {
                warm: Arc::downgrade(&self),
                is_done: false,
            };
            tokio::spawn(sweeper.run());
        }
    }

    /// Hands all to the pool.
    pub(crate) fn clear(&self) {
        let connections = std::mem::take(&mut self.stock().connections);
        drop(connections);
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        // The pool takes a connection back by a task, for which there must be a runtime.
        if tokio::runtime::Handle::try_current().is_err() {
            std::mem::forget(std::mem::take(&mut self.stock().connections));
        }
    }
}

/// Hands to the pool what nobody has taken for a while, until nothing is kept.
struct Sweeper {
    warm: Weak<Warm>,
    is_done: bool,
}

impl Sweeper {
    async fn run(mut self) {
        while !self.is_done {
            tokio::time::sleep(KEEP).await;
            let Some(warm) = self.warm.upgrade() else {
                return;
            };
            let idle = {
                let mut stock = warm.stock();
                let is_fresh = |kept: &Kept| kept.since.elapsed() < KEEP;
                let fresh = stock.connections.iter().position(is_fresh);
                let count = fresh.unwrap_or(stock.connections.len());
                let idle: Vec<Kept> = stock.connections.drain(..count).collect();
                self.is_done = stock.connections.is_empty();
                stock.is_swept = !self.is_done;
                idle
            };
            // Not under the lock: the pool runs code of its own when one comes back.
            drop(idle);
        }
    }
}

impl Drop for Sweeper {
    /// Where its runtime ends before it is done: what is kept next has a new one.
    fn drop(&mut self) {
        if let (Some(warm), false) = (self.warm.upgrade(), self.is_done) {
            warm.stock().is_swept = false;
        }
    }
}
