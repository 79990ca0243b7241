// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a handler says when an attempt failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::duration::IntoDuration;
use crate::record::bounded;

/// What the body of a handler returns.
pub type JobResult = Result<(), JobError>;

/// The error of one attempt of a job.
///
/// Every error type converts into it by `?`, and the job is then tried again as its options say. Its text
/// and that of its causes is kept with the job, up to 4 KiB: leave secrets out of error messages. It does
/// not implement [`std::error::Error`] itself, as the conversion would then be ambiguous.
///
/// # Examples
/// ```
/// use forktex_queue::{JobError, JobResult};
///
/// fn check(status: u16) -> JobResult {
///     match status {
///         200 => Ok(()),
///         429 => Err(JobError::retry_after("30s", "the service asks for a pause")),
///         410 => Err(JobError::fatal("the address is gone")),
///         status => Err(JobError::new(format!("status {status}"))),
///     }
/// }
/// # assert!(check(200).is_ok());
/// ```
pub struct JobError {
    pub(crate) course: Course,
    pub(crate) text: String,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// The next attempt comes after the delay of the job's own list.
    Retry,
    /// The next attempt comes after this delay.
    RetryAfter(Duration),
    /// There is no next attempt.
    Fatal,
}

impl JobError {
    /// An error after which the job is tried again, if an attempt is left.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::with_course(Course::Retry, &*error.into())
    }

    /// An error that no retry can mend: the job is a dead letter at once.
    pub fn fatal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::with_course(Course::Fatal, &*error.into())
    }

    /// An error after which the job is tried again in `delay`, if an attempt is left. Where `delay` cannot
    /// be used, the delays of the job's options hold, and the text says so.
    pub fn retry_after(
        delay: impl IntoDuration,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let error = error.into();
        match delay.into_duration() {
            Ok(delay) => Self::with_course(Course::RetryAfter(delay), &*error),
            Err(fault) => {
                let text = format!(
                    "{} (and its delay was not used: {fault})",
                    with_causes(&*error)
                );
                Self::of_text(&text)
            }
        }
    }

    /// Whether the job is tried again, if an attempt is left.
    pub fn is_fatal(&self) -> bool {
        self.course == Course::Fatal
    }

    /// An error of which there is nothing but a text.
    pub(crate) fn of_text(text: &str) -> Self {
        Self {
            course: Course::Retry,
            text: bounded(text),
        }
    }

    fn with_course(course: Course, error: &(dyn Error + 'static)) -> Self {
        Self {
            course,
            text: bounded(&with_causes(error)),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JobError")
            .field("text", &self.text)
            .field("is_fatal", &self.is_fatal())
            .finish_non_exhaustive()
    }
}

/// The text of an error and of its causes, each once, where a message repeats that of its cause.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    // Bounded, in case an error is its own cause.
    for _ in 0..32 {
        let Some(error) = cause else {
            break;
        };
        let said = error.to_string();
        if !last.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        last = said;
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_causes_are_told_with_the_error() {
        let error = JobError::from(Outer(std::io::Error::other("no route")));
        assert_eq!(error.to_string(), "cannot send: no route");
        assert_eq!(error.course, Course::Retry);
    }

    #[test]
    fn a_delay_that_cannot_be_used_is_told() {
        let error = JobError::retry_after("soon", "busy");
        assert_eq!(error.course, Course::Retry);
        assert!(
            error
                .text
                .starts_with("busy (and its delay was not used: `soon`")
        );
        let error = JobError::retry_after("2s", "busy");
        assert_eq!(error.course, Course::RetryAfter(Duration::from_secs(2)));
        assert!(JobError::fatal("gone").is_fatal());
    }
}
