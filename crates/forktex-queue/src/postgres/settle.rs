// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What workers say of the jobs that they hold: how attempts ended, and that others go on.
//!
//! Most are done, and have nothing that ends with them: they are removed by a statement that does nothing
//! else. All others go through one that knows everything.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use uuid::Uuid;

use super::claim::CLAIM_JOBS_MAX;
use super::limits::LimitKey;
use super::row::microseconds;
use super::token::Grant;
use super::{PostgresBackend, racing};
use crate::backend::{Lease, Outcome, Renewed, Settled, Settlement};

/// The most ends that one statement takes.
const SETTLE_JOBS_MAX: usize = 1_000;

/// The jobs that are done and plain.
#[derive(Default)]
struct Finished {
    ids: Vec<Uuid>,
    generations: Vec<i32>,
}

/// The columns of `settle_jobs`, one array each.
#[derive(Default)]
struct Ends<'s> {
    ids: Vec<Uuid>,
    generations: Vec<i32>,
    outcomes: Vec<i16>,
    delays_us: Vec<i64>,
    notes: Vec<Option<&'s str>>,
    dead_reasons: Vec<Option<&'static str>>,
}

impl<'s> Ends<'s> {
    fn push(&mut self, id: Uuid, grant: Grant, outcome: &'s Outcome) {
        let (number, delay, note, dead_reason) = match outcome {
            Outcome::Done | Outcome::Cancelled => (0, Duration::ZERO, None, None),
            Outcome::Retry { delay, error } => (1, *delay, Some(error.as_str()), None),
            Outcome::Dead { reason, error } => {
                let reason = Some(reason.as_str());
                (2, Duration::ZERO, Some(error.as_str()), reason)
            }
            Outcome::Release { delay, note } => (3, *delay, note.as_deref(), None),
        };
        self.ids.push(id);
        self.generations.push(grant.generation);
        self.outcomes.push(number);
        self.delays_us.push(microseconds(delay));
        self.notes.push(note);
        self.dead_reasons.push(dead_reason);
    }
}

impl PostgresBackend {
    /// Takes the ends of attempts; an answer for each, in order.
    pub(super) async fn settle_all(
        &self,
        settlements: &[Settlement],
    ) -> Result<Vec<Settled>, DbError> {
        let mut answers = Vec::with_capacity(settlements.len());
        for part in settlements.chunks(SETTLE_JOBS_MAX) {
            answers.extend(self.settle_part(part).await?);
        }
        Ok(answers)
    }

