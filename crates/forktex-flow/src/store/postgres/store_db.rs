// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The database as the store's statements see it: each is whole, also behind a pooler in transaction mode.

use std::ops::Deref;

use forktex_db::sqlx::PgConnection;
use forktex_db::{Connection, Db, DbError, Single, Transaction};

/// The database of a store.
#[derive(Debug, Clone)]
pub(crate) struct StoreDb(pub(super) Db);

impl StoreDb {
    /// Where a statement that stands alone runs.
    pub(super) fn pool(&self) -> Single<'_> {
        self.0.single()
    }

    /// A connection for several statements, each of which is committed by [`Several::end`] at the latest.
    pub(super) async fn several(&self) -> Result<Several, DbError> {
        if self.0.is_pooled_by_proxy() {
            return Ok(Several::Together(self.0.begin().await?));
        }
        Ok(Several::Each(self.0.connection().await?))
    }
}

impl Deref for StoreDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.0
    }
}

/// A connection on which several statements run.
pub(super) enum Several {
    /// Each is committed by itself.
    Each(Connection),
    /// They share a transaction, as a pooler could send each to another server connection.
    Together(Transaction),
}

impl Several {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Each(connection) => connection,
            Self::Together(transaction) => transaction.connection(),
        }
    }

    /// All that was done is committed.
    pub(super) async fn end(self) -> Result<(), DbError> {
        match self {
            Self::Each(connection) => {
                connection.give_back();
                Ok(())
            }
            Self::Together(transaction) => transaction.commit().await,
        }
    }
}
