// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Has what was decided committed, and says what the run does next.

use std::time::Duration;

use time::OffsetDateTime;

use super::calls::are_of_a_call;
use super::{Course, Execution, UNREADABLE_REST, end_of, hand_back, rebuild};
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::instance::InstanceStatus;
use crate::instance::journal::Entry;
use crate::store::{Checkpoint, Committed, Rest, RestsOn, Then};
use crate::telemetry;
use crate::transition::{Event, Position, cancelled};
use crate::worker::Held;

impl Execution {
    pub(super) async fn commit(&mut self, held: &mut Held, entries: Vec<Entry>) -> Course {
        if entries.is_empty() {
            return if matches!(self.snapshot.position, Position::Ended(_)) {
                Course::Left
            } else {
                Course::GoesOn
            };
        }
        let mut checkpoint = self.checkpoint(held, entries);
        if let Err(course) = self.look_before_rest(held, &mut checkpoint).await {
            return course;
        }
        self.commit_checkpoint(held, checkpoint).await
    }

    /// What the entries tell is kept; what comes next is to undo it, even where the last node is done.
    pub(super) fn begin_undo(&mut self, held: &Held, checkpoint: &mut Checkpoint, reason: String) {
        if let Some(Entry::RunCompleted) = checkpoint.entries.last() {
            checkpoint.entries.pop();
            self.snapshot.reopen();
        }
        self.is_undoing = true;
        let entries = self.decide(Event::UndoRequested { reason });
        checkpoint.entries.extend(entries);
        checkpoint.then = self.then(held, &checkpoint.entries);
        if let Then::End { .. } = checkpoint.then
            && !checkpoint.children.is_empty()
        {
            // Nobody would end runs that begin when their parent is over already.
            checkpoint.children.clear();
            checkpoint.entries.retain(|entry| !entry.is_spawn());
        }
        checkpoint.is_undoing = true;
        checkpoint.stage = self.snapshot.stage();
    }

    /// What was delivered before the run was claimed would not wake it again: looks before it rests.
    pub(super) async fn look_before_rest(
        &self,
        held: &Held,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), Course> {
        if let Then::Wait(Rest {
            on: RestsOn::Signal(names),
            ..
        }) = &checkpoint.then
            && self.oldest_signal(held, names).await?.is_some()
        {
            checkpoint.then = Then::Continue;
        }
        Ok(())
    }

    pub(super) async fn commit_checkpoint(
        &mut self,
        held: &mut Held,
        mut checkpoint: Checkpoint,
    ) -> Course {
        loop {
            let Some((returned, outcome)) = held.shared.writer.commit(checkpoint).await else {
                return Course::Dropped;
            };
            checkpoint = returned;
            match outcome {
                Ok(Committed::Written) => return self.written(held, &checkpoint),
                Ok(Committed::Fenced) => {
                    tracing::debug!(instance = %self.instance, "a run was taken over; this worker's output is refused");
                    self.tokens.told.cancel();
                    return Course::Left;
                }
                Ok(Committed::UndoRequested { reason }) => {
                    self.tokens.told.cancel();
                    self.begin_undo(held, &mut checkpoint, reason);
                }
                Ok(Committed::PauseRequested) => {
                    self.is_pausing = true;
                    checkpoint.is_pausing = true;
                }
                // A body that is still running may use its grace period, durable calls included.
                Ok(Committed::CancelRequested { .. })
                    if matches!(checkpoint.then, Then::Continue)
                        && are_of_a_call(&checkpoint.entries) =>
                {
                    self.tokens.told.cancel();
                    checkpoint.is_cancelling = true;
                }
                Ok(Committed::CancelRequested { reason }) => {
                    self.tokens.told.cancel();
                    checkpoint.entries = cancelled(checkpoint.entries, reason);
                    checkpoint.then = end_of(&checkpoint.entries).unwrap_or(Then::Continue);
                    checkpoint.is_cancelling = true;
                }
                Err(error) => {
                    return self.refused(held, &checkpoint, &error).await;
                }
            }
        }
    }

    pub(super) fn checkpoint(&self, held: &Held, entries: Vec<Entry>) -> Checkpoint {
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let then = self.then(held, &entries);
        Checkpoint {
            instance_id: self.instance,
            epoch: self.epoch,
            first_sequence: self.snapshot.sequence - count + 1,
            entries,
            then,
            is_cancelling: false,
            is_pausing: self.is_pausing,
            is_undoing: self.is_undoing,
            stage: self.snapshot.stage(),
            children: Vec::new(),
        }
    }

