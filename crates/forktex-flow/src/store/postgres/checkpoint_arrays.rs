// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Checkpoints as the arrays that one statement takes.

use std::borrow::Cow;

use forktex_db::DbError;
use forktex_db::sqlx::{self, PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::entry_arrays::Entries;
use super::journal_row::JournalColumns;
use super::row::microseconds;
use super::sealing::{Cell, Sealing};
use crate::error::failure::RunFailure;
use crate::identifier::{InstanceId, NodeName};
use crate::instance::journal::MessageId;
use crate::store::{Checkpoint, Rest, RestsOn, Then};

/// What is said of each run, as bits.
const IS_CANCELLING: i16 = 1;
const IS_PAUSING: i16 = 2;
const IS_UNDOING: i16 = 4;
const IS_PROGRESS: i16 = 8;
const GOES_ON: i16 = 16;

/// The columns of `commit_checkpoints`, one array each. Zipping arrays is a good part of what the
/// statement costs, so that what few runs need stands in arrays of their own.
#[derive(Default)]
pub(super) struct CheckpointArrays {
    instance_ids: Vec<Uuid>,
    epochs: Vec<i64>,
    flags: Vec<i16>,
    rests: Rests,
    endings: Endings,
    entries: Entries,
    taken_instance_ids: Vec<Uuid>,
    taken_message_ids: Vec<i64>,
}

/// The runs that give up their slot and wait.
#[derive(Default)]
struct Rests {
    instance_ids: Vec<Uuid>,
    wake_after_us: Vec<Option<i64>>,
    waits_on: Vec<&'static str>,
    waiting_signals: Vec<Option<String>>,
    waiting_children: Vec<Option<i32>>,
    current_nodes: Vec<String>,
    fails_fast: Vec<bool>,
}

/// The runs that end.
#[derive(Default)]
struct Endings {
    instance_ids: Vec<Uuid>,
    statuses: Vec<&'static str>,
    failures: Vec<Option<String>>,
    cancel_reasons: Vec<Option<String>>,
}

impl CheckpointArrays {
    pub(super) fn of(checkpoints: &[Checkpoint], sealing: &Sealing) -> Result<Self, DbError> {
        let mut arrays = Self::default();
        for checkpoint in checkpoints {
            let run = checkpoint.instance_id;
            arrays.instance_ids.push(run.0);
            arrays.epochs.push(checkpoint.epoch.0);
            arrays.flags.push(flags(checkpoint));
            match &checkpoint.then {
                Then::Continue => {}
                Then::Wait(rest) => arrays.rests.push(run, rest),
                Then::End { status, failure } => {
                    let reason = checkpoint.cancel_reason();
                    arrays
                        .endings
                        .push(run, status.as_str(), failure.as_ref(), reason, sealing)?;
                }
            }
            for (sequence, entry) in (checkpoint.first_sequence..).zip(&checkpoint.entries) {
                let columns = JournalColumns::of(entry, sealing, run, sequence)?;
                arrays
                    .entries
                    .push(run, sequence, checkpoint.stage, columns);
                if let Some(MessageId(message)) = entry.message() {
                    arrays.taken_instance_ids.push(run.0);
                    arrays.taken_message_ids.push(message);
                }
            }
        }
        Ok(arrays)
    }

    /// Writes the checkpoints and returns the runs that were held.
    pub(super) async fn write(
        &self,
        statement: SqlStr,
        connection: &mut PgConnection,
    ) -> Result<Vec<InstanceId>, DbError> {
        let Self {
            rests,
            endings,
            entries,
            ..
        } = self;
        let rows = sqlx::query(statement)
            .bind(&self.instance_ids)
            .bind(&self.epochs)
            .bind(&self.flags)
            .bind(&rests.instance_ids)
            .bind(&rests.wake_after_us)
            .bind(&rests.waits_on)
            .bind(&rests.waiting_signals)
            .bind(&rests.waiting_children)
            .bind(&rests.current_nodes)
            .bind(&rests.fails_fast)
            .bind(&endings.instance_ids)
            .bind(&endings.statuses)
            .bind(&endings.failures)
            .bind(&endings.cancel_reasons)
            .bind(&entries.instance_ids)
            .bind(&entries.sequences)
            .bind(&entries.elapsed_us)
            .bind(&entries.supersteps)
            .bind(&entries.visits)
            .bind(&entries.attempts)
            .bind(&entries.kinds)
            .bind(&entries.members)
            .bind(&entries.stages)
            .bind(&entries.nodes)
            .bind(&entries.payloads)
            .bind(&self.taken_instance_ids)
            .bind(&self.taken_message_ids)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok(InstanceId(row.try_get("instance_id")?)))
            .collect()
    }
}

fn flags(checkpoint: &Checkpoint) -> i16 {
    let bit = |is_so: bool, bit: i16| if is_so { bit } else { 0 };
    bit(checkpoint.is_cancelling, IS_CANCELLING)
        | bit(checkpoint.is_pausing, IS_PAUSING)
        | bit(checkpoint.is_undoing, IS_UNDOING)
        | bit(checkpoint.is_progress(), IS_PROGRESS)
        | bit(checkpoint.then == Then::Continue, GOES_ON)
}

impl Rests {
    fn push(&mut self, run: InstanceId, rest: &Rest) {
        self.instance_ids.push(run.0);
        self.wake_after_us.push(rest.wake_after.map(microseconds));
        self.waits_on.push(rest.on.as_str());
        let (signals, children, fails_fast) = match &rest.on {
            RestsOn::Signal(names) => (Some(names.join(" ")), None, false),
            RestsOn::Child {
                count,
                fails_fast,
                signals,
            } => (
                (!signals.is_empty()).then(|| signals.join(" ")),
                Some(i32::try_from(*count).unwrap_or(i32::MAX)),
                *fails_fast,
            ),
            _ => (None, None, false),
        };
        self.waiting_signals.push(signals);
        self.waiting_children.push(children);
        self.fails_fast.push(fails_fast);
        let nodes: Vec<&str> = rest.current_nodes.iter().map(NodeName::as_str).collect();
        self.current_nodes.push(nodes.join(" "));
    }
}

impl Endings {
    fn push(
        &mut self,
        run: InstanceId,
        status: &'static str,
        failure: Option<&RunFailure>,
        cancel_reason: Option<&str>,
        sealing: &Sealing,
    ) -> Result<(), DbError> {
        self.instance_ids.push(run.0);
        self.statuses.push(status);
        let failure = failure.map(|failure| sealing.json(Cell::Failure(run), failure));
        self.failures.push(failure.transpose()?);
        let reason = cancel_reason.map(|reason| sealing.text(Cell::Reason(run), reason));
        self.cancel_reasons
            .push(reason.transpose()?.map(Cow::into_owned));
        Ok(())
    }
}
