// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a run is, and how one entry of its journal moves it.

use time::OffsetDateTime;

use crate::compile::plan::{Exit, NodeIndex, Plan, StageIndex, Target};
use crate::identifier::NodeName;
use crate::instance::InstanceStatus;
use crate::instance::journal::{Entry, Recorded, Visit};
use crate::state::delta::Delta;

/// Where a run is: node, visit and what is recorded of each; never a count of calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    /// The sequence of the last journal entry.
    pub(crate) sequence: i64,
    pub(crate) position: Position,
    pub(super) superstep: u32,
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
    /// The stage is done, and its router has not answered yet.
    Routing {
        stage: StageIndex,
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
            Position::Routing { .. } | Position::Finished | Position::Ended(_) => Vec::new(),
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
            Entry::Resolved { .. } => return Some(None),
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
        }
        Some(Some(closed))
    }

    fn routed(&mut self, plan: &Plan, at: &Visit, branch: &str) -> Option<()> {
        let (_, here) = self.routing(plan)?;
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

    /// The node whose router is to answer, and the journal's words for it.
    pub(super) fn routing(&self, plan: &Plan) -> Option<(NodeIndex, Visit)> {
        let Position::Routing { stage } = self.position else {
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
