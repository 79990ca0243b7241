// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The pure core: what happens to a run when something happened to one of its nodes.
//!
//! No I/O, no clock, no randomness, no async: the caller brings the time and the jitter, and asks the
//! run's own state through [`Judge`]. A live run and a replayed journal go through the same
//! [`Snapshot::apply`], so they cannot disagree about where a run is.

pub(crate) mod fork;
pub(crate) mod migrate;
mod snapshot;

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use crate::compile::plan::{NodeIndex, Plan, Target};
use crate::definition::topology::EdgeWait;
use crate::error::failure::{RunFailure, StepFailure};
use crate::instance::InstanceStatus;
use crate::instance::journal::{Call, EndedBy, Entry, MessageId, RESOLVED_MEMBER, Visit};
use crate::state::delta::Delta;
pub(crate) use snapshot::{Awaited, Position, Snapshot};
use snapshot::{Closed, Member, Progress};

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A worker took the run.
    Claimed,
    Completed {
        member: usize,
        elapsed: Duration,
        delta: Delta,
    },
    /// An attempt failed; `retry_after` is the delay before another, if there may be one.
    Failed {
        member: usize,
        elapsed: Duration,
        failure: StepFailure,
        retry_after: Option<Duration>,
    },
    /// A durable call of a member has its answer, or what it waits for.
    Called { member: usize, call: Call },
    /// A signal that an edge waits for is in the inbox.
    Signalled {
        message: MessageId,
        signal: String,
        payload: Value,
    },
    /// The time has passed that an edge waits for.
    TimerFired,
    /// The run is to end as cancelled once what it did is undone.
    UndoRequested { reason: String },
    /// The run is not to live any longer.
    DeadlineExceeded,
}

/// What the core asks of the run's state.
pub(crate) trait Judge {
    /// Merges the updates of a stage, in their order. Returns what `with` reducers made of them.
    fn merge(&mut self, deltas: &[Delta]) -> Result<Delta, StepFailure>;

    /// Whether the node's condition holds on the merged state.
    fn holds(&mut self, node: NodeIndex) -> Result<bool, StepFailure>;

    /// Merges the update that a signal behind the node stands for. Returns it with what `with`
    /// reducers made of it in their place.
    fn signalled(
        &mut self,
        node: NodeIndex,
        signal: &str,
        payload: Value,
    ) -> Result<Delta, StepFailure>;

    /// The branch that the node's router chooses on the merged state.
    fn route(&mut self, node: NodeIndex) -> Result<&'static str, StepFailure>;
}

/// Decides what an event does to a run, and moves the snapshot there. The entries are to be
/// journalled in one transaction; if that fails, the snapshot is to be thrown away.
pub(crate) fn transition(
    plan: &Plan,
    snapshot: &mut Snapshot,
    event: Event,
    now: OffsetDateTime,
    judge: &mut dyn Judge,
) -> Vec<Entry> {
    let mut course = Course {
        plan,
        snapshot,
        now,
        judge,
        entries: Vec::new(),
    };
    match event {
        Event::Claimed => course.begin(),
        Event::Completed {
            member,
            elapsed,
            delta,
        } => course.completed(member, elapsed, delta),
        Event::Failed {
            member,
            elapsed,
            failure,
            retry_after,
        } => {
            course.failed(member, elapsed, failure, retry_after);
        }
        Event::Called { member, call } => {
            if let Some(at) = course.snapshot.visit(plan, member) {
                course.record(Entry::Called { at, call });
            }
        }
        Event::Signalled {
            message,
            signal,
            payload,
        } => course.signalled(message, signal, payload),
        Event::TimerFired => course.timer_fired(),
        Event::UndoRequested { reason } => course.end_early(EndedBy::Cancellation(reason)),
        Event::DeadlineExceeded => {
            course.end_early(EndedBy::Failure(RunFailure::DeadlineExceeded));
        }
    }
    course.entries
}

/// One transition under way.
struct Course<'a> {
    plan: &'a Plan,
    snapshot: &'a mut Snapshot,
    now: OffsetDateTime,
    judge: &'a mut dyn Judge,
    entries: Vec<Entry>,
}

