// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The witness: one row for each time that a step starts or finishes, written by the step itself.
//!
//! The engine does not know of it, so that it can testify against the engine. A row is committed at
//! once, apart from the checkpoint.

#[cfg(test)]
use std::sync::{Mutex, PoisonError};

use forktex::db::{Db, DbError, sqlx};
use forktex::flow::prelude::*;
use time::OffsetDateTime;

const CREATE: &str = "
    CREATE SCHEMA IF NOT EXISTS demo;
    CREATE TABLE IF NOT EXISTS demo.ledger (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        instance_id text NOT NULL,
        node text NOT NULL,
        visit integer NOT NULL,
        attempt integer NOT NULL,
        event text NOT NULL CHECK (event IN ('started', 'finished')),
        process_id integer NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX IF NOT EXISTS ledger_by_instance ON demo.ledger (instance_id, id);";

const WRITE: &str = "
    INSERT INTO demo.ledger (instance_id, node, visit, attempt, event, process_id)
    VALUES ($1, $2, $3, $4, $5, $6)";

const READ: &str = "
    SELECT id, node, attempt, event, process_id, at
    FROM demo.ledger
    WHERE instance_id = $1 AND id > $2
    ORDER BY id";

/// A step that finished and yet started or finished again.
const REPEATED: &str = "
    SELECT entry.node,
           count(*) FILTER (WHERE entry.event = 'finished') AS finished,
           count(*) FILTER (WHERE entry.event = 'started' AND entry.id > first.id) AS started_after
    FROM demo.ledger AS entry
    JOIN (SELECT node, visit, min(id) AS id
          FROM demo.ledger
          WHERE instance_id = $1 AND event = 'finished'
          GROUP BY node, visit) AS first
      ON first.node = entry.node AND first.visit = entry.visit
    WHERE entry.instance_id = $1
    GROUP BY entry.node, entry.visit
    HAVING count(*) FILTER (WHERE entry.event = 'finished') > 1
        OR count(*) FILTER (WHERE entry.event = 'started' AND entry.id > first.id) > 0
    ORDER BY min(entry.id)
    LIMIT 1";

/// What a step has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Started,
    Finished,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Finished => "finished",
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) node: String,
    pub(crate) attempt: i32,
    pub(crate) event: Event,
    pub(crate) process_id: i32,
    pub(crate) at: OffsetDateTime,
}

/// A finished step that ran again.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) node: String,
    pub(crate) finished: i64,
    pub(crate) started_after: i64,
}

/// Where steps write; they take it as `Resource<Ledger>`.
#[derive(Debug)]
pub(crate) struct Ledger(Rows);

#[derive(Debug)]
enum Rows {
    Table(Db),
    #[cfg(test)]
    Memory(Mutex<Vec<Event>>),
}

impl Ledger {
    pub(crate) fn new(db: Db) -> Self {
        Self(Rows::Table(db))
    }

    /// For unit tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self(Rows::Memory(Mutex::default()))
    }

    #[cfg(test)]
    pub(crate) fn events_in_memory(&self) -> Vec<&'static str> {
        match &self.0 {
            Rows::Table(_) => Vec::new(),
            Rows::Memory(events) => {
                let events = events.lock().unwrap_or_else(PoisonError::into_inner);
                events.iter().map(|event| event.as_str()).collect()
            }
        }
    }

    /// Notes that the step starts, does its work, and notes that it has finished if it has.
    pub(crate) async fn record<U>(
        &self,
        ctx: &Ctx,
        work: impl Future<Output = StepResult<U>> + Send,
    ) -> StepResult<U> {
        self.write(ctx, Event::Started).await?;
        let update = work.await?;
        self.write(ctx, Event::Finished).await?;
        Ok(update)
    }

    async fn write(&self, ctx: &Ctx, event: Event) -> Result<(), DbError> {
        match &self.0 {
            Rows::Table(db) => {
                sqlx::query(WRITE)
                    .bind(ctx.instance_id().to_string())
                    .bind(ctx.node().as_str())
                    .bind(ctx.visit().cast_signed())
                    .bind(ctx.attempt().cast_signed())
                    .bind(event.as_str())
                    .bind(std::process::id().cast_signed())
                    .execute(db.pool())
                    .await?;
            }
            #[cfg(test)]
            Rows::Memory(events) => {
                let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
                events.push(event);
            }
        }
        Ok(())
    }
}

/// Creates the table. Needs a role that may create schemas.
pub(crate) async fn create(db: &Db) -> Result<(), DbError> {
    sqlx::raw_sql(CREATE).execute(db.pool()).await?;
    Ok(())
}

/// The rows of a run after that one, oldest first.
pub(crate) async fn entries_after(
    db: &Db,
    instance: InstanceId,
    id: i64,
) -> Result<Vec<Entry>, DbError> {
    type Row = (i64, String, i32, String, i32, OffsetDateTime);
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(instance.to_string())
        .bind(id)
        .fetch_all(db.pool())
        .await?;
    let entries = rows
        .into_iter()
        .map(|(id, node, attempt, event, process_id, at)| Entry {
            id,
            node,
            attempt,
            event: match event.as_str() {
                "started" => Event::Started,
                _ => Event::Finished,
            },
            process_id,
            at,
        });
    Ok(entries.collect())
}

/// The first step of a run, if any, that finished and ran again.
pub(crate) async fn repeated(db: &Db, instance: InstanceId) -> Result<Option<Repeated>, DbError> {
    let row: Option<(String, i64, i64)> = sqlx::query_as(REPEATED)
        .bind(instance.to_string())
        .fetch_optional(db.pool())
        .await?;
    Ok(row.map(|(node, finished, started_after)| Repeated {
        node,
        finished,
        started_after,
    }))
}

/// The database's clock.
pub(crate) async fn now(db: &Db) -> Result<OffsetDateTime, DbError> {
    Ok(sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(db.pool())
        .await?)
}

#[cfg(test)]
mod tests {
    use forktex::db::DbOptions;
    use forktex_testkit::TestDatabase;

    use super::*;

    /// The verdict is worth something only if it can be the other one.
    #[tokio::test]
    async fn a_finished_step_that_starts_again_is_found() -> Result<(), Box<dyn std::error::Error>>
    {
        let database = TestDatabase::create().await?;
        let db = Db::connect(database.owner_url(), DbOptions::new()).await?;
        create(&db).await?;
        let (ledger, ctx) = (Ledger::new(db.clone()), Ctx::for_test());
        let instance = ctx.instance_id();

        // A process that dies midway leaves this behind, and the next one all the rest.
        ledger.write(&ctx, Event::Started).await?;
        ledger.write(&ctx, Event::Started).await?;
        ledger.write(&ctx, Event::Finished).await?;
        assert!(repeated(&db, instance).await?.is_none());

        ledger.write(&ctx, Event::Started).await?;
        let found = repeated(&db, instance).await?;
        let found = found.map(|repeated| (repeated.finished, repeated.started_after));
        assert_eq!(found, Some((1, 1)));
        db.close().await;
        Ok(())
    }
}
