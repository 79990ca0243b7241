// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job as it is stored: one string, so that it is written by one command and read by one.
//!
//! All numbers are big-endian. First the head, which the scripts write and rewrite (`HEAD` in
//! `scripts/common.lua`); then what never changes; then the payload; then a note, whose length is in the
//! head. Scripts read as far as the limit; what comes after it is read here alone.
//!
//! | Part | Bytes |
//! |---|---|
//! | score, enqueued at, attempts, changed at, dead reason, length of the note | 8, 8, 2, 8, 1, 2 |
//! | flags, most attempts, priority, queue, name | 1, 2, 2, 2 + n, 2 + n |
//! | tenant, where flag 1 is set | 2 + n |
//! | mode, milliseconds and key of the lock, where flag 2 is set | 1, 8, 2 + n |
//! | concurrency, count, microseconds and key of the limit, where flag 4 is set | 4, 4, 8, 2 + n |
//! | timeout in milliseconds, trace parent | 8, 2 + n |

use std::time::Duration;

use crate::backend::NewJob;
use crate::record::DeadReason;
use crate::unique::UniqueMode;

const TENANT: u8 = 1;
const LOCK: u8 = 2;
const LIMIT: u8 = 4;

/// What a claim must look at before it gives the job away.
pub(super) const TIED: u8 = LOCK | LIMIT;

/// How much earlier a point of priority makes a score.
const HEAD_START_MS: i64 = 30_000;

/// A stored job, its parts where they lie.
pub(super) struct Stored<'a> {
    pub(super) score: i64,
    pub(super) enqueued_at_ms: i64,
    /// Those before the one that runs.
    pub(super) attempts: u16,
    pub(super) changed_at_ms: i64,
    pub(super) dead_reason: Option<DeadReason>,
    pub(super) flags: u8,
    pub(super) attempts_max: u16,
    pub(super) priority: i16,
    pub(super) queue: &'a str,
    pub(super) name: &'a str,
    pub(super) tenant: &'a str,
    pub(super) lock: Option<&'a str>,
    pub(super) limit: Option<&'a str>,
    pub(super) timeout: Duration,
    pub(super) trace_parent: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) note: &'a str,
}

impl<'a> Stored<'a> {
    /// Reads it; `None` where it is not one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        let (score, enqueued_at_ms) = (rest.i64()?, rest.i64()?);
        let attempts = rest.u16()?;
        let changed_at_ms = rest.i64()?;
        let dead_reason = reason(rest.u8()?);
        let note_bytes = usize::from(rest.u16()?);
        let flags = rest.u8()?;
        let attempts_max = rest.u16()?;
        let priority = i16::from_be_bytes(rest.u16()?.to_be_bytes());
        let (queue, name) = (rest.text()?, rest.text()?);
        let tenant = if flags & TENANT == 0 {
            ""
        } else {
            rest.text()?
        };
        let mut lock = None;
        if flags & LOCK != 0 {
            rest.take(1 + 8)?;
            lock = Some(rest.text()?);
        }
        let mut limit = None;
        if flags & LIMIT != 0 {
            rest.take(4 + 4 + 8)?;
            limit = Some(rest.text()?);
        }
        let timeout = Duration::from_millis(u64::try_from(rest.i64()?).ok()?);
        let trace_parent = rest.text()?;
        let payload_bytes = rest.0.len().checked_sub(note_bytes)?;
        let payload = rest.take(payload_bytes)?;
        Some(Self {
            score,
            enqueued_at_ms,
            attempts,
            changed_at_ms,
            dead_reason,
            flags,
            attempts_max,
            priority,
            queue,
            name,
            tenant,
            lock,
            limit,
            timeout,
            trace_parent,
            payload,
            note: std::str::from_utf8(rest.0).ok()?,
        })
    }

    /// When it was due.
    pub(super) fn due_at_ms(&self) -> i64 {
        self.score + i64::from(self.priority) * HEAD_START_MS
    }
}