impl Course<'_> {
    fn begin(&mut self) {
        match self.snapshot.position {
            Position::Start => {
                self.snapshot
                    .enter(self.plan, Target::Stage(self.plan.entry));
                self.go_on();
            }
            // The process died between the last checkpoint and the record of what comes next.
            Position::Routing { .. } | Position::Undone { .. } | Position::Finished => self.go_on(),
            Position::At { .. }
            | Position::Waiting { .. }
            | Position::Undoing { .. }
            | Position::Ended(_) => {}
        }
    }

    fn signalled(&mut self, message: MessageId, signal: String, payload: Value) {
        let is_it = |wait: &EdgeWait| matches!(wait, EdgeWait::Signal(name) if *name == signal);
        let Some((node, at)) = self.snapshot.between(self.plan) else {
            return;
        };
        if self.snapshot.way(self.plan, is_it).is_none() {
            return;
        }
        match self.judge.signalled(node, &signal, payload) {
            Ok(delta) => {
                self.record(Entry::Signalled {
                    at,
                    message,
                    signal,
                    delta,
                });
                self.go_on();
            }
            // Whoever sent it must not be able to end the run by it.
            Err(failure) => self.record(Entry::SignalRefused {
                at,
                message,
                signal,
                failure,
            }),
        }
    }

    fn timer_fired(&mut self) {
        let is_it = |wait: &EdgeWait| matches!(wait, EdgeWait::After(_));
        if let Some((_, at)) = self.snapshot.between(self.plan)
            && self.snapshot.way(self.plan, is_it).is_some()
        {
            self.record(Entry::TimerFired { at });
            self.go_on();
        }
    }

    fn completed(&mut self, index: usize, elapsed: Duration, delta: Delta) {
        let (Some(at), Some(member)) = (
            self.snapshot.visit(self.plan, index),
            self.snapshot.member(index),
        ) else {
            return;
        };
        let attempt = member.failed_attempts + 1;
        if self.snapshot.is_undoing() {
            return self.compensated(at, attempt, elapsed, delta);
        }
        self.record(Entry::NodeCompleted {
            at,
            attempt,
            elapsed,
            delta,
        });
        self.go_on();
    }

    /// An update that does not fit the state is a failure to undo, and the rest goes on.
    fn compensated(&mut self, at: Visit, attempt: u32, elapsed: Duration, mut delta: Delta) {
        let merged = if delta.is_empty() {
            Ok(Delta::new())
        } else {
            self.judge.merge(std::slice::from_ref(&delta))
        };
        let entry = match merged {
            Ok(resolved) => {
                delta.take_unresolved();
                for (reducer, field, value) in resolved.operations() {
                    delta.insert(reducer, field, value.clone());
                }
                Entry::Compensated {
                    at,
                    attempt,
                    elapsed,
                    delta,
                }
            }
            Err(failure) => Entry::CompensationFailed {
                at,
                attempt,
                elapsed,
                failure,
                retry_after: None,
            },
        };
        self.record(entry);
        self.go_on();
    }

    fn failed(
        &mut self,
        index: usize,
        elapsed: Duration,
        failure: StepFailure,
        retry_after: Option<Duration>,
    ) {
        let (Some(at), Some(member)) = (
            self.snapshot.visit(self.plan, index),
            self.snapshot.member(index),
        ) else {
            return;
        };
        let attempt = member.failed_attempts + 1;
        let retry_after = retry_after.filter(|_| failure.kind.is_retryable());
        if self.snapshot.is_undoing() {
            self.record(Entry::CompensationFailed {
                at,
                attempt,
                elapsed,
                failure,
                retry_after,
            });
            return self.go_on();
        }
        let node = at.node.clone();
        self.record(Entry::AttemptFailed {
            at,
            attempt,
            elapsed,
            failure: failure.clone(),
            retry_after,
        });
        if retry_after.is_none() {
            self.fail(RunFailure::StepFailed {
                node,
                attempts: attempt,
                failure,
            });
            self.go_on();
        }
    }

    /// Goes as far as nothing has to be run: asks routers where to go, and conditions what to skip.
    fn go_on(&mut self) {
        let mut stage_asked = None;
        loop {
            let superstep = self.snapshot.superstep;
            match &self.snapshot.position {
                Position::Routing { .. } => self.route(),
                Position::At { members, .. }
                    if stage_asked != Some(superstep)
                        && members
                            .iter()
                            .all(|member| member.progress == Progress::Ready) =>
                {
                    stage_asked = Some(superstep);
                    match self.visit_limit() {
                        Some(failure) => self.fail(failure),
                        None => self.skip_members(),
                    }
                }
                Position::Finished => self.record(Entry::RunCompleted),
                Position::Undone { by } => {
                    let end = end(by.clone());
                    self.record(end);
                }
                Position::Start
                | Position::At { .. }
                | Position::Waiting { .. }
                | Position::Undoing { .. }
                | Position::Ended(_) => return,
            }
        }
    }

    fn route(&mut self) {
        let Some((node, at)) = self.snapshot.between(self.plan) else {
            return;
        };
        match self.judge.route(node) {
            Ok(branch) if self.snapshot.target_of(self.plan, branch).is_some() => {
                let branch = branch.to_owned();
                self.record(Entry::Routed { at, branch });
            }
            Ok(branch) => self.fail(RunFailure::GraphStuck {
                node: at.node,
                branch: branch.to_owned(),
            }),
            Err(failure) => self.fail(RunFailure::RouterFailed {
                node: at.node,
                failure,
            }),
        }
    }

    /// The failure of a run that came to a node of its stage more often than it may.
    fn visit_limit(&self) -> Option<RunFailure> {
        let Position::At { members, .. } = &self.snapshot.position else {
            return None;
        };
        let limit = |node| self.plan.max_visits(node);
        let beyond = members
            .iter()
            .find(|member| member.visit > limit(member.node))?;
        Some(RunFailure::VisitLimit {
            node: self.plan.name(beyond.node).clone(),
            max_visits: limit(beyond.node),
        })
    }

    /// Asks the conditions of the stage just entered.
    fn skip_members(&mut self) {
        let Position::At { members, .. } = &self.snapshot.position else {
            return;
        };
        let nodes: Vec<NodeIndex> = members.iter().map(|member| member.node).collect();
        for (index, node) in nodes.into_iter().enumerate() {
            if !self.plan.is_conditional(node) {
                continue;
            }
            match self.judge.holds(node) {
                Ok(true) => {}
                Ok(false) => {
                    let Some(at) = self.snapshot.visit(self.plan, index) else {
                        return;
                    };
                    self.record(Entry::NodeSkipped { at });
                }
                Err(failure) => {
                    let node = self.plan.name(node).clone();
                    return self.fail(RunFailure::ConditionFailed { node, failure });
                }
            }
        }
    }

    /// Journals an entry; merges the stage that it closes.
    fn record(&mut self, entry: Entry) {
        let closed = self.snapshot.apply(self.plan, &entry, self.now).flatten();
        self.entries.push(entry);
        if let Some(closed) = closed {
            self.merge(&closed);
        }
    }

    fn merge(&mut self, closed: &Closed) {
        if let Some(failure) = self.concurrent_writes(closed) {
            return self.fail(failure);
        }
        let deltas = closed.deltas();
        if deltas.is_empty() {
            return;
        }
        match self.judge.merge(&deltas) {
            Ok(resolved) if resolved.is_empty() => {}
            Ok(delta) => {
                self.record(Entry::Resolved {
                    superstep: closed.superstep,
                    delta,
                });
            }
            Err(failure) => {
                let Some(first) = closed.members.first() else {
                    return;
                };
                let node = self.plan.name(first.node).clone();
                self.fail(RunFailure::MergeFailed { node, failure });
            }
        }
    }

    /// Two members that replaced the same field, if there are such.
    fn concurrent_writes(&self, closed: &Closed) -> Option<RunFailure> {
        let mut writers: Vec<(&str, NodeIndex)> = Vec::new();
        for member in &closed.members {
            let Progress::Completed(delta) = &member.progress else {
                continue;
            };
            for field in delta.replaced_fields() {
                if let Some((_, first)) = writers.iter().find(|(other, _)| *other == field) {
                    return Some(RunFailure::ConcurrentWrites {
                        field: field.to_owned(),
                        first: self.plan.name(*first).clone(),
                        second: self.plan.name(member.node).clone(),
                    });
                }
                writers.push((field, member.node));
            }
        }
        None
    }

    fn fail(&mut self, failure: RunFailure) {
        self.end_by(EndedBy::Failure(failure));
    }

    /// Ends the run, or begins to undo what it did.
    fn end_by(&mut self, by: EndedBy) {
        let entry = if self.snapshot.has_undoable() {
            Entry::CompensationBegan { by }
        } else {
            end(by)
        };
        self.record(entry);
    }

    /// Ends the run wherever it is, unless it is about to end already.
    fn end_early(&mut self, by: EndedBy) {
        if !self.snapshot.is_undoing() && !matches!(self.snapshot.position, Position::Ended(_)) {
            self.end_by(by);
            self.go_on();
        }
    }
}

