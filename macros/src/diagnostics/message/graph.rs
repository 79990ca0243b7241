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

pub(crate) const EXPECTED_EDGE: &str = "expected `edge(from, to)`, `conditional(from, router, { Route::Answer => to })` or `wait_edge(from, to, on = Signal)`";

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

pub(crate) const NO_START: &str =
    "no edge leaves START: write `entry = first_step` or `edge(START, first_step)`";

pub(crate) const ENTRY_AND_START: &str =
    "START is left by `entry` already: keep `entry` or this edge";

pub(crate) const ENTRY_IS_NO_NODE: &str =
    "`entry` names the node where a run begins: write `entry = first_step`";

pub(crate) const TERMINAL_IS_NO_NODE: &str =
    "`terminal` names nodes that end the run: write `terminal = [last_step]`";

pub(crate) const WAIT_AT_START: &str =
    "an edge that waits cannot leave START: begin with a node, and let the edge leave that";

pub(crate) const WAIT_FOR_BOTH: &str = "an edge waits for a signal or for a time, not for both
= help: write two edges, of which the first to come decides: `wait_edge(from, to, on = Signal), wait_edge(from, other, after = \"7d\")`";

pub(crate) const WAIT_FOR_NOTHING: &str =
    "say what the edge waits for: `on = MySignal` or `after = \"7d\"`";

pub(crate) const WAIT_OF_ZERO: &str =
    "an edge waits at least one millisecond: write `edge(from, to)` to go on at once";

pub(crate) fn long_wait(text: &str) -> String {
    format!("`{text}` is too long: an edge waits at most 3650 days (\"3650d\")")
}

pub(crate) fn wait_beside_edge(node: &str) -> String {
    with_help(
        format!("node `{node}` is left by an edge that waits and by one that does not"),
        "let all its edges wait, or go on to a node of its own and wait there",
    )
}

pub(crate) fn duplicate_signal(node: &str, signal: &str) -> String {
    format!("an edge out of node `{node}` waits for `{signal}` already: keep one")
}

pub(crate) fn duplicate_timer(node: &str) -> String {
    with_help(
        format!("an edge out of node `{node}` waits for a time already: keep one"),
        "of two timers the later would never be taken",
    )
}

pub(crate) fn terminal_goes_on(node: &str) -> String {
    format!("node `{node}` is terminal, and an edge leaves it: keep one of both")
}

pub(crate) fn duplicate_terminal(node: &str) -> String {
    format!("`terminal` names node `{node}` twice: keep one")
}

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
    match nearest(written, ["edge", "conditional", "wait_edge"]) {
        Some(near) => with_help(message, format!("a similar word exists: `{near}(..)`")),
        None => with_help(
            message,
            "write `edge(from, to)`, `conditional(from, router, { .. })` or `wait_edge(from, to, on = ..)`",
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
    format!(
        "node `{node}` has no way out: add an edge to another node or to END, or name it in `terminal`"
    )
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
