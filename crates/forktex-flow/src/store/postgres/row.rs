// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Between rows and values: the one place where stored words become types.

use std::time::Duration;

use forktex_db::DbError;
use forktex_db::sqlx::Row;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::failure::RunFailure;
use crate::identifier::{DefinitionId, Epoch, InstanceId, Namespace, NodeName, WorkflowName};
use crate::instance::journal::{EndedBy, Entry, Payload, RESOLVED_MEMBER, Recorded, Visit};
use crate::instance::outcome::Outcome;
use crate::instance::{Instance, InstanceStatus, WaitingOn};
use crate::store::ClaimedRun;

/// The columns of one journal row, but for its run and sequence.
#[derive(Debug, Default)]
pub(crate) struct JournalColumns {
    pub(crate) elapsed_us: i64,
    pub(crate) superstep: i32,
    pub(crate) visit: i32,
    pub(crate) attempt: i32,
    pub(crate) kind: i16,
    pub(crate) member: i16,
    pub(crate) node: String,
    pub(crate) payload: Option<String>,
}

impl JournalColumns {
    pub(crate) fn of(entry: &Entry) -> Result<Self, DbError> {
        let (kind, payload) = match entry {
            Entry::NodeCompleted { delta, .. } if delta.is_empty() => (1, None),
            Entry::NodeCompleted { delta, .. } => (
                1,
                Some(Payload {
                    delta: Some(delta.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::NodeSkipped { .. } => (2, None),
            Entry::AttemptFailed {
                failure,
                retry_after,
                ..
            } => {
                let retry_after_us = retry_after.map(|delay| microseconds(delay).unsigned_abs());
                let failure = Some(failure.clone());
                (
                    3,
                    Some(Payload {
                        failure,
                        retry_after_us,
                        ..Payload::default()
                    }),
                )
            }
            Entry::Resolved { delta, .. } => (
                4,
                Some(Payload {
                    delta: Some(delta.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::RunCompleted => (5, None),
            Entry::RunFailed { failure } => (
                6,
                Some(Payload {
                    run_failure: Some(failure.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::RunCancelled { reason } => (
                7,
                Some(Payload {
                    reason: Some(reason.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::CompensationBegan {
                by: EndedBy::Failure(failure),
            } => (
                13,
                Some(Payload {
                    run_failure: Some(failure.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::CompensationBegan {
                by: EndedBy::Cancellation(reason),
            } => (
                13,
                Some(Payload {
                    reason: Some(reason.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::Compensated { delta, .. } => (
                14,
                Some(Payload {
                    delta: Some(delta.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::CompensationFailed {
                failure,
                retry_after,
                ..
            } => (
                15,
                Some(Payload {
                    failure: Some(failure.clone()),
                    retry_after_us: retry_after.map(|delay| microseconds(delay).unsigned_abs()),
                    ..Payload::default()
                }),
            ),
            Entry::Signalled {
                message,
                signal,
                delta,
                ..
            } => (
                9,
                Some(Payload {
                    signal: Some(signal.clone()),
                    message: Some(*message),
                    delta: Some(delta.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::TimerFired { .. } => (10, None),
            Entry::Called { call, .. } => (
                11,
                Some(Payload {
                    call: Some(call.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::SignalRefused {
                message,
                signal,
                failure,
                ..
            } => (
                12,
                Some(Payload {
                    signal: Some(signal.clone()),
                    message: Some(*message),
                    failure: Some(failure.clone()),
                    ..Payload::default()
                }),
            ),
            Entry::Routed { branch, .. } => (
                8,
                Some(Payload {
                    branch: Some(branch.clone()),
                    ..Payload::default()
                }),
            ),
        };
        let payload = payload.map(|payload| json(&payload)).transpose()?;
        let columns = Self {
            kind,
            payload,
            ..Self::default()
        };
        Ok(match entry {
            Entry::NodeCompleted {
                at,
                attempt,
                elapsed,
                ..
            }
            | Entry::AttemptFailed {
                at,
                attempt,
                elapsed,
                ..
            }
            | Entry::Compensated {
                at,
                attempt,
                elapsed,
                ..
            }
            | Entry::CompensationFailed {
                at,
                attempt,
                elapsed,
                ..
            } => Self {
                attempt: clamped(*attempt),
                elapsed_us: microseconds(*elapsed),
                ..columns.at(at)
            },
            Entry::NodeSkipped { at }
            | Entry::Routed { at, .. }
            | Entry::Signalled { at, .. }
            | Entry::SignalRefused { at, .. }
            | Entry::TimerFired { at }
            | Entry::Called { at, .. } => columns.at(at),
            Entry::Resolved { superstep, .. } => Self {
                superstep: clamped(*superstep),
                member: i16::MAX,
                ..columns
            },
            Entry::RunCompleted
            | Entry::RunFailed { .. }
            | Entry::RunCancelled { .. }
            | Entry::CompensationBegan { .. } => columns,
        })
    }

    fn at(self, visit: &Visit) -> Self {
        Self {
            superstep: clamped(visit.superstep),
            visit: clamped(visit.visit),
            member: i16::try_from(visit.member).unwrap_or(i16::MAX),
            node: visit.node.as_str().to_owned(),
            ..self
        }
    }
}

/// Reads one journal row. The error names what breaks an invariant.
pub(crate) fn recorded(row: &PgRow) -> Result<Recorded, DbError> {
    let payload: Option<String> = row.try_get("payload")?;
    let payload: Payload = match payload {
        Some(text) => serde_json::from_str(&text).map_err(|_| unreadable("payload"))?,
        None => Payload::default(),
    };
    let kind: i16 = row.try_get("kind")?;
    let number = |column| -> Result<u32, DbError> {
        u32::try_from(row.try_get::<i32, _>(column)?).map_err(|_| unreadable(column))
    };
    let member: i16 = row.try_get("member")?;
    let elapsed_us: i64 = row.try_get("elapsed_us")?;
    let elapsed = Duration::from_micros(elapsed_us.unsigned_abs());
    let at = || -> Result<Visit, DbError> {
        let node: String = row.try_get("node")?;
        Ok(Visit {
            superstep: number("superstep")?,
            member: u16::try_from(member).unwrap_or(RESOLVED_MEMBER),
            node: NodeName::new(node).map_err(|_| unreadable("node"))?,
            visit: number("visit")?,
        })
    };
    let missing = || unreadable("payload");
    let entry = match kind {
        1 => Entry::NodeCompleted {
            at: at()?,
            attempt: number("attempt")?,
            elapsed,
            delta: payload.delta.unwrap_or_default(),
        },
        2 => Entry::NodeSkipped { at: at()? },
        3 => Entry::AttemptFailed {
            at: at()?,
            attempt: number("attempt")?,
            elapsed,
            failure: payload.failure.ok_or_else(missing)?,
            retry_after: payload.retry_after_us.map(Duration::from_micros),
        },
        4 => Entry::Resolved {
            superstep: number("superstep")?,
            delta: payload.delta.ok_or_else(missing)?,
        },
        5 => Entry::RunCompleted,
        6 => Entry::RunFailed {
            failure: payload.run_failure.ok_or_else(missing)?,
        },
        7 => Entry::RunCancelled {
            reason: payload.reason.unwrap_or_default(),
        },
        8 => Entry::Routed {
            at: at()?,
            branch: payload.branch.ok_or_else(missing)?,
        },
        9 => Entry::Signalled {
            at: at()?,
            message: payload.message.ok_or_else(missing)?,
            signal: payload.signal.ok_or_else(missing)?,
            delta: payload.delta.unwrap_or_default(),
        },
        13 => Entry::CompensationBegan {
            by: match payload.run_failure {
                Some(failure) => EndedBy::Failure(failure),
                None => EndedBy::Cancellation(payload.reason.ok_or_else(missing)?),
            },
        },
        14 => Entry::Compensated {
            at: at()?,
            attempt: number("attempt")?,
            elapsed,
            delta: payload.delta.unwrap_or_default(),
        },
        15 => Entry::CompensationFailed {
            at: at()?,
            attempt: number("attempt")?,
            elapsed,
            failure: payload.failure.ok_or_else(missing)?,
            retry_after: payload.retry_after_us.map(Duration::from_micros),
        },
        10 => Entry::TimerFired { at: at()? },
        11 => Entry::Called {
            at: at()?,
            call: payload.call.ok_or_else(missing)?,
        },
        12 => Entry::SignalRefused {
            at: at()?,
            message: payload.message.ok_or_else(missing)?,
            signal: payload.signal.ok_or_else(missing)?,
            failure: payload.failure.ok_or_else(missing)?,
        },
        _ => return Err(unreadable("kind")),
    };
    Ok(Recorded {
        sequence: row.try_get("sequence")?,
        recorded_at: row.try_get("recorded_at")?,
        entry,
    })
}

/// Reads a claimed run, without its journal, and whether no worker had it before.
pub(crate) fn claimed(row: &PgRow) -> Result<(ClaimedRun, bool), DbError> {
    let lost_attempts: i16 = row.try_get("lost_attempts")?;
    let Json(input) = row.try_get("input")?;
    let Json(metadata) = row.try_get("metadata")?;
    let namespace: String = row.try_get("namespace")?;
    let run = ClaimedRun {
        instance_id: InstanceId(row.try_get("instance_id")?),
        epoch: Epoch(row.try_get("epoch")?),
        definition_id: DefinitionId(row.try_get("definition_id")?),
        namespace: Namespace::new(namespace).map_err(|_| unreadable("namespace"))?,
        input,
        metadata,
        journal: Vec::new(),
        is_child: row.try_get("is_child")?,
        deadline_at: row.try_get("deadline_at")?,
        undo_reason: row.try_get("undo_reason")?,
        lost_attempts: u32::from(lost_attempts.unsigned_abs()),
        claimed_at: row.try_get("claimed_at")?,
    };
    Ok((run, row.try_get("is_fresh")?))
}

/// Reads a run, without what its journal tells.
pub(crate) fn instance(row: &PgRow) -> Result<Instance, DbError> {
    let status: String = row.try_get("status")?;
    let status = InstanceStatus::parse(&status).ok_or_else(|| unreadable("status"))?;
    let workflow_name: String = row.try_get("workflow_name")?;
    let namespace: String = row.try_get("namespace")?;
    let version: i32 = row.try_get("workflow_version")?;
    let failure: Option<String> = row.try_get("failure")?;
    let failure: Option<RunFailure> = failure
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| unreadable("failure"))?;
    let Json(input): Json<Value> = row.try_get("input")?;
    let Json(metadata) = row.try_get("metadata")?;
    Ok(Instance {
        instance_id: InstanceId(row.try_get("instance_id")?),
        workflow_name: WorkflowName::new(workflow_name).map_err(|_| unreadable("workflow_name"))?,
        version: version.unsigned_abs(),
        namespace: Namespace::new(namespace).map_err(|_| unreadable("namespace"))?,
        status,
        waiting_on: waiting_on(row)?,
        state: Value::Null,
        input,
        metadata,
        current_nodes: Vec::new(),
        nodes: Vec::new(),
        triggered_by: row.try_get("triggered_by")?,
        parent_id: row
            .try_get::<Option<uuid::Uuid>, _>("parent_id")?
            .map(InstanceId),
        retry_of: row
            .try_get::<Option<uuid::Uuid>, _>("retry_of")?
            .map(InstanceId),
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        failure,
        cancel_reason: row.try_get("cancel_reason")?,
    })
}

fn waiting_on(row: &PgRow) -> Result<Option<WaitingOn>, DbError> {
    let ready_at: Option<OffsetDateTime> = row.try_get("ready_at")?;
    let wake_at: Option<OffsetDateTime> = row.try_get("wake_at")?;
    let waits_on: Option<String> = row.try_get("waits_on")?;
    if row
        .try_get::<Option<OffsetDateTime>, _>("paused_at")?
        .is_some()
    {
        return Ok(Some(WaitingOn::Pause));
    }
    let due = || wake_at.ok_or_else(|| unreadable("wake_at"));
    Ok(match waits_on.as_deref() {
        None if ready_at.is_none() => None,
        None if row.try_get("lacks_worker")? => Some(WaitingOn::CompatibleWorker),
        None | Some("worker") => Some(WaitingOn::Worker),
        Some("reader") => Some(WaitingOn::CompatibleWorker),
        Some("retry") => Some(WaitingOn::Retry { due_at: due()? }),
        Some("timer") => Some(WaitingOn::Timer { due_at: due()? }),
        Some("turn") => Some(WaitingOn::Turn),
        Some("signal") => Some(WaitingOn::Signal {
            names: row
                .try_get::<Option<Vec<String>>, _>("waiting_signals")?
                .unwrap_or_default(),
            due_at: wake_at,
        }),
        Some("child") => {
            let remaining: Option<i32> = row.try_get("waiting_children")?;
            Some(WaitingOn::Child {
                remaining: remaining.unwrap_or_default().unsigned_abs(),
            })
        }
        Some(_) => return Err(unreadable("waits_on")),
    })
}

/// What became of a run; `state` makes its state of its input.
pub(crate) fn outcome(
    row: &PgRow,
    state: impl FnOnce(Value) -> Result<Value, DbError>,
) -> Result<Outcome, DbError> {
    let status: String = row.try_get("status")?;
    Ok(match InstanceStatus::parse(&status) {
        Some(InstanceStatus::Completed) => {
            let Json(input) = row.try_get("input")?;
            Outcome::Completed {
                state: state(input)?,
            }
        }
        Some(InstanceStatus::Failed) => {
            let failure: String = row.try_get("failure")?;
            Outcome::Failed {
                failure: serde_json::from_str(&failure).map_err(|_| unreadable("failure"))?,
            }
        }
        Some(InstanceStatus::Cancelled) => Outcome::Cancelled {
            reason: row.try_get("cancel_reason")?,
        },
        Some(InstanceStatus::Pending | InstanceStatus::Running) => Outcome::Alive,
        None => return Err(unreadable("status")),
    })
}

/// A duration as the statements take it.
pub(crate) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|_| unreadable("payload"))
}

fn clamped(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(crate) fn unreadable(column: &str) -> DbError {
    DbError::Unreadable {
        column: Some(column.to_owned()),
    }
}
