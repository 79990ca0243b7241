// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The pure core: what happens to a run when something happened to one of its nodes.
//!
//! No I/O, no clock, no randomness, no async: the caller brings the time and the jitter, and asks the
//! run's own state through [`Judge`]. A live run and a replayed journal go through the same
//! [`Snapshot::apply`], so they cannot disagree about where a run is.

use std::time::Duration;

use time::OffsetDateTime;

use crate::compile::plan::{Exit, NodeIndex, Plan, StageIndex};
use crate::error::failure::{RunFailure, StepFailure};
use crate::identifier::NodeName;
use crate::instance::InstanceStatus;
use crate::instance::journal::{Entry, RESOLVED_MEMBER, Recorded, Visit};
use crate::state::delta::Delta;

/// Where a run is: node, visit and what is recorded of each; never a count of calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    /// The sequence of the last journal entry.
    pub(crate) sequence: i64,
    pub(crate) position: Position,
    superstep: u32,
    visits: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// Nothing was decided yet.
    Start,
    /// In a stage whose members are not all done.
    At {
        stage: StageIndex,
        members: Vec<Member>,
    },
    /// Every stage is done, and that is not recorded yet.
    Finished,
    Ended(InstanceStatus),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) node: NodeIndex,
    pub(crate) visit: u32,
    pub(crate) failed_attempts: u32,
    pub(crate) progress: Progress,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Progress {
    Ready,
    /// The next attempt starts no earlier than this, by the database's clock.
    Retrying {
        due_at: OffsetDateTime,
    },
    Completed(Delta),
    Skipped,
    Failed,
}

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
}

/// What the core asks of the run's state.
pub(crate) trait Judge {
    /// Merges the updates of a stage, in their order. Returns what `with` reducers made of them.
    fn merge(&mut self, deltas: &[Delta]) -> Result<Delta, StepFailure>;

    /// Whether the node's condition holds on the merged state.
    fn holds(&mut self, node: NodeIndex) -> Result<bool, StepFailure>;
}

/// A stage whose members are all done.
struct Closed {
    superstep: u32,
    members: Vec<Member>,
}

