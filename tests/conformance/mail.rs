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
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl Signal for Told {
    const NAME: &'static str = "tale.told";
}

impl From<Told> for TaleUpdate {
    fn from(told: Told) -> Self {
        Tale::update().lines([told.line]).total(told.amount)
    }
}

/// The end of a tale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Closed {}

impl Signal for Closed {
    const NAME: &'static str = "tale.closed";
}

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

fn node(name: &str) -> Node<Tale> {
    Node::of::<act>().named(name)
}

/// Waits behind `open` for a line, which ends it, or for half a second.
pub(crate) struct Onboarding;

impl Workflow for Onboarding {
    type State = Tale;
    const NAME: &'static str = "mail.onboarding";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        Graph::new(Self::NAME, Self::VERSION)
            .node(node("open"))
            .node(node("verified"))
            .node(node("expired"))
            .entry("open")
            .wait_edge::<Told>("open", "verified")
            .wait_edge_after("open", "expired", Duration::from_millis(500))
            .terminal("verified")
            .terminal("expired")
            .build()
    }
}

/// Takes lines, one at a time, until their amounts are enough; or is closed.
pub(crate) struct Listening;

impl Workflow for Listening {
    type State = Tale;
    const NAME: &'static str = "mail.listening";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        Graph::new(Self::NAME, Self::VERSION)
            .node(node("listen"))
            .node(node("judge"))
            .node(node("close"))
            .entry("listen")
            .wait_edge::<Told>("listen", "judge")
            .wait_edge::<Closed>("listen", "close")
            .conditional(
                "judge",
                enough,
                [(Enough::No, "listen"), (Enough::Yes, "close")],
            )
            .terminal("close")
            .build()
    }
}

/// Waits an hour behind its first node.
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
