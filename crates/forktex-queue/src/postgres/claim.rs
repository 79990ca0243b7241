// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Claiming jobs: in one statement where no limit concerns them, and else in a transaction of a few.
//!
//! What this process remembers of a queue only saves work: whose turn it is, when it last looked for jobs
//! that are due, and up to where the index is empty. Everything is looked at anew within a second.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};

use super::PostgresBackend;
use super::row::{claimed, duration, microseconds, total};
use crate::backend::{Claim, Claimed, ClaimedJob};
use crate::identifier::QueueName;

/// The most jobs of one claim, so that its arrays stay in one row of `lease`.
pub(super) const CLAIM_JOBS_MAX: u32 = 256;

/// The most jobs that one statement makes ready.
pub(super) const PROMOTE_JOBS_MAX: i64 = 1_000;

/// How often one claim goes round the tenants of a queue at most.
const ROUNDS_MAX: usize = 4;

/// How long a claim does without a look at what is due, if it finds enough without.
const DUE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long claims go on from where the last one ended before one begins at the front again.
const FRONT_INTERVAL: Duration = Duration::from_millis(50);

/// From how many jobs on it is worth to remember where a claim ended.
const LARGE_CLAIM: usize = 32;

/// What is remembered of the queues.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<QueueName, Turn>>);

#[derive(Debug, Clone, Default)]
struct Turn {
    /// The tenant that was served last.
    tenant: String,
    /// Where the last claim ended, if it was large and there was one tenant alone.
    mark: Option<Mark>,
    /// When what is due was looked for.
    looked_at: Option<Instant>,
    /// When the next job is due, as far as that look could tell.
    next_due: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    score: i64,
    front_seen_at: Instant,
}

impl Turns {
    fn of(&self, queue: &QueueName) -> Turn {
        self.books().get(queue).cloned().unwrap_or_default()
    }

    fn keep(&self, queue: &QueueName, turn: Turn) {
        self.books().insert(queue.clone(), turn);
    }

    fn books(&self) -> MutexGuard<'_, HashMap<QueueName, Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn must_look(&self, now: Instant) -> bool {
        self.next_due.is_some_and(|due| due <= now)
            || self
                .looked_at
                .is_none_or(|looked_at| now.duration_since(looked_at) >= DUE_LOOK_INTERVAL)
    }

    fn mark(&self, now: Instant) -> Option<Mark> {
        self.mark
            .filter(|mark| now.duration_since(mark.front_seen_at) < FRONT_INTERVAL)
    }
}

/// What a claim statement said.
struct Answer {
    jobs: Vec<(i64, ClaimedJob)>,
    is_limited: bool,
    is_more: bool,
    turn: Option<String>,
    tenants: i64,
}

impl PostgresBackend {
    /// Gives jobs to a worker.
    pub(super) async fn claim_jobs(&self, claim: &Claim) -> Result<Claimed, DbError> {
        let room = claim.jobs_max.min(CLAIM_JOBS_MAX) as usize;
        let mut claimed = Claimed::default();
        for queue in &claim.queues {
            if claimed.jobs.len() >= room {
                // The others are looked at when there is room again.
                claimed.is_more = true;
                break;
            }
            match self.claim_of(queue, claim, room, &mut claimed).await {
                Ok(()) => {}
                Err(error) if claimed.jobs.is_empty() => return Err(error),
                Err(error) => {
                    // What was claimed before it is not to wait for the end of its lease.
                    tracing::debug!(%error, %queue, "a queue was not claimed from");
                    claimed.is_more = true;
                    break;
                }
            }
        }
        Ok(claimed)
    }

