// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One statement outside a transaction, whatever stands before the server.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};

use crate::connection::Connection;
use crate::db::Db;
use crate::error::DbError;
use crate::transaction::{Settings, Transaction, begin_statement};

/// Where one statement runs: `sqlx::query(..).execute(db.single())`.
///
/// Where the server is reached directly, that is a connection of the pool, and costs nothing more; the answers
/// are gathered before the first is seen, so that the connection is free at once. Behind a pooler in transaction mode the statement has a transaction to itself, so that its two halves come to one
/// server connection; that is two round trips more.
#[derive(Debug)]
pub struct Single<'c> {
    db: &'c Db,
    /// A connection outside the pool.
    own: Option<&'c mut PgConnection>,
}

type Answers = Vec<Either<PgQueryResult, PgRow>>;

impl Db {
    /// For one statement outside a transaction, on a connection of the pool.
    pub fn single(&self) -> Single<'_> {
        Single {
            db: self,
            own: None,
        }
    }

    /// The same on a connection that the caller has made with the pool's options. After an error it must
    /// be closed: it may still be in a transaction.
    pub fn single_on<'c>(&'c self, connection: &'c mut PgConnection) -> Single<'c> {
        Single {
            db: self,
            own: Some(connection),
        }
    }
}

impl Single<'_> {
    async fn in_transaction<'q, E>(self, query: E) -> Result<Answers, sqlx::Error>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let settings = Settings::default();
        if let Some(connection) = self.own {
            let begin = AssertSqlSafe(begin_statement(&settings, self.db).into_owned());
            connection.execute(begin).await?;
            let answers = connection.fetch_many(query).try_collect().await?;
            connection.execute("COMMIT").await?;
            return Ok(answers);
        }
        let begun = Transaction::begin(self.db, &settings).await;
        let mut transaction = begun.map_err(carried)?;
        let answers = transaction.connection().fetch_many(query).try_collect();
        match answers.await {
            Ok(answers) => {
                transaction.commit().await.map_err(carried)?;
                Ok(answers)
            }
            Err(error) => {
                // The statement's error is the one that matters; dropping rolls back as well.
                transaction.rollback().await.ok();
                Err(error)
            }
        }
    }
}

impl<'c> Executor<'c> for Single<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.db.is_pooled_by_proxy() {
            let answers = async move {
                let answers = self.in_transaction(query).await?;
                Ok::<_, sqlx::Error>(stream::iter(answers.into_iter().map(Ok)))
            };
            return stream::once(answers).try_flatten().boxed();
        }
        if let Some(connection) = self.own {
            return connection.fetch_many(query);
        }
        let answers = async move {
            let mut connection = Connection::take(self.db).await?;
            let answers: Answers = connection.fetch_many(query).try_collect().await?;
            connection.give_back();
            Ok::<_, sqlx::Error>(stream::iter(answers.into_iter().map(Ok)))
        };
        stream::once(answers).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.db.is_pooled_by_proxy() {
            return Box::pin(async move {
                let answers = self.in_transaction(query).await?;
                Ok(answers.into_iter().find_map(Either::right))
            });
        }
        if let Some(connection) = self.own {
            return connection.fetch_optional(query);
        }
        Box::pin(async move {
            let mut connection = Connection::take(self.db).await?;
            let answer = connection.fetch_optional(query).await?;
            connection.give_back();
            Ok(answer)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.db.pool().prepare_with(sql, parameters)
    }
}

/// Our own error on its way through the driver's; it comes out as it was.
fn carried(error: DbError) -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(error))
}
