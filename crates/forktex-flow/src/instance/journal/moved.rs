// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A run's move to another version of its workflow, as its journal has it.
//!
//! The entry says by itself where the run is in the terms of the version that it moves to, so that
//! neither the plan nor the state type of the version that it left is needed to go on from there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EndedBy, Entry, Recorded, Visit};
use crate::identifier::{DefinitionId, NodeName, Version};

/// Where a run goes on, in the terms of the version that it moves to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Move {
    pub(crate) from: Pin,
    pub(crate) to: Pin,
    /// The nodes that have another name from here on: the one that they had, and the one they have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) renamed: BTreeMap<NodeName, NodeName>,
    /// The superstep that the run is in. What was recorded of it before still counts.
    pub(crate) superstep: u32,
    pub(crate) place: Place,
    /// What nodes of the superstep that the run is in were called when it came to them, where that is
    /// another name: their bodies go on under their old idempotency keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) called: BTreeMap<NodeName, NodeName>,
    /// How often the run has come to each node.
    pub(crate) visits: BTreeMap<NodeName, u32>,
    /// The visits that can be undone, in the order of their completion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) undoable: Vec<(NodeName, u32)>,
    /// The last superstep whose updates are in the state.
    pub(crate) merged: u32,
    pub(crate) state: Value,
}

/// The version that a run is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub(crate) definition: DefinitionId,
    pub(crate) version: Version,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// Nothing was decided yet.
    Start,
    /// In a stage of these nodes, or behind it.
    Stage(Vec<NodeName>),
    /// Undoing a visit of a node.
    Undoing {
        by: EndedBy,
        node: NodeName,
        visit: u32,
    },
}

/// The last move that a journal tells of, and its place in it.
pub(crate) fn last_move(journal: &[Recorded]) -> Option<(usize, &Move)> {
    let mut entries = journal.iter().enumerate().rev();
    entries.find_map(|(place, recorded)| match &recorded.entry {
        Entry::Migrated(moved) => Some((place, &**moved)),
        _ => None,
    })
}

/// The journal with the names that its nodes have now, whatever they were called when it happened.
pub(crate) fn present(journal: &[Recorded]) -> Cow<'_, [Recorded]> {
    if last_move(journal).is_none() {
        return Cow::Borrowed(journal);
    }
    // What a node is called in the end that had another name.
    let mut names: HashMap<NodeName, NodeName> = HashMap::new();
    let mut renamed = journal.to_vec();
    for recorded in renamed.iter_mut().rev() {
        if let Entry::Migrated(moved) = &recorded.entry {
            let mut earlier = names.clone();
            for (old, new) in &moved.renamed {
                let now = names.get(new).unwrap_or(new).clone();
                earlier.insert(old.clone(), now);
            }
            names = earlier;
        } else if let Some(at) = recorded.entry.visit_mut()
            && let Some(now) = names.get(&at.node)
        {
            at.node = now.clone();
        }
    }
    Cow::Owned(renamed)
}

impl Entry {
    fn visit_mut(&mut self) -> Option<&mut Visit> {
        match self {
            Self::NodeCompleted { at, .. }
            | Self::NodeSkipped { at }
            | Self::AttemptFailed { at, .. }
            | Self::Routed { at, .. }
            | Self::Signalled { at, .. }
            | Self::SignalRefused { at, .. }
            | Self::TimerFired { at }
            | Self::Called { at, .. }
            | Self::Compensated { at, .. }
            | Self::CompensationFailed { at, .. } => Some(at),
            Self::CompensationBegan { .. }
            | Self::Resolved { .. }
            | Self::Migrated(_)
            | Self::RunCompleted
            | Self::RunFailed { .. }
            | Self::RunCancelled { .. } => None,
        }
    }

    /// Which visit of which node it is about, if it is about one.
    pub(crate) fn visit(&self) -> Option<&Visit> {
        match self {
            Self::NodeCompleted { at, .. }
            | Self::NodeSkipped { at }
            | Self::AttemptFailed { at, .. }
            | Self::Routed { at, .. }
            | Self::Signalled { at, .. }
            | Self::SignalRefused { at, .. }
            | Self::TimerFired { at }
            | Self::Called { at, .. }
            | Self::Compensated { at, .. }
            | Self::CompensationFailed { at, .. } => Some(at),
            Self::CompensationBegan { .. }
            | Self::Resolved { .. }
            | Self::Migrated(_)
            | Self::RunCompleted
            | Self::RunFailed { .. }
            | Self::RunCancelled { .. } => None,
        }
    }
}
