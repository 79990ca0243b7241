// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The builder of a pipeline: steps one after another, some of them in parallel groups.

use crate::identifier::Version;
use crate::schedule::input::DeclaredSchedule;
use crate::schedule::{DefaultInput, InvalidSchedule, Schedule, ScheduleInput};
use crate::state::State;
use crate::state::erased::Typed;

use super::Declaration;
use super::binding::Node;
use super::topology::{END, Edge, START, Topology};

/// A pipeline on states of type `S`; `#[pipeline]` expands to this builder.
///
/// ```
/// use forktex_flow::prelude::*;
/// use forktex_flow::definition::{binding::Node, pipeline::Pipeline};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(State, Clone, Default, Serialize, Deserialize)]
/// struct Order {
///     paid: bool,
/// }
///
/// #[step]
/// async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<OrderUpdate> {
///     Ok(Order::update().paid(true))
/// }
///
/// #[step]
/// async fn pack(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
///     Ok(())
/// }
///
/// let nightly = forktex_flow::Schedule::new("0 2 * * *")?.timezone("Europe/Berlin")?;
/// let declaration = Pipeline::<Order>::new("shop.order", 1)
///     .step(Node::of::<pay>())
///     .step(Node::of::<pack>().when(|order: &Order| order.paid))
///     .schedule(nightly)
///     .build();
/// assert_eq!(declaration.topology().nodes.len(), 2);
/// # Ok::<(), forktex_flow::InvalidSchedule>(())
/// ```
#[derive(Debug)]
pub struct Pipeline<S> {
    name: String,
    version: Version,
    stages: Vec<Vec<Node<S>>>,
    schedule: Option<DeclaredSchedule>,
}

impl<S: State> Pipeline<S> {
    /// An empty pipeline.
    pub fn new(name: impl Into<String>, version: Version) -> Self {
        Self {
            name: name.into(),
            version,
            stages: Vec::new(),
            schedule: None,
        }
    }

    /// Adds a node that runs after all before it.
    pub fn step(mut self, node: Node<S>) -> Self {
        self.stages.push(vec![node]);
        self
    }

    /// Adds nodes that run at the same time, after all before them. Their updates are merged in the
    /// order given here, once all are done.
    pub fn parallel(mut self, nodes: impl IntoIterator<Item = Node<S>>) -> Self {
        self.stages.push(nodes.into_iter().collect());
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
        let names: Vec<Vec<String>> = self
            .stages
            .iter()
            .map(|stage| stage.iter().map(|node| node.name.clone()).collect())
            .collect();
        let ends = std::iter::once(vec![START.to_owned()])
            .chain(names)
            .chain(std::iter::once(vec![END.to_owned()]))
            .collect::<Vec<_>>();
        let edges = ends
            .windows(2)
            .map(|pair| Edge::new(pair[0].clone(), pair[1].clone()))
            .collect();
        let (nodes, bindings) = self
            .stages
            .into_iter()
            .flatten()
            .map(Node::into_parts)
            .unzip();
        Declaration {
            name: self.name,
            version: self.version,
            topology: Topology { nodes, edges },
            bindings,
            codec: Typed::<S>::codec(),
            schedule: self.schedule,
        }
    }
}
