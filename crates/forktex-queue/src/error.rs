// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with a queue, with a worker and with a job.
//!
//! A message says what was attempted and on what; what the server or the driver said is the `source`.
//! No message holds a payload.

pub(crate) mod job;
mod worker;

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use serde_json::error::Category;

pub use job::{JobError, JobResult};
pub use worker::WorkerError;

use crate::cron::InvalidSchedule;
use crate::duration::InvalidDuration;
use crate::identifier::{InvalidName, JobId, JobName};

/// What a backend's driver said.
pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

/// A failed operation on a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A name is not well formed.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),

    /// A duration cannot be used.
    #[error(transparent)]
    InvalidDuration(#[from] InvalidDuration),

    /// A cron expression or a time zone cannot be used.
    #[error(transparent)]
    InvalidSchedule(#[from] InvalidSchedule),

    /// An option has a value that it cannot have.
    #[error("the option `{option}` cannot be used: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it, and what to do.
        reason: Cow<'static, str>,
    },

    /// The job carries more than the queue takes.
    #[error(
        "the payload of job `{job}` has {bytes} bytes, over the {bytes_max} that the queue takes; \
         store it elsewhere and enqueue where it is, or raise payload_bytes_max"
    )]
    PayloadTooLarge {
        /// The name of the job.
        job: String,
        /// The size of its JSON.
        bytes: usize,
        /// The most that the queue takes.
        bytes_max: usize,
    },

    /// The job cannot be made JSON.
    #[error("cannot encode the payload of job `{job}` as JSON")]
    Encode {
        /// The name of the job.
        job: String,
        /// What is wrong.
        source: PayloadFault,
    },

    /// What is kept does not fit the type of the job.
    #[error("cannot decode the payload of job `{job}` as its type")]
    Decode {
        /// The name of the job.
        job: String,
        /// Where it does not fit.
        source: PayloadFault,
    },

    /// The job is of another name than the type it was to be read as.
    #[error("job {id} is of the name `{name}`, not `{expected}`")]
    WrongJob {
        /// The job.
        id: JobId,
        /// Its name.
        name: JobName,
        /// The name of the type.
        expected: &'static str,
    },

    /// A job was to be put in with a transaction of another place than the queue is in.
    #[error(
        "cannot enqueue job `{job}` in a transaction: the queue is {backend}; a transaction needs \
         Queue::postgres on the same database"
    )]
    NotTransactional {
        /// The name of the job.
        job: String,
        /// Where the queue is: `on Redis` or `in process`.
        backend: &'static str,
    },

    /// A dead letter cannot be replayed while another job holds its unique key.
    #[error(
        "cannot replay job {id}: its unique key is held by job {holder}; wait until that one ends"
    )]
    Conflict {
        /// The dead letter.
        id: JobId,
        /// The job that holds the key.
        holder: JobId,
    },

    /// The queue's place was not made ready.
    #[error("cannot {action}: the queue was never set up {backend}; call Queue::init first")]
    NotInitialised {
        /// Where the queue is.
        backend: &'static str,
        /// What was attempted, such as `enqueue`.
        action: &'static str,
    },

    /// The server cannot be reached, or went away.
    #[error("cannot {action}: the queue {backend} is unavailable; try again")]
    Unavailable {
        /// Where the queue is.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// What the driver said.
        source: Option<Cause>,
    },

    /// The server did not answer in time. What was asked may have been done.
    #[error("cannot {action}: the queue {backend} did not answer in time")]
    Timeout {
        /// Where the queue is.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// What the driver said.
        source: Option<Cause>,
    },

    /// The server refused what was asked.
    #[error("cannot {action}: refused {backend} with {code}")]
    Rejected {
        /// Where the queue is.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// The SQLSTATE, or the first word of what Redis answered.
        code: String,
        /// What the driver said.
        source: Option<Cause>,
    },

    /// What is kept cannot be read: it was written by a newer release, or by hand.
    #[error("cannot {action}: {what} kept {backend} cannot be read")]
    Corrupt {
        /// Where the queue is.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// What was read, such as `the status of job 0197...`.
        what: String,
    },

    /// The queue was closed.
    #[error("cannot {action}: the queue was closed")]
    Closed {
        /// What was attempted.
        action: &'static str,
    },

    /// A job that was run where it was enqueued failed: [`Queue::inline`](crate::Queue::inline).
    #[error("job `{job}` failed inline: {error}")]
    FailedInline {
        /// The name of the job.
        job: String,
        /// What its handler said.
        error: String,
    },

    /// A cursor is not one that a list of this queue gave.
    #[error("the cursor is not one of this list; start again from its first page")]
    InvalidCursor,
}

/// What is wrong with a payload, and where: without a word of the payload, which may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadFault {
    /// It is JSON, and a value is missing, unknown or of another type than expected.
    #[error("a value does not fit the type, at line {line} column {column} of the JSON")]
    Misfit {
        /// From 1; 0 where it is not known.
        line: usize,
        /// From 1; 0 where it is not known.
        column: usize,
    },
    /// It is not JSON.
    #[error("it is not JSON, at line {line} column {column}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1; 0 at the end of a line.
        column: usize,
    },
    /// Its type refuses to be written as JSON, such as a map whose keys are no texts.
    #[error("its type cannot be written as JSON")]
    Unwritable,
}

impl PayloadFault {
    /// Where reading stopped. The text of `error` may quote what was read.
    pub(crate) fn read(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => Self::Misfit { line, column },
            Category::Io | Category::Syntax | Category::Eof => Self::Malformed { line, column },
        }
    }
}

impl QueueError {
    /// Whether the cause may pass: the server was away or slow. Putting a job in again after it may put
    /// it in twice, unless it is unique.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. })
    }
}
