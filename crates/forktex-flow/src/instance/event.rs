// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What happened to a run, as callers see it: the entries of its journal, numbered without a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::InstanceStatus;
use super::journal::{Answer, EndedBy, Entry, Recorded, Visit};
use crate::error::failure::{RunFailure, StepFailure};
use crate::identifier::{InstanceId, NodeName, Version};
use crate::state::delta::Delta;

/// Something that happened to a run. Events of one run are numbered from 1 without a gap.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Its number, by which a stream is resumed.
    pub sequence: i64,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A node is done, and its update committed.
    NodeCompleted {
        /// The node.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long the attempt took, by the worker's monotonic clock.
        duration: Duration,
        /// What it changed.
        delta: Delta,
    },
    /// The condition of a node was false.
    NodeSkipped {
        /// The node.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
    },
    /// An attempt of a node failed.
    AttemptFailed {
        /// The node.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long the attempt took, by the worker's monotonic clock.
        duration: Duration,
        /// Why.
        failure: StepFailure,
        /// The delay before the next attempt, if there is one.
        retry_after: Option<Duration>,
    },
    /// The router of a node has answered.
    Routed {
        /// The node.
        node: NodeName,
        /// The answer.
        branch: String,
    },
    /// A signal that was waited for behind a node was taken.
    Signalled {
        /// The node.
        node: NodeName,
        /// The signal.
        signal: String,
        /// What it changed.
        delta: Delta,
    },
    /// A signal that was waited for behind a node does not fit the state; another is waited for.
    SignalRefused {
        /// The node.
        node: NodeName,
        /// The signal.
        signal: String,
        /// Why.
        failure: StepFailure,
    },
    /// The time that was waited for behind a node has passed.
    TimerFired {
        /// The node.
        node: NodeName,
    },
    /// A step told something with [`Ctx::emit`](crate::Ctx::emit).
    Emitted {
        /// The node.
        node: NodeName,
        /// What it told.
        value: Value,
    },
    /// A durable call of a step was recorded.
    Called {
        /// The node.
        node: NodeName,
        /// The call's key within the visit of the node.
        key: String,
        /// What kind of call it was.
        call: CallKind,
        /// The runs that it spawned.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        children: Vec<InstanceId>,
    },
    /// The service's reducers made values of the updates of nodes that ran together.
    Resolved {
        /// The values.
        delta: Delta,
    },
    /// What the run did is undone before it ends.
    CompensationBegan {
        /// Why, in words.
        reason: String,
    },
    /// A visit of a node is undone.
    Compensated {
        /// The node.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long the attempt took, by the worker's monotonic clock.
        duration: Duration,
        /// What it changed.
        delta: Delta,
    },
    /// An attempt to undo a visit of a node failed.
    CompensationFailed {
        /// The node.
        node: NodeName,
        /// Which visit of it, from 1.
        visit: u32,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long the attempt took, by the worker's monotonic clock.
        duration: Duration,
        /// Why.
        failure: StepFailure,
        /// The delay before the next attempt, if there is one.
        retry_after: Option<Duration>,
    },
    /// The run is one of another version from here on.
    Migrated {
        /// The version that it was one of.
        from: Version,
        /// The version that it is one of.
        to: Version,
        /// The nodes that have another name from here on: the one that they had, and the one they have.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        renamed: BTreeMap<NodeName, NodeName>,
    },
    /// Every node is done. The last event.
    RunCompleted,
    /// The run failed. The last event.
    RunFailed {
        /// Why.
        failure: RunFailure,
    },
    /// The run was cancelled. The last event.
    RunCancelled {
        /// Why, in the words of who asked.
        reason: String,
    },
}

/// The kinds of durable calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallKind {
    /// A block that runs once ended.
    Once,
    /// A sleep, or a wait of limited time, began.
    Until,
    /// A signal was taken.
    Signal,
    /// A signal did not come in time.
    TimedOut,
    /// Runs were spawned.
    Spawn,
}

impl Event {
    /// Whether it is the last event of its run.
    pub fn is_terminal(&self) -> bool {
        self.status().is_some()
    }

    /// How the run ended by it, if it did.
    pub fn status(&self) -> Option<InstanceStatus> {
        match self.kind {
            EventKind::RunCompleted => Some(InstanceStatus::Completed),
            EventKind::RunFailed { .. } => Some(InstanceStatus::Failed),
            EventKind::RunCancelled { .. } => Some(InstanceStatus::Cancelled),
            _ => None,
        }
    }

