// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The builder of a graph: nodes, edges between them, and routers that choose between edges.

use std::time::Duration;

use crate::identifier::Version;
use crate::schedule::input::DeclaredSchedule;
use crate::schedule::{DefaultInput, InvalidSchedule, Schedule, ScheduleInput};
use crate::signal::{MergesInto, Signal};
use crate::state::State;
use crate::state::erased::Typed;

use super::Declaration;
use super::binding::{Node, Router, SignalBinding};
use super::route::{Choice, Route};
use super::topology::{END, Edge, EdgeWait, START, Topology};

/// A graph on states of type `S`; `#[graph]` expands to this builder.
///
/// A run begins at the node that [`START`] leads to, and ends where it comes to
/// [`END`]. It may come to a node again, as often as `max_visits` allows.
///
/// # Examples
/// ```
/// use forktex_flow::prelude::*;
/// use forktex_flow::definition::topology::{END, START};
/// use forktex_flow::definition::{binding::Node, graph::Graph};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(State, Clone, Serialize, Deserialize)]
/// struct Deploy {
///     tries: u32,
///     is_healthy: bool,
/// }
///
/// #[step]
/// async fn configure(_ctx: &Ctx, state: &Deploy) -> StepResult<DeployUpdate> {
///     Ok(Deploy::update().tries(state.tries + 1).is_healthy(state.tries > 0))
/// }
///
/// #[step]
/// async fn announce(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
///     Ok(())
/// }
///
/// #[derive(Route)]
/// enum Verdict {
///     Failed,
///     Healthy,
/// }
///
/// fn after_configure(state: &Deploy) -> Verdict {
///     if state.is_healthy { Verdict::Healthy } else { Verdict::Failed }
/// }
///
/// let declaration = Graph::<Deploy>::new("cloud.deploy", 1)
///     .node(Node::of::<configure>())
///     .node(Node::of::<announce>())
///     .max_visits(5)
///     .edge(START, "configure")
///     .conditional(
///         "configure",
///         after_configure,
///         [(Verdict::Failed, "configure"), (Verdict::Healthy, "announce")],
///     )
///     .edge("announce", END)
///     .build();
/// assert_eq!(declaration.topology().edges.len(), 4);
/// ```
#[derive(Debug)]
#[must_use = "a graph does nothing until it is built and registered"]
pub struct Graph<S> {
    name: String,
    version: Version,
    nodes: Vec<Node<S>>,
    edges: Vec<Edge>,
    routers: Vec<(String, Router)>,
    signals: Vec<(String, SignalBinding)>,
    max_visits: Option<u32>,
    schedule: Option<DeclaredSchedule>,
}

impl<S: State> Graph<S> {
    /// A graph without nodes.
    pub fn new(name: impl Into<String>, version: Version) -> Self {
        Self {
            name: name.into(),
            version,
            nodes: Vec::new(),
            edges: Vec::new(),
            routers: Vec::new(),
            signals: Vec::new(),
            max_visits: None,
            schedule: None,
        }
    }

    /// Adds a node.
    pub fn node(mut self, node: Node<S>) -> Self {
        self.nodes.push(node);
        self
    }

    /// Goes on from one node to another when the first is done.
    pub fn edge(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.edges
            .push(Edge::new(vec![from.into()], vec![to.into()]));
        self
    }

    /// Goes on from a node to where `choose` says, which is asked of the state with the node's update in
    /// it. Each answer must be given a target. The answer is recorded, and not asked for again after a
    /// crash; a router that errs or panics fails the run.
    pub fn conditional<R: Route, C: Choice<Route = R>>(
        mut self,
        from: impl Into<String>,
        choose: impl Fn(&S) -> C + Send + Sync + 'static,
        branches: impl IntoIterator<Item = (R, impl Into<String>)>,
    ) -> Self {
        let from = from.into();
        for (route, to) in branches {
            let edge = Edge::on_branch(from.clone(), route.branch(), to);
            self.edges.push(edge);
        }
        self.routers.push((from, Router::new(choose)));
        self
    }

    /// Where a run begins: the same as an edge from [`START`].
    pub fn entry(self, node: impl Into<String>) -> Self {
        self.edge(START, node)
    }

    /// A node that ends the run when it is done: the same as an edge to [`END`].
    pub fn terminal(self, node: impl Into<String>) -> Self {
        self.edge(node, END)
    }

