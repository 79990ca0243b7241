// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Between rows and values: the one place where stored words and numbers become types.

use std::time::Duration;

use forktex_db::DbError;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::token::Grant;
use crate::backend::ClaimedJob;
use crate::identifier::{JobId, JobName, QueueName};
use crate::record::{DeadReason, JobRecord, JobStatus};

/// What a claim tells of each job, by position: at the rate of the jobs it is too dear by name.
type ClaimedCells = (
    Uuid,
    i32,
    String,
    String,
    Vec<u8>,
    i32,
    i32,
    i64,
    OffsetDateTime,
    Option<String>,
    i64,
    bool,
    i64,
);

/// A claimed job, where it stood in the order, and the batch that it was claimed with.
pub(super) struct ClaimedRow {
    pub(super) job: ClaimedJob,
    pub(super) score: i64,
    pub(super) lease_id: i64,
}

/// Reads a claimed job; `None` of the row that is there where nothing was claimed.
pub(super) fn claimed(row: &PgRow, queue: &QueueName) -> Result<Option<ClaimedRow>, DbError> {
    if row.try_get::<Option<Uuid>, _>(0)?.is_none() {
        return Ok(None);
    }
    let (
        id,
        generation,
        name,
        tenant,
        payload,
        attempts,
        attempts_max,
        timeout_us,
        enqueued_at,
        trace_parent,
        score,
        is_plain,
        lease_id,
    ) = ClaimedCells::from_row(row)?;
    let id = JobId(id);
    let grant = Grant {
        generation,
        lease_id,
        is_plain,
    };
    let job = ClaimedJob {
        id,
        token: grant.token(id),
        name: JobName::new(name).map_err(|_| unreadable("name"))?,
        queue: queue.clone(),
        tenant,
        payload,
        // The one that begins now is counted when it ends.
        attempt: count(attempts).saturating_add(1),
        attempts_max: count(attempts_max),
        timeout: duration(timeout_us),
        enqueued_at,
        trace_parent,
    };
    Ok(Some(ClaimedRow {
        job,
        score,
        lease_id,
    }))
}

/// Reads a job as it stands.
pub(super) fn record(row: &PgRow) -> Result<JobRecord, DbError> {
    let name: String = row.try_get("name")?;
    let queue: String = row.try_get("queue")?;
    let status: String = row.try_get("status")?;
    let dead_reason: Option<String> = row.try_get("dead_reason")?;
    let dead_reason = dead_reason
        .map(|word| DeadReason::from_word(&word).ok_or_else(|| unreadable("dead_reason")))
        .transpose()?;
    let status = JobStatus::from_word(&status).ok_or_else(|| unreadable("status"))?;
    let is_running = status == JobStatus::Running;
    Ok(JobRecord {
        id: JobId(row.try_get("job_id")?),
        name: JobName::new(name).map_err(|_| unreadable("name"))?,
        queue: QueueName::new(queue).map_err(|_| unreadable("queue"))?,
        tenant: row.try_get("tenant")?,
        status,
        payload: row.try_get("payload")?,
        priority: row.try_get("priority")?,
        attempts: count(row.try_get("attempts")?),
        attempts_max: count(row.try_get("attempts_max")?),
        timeout: duration(row.try_get("timeout_us")?),
        unique_key: row.try_get("unique_key")?,
        limit_key: row.try_get("limit_key")?,
        enqueued_at: row.try_get("enqueued_at")?,
        due_at: row.try_get("due_at")?,
        started_at: row
            .try_get::<Option<OffsetDateTime>, _>("started_at")?
            .filter(|_| is_running),
        lease_until: row
            .try_get::<Option<OffsetDateTime>, _>("lease_until")?
            .filter(|_| is_running),
        is_cancelling: row.try_get("is_cancelling")?,
        note: row.try_get("note")?,
        dead_reason,
        died_at: row.try_get("died_at")?,
    })
}

/// As Postgres counts time.
pub(super) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The duration of so many microseconds; none where there are fewer than none.
pub(super) fn duration(microseconds: i64) -> Duration {
    Duration::from_micros(u64::try_from(microseconds).unwrap_or_default())
}

/// A number that is never below zero.
pub(super) fn total(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// What is kept in this column is not what any release of ours writes.
pub(super) fn unreadable(column: &str) -> DbError {
    DbError::Unreadable {
        column: Some(column.to_owned()),
    }
}

fn count(number: i32) -> u16 {
    u16::try_from(number.max(0)).unwrap_or(u16::MAX)
}
