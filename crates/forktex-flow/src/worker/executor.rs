// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs one claimed run: starts what is due, takes what comes back, has it decided and committed,
//! until the run ends, waits, or is lost.

mod body;
mod calls;
mod commit;
mod judge;
mod newborn;
mod port;
mod transaction;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::fault::Attempt;
use super::incarnation::RunTokens;
use super::{Held, Shared};
use crate::clock::StoreClock;
use crate::compile::CompiledWorkflow;
use crate::compile::plan::NodeIndex;
use crate::ctx::call::Calls;
use crate::ctx::{Ctx, RunContext};
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::{Epoch, InstanceId};
use crate::instance::journal::{Entry, Recorded, last_move};
use crate::state::delta::Delta;
use crate::state::erased::AnyState;
use crate::state::payload;
use crate::step::retry::RetryPolicy;
use crate::store::{ClaimedRun, RestsOn, Then};
use crate::telemetry;
use crate::transition::{Awaited, Event, Snapshot, ending, transition};
use body::in_time;
use calls::PendingCalls;
use judge::StateJudge;
use port::{BodyPort, CallRequest};

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
pub(super) type BodyResult = Result<Delta, StepFailure>;

struct Execution {
    instance: InstanceId,
    epoch: Epoch,
    workflow: Arc<CompiledWorkflow>,
    context: Arc<RunContext>,
    tokens: RunTokens,
    clock: StoreClock,
    snapshot: Snapshot,
    state: AnyState,
    /// An upper bound of the state's size.
    state_bytes: usize,
    bodies: JoinSet<BodyResult>,
    in_flight: HashMap<Id, InFlight>,
    /// Where bodies hand in their durable calls.
    requests: mpsc::UnboundedReceiver<CallRequest>,
    requests_sender: mpsc::UnboundedSender<CallRequest>,
    pending_calls: PendingCalls,
    /// Whether the run was spawned by another, which is to be told of its end.
    is_child: bool,
    /// Whether a pause was asked for: nothing more is started.
    is_pausing: bool,
    /// Whether it is known that what the run did is to be undone.
    is_undoing: bool,
    /// Why the run is to end once what it did is undone, until that has begun.
    undo_reason: Option<String>,
    deadline_at: Option<OffsetDateTime>,
    lost_attempts: u32,
    /// The end that the journal tells of, of a run that is active all the same.
    recorded_end: Option<Then>,
}

