// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[graph]`: the same declarations as those of the plain builder.

use std::time::Duration;

use forktex_flow::__private::{Registration, inventory};
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::graph::Graph;
use forktex_flow::definition::topology::{END, EdgeWait, START};
use forktex_flow::definition::{Declaration, Workflow};
use forktex_flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Onboarding {
    email: Option<String>,
    #[reduce(append)]
    log: Vec<String>,
}

mod steps {
    //! Steps in a module of their own.
    use super::{Ctx, Onboarding, OnboardingUpdate, StepResult, step};

    #[step]
    pub(super) async fn verified(_ctx: &Ctx, _: &Onboarding) -> StepResult<OnboardingUpdate> {
        Ok(Onboarding::update().log(["verified"]))
    }
}

#[step]
async fn email_pending(_ctx: &Ctx, _state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().log(["pending"]))
}

#[step]
async fn expired(_ctx: &Ctx, state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().email(state.email.clone()))
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("email.verified")]
struct EmailVerified {
    email: String,
}

impl From<EmailVerified> for OnboardingUpdate {
    fn from(signal: EmailVerified) -> Self {
        Onboarding::update().email(signal.email)
    }
}

mod signals {
    //! Signals in a module of their own.
    use super::{Deserialize, Onboarding, OnboardingUpdate, Serialize, Signal};

    #[derive(Signal, Serialize, Deserialize)]
    #[signal("email.refused")]
    pub(super) struct Refused;

    impl From<Refused> for OnboardingUpdate {
        fn from(_: Refused) -> Self {
            Onboarding::update().log(["refused"])
        }
    }
}

#[graph(
    name = "user.onboarding", version = 1, state = Onboarding,
    entry = email_pending, terminal = [steps::verified, expired],
    topology = [
        wait_edge(email_pending, steps::verified, on = EmailVerified),
        wait_edge(email_pending, expired, on = signals::Refused,),
        wait_edge(email_pending, expired, after = "7d"),
    ],
)]
struct UserOnboarding;

#[graph(
    name = "user.reminders", version = 2, state = Onboarding,
    nodes = { remind: step(email_pending, max_attempts = 9), give_up: expired },
    topology = [
        edge(START, remind),
        wait_edge(remind, END, on = EmailVerified),
        wait_edge(remind, give_up, after = "3650d"),
    ],
    terminal = give_up,
    max_visits = 4,
)]
struct Reminders;

/// A graph that is its own state.
#[graph(
    name = "user.counter", version = 1, entry = count,
    topology = [conditional(count, is_enough, { Enough::No => count, Enough::Yes => END })],
)]
#[derive(Clone, Serialize, Deserialize)]
struct Counter {
    #[reduce(add)]
    total: u32,
    goal: u32,
}

#[derive(Route)]
enum Enough {
    No,
    Yes,
}

fn is_enough(counter: &Counter) -> Enough {
    if counter.total < counter.goal {
        Enough::No
    } else {
        Enough::Yes
    }
}

#[step]
async fn count(_ctx: &Ctx, _counter: &Counter) -> StepResult<CounterUpdate> {
    Ok(Counter::update().total(1))
}

/// The nodes and edges of both, in their order.
fn assert_same(one: &Declaration, other: &Declaration) {
    assert_eq!((one.name(), one.version()), (other.name(), other.version()));
    assert_eq!(one.topology(), other.topology());
}

#[test]
fn entry_terminals_and_waits_are_those_of_the_plain_builder() {
    let plain = Graph::<Onboarding>::new("user.onboarding", 1)
        .node(Node::of::<email_pending>())
        .node(Node::of::<steps::verified>())
        .node(Node::of::<expired>())
        .entry("email_pending")
        .wait_edge::<EmailVerified>("email_pending", "verified")
        .wait_edge::<signals::Refused>("email_pending", "expired")
        .wait_edge_after("email_pending", "expired", Duration::from_hours(7 * 24))
        .terminal("verified")
        .terminal("expired")
        .build();
    assert_same(&UserOnboarding::declare(), &plain);
    let waits: Vec<_> = plain
        .topology()
        .edges
        .iter()
        .map(|edge| edge.wait.clone())
        .collect();
    assert_eq!(
        waits[1],
        Some(EdgeWait::Signal("email.verified".to_owned()))
    );
    assert_eq!(
        waits[3],
        Some(EdgeWait::After(Duration::from_hours(7 * 24)))
    );
}

#[test]
fn a_node_may_wait_for_the_end_and_one_terminal_needs_no_list() {
    let plain = Graph::<Onboarding>::new("user.reminders", 2)
        .node(Node::of::<email_pending>().named("remind"))
        .node(Node::of::<expired>().named("give_up"))
        .max_visits(4)
        .edge(START, "remind")
        .wait_edge::<EmailVerified>("remind", END)
        .wait_edge_after("remind", "give_up", Duration::from_hours(3_650 * 24))
        .terminal("give_up")
        .build();
    assert_same(&Reminders::declare(), &plain);
}

#[test]
fn a_graph_on_a_struct_with_fields_is_its_own_state() {
    let plain = Graph::<Counter>::new("user.counter", 1)
        .node(Node::of::<count>())
        .entry("count")
        .conditional(
            "count",
            is_enough,
            [(Enough::No, "count"), (Enough::Yes, END)],
        )
        .build();
    assert_same(&Counter::declare(), &plain);
    let counter = Counter::from_input(json!({ "goal": 3 })).unwrap();
    assert_eq!(counter.total, 0);
    let counter = counter.updated(Counter::update().total(2)).unwrap();
    assert_eq!((counter.total, counter.goal), (2, 3));
}

#[test]
fn graphs_are_found_at_link_time() {
    let registered = inventory::iter::<Registration>
        .into_iter()
        .map(|registration| format!("{registration:?}"))
        .filter(|text| text.contains("macros::graph"));
    assert_eq!(registered.count(), 3);
}
