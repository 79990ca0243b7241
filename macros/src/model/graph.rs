// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A graph: its nodes, its edges, and that every node lies on a way from START to END.

use std::collections::{BTreeMap, HashSet};

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, LitInt, LitStr, Path, TypePath};

use super::duration::{DurationFault, wait_milliseconds};
use super::pipeline::{Node, Place, check_name, check_node, check_version, last_segment, require};
use super::schedule::{self, Schedule};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::graph::{EdgeSyntax, GraphOptions, TOPOLOGY};
use crate::parse::pipeline::{NAME, NodeSyntax, VERSION};
use crate::root::Root;

mod exits;

use exits::Exits;

const START: &str = "START";
const END: &str = "END";

/// The most visits that can be allowed.
const MAX_VISITS_LIMIT: u32 = 100_000;

/// A checked graph.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) place: Place,
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) max_visits: Option<u32>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) root: Root,
}

/// Where an edge leaves or arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Node(String),
    End,
}

/// What leads on from a node.
#[derive(Debug)]
pub(crate) enum Edge {
    Plain {
        from: Anchor,
        to: Anchor,
    },
    Conditional {
        from: Anchor,
        router: Box<Expr>,
        branches: Vec<(Path, Anchor)>,
        span: Span,
    },
    Wait {
        from: Anchor,
        to: Anchor,
        event: Event,
    },
    /// Where a run begins.
    Entry(Anchor),
    /// Where it ends.
    Terminal(Anchor),
}

/// What an edge waits for.
#[derive(Debug)]
pub(crate) enum Event {
    Signal(TypePath),
    /// So many milliseconds.
    After(u64),
}

static AT_START: Anchor = Anchor::Start;
static AT_END: Anchor = Anchor::End;

/// Checks a graph. `None` when a part of it is missing; the errors tell which.
pub(crate) fn check(
    options: GraphOptions,
    place: Option<&Place>,
    root: &Root,
    diagnostics: &mut Diagnostics,
) -> Option<Graph> {
    let needed = [NAME, VERSION, TOPOLOGY];
    require("#[graph]", &needed, &options.keys, diagnostics);
    check_name(options.name.as_ref(), diagnostics);
    let version = options
        .version
        .and_then(|version| check_version(&version, diagnostics));
    let max_visits = options
        .max_visits
        .and_then(|visits| check_max_visits(&visits, diagnostics));
    let schedule = schedule::check(options.schedule, diagnostics);
    let ends = Ends {
        entry: options.entry,
        terminals: options.terminals,
    };
    let (nodes, edges) = check_topology(options.nodes, &ends, options.topology?, diagnostics);
    Some(Graph {
        place: place?.clone(),
        name: options.name?,
        version: version?,
        nodes,
        edges,
        max_visits,
        schedule,
        root: root.clone(),
    })
}

fn check_max_visits(visits: &LitInt, diagnostics: &mut Diagnostics) -> Option<u32> {
    let range = 1..=MAX_VISITS_LIMIT;
    let number = visits
        .base10_parse()
        .ok()
        .filter(|number| range.contains(number));
    if number.is_none() {
        diagnostics.error(visits, message::MAX_VISITS);
    }
    number
}

/// The nodes as they come to be known, each with what to point at.
struct Nodes {
    declared: Vec<Node>,
    names: HashSet<String>,
    culprits: BTreeMap<String, TokenStream>,
    /// The paths that the topology names, by the names of their nodes, where `nodes` is left out.
    paths: BTreeMap<String, Path>,
    are_listed: bool,
}

impl Nodes {
    fn listed(nodes: Vec<(Option<syn::Ident>, NodeSyntax)>, diagnostics: &mut Diagnostics) -> Self {
        let mut known = Self::unlisted();
        known.are_listed = true;
        for (name, mut node) in nodes {
            let step = node.step.clone();
            let name = name.map(|name| LitStr::new(&name.to_string(), name.span()));
            node.name = node.name.or(name);
            let culprit = match &node.name {
                Some(name) => name.to_token_stream(),
                None => step.to_token_stream(),
            };
            known.add(node, culprit, diagnostics);
        }
        known
    }

