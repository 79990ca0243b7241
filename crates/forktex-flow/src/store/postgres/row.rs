// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Between rows and values: the one place where stored words become types.

use std::time::Duration;

use forktex_db::DbError;
use forktex_db::sqlx::Row;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use serde_json::Value;
use time::OffsetDateTime;

use super::sealing::{Cell, Sealing};
use crate::error::failure::RunFailure;
use crate::identifier::{DefinitionId, Epoch, InstanceId, Namespace, WorkflowName};
use crate::instance::outcome::Outcome;
use crate::instance::{Instance, InstanceStatus, WaitingOn};
use crate::store::ClaimedRun;

/// Reads a claimed run, without its journal, and whether no worker had it before.
pub(crate) fn claimed(row: &PgRow, sealing: &Sealing) -> Result<(ClaimedRun, bool), DbError> {
    let lost_attempts: i16 = row.try_get("lost_attempts")?;
    let instance_id = InstanceId(row.try_get("instance_id")?);
    let Json(input) = row.try_get("input")?;
    let (input, unreadable) = match sealing.open_input(instance_id, input) {
        Ok(input) => (input, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let Json(metadata) = row.try_get("metadata")?;
    let namespace: String = row.try_get("namespace")?;
    let run = ClaimedRun {
        instance_id,
        epoch: Epoch(row.try_get("epoch")?),
        definition_id: DefinitionId(row.try_get("definition_id")?),
        namespace: Namespace::new(namespace).map_err(|_| self::unreadable("namespace"))?,
        input,
        metadata,
        journal: Vec::new(),
        is_child: row.try_get("is_child")?,
        deadline_at: row.try_get("deadline_at")?,
        undo_reason: row.try_get("undo_reason")?,
        lost_attempts: u32::from(lost_attempts.unsigned_abs()),
        claimed_at: row.try_get("claimed_at")?,
        unreadable,
    };
    Ok((run, row.try_get("is_fresh")?))
}

/// Reads a run, without what its journal tells.
pub(crate) fn instance(row: &PgRow, sealing: &Sealing) -> Result<Instance, DbError> {
    let instance_id = InstanceId(row.try_get("instance_id")?);
    let status: String = row.try_get("status")?;
    let status = InstanceStatus::parse(&status).ok_or_else(|| unreadable("status"))?;
    let workflow_name: String = row.try_get("workflow_name")?;
    let namespace: String = row.try_get("namespace")?;
    let version: i32 = row.try_get("workflow_version")?;
    let failure: Option<String> = row.try_get("failure")?;
    let failure: Option<RunFailure> = failure
        .map(|text| sealing.read(Cell::Failure(instance_id), &text))
        .transpose()?;
    let Json(input): Json<Value> = row.try_get("input")?;
    let cancel_reason: Option<String> = row.try_get("cancel_reason")?;
    let Json(metadata) = row.try_get("metadata")?;
    Ok(Instance {
        instance_id,
        workflow_name: WorkflowName::new(workflow_name).map_err(|_| unreadable("workflow_name"))?,
        version: version.unsigned_abs(),
        namespace: Namespace::new(namespace).map_err(|_| unreadable("namespace"))?,
        status,
        waiting_on: waiting_on(row)?,
        state: Value::Null,
        input: sealing.open_input(instance_id, input)?,
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
        cancel_reason: cancel_reason
            .map(|reason| sealing.open_text(Cell::Reason(instance_id), reason))
            .transpose()?,
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
    sealing: &Sealing,
    state: impl FnOnce(Value) -> Result<Value, DbError>,
) -> Result<Outcome, DbError> {
    let instance_id = InstanceId(row.try_get("instance_id")?);
    let status: String = row.try_get("status")?;
    Ok(match InstanceStatus::parse(&status) {
        Some(InstanceStatus::Completed) => {
            let Json(input) = row.try_get("input")?;
            Outcome::Completed {
                state: state(sealing.open_input(instance_id, input)?)?,
            }
        }
        Some(InstanceStatus::Failed) => {
            let failure: String = row.try_get("failure")?;
            Outcome::Failed {
                failure: sealing.read(Cell::Failure(instance_id), &failure)?,
            }
        }
        Some(InstanceStatus::Cancelled) => Outcome::Cancelled {
            reason: sealing.open_text(Cell::Reason(instance_id), row.try_get("cancel_reason")?)?,
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

pub(crate) fn unreadable(column: &str) -> DbError {
    DbError::Unreadable {
        column: Some(column.to_owned()),
    }
}
