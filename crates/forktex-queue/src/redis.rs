// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The backend on Redis 6.2 or newer, or Valkey: one server, sentinels, or a cluster.
//!
//! Each step is one script, and so is done whole or not at all, by the server's clock. All keys of a
//! namespace have one hash tag, `{forktex:queue}` or `{<namespace>:queue}`, and so one slot of a cluster;
//! more than one node can do is spread over namespaces. Where a job can be is written at the top of
//! `scripts/common.lua`. An end of a job of no lock and no limit costs the server two commands for a whole
//! batch more than the least that could be done: a look whether the leases are held, and the index by id.
//!
//! Redis keeps what it is told to keep. With `appendonly yes` and `appendfsync always` nothing is lost
//! when the server is killed; with `everysec` what was said in the last second or so is lost: jobs put in
//! then are gone, and jobs that were done then are done again. A failover to a replica loses what that one
//! had not received. With a `maxmemory-policy` other than `noeviction` Redis throws jobs away when it is
//! full; `init` warns of it.

mod answer;
mod body;
mod claim;
mod look;
mod maintain;
mod put;
mod script;
mod settle;
mod wakes;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use forktex_cache::Cache;
use forktex_cache::fred::bytes::Bytes;
use forktex_cache::fred::interfaces::ClientLike;
use forktex_cache::fred::types::{InfoKind, Value};
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::backend::{
    Backend, CancelAnswer, Claim, Claimed, JobFilter, Lease, Maintained, NewJob, Put, QueueStats,
    Renewed, ReplayAnswer, Settled, Settlement,
};
use crate::error::QueueError;
use crate::identifier::{JobId, QueueName};
use crate::record::JobRecord;
use script::{Script, Server};
use wakes::Wakes;

/// Where the queue is, as errors say it.
const BACKEND: &str = "on Redis";

/// The namespace of a queue that names none.
const NAMESPACE_DEFAULT: &str = "forktex";

/// The oldest server that has the commands which the scripts use.
const VERSION_MIN: (u64, u64) = (6, 2);

/// Jobs on a Redis.
pub(crate) struct RedisBackend {
    /// Held, as the connections are closed with the last clone.
    _cache: Cache,
    server: Server,
    /// What all keys begin with.
    base: String,
    wakes: Wakes,
    is_closed: AtomicBool,
}

impl RedisBackend {
    /// A queue by the connections of `cache`; `None` where that is in process. Nothing is sent.
    pub(crate) fn new(cache: &Cache, namespace: Option<&str>) -> Option<Self> {
        let pool = cache.client()?.clone();
        let base = format!("{{{}:queue}}:", namespace.unwrap_or(NAMESPACE_DEFAULT));
        Some(Self {
            _cache: cache.clone(),
            server: Server::new(pool, format!("{base}jobs")),
            wakes: Wakes::new(format!("{base}wake")),
            base,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Runs a script. One round trip.
    async fn run(
        &self,
        script: &'static Script,
        action: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, QueueError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(QueueError::Closed { action });
        }
        self.server.run(script, action, arguments).await
    }

    /// Runs a script that answers with a number.
    async fn number(
        &self,
        script: &'static Script,
        action: &'static str,
        arguments: Vec<Value>,
    ) -> Result<i64, QueueError> {
        let answer = self.run(script, action, arguments).await?;
        answer::number(&answer).ok_or_else(|| answer::unexpected(action))
    }

    /// Refuses a server that is too old, and warns of one that throws jobs away. A server that does not
    /// let itself be asked is taken as it is.
    async fn look_at_server(&self) -> Result<(), QueueError> {
        let Ok(info) = self.server.pool.info::<String>(Some(InfoKind::All)).await else {
            return Ok(());
        };
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
        };
        // Valkey tells the Redis that it stands for under this name.
        if let Some(version) = field("redis_version")
            && numbers(version) < VERSION_MIN
        {
            let (major, minor) = VERSION_MIN;
            return Err(QueueError::InvalidOption {
                option: "cache",
                reason: format!("its server is Redis {version}; {major}.{minor} is needed").into(),
            });
        }
        if let Some(policy) = field("maxmemory_policy")
            && policy != "noeviction"
        {
            tracing::warn!(
                policy,
                "Redis throws jobs away when its memory is full; set maxmemory-policy to noeviction"
            );
        }
        Ok(())
    }
}

#[async_trait]
impl Backend for RedisBackend {
    async fn init(&self) -> Result<(), QueueError> {
        const ACTION: &str = "set up the queue";
        // Answers where the server does; a script is loaded again whenever the server has lost it.
        self.number(&script::TIME, ACTION, Vec::new()).await?;
        self.look_at_server().await?;
        for script in script::ALL {
            self.server.load(script, ACTION).await?;
        }
        Ok(())
    }