    fn unlisted() -> Self {
        Self {
            declared: Vec::new(),
            names: HashSet::new(),
            culprits: BTreeMap::new(),
            paths: BTreeMap::new(),
            are_listed: false,
        }
    }

    fn add(&mut self, node: NodeSyntax, culprit: TokenStream, diagnostics: &mut Diagnostics) {
        let step = last_segment(&node.step);
        let node = check_node(node, &mut self.names, diagnostics);
        let name = node.name.clone().unwrap_or(step);
        self.culprits.entry(name).or_insert(culprit);
        self.declared.push(node);
    }

    /// What a path in the topology means. A node that is not listed where `nodes` is given is reported,
    /// and known from then on.
    fn anchor(&mut self, path: &Path, diagnostics: &mut Diagnostics) -> Anchor {
        let name = last_segment(path);
        match name.as_str() {
            START if path.get_ident().is_some() => return Anchor::Start,
            END if path.get_ident().is_some() => return Anchor::End,
            _ => {}
        }
        if self.are_listed {
            if !self.names.contains(&name) {
                let known = self.culprits.keys().map(String::as_str);
                diagnostics.error(path, message::unknown_node(&name, known));
                self.names.insert(name.clone());
            }
        } else {
            match self.paths.get(&name) {
                Some(known) if known != path => {
                    // Known from then on, as another node, so that it is said once.
                    let other = path.to_token_stream().to_string();
                    if self.names.insert(other.clone()) {
                        diagnostics.error(path, message::same_node_of_two_steps(&name));
                    }
                    return Anchor::Node(other);
                }
                Some(_) => {}
                None => {
                    self.paths.insert(name.clone(), path.clone());
                    let node = NodeSyntax::plain(path.clone());
                    self.add(node, path.to_token_stream(), diagnostics);
                }
            }
        }
        Anchor::Node(name)
    }
}

/// What `entry` and `terminal` name.
struct Ends {
    entry: Option<Path>,
    terminals: Vec<Path>,
}

fn check_topology(
    listed: Option<Vec<(Option<syn::Ident>, NodeSyntax)>>,
    ends: &Ends,
    topology: Vec<EdgeSyntax>,
    diagnostics: &mut Diagnostics,
) -> (Vec<Node>, Vec<Edge>) {
    let mut nodes = match listed {
        Some(listed) => Nodes::listed(listed, diagnostics),
        None => Nodes::unlisted(),
    };
    let mut exits = Exits::default();
    let mut edges = Vec::new();
    if let Some(entry) = &ends.entry {
        let node = nodes.anchor(entry, diagnostics);
        if !matches!(node, Anchor::Node(_)) {
            diagnostics.error(entry, message::ENTRY_IS_NO_NODE);
        }
        exits.has_entry = true;
        edges.push(Edge::Entry(node));
    }
    for edge in topology {
        edges.push(check_edge(edge, &mut nodes, &mut exits, diagnostics));
    }
    for terminal in &ends.terminals {
        let node = nodes.anchor(terminal, diagnostics);
        exits.terminal(terminal, &node, diagnostics);
        edges.push(Edge::Terminal(node));
    }
    // Reachability says nothing of use about edges that are wrong in themselves.
    if diagnostics.is_empty() {
        ways(&nodes, &edges, diagnostics);
    }
    (nodes.declared, edges)
}