/// All of a new job but its head.
pub(super) fn write(job: &NewJob) -> Vec<u8> {
    let mut flags = 0;
    for (is_set, flag) in [
        (!job.tenant.is_empty(), TENANT),
        (job.unique.is_some(), LOCK),
        (job.limit.is_some(), LIMIT),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    let mut bytes = Vec::with_capacity(96 + job.payload.len());
    bytes.push(flags);
    bytes.extend(job.attempts_max.to_be_bytes());
    bytes.extend(job.priority.to_be_bytes());
    text(&mut bytes, job.queue.as_str());
    text(&mut bytes, job.name.as_str());
    if !job.tenant.is_empty() {
        text(&mut bytes, &job.tenant);
    }
    if let Some(lock) = &job.unique {
        let (mode, time) = match lock.mode {
            UniqueMode::UntilStarted => (1, Duration::ZERO),
            UniqueMode::UntilDone => (2, Duration::ZERO),
            UniqueMode::For(time) => (3, time),
            UniqueMode::Forever => (4, Duration::ZERO),
        };
        bytes.push(mode);
        bytes.extend(super::milliseconds(time).to_be_bytes());
        text(&mut bytes, &lock.key);
    }
    if let Some(limit) = &job.limit {
        let (count, per) = limit
            .rate
            .map_or((0, Duration::ZERO), |rate| (rate.count, rate.per));
        let per_us = u64::try_from(per.as_micros()).unwrap_or(u64::MAX);
        bytes.extend(limit.concurrency.unwrap_or_default().to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(per_us.to_be_bytes());
        text(&mut bytes, &limit.key);
    }
    bytes.extend(super::milliseconds(job.timeout).to_be_bytes());
    text(&mut bytes, job.trace_parent.as_deref().unwrap_or_default());
    bytes.extend_from_slice(&job.payload);
    bytes
}

/// The number of a reason, as the head keeps it.
pub(super) fn reason_number(reason: DeadReason) -> u8 {
    match reason {
        DeadReason::Exhausted => 1,
        DeadReason::Fatal => 2,
        DeadReason::Undecodable => 3,
        DeadReason::LeaseLost => 4,
    }
}

fn reason(number: u8) -> Option<DeadReason> {
    use DeadReason::{Exhausted, Fatal, LeaseLost, Undecodable};
    [Exhausted, Fatal, Undecodable, LeaseLost]
        .into_iter()
        .find(|reason| reason_number(*reason) == number)
}

/// A text with its length in front. All of ours are bounded far below the most that it holds.
fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or_default();
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(
        text.as_bytes()
            .get(..usize::from(length))
            .unwrap_or_default(),
    );
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.take(COUNT)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Due, UniqueLock};
    use crate::identifier::{JobId, JobName, QueueName};
    use crate::limit::Limit;

    fn job() -> NewJob {
        NewJob {
            id: JobId::generate(),
            name: JobName::new("email.send").unwrap(),
            queue: QueueName::new("mail").unwrap(),
            tenant: String::new(),
            payload: b"{\"to\":\"a\"}".to_vec(),
            priority: -3,
            due: Due::Now,
            unique: None,
            limit: None,
            attempts_max: 5,
            timeout: Duration::from_millis(1_500),
            trace_parent: None,
        }
    }

    /// As a script stores it.
    fn stored(job: &NewJob, note: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(90_000_i64.to_be_bytes());
        bytes.extend(7_i64.to_be_bytes());
        bytes.extend(2_u16.to_be_bytes());
        bytes.extend(8_i64.to_be_bytes());
        bytes.push(reason_number(DeadReason::Fatal));
        bytes.extend(u16::try_from(note.len()).unwrap().to_be_bytes());
        bytes.extend(write(job));
        bytes.extend(note.as_bytes());
        bytes
    }

    #[test]
    fn a_plain_job_is_read_back() {
        let job = job();
        let bytes = stored(&job, "");
        let read = Stored::read(&bytes).unwrap();
        assert_eq!(
            (read.queue, read.name, read.tenant),
            ("mail", "email.send", "")
        );
        assert_eq!(
            (read.attempts, read.attempts_max, read.priority),
            (2, 5, -3)
        );
        assert_eq!((read.payload, read.note), (job.payload.as_slice(), ""));
        assert_eq!((read.timeout, read.trace_parent), (job.timeout, ""));
        assert_eq!((read.flags & TIED, read.due_at_ms()), (0, 0));
        assert_eq!((read.enqueued_at_ms, read.changed_at_ms), (7, 8));
    }

    #[test]
    fn a_job_with_everything_is_read_back() {
        let mut job = job();
        job.tenant = "org-1".to_owned();
        job.unique = Some(UniqueLock {
            key: "k".to_owned(),
            mode: UniqueMode::For(Duration::from_secs(9)),
        });
        job.limit = Some(Limit::new("stripe").concurrency(3).rate(100, "1m"));
        job.trace_parent = Some("00-ab-cd-01".to_owned());
        let bytes = stored(&job, "it failed");
        let read = Stored::read(&bytes).unwrap();
        assert_eq!(
            (read.tenant, read.lock, read.limit),
            ("org-1", Some("k"), Some("stripe"))
        );
        assert_eq!(
            (read.payload, read.note),
            (job.payload.as_slice(), "it failed")
        );
        assert_eq!(
            (read.trace_parent, read.flags),
            ("00-ab-cd-01", TENANT | LOCK | LIMIT)
        );
        assert_eq!(read.dead_reason, Some(DeadReason::Fatal));
    }

    #[test]
    fn what_is_cut_short_is_no_job() {
        let job = NewJob {
            payload: Vec::new(),
            ..job()
        };
        let bytes = stored(&job, "");
        assert!(Stored::read(&bytes).is_some());
        for length in 0..bytes.len() {
            assert!(Stored::read(&bytes[..length]).is_none(), "{length}");
        }
    }
}