    async fn put(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, QueueError> {
        self.put_jobs(jobs).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        self.claim_jobs(claim).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        self.settle_jobs(settlements).await
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Renewed>, QueueError> {
        self.renew_leases(leases, lease).await
    }

    async fn maintain(&self, dead_letters_kept: Duration) -> Result<Maintained, QueueError> {
        self.maintain_queues(dead_letters_kept).await
    }

    async fn cancel(&self, id: JobId) -> Result<CancelAnswer, QueueError> {
        let answer = self
            .number(&script::CANCEL, "cancel a job", vec![id_value(id)])
            .await?;
        Ok(match answer {
            1 => CancelAnswer::Removed,
            2 => CancelAnswer::Asked,
            _ => CancelAnswer::Unknown,
        })
    }

    async fn set_paused(&self, queue: &QueueName, is_paused: bool) -> Result<(), QueueError> {
        let arguments = vec![
            Value::from(queue.as_str()),
            Value::Integer(i64::from(is_paused)),
        ];
        let action = if is_paused {
            "pause a queue"
        } else {
            "resume a queue"
        };
        self.run(&script::PAUSE, action, arguments).await?;
        Ok(())
    }

    async fn find(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        self.find_job(id).await
    }

    async fn list(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, QueueError> {
        self.list_jobs(filter, after, jobs_max).await
    }

    async fn replay(&self, id: JobId) -> Result<ReplayAnswer, QueueError> {
        const ACTION: &str = "replay a dead letter";
        let answer = self
            .run(&script::REPLAY, ACTION, vec![id_value(id)])
            .await?;
        Ok(match &answer {
            Value::Integer(1) => ReplayAnswer::Replayed,
            Value::Integer(_) => ReplayAnswer::Unknown,
            holder => ReplayAnswer::Conflict(
                answer::id(holder).ok_or_else(|| answer::unexpected(ACTION))?,
            ),
        })
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        let arguments = vec![id_value(id)];
        let answer = self.number(&script::DISCARD, "discard a dead letter", arguments);
        Ok(answer.await? == 1)
    }

    async fn stats(&self, queue: &QueueName) -> Result<QueueStats, QueueError> {
        self.queue_stats(queue).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, QueueError> {
        self.queues_in_use().await
    }

    async fn fire(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
    ) -> Result<bool, QueueError> {
        self.fire_tick(schedule, tick, job).await
    }

    async fn now(&self) -> Result<OffsetDateTime, QueueError> {
        const ACTION: &str = "read the clock";
        let micros = self.number(&script::TIME, ACTION, Vec::new()).await?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .map_err(|_| answer::unexpected(ACTION))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe(&self.server.pool)
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wakes.stop();
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisBackend")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

fn id_value(id: JobId) -> Value {
    uuid_value(id.0)
}

fn uuid_value(id: Uuid) -> Value {
    Value::Bytes(Bytes::copy_from_slice(id.as_bytes()))
}

/// A duration in whole milliseconds, rounded up, so that nothing is due too early.
fn milliseconds(duration: Duration) -> i64 {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// An instant in milliseconds since 1970.
fn unix_milliseconds(instant: OffsetDateTime) -> i64 {
    let milliseconds = instant.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u64, u64) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("6.0.16") < VERSION_MIN);
        assert!(numbers("6.2.0") >= VERSION_MIN);
        assert!(numbers("10.1") >= VERSION_MIN);
    }

    #[test]
    fn nothing_is_due_too_early() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2_000);
        assert_eq!(unix_milliseconds(OffsetDateTime::UNIX_EPOCH), 0);
    }
}