    /// Goes on from a node when a signal of type `G` has come, which `From<G>` of the state's update
    /// merges into the state, reducers included.
    ///
    /// The wait begins when the node is done and holds no slot, task or connection. A signal that was
    /// sent earlier is taken at once, the oldest first. Of several waits out of one node the first
    /// event to come decides, by the database's clock.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    /// use forktex_flow::definition::{binding::Node, graph::Graph};
    /// use serde::{Deserialize, Serialize};
    /// use std::time::Duration;
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct Onboarding {
    ///     email: Option<String>,
    /// }
    ///
    /// #[derive(Signal, Serialize, Deserialize)]
    /// #[signal("email.verified")]
    /// struct EmailVerified {
    ///     email: String,
    /// }
    ///
    /// impl From<EmailVerified> for OnboardingUpdate {
    ///     fn from(signal: EmailVerified) -> Self {
    ///         Onboarding::update().email(signal.email)
    ///     }
    /// }
    ///
    /// #[step]
    /// async fn note(_ctx: &Ctx, _state: &Onboarding) -> StepResult<()> {
    ///     Ok(())
    /// }
    ///
    /// let declaration = Graph::<Onboarding>::new("user.onboarding", 1)
    ///     .node(Node::of::<note>().named("pending"))
    ///     .node(Node::of::<note>().named("verified"))
    ///     .node(Node::of::<note>().named("expired"))
    ///     .entry("pending")
    ///     .wait_edge::<EmailVerified>("pending", "verified")
    ///     .wait_edge_after("pending", "expired", Duration::from_secs(7 * 24 * 60 * 60))
    ///     .terminal("verified")
    ///     .terminal("expired")
    ///     .build();
    /// assert_eq!(declaration.topology().edges.len(), 5);
    /// ```
    pub fn wait_edge<G: Signal + MergesInto<S>>(
        mut self,
        from: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        let from = from.into();
        let wait = EdgeWait::Signal(G::NAME.to_owned());
        self.edges.push(Edge::waiting(from.clone(), to, wait));
        self.signals.push((from, SignalBinding::of::<S, G>()));
        self
    }

    /// Goes on from a node when so much time has passed since it was done, by the database's clock.
    /// The wait holds no slot, task or connection, and survives restarts.
    pub fn wait_edge_after(
        mut self,
        from: impl Into<String>,
        to: impl Into<String>,
        after: Duration,
    ) -> Self {
        self.edges
            .push(Edge::waiting(from, to, EdgeWait::After(after)));
        self
    }

    /// How often a run may come to one node, from 1 to
    /// [`MAX_VISITS_LIMIT`](super::topology::MAX_VISITS_LIMIT); one more fails the run. By default 1,000.
    pub fn max_visits(mut self, visits: u32) -> Self {
        self.max_visits = Some(visits);
        self
    }

    /// Starts runs by itself, each with the state's default, while a driver with this version runs.
    pub fn schedule(self, schedule: Schedule) -> Self
    where
        S: DefaultInput,
    {
        self.schedule_by_default(Ok(schedule))
    }

    /// The same, each run with what `input` returns: a state, or a `Result` of one. Where it errs or
    /// panics, the tick has no run, and the schedule tells the error.
    pub fn schedule_with<I: ScheduleInput<S>>(
        self,
        schedule: Schedule,
        input: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self {
        self.schedule_as(Ok(schedule), input)
    }

    /// For the attributes: what is wrong with the schedule is told when the flow is built.
    #[doc(hidden)]
    pub fn schedule_by_default(self, schedule: Result<Schedule, InvalidSchedule>) -> Self
    where
        S: DefaultInput,
    {
        self.schedule_as(schedule, S::default_input)
    }

    /// For the attributes: what is wrong with the schedule is told when the flow is built.
    #[doc(hidden)]
    pub fn schedule_as<I: ScheduleInput<S>>(
        mut self,
        schedule: Result<Schedule, InvalidSchedule>,
        input: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self {
        self.schedule = Some(DeclaredSchedule::new(schedule, input));
        self
    }

    /// Ends the declaration. It is checked when a flow is built.
    pub fn build(self) -> Declaration {
        let Self {
            name,
            version,
            nodes,
            edges,
            routers,
            signals,
            max_visits,
            schedule,
        } = self;
        let (nodes, mut bindings): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .map(|mut node| {
                node.max_visits = node.max_visits.or(max_visits);
                node.into_parts()
            })
            .unzip();
        // An edge names the node that misses, and that is reported.
        let place = |name: &str| nodes.iter().position(|node| node.name == name);
        for (from, router) in routers {
            if let Some(binding) = place(&from).and_then(|place| bindings.get_mut(place)) {
                binding.router = Some(router);
            }
        }
        for (from, signal) in signals {
            if let Some(binding) = place(&from).and_then(|place| bindings.get_mut(place)) {
                binding.signals.push(signal);
            }
        }
        Declaration {
            name,
            version,
            topology: Topology { nodes, edges },
            bindings,
            codec: Typed::<S>::codec(),
            schedule,
        }
    }
}
