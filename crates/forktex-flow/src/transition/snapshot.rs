// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a run is, and how one entry of its journal moves it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::compile::plan::{Exit, NodeIndex, Plan, StageIndex, Target};
use crate::definition::topology::EdgeWait;
use crate::identifier::NodeName;
use crate::instance::InstanceStatus;
use crate::instance::journal::{Answer, Call, EndedBy, Entry, Recorded, Visit, last_move, present};
use crate::state::delta::Delta;

/// Where a run is: node, visit and what is recorded of each; never a count of calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    /// The sequence of the last journal entry.
    pub(crate) sequence: i64,
    pub(crate) position: Position,
    pub(super) superstep: u32,
    pub(super) visits: Vec<u32>,
    /// The visits that completed and can be undone, in the order of their completion.
    pub(super) undoable: Vec<(NodeIndex, u32)>,
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
    /// The stage is done, and its router has not answered yet.
    Routing {
        stage: StageIndex,
    },
    /// The stage is done, and the first of what its edges wait for is to come.
    Waiting {
        stage: StageIndex,
        /// When the stage was done, by the database's clock.
        since: OffsetDateTime,
    },
    /// What was done is undone, the last first, before the run ends.
    Undoing {
        by: EndedBy,
        member: Member,
    },
    /// All that can be undone is, and the end is not recorded yet.
    Undone {
        by: EndedBy,
    },
    /// Every stage is done, and that is not recorded yet.
    Finished,
    Ended(InstanceStatus),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) node: NodeIndex,
    /// What the node was called when the run came to it, where that is another name.
    pub(crate) called: Option<NodeName>,
    pub(crate) visit: u32,
    pub(crate) failed_attempts: u32,
    pub(crate) progress: Progress,
    /// What is recorded of the durable calls of this visit, by their keys.
    pub(crate) answers: Arc<BTreeMap<String, Answer>>,
}

/// What a run that is between two stages waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// The names of the signals.
    pub(crate) signals: Vec<String>,
    /// When it goes on without one.
    pub(crate) due_at: Option<OffsetDateTime>,
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

/// A stage whose members are all done.
pub(super) struct Closed {
    pub(super) superstep: u32,
    pub(super) members: Vec<Member>,
}

