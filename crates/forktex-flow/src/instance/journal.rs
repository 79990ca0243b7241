// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The journal of a run: one entry for each thing that happened, in the order of its sequence.
//!
//! A checkpoint, the state change and the event are one entry, so they cannot come apart. Folding a
//! journal needs neither the workflow's code nor its plan.

mod moved;

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::error::failure::{RunFailure, StepFailure};
use crate::identifier::{InstanceId, NodeName};
use crate::instance::{CompensationRecord, NodeRecord, NodeStatus};
use crate::state::delta::{Delta, FoldError, fold};
pub(crate) use moved::{Move, Pin, Place, last_move, present};

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// A node's update is committed.
    NodeCompleted {
        at: Visit,
        attempt: u32,
        elapsed: Duration,
        delta: Delta,
    },
    /// A node's condition was false.
    NodeSkipped { at: Visit },
    /// An attempt failed. `retry_after` is the delay of the next one, if there is one.
    AttemptFailed {
        at: Visit,
        attempt: u32,
        elapsed: Duration,
        failure: StepFailure,
        retry_after: Option<Duration>,
    },
    /// The router of a node that is done has answered.
    Routed { at: Visit, branch: String },
    /// A signal that the run waited for behind a node was taken. The delta is what it changed, with
    /// nothing left for the service's reducers.
    Signalled {
        at: Visit,
        message: MessageId,
        signal: String,
        delta: Delta,
    },
    /// A signal did not fit the state. It is not waited for any longer, but another is.
    SignalRefused {
        at: Visit,
        message: MessageId,
        signal: String,
        failure: StepFailure,
    },
    /// The time that the run waited for behind a node has passed.
    TimerFired { at: Visit },
    /// A durable call of a step has its answer, or what it waits for.
    Called { at: Visit, call: Call },
    /// What was done is undone before the run ends.
    CompensationBegan { by: EndedBy },
    /// A visit of a node is undone. The delta has nothing left for the service's reducers.
    Compensated {
        at: Visit,
        attempt: u32,
        elapsed: Duration,
        delta: Delta,
    },
    /// An attempt to undo a visit failed; without `retry_after` it was the last.
    CompensationFailed {
        at: Visit,
        attempt: u32,
        elapsed: Duration,
        failure: StepFailure,
        retry_after: Option<Duration>,
    },
    /// What the service's reducers made of the updates of one superstep.
    Resolved { superstep: u32, delta: Delta },
    /// The run is one of another version from here on.
    Migrated(Box<Move>),
    /// Every node is done.
    RunCompleted,
    /// The run failed.
    RunFailed { failure: RunFailure },
    /// The run was cancelled.
    RunCancelled { reason: String },
}

/// What ends a run that does not complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndedBy {
    Failure(RunFailure),
    Cancellation(String),
}

/// Which visit of which node, and its place in the order of merging.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "a visit has a number, and that is its name"
)]
pub(crate) struct Visit {
    /// The count of stages that the run has entered, from 1.
    pub(crate) superstep: u32,
    /// The node's place among those that run in this superstep.
    pub(crate) member: u16,
    pub(crate) node: NodeName,
    /// How often the run has come to this node, from 1.
    pub(crate) visit: u32,
}

/// The place of [`Entry::Resolved`]: after every member.
pub(crate) const RESOLVED_MEMBER: u16 = i16::MAX as u16;

/// The place of [`Entry::Signalled`]: after all that the node itself did.
const SIGNALLED_MEMBER: u16 = RESOLVED_MEMBER + 1;

/// The key of a message in the inbox of its run; later messages have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MessageId(pub(crate) i64);

/// A durable call that a step made, under its key, which belongs to the visit of the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) key: String,
    pub(crate) answer: Answer,
}

/// What is recorded of a durable call: its answer, or what the answer is found by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// What a block that runs once returned.
    Once(Value),
    /// Something that the step told its followers.
    Emitted(Value),
    /// When a sleep is over, by the database's clock.
    Until(#[serde(with = "time::serde::rfc3339")] OffsetDateTime),
    /// The payload of a signal that was taken.
    Signal { message: MessageId, payload: Value },
    /// No signal came in time.
    TimedOut,
    /// The runs that were spawned.
    Children(Vec<InstanceId>),
}

impl Entry {
    /// Whether a step wants those who follow its run to know of it at once.
    pub(crate) fn is_told(&self) -> bool {
        matches!(
            self,
            Self::Called {
                call: Call {
                    answer: Answer::Emitted(_),
                    ..
                },
                ..
            }
        )
    }

    /// Whether it names runs that are spawned.
    pub(crate) fn is_spawn(&self) -> bool {
        matches!(
            self,
            Self::Called {
                call: Call {
                    answer: Answer::Children(_),
                    ..
                },
                ..
            }
        )
    }

    /// The message that the entry takes out of the inbox.
    pub(crate) fn message(&self) -> Option<MessageId> {
        match self {
            Self::Signalled { message, .. }
            | Self::SignalRefused { message, .. }
            | Self::Called {
                call:
                    Call {
                        answer: Answer::Signal { message, .. },
                        ..
                    },
                ..
            } => Some(*message),
            _ => None,
        }
    }
}

/// An entry as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the column's name")]
pub(crate) struct Recorded {
    pub(crate) sequence: i64,
    pub(crate) recorded_at: OffsetDateTime,
    pub(crate) entry: Entry,
}

