// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What workers do as clients of the flow: an errand is in a table, and any worker may try it, several
//! at once and again after a murder. Keys see to it that it happens once all the same.

use std::time::Duration;

use forktex::db::sqlx::{self, PgPool};
use forktex::db::{Db, DbError};
use forktex::flow::prelude::*;
use forktex::flow::{CancelError, FlowError, PauseError, SignalError, StartError};
use serde::{Deserialize, Serialize};

use crate::arena::Outcome;
use crate::ledger::patiently;
use crate::office;
use crate::workload::{Word, journey};

/// What somebody wants of the flow. The key names the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Errand {
    Start(Wanted),
    /// Start it, with a row of the service in the same transaction.
    StartInTransaction(Wanted),
    /// Send it a word with this key.
    Tell(Wanted, String),
    /// The same, with a row of the service in the same transaction.
    TellInTransaction(Wanted, String),
    Cancel(Wanted),
    /// Cancel it, and undo what it did.
    Undo(Wanted),
    /// Pause it, and let it go on.
    Hold(Wanted),
    /// Read it, its history, and the lists.
    Look(Wanted),
    /// Do what operators and tenants do.
    Office,
}

/// A run, by its workflow and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) workflow: String,
    pub(crate) version: u32,
    pub(crate) key: String,
}

/// How many errands a worker does at a time.
const AT_ONCE: usize = 4;

/// The time after which an errand that nobody finished is tried again.
const AGAIN_AFTER: &str = "1500 milliseconds";

const IDLE: Duration = Duration::from_millis(50);

/// What an errand needs of its process.
pub(crate) struct Runner {
    pub(crate) flow: Flow,
    pub(crate) db: Db,
    pub(crate) side: PgPool,
}

impl Runner {
    /// Does what is due, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let due = self.due().await.unwrap_or_default();
            if due.is_empty() {
                tokio::time::sleep(IDLE).await;
                continue;
            }
            let doing = due.into_iter().map(|(number, errand)| async move {
                match self.do_errand(number, &errand).await {
                    Ok(()) => self.done(number).await,
                    // It is tried again, here or elsewhere.
                    Err(error) => tracing::debug!(number, %error, "an errand failed"),
                }
            });
            futures_util::future::join_all(doing).await;
        }
    }

    async fn due(&self) -> Result<Vec<(i64, Errand)>, sqlx::Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "UPDATE public.errand SET tried_at = clock_timestamp()
             WHERE number IN (
                 SELECT number FROM public.errand
                 WHERE done_at IS NULL AND due_at <= now()
                   AND (tried_at IS NULL OR tried_at < now() - interval '{AGAIN_AFTER}')
                 ORDER BY number LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED)
             RETURNING number, errand"
        )))
        .fetch_all(&self.side)
        .await?;
        let parsed = rows
            .into_iter()
            .filter_map(|(number, text)| Some((number, serde_json::from_str(&text).ok()?)));
        Ok(parsed.collect())
    }

    async fn done(&self, number: i64) {
        let noted = patiently(|| async {
            sqlx::query("UPDATE public.errand SET done_at = clock_timestamp() WHERE number = $1")
                .bind(number)
                .execute(&self.side)
                .await
        });
        if let Err(error) = noted.await {
            tracing::warn!(number, %error, "cannot note that an errand is done");
        }
    }

    async fn do_errand(&self, number: i64, errand: &Errand) -> Outcome<()> {
        match errand {
            Errand::Start(wanted) => {
                let run = self.start(wanted).await?;
                self.answer(number, wanted, &run, None).await;
            }
            Errand::StartInTransaction(wanted) => {
                let started = self.db.transaction(async |tx| -> Result<Run, FlowError> {
                    let run = self.wanted(wanted).in_transaction(tx).await?;
                    insert_answer(tx.connection(), number, wanted, &run, None)
                        .await
                        .map_err(DbError::from)?;
                    Ok(run)
                });
                started.await?;
            }
            Errand::Tell(wanted, key) => {
                let run = self.start(wanted).await?;
                match run.send(Word { amount: 1 }).idempotency_key(key).await {
                    Ok(_) => self.answer(number, wanted, &run, Some(key)).await,
                    Err(SignalError::AlreadyTerminal { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Errand::TellInTransaction(wanted, key) => {
                let run = self.start(wanted).await?;
                let telling = self.db.transaction(async |tx| -> Result<(), FlowError> {
                    let word = run.send(Word { amount: 1 }).idempotency_key(key);
                    match word.in_transaction(tx).await {
                        Ok(_) => {}
                        Err(SignalError::AlreadyTerminal { .. }) => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                    insert_answer(tx.connection(), number, wanted, &run, Some(key))
                        .await
                        .map_err(DbError::from)?;
                    Ok(())
                });
                telling.await?;
            }
            Errand::Cancel(wanted) => {
                let run = self.start(wanted).await?;
                let cancelled = run
                    .cancel("enough")
                    .grace_period(Duration::from_millis(500));
                ignore_ended(cancelled.await)?;
            }
            Errand::Undo(wanted) => {
                let run = self.start(wanted).await?;
                ignore_ended(run.cancel("enough").compensate().await)?;
            }
            Errand::Hold(wanted) => {
                let run = self.start(wanted).await?;
                match run.pause().await {
                    Ok(()) | Err(PauseError::AlreadyTerminal { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                tokio::time::sleep(IDLE).await;
                match run.resume().await {
                    Ok(()) | Err(PauseError::AlreadyTerminal { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Errand::Look(wanted) => {
                let run = self.start(wanted).await?;
                run.refresh().await?;
                run.history().await?;
                let runs = self.flow.query().workflow(wanted.workflow.as_str());
                runs.count().await?;
                runs.first().await?;
                runs.summary().await?;
                self.flow.schedules().await?;
            }
            Errand::Office => office::work(&self.flow, &self.db, number).await?,
        }
        Ok(())
    }

    fn wanted(&self, wanted: &Wanted) -> forktex::flow::RunBuilder {
        let state = json!(journey(wanted.key.as_str()));
        let run = self.flow.run(wanted.workflow.as_str());
        run.version(wanted.version)
            .state(state)
            .idempotency_key(wanted.key.as_str())
    }

    /// Starts the run, or finds it.
    async fn start(&self, wanted: &Wanted) -> Result<Run, StartError> {
        self.wanted(wanted).await
    }

    /// Notes what the flow has acknowledged.
    async fn answer(&self, number: i64, wanted: &Wanted, run: &Run, word: Option<&str>) {
        let noted = patiently(|| async {
            let mut connection = self.side.acquire().await?;
            insert_answer(&mut connection, number, wanted, run, word).await
        });
        if let Err(error) = noted.await {
            tracing::warn!(number, %error, "cannot note an answer");
        }
    }
}

async fn insert_answer(
    connection: &mut sqlx::PgConnection,
    number: i64,
    wanted: &Wanted,
    run: &Run,
    word: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO public.answer (number, workflow, key, instance, word)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(number)
    .bind(&wanted.workflow)
    .bind(&wanted.key)
    .bind(run.id().to_string())
    .bind(word)
    .execute(connection)
    .await
    .map(drop)
}

fn ignore_ended(cancelled: Result<(), CancelError>) -> Result<(), CancelError> {
    match cancelled {
        Err(CancelError::AlreadyTerminal { .. }) => Ok(()),
        cancelled => cancelled,
    }
}
