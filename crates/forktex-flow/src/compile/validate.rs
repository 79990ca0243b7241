// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds what is wrong with a declaration: every fault, not only the first.

use std::collections::{HashMap, HashSet};

use crate::definition::Declaration;
use crate::definition::topology::{
    END, EdgeWait, GraphNode, MAX_VISITS_LIMIT, START, Topology, WAIT_RANGE,
};
use crate::error::DefinitionFault;
use crate::identifier::{NodeName, SignalName, nearest};
use crate::state::writes::shared_field;
use crate::step::retry::{DURATION_LIMIT, MAX_ATTEMPTS_LIMIT};

/// The faults of a declaration, apart from its name's.
pub(crate) fn faults(declaration: &Declaration) -> Vec<DefinitionFault> {
    let mut faults = Vec::new();
    if declaration.version == 0 {
        faults.push(DefinitionFault::VersionZero);
    }
    names(&declaration.topology, &mut faults);
    retries(declaration, &mut faults);
    visits(&declaration.topology, &mut faults);
    edges(&declaration.topology, &mut faults);
    waits(&declaration.topology, &mut faults);
    branches(declaration, &mut faults);
    writes(declaration, &mut faults);
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
        let delays = policy.backoff.iter().flatten();
        let delays = delays.chain(&policy.timeout).chain(&policy.heartbeat);
        let rule = if policy.max_attempts == 0 || policy.max_attempts > MAX_ATTEMPTS_LIMIT {
            "max_attempts must be from 1 to 1000"
        } else if policy.backoff.as_ref().is_some_and(Vec::is_empty) {
            "backoff must have at least one delay"
        } else if policy.timeout.is_some_and(|timeout| timeout.is_zero()) {
            "timeout must be longer than zero"
        } else if policy.heartbeat.is_some_and(|limit| limit.is_zero()) {
            "heartbeat must be longer than zero"
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

fn visits(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    let out_of_range = |node: &&GraphNode| !(1..=MAX_VISITS_LIMIT).contains(&node.max_visits);
    let nodes = topology.nodes.iter().filter(out_of_range);
    faults.extend(nodes.map(|node| DefinitionFault::MaxVisits {
        node: node.name.clone(),
        limit: MAX_VISITS_LIMIT,
    }));
}

/// Each answer of a router must lead somewhere, and to one place.
fn branches(declaration: &Declaration, faults: &mut Vec<DefinitionFault>) {
    let Declaration {
        topology, bindings, ..
    } = declaration;
    for (node, binding) in topology.nodes.iter().zip(bindings) {
        let Some(router) = &binding.router else {
            continue;
        };
        for branch in router.branches {
            let edges = topology
                .edges
                .iter()
                .filter(|edge| edge.from == [node.name.as_str()]);
            let (node, branch) = (node.name.clone(), (*branch).to_owned());
            match edges
                .filter(|edge| edge.branch.as_ref() == Some(&branch))
                .count()
            {
                1 => {}
                0 => faults.push(DefinitionFault::MissingBranch { node, branch }),
                _ => faults.push(DefinitionFault::SeveralTargets { node, branch }),
            }
        }
    }
}

/// Two nodes of a parallel group must not both write a field that has no reducer.
fn writes(declaration: &Declaration, faults: &mut Vec<DefinitionFault>) {
    let Declaration {
        topology,
        bindings,
        codec,
        ..
    } = declaration;
    let declared = |name: &str| {
        let node = topology.nodes.iter().position(|node| node.name == name)?;
        bindings.get(node)?.writes
    };
    for edge in &topology.edges {
        let members: Vec<_> = edge
            .to
            .iter()
            .filter_map(|name| Some((name, declared(name)?)))
            .collect();
        for (position, (second, fields)) in members.iter().enumerate() {
            for (first, others) in &members[..position] {
                let (schema, names) = (codec.schema(), codec.field_names());
                if let Some(field) = shared_field(schema, names, others, fields) {
                    faults.push(DefinitionFault::SharedWrite {
                        field: field.to_owned(),
                        first: (*first).clone(),
                        second: (*second).clone(),
                    });
                }
            }
        }
    }
}

/// What edges wait for must be well formed, and differ where they leave the same node.
fn waits(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    let mut seen: HashSet<(&[String], String)> = HashSet::new();
    for edge in &topology.edges {
        let (Some(wait), Some(node)) = (&edge.wait, edge.from.first()) else {
            continue;
        };
        match wait {
            EdgeWait::Signal(name) => {
                if let Err(error) = SignalName::new(name) {
                    faults.push(error.into());
                }
            }
            EdgeWait::After(duration) if WAIT_RANGE.contains(duration) => {}
            EdgeWait::After(_) => faults.push(DefinitionFault::WaitOutOfRange {
                node: node.clone(),
                wait: wait.to_string(),
            }),
        }
        // Of two timers the later would never be taken.
        let kind = match wait {
            EdgeWait::Signal(name) => format!("on {name}"),
            EdgeWait::After(_) => "for a time".to_owned(),
        };
        if !seen.insert((&edge.from, kind.clone())) {
            faults.push(DefinitionFault::DuplicateWait {
                node: node.clone(),
                wait: kind,
            });
        }
    }
}

fn edges(topology: &Topology, faults: &mut Vec<DefinitionFault>) {
    let known: HashSet<&str> = topology
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    // All edges of one router count as one way out, and so do all that wait.
    let mut exits: HashMap<&str, usize> = HashMap::new();
    let mut routed: HashSet<&str> = HashSet::new();
    let mut waited: HashSet<&str> = HashSet::new();
    for edge in &topology.edges {
        if edge.to.is_empty() || edge.from.is_empty() {
            faults.push(DefinitionFault::EmptyParallel);
        }
        if edge.from.iter().any(|name| name == END) {
            faults.push(DefinitionFault::EdgeOutOfEnd);
        }
        if edge.to.iter().any(|name| name == START) {
            faults.push(DefinitionFault::EdgeIntoStart);
        }
        if edge.branch.is_some() && edge.from == [START] {
            faults.push(DefinitionFault::RouterAtStart);
        }
        if edge.wait.is_some() && edge.from == [START] {
            faults.push(DefinitionFault::WaitAtStart);
        }
        let is_node = |name: &&String| *name != START && *name != END;
        let from = edge.from.iter().filter(is_node);
        let to = edge.to.iter().filter(is_node);
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
            let is_another = match (&edge.branch, &edge.wait) {
                (None, None) => true,
                (Some(_), _) => routed.insert(name),
                (None, Some(_)) => waited.insert(name),
            };
            if is_another {
                *exits.entry(name).or_default() += 1;
            }
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
    let finishing = finishing(topology);
    for node in &topology.nodes {
        let name = node.name.as_str();
        let node = node.name.clone();
        if !reached.contains(name) {
            faults.push(DefinitionFault::Unreachable { node });
        } else if !topology.edges.iter().any(|edge| edge.from.contains(&node)) {
            faults.push(DefinitionFault::DeadEnd { node });
        } else if !finishing.contains(name) {
            faults.push(DefinitionFault::Endless { node });
        }
    }
}

/// The nodes from which there is a way to the end.
fn finishing(topology: &Topology) -> HashSet<&str> {
    let mut finishing = HashSet::from([END]);
    loop {
        let before = finishing.len();
        for edge in &topology.edges {
            if edge.to.iter().any(|name| finishing.contains(name.as_str())) {
                finishing.extend(edge.from.iter().map(String::as_str));
            }
        }
        if finishing.len() == before {
            return finishing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::topology::Edge;

    fn topology(nodes: &[&str], edges: &[(&str, &str)]) -> Topology {
        Topology {
            nodes: nodes.iter().map(|name| GraphNode::new(*name)).collect(),
            edges: edges
                .iter()
                .map(|(from, to)| Edge::new(vec![(*from).to_owned()], vec![(*to).to_owned()]))
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
        ] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }

    #[test]
    fn a_graph_must_be_able_to_end() {
        let edges = [(START, "a"), ("a", "b"), ("b", "c")];
        let dead = topology(&["a", "b", "c"], &edges);
        assert_eq!(
            found(&dead)[2],
            "node `c` has no way out: add an edge to another node or to END"
        );
        let mut round = dead.clone();
        round
            .edges
            .push(Edge::new(vec!["c".into()], vec!["a".into()]));
        assert!(found(&round)[0].starts_with("from node `a` no way leads to END"));
        round.edges.pop();
        for (branch, to) in [("Again", "a"), ("Done", END)] {
            round.edges.push(Edge::on_branch("c", branch, to));
        }
        assert_eq!(found(&round), [""; 0]);
        round
            .edges
            .push(Edge::new(vec!["c".into()], vec![END.into()]));
        assert!(found(&round)[0].starts_with("node `c` has more than one edge out"));
    }

    mod deploy {
        //! Steps that declare what they write.
        use crate::prelude::*;
        use serde::{Deserialize, Serialize};

        #[derive(State, Clone, Serialize, Deserialize)]
        pub(super) struct Deploy {
            #[serde(rename = "serverId")]
            server_id: Option<String>,
            #[reduce(append)]
            logs: Vec<String>,
        }

        #[step(writes(server_id, logs))]
        pub(super) async fn provision(_: &Ctx, _: &Deploy) -> StepResult<ProvisionWrites> {
            Ok(ProvisionWrites::new().server_id("s-1").logs(["made"]))
        }

        #[step(writes(logs, server_id))]
        pub(super) async fn release(_: &Ctx, _: &Deploy) -> StepResult<ReleaseWrites> {
            Ok(ReleaseWrites::new().server_id(None).logs(["gone"]))
        }

        #[step(writes(logs))]
        pub(super) async fn note(_: &Ctx, _: &Deploy) -> StepResult<NoteWrites> {
            Ok(NoteWrites::new().logs(["noted"]))
        }
    }

    #[test]
    fn parallel_nodes_do_not_declare_one_field_without_a_reducer() {
        use crate::definition::binding::Node;
        use crate::definition::pipeline::Pipeline;
        let group = || {
            [
                Node::of::<deploy::provision>(),
                Node::of::<deploy::note>(),
                Node::of::<deploy::release>().named("free"),
            ]
        };
        let begin = || Pipeline::<deploy::Deploy>::new("deploy", 1);
        let [fault] = faults(&begin().parallel(group()).build())
            .try_into()
            .unwrap();
        let DefinitionFault::SharedWrite {
            field,
            first,
            second,
        } = fault
        else {
            panic!("{fault:?}")
        };
        assert_eq!(
            (&*field, &*first, &*second),
            ("server_id", "provision", "free")
        );
        let [provision, note, release] = group();
        let apart = begin().parallel([provision, note]).step(release).build();
        assert!(faults(&apart).is_empty());
    }

    #[test]
    fn start_is_only_left_and_end_only_reached() {
        let topology = topology(&["a"], &[(START, "a"), ("a", START), (END, "a")]);
        let found = found(&topology).join("\n");
        assert!(found.contains("an edge leads into START"), "{found}");
        assert!(found.contains("an edge leads out of END"), "{found}");
    }

    #[test]
    fn a_misspelt_node_is_told_its_neighbour() {
        let topology = topology(&["rollback"], &[(START, "rollbak")]);
        assert!(found(&topology)[0].ends_with("a node with a similar name is `rollback`"));
    }
}