/// The part of an entry that is stored as JSON. Short names: a run has many of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delta: Option<Delta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<StepFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_failure: Option<RunFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<Call>,
    #[serde(default, rename = "move", skip_serializing_if = "Option::is_none")]
    pub(crate) migrated: Option<Box<Move>>,
}

/// The state of a run: its input with the deltas of its journal, in the order of merging.
///
/// # Errors
/// [`FoldError`] when a stored value does not fit its operation.
pub(crate) fn fold_state(input: Value, journal: &[Recorded]) -> Result<Value, FoldError> {
    fold_state_through(input, journal, u32::MAX)
}

/// The state of a run after a superstep: without the deltas of later ones.
///
/// # Errors
/// As of [`fold_state`].
pub(crate) fn fold_state_through(
    input: Value,
    journal: &[Recorded],
    last: u32,
) -> Result<Value, FoldError> {
    // What a move found merged is in its state; what it did not is merged on it.
    let (base, merged, moved_at) = match last_move(journal) {
        Some((place, moved)) => (moved.state.clone(), moved.merged, place),
        None => (input, 0, 0),
    };
    let mut state = match base {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let mut deltas: Vec<(u32, u16, &Delta)> = journal
        .iter()
        .enumerate()
        .filter_map(|(place, recorded)| {
            let (superstep, member, delta) = delta(&recorded.entry)?;
            let counts = superstep <= last && (place >= moved_at || superstep > merged);
            counts.then_some((superstep, member, delta))
        })
        .collect();
    deltas.sort_by_key(|(superstep, member, _)| (*superstep, *member));
    for (_, _, delta) in deltas {
        fold(&mut state, delta)?;
    }
    Ok(Value::Object(state))
}

/// What an entry changes, and its place in the order of merging.
fn delta(entry: &Entry) -> Option<(u32, u16, &Delta)> {
    match entry {
        Entry::NodeCompleted { at, delta, .. } | Entry::Compensated { at, delta, .. } => {
            Some((at.superstep, at.member, delta))
        }
        Entry::Resolved { superstep, delta } => Some((*superstep, RESOLVED_MEMBER, delta)),
        Entry::Signalled { at, delta, .. } => Some((at.superstep, SIGNALLED_MEMBER, delta)),
        _ => None,
    }
}

/// The visits of nodes that a journal tells of, in order.
pub(crate) fn node_records(journal: &[Recorded]) -> Vec<NodeRecord> {
    let journal = &*present(journal);
    let mut records: Vec<NodeRecord> = Vec::new();
    let mut places: HashMap<(&NodeName, u32), usize> = HashMap::new();
    for Recorded {
        entry, recorded_at, ..
    } in journal
    {
        let way_out = match entry {
            Entry::Routed { at, branch } => Some((at, branch.clone())),
            Entry::Signalled { at, signal, .. } => Some((at, format!("on {signal}"))),
            Entry::TimerFired { at } => Some((at, "after a time".to_owned())),
            _ => None,
        };
        if let Some((at, compensation)) = compensation(entry, *recorded_at) {
            let place = places.get(&(&at.node, at.visit)).copied();
            if let Some(record) = place.and_then(|place| records.get_mut(place)) {
                record.compensation = Some(compensation);
            }
            continue;
        }
        if let Some((at, branch)) = way_out {
            let place = places.get(&(&at.node, at.visit)).copied();
            if let Some(record) = place.and_then(|place| records.get_mut(place)) {
                record.branch = Some(branch);
            }
            continue;
        }
        let (at, attempt, status, duration, delta, error) = match entry {
            Entry::NodeCompleted {
                at,
                attempt,
                elapsed,
                delta,
            } => (
                at,
                *attempt,
                NodeStatus::Completed,
                *elapsed,
                Some(delta.clone()),
                None,
            ),
            Entry::NodeSkipped { at } => (at, 0, NodeStatus::Skipped, Duration::ZERO, None, None),
            Entry::AttemptFailed {
                at,
                attempt,
                elapsed,
                failure,
                retry_after,
            } => {
                let status = if retry_after.is_some() {
                    NodeStatus::Retrying
                } else {
                    NodeStatus::Failed
                };
                (at, *attempt, status, *elapsed, None, Some(failure.clone()))
            }
            _ => continue,
        };
        let place = *places.entry((&at.node, at.visit)).or_insert(records.len());
        match records.get_mut(place) {
            Some(record) => {
                record.attempt = attempt;
                record.status = status;
                record.duration = duration;
                record.delta = delta;
                record.error = error.or(record.error.take());
                record.recorded_at = *recorded_at;
            }
            None => records.push(NodeRecord {
                name: at.node.clone(),
                visit: at.visit,
                attempt,
                status,
                duration,
                delta,
                error,
                branch: None,
                compensation: None,
                recorded_at: *recorded_at,
            }),
        }
    }
    records
}

/// What an entry tells of the undoing of a visit.
fn compensation(
    entry: &Entry,
    recorded_at: OffsetDateTime,
) -> Option<(&Visit, CompensationRecord)> {
    let (at, attempt, status, error) = match entry {
        Entry::Compensated { at, attempt, .. } => (at, attempt, NodeStatus::Completed, None),
        Entry::CompensationFailed {
            at,
            attempt,
            failure,
            retry_after,
            ..
        } => {
            let status = if retry_after.is_some() {
                NodeStatus::Retrying
            } else {
                NodeStatus::Failed
            };
            (at, attempt, status, Some(failure.clone()))
        }
        _ => return None,
    };
    let record = CompensationRecord {
        status,
        attempt: *attempt,
        error,
        recorded_at,
    };
    Some((at, record))
}
