// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Claiming jobs that have a limit: in one transaction they are found, their keys locked, what counts
//! against them read, and each is given, held or put off.

mod verdict;

use std::collections::BTreeSet;

use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, PgConnection, Row};
use forktex_db::{DbError, Singly as _, Transaction};
use uuid::Uuid;

use super::row::microseconds;
use super::{PostgresBackend, concluded};
use crate::backend::{Claim, Claimed};
use crate::identifier::QueueName;
use verdict::{Candidate, Numbers, Usage, Verdict, judge};

/// The most jobs with limits of one claim: each may have a key of its own, and each key is a lock.
const LIMITED_JOBS_MAX: usize = 100;

/// The most keys whose held jobs are looked after at a time.
const KEYS_MAX: usize = 100;

/// A limit: its queue and its key.
pub(super) type LimitKey = (String, String);

/// A job that a limit concerns, and the place of its row of `ready`.
struct Found {
    place: String,
    job_id: Uuid,
    candidate: Candidate,
}

impl PostgresBackend {
    /// Claims the jobs at the front of a queue that have limits, from after a tenant on.
    pub(super) async fn claim_limited(
        &self,
        queue: &QueueName,
        after: &str,
        claim: &Claim,
        room: usize,
    ) -> Result<Claimed, DbError> {
        let room = room.min(LIMITED_JOBS_MAX);
        let mut tx = self.db.begin().await?;
        let found = self
            .claim_limited_in(&mut tx, queue, after, claim, room)
            .await;
        let (rows, is_more) = concluded(tx, found).await?;
        let jobs = self.claimed_rows(&rows, queue, claim.lease)?;
        Ok(Claimed {
            jobs: jobs.into_iter().map(|(_, job)| job).collect(),
            is_more,
            next_due: None,
        })
    }

    async fn claim_limited_in(
        &self,
        tx: &mut Transaction,
        queue: &QueueName,
        after: &str,
        claim: &Claim,
        room: usize,
    ) -> Result<(Vec<PgRow>, bool), DbError> {
        let rows = sqlx::query(self.statements.find_limited_jobs.clone())
            .bind(queue.as_str())
            .bind(after)
            .bind(i64::try_from(room).unwrap_or(i64::MAX))
            .fetch_all(tx.connection())
            .await?;
        let found = rows.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Ok((Vec::new(), false));
        }
        let keys: BTreeSet<LimitKey> = found
            .iter()
            .map(|found| (queue.as_str().to_owned(), found.candidate.key.clone()))
            .collect();
        self.lock_limits(tx.connection(), &keys).await?;
        let (usages, now_us) = self.usages(tx.connection(), queue, &found).await?;

