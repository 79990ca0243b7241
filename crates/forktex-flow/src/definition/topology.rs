// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Nodes and edges as data: what is hashed, compared with what is deployed, and drawn.
//!
//! A pipeline lowers to this too. An edge leads from one node, or from all the members of a parallel
//! group, to one node, to such a group, or to the end.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where every workflow begins.
pub const START: &str = "__START__";

/// Where every workflow ends.
pub const END: &str = "__END__";

/// The nodes and edges of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The nodes in their declared order.
    pub nodes: Vec<GraphNode>,
    /// The edges.
    pub edges: Vec<Edge>,
}

/// How often a run may come to one node, unless another number is asked for.
pub const MAX_VISITS_DEFAULT: u32 = 1_000;

/// The most visits that can be allowed. All of a run's journal is read when a worker takes it.
pub const MAX_VISITS_LIMIT: u32 = 100_000;

/// The shortest and the longest time that an edge, or a step, may wait.
pub const WAIT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(3_650 * 24);

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GraphNode {
    /// Its name, unique in the workflow.
    pub name: String,
    /// Whether a condition decides if it is run or skipped.
    pub conditional: bool,
    /// How often a run may come to it; one more fails the run.
    pub max_visits: u32,
    /// Whether what it did is undone when its run fails, or is cancelled so.
    pub compensated: bool,
}

impl GraphNode {
    /// A node that is always run, at most [`MAX_VISITS_DEFAULT`] times.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            conditional: false,
            max_visits: MAX_VISITS_DEFAULT,
            compensated: false,
        }
    }
}

/// One edge: taken when every node of `from` is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Edge {
    /// Where it leaves: [`START`] alone, or nodes that run in parallel.
    pub from: Vec<String>,
    /// Where it arrives: [`END`] alone, or nodes that run in parallel, in the order in which their
    /// updates are merged.
    pub to: Vec<String>,
    /// Of a node that is left by several edges, the answer of its router for which it is this one.
    pub branch: Option<String>,
    /// What the run waits for before it takes the edge. Of several such edges out of a node, the one
    /// whose event comes first is taken.
    pub wait: Option<EdgeWait>,
}

/// What an edge waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EdgeWait {
    /// A signal of this name.
    Signal(String),
    /// The time since the node was done, by the database's clock.
    After(Duration),
}

impl fmt::Display for EdgeWait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => write!(formatter, "on {name}"),
            Self::After(duration) => {
                formatter.write_str("after ")?;
                write_duration(formatter, *duration)
            }
        }
    }
}

/// A duration as the attributes have it: `7d`, `1m30s`. What has no such form is shown as it is.
fn write_duration(formatter: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    const UNITS_MS: [(&str, u128); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if duration.is_zero() || !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return write!(formatter, "{duration:?}");
    }
    let mut left_ms = duration.as_millis();
    for (unit, unit_ms) in UNITS_MS {
        if left_ms >= unit_ms {
            write!(formatter, "{}{unit}", left_ms / unit_ms)?;
            left_ms %= unit_ms;
        }
    }
    Ok(())
}

impl Edge {
    /// An edge that is always taken.
    pub fn new(from: Vec<String>, to: Vec<String>) -> Self {
        Self {
            from,
            to,
            branch: None,
            wait: None,
        }
    }

    /// An edge that is taken when what it waits for has come.
    pub fn waiting(from: impl Into<String>, to: impl Into<String>, wait: EdgeWait) -> Self {
        Self {
            wait: Some(wait),
            ..Self::new(vec![from.into()], vec![to.into()])
        }
    }

    /// What decides that the edge is taken, in words: the answer of a router, or what is waited for.
    pub(crate) fn label(&self) -> Option<String> {
        let wait = || self.wait.as_ref().map(ToString::to_string);
        self.branch.clone().or_else(wait)
    }

    /// An edge that is taken where the router of its node answers `branch`.
    pub fn on_branch(
        from: impl Into<String>,
        branch: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        Self {
            branch: Some(branch.into()),
            ..Self::new(vec![from.into()], vec![to.into()])
        }
    }
}

impl Topology {
    /// The topology as a set of lines: equal sets mean equal topologies, whatever the order of
    /// declaration.
    pub fn lines(&self) -> BTreeSet<String> {
        let nodes = self.nodes.iter().map(|node| {
            let when = if node.conditional { " when" } else { "" };
            let undo = if node.compensated { " undo" } else { "" };
            format!("node {}{when}{undo}", node.name)
        });
        let edges = self.edges.iter().map(|edge| {
            let branch = edge.branch.as_ref();
            let on = branch.map_or_else(String::new, |branch| format!(" on {branch}"));
            let wait = edge.wait.as_ref();
            let wait = wait.map_or_else(String::new, |wait| format!(" wait {wait}"));
            format!(
                "edge {} -> {}{on}{wait}",
                edge.from.join(" & "),
                edge.to.join(" & ")
            )
        });
        nodes.chain(edges).collect()
    }

    /// The SHA-256 of [`lines`](Self::lines).
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for line in self.lines() {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().into()
    }
}

/// The difference between two topologies in words: `+` is only in `new`, `-` only in `old`.
pub fn difference(old: &BTreeSet<String>, new: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (sign, line) in old
        .difference(new)
        .map(|line| ('-', line))
        .chain(new.difference(old).map(|line| ('+', line)))
    {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{sign}{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(nodes: &[(&str, bool)], edges: &[(&[&str], &[&str])]) -> Topology {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Topology {
            nodes: nodes
                .iter()
                .map(|(name, conditional)| GraphNode {
                    conditional: *conditional,
                    ..GraphNode::new(*name)
                })
                .collect(),
            edges: edges
                .iter()
                .map(|(from, to)| Edge::new(names(from), names(to)))
                .collect(),
        }
    }

    #[test]
    fn the_hash_ignores_the_order_of_declaration_but_not_that_of_merging() {
        let one = topology(
            &[("a", false), ("b", false)],
            &[(&[START], &["a", "b"]), (&["a", "b"], &[END])],
        );
        let two = topology(
            &[("b", false), ("a", false)],
            &[(&["a", "b"], &[END]), (&[START], &["a", "b"])],
        );
        let three = topology(
            &[("a", false), ("b", false)],
            &[(&[START], &["b", "a"]), (&["b", "a"], &[END])],
        );
        assert_eq!(one.hash(), two.hash());
        assert_ne!(one.hash(), three.hash());
    }

    #[test]
    fn the_difference_names_both_sides() {
        let old = topology(&[("a", false)], &[(&[START], &["a"])]);
        let new = topology(&[("a", true)], &[(&[START], &["a"])]);
        assert_eq!(
            difference(&old.lines(), &new.lines()),
            "-node a, +node a when"
        );
    }
}
