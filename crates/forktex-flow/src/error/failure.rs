// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Recorded outcomes: why an attempt or a run failed, as it is stored and shown.
//!
//! These are data, not errors: they are serialised into the journal and stay readable by later
//! releases. What a caller gets from an operation is in [`error`](super).

use std::any::Any;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identifier::NodeName;

/// The most bytes of a message that are kept; more is cut at a character boundary.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Why an attempt of a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepFailure {
    /// What kind of failure it was.
    pub kind: StepFailureKind,
    /// The message, with the messages of its causes; at most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// The kinds of failure of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepFailureKind {
    /// The body returned an error.
    Error,
    /// The body returned an error that says no retry can help.
    Fatal,
    /// The body panicked.
    Panic,
    /// The body took longer than its timeout.
    Timeout,
    /// The update cannot be stored.
    Payload,
    /// The process died while it ran this step and no other suspect.
    WorkerLost,
    /// A durable call has an answer recorded that is not of the shape that it asks for.
    Diverged,
    /// A run that the step spawned and waited for failed or was cancelled.
    ChildFailed,
}

impl StepFailureKind {
    /// The word for it in metrics and spans.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Payload => "payload",
            Self::WorkerLost => "worker_lost",
            Self::Diverged => "diverged",
            Self::ChildFailed => "child_failed",
        }
    }

    /// Whether another attempt may be made, as far as the kind decides it.
    pub(crate) fn is_retryable(self) -> bool {
        !matches!(self, Self::Fatal | Self::Diverged | Self::ChildFailed)
    }
}

impl StepFailure {
    pub(crate) fn new(kind: StepFailureKind, message: &str) -> Self {
        Self {
            kind,
            message: bounded(message),
        }
    }

    /// The failure of a body that panicked with this payload.
    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panicked with a value that is not a text".to_owned());
        Self::new(StepFailureKind::Panic, &message)
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for StepFailure {}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunFailure {
    /// A step used up its attempts, or failed for good.
    #[error("node `{node}` failed after {attempts} attempts: {failure}")]
    StepFailed {
        /// The node.
        node: NodeName,
        /// How many attempts were made.
        attempts: u32,
        /// The last one's failure.
        failure: StepFailure,
    },
    /// The router of a node erred or panicked. It is not retried.
    #[error("the router of node `{node}` failed: {failure}")]
    RouterFailed {
        /// The node that it stands behind.
        node: NodeName,
        /// What happened.
        failure: StepFailure,
    },
    /// No edge leads on from where the run is.
    #[error("the router of node `{node}` answered `{branch}`, for which there is no edge")]
    GraphStuck {
        /// The node.
        node: NodeName,
        /// The answer.
        branch: String,
    },
    /// The run came to a node more often than `max_visits` allows.
    #[error(
        "node `{node}` was to be visited more than {max_visits} times; raise `max_visits`, or see why the cycle does not end"
    )]
    VisitLimit {
        /// The node.
        node: NodeName,
        /// How many visits are allowed.
        max_visits: u32,
    },
    /// A `when` erred or panicked. It is not retried.
    #[error("the condition of node `{node}` failed: {failure}")]
    ConditionFailed {
        /// The node whose condition it is.
        node: NodeName,
        /// What happened.
        failure: StepFailure,
    },
    /// The run did not end before its deadline.
    #[error("the run did not end before its deadline")]
    DeadlineExceeded,
    /// Two parallel nodes replaced the same field.
    #[error(
        "the parallel nodes `{first}` and `{second}` both set field `{field}`, which has no reducer"
    )]
    ConcurrentWrites {
        /// The field.
        field: String,
        /// The node declared first.
        first: NodeName,
        /// The node declared later.
        second: NodeName,
    },
    /// The updates of a node, or of parallel nodes together, do not fit the state.
    #[error("the update of node `{node}` does not fit the state: {failure}")]
    MergeFailed {
        /// The node, or the first of the parallel ones.
        node: NodeName,
        /// What happened.
        failure: StepFailure,
    },
}

/// Cuts a message at a character boundary.
fn bounded(message: &str) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message.to_owned();
    }
    let mut end = MESSAGE_BYTES_MAX - '…'.len_utf8();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

/// A message with those of its causes, outermost first.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        if message.len() > MESSAGE_BYTES_MAX {
            break;
        }
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let failure = StepFailure::new(StepFailureKind::Error, &"é\0".repeat(9000));
        assert!(failure.message.len() <= MESSAGE_BYTES_MAX);
        assert!(failure.message.starts_with("é\0é") && failure.message.ends_with('…'));
    }
}
