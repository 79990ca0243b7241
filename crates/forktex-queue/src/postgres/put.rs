// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Putting jobs in, on a connection of the backend's or of the caller's transaction.

use std::collections::HashMap;
use std::time::Duration;

use forktex_db::sqlx::{self, PgConnection, Row};
use forktex_db::{DbError, Singly as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::microseconds;
use super::{PostgresBackend, concluded};
use crate::backend::{Due, NewJob, Put};
use crate::identifier::JobId;
use crate::limit::{Limit, Rate};
use crate::unique::UniqueMode;

/// The most jobs of one statement.
const STATEMENT_JOBS_MAX: usize = 1_000;

/// The most bytes of payloads of one statement, if it has more than one job.
const STATEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often it is asked again who holds a unique lock that came or went meanwhile.
const HOLDER_ROUNDS: usize = 10;

/// What became of a job, as far as one statement can tell.
enum Attempt {
    Known(Put),
    /// Its lock was free as it looked, and then was not.
    Unknown,
}

impl PostgresBackend {
    /// Puts jobs in, all or none.
    pub(super) async fn put_all(&self, jobs: &[NewJob]) -> Result<Vec<Put>, DbError> {
        match jobs {
            [] => Ok(Vec::new()),
            [job] if job.unique.is_none() => {
                self.insert_one(job).await?;
                Ok(vec![Put::Inserted])
            }
            [job] => {
                // One job is in wholly after any of its rounds.
                let mut session = self.db.session().await?;
                let answers = self
                    .put_on(session.connection(), std::slice::from_ref(job))
                    .await?;
                session.end().await?;
                Ok(answers)
            }
            jobs if statements(jobs).count() == 1
                && jobs.iter().all(|job| job.unique.is_none()) =>
            {
                let columns = Columns::of(jobs.iter());
                columns
                    .bound_to(sqlx::query(self.statements.put_jobs.clone()))
                    .single(&self.db)
                    .execute()
                    .await?;
                Ok(vec![Put::Inserted; jobs.len()])
            }
            jobs => {
                let mut tx = self.db.begin().await?;
                let answers = self.put_on(tx.connection(), jobs).await;
                concluded(tx, answers).await
            }
        }
    }

    /// Puts jobs in on a connection, of which a failure leaves none only if it is in a transaction.
    pub(super) async fn put_on(
        &self,
        connection: &mut PgConnection,
        jobs: &[NewJob],
    ) -> Result<Vec<Put>, DbError> {
        let mut answers: HashMap<Uuid, Put> = HashMap::new();
        let (firsts, repeated) = first_of_each_key(jobs);
        for part in statements(&firsts) {
            if part.iter().all(|job| job.unique.is_none()) {
                let columns = Columns::of(part.iter().copied());
                columns
                    .bound_to(sqlx::query(self.statements.put_jobs.clone()))
                    .execute(&mut *connection)
                    .await?;
                answers.extend(part.iter().map(|job| (job.id.0, Put::Inserted)));
                continue;
            }
            self.put_unique(&mut *connection, part, &mut answers)
                .await?;
        }
        for (id, first) in repeated {
            let put = match answers.get(&first) {
                Some(Put::Duplicate(holder)) => Put::Duplicate(*holder),
                _ => Put::Duplicate(JobId(first)),
            };
            answers.insert(id, put);
        }
        jobs.iter()
            .map(|job| answers.get(&job.id.0).copied().ok_or(DbError::NotFound))
            .collect()
    }

    async fn insert_one(&self, job: &NewJob) -> Result<(), DbError> {
        let (after_us, at_us) = due(job.due);
        let limit = LimitColumns::of(job.limit.as_ref());
        sqlx::query(self.statements.put_job.clone())
            .bind(job.id.0)
            .bind(job.queue.as_str())
            .bind(job.name.as_str())
            .bind(&*job.tenant)
            .bind(&*job.payload)
            .bind(job.priority)
            .bind(after_us)
            .bind(at_us)
            .bind(i32::from(job.attempts_max))
            .bind(microseconds(job.timeout))
            .bind(job.trace_parent.as_deref())
            .bind(limit.key)
            .bind(limit.concurrency)
            .bind(limit.rate_count)
            .bind(limit.rate_per_us)
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    /// Puts jobs in of which some have a unique key, no two the same.
    async fn put_unique(
        &self,
        connection: &mut PgConnection,
        jobs: &[&NewJob],
        answers: &mut HashMap<Uuid, Put>,
    ) -> Result<(), DbError> {
        let mut open: Vec<&NewJob> = jobs.to_vec();
        for _ in 0..HOLDER_ROUNDS {
            let columns = Columns::of(open.iter().copied());
            let locks = LockColumns::of(&open);
            let rows = columns
                .bound_to(sqlx::query(self.statements.put_unique_jobs.clone()))
                .bind(&locks.keys)
                .bind(&locks.modes)
                .bind(&locks.times_us)
                .fetch_all(&mut *connection)
                .await?;
            for row in &rows {
                if let (id, Attempt::Known(put)) = attempt(row)? {
                    answers.insert(id, put);
                }
            }
            open.retain(|job| !answers.contains_key(&job.id.0));
            if open.is_empty() {
                return Ok(());
            }
        }
        Err(DbError::Conflict {
            reason: "the holder of a unique key changed again and again",
            constraint: None,
            sqlstate: None,
        })
    }
}

fn attempt(row: &sqlx::postgres::PgRow) -> Result<(Uuid, Attempt), DbError> {
    let id: Uuid = row.try_get("job_id")?;
    let holder: Option<Uuid> = row.try_get("holder_id")?;
    let attempt = match holder {
        _ if row.try_get("is_inserted")? => Attempt::Known(Put::Inserted),
        Some(holder) => Attempt::Known(Put::Duplicate(JobId(holder))),
        None => Attempt::Unknown,
    };
    Ok((id, attempt))
}

/// The jobs without those whose key another before them has, and these with the other.
fn first_of_each_key(jobs: &[NewJob]) -> (Vec<&NewJob>, Vec<(Uuid, Uuid)>) {
    let mut holders: HashMap<(&str, &str), Uuid> = HashMap::new();
    let mut firsts = Vec::with_capacity(jobs.len());
    let mut repeated = Vec::new();
    for job in jobs {
        if let Some(lock) = &job.unique {
            let key = (job.queue.as_str(), lock.key.as_str());
            if let Some(first) = holders.get(&key) {
                repeated.push((job.id.0, *first));
                continue;
            }
            holders.insert(key, job.id.0);
        }
        firsts.push(job);
    }
    (firsts, repeated)
}

/// What has a payload.
trait Carries {
    fn bytes(&self) -> usize;
}

impl Carries for NewJob {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl Carries for &NewJob {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// The jobs in parts that one statement takes each.
fn statements<J: Carries>(jobs: &[J]) -> impl Iterator<Item = &[J]> {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(STATEMENT_JOBS_MAX).take_while(|job| {
            bytes += job.bytes();
            bytes <= STATEMENT_BYTES_MAX
        });
        let count = fitting.count().max(1);
        let (part, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(part)
    })
}

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// The columns of `put_jobs`, one array each.
#[derive(Default)]
struct Columns<'j> {
    ids: Vec<Uuid>,
    queues: Vec<&'j str>,
    names: Vec<&'j str>,
    tenants: Vec<&'j str>,
    payloads: Vec<&'j [u8]>,
    priorities: Vec<i16>,
    after_us: Vec<Option<i64>>,
    at_us: Vec<Option<i64>>,
    attempts_max: Vec<i32>,
    timeouts_us: Vec<i64>,
    trace_parents: Vec<Option<&'j str>>,
    limit_keys: Vec<Option<&'j str>>,
    limit_concurrency: Vec<Option<i32>>,
    rate_counts: Vec<Option<i32>>,
    rate_per_us: Vec<Option<i64>>,
}

impl<'j> Columns<'j> {
    fn of(jobs: impl Iterator<Item = &'j NewJob>) -> Self {
        let mut columns = Self::default();
        for job in jobs {
            let (after_us, at_us) = due(job.due);
            let limit = LimitColumns::of(job.limit.as_ref());
            columns.ids.push(job.id.0);
            columns.queues.push(job.queue.as_str());
            columns.names.push(job.name.as_str());
            columns.tenants.push(&job.tenant);
            columns.payloads.push(&job.payload);
            columns.priorities.push(job.priority);
            columns.after_us.push(after_us);
            columns.at_us.push(at_us);
            columns.attempts_max.push(i32::from(job.attempts_max));
            columns.timeouts_us.push(microseconds(job.timeout));
            columns.trace_parents.push(job.trace_parent.as_deref());
            columns.limit_keys.push(limit.key);
            columns.limit_concurrency.push(limit.concurrency);
            columns.rate_counts.push(limit.rate_count);
            columns.rate_per_us.push(limit.rate_per_us);
        }
        columns
    }

    fn bound_to<'q>(&'q self, query: PgQuery<'q>) -> PgQuery<'q> {
        query
            .bind(&self.ids)
            .bind(&self.queues)
            .bind(&self.names)
            .bind(&self.tenants)
            .bind(&self.payloads)
            .bind(&self.priorities)
            .bind(&self.after_us)
            .bind(&self.at_us)
            .bind(&self.attempts_max)
            .bind(&self.timeouts_us)
            .bind(&self.trace_parents)
            .bind(&self.limit_keys)
            .bind(&self.limit_concurrency)
            .bind(&self.rate_counts)
            .bind(&self.rate_per_us)
    }
}

#[derive(Default)]
struct LimitColumns<'j> {
    key: Option<&'j str>,
    concurrency: Option<i32>,
    rate_count: Option<i32>,
    rate_per_us: Option<i64>,
}

impl<'j> LimitColumns<'j> {
    fn of(limit: Option<&'j Limit>) -> Self {
        let Some(limit) = limit else {
            return Self::default();
        };
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            key: Some(&limit.key),
            concurrency: limit.concurrency.map(number),
            rate_count: limit.rate.map(|Rate { count, .. }| number(count)),
            rate_per_us: limit.rate.map(|Rate { per, .. }| microseconds(per)),
        }
    }
}

