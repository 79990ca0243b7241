// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lowers a definition that was read to a declaration, and finds the faults of its topology.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use forktex_db::Filter;

use super::read::{Definition, Edge as ReadEdge, Shape, Step};
use crate::compile::validate::faults as faults_of;
use crate::definition::Declaration;
use crate::definition::binding::{Binding, Router, SignalBinding};
use crate::definition::config::{CONFIG_EDGES_MAX, ConfigFault};
use crate::definition::topology::{END, Edge, EdgeWait, START, Topology};
use crate::error::DefinitionFault;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::Version;
use crate::state::delta::Delta;
use crate::state::erased::AnyState;
use crate::state::json::{JsonCodec, JsonState, Reducers, reduced};
use crate::state::reducer::Reducer;

/// The names of the edges that leave one node, by their order; made once for the process.
static BRANCHES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let names = (1..=CONFIG_EDGES_MAX).map(|number| format!("edge {number}"));
    names.map(|name| &*name.leak()).collect()
});

/// What a router answers that finds no edge whose condition holds.
const NO_EDGE: &str = "no edge";

pub(super) fn lower(
    name: &str,
    version: Version,
    definition: Definition,
) -> Result<Declaration, Vec<ConfigFault>> {
    let reducers = Arc::new(definition.reducers);
    let mut lowered = Lowered {
        topology: Topology::default(),
        bindings: Vec::new(),
        pointers: BTreeMap::new(),
        faults: Vec::new(),
        reducers,
    };
    match definition.shape {
        Shape::Pipeline(stages) => lowered.pipeline(stages),
        Shape::Graph {
            nodes,
            edges,
            max_visits,
        } => lowered.graph(nodes, &edges, max_visits),
    }
    lowered.finish(name, version)
}

struct Lowered {
    topology: Topology,
    bindings: Vec<Binding>,
    /// Where each node is written.
    pointers: BTreeMap<String, String>,
    faults: Vec<ConfigFault>,
    reducers: Arc<Reducers>,
}

impl Lowered {
    fn pipeline(&mut self, stages: Vec<Vec<Step>>) {
        let mut from = vec![START.to_owned()];
        for stage in stages {
            let to: Vec<String> = stage.iter().map(|step| step.name.clone()).collect();
            for step in stage {
                self.add(step, None);
            }
            self.topology.edges.push(Edge::new(from, to.clone()));
            from = to;
        }
        self.topology
            .edges
            .push(Edge::new(from, vec![END.to_owned()]));
    }

    fn graph(&mut self, nodes: Vec<Step>, edges: &[ReadEdge], max_visits: Option<u32>) {
        for step in nodes {
            self.add(step, max_visits);
        }
        let mut leaving: BTreeMap<&str, Vec<&ReadEdge>> = BTreeMap::new();
        for edge in edges {
            leaving.entry(&edge.from).or_default().push(edge);
        }
        for (from, edges) in leaving {
            let waits = edges.iter().filter(|edge| edge.wait.is_some()).count();
            if waits == edges.len() {
                self.waits(from, &edges);
            } else if waits > 0 {
                let waiting = edges.iter().filter(|edge| edge.wait.is_some());
                let message = format!("node `{from}` is left by other edges that do not wait");
                let faults = waiting.map(|edge| ConfigFault::new(&edge.pointer, message.clone()));
                self.faults.extend(faults);
            } else if let [edge] = *edges
                && edge.when.is_none()
            {
                let edge = Edge::new(vec![edge.from.clone()], vec![edge.to.clone()]);
                self.topology.edges.push(edge);
            } else {
                self.router(from, &edges);
            }
        }
    }

    fn add(&mut self, step: Step, max_visits: Option<u32>) {
        let node = match max_visits {
            Some(visits) => step.node.max_visits(visits),
            None => step.node,
        };
        let node = match step.when {
            Some(when) => node.when(move |state: &JsonState| when.matches_json(state.fields())),
            None => node,
        };
        let (node, mut binding) = node.into_parts();
        let (body, reducers) = (Arc::clone(&binding.body), Arc::clone(&self.reducers));
        binding.body = Arc::new(move |ctx, state, resources| {
            let (running, reducers) = (body(ctx, state, resources), Arc::clone(&reducers));
            Box::pin(async move { running.await.map(|delta| reduced(&delta, &reducers)) })
        });
        self.pointers
            .entry(node.name.clone())
            .or_insert(step.pointer);
        self.topology.nodes.push(node);
        self.bindings.push(binding);
    }