    async fn settle_part(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, DbError> {
        let grants: Vec<Option<Grant>> = settlements
            .iter()
            .map(|settlement| Grant::of(&settlement.lease))
            .collect();
        // By their ids: two statements that hold some of the same jobs do not wait for each other.
        let mut order: Vec<(&Settlement, Grant)> = settlements
            .iter()
            .zip(&grants)
            .filter_map(|(settlement, grant)| Some((settlement, (*grant)?)))
            .collect();
        // What is said of one lease a second time is refused, as it would be a moment later.
        let lease_of = |(settlement, grant): &(&Settlement, Grant)| -> (Uuid, i32) {
            (settlement.lease.id.0, grant.generation)
        };
        order.sort_by_key(lease_of);
        order.dedup_by_key(|said| lease_of(said));

        let mut finished = Finished::default();
        let mut ends = Ends::default();
        for (settlement, grant) in &order {
            let id = settlement.lease.id.0;
            if matches!(settlement.outcome, Outcome::Done) && grant.is_plain {
                finished.ids.push(id);
                finished.generations.push(grant.generation);
            } else {
                ends.push(id, *grant, &settlement.outcome);
            }
        }
        let mut accepted: HashSet<(Uuid, i32)> = HashSet::with_capacity(order.len());
        if !finished.ids.is_empty() {
            accepted.extend(racing!(self.finish(&finished))?);
        }
        if !ends.ids.is_empty() {
            accepted.extend(racing!(self.end(&ends))?);
        }
        let ended = order.iter();
        let ended = ended.map(|(settlement, grant)| (grant.lease_id, settlement.lease.id));
        self.batches.ended(ended);
        let settled = settlements
            .iter()
            .zip(&grants)
            .map(|(settlement, grant)| match grant {
                // The first of a lease takes its place.
                Some(grant) if accepted.remove(&(settlement.lease.id.0, grant.generation)) => {
                    Settled::Accepted
                }
                _ => Settled::Refused,
            });
        Ok(settled.collect())
    }

    async fn finish(&self, finished: &Finished) -> Result<Vec<(Uuid, i32)>, DbError> {
        let settled = self.batches.take_settled();
        let done = sqlx::query_as(self.statements.finish_jobs.clone())
            .bind(&finished.ids)
            .bind(&finished.generations)
            .bind(&settled)
            .single(&self.db)
            .fetch_all()
            .await;
        if done.is_err() {
            self.batches.put_back(settled);
        }
        done
    }

    async fn end(&self, ends: &Ends<'_>) -> Result<Vec<(Uuid, i32)>, DbError> {
        let rows = sqlx::query(self.statements.settle_jobs.clone())
            .bind(&ends.ids)
            .bind(&ends.generations)
            .bind(&ends.outcomes)
            .bind(&ends.delays_us)
            .bind(&ends.notes)
            .bind(&ends.dead_reasons)
            .single(&self.db)
            .fetch_all()
            .await?;
        let mut taken = Vec::with_capacity(rows.len());
        let mut limits: BTreeSet<LimitKey> = BTreeSet::new();
        for row in &rows {
            taken.push((row.try_get("job_id")?, row.try_get("generation")?));
            if let Some(key) = row.try_get::<Option<String>, _>("limit_key")? {
                limits.insert((row.try_get("queue")?, key));
            }
        }
        if ends.outcomes.iter().any(|outcome| matches!(outcome, 1 | 3)) {
            self.forget_marks();
            self.wakes.tell();
        }
        self.let_held_go_after(&limits).await;
        Ok(taken)
    }

    /// Makes leases last `lease` from now; an answer for each, in order.
    pub(super) async fn renew_all(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> Result<Vec<Renewed>, DbError> {
        let mut held: Vec<(Uuid, Grant)> = leases
            .iter()
            .filter_map(|lease| Some((lease.id.0, Grant::of(lease)?)))
            .collect();
        held.sort_by_key(|(id, grant)| (*id, grant.generation));
        held.dedup_by_key(|(id, grant)| (*id, grant.generation));
        let mut answers: HashMap<(Uuid, i32), Renewed> = HashMap::with_capacity(held.len());
        for part in held.chunks(CLAIM_JOBS_MAX as usize) {
            let grants = part.iter().map(|(_, grant)| grant);
            let generations: Vec<i32> = grants.clone().map(|grant| grant.generation).collect();
            let lease_ids: Vec<i64> = grants.map(|grant| grant.lease_id).collect();
            let rows = sqlx::query(self.statements.renew_leases.clone())
                .bind(part.iter().map(|(id, _)| *id).collect::<Vec<_>>())
                .bind(&generations)
                .bind(&lease_ids)
                .bind(microseconds(lease))
                .bind(self.holder)
                .single(&self.db)
                .fetch_all()
                .await?;
            for row in &rows {
                let renewed = if row.try_get("is_cancelling")? {
                    Renewed::CancelAsked
                } else {
                    Renewed::Held
                };
                let lease = (row.try_get("job_id")?, row.try_get("generation")?);
                answers.insert(lease, renewed);
            }
        }
        let answer = |lease: &Lease| {
            let grant = Grant::of(lease)?;
            answers.get(&(lease.id.0, grant.generation)).copied()
        };
        Ok(leases
            .iter()
            .map(|lease| answer(lease).unwrap_or(Renewed::Lost))
            .collect())
    }
}