        let verdicts = judge(found.iter().map(|found| &found.candidate), usages, now_us);
        let mut admitted = Vec::new();
        let mut aside = (Vec::new(), Vec::new(), Vec::new());
        for (found, verdict) in found.iter().zip(verdicts) {
            let due_us = match verdict {
                Verdict::Start => {
                    admitted.push(found.place.as_str());
                    continue;
                }
                Verdict::Hold => None,
                Verdict::PutOff { due_us } => Some(due_us),
            };
            aside.0.push(found.place.as_str());
            aside.1.push(found.job_id);
            aside.2.push(due_us);
        }
        if !aside.0.is_empty() {
            sqlx::query(self.statements.set_jobs_aside.clone())
                .bind(&aside.0)
                .bind(&aside.1)
                .bind(&aside.2)
                .execute(tx.connection())
                .await?;
        }
        let is_more = found.len() >= room || !aside.0.is_empty();
        if admitted.is_empty() {
            return Ok((Vec::new(), is_more));
        }
        let rows = sqlx::query(self.statements.claim_limited_jobs.clone())
            .bind(&admitted)
            .bind(now_us)
            .bind(microseconds(claim.lease))
            .bind(claim.worker.0)
            .fetch_all(tx.connection())
            .await?;
        Ok((rows, is_more))
    }

    /// What counts against the limits of these jobs, and the server's time as it was read.
    async fn usages(
        &self,
        connection: &mut PgConnection,
        queue: &QueueName,
        found: &[Found],
    ) -> Result<(Vec<Usage>, i64), DbError> {
        let numbers: BTreeSet<Numbers> = found
            .iter()
            .map(|found| found.candidate.numbers())
            .collect();
        let numbers: Vec<Numbers> = numbers.into_iter().collect();
        let keys: Vec<&str> = numbers.iter().map(|numbers| &*numbers.key).collect();
        let rates = numbers.iter().map(|numbers| numbers.rate);
        let counts: Vec<Option<i32>> = rates
            .clone()
            .map(|rate| rate.and_then(|(count, _)| i32::try_from(count).ok()))
            .collect();
        let times_us: Vec<Option<i64>> = rates.map(|rate| rate.map(|(_, per)| per)).collect();
        let rows = sqlx::query(self.statements.read_limits.clone())
            .bind(queue.as_str())
            .bind(&keys)
            .bind(&counts)
            .bind(&times_us)
            .fetch_all(connection)
            .await?;
        let mut usages = Vec::with_capacity(rows.len());
        let mut now_us = 0;
        for (numbers, row) in numbers.into_iter().zip(&rows) {
            now_us = row.try_get("now_us")?;
            let mut starts_us: Vec<i64> = row.try_get("starts")?;
            starts_us.reverse();
            usages.push(Usage {
                numbers,
                running: count(row.try_get("running")?),
                starts_us,
                deferred: count(row.try_get("deferred")?),
                deferred_again: 0,
            });
        }
        Ok((usages, now_us))
    }

    async fn lock_limits(
        &self,
        connection: &mut PgConnection,
        keys: &BTreeSet<LimitKey>,
    ) -> Result<(), DbError> {
        let (queues, keys): (Vec<&str>, Vec<&str>) = keys
            .iter()
            .map(|(queue, key)| (queue.as_str(), key.as_str()))
            .unzip();
        sqlx::query(self.statements.lock_limits.clone())
            .bind(&queues)
            .bind(&keys)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Makes jobs ready that are held by these limits, if there is room. Returns how many.
    pub(super) async fn let_held_go(&self, limits: &BTreeSet<LimitKey>) -> Result<u64, DbError> {
        let limits: Vec<&LimitKey> = limits.iter().collect();
        let mut let_go = 0;
        for part in limits.chunks(KEYS_MAX) {
            let part: BTreeSet<LimitKey> = part.iter().map(|limit| (*limit).clone()).collect();
            let mut tx = self.db.begin().await?;
            let done = self.let_held_go_in(&mut tx, &part).await;
            let_go += concluded(tx, done).await?;
        }
        Ok(let_go)
    }

    async fn let_held_go_in(
        &self,
        tx: &mut Transaction,
        limits: &BTreeSet<LimitKey>,
    ) -> Result<u64, DbError> {
        self.lock_limits(tx.connection(), limits).await?;
        let (queues, keys): (Vec<&str>, Vec<&str>) = limits
            .iter()
            .map(|(queue, key)| (queue.as_str(), key.as_str()))
            .unzip();
        let done = sqlx::query(self.statements.let_held_go.clone())
            .bind(&queues)
            .bind(&keys)
            .execute(tx.connection())
            .await?;
        Ok(done.rows_affected())
    }

    /// As [`let_held_go`](Self::let_held_go), where what it is called for has been done already: what
    /// fails here is made up for by the next maintenance.
    pub(super) async fn let_held_go_after(&self, limits: &BTreeSet<LimitKey>) {
        if limits.is_empty() {
            return;
        }
        match self.let_held_go(limits).await {
            Ok(0) => {}
            Ok(_) => self.wakes.tell(),
            Err(error) => {
                tracing::debug!(%error, "held jobs wait for the next maintenance");
            }
        }
    }

    /// Some of the limits that hold jobs, from after one on.
    pub(super) async fn held_limits(&self, after: &LimitKey) -> Result<Vec<LimitKey>, DbError> {
        let rows = sqlx::query(self.statements.held_limits.clone())
            .bind(&after.0)
            .bind(&after.1)
            .bind(i32::try_from(KEYS_MAX).unwrap_or(i32::MAX))
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("queue")?, row.try_get("limit_key")?)))
            .collect()
    }
}

fn found(row: &PgRow) -> Result<Found, DbError> {
    let rate_count: Option<i32> = row.try_get("rate_count")?;
    let rate_per_us: Option<i64> = row.try_get("rate_per_us")?;
    let concurrency: Option<i32> = row.try_get("limit_concurrency")?;
    Ok(Found {
        place: row.try_get("place")?,
        job_id: row.try_get("job_id")?,
        candidate: Candidate {
            key: row.try_get("limit_key")?,
            concurrency: concurrency.map(|most| count(i64::from(most))),
            rate: rate_count
                .zip(rate_per_us)
                .map(|(most, per_us)| (count(i64::from(most)).max(1), per_us)),
            is_deferred: row.try_get("is_deferred")?,
        },
    })
}

fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