impl Snapshot {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            sequence: 0,
            position: Position::Start,
            superstep: 0,
            visits: vec![0; plan.nodes.len()],
        }
    }

    /// The place that a journal tells of, and the deltas of the stages that it closed, to be merged
    /// in this order. `None` when an entry does not fit the plan.
    pub(crate) fn replay(plan: &Plan, journal: &[Recorded]) -> Option<(Self, Vec<Delta>)> {
        let mut snapshot = Self::new(plan);
        let mut merged: Vec<Delta> = Vec::new();
        for recorded in journal {
            if let Entry::Resolved { delta, .. } = &recorded.entry {
                merged.push(delta.clone());
            }
            if let Some(closed) = snapshot.apply(plan, &recorded.entry, recorded.recorded_at)? {
                merged.extend(closed.deltas());
            }
            snapshot.sequence = recorded.sequence;
        }
        for delta in &mut merged {
            delta.take_unresolved();
        }
        Some((snapshot, merged))
    }

    /// The members to start: never tried, or due for another attempt.
    pub(crate) fn due_members(&self, now: OffsetDateTime) -> Vec<usize> {
        self.members_where(|member| match member.progress {
            Progress::Ready => true,
            Progress::Retrying { due_at } => due_at <= now,
            _ => false,
        })
    }

    /// The members that are not done.
    pub(crate) fn unfinished_members(&self) -> Vec<usize> {
        self.members_where(|member| !member.is_done())
    }

    /// The nodes that run or wait: those of the stage that the run is in.
    pub(crate) fn current_nodes(&self, plan: &Plan) -> Vec<NodeName> {
        let name = |node: NodeIndex| plan.name(node).clone();
        match &self.position {
            Position::Start => plan
                .stage(plan.entry)
                .members
                .iter()
                .copied()
                .map(name)
                .collect(),
            Position::At { members, .. } => members
                .iter()
                .filter(|member| !member.is_done())
                .map(|member| name(member.node))
                .collect(),
            Position::Finished | Position::Ended(_) => Vec::new(),
        }
    }

    fn members_where(&self, test: impl Fn(&Member) -> bool) -> Vec<usize> {
        let Position::At { members, .. } = &self.position else {
            return Vec::new();
        };
        members
            .iter()
            .enumerate()
            .filter(|(_, member)| test(member))
            .map(|(index, _)| index)
            .collect()
    }

    /// The time of the earliest next attempt.
    pub(crate) fn next_retry(&self) -> Option<OffsetDateTime> {
        let Position::At { members, .. } = &self.position else {
            return None;
        };
        members
            .iter()
            .filter_map(|member| match member.progress {
                Progress::Retrying { due_at } => Some(due_at),
                _ => None,
            })
            .min()
    }

    pub(crate) fn member(&self, index: usize) -> Option<&Member> {
        match &self.position {
            Position::At { members, .. } => members.get(index),
            _ => None,
        }
    }

    /// The journal's words for a member.
    pub(crate) fn visit(&self, plan: &Plan, index: usize) -> Option<Visit> {
        let member = self.member(index)?;
        Some(Visit {
            superstep: self.superstep,
            member: u16::try_from(index).ok()?,
            node: plan.name(member.node).clone(),
            visit: member.visit,
        })
    }

    /// Takes in one entry. Returns the stage that it closed, if it did; `None` outside when the entry
    /// does not fit.
    #[expect(
        clippy::option_option,
        reason = "the outer says whether it fits, the inner whether it closed a stage"
    )]
    fn apply(&mut self, plan: &Plan, entry: &Entry, now: OffsetDateTime) -> Option<Option<Closed>> {
        self.sequence += 1;
        let (at, progress) = match entry {
            Entry::NodeCompleted { at, delta, .. } => (at, Progress::Completed(delta.clone())),
            Entry::NodeSkipped { at } => (at, Progress::Skipped),
            Entry::AttemptFailed {
                at,
                retry_after: Some(delay),
                ..
            } => (
                at,
                Progress::Retrying {
                    due_at: now + *delay,
                },
            ),
            Entry::AttemptFailed {
                at,
                retry_after: None,
                ..
            } => (at, Progress::Failed),
            Entry::Resolved { .. } => return Some(None),
            Entry::RunCompleted => return Some(self.end(InstanceStatus::Completed)),
            Entry::RunFailed { .. } => return Some(self.end(InstanceStatus::Failed)),
            Entry::RunCancelled { .. } => return Some(self.end(InstanceStatus::Cancelled)),
        };
        if self.position == Position::Start {
            self.enter(plan, Exit::Stage(plan.entry));
        }
        let Position::At { stage, members } = &mut self.position else {
            return None;
        };
        let member = members.get_mut(usize::from(at.member))?;
        if *plan.name(member.node) != at.node || at.superstep != self.superstep {
            return None;
        }
        if matches!(progress, Progress::Retrying { .. } | Progress::Failed) {
            member.failed_attempts += 1;
        }
        member.progress = progress;
        if !members.iter().all(Member::is_done) {
            return Some(None);
        }
        let closed = Closed {
            superstep: self.superstep,
            members: std::mem::take(members),
        };
        let exit = plan.stage(*stage).exit;
        self.enter(plan, exit);
        Some(Some(closed))
    }

    fn enter(&mut self, plan: &Plan, exit: Exit) {
        let Exit::Stage(stage) = exit else {
            self.position = Position::Finished;
            return;
        };
        self.superstep += 1;
        let members = plan
            .stage(stage)
            .members
            .iter()
            .map(|node| {
                self.visits[node.0] += 1;
                let visit = self.visits[node.0];
                Member {
                    node: *node,
                    visit,
                    failed_attempts: 0,
                    progress: Progress::Ready,
                }
            })
            .collect();
        self.position = Position::At { stage, members };
    }

    fn end(&mut self, status: InstanceStatus) -> Option<Closed> {
        self.position = Position::Ended(status);
        None
    }
}

impl Member {
    fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Completed(_) | Progress::Skipped)
    }
}

impl Closed {
    fn deltas(&self) -> Vec<Delta> {
        self.members
            .iter()
            .filter_map(|member| match &member.progress {
                Progress::Completed(delta) if !delta.is_empty() => Some(delta.clone()),
                _ => None,
            })
            .collect()
    }
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
                self.snapshot.enter(self.plan, Exit::Stage(self.plan.entry));
                self.skip_members();
            }
            // The process died between the last checkpoint and the record of the end.
            Position::Finished => {
                self.record(Entry::RunCompleted);
            }
            Position::At { .. } | Position::Ended(_) => {}
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
        self.record(Entry::NodeCompleted {
            at,
            attempt,
            elapsed,
            delta,
        });
        self.skip_members();
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
        }
    }

    /// Asks the conditions of the stage just entered, through as many stages as are skipped whole.
    fn skip_members(&mut self) {
        let mut stage_asked = None;
        while let Position::At { members, .. } = &self.snapshot.position {
            if stage_asked == Some(self.snapshot.superstep)
                || members
                    .iter()
                    .any(|member| member.progress != Progress::Ready)
            {
                return;
            }
            stage_asked = Some(self.snapshot.superstep);
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
        if self.snapshot.position == Position::Finished {
            self.record(Entry::RunCompleted);
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
        self.record(Entry::RunFailed { failure });
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
                Entry::NodeCompleted { .. } | Entry::AttemptFailed { .. } | Entry::Resolved { .. }
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
