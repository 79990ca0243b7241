// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Gives jobs to a worker.
//!
//! The jobs of one claim share a mark: on the server a lease is a job's id with a mark, and a later claim of
//! the same job has another. Its last bit says whether the job has a lock or a limit, so that the end of
//! one that has neither needs no look at the job. A token is the mark mixed with the job's id, since no two
//! jobs may have the same.

use std::time::Duration;

use forktex_cache::fred::bytes::Bytes;
use forktex_cache::fred::types::Value;
use uuid::Uuid;

use super::body::{self, Stored};
use super::{RedisBackend, answer, milliseconds, script};
use crate::backend::{Claim, Claimed, ClaimedJob};
use crate::error::QueueError;
use crate::identifier::{JobId, JobName, LeaseToken, QueueName};

const ACTION: &str = "claim jobs";

/// The bit of a mark's last byte.
pub(super) const TIED_BIT: u8 = 1;

/// The bytes of a mark that tell the time of the claim.
pub(super) const STAMP_BYTES: usize = 6;
const TAIL_BYTES: usize = 16 - STAMP_BYTES;

/// What a claim is known by on the server.
pub(super) type Mark = [u8; STAMP_BYTES + TAIL_BYTES];

impl RedisBackend {
    pub(super) async fn claim_jobs(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        if claim.jobs_max == 0 || claim.queues.is_empty() {
            return Ok(Claimed::default());
        }
        let plain = tail();
        let mut tied = plain;
        if let Some(last) = tied.last_mut() {
            *last |= TIED_BIT;
        }
        let mut arguments = Vec::with_capacity(4 + claim.queues.len());
        arguments.extend([
            Value::Integer(milliseconds(claim.lease).max(1)),
            Value::Integer(i64::from(claim.jobs_max)),
            Value::Bytes(Bytes::copy_from_slice(&plain)),
            Value::Bytes(Bytes::copy_from_slice(&tied)),
        ]);
        arguments.extend(claim.queues.iter().map(|queue| Value::from(queue.as_str())));
        let answer = self
            .run(&script::CLAIM, ACTION, arguments)
            .await?
            .into_array();
        let [stamp, is_more, next_due, jobs @ ..] = answer.as_slice() else {
            return Err(answer::unexpected(ACTION));
        };
        let stamp = stamp
            .as_bytes()
            .and_then(|stamp| stamp.try_into().ok())
            .ok_or_else(|| answer::unexpected(ACTION))?;
        let mut reader = ClaimReader {
            queues: &claim.queues,
            name: None,
            plain: mark(stamp, plain),
            tied: mark(stamp, tied),
        };
        Ok(Claimed {
            jobs: jobs
                .chunks_exact(2)
                .filter_map(|pair| reader.job(pair))
                .collect(),
            is_more: answer::number(is_more) == Some(1),
            next_due: answer::number(next_due)
                .and_then(|milliseconds| u64::try_from(milliseconds).ok())
                .map(Duration::from_millis),
        })
    }
}

/// Reads the jobs of one claim, most of which are alike.
struct ClaimReader<'a> {
    queues: &'a [QueueName],
    /// That of the job before.
    name: Option<JobName>,
    plain: Mark,
    tied: Mark,
}

impl ClaimReader<'_> {
    /// A job that cannot be read is left to its lease: in the end it is a dead letter, to be looked at.
    fn job(&mut self, pair: &[Value]) -> Option<ClaimedJob> {
        let [id, body] = pair else {
            return None;
        };
        let id = answer::id(id)?;
        let job = body.as_bytes().and_then(|body| self.read(id, body));
        if job.is_none() {
            tracing::error!(%id, "a job kept on Redis cannot be read; its attempts will run out");
        }
        job
    }

    fn read(&mut self, id: JobId, body: &[u8]) -> Option<ClaimedJob> {
        let stored = Stored::read(body)?;
        let name = match &self.name {
            Some(name) if name.as_str() == stored.name => name.clone(),
            _ => self.name.insert(JobName::new(stored.name).ok()?).clone(),
        };
        let mut queues = self.queues.iter();
        let queue = queues.find(|queue| queue.as_str() == stored.queue)?.clone();
        let is_tied = stored.flags & body::TIED != 0;
        Some(ClaimedJob {
            id,
            token: LeaseToken(Uuid::from_bytes(mixed(
                if is_tied { self.tied } else { self.plain },
                id,
            ))),
            name,
            queue,
            tenant: stored.tenant.to_owned(),
            payload: stored.payload.to_vec(),
            attempt: stored.attempts.saturating_add(1),
            attempts_max: stored.attempts_max,
            timeout: stored.timeout,
            enqueued_at: answer::instant(stored.enqueued_at_ms)?,
            trace_parent: (!stored.trace_parent.is_empty()).then(|| stored.trace_parent.to_owned()),
        })
    }
}

/// The mark that a token was made of.
pub(super) fn mark_of(token: LeaseToken, id: JobId) -> Mark {
    mixed(*token.0.as_bytes(), id)
}

/// The mark with the id in it, or without it again.
fn mixed(mut mark: Mark, id: JobId) -> Mark {
    for (byte, of_id) in mark.iter_mut().zip(id.0.as_bytes()) {
        *byte ^= of_id;
    }
    mark
}

/// The random end of a mark.
fn tail() -> [u8; TAIL_BYTES] {
    let random = *Uuid::new_v4().as_bytes();
    let mut tail = [0; TAIL_BYTES];
    for (to, from) in tail.iter_mut().zip(random) {
        *to = from;
    }
    if let Some(last) = tail.last_mut() {
        *last &= !TIED_BIT;
    }
    tail
}

fn mark(stamp: [u8; STAMP_BYTES], tail: [u8; TAIL_BYTES]) -> Mark {
    let mut mark = Mark::default();
    for (to, from) in mark.iter_mut().zip(stamp.into_iter().chain(tail)) {
        *to = from;
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_its_mark_back() {
        let stamp = [0, 1, 2, 3, 4, 5];
        let mark = mark(stamp, tail());
        let (one, other) = (JobId::generate(), JobId::generate());
        let token = |id| LeaseToken(Uuid::from_bytes(mixed(mark, id)));
        assert_ne!(token(one), token(other));
        for id in [one, other] {
            assert_eq!(mark_of(token(id), id), mark);
        }
        assert_eq!(mark[..STAMP_BYTES], stamp);
        assert_eq!(mark[15] & TIED_BIT, 0);
        assert_ne!(tail(), tail());
    }
}
