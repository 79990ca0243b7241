// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Puts jobs in, by hand or for the tick of a schedule.

use forktex_cache::fred::bytes::Bytes;
use forktex_cache::fred::types::Value;
use time::OffsetDateTime;

use super::{RedisBackend, answer, body, id_value, milliseconds, script, unix_milliseconds};
use crate::backend::{Due, NewJob, Put};
use crate::error::QueueError;

const ACTION: &str = "enqueue";

impl RedisBackend {
    /// All in one script: none is there before the others.
    pub(super) async fn put_jobs(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, QueueError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = Vec::with_capacity(2 + 3 * jobs.len());
        arguments.extend([Value::from_static_str(""), Value::Integer(0)]);
        for job in &jobs {
            arguments.extend(described(job));
        }
        let answer = self
            .run(&script::PUT, ACTION, arguments)
            .await?
            .into_array();
        if answer.len() != jobs.len() {
            return Err(answer::unexpected(ACTION));
        }
        answer.iter().map(put).collect()
    }

    /// The tick and its job in one script.
    pub(super) async fn fire_tick(
        &self,
        schedule: &str,
        tick: OffsetDateTime,
        job: NewJob,
    ) -> Result<bool, QueueError> {
        let mut arguments = vec![
            Value::from(schedule),
            Value::Integer(unix_milliseconds(tick)),
        ];
        arguments.extend(described(&job));
        let answer = self.run(&script::PUT, "fire a schedule", arguments).await?;
        Ok(!answer.is_null())
    }
}

/// What the script is told of a job.
fn described(job: &NewJob) -> [Value; 3] {
    let when = match job.due {
        Due::Now => 0,
        Due::After(delay) => milliseconds(delay),
        // Instants have a minus, to be told from delays; what is over is due now.
        Due::At(instant) => -unix_milliseconds(instant).max(1),
    };
    [
        id_value(job.id),
        Value::Integer(when),
        Value::Bytes(Bytes::from(body::write(job))),
    ]
}

fn put(answer: &Value) -> Result<Put, QueueError> {
    if answer.as_bytes().is_some_and(<[u8]>::is_empty) {
        return Ok(Put::Inserted);
    }
    answer::id(answer)
        .map(Put::Duplicate)
        .ok_or_else(|| answer::unexpected(ACTION))
}
