// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a run that waits goes on in another version of its workflow, and whether it can.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use super::{Member, Position, Progress, Snapshot};
use crate::compile::plan::{Exit, NodeIndex, Plan, StageIndex};
use crate::identifier::NodeName;
use crate::instance::journal::{Entry, Move, Pin, Place, Recorded, fold_state_through};
use crate::instance::migration::MigrationRefusal;
use crate::state::delta::Delta;

/// Two versions of a workflow, and what the nodes of the one are called in the other.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    pub(crate) from: (&'a Plan, Pin),
    pub(crate) to: (&'a Plan, Pin),
    pub(crate) renamed: &'a BTreeMap<NodeName, NodeName>,
}

/// A run as it is, and as it would go on.
#[derive(Debug)]
pub(crate) struct Passing {
    /// The nodes that it stands on, by the names that they have now.
    pub(crate) current_nodes: Vec<NodeName>,
    /// Its state is the one that it has now, to be mapped.
    pub(crate) moved: Move,
    /// Updates of nodes that are done beside others which are not, to be merged into that state later.
    pub(crate) unmerged: Vec<Delta>,
}

impl Passage<'_> {
    /// Finds the place of a run in the other version.
    ///
    /// # Errors
    /// [`MigrationRefusal`] with what the other version has not.
    pub(crate) fn of(
        &self,
        input: Value,
        journal: &[Recorded],
    ) -> Result<Passing, MigrationRefusal> {
        let (plan, _) = self.from;
        let (snapshot, _) =
            Snapshot::replay(plan, journal).ok_or_else(|| MigrationRefusal::Unreadable {
                reason: "its journal does not fit the version that it is of".to_owned(),
            })?;
        let (place, is_open) = self.place(&snapshot)?;
        let merged = snapshot.superstep - u32::from(is_open);
        let state = fold_state_through(input, journal, merged).map_err(|error| {
            MigrationRefusal::Unreadable {
                reason: error.to_string(),
            }
        })?;
        let called = snapshot.members().iter().filter_map(|member| {
            let name = plan.name(member.node);
            let (first, now) = (member.called.as_ref().unwrap_or(name), self.name_of(name)?);
            (*first != now).then(|| (now, first.clone()))
        });
        let visits = plan.nodes.iter().zip(&snapshot.visits);
        let visits = visits.filter(|(_, visits)| **visits > 0);
        let moved = Move {
            from: self.from.1,
            to: self.to.1,
            renamed: self.renamed.clone(),
            superstep: snapshot.superstep,
            place,
            called: called.collect(),
            visits: visits
                .filter_map(|(node, visits)| Some((self.name_of(node)?, *visits)))
                .collect(),
            undoable: self.undoable(&snapshot)?,
            merged,
            state,
        };
        Ok(Passing {
            current_nodes: snapshot.current_nodes(plan),
            unmerged: snapshot.unmerged(),
            moved,
        })
    }

    /// The place, and whether the run is in a superstep whose updates are not merged yet.
    fn place(&self, snapshot: &Snapshot) -> Result<(Place, bool), MigrationRefusal> {
        let (from, to) = (self.from.0, self.to.0);
        match &snapshot.position {
            Position::Start => Ok((Place::Start, false)),
            Position::At { stage, .. } => Ok((self.stage(*stage)?.1, true)),
            Position::Waiting { stage, .. } | Position::Routing { stage } => {
                let (there, place) = self.stage(*stage)?;
                let exits = (&from.stage(*stage).exit, &to.stage(there).exit);
                match exits {
                    (Exit::Wait(_), Exit::Wait(_)) | (Exit::Route(_), Exit::Route(_)) => {
                        Ok((place, false))
                    }
                    _ => {
                        let node = from.stage(*stage).members.first();
                        let node = node.map(|node| from.name(*node).clone());
                        Err(MigrationRefusal::OtherExit {
                            node: node.unwrap_or_else(|| NodeName::unchecked("unknown")),
                        })
                    }
                }
            }
            Position::Undoing { by, member } => {
                let node = self.undone_by(member.node, member.visit)?;
                let place = Place::Undoing {
                    by: by.clone(),
                    node,
                    visit: member.visit,
                };
                Ok((place, true))
            }
            Position::Undone { .. } | Position::Finished | Position::Ended(_) => {
                Err(MigrationRefusal::Ending)
            }
        }
    }

    /// The stage of the other version that has the same nodes, in the same order of merging.
    fn stage(&self, stage: StageIndex) -> Result<(StageIndex, Place), MigrationRefusal> {
        let (from, to) = (self.from.0, self.to.0);
        let members = &from.stage(stage).members;
        let mut names = Vec::with_capacity(members.len());
        for member in members {
            let node = from.name(*member);
            let name = self.name_of(node);
            names.push(name.ok_or_else(|| MigrationRefusal::NoSuchNode { node: node.clone() })?);
        }
        match to.stage_of(&names) {
            Some(index) => Ok((index, Place::Stage(names))),
            None => Err(MigrationRefusal::OtherGroup { nodes: names }),
        }
    }

    fn undoable(&self, snapshot: &Snapshot) -> Result<Vec<(NodeName, u32)>, MigrationRefusal> {
        let visits = snapshot.undoable.iter();
        visits
            .map(|(node, visit)| Ok((self.undone_by(*node, *visit)?, *visit)))
            .collect()
    }

    /// What a node is called that the other version can undo.
    fn undone_by(&self, node: NodeIndex, visit: u32) -> Result<NodeName, MigrationRefusal> {
        let (from, to) = (self.from.0, self.to.0);
        let name = self.name_of(from.name(node));
        let there = name.and_then(|name| Some((to.index_of(&name)?, name)));
        match there {
            Some((index, name)) if to.is_compensated(index) => Ok(name),
            _ => Err(MigrationRefusal::NoUndo {
                node: from.name(node).clone(),
                visit,
            }),
        }
    }

    /// What a node is called in the other version; `None` where that has none for it.
    fn name_of(&self, node: &NodeName) -> Option<NodeName> {
        let name = self.renamed.get(node).unwrap_or(node);
        self.to.0.index_of(name).map(|_| name.clone())
    }
}