impl Snapshot {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            sequence: 0,
            position: Position::Start,
            superstep: 0,
            visits: vec![0; plan.nodes.len()],
            undoable: Vec::new(),
        }
    }

    /// The place that a journal tells of, and the deltas of the stages that it closed, to be merged
    /// in this order; those since the run's last move, where it has moved. `None` when an entry does
    /// not fit the plan.
    pub(crate) fn replay(plan: &Plan, journal: &[Recorded]) -> Option<(Self, Vec<Delta>)> {
        let journal = &*present(journal);
        let (mut snapshot, since) = match last_move(journal) {
            None => (Self::new(plan), journal),
            Some((place, moved)) => {
                let (before, since) = journal.split_at(place);
                (Self::after_move(plan, moved, before)?, since)
            }
        };
        let mut merged: Vec<Delta> = Vec::new();
        for recorded in since {
            if let Entry::Migrated(_) = recorded.entry {
                snapshot.sequence = recorded.sequence;
                continue;
            }
            if let Entry::Resolved { delta, .. }
            | Entry::Signalled { delta, .. }
            | Entry::Compensated { delta, .. } = &recorded.entry
            {
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
            Position::At { .. } | Position::Undoing { .. } => self
                .members()
                .iter()
                .filter(|member| !member.is_done())
                .map(|member| name(member.node))
                .collect(),
            Position::Waiting { stage, .. } => plan
                .stage(*stage)
                .members
                .iter()
                .copied()
                .map(name)
                .collect(),
            Position::Routing { .. }
            | Position::Undone { .. }
            | Position::Finished
            | Position::Ended(_) => Vec::new(),
        }
    }

    /// What runs, or is to run, where the run is.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.position {
            Position::At { members, .. } => members,
            Position::Undoing { member, .. } => std::slice::from_ref(member),
            _ => &[],
        }
    }

    /// Whether what was done is being undone.
    pub(crate) fn is_undoing(&self) -> bool {
        matches!(
            self.position,
            Position::Undoing { .. } | Position::Undone { .. }
        )
    }

    /// Whether anything can be undone.
    pub(super) fn has_undoable(&self) -> bool {
        !self.undoable.is_empty()
    }

    /// Takes back that the run has completed.
    pub(crate) fn reopen(&mut self) {
        self.sequence -= 1;
        self.position = Position::Finished;
    }

    /// What the run waits for between two stages, if it does.
    pub(crate) fn awaited(&self, plan: &Plan) -> Option<Awaited> {
        let Position::Waiting { stage, since } = self.position else {
            return None;
        };
        let Exit::Wait(ways) = &plan.stage(stage).exit else {
            return None;
        };
        let mut awaited = Awaited {
            signals: Vec::new(),
            due_at: None,
        };
        for way in ways {
            match &way.wait {
                EdgeWait::Signal(name) => awaited.signals.push(name.clone()),
                EdgeWait::After(duration) => {
                    let due_at = since + *duration;
                    awaited.due_at = awaited
                        .due_at
                        .map_or(Some(due_at), |known| Some(known.min(due_at)));
                }
            }
        }
        Some(awaited)
    }

    /// The number of the stage that the run is in; -1 where it is in none.
    pub(crate) fn stage(&self) -> i32 {
        match self.position {
            Position::At { stage, .. }
            | Position::Routing { stage }
            | Position::Waiting { stage, .. } => i32::try_from(stage.0).unwrap_or(-1),
            Position::Start
            | Position::Undoing { .. }
            | Position::Undone { .. }
            | Position::Finished
            | Position::Ended(_) => -1,
        }
    }

    fn members_where(&self, test: impl Fn(&Member) -> bool) -> Vec<usize> {
        self.members()
            .iter()
            .enumerate()
            .filter(|(_, member)| test(member))
            .map(|(index, _)| index)
            .collect()
    }

    /// The time of the earliest next attempt.
    pub(crate) fn next_retry(&self) -> Option<OffsetDateTime> {
        self.next_retry_besides(|_| false)
    }

    /// The same, of members that have not begun it yet.
    pub(crate) fn next_retry_besides(
        &self,
        has_begun: impl Fn(usize) -> bool,
    ) -> Option<OffsetDateTime> {
        let members = self.members().iter().enumerate();
        members
            .filter_map(|(index, member)| match member.progress {
                Progress::Retrying { due_at } if !has_begun(index) => Some(due_at),
                _ => None,
            })
            .min()
    }

    pub(crate) fn member(&self, index: usize) -> Option<&Member> {
        self.members().get(index)
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
    pub(super) fn apply(
        &mut self,
        plan: &Plan,
        entry: &Entry,
        now: OffsetDateTime,
    ) -> Option<Option<Closed>> {
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
            Entry::Routed { at, branch } => return self.routed(plan, at, branch).map(|()| None),
            Entry::Signalled { at, signal, .. } => {
                let is_it =
                    |wait: &EdgeWait| matches!(wait, EdgeWait::Signal(name) if name == signal);
                return self.left(plan, at, is_it).map(|()| None);
            }
            Entry::TimerFired { at } => {
                let is_it = |wait: &EdgeWait| matches!(wait, EdgeWait::After(_));
                return self.left(plan, at, is_it).map(|()| None);
            }
            Entry::Called { at, call } => return self.called(plan, at, call).map(|()| None),
            Entry::CompensationBegan { by } => {
                self.undo_next(by.clone());
                return Some(None);
            }
            Entry::Compensated { at, .. } => {
                return self.undone(plan, at, None, now).map(|()| None);
            }
            Entry::CompensationFailed {
                at, retry_after, ..
            } => return self.undone(plan, at, *retry_after, now).map(|()| None),
            // A move is taken in by `replay`, as it says where the run is by itself.
            Entry::Migrated(_) => return None,
            Entry::SignalRefused { .. } | Entry::Resolved { .. } => return Some(None),
            Entry::RunCompleted => return Some(self.end(InstanceStatus::Completed)),
            Entry::RunFailed { .. } => return Some(self.end(InstanceStatus::Failed)),
            Entry::RunCancelled { .. } => return Some(self.end(InstanceStatus::Cancelled)),
        };
        if self.position == Position::Start {
            self.enter(plan, Target::Stage(plan.entry));
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
        if matches!(progress, Progress::Completed(_)) && plan.is_compensated(member.node) {
            self.undoable.push((member.node, member.visit));
        }
        member.progress = progress;
        if !members.iter().all(Member::is_done) {
            return Some(None);
        }
        let closed = Closed {
            superstep: self.superstep,
            members: std::mem::take(members),
        };
        let stage = *stage;
        match &plan.stage(stage).exit {
            Exit::To(target) => self.enter(plan, *target),
            Exit::Route(_) => self.position = Position::Routing { stage },
            Exit::Wait(_) => self.position = Position::Waiting { stage, since: now },
        }
        Some(Some(closed))
    }

    /// Comes to the last visit that is not undone.
    fn undo_next(&mut self, by: EndedBy) {
        let Some((node, visit)) = self.undoable.pop() else {
            self.position = Position::Undone { by };
            return;
        };
        // Each undoing is a superstep of its own, so that its update is folded in its place.
        self.superstep += 1;
        let member = Member::new(node, visit);
        self.position = Position::Undoing { by, member };
    }

    /// An attempt to undo a visit ended; `retry_after` where another follows.
    fn undone(
        &mut self,
        plan: &Plan,
        at: &Visit,
        retry_after: Option<Duration>,
        now: OffsetDateTime,
    ) -> Option<()> {
        let superstep = self.superstep;
        let Position::Undoing { by, member } = &mut self.position else {
            return None;
        };
        let is_it = *plan.name(member.node) == at.node
            && member.visit == at.visit
            && at.superstep == superstep;
        if !is_it {
            return None;
        }
        if let Some(delay) = retry_after {
            member.failed_attempts += 1;
            member.progress = Progress::Retrying {
                due_at: now + delay,
            };
        } else {
            let by = by.clone();
            self.undo_next(by);
        }
        Some(())
    }

    /// Takes the edge that waited for what has come.
    fn left(&mut self, plan: &Plan, at: &Visit, is_it: impl Fn(&EdgeWait) -> bool) -> Option<()> {
        let (_, here) = self.between(plan)?;
        if here != *at {
            return None;
        }
        let target = self.way(plan, is_it)?;
        self.enter(plan, target);
        Some(())
    }

    /// Where the edge leads that waits for something.
    pub(super) fn way(&self, plan: &Plan, is_it: impl Fn(&EdgeWait) -> bool) -> Option<Target> {
        let Position::Waiting { stage, .. } = self.position else {
            return None;
        };
        let Exit::Wait(ways) = &plan.stage(stage).exit else {
            return None;
        };
        ways.iter()
            .find(|way| is_it(&way.wait))
            .map(|way| way.target)
    }

    fn called(&mut self, plan: &Plan, at: &Visit, call: &Call) -> Option<()> {
        if self.position == Position::Start {
            self.enter(plan, Target::Stage(plan.entry));
        }
        let superstep = self.superstep;
        let members = match &mut self.position {
            Position::At { members, .. } => members.as_mut_slice(),
            Position::Undoing { member, .. } => std::slice::from_mut(member),
            _ => return None,
        };
        let member = members.get_mut(usize::from(at.member))?;
        if *plan.name(member.node) != at.node || at.superstep != superstep {
            return None;
        }
        Arc::make_mut(&mut member.answers).insert(call.key.clone(), call.answer.clone());
        Some(())
    }

    fn routed(&mut self, plan: &Plan, at: &Visit, branch: &str) -> Option<()> {
        let (_, here) = self.between(plan)?;
        let target = self.target_of(plan, branch)?;
        if here != *at {
            return None;
        }
        self.enter(plan, target);
        Some(())
    }

    /// Where an answer of the router that is asked leads.
    pub(super) fn target_of(&self, plan: &Plan, branch: &str) -> Option<Target> {
        let Position::Routing { stage } = self.position else {
            return None;
        };
        let Exit::Route(branches) = &plan.stage(stage).exit else {
            return None;
        };
        let (_, target) = branches.iter().find(|(name, _)| name == branch)?;
        Some(*target)
    }

    /// The node behind which the run is, between two stages, and the journal's words for it.
    pub(crate) fn between(&self, plan: &Plan) -> Option<(NodeIndex, Visit)> {
        let (Position::Routing { stage } | Position::Waiting { stage, .. }) = self.position else {
            return None;
        };
        let node = *plan.stage(stage).members.first()?;
        let at = Visit {
            superstep: self.superstep,
            member: 0,
            node: plan.name(node).clone(),
            visit: self.visits[node.0],
        };
        Some((node, at))
    }

    pub(super) fn enter(&mut self, plan: &Plan, target: Target) {
        let Target::Stage(stage) = target else {
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
                Member::new(*node, self.visits[node.0])
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
    /// One that was not tried yet.
    pub(super) fn new(node: NodeIndex, visit: u32) -> Self {
        Self {
            node,
            called: None,
            visit,
            failed_attempts: 0,
            progress: Progress::Ready,
            answers: Arc::default(),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Completed(_) | Progress::Skipped)
    }
}

impl Closed {
    pub(super) fn deltas(&self) -> Vec<Delta> {
        self.members
            .iter()
            .filter_map(|member| match &member.progress {
                Progress::Completed(delta) if !delta.is_empty() => Some(delta.clone()),
                _ => None,
            })
            .collect()
    }
}
