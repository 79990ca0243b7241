// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that wait behind their nodes, for the tests of signals and timers.

use std::time::Duration;

use forktex::flow::definition::binding::Node;
use forktex::flow::definition::graph::Graph;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::tale::{Tale, TaleUpdate, act};

/// A line of a tale, told from outside.
#[derive(Signal, Debug, Clone, Serialize, Deserialize)]
#[signal("tale.told")]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) amount: i64,
}

pub(crate) fn told(line: &str, amount: i64) -> Told {
    Told {
        line: line.to_owned(),
        amount,
    }
}

impl From<Told> for TaleUpdate {
    fn from(told: Told) -> Self {
        Tale::update().lines([told.line]).total(told.amount)
    }
}

/// The end of a tale.
#[derive(Signal, Debug, Clone, Serialize, Deserialize)]
#[signal("tale.closed")]
pub(crate) struct Closed {}

impl From<Closed> for TaleUpdate {
    fn from(_: Closed) -> Self {
        Tale::update().subject("closed".to_owned())
    }
}

#[derive(Route)]
pub(crate) enum Enough {
    No,
    Yes,
}

fn enough(tale: &Tale) -> Enough {
    if tale.total >= 3 {
        Enough::Yes
    } else {
        Enough::No
    }
}

/// Waits behind `open` for a line, which ends it, or for half a second.
#[graph(
    name = "mail.onboarding", version = 1, state = Tale,
    nodes = { open: act, verified: act, expired: act },
    entry = open, terminal = [verified, expired],
    topology = [
        wait_edge(open, verified, on = Told),
        wait_edge(open, expired, after = "500ms"),
    ],
)]
pub(crate) struct Onboarding;

/// Takes lines, one at a time, until their amounts are enough; or is closed.
#[graph(
    name = "mail.listening", version = 1, state = Tale,
    nodes = { listen: act, judge: act, close: act },
    entry = listen, terminal = close,
    topology = [
        wait_edge(listen, judge, on = Told),
        wait_edge(listen, close, on = Closed),
        conditional(judge, enough, { Enough::No => listen, Enough::Yes => close }),
    ],
)]
pub(crate) struct Listening;

fn node(name: &str) -> Node<Tale> {
    Node::of::<act>().named(name)
}

/// Waits an hour behind its first node; in the words of the plain builder.
pub(crate) struct Hour;

impl Workflow for Hour {
    type State = Tale;
    const NAME: &'static str = "mail.hour";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        Graph::new(Self::NAME, Self::VERSION)
            .node(node("before"))
            .node(node("after"))
            .entry("before")
            .wait_edge_after("before", "after", Duration::from_hours(1))
            .terminal("after")
            .build()
    }
}
