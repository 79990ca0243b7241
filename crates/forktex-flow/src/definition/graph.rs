// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Nodes and edges as data: what is hashed, compared with what is deployed, and drawn.
//!
//! A pipeline lowers to this too. An edge leads from one node, or from all the members of a parallel
//! group, to one node, to such a group, or to the end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

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

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its name, unique in the workflow.
    pub name: String,
    /// Whether a condition decides if it is run or skipped.
    pub conditional: bool,
}

/// One edge: taken when every node of `from` is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Where it leaves: [`START`] alone, or nodes that run in parallel.
    pub from: Vec<String>,
    /// Where it arrives: [`END`] alone, or nodes that run in parallel, in the order in which their
    /// updates are merged.
    pub to: Vec<String>,
}

impl Topology {
    /// The topology as a set of lines: equal sets mean equal topologies, whatever the order of
    /// declaration.
    pub fn lines(&self) -> BTreeSet<String> {
        let nodes = self.nodes.iter().map(|node| {
            let when = if node.conditional { " when" } else { "" };
            format!("node {}{when}", node.name)
        });
        let edges = self
            .edges
            .iter()
            .map(|edge| format!("edge {} -> {}", edge.from.join(" & "), edge.to.join(" & ")));
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
                    name: (*name).to_owned(),
                    conditional: *conditional,
                })
                .collect(),
            edges: edges
                .iter()
                .map(|(from, to)| Edge {
                    from: names(from),
                    to: names(to),
                })
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