fn check_edge(
    edge: EdgeSyntax,
    nodes: &mut Nodes,
    exits: &mut Exits,
    diagnostics: &mut Diagnostics,
) -> Edge {
    let place = nodes.anchor(edge.from(), diagnostics);
    exits.leave(&place, &edge, diagnostics);
    let mut target = |to: &Path, diagnostics: &mut Diagnostics| {
        let end = nodes.anchor(to, diagnostics);
        if end == Anchor::Start {
            diagnostics.error(to, message::EDGE_INTO_START);
        }
        end
    };
    match edge {
        EdgeSyntax::Edge { to, .. } => Edge::Plain {
            from: place,
            to: target(&to, diagnostics),
        },
        EdgeSyntax::Conditional {
            branches,
            router,
            span,
            ..
        } => {
            let branches = branches.into_iter();
            let branches: Vec<(Path, Anchor)> = branches
                .map(|(answer, to)| (answer, target(&to, diagnostics)))
                .collect();
            several_targets(&branches, diagnostics);
            Edge::Conditional {
                from: place,
                router,
                branches,
                span,
            }
        }
        EdgeSyntax::Wait {
            to,
            on,
            after,
            is_given,
            word,
            ..
        } => {
            let to = target(&to, diagnostics);
            if !is_given {
                diagnostics.error(word, message::WAIT_FOR_NOTHING);
            }
            let event = check_event(on, after, diagnostics);
            Edge::Wait {
                from: place,
                to,
                // What is reported is not expanded.
                event: event.unwrap_or(Event::After(0)),
            }
        }
    }
}

fn check_event(
    on: Option<TypePath>,
    after: Option<LitStr>,
    diagnostics: &mut Diagnostics,
) -> Option<Event> {
    if on.is_some()
        && let Some(after) = &after
    {
        diagnostics.error(after, message::WAIT_FOR_BOTH);
    }
    let Some(after) = after else {
        return on.map(Event::Signal);
    };
    let text = after.value();
    let message = match wait_milliseconds(&text) {
        Ok(0) => message::WAIT_OF_ZERO.to_owned(),
        Ok(milliseconds) => return Some(Event::After(milliseconds)),
        Err(DurationFault::Malformed) => message::malformed_duration(&text),
        Err(DurationFault::TooLong) => message::long_wait(&text),
    };
    diagnostics.error(after, message);
    None
}

fn several_targets(branches: &[(Path, Anchor)], diagnostics: &mut Diagnostics) {
    let mut seen = HashSet::new();
    for (answer, _) in branches {
        let name = last_segment(answer);
        if !seen.insert(name.clone()) {
            diagnostics.error(answer, message::several_targets(&name));
        }
    }
}

/// Each node must be reached from START, and lead to END.
fn ways(nodes: &Nodes, edges: &[Edge], diagnostics: &mut Diagnostics) {
    let pairs: Vec<(&Anchor, &Anchor)> = edges.iter().flat_map(Edge::pairs).collect();
    if !pairs.iter().any(|(from, _)| **from == Anchor::Start) {
        diagnostics.error_at(Span::call_site(), message::NO_START);
        return;
    }
    let reached = closure(&Anchor::Start, pairs.iter().copied());
    let finishing = closure(&Anchor::End, pairs.iter().map(|(from, to)| (*to, *from)));
    for (name, culprit) in &nodes.culprits {
        let node = Anchor::Node(name.clone());
        let message = if !reached.contains(&&node) {
            message::unreachable_node(name)
        } else if !pairs.iter().any(|(from, _)| **from == node) {
            message::dead_end(name)
        } else if !finishing.contains(&&node) {
            message::endless(name)
        } else {
            continue;
        };
        diagnostics.error(culprit, message);
    }
}

/// What can be come to from `start`.
fn closure<'a>(
    start: &'a Anchor,
    pairs: impl Iterator<Item = (&'a Anchor, &'a Anchor)>,
) -> Vec<&'a Anchor> {
    let pairs: Vec<_> = pairs.collect();
    let mut found = vec![start];
    let mut next = 0;
    while let Some(here) = found.get(next).copied() {
        next += 1;
        for (from, to) in &pairs {
            if *from == here && !found.contains(to) {
                found.push(to);
            }
        }
    }
    found
}

impl Edge {
    fn pairs(&self) -> Vec<(&Anchor, &Anchor)> {
        match self {
            Self::Plain { from, to } | Self::Wait { from, to, .. } => vec![(from, to)],
            Self::Conditional { from, branches, .. } => {
                branches.iter().map(|(_, to)| (from, to)).collect()
            }
            Self::Entry(node) => vec![(&AT_START, node)],
            Self::Terminal(node) => vec![(node, &AT_END)],
        }
    }
}