    /// Claims from one queue until there are `room` jobs.
    async fn claim_of(
        &self,
        queue: &QueueName,
        claim: &Claim,
        room: usize,
        claimed: &mut Claimed,
    ) -> Result<(), DbError> {
        let before = claimed.jobs.len();
        let turn = self.turns.of(queue);
        if turn.looked_at.is_some() && turn.must_look(Instant::now()) {
            self.look_for_due(queue).await?;
        }
        let mut is_more = false;
        for _ in 0..ROUNDS_MAX {
            let left = room.saturating_sub(claimed.jobs.len());
            if left == 0 {
                break;
            }
            let answer = self.claim_round(queue, claim, left).await?;
            is_more = answer.is_more;
            let left = left.saturating_sub(answer.jobs.len());
            claimed
                .jobs
                .extend(answer.jobs.into_iter().map(|(_, job)| job));
            if answer.is_limited && left > 0 {
                let after = self.turns.of(queue).tenant;
                let limited = self.claim_limited(queue, &after, claim, left).await?;
                is_more |= limited.is_more;
                claimed.jobs.extend(limited.jobs);
            }
            if is_more {
                continue;
            }
            // Nothing more is ready but, perhaps, what is due.
            let is_enough = claimed.jobs.len() > before && self.turns.of(queue).looked_at.is_some();
            if is_enough || self.look_for_due(queue).await? == 0 {
                break;
            }
        }
        claimed.is_more |= is_more;
        let next_due = self.turns.of(queue).next_due;
        let next_due = next_due.map(|due| due.saturating_duration_since(Instant::now()));
        claimed.next_due = match (claimed.next_due, next_due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(())
    }

    /// One statement: from where the last claim ended, or round the tenants.
    async fn claim_round(
        &self,
        queue: &QueueName,
        claim: &Claim,
        room: usize,
    ) -> Result<Answer, DbError> {
        let now = Instant::now();
        let mut turn = self.turns.of(queue);
        let room_rows = i64::try_from(room).unwrap_or(i64::from(CLAIM_JOBS_MAX));
        let mark = turn.mark(now).filter(|_| room >= LARGE_CLAIM);
        let rows = if let Some(mark) = mark {
            sqlx::query(self.statements.claim_tenant_jobs.clone())
                .bind(queue.as_str())
                .bind(&turn.tenant)
                .bind(mark.score)
                .bind(room_rows)
                .bind(microseconds(claim.lease))
                .bind(claim.worker.0)
                .single(&self.db)
                .fetch_all()
                .await?
        } else {
            sqlx::query(self.statements.claim_jobs.clone())
                .bind(queue.as_str())
                .bind(&turn.tenant)
                .bind(room_rows)
                .bind(microseconds(claim.lease))
                .bind(claim.worker.0)
                .single(&self.db)
                .fetch_all()
                .await?
        };
        let mut answer = self.answer(&rows, queue, claim.lease)?;
        let last = answer.jobs.last().map(|(score, _)| *score);
        turn.mark = match last {
            Some(score)
                if answer.tenants == 1 && answer.is_more && answer.jobs.len() >= LARGE_CLAIM =>
            {
                Some(Mark {
                    score,
                    front_seen_at: mark.map_or(now, |mark| mark.front_seen_at),
                })
            }
            _ => None,
        };
        if let Some(tenant) = answer.turn.take() {
            turn.tenant = tenant;
        }
        // Whoever looked for what is due meanwhile has written elsewhere of it.
        let other = self.turns.of(queue);
        turn.looked_at = other.looked_at;
        turn.next_due = other.next_due;
        self.turns.keep(queue, turn);
        // From a mark on nothing is known of what stands before it.
        answer.is_more |= mark.is_some();
        Ok(answer)
    }

    /// Reads what a claim statement said, the jobs by their scores.
    fn answer(
        &self,
        rows: &[PgRow],
        queue: &QueueName,
        lease: Duration,
    ) -> Result<Answer, DbError> {
        let first = rows.first().ok_or(DbError::NotFound)?;
        Ok(Answer {
            is_limited: first.try_get("is_limited")?,
            is_more: first.try_get("is_more")?,
            turn: first.try_get("turn")?,
            tenants: first.try_get("tenants")?,
            jobs: self.claimed_rows(rows, queue, lease)?,
        })
    }

    /// Reads claimed jobs, and remembers their batch.
    pub(super) fn claimed_rows(
        &self,
        rows: &[PgRow],
        queue: &QueueName,
        lease: Duration,
    ) -> Result<Vec<(i64, ClaimedJob)>, DbError> {
        let mut jobs = Vec::with_capacity(rows.len());
        let mut batch = None;
        for row in rows {
            if let Some(row) = claimed(row, queue)? {
                batch = Some(row.lease_id);
                jobs.push((row.score, row.job));
            }
        }
        jobs.sort_by_key(|(score, _)| *score);
        if let Some(lease_id) = batch {
            let ids = jobs.iter().map(|(_, job): &(i64, ClaimedJob)| job.id);
            self.batches.opened(lease_id, ids, lease);
        }
        Ok(jobs)
    }

    /// Makes the jobs of a queue ready that are due; returns how many.
    pub(super) async fn look_for_due(&self, queue: &QueueName) -> Result<u64, DbError> {
        let now = Instant::now();
        let row = sqlx::query(self.statements.promote_due_jobs.clone())
            .bind(queue.as_str())
            .bind(PROMOTE_JOBS_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        let promoted: i64 = row.try_get("promoted")?;
        let next_due_us: Option<i64> = row.try_get("next_due_us")?;
        let mut turn = self.turns.of(queue);
        turn.next_due = if promoted >= PROMOTE_JOBS_MAX {
            // More may be due.
            Some(now)
        } else {
            next_due_us.and_then(|next| now.checked_add(duration(next)))
        };
        turn.looked_at = Some(now);
        if promoted > 0 {
            // They may stand before where the last claim ended.
            turn.mark = None;
        }
        self.turns.keep(queue, turn);
        Ok(total(promoted))
    }

    /// Has the next claim of each queue look at everything anew.
    pub(super) fn forget_marks(&self) {
        for turn in self.turns.books().values_mut() {
            turn.mark = None;
        }
    }
}