fn end(by: EndedBy) -> Entry {
    match by {
        EndedBy::Failure(failure) => Entry::RunFailed { failure },
        EndedBy::Cancellation(reason) => Entry::RunCancelled { reason },
    }
}

/// The entries of a run whose cancellation was asked for: what its nodes did is kept, what would have
/// come next is not, and it ends as cancelled.
pub(crate) fn cancelled(entries: Vec<Entry>, reason: String) -> Vec<Entry> {
    entries
        .into_iter()
        .filter(|entry| {
            matches!(
                entry,
                Entry::NodeCompleted { .. }
                    | Entry::AttemptFailed { .. }
                    | Entry::Resolved { .. }
                    | Entry::Called { .. }
                    | Entry::Compensated { .. }
                    | Entry::CompensationFailed { .. }
            )
        })
        .chain(std::iter::once(Entry::RunCancelled { reason }))
        .collect()
}

/// How the entries end the run, if they do.
pub(crate) fn ending(entries: &[Entry]) -> Option<(InstanceStatus, Option<RunFailure>)> {
    entries.iter().find_map(|entry| match entry {
        Entry::RunCompleted => Some((InstanceStatus::Completed, None)),
        Entry::RunFailed { failure } => Some((InstanceStatus::Failed, Some(failure.clone()))),
        Entry::RunCancelled { .. } => Some((InstanceStatus::Cancelled, None)),
        _ => None,
    })
}

const _: () = assert!(
    RESOLVED_MEMBER > 1_000,
    "members are counted below the place of the resolved entry"
);

#[cfg(test)]
mod tests;
