// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Looks into the queues. Nothing here is in the way of a job: each script reads a bounded page.

use std::time::Duration;

use forktex_cache::fred::types::Value;

use super::body::Stored;
use super::claim::STAMP_BYTES;
use super::{RedisBackend, answer, id_value, script};
use crate::backend::{JobFilter, QueueStats};
use crate::error::QueueError;
use crate::identifier::{JobId, JobName, QueueName};
use crate::record::{JobRecord, JobStatus};

/// Up to so many jobs of one status are sorted here; of more, the index of all jobs is gone through.
const SORTED_MAX: i64 = 2_000;

/// How many jobs one script gives at most, as each may have a large payload.
const RECORDS_A_SCRIPT: usize = 50;

/// How many of the sorted are looked at in one script.
const IDS_A_SCRIPT: usize = 200;

const LIST: &str = "list jobs";

/// What one script saw.
struct Seen {
    records: Vec<JobRecord>,
    last: Option<JobId>,
    is_end: bool,
}

impl RedisBackend {
    pub(super) async fn find_job(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        let filter = JobFilter::default();
        let seen = self.look("look at a job", &filter, 1, "these", vec![id_value(id)]);
        Ok(seen.await?.records.pop())
    }

    /// Goes through the jobs with the status that is asked for, where those are few, or else through all,
    /// a page a round trip.
    pub(super) async fn list_jobs(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, QueueError> {
        let jobs_max = usize::try_from(jobs_max).unwrap_or(usize::MAX);
        let mut records = Vec::new();
        if let Some(mut ids) = self.few_with_status(filter).await? {
            ids.retain(|id| after.is_none_or(|after| *id > after));
            ids.sort_unstable();
            let mut ids = ids.as_slice();
            while !ids.is_empty() && records.len() < jobs_max {
                let part = ids.get(..IDS_A_SCRIPT).unwrap_or(ids);
                let values = part.iter().copied().map(id_value).collect();
                let want = jobs_max - records.len();
                let seen = self.look(LIST, filter, want, "these", values).await?;
                records.extend(seen.records);
                let Some(last) = seen.last else {
                    break;
                };
                let looked_at = ids.partition_point(|id| *id <= last);
                ids = ids.get(looked_at..).unwrap_or_default();
            }
            return Ok(records);
        }
        let mut after = after;
        while records.len() < jobs_max {
            let values = vec![after.map_or_else(|| Value::from_static_str(""), id_value)];
            let want = jobs_max - records.len();
            let seen = self.look(LIST, filter, want, "after", values).await?;
            records.extend(seen.records);
            if seen.is_end || seen.last.is_none() {
                break;
            }
            after = seen.last;
        }
        Ok(records)
    }

    pub(super) async fn queue_stats(&self, queue: &QueueName) -> Result<QueueStats, QueueError> {
        let arguments = vec![Value::from(queue.as_str())];
        let answer = self.run(&script::STATS, "count jobs", arguments).await?;
        let answer = answer.into_array();
        let oldest = answer.get(6).and_then(answer::number);
        Ok(QueueStats {
            ready: answer::count(answer.first()),
            scheduled: answer::count(answer.get(1)),
            held: answer::count(answer.get(2)),
            running: answer::count(answer.get(3)),
            dead: answer::count(answer.get(4)),
            is_paused: answer::count(answer.get(5)) > 0,
            oldest_ready: oldest
                .and_then(|milliseconds| u64::try_from(milliseconds).ok())
                .map(Duration::from_millis),
        })
    }

    /// The jobs with the status that is asked for; `None` where they are many, or none is asked for.
    async fn few_with_status(&self, filter: &JobFilter) -> Result<Option<Vec<JobId>>, QueueError> {
        let place = match filter.status {
            Some(JobStatus::Scheduled) => "due",
            Some(JobStatus::Held) => "held",
            Some(JobStatus::Running) => "running",
            Some(JobStatus::Dead) => "dead",
            Some(JobStatus::Ready) | None => return Ok(None),
        };
        let queues = match &filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.queue_names(LIST, true).await?,
        };
        let mut arguments = vec![Value::from_static_str(place), Value::Integer(SORTED_MAX)];
        arguments.extend(queues.iter().map(|queue| Value::from(queue.as_str())));
        let answer = self.run(&script::MEMBERS, LIST, arguments).await?;
        if answer.is_null() {
            return Ok(None);
        }
        let ids = answer.into_array();
        Ok(Some(ids.iter().filter_map(answer::id).collect()))
    }

