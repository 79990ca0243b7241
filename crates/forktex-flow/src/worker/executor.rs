// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs one claimed run: starts what is due, takes what comes back, has it decided and committed,
//! until the run ends, sleeps, or is lost.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{Id, JoinError, JoinSet};

use super::checkpoint_writer::NotCommitted;
use super::incarnation::RunTokens;
use super::{Held, Shared};
use crate::clock::DatabaseClock;
use crate::compile::CompiledWorkflow;
use crate::compile::plan::NodeIndex;
use crate::ctx::{Ctx, RunContext};
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::{Epoch, InstanceId};
use crate::instance::journal::Entry;
use crate::state::delta::Delta;
use crate::state::erased::AnyState;
use crate::state::payload;
use crate::store::{Checkpoint, ClaimedRun, Committed, Then};
use crate::transition::{Event, Judge, Position, Snapshot, cancelled, ending, transition};

/// The most bytes that a state may have.
pub(crate) const STATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a run rests that this worker cannot read, so that another may take it.
const UNREADABLE_REST: Duration = Duration::from_secs(30);

/// Runs a run in a task of its own. The slot is given back when the run leaves this worker.
pub(super) fn spawn(held: Held, run: ClaimedRun, slot: OwnedSemaphorePermit) {
    let tasks = held.shared.runs.clone();
    tasks.spawn(async move {
        let mut held = held;
        let course = match Execution::prepare(&held, run).await {
            Ok(mut execution) => execution.run(&mut held).await,
            Err(course) => course,
        };
        if let Course::Left = course {
            held.leave();
        }
        drop(slot);
    });
}

/// What a body came to.
type BodyResult = Result<Delta, StepFailure>;

struct Execution {
    instance: InstanceId,
    epoch: Epoch,
    workflow: Arc<CompiledWorkflow>,
    context: Arc<RunContext>,
    tokens: RunTokens,
    clock: DatabaseClock,
    snapshot: Snapshot,
    state: AnyState,
    /// An upper bound of the state's size.
    state_bytes: usize,
    bodies: JoinSet<BodyResult>,
    in_flight: HashMap<Id, (usize, Instant)>,
    lost_attempts: u32,
    /// The end that the journal tells of, of a run that is active all the same.
    recorded_end: Option<Then>,
}

/// Where the run is after something was committed.
enum Course {
    /// It stays with this worker.
    GoesOn,
    /// It left this worker, and the tables say so.
    Left,
    /// This worker has dropped it, and the tables may not know.
    Dropped,
}

