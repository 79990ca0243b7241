// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job as it is put in: its type's settings and what was said of it, checked before anything is sent.

use std::borrow::Cow;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Queue;
use super::enqueue::{JOBS_MAX, JOBS_PAYLOAD_BYTES_MAX};
use crate::backend::{Due, NewJob, UniqueLock};
use crate::duration::DURATION_LIMIT;
use crate::error::{PayloadFault, QueueError};
use crate::identifier::{JobId, JobName, QueueName, UNIQUE_KEY_BYTES_MAX};
use crate::job::Job;
use crate::limit::{Limit, check_key};
use crate::retry::MAX_ATTEMPTS_LIMIT;
use crate::trace;
use crate::unique::Unique;

/// The longest that an attempt may take: 30 days.
const TIMEOUT_MAX: Duration = Duration::from_hours(30 * 24);

/// What was said of a job beside its type; the type's settings hold for the rest.
#[derive(Debug, Default)]
pub(crate) struct EnqueueOptions {
    pub(super) due: Option<Due>,
    pub(super) priority: Option<i16>,
    pub(super) queue: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) unique: Option<Unique>,
    pub(super) unique_key: Option<String>,
    pub(super) limit: Option<Limit>,
    pub(super) max_attempts: Option<u16>,
    pub(super) timeout: Option<Duration>,
    pub(super) trace_parent: Option<String>,
}

/// Checks jobs that are put in together, and what was said of them.
pub(super) fn prepare_all<J: Job>(
    queue: &Queue,
    jobs: &[J],
    options: &EnqueueOptions,
) -> Result<Vec<NewJob>, QueueError> {
    if jobs.len() > JOBS_MAX {
        return Err(invalid(
            "jobs",
            format!(
                "{} are more than the {JOBS_MAX} that are enqueued together; split them",
                jobs.len()
            ),
        ));
    }
    let mut bytes = 0;
    let mut prepared = Vec::with_capacity(jobs.len());
    for job in jobs {
        let job = prepare(queue, job, options)?;
        bytes += job.payload.len();
        if bytes > JOBS_PAYLOAD_BYTES_MAX {
            return Err(invalid(
                "jobs",
                format!("together they have more than {JOBS_PAYLOAD_BYTES_MAX} bytes; split them"),
            ));
        }
        prepared.push(job);
    }
    Ok(prepared)
}

/// Checks a job and what was said of it.
pub(crate) fn prepare<J: Job>(
    queue: &Queue,
    job: &J,
    options: &EnqueueOptions,
) -> Result<NewJob, QueueError> {
    let settings = J::SETTINGS;
    let name = JobName::new(J::NAME)?;
    let payload = encode(job, queue.options().payload_bytes_max)?;
    let attempts_max = options.max_attempts.unwrap_or(settings.max_attempts);
    if !(1..=MAX_ATTEMPTS_LIMIT).contains(&attempts_max) {
        let reason = format!("it is from 1 to {MAX_ATTEMPTS_LIMIT}, not {attempts_max}");
        return Err(invalid("max_attempts", reason));
    }
    let timeout = options.timeout.unwrap_or(settings.timeout);
    if !(Duration::from_millis(1)..=TIMEOUT_MAX).contains(&timeout) {
        let reason = "it is from 1 ms to 30 days".to_owned();
        return Err(invalid("timeout", reason));
    }
    let limit = options.limit.clone().or_else(|| job.limit());
    if let Some(limit) = &limit {
        limit.check()?;
    }
    let tenant = match &options.tenant {
        Some(tenant) => Some(tenant.clone()),
        None => job.tenant().map(Cow::into_owned),
    };
    if let Some(tenant) = &tenant {
        check_key("tenant", tenant)?;
    }
    Ok(NewJob {
        id: JobId::generate(),
        queue: QueueName::new(options.queue.as_deref().unwrap_or(settings.queue))?,
        tenant: tenant.unwrap_or_default(),
        priority: options.priority.unwrap_or(settings.priority),
        due: options.due.unwrap_or(Due::Now),
        unique: unique_lock(&name, &payload, settings.unique, options)?,
        limit,
        attempts_max,
        timeout,
        trace_parent: trace_parent(queue, options)?,
        name,
        payload,
    })
}

fn encode<J: Job>(job: &J, bytes_max: usize) -> Result<Vec<u8>, QueueError> {
    let payload = serde_json::to_vec(job).map_err(|_| QueueError::Encode {
        job: J::NAME.to_owned(),
        source: PayloadFault::Unwritable,
    })?;
    if payload.len() > bytes_max {
        return Err(QueueError::PayloadTooLarge {
            job: J::NAME.to_owned(),
            bytes: payload.len(),
            bytes_max,
        });
    }
    Ok(payload)
}

/// The lock of a unique job. No name has a `/` or a `#`, so that a key that is given is never taken for a
/// digest, nor for that of a job of another name.
fn unique_lock(
    name: &JobName,
    payload: &[u8],
    by_type: Option<Unique>,
    options: &EnqueueOptions,
) -> Result<Option<UniqueLock>, QueueError> {
    let by_key = options.unique_key.as_ref().map(|_| Unique::UntilDone);
    let Some(mode) = options.unique.or(by_type).or(by_key) else {
        return Ok(None);
    };
    if let Unique::For(time) = mode
        && !(Duration::from_millis(1)..=DURATION_LIMIT).contains(&time)
    {
        let reason = "`Unique::For` is from 1 ms to 3,650 days".to_owned();
        return Err(invalid("unique", reason));
    }
    let key = match &options.unique_key {
        Some(key) => {
            if key.is_empty() || key.len() > UNIQUE_KEY_BYTES_MAX || key.contains('\0') {
                let reason = format!("it has 1 to {UNIQUE_KEY_BYTES_MAX} bytes, none of them NUL");
                return Err(invalid("unique_key", reason));
            }
            format!("{name}/{key}")
        }
        None => format!("{name}#{}", hexadecimal(&Sha256::digest(payload))),
    };
    Ok(Some(UniqueLock { key, mode }))
}

fn trace_parent(queue: &Queue, options: &EnqueueOptions) -> Result<Option<String>, QueueError> {
    if let Some(given) = &options.trace_parent {
        if !trace::is_trace_parent(given) {
            let reason = "it is no W3C traceparent: 00-<32 hex>-<16 hex>-<2 hex>".to_owned();
            return Err(invalid("trace_parent", reason));
        }
        return Ok(Some(given.clone()));
    }
    Ok(queue
        .options()
        .current_trace_parent()
        .or_else(trace::current))
}

/// Bytes as lower case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn invalid(option: &'static str, reason: String) -> QueueError {
    QueueError::InvalidOption {
        option,
        reason: reason.into(),
    }
}
