// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Between a journal's rows and its entries.

use std::time::Duration;

use forktex_db::DbError;
use forktex_db::sqlx::Row;
use forktex_db::sqlx::postgres::PgRow;

use super::row::{microseconds, unreadable};
use super::sealing::{Cell, Sealing};
use crate::identifier::{InstanceId, NodeName};
use crate::instance::journal::{EndedBy, Entry, Payload, RESOLVED_MEMBER, Recorded, Visit};

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
    pub(crate) fn of(
        entry: &Entry,
        sealing: &Sealing,
        run: InstanceId,
        sequence: i64,
    ) -> Result<Self, DbError> {
        let cell = Cell::Entry { run, sequence };
        let payload = payload(entry).map(|payload| sealing.json(cell, &payload));
        let columns = Self {
            kind: kind(entry),
            payload: payload.transpose()?,
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
            // Where the entry is sealed, the version that it moved from is still to be found.
            Entry::Migrated(moved) => Self {
                superstep: clamped(moved.superstep),
                visit: clamped(moved.from.version),
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

/// The number of a kind of entry; `recorded` reads it.
fn kind(entry: &Entry) -> i16 {
    match entry {
        Entry::NodeCompleted { .. } => 1,
        Entry::NodeSkipped { .. } => 2,
        Entry::AttemptFailed { .. } => 3,
        Entry::Resolved { .. } => 4,
        Entry::RunCompleted => 5,
        Entry::RunFailed { .. } => 6,
        Entry::RunCancelled { .. } => 7,
        Entry::Routed { .. } => 8,
        Entry::Signalled { .. } => 9,
        Entry::TimerFired { .. } => 10,
        Entry::Called { .. } => 11,
        Entry::SignalRefused { .. } => 12,
        Entry::CompensationBegan { .. } => 13,
        Entry::Compensated { .. } => 14,
        Entry::CompensationFailed { .. } => 15,
        Entry::Migrated(_) => 16,
    }
}

/// What of an entry is stored as JSON.
fn payload(entry: &Entry) -> Option<Payload> {
    let mut payload = Payload::default();
    match entry {
        Entry::NodeCompleted { delta, .. } | Entry::Compensated { delta, .. }
            if delta.is_empty() =>
        {
            return None;
        }
        Entry::NodeSkipped { .. } | Entry::RunCompleted | Entry::TimerFired { .. } => return None,
        Entry::NodeCompleted { delta, .. }
        | Entry::Compensated { delta, .. }
        | Entry::Resolved { delta, .. } => payload.delta = Some(delta.clone()),
        Entry::AttemptFailed {
            failure,
            retry_after,
            ..
        }
        | Entry::CompensationFailed {
            failure,
            retry_after,
            ..
        } => {
            payload.failure = Some(failure.clone());
            payload.retry_after_us = retry_after.map(|delay| microseconds(delay).unsigned_abs());
        }
        Entry::RunFailed { failure }
        | Entry::CompensationBegan {
            by: EndedBy::Failure(failure),
        } => payload.run_failure = Some(failure.clone()),
        Entry::RunCancelled { reason }
        | Entry::CompensationBegan {
            by: EndedBy::Cancellation(reason),
        } => payload.reason = Some(reason.clone()),
        Entry::Routed { branch, .. } => payload.branch = Some(branch.clone()),
        Entry::Signalled {
            message,
            signal,
            delta,
            ..
        } => {
            payload.signal = Some(signal.clone());
            payload.message = Some(*message);
            payload.delta = Some(delta.clone());
        }
        Entry::SignalRefused {
            message,
            signal,
            failure,
            ..
        } => {
            payload.signal = Some(signal.clone());
            payload.message = Some(*message);
            payload.failure = Some(failure.clone());
        }
        Entry::Called { call, .. } => payload.call = Some(call.clone()),
        Entry::Migrated(moved) => payload.migrated = Some(moved.clone()),
    }
    Some(payload)
}

/// Reads one journal row for those who follow the run: the reason in it, too, is opened.
pub(crate) fn told(row: &PgRow, sealing: &Sealing) -> Result<Recorded, DbError> {
    let mut recorded = recorded(row, sealing)?;
    if let Entry::RunCancelled { reason }
    | Entry::CompensationBegan {
        by: EndedBy::Cancellation(reason),
    } = &mut recorded.entry
    {
        let cell = Cell::Reason(InstanceId(row.try_get("instance_id")?));
        *reason = sealing.open_text(cell, std::mem::take(reason))?;
    }
    Ok(recorded)
}

/// Reads one journal row. A reason in it stays as it is stored, so that a worker without the key can
/// carry it on. The error names what breaks an invariant.
pub(crate) fn recorded(row: &PgRow, sealing: &Sealing) -> Result<Recorded, DbError> {
    let run = InstanceId(row.try_get("instance_id")?);
    let sequence: i64 = row.try_get("sequence")?;
    let payload: Option<&str> = row.try_get("payload")?;
    let payload: Payload = match payload {
        Some(text) => sealing.read(Cell::Entry { run, sequence }, text)?,
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
        16 => Entry::Migrated(payload.migrated.ok_or_else(missing)?),
        _ => return Err(unreadable("kind")),
    };
    Ok(Recorded {
        sequence,
        recorded_at: row.try_get("recorded_at")?,
        entry,
    })
}

fn clamped(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