impl Execution {
    /// Rebuilds the run. Where this worker cannot, it is handed back, not failed.
    async fn prepare(held: &Held, run: ClaimedRun) -> Result<Self, Course> {
        let shared = &held.shared;
        let rebuilt = shared
            .workflows
            .get(&run.definition_id)
            .ok_or_else(|| "its workflow is not here".to_owned())
            .and_then(|workflow| {
                rebuild(workflow, run.input.clone(), &run.journal)
                    .map(|rebuilt| (Arc::clone(workflow), rebuilt))
            });
        let (workflow, (snapshot, state)) = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(reason) => {
                tracing::warn!(instance = %run.instance_id, reason, "cannot read a run here; handing it back");
                return Err(hand_back(held, UNREADABLE_REST).await);
            }
        };
        let context = RunContext {
            instance_id: run.instance_id,
            workflow_name: workflow.name.clone(),
            version: workflow.version,
            namespace: run.namespace,
            metadata: run.metadata,
        };
        Ok(Self {
            instance: run.instance_id,
            epoch: run.epoch,
            context: Arc::new(context),
            tokens: held.tokens.clone(),
            clock: DatabaseClock::read(run.claimed_at),
            snapshot,
            state_bytes: payload::size(&run.input),
            state,
            workflow,
            bodies: JoinSet::new(),
            in_flight: HashMap::new(),
            lost_attempts: run.lost_attempts,
            recorded_end: run
                .journal
                .iter()
                .find_map(|recorded| end_of(std::slice::from_ref(&recorded.entry))),
        })
    }

    async fn run(&mut self, held: &mut Held) -> Course {
        let abandoned = self.tokens.abandoned.clone();
        tokio::select! {
            () = abandoned.cancelled() => {
                tracing::debug!(instance = %self.instance, "a run was dropped before its step ended");
                Course::Dropped
            }
            course = self.drive(held) => course,
        }
    }

    async fn drive(&mut self, held: &mut Held) -> Course {
        if let Some(end) = self.recorded_end.take() {
            // Nothing is left to run or to record; the run's row is to say so too.
            let mut checkpoint = self.checkpoint(held, Vec::new());
            checkpoint.then = end;
            return self.commit_checkpoint(held, checkpoint).await;
        }
        let entries = self.decide(Event::Claimed);
        let mut course = self.commit(held, entries).await;
        if let Course::GoesOn = course {
            course = self.count_lost_attempts(held).await;
        }
        while let Course::GoesOn = course {
            if self.in_flight.is_empty()
                && (held.shared.draining.is_cancelled() || held.incarnation.is_lost())
            {
                return hand_back(held, Duration::ZERO).await;
            }
            self.launch_due_members(held);
            if self.in_flight.is_empty() {
                return hand_back(held, self.until_next_retry()).await;
            }
            let until_retry = self.snapshot.next_retry().map(|_| self.until_next_retry());
            let finished = tokio::select! {
                finished = self.bodies.join_next_with_id() => finished,
                () = sleep_if(until_retry) => continue,
            };
            let Some(event) = finished.and_then(|finished| self.event(finished)) else {
                return Course::Dropped;
            };
            let entries = self.decide(event);
            course = self.commit(held, entries).await;
        }
        course
    }

    /// Accounts for the processes that died while this run was their only suspect.
    async fn count_lost_attempts(&mut self, held: &mut Held) -> Course {
        for _ in 0..std::mem::take(&mut self.lost_attempts) {
            for member in self.snapshot.unfinished_members() {
                let Some(state) = self.snapshot.member(member) else {
                    continue;
                };
                let policy = &self.workflow.binding(state.node).retry;
                let retry_after = policy
                    .delay_after(state.failed_attempts + 1, 0.0)
                    .map(|_| Duration::ZERO);
                let failure = StepFailure::new(
                    StepFailureKind::WorkerLost,
                    "the worker died while it ran this step and no other suspect",
                );
                let entries = self.decide(Event::Failed {
                    member,
                    elapsed: Duration::ZERO,
                    failure,
                    retry_after,
                });
                match self.commit(held, entries).await {
                    Course::GoesOn => {}
                    course => return course,
                }
            }
        }
        Course::GoesOn
    }

    fn launch_due_members(&mut self, held: &Held) {
        let running: Vec<usize> = self.in_flight.values().map(|(member, _)| *member).collect();
        for index in self.snapshot.due_members(self.clock.now()) {
            let Some(member) = self.snapshot.member(index) else {
                continue;
            };
            if running.contains(&index) {
                continue;
            }
            let binding = self.workflow.binding(member.node);
            let ctx = Ctx::new(
                Arc::clone(&self.context),
                self.workflow.plan.name(member.node).clone(),
                member.visit,
                member.failed_attempts + 1,
                self.tokens.told.child_token(),
            );
            let body = Arc::clone(&binding.body);
            let (state, resources, timeout) = (
                self.state.clone(),
                held.shared.resources.clone(),
                binding.retry.timeout,
            );
            let task = self.bodies.spawn(async move {
                let running = body(ctx, state, resources);
                match timeout {
                    None => running.await,
                    Some(limit) => {
                        tokio::time::timeout(limit, running)
                            .await
                            .unwrap_or_else(|_| {
                                let message =
                                    format!("the step took longer than its timeout of {limit:?}");
                                Err(StepFailure::new(StepFailureKind::Timeout, &message))
                            })
                    }
                }
            });
            self.in_flight.insert(task.id(), (index, Instant::now()));
        }
    }

    fn event(&mut self, finished: Result<(Id, BodyResult), JoinError>) -> Option<Event> {
        let (id, result) = match finished {
            Ok(finished) => finished,
            Err(error) => {
                let id = error.id();
                let failure = match error.try_into_panic() {
                    Ok(payload) => StepFailure::panic(&*payload),
                    Err(_) => return None,
                };
                (id, Err(failure))
            }
        };
        let (member, started_at) = self.in_flight.remove(&id)?;
        let elapsed = started_at.elapsed();
        Some(match result.and_then(|delta| self.checked(delta)) {
            Ok(delta) => Event::Completed {
                member,
                elapsed,
                delta,
            },
            Err(failure) => self.failed(member, elapsed, failure),
        })
    }

    fn failed(&self, member: usize, elapsed: Duration, failure: StepFailure) -> Event {
        let retry_after = self.snapshot.member(member).and_then(|state| {
            let policy = &self.workflow.binding(state.node).retry;
            policy.delay_after(state.failed_attempts + 1, fastrand::f64())
        });
        Event::Failed {
            member,
            elapsed,
            failure,
            retry_after,
        }
    }

    /// Refuses a delta that could not be stored, before it meets those of other runs.
    fn checked(&mut self, delta: Delta) -> BodyResult {
        let refused = |error: payload::PayloadError| {
            StepFailure::new(StepFailureKind::Payload, &error.to_string())
        };
        let mut bytes = 0;
        for (_, field, value) in delta.operations() {
            bytes += payload::check(value, STATE_BYTES_MAX).map_err(|error| {
                StepFailure::new(
                    StepFailureKind::Payload,
                    &format!("field `{field}`: {error}"),
                )
            })?;
        }
        if self.state_bytes + bytes > STATE_BYTES_MAX {
            // The bound counts what was replaced as well: look before refusing.
            let state = self.workflow.codec.encode(&self.state);
            self.state_bytes = state.map_or(self.state_bytes, |state| payload::size(&state));
        }
        self.state_bytes += bytes;
        if self.state_bytes > STATE_BYTES_MAX {
            let error = payload::PayloadError::TooLarge {
                bytes: self.state_bytes,
                bytes_max: STATE_BYTES_MAX,
            };
            self.state_bytes -= bytes;
            return Err(refused(error));
        }
        Ok(delta)
    }

    fn decide(&mut self, event: Event) -> Vec<Entry> {
        let mut judge = StateJudge {
            workflow: &self.workflow,
            state: &mut self.state,
        };
        transition(
            &self.workflow.plan,
            &mut self.snapshot,
            event,
            self.clock.now(),
            &mut judge,
        )
    }

    async fn commit(&mut self, held: &mut Held, entries: Vec<Entry>) -> Course {
        if entries.is_empty() {
            return if matches!(self.snapshot.position, Position::Ended(_)) {
                Course::Left
            } else {
                Course::GoesOn
            };
        }
        let checkpoint = self.checkpoint(held, entries);
        self.commit_checkpoint(held, checkpoint).await
    }

    async fn commit_checkpoint(&mut self, held: &mut Held, mut checkpoint: Checkpoint) -> Course {
        loop {
            match held.shared.writer.commit(checkpoint.clone()).await {
                Ok(Committed::Written) => return self.written(held, &checkpoint),
                Ok(Committed::Fenced) => {
                    tracing::debug!(instance = %self.instance, "a run was taken over; this worker's output is refused");
                    self.tokens.told.cancel();
                    return Course::Left;
                }
                Ok(Committed::CancelRequested { reason }) => {
                    self.tokens.told.cancel();
                    checkpoint.entries = cancelled(checkpoint.entries, reason);
                    checkpoint.then = end_of(&checkpoint.entries).unwrap_or(Then::Continue);
                    checkpoint.is_cancelling = true;
                }
                Err(NotCommitted::Refused(error)) => {
                    return self.refused(held, &checkpoint, &error).await;
                }
                Err(NotCommitted::Stopped) => return Course::Dropped,
            }
        }
    }

    fn checkpoint(&self, held: &Held, entries: Vec<Entry>) -> Checkpoint {
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let nothing_runs = self.in_flight.is_empty();
        let then = if let Some(end) = end_of(&entries) {
            end
        } else if nothing_runs && held.shared.draining.is_cancelled() {
            Then::Sleep {
                wake_after: Duration::ZERO,
            }
        } else if nothing_runs && self.snapshot.due_members(self.clock.now()).is_empty() {
            Then::Sleep {
                wake_after: self.until_next_retry(),
            }
        } else {
            Then::Continue
        };
        Checkpoint {
            instance_id: self.instance,
            epoch: self.epoch,
            first_sequence: self.snapshot.sequence - count + 1,
            entries,
            then,
            is_cancelling: false,
        }
    }

    fn written(&mut self, held: &mut Held, checkpoint: &Checkpoint) -> Course {
        if checkpoint.is_progress() {
            held.clear_suspicion();
        }
        match &checkpoint.then {
            Then::Continue => Course::GoesOn,
            Then::Sleep { wake_after } => {
                held.shared.expect_due(*wake_after);
                Course::Left
            }
            Then::End { .. } => {
                self.tokens.told.cancel();
                held.shared.announcer.ended(self.instance);
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
            Ok(Some(stored)) => rebuild(&self.workflow, stored.instance.input, &stored.journal),
            Ok(None) => Err("it is gone".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let (Some((member, elapsed)), Ok((snapshot, state))) = (completed, rebuilt) else {
            tracing::error!(%error, instance = %self.instance, "a checkpoint was refused; the run is handed back");
            return hand_back(held, UNREADABLE_REST).await;
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

    fn until_next_retry(&self) -> Duration {
        let left = self
            .snapshot
            .next_retry()
            .map(|due_at| due_at - self.clock.now());
        left.and_then(|left| Duration::try_from(left).ok())
            .unwrap_or_default()
    }
}

async fn hand_back(held: &Held, delay: Duration) -> Course {
    match held
        .shared
        .store
        .hand_back(held.instance, held.epoch, delay)
        .await
    {
        Ok(()) => {
            held.shared.expect_due(delay);
            Course::Left
        }
        Err(error) => {
            tracing::warn!(%error, instance = %held.instance, "cannot hand a run back; trying again");
            Course::Dropped
        }
    }
}

impl Shared {
    /// A run of this worker went to sleep for so long.
    fn expect_due(&self, delay: Duration) {
        let due = tokio::time::Instant::now() + delay;
        self.next_due.send_if_modified(|next| {
            let is_earlier = next.is_none_or(|next| due < next);
            if is_earlier {
                *next = Some(due);
            }
            is_earlier
        });
    }
}

/// The place and the state that a journal tells of.
fn rebuild(
    workflow: &CompiledWorkflow,
    input: serde_json::Value,
    journal: &[crate::instance::journal::Recorded],
) -> Result<(Snapshot, AnyState), String> {
    let (snapshot, deltas) = Snapshot::replay(&workflow.plan, journal)
        .ok_or("its journal does not fit the workflow's topology")?;
    let mut state = workflow
        .codec
        .decode(input)
        .map_err(|error| error.to_string())?;
    for delta in &deltas {
        workflow
            .codec
            .apply(&mut state, delta)
            .map_err(|error| error.to_string())?;
    }
    Ok((snapshot, state))
}

fn end_of(entries: &[Entry]) -> Option<Then> {
    ending(entries).map(|(status, failure)| Then::End { status, failure })
}

async fn sleep_if(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

/// Asks the run's typed state. Code of the service that panics is a failure, not our end.
struct StateJudge<'a> {
    workflow: &'a CompiledWorkflow,
    state: &'a mut AnyState,
}

impl Judge for StateJudge<'_> {
    fn merge(&mut self, deltas: &[Delta]) -> Result<Delta, StepFailure> {
        let mut resolved = Delta::new();
        for delta in deltas {
            let applied = catch_unwind(AssertUnwindSafe(|| {
                self.workflow.codec.apply(self.state, delta)
            }))
            .map_err(|payload| StepFailure::panic(&*payload))?
            .map_err(|error| StepFailure::new(StepFailureKind::Payload, &error.to_string()))?;
            for (reducer, field, value) in applied.operations() {
                resolved.insert(reducer, field, value.clone());
            }
        }
        Ok(resolved)
    }

    fn holds(&mut self, node: NodeIndex) -> Result<bool, StepFailure> {
        match &self.workflow.binding(node).condition {
            None => Ok(true),
            Some(condition) => catch_unwind(AssertUnwindSafe(|| condition(self.state)))
                .unwrap_or_else(|payload| Err(StepFailure::panic(&*payload))),
        }
    }

    fn route(&mut self, node: NodeIndex) -> Result<&'static str, StepFailure> {
        match &self.workflow.binding(node).router {
            None => Err(StepFailure::new(
                StepFailureKind::Fatal,
                "the node has no router",
            )),
            Some(router) => catch_unwind(AssertUnwindSafe(|| (router.choose)(self.state)))
                .unwrap_or_else(|payload| Err(StepFailure::panic(&*payload))),
        }
    }
}
