// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds what is wrong with a declaration: every fault, not only the first.

use std::collections::{HashMap, HashSet};

use crate::definition::Declaration;
use crate::definition::graph::{END, START, Topology};
use crate::error::DefinitionFault;
use crate::identifier::{NodeName, nearest};
use crate::step::retry::{DURATION_LIMIT, MAX_ATTEMPTS_LIMIT};

/// The faults of a declaration, apart from its name's.
pub(crate) fn faults(declaration: &Declaration) -> Vec<DefinitionFault> {
    let mut faults = Vec::new();
    if declaration.version == 0 {
        faults.push(DefinitionFault::VersionZero);
    }
    names(&declaration.topology, &mut faults);
    retries(declaration, &mut faults);
    edges(&declaration.topology, &mut faults);
    // Reachability says nothing of use about edges that are wrong in themselves.
    if faults.is_empty() {
        reachability(&declaration.topology, &mut faults);
    }
    faults
}

fn names(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    if topology.nodes.is_empty() {
        faults.push(DefinitionFault::Empty);
    }
    let mut seen = HashSet::new();
    for node in &topology.nodes {
        if let Err(error) = NodeName::new(&node.name) {
            faults.push(error.into());
        } else if !seen.insert(&node.name) {
            faults.push(DefinitionFault::DuplicateNode {
                node: node.name.clone(),
            });
        }
    }
}

fn retries(declaration: &Declaration, faults: &mut Vec<DefinitionFault>) {
    for (node, binding) in declaration.topology.nodes.iter().zip(&declaration.bindings) {
        let policy = &binding.retry;
        let delays = policy.backoff.iter().flatten().chain(&policy.timeout);
        let rule = if policy.max_attempts == 0 || policy.max_attempts > MAX_ATTEMPTS_LIMIT {
            "max_attempts must be from 1 to 1000"
        } else if policy.backoff.as_ref().is_some_and(Vec::is_empty) {
            "backoff must have at least one delay"
        } else if policy.timeout.is_some_and(|timeout| timeout.is_zero()) {
            "timeout must be longer than zero"
        } else if delays.into_iter().any(|delay| *delay > DURATION_LIMIT) {
            "a delay or timeout must be at most 30 days"
        } else {
            continue;
        };
        faults.push(DefinitionFault::Retry {
            node: node.name.clone(),
            rule,
        });
    }
}

fn edges(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    let known: HashSet<&str> = topology
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let mut exits: HashMap<&str, usize> = HashMap::new();
    for edge in &topology.edges {
        if edge.to.is_empty() || edge.from.is_empty() {
            faults.push(DefinitionFault::EmptyParallel);
        }
        let from = edge.from.iter().filter(|name| *name != START);
        let to = edge.to.iter().filter(|name| *name != END);
        for name in from.chain(to) {
            if !known.contains(name.as_str()) {
                let nearest = nearest(name, known.iter().copied()).map(str::to_owned);
                faults.push(DefinitionFault::UnknownNode {
                    node: name.clone(),
                    nearest,
                });
            }
        }
        for name in &edge.from {
            *exits.entry(name).or_default() += 1;
        }
    }
    let mut several: Vec<_> = exits
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, _)| name)
        .collect();
    several.sort_unstable();
    faults.extend(
        several
            .into_iter()
            .map(|node| DefinitionFault::SeveralExits {
                node: node.to_owned(),
            }),
    );
}

fn reachability(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    let mut reached = HashSet::from([START]);
    loop {
        let before = reached.len();
        for edge in &topology.edges {
            if edge.from.iter().all(|name| reached.contains(name.as_str())) {
                reached.extend(edge.to.iter().map(String::as_str));
            }
        }
        if reached.len() == before {
            break;
        }
    }
    for node in &topology.nodes {
        if !reached.contains(node.name.as_str()) {
            faults.push(DefinitionFault::Unreachable {
                node: node.name.clone(),
            });
        }
        if !topology
            .edges
            .iter()
            .any(|edge| edge.from.contains(&node.name))
        {
            faults.push(DefinitionFault::DeadEnd {
                node: node.name.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::graph::{Edge, GraphNode};

    fn topology(nodes: &[&str], edges: &[(&str, &str)]) -> Topology {
        Topology {
            nodes: nodes
                .iter()
                .map(|name| GraphNode {
                    name: (*name).to_owned(),
                    conditional: false,
                })
                .collect(),
            edges: edges
                .iter()
                .map(|(from, to)| Edge {
                    from: vec![(*from).to_owned()],
                    to: vec![(*to).to_owned()],
                })
                .collect(),
        }
    }

    fn found(topology: &Topology) -> Vec<String> {
        let mut faults = Vec::new();
        names(topology, &mut faults);
        edges(topology, &mut faults);
        reachability(topology, &mut faults);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_named() {
        let topology = topology(
            &["a", "b", "b", "lost"],
            &[(START, "a"), ("a", "c"), ("a", END)],
        );
        let found = found(&topology).join("\n");
        for part in [
            "two nodes are called `b`",
            "an edge names `c`",
            "node `a` has more than one edge out",
            "nothing reaches node `lost`",
            "node `lost` has no way out",
        ] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }

    #[test]
    fn a_misspelt_node_is_told_its_neighbour() {
        let topology = topology(&["rollback"], &[(START, "rollbak")]);
        assert!(found(&topology)[0].ends_with("a node with a similar name is `rollback`"));
    }
}
