// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[graph]` and `#[derive(Route)]`.

use std::fmt::Display;

use super::with_help;
use crate::diagnostics::nearest;

pub(crate) const GENERIC_ROUTE: &str = "a route takes no generics, lifetimes or where clause";

pub(crate) const ROUTE_WITHOUT_VARIANTS: &str =
    "a route needs at least one variant: each is an answer that a router may give";

pub(crate) const NO_EDGES: &str =
    "a graph needs edges: write `topology = [edge(START, first_step), edge(first_step, END)]`";

pub(crate) const EXPECTED_EDGE: &str =
    "expected `edge(from, to)` or `conditional(from, router, { Route::Answer => to })`";

pub(crate) const EXPECTED_NODE: &str = "expected the name of a node, `START` or `END`";

pub(crate) const EXPECTED_BRANCHES: &str = "expected the targets of the router's answers: `{ Route::Answer => node, Route::Other => END }`";

pub(crate) const PLAIN_VARIANT: &str =
    "write each answer with its enum, as `Verdict::Healthy`, and no `_`, guard or alternative
= help: so the compiler names an answer that has no target";

pub(crate) const NO_BRANCHES: &str = "a conditional edge needs a target for each answer";

pub(crate) const EDGE_INTO_START: &str = "no edge leads into START: name the first node instead";

pub(crate) const EDGE_OUT_OF_END: &str = "no edge leads out of END: a run that comes there is over";

pub(crate) const ROUTER_AT_START: &str =
    "a conditional edge cannot leave START: begin with a node, and let the edge leave that";

pub(crate) const SEVERAL_STARTS: &str = "START is left by more than one edge: keep one";

pub(crate) const NO_START: &str = "no edge leaves START: write `edge(START, first_step)`";

pub(crate) const MAX_VISITS: &str = "`max_visits` is a whole number from 1 to 100000";

pub(crate) fn route_is_no_enum(ident: &impl Display) -> String {
    format!("a route is an enum: write `enum {ident} {{ One, Other }}`")
}

pub(crate) fn route_holds_something(variant: &impl Display) -> String {
    with_help(
        format!("the variant `{variant}` of a route holds something"),
        format!("write `{variant}`, and leave what is to be known in the state"),
    )
}

pub(crate) fn unknown_edge_word(written: &str) -> String {
    let message = format!("there is no `{written}(..)` in a topology");
    match nearest(written, ["edge", "conditional"]) {
        Some(near) => with_help(message, format!("a similar word exists: `{near}(..)`")),
        None => with_help(
            message,
            "write `edge(from, to)` or `conditional(from, router, { .. })`",
        ),
    }
}

pub(crate) fn unknown_node<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let message = format!("`nodes` does not list `{name}`");
    match nearest(name, known) {
        Some(near) => with_help(message, format!("a similar node exists: `{near}`")),
        None => with_help(message, format!("add it: `nodes = {{ {name}, .. }}`")),
    }
}

pub(crate) fn several_exits(node: &str) -> String {
    with_help(
        format!("node `{node}` is left by more than one edge"),
        "keep one, or let a router choose: `conditional(node, router, { Route::Answer => to })`",
    )
}

pub(crate) fn several_targets(branch: &str) -> String {
    format!("the answer `{branch}` has a target already: keep one")
}

pub(crate) fn unreachable_node(node: &str) -> String {
    format!("nothing reaches node `{node}`: add an edge to it or remove it")
}

pub(crate) fn dead_end(node: &str) -> String {
    format!("node `{node}` has no way out: add an edge to another node or to END")
}

pub(crate) fn endless(node: &str) -> String {
    format!("from node `{node}` no way leads to END: add one, such as an answer of a router")
}

pub(crate) fn same_node_of_two_steps(node: &str) -> String {
    with_help(
        format!("two steps are called `{node}`"),
        "list them in `nodes`, one under another name: `nodes = { other_name: path::to::step, .. }`",
    )
}