#[derive(Default)]
struct LockColumns<'j> {
    keys: Vec<Option<&'j str>>,
    modes: Vec<Option<i16>>,
    times_us: Vec<Option<i64>>,
}

impl<'j> LockColumns<'j> {
    fn of(jobs: &[&'j NewJob]) -> Self {
        let mut columns = Self::default();
        for job in jobs {
            let lock = job.unique.as_ref();
            let mode = lock.map(|lock| number_of(lock.mode));
            columns.keys.push(lock.map(|lock| lock.key.as_str()));
            columns.modes.push(mode.map(|(mode, _)| mode));
            columns
                .times_us
                .push(mode.and_then(|(_, time)| time.map(microseconds)));
        }
        columns
    }
}

/// The number that stands for a mode, and the time that it has.
fn number_of(mode: UniqueMode) -> (i16, Option<Duration>) {
    match mode {
        UniqueMode::UntilStarted => (1, None),
        UniqueMode::UntilDone => (2, None),
        UniqueMode::For(time) => (3, Some(time)),
        UniqueMode::Forever => (4, None),
    }
}

/// When it is due: microseconds from now, or since 1970.
fn due(due: Due) -> (Option<i64>, Option<i64>) {
    match due {
        Due::Now => (Some(0), None),
        Due::After(delay) => (Some(microseconds(delay)), None),
        Due::At(instant) => (None, Some(since_1970(instant))),
    }
}

fn since_1970(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(usize);

    impl Carries for Bytes {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn parts(sizes: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let jobs: Vec<Bytes> = sizes.into_iter().map(Bytes).collect();
        statements(&jobs).map(<[Bytes]>::len).collect()
    }

    #[test]
    fn statements_are_bounded_by_jobs_and_by_bytes() {
        assert_eq!(parts(vec![1; 2_500]), [1_000, 1_000, 500]);
        let half = STATEMENT_BYTES_MAX / 2;
        assert_eq!(parts([half, half, 1, half]), [2, 2]);
        assert_eq!(parts([STATEMENT_BYTES_MAX + 1, 1]), [1, 1]);
        assert!(parts([]).is_empty());
    }
}