    fn binding(&mut self, node: &str) -> Option<&mut Binding> {
        let place = self
            .topology
            .nodes
            .iter()
            .position(|known| known.name == node)?;
        self.bindings.get_mut(place)
    }

    fn waits(&mut self, from: &str, edges: &[&ReadEdge]) {
        for edge in edges {
            let Some(wait) = edge.wait.clone() else {
                continue;
            };
            if let EdgeWait::Signal(name) = &wait {
                let reducers = Arc::clone(&self.reducers);
                let signal = SignalBinding {
                    name: name.clone(),
                    update: Arc::new(move |payload| merged(payload, &reducers)),
                };
                if let Some(binding) = self.binding(from) {
                    binding.signals.push(signal);
                }
            }
            let edge = Edge::waiting(edge.from.clone(), edge.to.clone(), wait);
            self.topology.edges.push(edge);
        }
    }

    /// The edges are tried in their order; one without a condition always holds.
    fn router(&mut self, from: &str, edges: &[&ReadEdge]) {
        let conditions: Vec<Option<Filter<()>>> =
            edges.iter().map(|edge| edge.when.clone()).collect();
        let always = conditions.iter().position(Option::is_none);
        if let Some(behind) = always.and_then(|place| edges.get(place + 1)) {
            let message = "an edge without a condition stands before it: it is never taken";
            self.faults.push(ConfigFault::new(&behind.pointer, message));
        }
        for (edge, branch) in edges.iter().zip(BRANCHES.iter()) {
            let edge = Edge::on_branch(edge.from.clone(), *branch, edge.to.clone());
            self.topology.edges.push(edge);
        }
        let router = Router {
            branches: &BRANCHES[..edges.len()],
            choose: Arc::new(move |state: &AnyState| {
                let state = state.downcast::<JsonState>().ok_or_else(|| {
                    StepFailure::new(StepFailureKind::Fatal, "the state is not JSON")
                })?;
                let holds = |condition: &Option<Filter<()>>| {
                    condition
                        .as_ref()
                        .is_none_or(|filter| filter.matches_json(state.fields()))
                };
                let place = conditions.iter().position(holds);
                Ok(place.map_or(NO_EDGE, |place| BRANCHES[place]))
            }),
        };
        if let Some(binding) = self.binding(from) {
            binding.router = Some(router);
        }
    }

    fn finish(mut self, name: &str, version: Version) -> Result<Declaration, Vec<ConfigFault>> {
        let declaration = Declaration {
            name: name.to_owned(),
            version,
            topology: self.topology,
            bindings: self.bindings,
            codec: Arc::new(JsonCodec),
            schedule: None,
        };
        for fault in faults_of(&declaration) {
            let pointer = fault
                .node()
                .and_then(|node| self.pointers.get(node))
                .map_or("", String::as_str);
            self.faults
                .push(ConfigFault::new(pointer, fault.to_string()));
        }
        if self.faults.is_empty() {
            Ok(declaration)
        } else {
            Err(self.faults)
        }
    }
}

/// The fields of a signal's payload, as updates of those of the state.
fn merged(payload: serde_json::Value, reducers: &Reducers) -> Result<Delta, StepFailure> {
    let serde_json::Value::Object(fields) = payload else {
        return Err(StepFailure::new(
            StepFailureKind::Payload,
            "the payload must be a JSON object, whose fields are merged into the state",
        ));
    };
    let mut delta = Delta::new();
    for (field, value) in fields {
        delta.insert(Reducer::Set, &field, value);
    }
    Ok(reduced(&delta, reducers))
}

impl DefinitionFault {
    /// The node that the fault is about, if it is about one.
    fn node(&self) -> Option<&str> {
        match self {
            Self::DuplicateNode { node }
            | Self::UnknownNode { node, .. }
            | Self::SeveralExits { node }
            | Self::Unreachable { node }
            | Self::DeadEnd { node }
            | Self::Endless { node }
            | Self::DuplicateWait { node, .. }
            | Self::WaitOutOfRange { node, .. }
            | Self::MissingBranch { node, .. }
            | Self::SeveralTargets { node, .. }
            | Self::MaxVisits { node, .. }
            | Self::Retry { node, .. } => Some(node),
            Self::Name(invalid) => Some(&invalid.text),
            _ => None,
        }
    }
}
