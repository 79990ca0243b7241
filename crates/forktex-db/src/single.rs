// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Statements outside a transaction of the caller's, whatever stands before the server.

use std::fmt;

use sqlx::postgres::{PgQueryResult, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{AssertSqlSafe, Executor as _, FromRow, IntoArguments, PgConnection, Postgres};

use crate::connection::Connection;
use crate::db::Db;
use crate::error::DbError;
use crate::transaction::{Settings, Transaction, begin_statement};

/// A connection for statements of which each is committed by itself: [`Db::session`].
///
/// Where the server is reached directly, each is committed as it ends, and the connection is one of the
/// pool. Behind a pooler in transaction mode they share a transaction, so that all come to one server
/// connection, and are committed by [`end`](Self::end): that is two round trips more.
///
/// # Cancellation
/// Dropped without [`end`](Self::end), what was done is kept where the server is reached directly, and
/// undone behind a pooler.
#[derive(Debug)]
pub struct Session(Way);

#[derive(Debug)]
enum Way {
    Direct(Connection),
    Pooled(Transaction),
}

impl Session {
    pub(crate) async fn open(db: &Db) -> Result<Self, DbError> {
        if db.is_pooled_by_proxy() {
            return Ok(Self(Way::Pooled(db.begin().await?)));
        }
        Ok(Self(Way::Direct(db.acquire().await?)))
    }

    /// The connection, to run statements on: `sqlx::query(..).execute(session.connection())`.
    pub fn connection(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Way::Direct(connection) => connection,
            Way::Pooled(transaction) => transaction.connection(),
        }
    }

    /// All that was done is committed, and the connection is at hand for the next statement. Not to be
    /// called after one that failed: a dropped session has its connection looked at first.
    ///
    /// # Errors
    /// Those of [`Transaction::commit`], behind a pooler.
    pub async fn end(self) -> Result<(), DbError> {
        match self.0 {
            Way::Direct(connection) => {
                connection.give_back();
                Ok(())
            }
            Way::Pooled(transaction) => transaction.commit().await,
        }
    }

    /// After a statement that failed: what a pooler still holds open is rolled back, so that the connection
    /// is kept; another one is left to the pool, which checks it.
    async fn undo(self) {
        if let Way::Pooled(transaction) = self.0 {
            // The statement's error is the one that matters; dropping rolls back as well.
            transaction.rollback().await.ok();
        }
    }
}

/// Has one statement run by itself: `sqlx::query(..).bind(..).single(&db).execute()`.
pub trait Singly: Sized {
    /// The statement, to be run in a session of its own.
    fn single(self, db: &Db) -> Single<'_, Self> {
        Single {
            statement: self,
            db,
            own: None,
        }
    }
}

/// One statement outside a transaction; made by [`Singly::single`].
///
/// # Errors
/// Each of its methods gives the statement's error, sorted, and [`DbError::Timeout`] or
/// [`DbError::Unavailable`] where no connection could be had.
///
/// # Cancellation
/// Dropped midway, the statement may or may not have taken effect, wholly.
///
/// # Examples
/// ```no_run
/// use forktex_db::{Db, DbError, Singly as _, sqlx};
///
/// # async fn example(db: Db) -> Result<(), DbError> {
/// let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.stock WHERE place = $1")
///     .bind(2)
///     .single(&db)
///     .fetch_one()
///     .await?;
/// # let _ = counted;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until one of its methods is awaited"]
pub struct Single<'c, Q> {
    statement: Q,
    db: &'c Db,
    /// A connection outside the pool.
    own: Option<&'c mut PgConnection>,
}

impl<'c, Q> Single<'c, Q> {
    /// Runs it on a connection that the caller has made with the pool's options. After an error that must
    /// be closed: it may still be in a transaction.
    pub fn on(mut self, connection: &'c mut PgConnection) -> Self {
        self.own = Some(connection);
        self
    }
}

impl<Q> fmt::Debug for Single<'_, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Single")
            .field("db", self.db)
            .finish_non_exhaustive()
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident -> $answer:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Those of [`Single`].
        pub async fn $method(self) -> Result<$answer, DbError> {
            let Self { statement, db, own } = self;
            let Some(own) = own else {
                let mut session = Session::open(db).await?;
                return match statement.$method(session.connection()).await {
                    Ok(answer) => session.end().await.map(|()| answer),
                    Err(error) => {
                        session.undo().await;
                        Err(error.into())
                    }
                };
            };
            if !db.is_pooled_by_proxy() {
                return Ok(statement.$method(own).await?);
            }
            let begin = begin_statement(&Settings::default(), db).into_owned();
            own.execute(AssertSqlSafe(begin)).await?;
            let answer = statement.$method(&mut *own).await?;
            own.execute("COMMIT").await?;
            Ok(answer)
        }
    )*};
}

impl<A> Singly for Query<'_, Postgres, A> {}
impl<O, A> Singly for QueryAs<'_, Postgres, O, A> {}
impl<O, A> Singly for QueryScalar<'_, Postgres, O, A> {}

impl<'q, A: Send + IntoArguments<Postgres> + 'q> Single<'_, Query<'q, Postgres, A>> {
    methods! {
        /// Runs it, and tells how many rows it was about.
        execute -> PgQueryResult;
        /// All rows.
        fetch_all -> Vec<PgRow>;
        /// The first row; [`DbError::NotFound`] where there is none.
        fetch_one -> PgRow;
        /// The first row, if there is one.
        fetch_optional -> Option<PgRow>;
    }
}

impl<'q, O, A> Single<'_, QueryAs<'q, Postgres, O, A>>
where
    A: Send + IntoArguments<Postgres> + 'q,
    O: Send + Unpin + for<'r> FromRow<'r, PgRow>,
{
    methods! {
        /// All rows.
        fetch_all -> Vec<O>;
        /// The first row; [`DbError::NotFound`] where there is none.
        fetch_one -> O;
        /// The first row, if there is one.
        fetch_optional -> Option<O>;
    }
}

impl<'q, O, A> Single<'_, QueryScalar<'q, Postgres, O, A>>
where
    A: Send + IntoArguments<Postgres> + 'q,
    O: Send + Unpin,
    (O,): Send + Unpin + for<'r> FromRow<'r, PgRow>,
{
    methods! {
        /// The first column of all rows.
        fetch_all -> Vec<O>;
        /// The first column of the first row; [`DbError::NotFound`] where there is none.
        fetch_one -> O;
        /// The first column of the first row, if there is one.
        fetch_optional -> Option<O>;
    }
}
