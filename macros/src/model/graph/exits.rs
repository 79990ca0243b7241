// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How nodes are left: by one edge, by one router, or by edges that all wait.

use std::collections::{HashMap, HashSet};

use quote::ToTokens;
use syn::Path;

use super::Anchor;
use crate::diagnostics::{Diagnostics, message};
use crate::parse::graph::EdgeSyntax;

/// The ways out that were seen so far.
#[derive(Default)]
pub(super) struct Exits {
    /// Whether `entry` leaves START.
    pub(super) has_entry: bool,
    start_is_left: bool,
    of_nodes: HashMap<String, Exit>,
    terminals: HashSet<String>,
}

/// How a node is left.
enum Exit {
    /// By an edge or a router, of which there is one.
    AtOnce,
    Waiting {
        signals: HashSet<String>,
        has_timer: bool,
    },
}

impl Exits {
    /// Notes an edge out of `place`, and reports what cannot stand beside the others.
    pub(super) fn leave(
        &mut self,
        place: &Anchor,
        edge: &EdgeSyntax,
        diagnostics: &mut Diagnostics,
    ) {
        let from = edge.from();
        match (place, edge) {
            (Anchor::End, _) => diagnostics.error(from, message::EDGE_OUT_OF_END),
            (Anchor::Start, EdgeSyntax::Conditional { .. }) => {
                diagnostics.error(from, message::ROUTER_AT_START);
            }
            (Anchor::Start, EdgeSyntax::Wait { .. }) => {
                diagnostics.error(from, message::WAIT_AT_START);
            }
            (Anchor::Start, EdgeSyntax::Edge { .. }) => {
                if self.has_entry {
                    diagnostics.error(from, message::ENTRY_AND_START);
                } else if self.start_is_left {
                    diagnostics.error(from, message::SEVERAL_STARTS);
                }
                self.start_is_left = true;
            }
            (Anchor::Node(name), EdgeSyntax::Wait { .. }) => self.wait(name, edge, diagnostics),
            (Anchor::Node(name), _) => match self.of_nodes.get(name) {
                None => {
                    self.of_nodes.insert(name.clone(), Exit::AtOnce);
                }
                Some(Exit::AtOnce) => diagnostics.error(from, message::several_exits(name)),
                Some(Exit::Waiting { .. }) => {
                    diagnostics.error(from, message::wait_beside_edge(name));
                }
            },
        }
    }

    fn wait(&mut self, node: &str, edge: &EdgeSyntax, diagnostics: &mut Diagnostics) {
        let EdgeSyntax::Wait {
            from, on, after, ..
        } = edge
        else {
            return;
        };
        let exit = self
            .of_nodes
            .entry(node.to_owned())
            .or_insert_with(|| Exit::Waiting {
                signals: HashSet::new(),
                has_timer: false,
            });
        let Exit::Waiting { signals, has_timer } = exit else {
            diagnostics.error(from, message::wait_beside_edge(node));
            return;
        };
        if let Some(signal) = on {
            let name = signal.to_token_stream().to_string().replace(' ', "");
            if !signals.insert(name.clone()) {
                diagnostics.error(signal, message::duplicate_signal(node, &name));
            }
        }
        if let Some(after) = after
            && std::mem::replace(has_timer, true)
        {
            diagnostics.error(after, message::duplicate_timer(node));
        }
    }

    /// Notes that the run ends at `place`, and reports what cannot.
    pub(super) fn terminal(&mut self, path: &Path, place: &Anchor, diagnostics: &mut Diagnostics) {
        let Anchor::Node(name) = place else {
            diagnostics.error(path, message::TERMINAL_IS_NO_NODE);
            return;
        };
        if !self.terminals.insert(name.clone()) {
            diagnostics.error(path, message::duplicate_terminal(name));
        } else if self.of_nodes.contains_key(name) {
            diagnostics.error(path, message::terminal_goes_on(name));
        }
    }
}
