// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The plan of a workflow: stages of nodes that run together, and where each stage leads.
//!
//! A plan is indices into itself, made from a topology that was found valid. It has no functions.

use std::collections::HashMap;

use crate::definition::topology::{END, Edge, EdgeWait, START, Topology};
use crate::identifier::NodeName;

/// A node's place in [`Plan::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeIndex(pub(crate) usize);

/// A stage's place in [`Plan::stages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StageIndex(pub(crate) usize);

/// A checked workflow as stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<NodeName>,
    pub(crate) conditional: Vec<bool>,
    pub(crate) max_visits: Vec<u32>,
    pub(crate) compensated: Vec<bool>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) entry: StageIndex,
}

/// Nodes that run at the same time; one alone for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// In the order in which their updates are merged.
    pub(crate) members: Vec<NodeIndex>,
    pub(crate) exit: Exit,
}

/// Where a stage leads when its members are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Always to the same place.
    To(Target),
    /// Where the router of its only member says: the targets by the names of their branches.
    Route(Vec<(String, Target)>),
    /// Where the first of several events leads.
    Wait(Vec<Way>),
}

/// A way out of a stage that is taken when what it waits for has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) wait: EdgeWait,
    pub(crate) target: Target,
}

/// A place that an edge leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Another stage.
    Stage(StageIndex),
    /// The end of the run.
    End,
}

impl Plan {
    /// Plans a topology; `None` where it is not a valid one.
    pub(crate) fn of(topology: &Topology) -> Option<Self> {
        let nodes: Vec<NodeName> = topology
            .nodes
            .iter()
            .map(|node| NodeName::new(&node.name).ok())
            .collect::<Option<_>>()?;
        let node_by_name: HashMap<&str, NodeIndex> = topology
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.name.as_str(), NodeIndex(index)))
            .collect();
        // Each set of nodes that an edge arrives at is a stage.
        let mut groups: Vec<&[String]> = Vec::new();
        // The one that the run begins with is the first.
        let (starts, others): (Vec<_>, Vec<_>) =
            topology.edges.iter().partition(|edge| edge.from == [START]);
        for edge in starts.into_iter().chain(others) {
            if edge.to != [END] && !groups.contains(&edge.to.as_slice()) {
                groups.push(&edge.to);
            }
        }
        let stage_of = |group: &[String]| {
            groups
                .iter()
                .position(|other| *other == group)
                .map(StageIndex)
        };
        let target_of = |edge: &Edge| {
            if edge.to == [END] {
                Some(Target::End)
            } else {
                stage_of(&edge.to).map(Target::Stage)
            }
        };
        let exit_of = |group: &[String]| {
            let mut edges = topology.edges.iter().filter(|edge| edge.from == group);
            let first = edges.next()?;
            if first.wait.is_some() {
                let ways = std::iter::once(first).chain(edges).map(|edge| {
                    Some(Way {
                        wait: edge.wait.clone()?,
                        target: target_of(edge)?,
                    })
                });
                return ways.collect::<Option<_>>().map(Exit::Wait);
            }
            let Some(branch) = &first.branch else {
                return target_of(first).map(Exit::To);
            };
            let first = Some((branch.clone(), target_of(first)?));
            let others = edges.map(|edge| Some((edge.branch.clone()?, target_of(edge)?)));
            let branches = std::iter::once(first).chain(others);
            branches.collect::<Option<_>>().map(Exit::Route)
        };
        let stages = groups
            .iter()
            .map(|group| {
                let members = group
                    .iter()
                    .map(|name| node_by_name.get(name.as_str()).copied())
                    .collect::<Option<_>>()?;
                Some(Stage {
                    members,
                    exit: exit_of(group)?,
                })
            })
            .collect::<Option<_>>()?;
        let Exit::To(Target::Stage(entry)) = exit_of(&[START.to_owned()])? else {
            return None;
        };
        let conditional = topology.nodes.iter().map(|node| node.conditional).collect();
        let max_visits = topology.nodes.iter().map(|node| node.max_visits).collect();
        let compensated = topology.nodes.iter().map(|node| node.compensated).collect();
        Some(Self {
            nodes,
            conditional,
            max_visits,
            compensated,
            stages,
            entry,
        })
    }

    /// The names of the members of each stage.
    pub(crate) fn stage_names(&self) -> Vec<Vec<&str>> {
        let name = |node: &NodeIndex| self.name(*node).as_str();
        let stages = self.stages.iter();
        stages
            .map(|stage| stage.members.iter().map(name).collect())
            .collect()
    }

    /// The node of that name.
    pub(crate) fn index_of(&self, name: &NodeName) -> Option<NodeIndex> {
        self.nodes
            .iter()
            .position(|node| node == name)
            .map(NodeIndex)
    }

    /// The stage of just these nodes, in this order of merging.
    pub(crate) fn stage_of(&self, names: &[NodeName]) -> Option<StageIndex> {
        let is_it = |stage: &Stage| {
            let members = stage.members.iter();
            members.map(|node| self.name(*node)).eq(names)
        };
        self.stages.iter().position(is_it).map(StageIndex)
    }

    pub(crate) fn stage(&self, stage: StageIndex) -> &Stage {
        &self.stages[stage.0]
    }

    pub(crate) fn name(&self, node: NodeIndex) -> &NodeName {
        &self.nodes[node.0]
    }

    pub(crate) fn max_visits(&self, node: NodeIndex) -> u32 {
        self.max_visits[node.0]
    }

    pub(crate) fn is_compensated(&self, node: NodeIndex) -> bool {
        self.compensated[node.0]
    }

    pub(crate) fn is_conditional(&self, node: NodeIndex) -> bool {
        self.conditional[node.0]
    }
}