    /// What the run does after these entries.
    fn then(&self, held: &Held, entries: &[Entry]) -> Then {
        if let Some(end) = end_of(entries) {
            return end;
        }
        if !self.in_flight.is_empty() {
            return Then::Continue;
        }
        let until_deadline = self.deadline().map(|due_at| self.until(due_at));
        let rest = |on, wake_after: Option<Duration>| {
            Then::Wait(Rest {
                on,
                wake_after: wake_after.into_iter().chain(until_deadline).min(),
                current_nodes: self.snapshot.current_nodes(&self.workflow.plan),
            })
        };
        if let Some(awaited) = self.snapshot.awaited(&self.workflow.plan) {
            let on = if awaited.signals.is_empty() {
                RestsOn::Timer
            } else {
                RestsOn::Signal(awaited.signals)
            };
            return rest(on, awaited.due_at.map(|due_at| self.until(due_at)));
        }
        if held.shared.draining.is_cancelled() || self.is_pausing {
            return rest(RestsOn::Worker, Some(Duration::ZERO));
        }
        if self.snapshot.due_members(self.clock.now()).is_empty() {
            return rest(RestsOn::Retry, Some(self.until_next_retry()));
        }
        Then::Continue
    }

    /// Has the run give up its slot and wait for what its bodies, or its edges, wait for.
    pub(super) async fn rest(&mut self, held: &mut Held) -> Course {
        let mut checkpoint = self.checkpoint(held, Vec::new());
        if let Some((on, due_at)) = self.pending_calls.rests_on() {
            // A body that waits is an attempt under way: the time at which it was due is over.
            let waits = |member| self.in_flight.values().any(|body| body.member == member);
            let retry_at = self.snapshot.next_retry_besides(waits);
            let times = [due_at, retry_at, self.deadline()];
            let wake_at = times.into_iter().flatten().min();
            checkpoint.then = Then::Wait(Rest {
                on,
                wake_after: wake_at.map(|wake_at| self.until(wake_at)),
                current_nodes: self.snapshot.current_nodes(&self.workflow.plan),
            });
        }
        self.commit_checkpoint(held, checkpoint).await
    }

    /// How long until a time of the database's clock.
    pub(super) fn until(&self, due_at: OffsetDateTime) -> Duration {
        Duration::try_from(due_at - self.clock.now()).unwrap_or_default()
    }

    pub(super) fn written(&mut self, held: &mut Held, checkpoint: &Checkpoint) -> Course {
        if checkpoint.is_progress() {
            held.clear_suspicion();
        }
        if !checkpoint.entries.is_empty() {
            let is_told = checkpoint.entries.iter().any(Entry::is_told);
            held.shared.announcer.progressed(self.instance, is_told);
        }
        for child in &checkpoint.children {
            telemetry::runs_started(&child.workflow_name, "parent", 1);
        }
        match &checkpoint.then {
            Then::Continue => Course::GoesOn,
            Then::Wait(rest) => {
                if let Some(wake_after) = rest.wake_after {
                    held.shared.expect_due(wake_after);
                }
                // A message that came while the run went to rest is looked for once it rests.
                if matches!(rest.on, RestsOn::Signal(_) | RestsOn::Child { .. }) {
                    held.shared.deliver_soon();
                }
                Course::Left
            }
            Then::End { status, .. } => {
                self.tokens.told.cancel();
                telemetry::run_ended(&self.workflow.name, *status);
                held.shared.announcer.ended(self.instance);
                if self.is_child || *status == InstanceStatus::Cancelled {
                    held.shared.deliver_soon();
                }
                Course::Left
            }
        }
    }

    /// The database refused a checkpoint that had passed our own checks. The attempts in it failed.
    async fn refused(
        &mut self,
        held: &mut Held,
        checkpoint: &Checkpoint,
        error: &forktex_db::DbError,
    ) -> Course {
        let completed = checkpoint.entries.iter().find_map(|entry| match entry {
            Entry::NodeCompleted { at, elapsed, .. } => Some((usize::from(at.member), *elapsed)),
            _ => None,
        });
        let stored = held.shared.store.read(self.instance).await;
        let rebuilt = match stored {
            Ok(Some(stored)) => rebuild(&self.workflow, &stored.instance.input, &stored.journal),
            Ok(None) => Err("it is gone".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let (Some((member, elapsed)), Ok((snapshot, state))) = (completed, rebuilt) else {
            tracing::error!(%error, instance = %self.instance, "a checkpoint was refused; the run is handed back");
            return hand_back(held, &RestsOn::Reader, UNREADABLE_REST).await;
        };
        self.snapshot = snapshot;
        self.state = state;
        // Where nothing was journalled yet, the run begins anew: a member can fail only in a stage.
        let mut entries = self.decide(Event::Claimed);
        let failure = StepFailure::new(
            StepFailureKind::Payload,
            &format!("the database refused the update: {error}"),
        );
        let event = self.failed(member, elapsed, failure);
        entries.extend(self.decide(event));
        Box::pin(self.commit(held, entries)).await
    }

    pub(super) fn until_next_retry(&self) -> Duration {
        self.snapshot
            .next_retry()
            .map(|due_at| self.until(due_at))
            .unwrap_or_default()
    }
}
