// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Advisory locks: turns taken between processes, by name.
//!
//! They protect nothing by themselves; all parties must ask for the same key. No table is touched.

use sha2::{Digest, Sha256};
use sqlx::{Connection, Executor};

use crate::db::Db;
use crate::error::DbError;
use crate::transaction::ConnectionGuard;

/// Behind a proxy a session belongs to nobody, so the lock is held by a transaction, and that one
/// must be allowed to idle.
const BEGIN_FOR_LOCK: &str =
    "BEGIN; DEALLOCATE ALL; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The key of an advisory lock: the first eight bytes, big-endian, of the SHA-256 of a name.
///
/// Keys are shared by all programs on one database, so begin the name with the program's own.
///
/// # Examples
/// ```
/// use forktex_db::LockKey;
///
/// assert_eq!(LockKey::new("shop.nightly"), LockKey::new("shop.nightly"));
/// assert_ne!(LockKey::new("shop.nightly"), LockKey::new("shop.hourly"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockKey(i64);

impl LockKey {
    /// Derives the key of a name.
    pub fn new(name: impl AsRef<str>) -> Self {
        let digest = Sha256::digest(name.as_ref().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(i64::from_be_bytes(first))
    }

    /// The number that Postgres knows the lock by.
    pub fn value(self) -> i64 {
        self.0
    }
}

impl From<LockKey> for i64 {
    fn from(key: LockKey) -> Self {
        key.value()
    }
}

/// An advisory lock that is held beyond transactions, by a connection of its own.
///
/// The lock is held while the connection lives, and lost without notice when it breaks: ask with
/// [`is_held`](Self::is_held) before acting on it, and let the database refuse late writes where that
/// matters. Dropping it closes the connection, which releases the lock soon, though not at once;
/// [`release`](Self::release) is immediate and keeps the connection.
///
/// It takes one connection of the pool for as long as it is held. Behind a proxy
/// ([`DbOptions::pooled_by_proxy`](crate::DbOptions::pooled_by_proxy)) it also keeps a transaction
/// open, which occupies one server connection of the proxy.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct AdvisoryLock {
    guard: ConnectionGuard,
    key: LockKey,
    db: Db,
}

impl Db {
    /// Waits for the lock of `key`, on a connection of its own. Two round trips at most.
    ///
    /// Within a transaction use [`Transaction::lock`](crate::Transaction::lock), which takes no further
    /// connection. Locks taken by either exclude each other.
    ///
    /// # Errors
    /// [`DbError::Timeout`] when no connection is free, or when the statement timeout of the session
    /// ends the wait; [`DbError::Unavailable`] when the server is gone.
    ///
    /// # Cancellation
    /// The connection is closed. The server keeps its place in the queue until the lock falls to it, and
    /// only then notices and lets go.
    pub async fn advisory_lock(&self, key: &LockKey) -> Result<AdvisoryLock, DbError> {
        let mut lock = AdvisoryLock::prepare(self, *key).await?;
        let statement = if self.is_pooled_by_proxy() {
            "SELECT pg_advisory_xact_lock($1)"
        } else {
            "SELECT pg_advisory_lock($1)"
        };
        sqlx::query(statement)
            .bind(key.value())
            .execute(lock.guard.connection())
            .await
            .map_err(|error| self.error(error))?;
        Ok(lock)
    }

    /// Takes the lock of `key` if it is free, and gives none if it is not. Two round trips at most.
    ///
    /// # Errors
    /// [`DbError::Timeout`] when no connection is free, [`DbError::Unavailable`] when the server is gone.
    ///
    /// # Cancellation
    /// The connection is closed, and a lock that was taken goes with it.
    pub async fn try_advisory_lock(&self, key: &LockKey) -> Result<Option<AdvisoryLock>, DbError> {
        let mut lock = AdvisoryLock::prepare(self, *key).await?;
        let statement = if self.is_pooled_by_proxy() {
            "SELECT pg_try_advisory_xact_lock($1)"
        } else {
            "SELECT pg_try_advisory_lock($1)"
        };
        let is_taken: bool = sqlx::query_scalar(statement)
            .bind(key.value())
            .fetch_one(lock.guard.connection())
            .await
            .map_err(|error| self.error(error))?;
        if is_taken {
            return Ok(Some(lock));
        }
        if self.is_pooled_by_proxy() {
            lock.end_transaction().await?;
        } else {
            lock.guard.settle();
        }
        Ok(None)
    }
}

impl AdvisoryLock {
    async fn prepare(db: &Db, key: LockKey) -> Result<Self, DbError> {
        let mut guard = ConnectionGuard::new(db.acquire().await?);
        if db.is_pooled_by_proxy() {
            let begun = guard.connection().execute(BEGIN_FOR_LOCK).await;
            begun.map_err(|error| db.error(error))?;
        }
        Ok(Self {
            guard,
            key,
            db: db.clone(),
        })
    }

    /// The key of the lock.
    pub fn key(&self) -> LockKey {
        self.key
    }

    /// Whether the connection that holds the lock still answers. One round trip.
    ///
    /// # Cancellation
    /// Safe: the lock stays as it is.
    pub async fn is_held(&mut self) -> bool {
        self.guard.connection().ping().await.is_ok()
    }

    /// Releases the lock and gives the connection back. One round trip.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection was lost; the lock is released all the same, as it
    /// is by every other failure, since the connection is closed then. [`DbError::Aborted`] when the
    /// session had lost the lock before.
    ///
    /// # Cancellation
    /// The lock is released by closing the connection.
    pub async fn release(mut self) -> Result<(), DbError> {
        if self.db.is_pooled_by_proxy() {
            return self.end_transaction().await;
        }
        let was_held: bool = sqlx::query_scalar("SELECT pg_advisory_unlock($1)")
            .bind(self.key.value())
            .fetch_one(self.guard.connection())
            .await
            .map_err(|error| self.db.error(error))?;
        if !was_held {
            return Err(DbError::Aborted {
                reason: "the advisory lock was no longer held",
            });
        }
        self.guard.settle();
        Ok(())
    }

    async fn end_transaction(self) -> Result<(), DbError> {
        let Self { guard, db, .. } = self;
        guard.roll_back().await.map_err(|error| db.error(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivation is part of the interface: other programs, and other releases, must agree on it.
    #[test]
    fn a_key_is_the_first_eight_bytes_of_the_digest() {
        // sha256("") begins e3b0c442 98fc1c14.
        assert_eq!(
            LockKey::new("").value(),
            i64::from_be_bytes([0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14])
        );
    }
}