impl Snapshot {
    /// Where a run is after a move, given what its journal has before that, with present names.
    pub(super) fn after_move(plan: &Plan, moved: &Move, before: &[Recorded]) -> Option<Self> {
        let mut snapshot = Self::new(plan);
        for (node, visits) in &moved.visits {
            snapshot.visits[plan.index_of(node)?.0] = *visits;
        }
        let undoable = moved.undoable.iter();
        let undoable = undoable.map(|(node, visit)| Some((plan.index_of(node)?, *visit)));
        let undoable: Vec<(NodeIndex, u32)> = undoable.collect::<Option<_>>()?;
        let came = |node: NodeIndex, visit: u32| Member {
            called: moved.called.get(plan.name(node)).cloned(),
            ..Member::new(node, visit)
        };
        snapshot.superstep = moved.superstep;
        snapshot.position = match &moved.place {
            Place::Start => Position::Start,
            Place::Stage(nodes) => {
                let stage = plan.stage_of(nodes)?;
                let member = |node: &NodeIndex| came(*node, snapshot.visits[node.0]);
                let members = plan.stage(stage).members.iter().map(member).collect();
                Position::At { stage, members }
            }
            Place::Undoing { by, node, visit } => Position::Undoing {
                by: by.clone(),
                member: came(plan.index_of(node)?, *visit),
            },
        };
        for recorded in before {
            let at = recorded.entry.visit();
            if at.is_some_and(|at| at.superstep == moved.superstep) {
                snapshot.apply(plan, &recorded.entry, recorded.recorded_at)?;
            }
        }
        // What was done before can be undone as far as it could then, whatever is said of its nodes now.
        snapshot.undoable = undoable;
        Some(snapshot)
    }

    /// The updates of members that are done in a stage that is not.
    fn unmerged(&self) -> Vec<Delta> {
        let members = self.members().iter();
        members
            .filter_map(|member| match &member.progress {
                Progress::Completed(delta) if !delta.is_empty() => Some(delta.clone()),
                _ => None,
            })
            .collect()
    }
}

/// The stage and the nodes that a run is at after a move; `None` where its journal would not fit.
pub(crate) fn arrival(
    plan: &Plan,
    journal: &[Recorded],
    moved: &Move,
) -> Option<(i32, Vec<NodeName>)> {
    let last = journal.last();
    let mut after = journal.to_vec();
    after.push(Recorded {
        sequence: last.map_or(0, |recorded| recorded.sequence) + 1,
        recorded_at: last.map_or(OffsetDateTime::UNIX_EPOCH, |recorded| recorded.recorded_at),
        entry: Entry::Migrated(Box::new(moved.clone())),
    });
    let (snapshot, _) = Snapshot::replay(plan, &after)?;
    let stage = match snapshot.position {
        // Before anything is recorded a run counts as being at its first nodes.
        Position::Start => i32::try_from(plan.entry.0).ok()?,
        _ => snapshot.stage(),
    };
    Some((stage, snapshot.current_nodes(plan)))
}
