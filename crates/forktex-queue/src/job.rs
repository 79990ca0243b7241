// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a job is: a serialisable value with a name, and what its type says of how it is run.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limit::Limit;
use crate::retry::{MAX_ATTEMPTS_DEFAULT, TIMEOUT_DEFAULT};
use crate::unique::Unique;

/// The queue of jobs that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// A piece of work as a value: what it is to do, and nothing of how. Derive it.
///
/// The value is kept as JSON from when it is enqueued until it is done, and may be read by another
/// release of the service: add fields with `#[serde(default)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    label = "not a job",
    note = "derive it: `#[derive(Job, Serialize, Deserialize)]` with `#[job(\"area.action\")]`"
)]
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, by which its handler is found: 1 to 100 characters, words of letters, digits, `_` and `-`,
    /// joined by dots.
    const NAME: &'static str;

    /// How it is run where the call that enqueues it does not say.
    const SETTINGS: JobSettings = JobSettings::new();

    /// Whose turn it is taken in: tenants with ready jobs get theirs one after the other.
    fn tenant(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The limit that it counts against.
    fn limit(&self) -> Option<Limit> {
        None
    }
}

/// How the jobs of a type are run.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_queue::{JobSettings, Unique};
///
/// const SETTINGS: JobSettings = JobSettings::new()
///     .queue("mail")
///     .max_attempts(5)
///     .timeout(Duration::from_secs(30))
///     .unique(Unique::UntilDone);
/// # assert_eq!(SETTINGS.queue, "mail");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct JobSettings {
    /// The queue that they are put in; [`DEFAULT_QUEUE`] by default.
    pub queue: &'static str,
    /// How often they are tried at most, the first time included: from 1 to 1,000; 3 by default.
    pub max_attempts: u16,
    /// How long an attempt may take: from a millisecond to 30 days; a minute by default.
    pub timeout: Duration,
    /// The delay after the first, second, .. failed attempt; the last repeats. `None` stands for 1 s, 10 s,
    /// 1 min, 5 min and 15 min.
    pub backoff: Option<&'static [Duration]>,
    /// Each point is a head start of 30 seconds; 0 by default.
    pub priority: i16,
    /// What keeps an equal one out; nothing by default.
    pub unique: Option<Unique>,
}

impl JobSettings {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            queue: DEFAULT_QUEUE,
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            backoff: None,
            priority: 0,
            unique: None,
        }
    }

    /// The queue that they are put in.
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// How often they are tried at most.
    pub const fn max_attempts(mut self, max_attempts: u16) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// How long an attempt may take.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The delays between attempts.
    pub const fn backoff(mut self, delays: &'static [Duration]) -> Self {
        self.backoff = Some(delays);
        self
    }

    /// Their priority.
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// What keeps an equal one out.
    pub const fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }
}

impl Default for JobSettings {
    fn default() -> Self {
        Self::new()
    }
}