    async fn look(
        &self,
        action: &'static str,
        filter: &JobFilter,
        want: usize,
        way: &'static str,
        ids: Vec<Value>,
    ) -> Result<Seen, QueueError> {
        let want = i64::try_from(want.min(RECORDS_A_SCRIPT)).unwrap_or(1);
        let mut arguments = vec![
            Value::Integer(want),
            Value::Integer(filter.status.map_or(0, status_number)),
            wanted(filter.queue.as_ref().map(QueueName::as_str)),
            wanted(filter.name.as_ref().map(JobName::as_str)),
            wanted(filter.tenant.as_deref()),
            Value::from_static_str(way),
        ];
        arguments.extend(ids);
        let answer = self
            .run(&script::LOOK, action, arguments)
            .await?
            .into_array();
        let [last, is_end, records @ ..] = answer.as_slice() else {
            return Err(answer::unexpected(action));
        };
        let mut seen = Seen {
            records: Vec::with_capacity(records.len()),
            last: answer::id(last),
            is_end: answer::number(is_end) == Some(1),
        };
        for record in records {
            let Value::Array(parts) = record else {
                return Err(answer::unexpected(action));
            };
            let read = read(parts).ok_or_else(|| {
                let id = parts.first().and_then(answer::id);
                let id = id.map_or_else(String::new, |id| format!(" {id}"));
                answer::corrupt(action, format!("job{id}"))
            })?;
            seen.records.push(read);
        }
        Ok(seen)
    }
}

/// A filter as the script takes it.
fn wanted(text: Option<&str>) -> Value {
    match text {
        Some(text) => Value::from(format!("={text}")),
        None => Value::from_static_str(""),
    }
}

fn status_number(status: JobStatus) -> i64 {
    match status {
        JobStatus::Scheduled => 1,
        JobStatus::Ready => 2,
        JobStatus::Held => 3,
        JobStatus::Running => 4,
        JobStatus::Dead => 5,
    }
}

fn status(number: i64) -> Option<JobStatus> {
    use JobStatus::{Dead, Held, Ready, Running, Scheduled};
    [Scheduled, Ready, Held, Running, Dead]
        .into_iter()
        .find(|status| status_number(*status) == number)
}

fn read(parts: &[Value]) -> Option<JobRecord> {
    let [id, status_value, at, mark, is_asked, body] = parts else {
        return None;
    };
    let stored = Stored::read(body.as_bytes()?)?;
    let status = status(answer::number(status_value)?)?;
    let at = answer::number(at).filter(|at| *at > 0);
    let is_running = status == JobStatus::Running;
    let is_dead = status == JobStatus::Dead;
    let due_at = match status {
        JobStatus::Scheduled => at.unwrap_or_else(|| stored.due_at_ms()),
        _ => stored.due_at_ms(),
    };
    Some(JobRecord {
        id: answer::id(id)?,
        name: JobName::new(stored.name).ok()?,
        queue: QueueName::new(stored.queue).ok()?,
        tenant: stored.tenant.to_owned(),
        status,
        payload: stored.payload.to_vec(),
        priority: stored.priority,
        attempts: stored.attempts.saturating_add(u16::from(is_running)),
        attempts_max: stored.attempts_max,
        timeout: stored.timeout,
        unique_key: stored.lock.map(str::to_owned),
        limit_key: stored.limit.map(str::to_owned),
        enqueued_at: answer::instant(stored.enqueued_at_ms)?,
        due_at: answer::instant(due_at)?,
        started_at: started_at_ms(mark)
            .filter(|_| is_running)
            .and_then(answer::instant),
        lease_until: at.filter(|_| is_running).and_then(answer::instant),
        is_cancelling: answer::number(is_asked) == Some(1),
        note: (!stored.note.is_empty()).then(|| stored.note.to_owned()),
        dead_reason: stored.dead_reason.filter(|_| is_dead),
        died_at: if is_dead {
            answer::instant(stored.changed_at_ms)
        } else {
            None
        },
    })
}

/// The time of the claim, of which a mark tells.
fn started_at_ms(mark: &Value) -> Option<i64> {
    let stamp = mark.as_bytes()?.get(..STAMP_BYTES)?;
    let number = stamp
        .iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte));
    Some(number)
}
