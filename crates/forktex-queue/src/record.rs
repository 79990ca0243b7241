// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job as it is kept: what a look into a queue shows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{PayloadFault, QueueError};
use crate::identifier::{JobId, JobName, QueueName};
use crate::job::Job;

macro_rules! words {
    ($name:ident, $($variant:ident = $word:literal),* $(,)?) => {
        impl $name {
            /// The word for it, as it is kept and serialised.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What a kept word means.
            #[allow(dead_code, reason = "the backend in memory keeps no words")]
            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

/// Where a job stands. A job that is done or cancelled is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobStatus {
    /// It is due later: it was put in so, waits for its next attempt, or for its rate.
    Scheduled,
    /// A worker may take it.
    Ready,
    /// It waits until another job of its limit's key ends.
    Held,
    /// A worker has it.
    Running,
    /// It is a dead letter: nobody takes it until it is replayed.
    Dead,
}

words!(
    JobStatus,
    Scheduled = "scheduled",
    Ready = "ready",
    Held = "held",
    Running = "running",
    Dead = "dead",
);

/// Why a job is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadReason {
    /// Each of its attempts failed.
    Exhausted,
    /// Its handler said that no retry can mend it.
    Fatal,
    /// Its payload does not fit the type of its job.
    Undecodable,
    /// The worker of its last attempt was lost: it died, froze, or was killed by the job.
    LeaseLost,
}

words!(
    DeadReason,
    Exhausted = "exhausted",
    Fatal = "fatal",
    Undecodable = "undecodable",
    LeaseLost = "lease_lost",
);

/// A job as it stood when it was looked at.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JobRecord {
    /// Its identifier.
    pub id: JobId,
    /// The name of its kind.
    pub name: JobName,
    /// The queue that it is in.
    pub queue: QueueName,
    /// Whose turn it is taken in; empty where it names none.
    pub tenant: String,
    /// Where it stands.
    pub status: JobStatus,
    /// What it carries, as JSON. Kept out of `Debug`, as it may hold secrets.
    pub payload: Vec<u8>,
    /// Each point is a head start of 30 seconds.
    pub priority: i16,
    /// How many attempts were begun; one that was handed back is not counted.
    pub attempts: u16,
    /// How many there may be.
    pub attempts_max: u16,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// The key of its unique lock, with the job's name in front.
    pub unique_key: Option<String>,
    /// The key of its limit.
    pub limit_key: Option<String>,
    /// When it was put in, by the backend's clock.
    pub enqueued_at: OffsetDateTime,
    /// When it is due, or became due.
    pub due_at: OffsetDateTime,
    /// Of a running job, when its worker took it.
    pub started_at: Option<OffsetDateTime>,
    /// Of a running job, until when its worker has it.
    pub lease_until: Option<OffsetDateTime>,
    /// Of a running job, whether somebody asks that it ends.
    pub is_cancelling: bool,
    /// Why it stands where it does: the error of its last attempt, or that nobody here knows its name. At
    /// most [`NOTE_BYTES_MAX`] bytes.
    pub note: Option<String>,
    /// Of a dead letter, why.
    pub dead_reason: Option<DeadReason>,
    /// Of a dead letter, since when.
    pub died_at: Option<OffsetDateTime>,
}

/// The most bytes of an error or a note that are kept with a job; what is longer is cut.
pub const NOTE_BYTES_MAX: usize = 4 * 1024;

impl JobRecord {
    /// What the job carries, as its type.
    ///
    /// # Errors
    /// [`QueueError::WrongJob`] where it is a job of another name, [`QueueError::Decode`] where its payload
    /// does not fit the type.
    pub fn decode<J: Job>(&self) -> Result<J, QueueError> {
        if self.name.as_str() != J::NAME {
            return Err(QueueError::WrongJob {
                id: self.id,
                name: self.name.clone(),
                expected: J::NAME,
            });
        }
        serde_json::from_slice(&self.payload).map_err(|error| QueueError::Decode {
            job: self.name.as_str().to_owned(),
            source: PayloadFault::read(&error),
        })
    }
}

impl fmt::Debug for JobRecord {
    /// Without the payload, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JobRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("queue", &self.queue)
            .field("tenant", &self.tenant)
            .field("status", &self.status)
            .field("priority", &self.priority)
            .field("attempts", &self.attempts)
            .field("attempts_max", &self.attempts_max)
            .field("due_at", &self.due_at)
            .field("is_cancelling", &self.is_cancelling)
            .field("dead_reason", &self.dead_reason)
            .finish_non_exhaustive()
    }
}

/// A text cut to [`NOTE_BYTES_MAX`] bytes at a character's end, without NUL, which Postgres refuses.
pub(crate) fn bounded(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    if text.len() > NOTE_BYTES_MAX {
        let mark = "\u{2026}";
        text.truncate(text.floor_char_boundary(NOTE_BYTES_MAX - mark.len()));
        text.push_str(mark);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_at_a_characters_end() {
        assert_eq!(bounded("a\0b"), "a\u{fffd}b");
        let long = bounded(&"é".repeat(NOTE_BYTES_MAX));
        assert!(
            long.len() <= NOTE_BYTES_MAX && long.ends_with('…'),
            "{}",
            long.len()
        );
    }

    #[test]
    fn words_are_read_back() {
        for status in [JobStatus::Scheduled, JobStatus::Held, JobStatus::Dead] {
            assert_eq!(JobStatus::from_word(status.as_str()), Some(status));
        }
        assert_eq!(
            DeadReason::from_word("lease_lost"),
            Some(DeadReason::LeaseLost)
        );
        assert_eq!(DeadReason::from_word("bored"), None);
    }
}