    /// The word for what happened: the `event` of its JSON and of its message.
    pub fn name(&self) -> &'static str {
        match self.kind {
            EventKind::NodeCompleted { .. } => "node_completed",
            EventKind::NodeSkipped { .. } => "node_skipped",
            EventKind::AttemptFailed { .. } => "attempt_failed",
            EventKind::Routed { .. } => "routed",
            EventKind::Signalled { .. } => "signalled",
            EventKind::SignalRefused { .. } => "signal_refused",
            EventKind::TimerFired { .. } => "timer_fired",
            EventKind::Emitted { .. } => "emitted",
            EventKind::Called { .. } => "called",
            EventKind::Resolved { .. } => "resolved",
            EventKind::CompensationBegan { .. } => "compensation_began",
            EventKind::Compensated { .. } => "compensated",
            EventKind::CompensationFailed { .. } => "compensation_failed",
            EventKind::Migrated { .. } => "migrated",
            EventKind::RunCompleted => "run_completed",
            EventKind::RunFailed { .. } => "run_failed",
            EventKind::RunCancelled { .. } => "run_cancelled",
        }
    }

    /// The event as one message of a `text/event-stream`: its sequence as the id, from which a browser
    /// resumes with `Last-Event-ID`, its name, and its JSON, which has no line breaks.
    ///
    /// Format: HTML Living Standard, section 9.2, server-sent events.
    pub fn to_sse(&self) -> String {
        let data = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned());
        format!(
            "id: {}\nevent: {}\ndata: {data}\n\n",
            self.sequence,
            self.name()
        )
    }

    pub(crate) fn of(recorded: Recorded) -> Self {
        let node = |at: Visit| at.node;
        let kind = match recorded.entry {
            Entry::NodeCompleted {
                at,
                attempt,
                elapsed,
                delta,
            } => EventKind::NodeCompleted {
                visit: at.visit,
                node: at.node,
                attempt,
                duration: elapsed,
                delta,
            },
            Entry::NodeSkipped { at } => EventKind::NodeSkipped {
                visit: at.visit,
                node: at.node,
            },
            Entry::AttemptFailed {
                at,
                attempt,
                elapsed,
                failure,
                retry_after,
            } => EventKind::AttemptFailed {
                visit: at.visit,
                node: at.node,
                attempt,
                duration: elapsed,
                failure,
                retry_after,
            },
            Entry::Routed { at, branch } => EventKind::Routed {
                node: node(at),
                branch,
            },
            Entry::Signalled {
                at, signal, delta, ..
            } => EventKind::Signalled {
                node: node(at),
                signal,
                delta,
            },
            Entry::SignalRefused {
                at,
                signal,
                failure,
                ..
            } => EventKind::SignalRefused {
                node: node(at),
                signal,
                failure,
            },
            Entry::TimerFired { at } => EventKind::TimerFired { node: node(at) },
            Entry::Called { at, call } => called(node(at), call.key, call.answer),
            Entry::Resolved { delta, .. } => EventKind::Resolved { delta },
            Entry::CompensationBegan { by } => EventKind::CompensationBegan { reason: by.words() },
            Entry::Compensated {
                at,
                attempt,
                elapsed,
                delta,
            } => EventKind::Compensated {
                visit: at.visit,
                node: at.node,
                attempt,
                duration: elapsed,
                delta,
            },
            Entry::CompensationFailed {
                at,
                attempt,
                elapsed,
                failure,
                retry_after,
            } => EventKind::CompensationFailed {
                visit: at.visit,
                node: at.node,
                attempt,
                duration: elapsed,
                failure,
                retry_after,
            },
            Entry::Migrated(moved) => EventKind::Migrated {
                from: moved.from.version,
                to: moved.to.version,
                renamed: moved.renamed,
            },
            Entry::RunCompleted => EventKind::RunCompleted,
            Entry::RunFailed { failure } => EventKind::RunFailed { failure },
            Entry::RunCancelled { reason } => EventKind::RunCancelled { reason },
        };
        Self {
            sequence: recorded.sequence,
            recorded_at: recorded.recorded_at,
            kind,
        }
    }
}

impl EndedBy {
    fn words(self) -> String {
        match self {
            Self::Failure(failure) => failure.to_string(),
            Self::Cancellation(reason) => reason,
        }
    }
}

fn called(node: NodeName, key: String, answer: Answer) -> EventKind {
    let mut spawned = Vec::new();
    let call = match answer {
        Answer::Emitted(value) => return EventKind::Emitted { node, value },
        Answer::Once(_) => CallKind::Once,
        Answer::Until(_) => CallKind::Until,
        Answer::Signal { .. } => CallKind::Signal,
        Answer::TimedOut => CallKind::TimedOut,
        Answer::Children(children) => {
            spawned = children;
            CallKind::Spawn
        }
    };
    EventKind::Called {
        node,
        key,
        call,
        children: spawned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::journal::Call;

    #[test]
    fn an_event_is_one_message_whatever_it_holds() {
        let call = Call {
            key: "emit".to_owned(),
            answer: Answer::Emitted(Value::from("two\nlines")),
        };
        let at = Visit {
            superstep: 1,
            member: 0,
            node: NodeName::unchecked("think"),
            visit: 1,
        };
        let event = Event::of(Recorded {
            sequence: 7,
            recorded_at: OffsetDateTime::UNIX_EPOCH,
            entry: Entry::Called { at, call },
        });
        assert_eq!(
            event.to_sse(),
            "id: 7\nevent: emitted\ndata: {\"sequence\":7,\"recorded_at\":\"1970-01-01T00:00:00Z\",\
             \"event\":\"emitted\",\"node\":\"think\",\"value\":\"two\\nlines\"}\n\n"
        );
        assert!(!event.is_terminal());
    }
}
