// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs on Postgres, in tables of their own.
//!
//! What most jobs go through costs little: two rows are inserted when one is put in, one is deleted when it
//! is claimed and one when it is done, in statements for many jobs at once. Who holds a job stands in one
//! row for the whole batch that it was claimed with, and the token names the generation that the job was
//! in: whoever changes its fate otherwise than by its end begins a new one, and fences the token off.
//!
//! Rows are locked in one order: of `ready`, of `lease`, of `job`, of `unique_lock`, and jobs by their ids.

mod batches;
mod claim;
mod control;
mod error;
mod inspect;
mod limits;
mod maintenance;
mod put;
mod row;
mod schema;
mod settle;
mod statement;
mod token;
mod wakes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{Db, DbError, Transaction};
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::backend::{
    Backend, CancelAnswer, Claim, Claimed, JobFilter, Lease, Maintained, NewJob, Put, QueueStats,
    Renewed, ReplayAnswer, Settled, Settlement,
};
use crate::error::QueueError;
use crate::identifier::{JobId, QueueName, WorkerId};
use crate::record::JobRecord;
use batches::Batches;
use claim::Turns;
use error::failed;
use limits::LimitKey;
use statement::Statements;
use wakes::Wakes;

/// How often what lost a race with another transaction is begun again.
const RACES_MAX: usize = 5;

/// The queues in one schema of one database.
#[derive(Debug)]
pub(crate) struct PostgresBackend {
    db: Db,
    schema: String,
    statements: Statements,
    /// Who renews leases, for those who look into the tables.
    holder: Uuid,
    batches: Batches,
    turns: Turns,
    /// Up to where the last maintenance looked after held jobs.
    held_after: Mutex<LimitKey>,
    wakes: Arc<Wakes>,
}

impl PostgresBackend {
    /// The queues of a namespace, whose name was checked, or those without one.
    pub(crate) fn new(db: Db, namespace: Option<&str>) -> Self {
        let schema = schema::schema_of(namespace);
        let statements = Statements::for_schema(&schema);
        let wakes = Wakes::new(db.clone(), &schema, statements.notify.clone());
        Self {
            db,
            schema,
            statements,
            holder: WorkerId::generate().0,
            batches: Batches::default(),
            turns: Turns::default(),
            held_after: Mutex::default(),
            wakes: Arc::new(wakes),
        }
    }

    /// Puts jobs in with a transaction of the caller's; others are told of them after its commit.
    pub(crate) async fn put_in(
        &self,
        tx: &mut Transaction,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Put>, QueueError> {
        let answers = self.put_on(tx.connection(), &jobs).await;
        let answers = answers.map_err(|error| failed("enqueue", error))?;
        self.put_changes_order(&jobs);
        let wakes = Arc::clone(&self.wakes);
        tx.after_commit(async move { wakes.tell() });
        Ok(answers)
    }

    /// Jobs with a head start may stand before where the last claim ended.
    fn put_changes_order(&self, jobs: &[NewJob]) {
        if jobs.iter().any(|job| job.priority != 0) {
            self.forget_marks();
        }
    }
}

/// Begins again what has lost a race with another transaction, and kept nothing.
///
/// No function: of what a closure returns for any lifetime the compiler cannot see that it is `Send`.
macro_rules! racing {
    ($attempt:expr) => {{
        let mut races = 0;
        loop {
            match $attempt.await {
                Err(error) if error.is_retryable() && races < $crate::postgres::RACES_MAX => {
                    races += 1;
                }
                outcome => break outcome,
            }
        }
    }};
}
use racing;

/// Commits what came to pass, and rolls back what failed.
async fn concluded<T>(tx: Transaction, outcome: Result<T, DbError>) -> Result<T, DbError> {
    match outcome {
        Ok(answer) => tx.commit().await.map(|()| answer),
        Err(error) => {
            // It is rolled back with the connection, if this fails as well.
            drop(tx.rollback().await);
            Err(error)
        }
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn init(&self) -> Result<(), QueueError> {
        schema::migrate(&self.db, &self.schema)
            .await
            .map_err(error::not_migrated)
    }

    async fn put(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, QueueError> {
        let answers = racing!(self.put_all(&jobs));
        let answers = answers.map_err(|error| failed("enqueue", error))?;
        self.put_changes_order(&jobs);
        self.wakes.tell();
        Ok(answers)
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        let claimed = racing!(self.claim_jobs(claim));
        claimed.map_err(|error| failed("claim jobs", error))
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        let settled = self.settle_all(&settlements).await;
        settled.map_err(|error| failed("settle jobs", error))
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Renewed>, QueueError> {
        let renewed = racing!(self.renew_all(leases, lease));
        renewed.map_err(|error| failed("renew leases", error))
    }

    async fn maintain(&self, dead_letters_kept: Duration) -> Result<Maintained, QueueError> {
        let done = self.maintain_all(dead_letters_kept).await;
        done.map_err(|error| failed("maintain the queue", error))
    }

    async fn cancel(&self, id: JobId) -> Result<CancelAnswer, QueueError> {
        let cancelled = racing!(self.cancel_job(id));
        cancelled.map_err(|error| failed("cancel a job", error))
    }

    async fn set_paused(&self, queue: &QueueName, is_paused: bool) -> Result<(), QueueError> {
        let paused = self.set_queue_paused(queue, is_paused).await;
        paused.map_err(|error| failed("pause or resume a queue", error))
    }

    async fn find(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        let found = self.find_job(id).await;
        found.map_err(|error| failed("find a job", error))
    }

    async fn list(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, QueueError> {
        let listed = self.list_jobs(filter, after, jobs_max).await;
        listed.map_err(|error| failed("list jobs", error))
    }

    async fn replay(&self, id: JobId) -> Result<ReplayAnswer, QueueError> {
        let replayed = racing!(self.replay_job(id));
        replayed.map_err(|error| failed("replay a job", error))
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        let discarded = self.discard_job(id).await;
        discarded.map_err(|error| failed("discard a job", error))
    }

    async fn stats(&self, queue: &QueueName) -> Result<QueueStats, QueueError> {
        let stats = self.stats_of(queue).await;
        stats.map_err(|error| failed("count jobs", error))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, QueueError> {
        let queues = self.list_queues().await;
        queues.map_err(|error| failed("list queues", error))
    }

    async fn fire(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
    ) -> Result<bool, QueueError> {
        let fired = racing!(self.fire_tick(schedule, tick, &job));
        fired.map_err(|error| failed("fire a schedule", error))
    }

    async fn now(&self) -> Result<OffsetDateTime, QueueError> {
        let now = self.server_clock().await;
        now.map_err(|error| failed("read the clock", error))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.receiver()
    }

    async fn close(&self) {
        self.wakes.close();
    }
}