/// A body that is running.
struct InFlight {
    member: usize,
    node: NodeIndex,
    started_at: Instant,
    abort: AbortHandle,
    span: Span,
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
            .catalog
            .get(run.definition_id)
            .ok_or_else(|| "its workflow is not here".to_owned())
            .and_then(|workflow| {
                if let Some(error) = &run.unreadable {
                    return Err(error.to_string());
                }
                rebuild(&workflow, &run.input, &run.journal).map(|rebuilt| (workflow, rebuilt))
            });
        let (workflow, (snapshot, state)) = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(reason) => {
                tracing::warn!(instance = %run.instance_id, reason, "cannot read a run here; handing it back");
                return Err(hand_back(held, &RestsOn::Reader, UNREADABLE_REST).await);
            }
        };
        let context = RunContext {
            instance_id: run.instance_id,
            workflow_name: workflow.name.clone(),
            version: workflow.version,
            namespace: run.namespace,
            metadata: run.metadata,
        };
        let (requests_sender, requests) = mpsc::unbounded_channel();
        Ok(Self {
            requests,
            requests_sender,
            pending_calls: PendingCalls::default(),
            is_child: run.is_child,
            is_pausing: false,
            is_undoing: snapshot.is_undoing(),
            undo_reason: run.undo_reason,
            deadline_at: run.deadline_at,
            instance: run.instance_id,
            epoch: run.epoch,
            context: Arc::new(context),
            tokens: held.tokens.clone(),
            clock: shared.store.clock_from(run.claimed_at),
            snapshot,
            state_bytes: payload::size(base(&run.input, &run.journal)),
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
                return hand_back(held, &RestsOn::Worker, Duration::ZERO).await;
            }
            if let Some(event) = self.early_end() {
                let entries = self.decide(event);
                course = self.commit(held, entries).await;
                continue;
            }
            if let Some(awaited) = self.snapshot.awaited(&self.workflow.plan) {
                course = self.pass_between(held, &awaited).await;
                continue;
            }
            if !self.is_pausing {
                self.launch_due_members(held);
            }
            if self.in_flight.is_empty() {
                let on = match self.snapshot.next_retry() {
                    Some(_) => RestsOn::Retry,
                    None => RestsOn::Worker,
                };
                return hand_back(held, &on, self.until_next_retry()).await;
            }
            course = self.answer_calls(held).await;
            if let Course::GoesOn = course {
                course = if self.all_bodies_wait() {
                    self.rest(held).await
                } else {
                    self.next_event(held).await
                };
            }
        }
        course
    }

    /// What ends the run wherever it is, if anything does.
    fn early_end(&mut self) -> Option<Event> {
        if let Some(reason) = self.undo_reason.take() {
            self.is_undoing = true;
            return Some(Event::UndoRequested { reason });
        }
        let is_over = self
            .deadline()
            .is_some_and(|due_at| due_at <= self.clock.now());
        is_over.then_some(Event::DeadlineExceeded)
    }

    /// When the run fails; what is being undone is not cut short.
    fn deadline(&self) -> Option<OffsetDateTime> {
        self.deadline_at.filter(|_| !self.snapshot.is_undoing())
    }

    /// Waits for a body to end or to call, or for a time to come.
    async fn next_event(&mut self, held: &mut Held) -> Course {
        let until_due = self.until_next_due();
        tokio::select! {
            finished = self.bodies.join_next_with_id() => {
                let Some(finished) = finished else {
                    return Course::Dropped;
                };
                let id = match &finished {
                    Ok((id, _)) => *id,
                    Err(error) => error.id(),
                };
                if !self.in_flight.contains_key(&id) {
                    // Its transaction ended it already.
                    return Course::GoesOn;
                }
                let Some(event) = self.event(finished) else {
                    return Course::Dropped;
                };
                let entries = self.decide(event);
                self.commit(held, entries).await
            }
            Some(request) = self.requests.recv() => self.take_call(held, request).await,
            () = sleep_if(until_due) => Course::GoesOn,
        }
    }

    /// Between two stages: takes the signal that is waited for, or goes on as the time has come, or has
    /// the run wait. Of both, the one that came first by the database's clock decides.
    async fn pass_between(&mut self, held: &mut Held, awaited: &Awaited) -> Course {
        let letter = match self.oldest_signal(held, &awaited.signals).await {
            Ok(letter) => letter,
            Err(course) => return course,
        };
        let is_in_time = |sent_at| awaited.due_at.is_none_or(|due_at| sent_at <= due_at);
        let event = match letter {
            Some(letter) if is_in_time(letter.sent_at) => Event::Signalled {
                message: letter.message,
                signal: letter.signal,
                payload: letter.payload,
            },
            _ if awaited
                .due_at
                .is_some_and(|due_at| due_at <= self.clock.now()) =>
            {
                Event::TimerFired
            }
            _ => return self.rest(held).await,
        };
        let entries = self.decide(event);
        self.commit(held, entries).await
    }

    /// Accounts for the processes that died while this run was their only suspect.
    async fn count_lost_attempts(&mut self, held: &mut Held) -> Course {
        for _ in 0..std::mem::take(&mut self.lost_attempts) {
            for member in self.snapshot.unfinished_members() {
                let Some(state) = self.snapshot.member(member) else {
                    continue;
                };
                let policy = self.policy(state.node);
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
        let running: Vec<usize> = self.in_flight.values().map(|body| body.member).collect();
        for index in self.snapshot.due_members(self.clock.now()) {
            let Some(member) = self.snapshot.member(index) else {
                continue;
            };
            if running.contains(&index) {
                continue;
            }
            let binding = self.workflow.binding(member.node);
            let undo = binding.compensation.as_ref();
            let undo = undo.filter(|_| self.snapshot.is_undoing());
            let beats = Arc::new(Notify::new());
            let port = BodyPort {
                member: index,
                requests: self.requests_sender.clone(),
                beats: Arc::clone(&beats),
                context: Arc::clone(&self.context),
                shared: Arc::clone(&held.shared),
            };
            let ctx = Ctx::new(
                Arc::clone(&self.context),
                self.workflow.plan.name(member.node).clone(),
                member.visit,
                member.failed_attempts + 1,
                undo.is_some(),
                // What is undone is undone to its end.
                match undo {
                    Some(_) => self.tokens.abandoned.child_token(),
                    None => self.tokens.told.child_token(),
                },
                Some(Calls::new(Arc::clone(&member.answers), Arc::new(port))),
            );
            let span = telemetry::attempt_span(&ctx);
            let ctx = ctx.called(member.called.clone());
            let body = Arc::clone(undo.map_or(&binding.body, |undo| &undo.body));
            let policy = self.policy(member.node);
            let (timeout, heartbeat) = (policy.timeout, policy.heartbeat);
            let (state, resources) = (self.state.clone(), held.shared.resources.clone());
            let fault = held.shared.faults.as_ref().and_then(|faults| {
                faults.take(&Attempt {
                    node: self.workflow.plan.name(member.node),
                    visit: member.visit,
                    number: member.failed_attempts + 1,
                })
            });
            let fault = fault.map(|fault| (fault, Arc::clone(&held.incarnation)));
            let task = async move {
                let running = async {
                    let body = body(ctx, state, resources);
                    match fault {
                        None => body.await,
                        Some((fault, incarnation)) => fault.happen(incarnation, body).await,
                    }
                };
                in_time(running, timeout, heartbeat, &beats).await
            };
            let task = self.bodies.spawn(task.instrument(span.clone()));
            let in_flight = InFlight {
                member: index,
                node: member.node,
                started_at: Instant::now(),
                abort: task.clone(),
                span,
            };
            self.in_flight.insert(task.id(), in_flight);
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
        let body = self.in_flight.remove(&id)?;
        let member = body.member;
        self.pending_calls.forget(member);
        let elapsed = body.started_at.elapsed();
        let result = result.and_then(|delta| self.checked(delta));
        self.tell_of_attempt(&body, result.as_ref().map(|_| ()));
        Some(match result {
            Ok(delta) => Event::Completed {
                member,
                elapsed,
                delta,
            },
            Err(failure) => self.failed(member, elapsed, failure),
        })
    }

    /// Tells those who observe the process that an attempt has ended.
    fn tell_of_attempt(&self, body: &InFlight, outcome: Result<(), &StepFailure>) {
        if let Err(failure) = outcome {
            telemetry::attempt_failed(&body.span, failure);
        }
        let node = self.workflow.plan.name(body.node);
        let took = body.started_at.elapsed();
        telemetry::attempt_ended(&self.workflow.name, node, outcome, took);
    }

    /// How what runs at a node now is retried.
    fn policy(&self, node: NodeIndex) -> &RetryPolicy {
        let binding = self.workflow.binding(node);
        match &binding.compensation {
            Some(undo) if self.snapshot.is_undoing() => &undo.retry,
            _ => &binding.retry,
        }
    }

    fn failed(&self, member: usize, elapsed: Duration, failure: StepFailure) -> Event {
        let retry_after = self.snapshot.member(member).and_then(|state| {
            let policy = self.policy(state.node);
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
        let bytes = checked_values(&delta)?;
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
        let entries = transition(
            &self.workflow.plan,
            &mut self.snapshot,
            event,
            self.clock.now(),
            &mut judge,
        );
        let is_over = |entry: &Entry| matches!(entry, Entry::CompensationBegan { .. });
        if entries.iter().any(is_over) || end_of(&entries).is_some() {
            self.is_undoing |= self.snapshot.is_undoing();
            self.stop_bodies();
        }
        entries
    }
}

/// Refuses values that could not be stored. Returns their size in bytes.
fn checked_values(delta: &Delta) -> Result<usize, StepFailure> {
    let mut bytes = 0;
    for (_, field, value) in delta.operations() {
        bytes += payload::check(value, STATE_BYTES_MAX).map_err(|error| {
            StepFailure::new(
                StepFailureKind::Payload,
                &format!("field `{field}`: {error}"),
            )
        })?;
    }
    Ok(bytes)
}

async fn hand_back(held: &Held, on: &RestsOn, delay: Duration) -> Course {
    match held
        .shared
        .store
        .hand_back(held.instance, held.epoch, on, delay)
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

/// The state on which the deltas of a journal are merged: a move brings that of then.
fn base<'a>(input: &'a serde_json::Value, journal: &'a [Recorded]) -> &'a serde_json::Value {
    last_move(journal).map_or(input, |(_, moved)| &moved.state)
}

/// The place and the state that a journal tells of.
fn rebuild(
    workflow: &CompiledWorkflow,
    input: &serde_json::Value,
    journal: &[Recorded],
) -> Result<(Snapshot, AnyState), String> {
    let (snapshot, deltas) = Snapshot::replay(&workflow.plan, journal)
        .ok_or("its journal does not fit the workflow's topology")?;
    let mut state = workflow
        .codec
        .decode(base(input, journal).clone())
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
