// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durable workflows on Postgres: all of `forktex_flow`, with macros that expand to paths of this
//! module, so that a service needs no dependency on `forktex-flow` itself.

pub use forktex_flow::*;

/// The derive of `forktex_flow`, expanding to `::forktex::flow`. Its documentation and examples are
/// those of [`forktex_flow::State`](macro@forktex_flow::State).
#[doc(inline)]
pub use forktex_macros::StateThroughFacade as State;

/// The attribute of `forktex_flow`, expanding to `::forktex::flow`. Its documentation and examples
/// are those of [`forktex_flow::step`](macro@forktex_flow::step).
#[doc(inline)]
pub use forktex_macros::step_through_facade as step;

/// The same as [`#[step]`](macro@step).
#[doc(inline)]
pub use forktex_macros::node_through_facade as node;

/// The attribute of `forktex_flow`, expanding to `::forktex::flow`. Its documentation and examples
/// are those of [`forktex_flow::pipeline`](macro@forktex_flow::pipeline).
#[doc(inline)]
pub use forktex_macros::pipeline_through_facade as pipeline;

/// The attribute of `forktex_flow`, expanding to `::forktex::flow`. Its documentation and examples
/// are those of [`forktex_flow::graph`](macro@forktex_flow::graph).
#[doc(inline)]
pub use forktex_macros::graph_through_facade as graph;

/// The attribute of `forktex_flow`, expanding to `::forktex::flow`. Its documentation and examples
/// are those of [`forktex_flow::scheduled`](macro@forktex_flow::scheduled).
#[doc(inline)]
pub use forktex_macros::scheduled_through_facade as scheduled;

/// Offers a step to workflows that are defined at run time; its options are those of
/// [`forktex_flow::step_template`](macro@forktex_flow::step_template).
pub use forktex_macros::step_template_through_facade as step_template;

/// The derive of `forktex_flow`, expanding to `::forktex::flow`. Its documentation is that of
/// [`forktex_flow::Route`](macro@forktex_flow::Route).
#[doc(inline)]
pub use forktex_macros::RouteThroughFacade as Route;

/// The derive of `forktex_flow`, expanding to `::forktex::flow`. Its documentation is that of
/// [`forktex_flow::Signal`](macro@forktex_flow::Signal).
#[doc(inline)]
pub use forktex_macros::SignalThroughFacade as Signal;

/// What a service author imports.
///
/// ```
/// use forktex::flow::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(State, Clone, Serialize, Deserialize)]
/// struct Greeting {
///     name: String,
///     text: Option<String>,
/// }
///
/// #[step]
/// async fn greet(_ctx: &Ctx, state: &Greeting) -> StepResult<GreetingUpdate> {
///     Ok(Greeting::update().text(format!("Hello, {}!", state.name)))
/// }
///
/// #[pipeline(name = "greet", version = 1, state = Greeting, steps = [greet])]
/// struct Greet;
/// ```
pub mod prelude {
    pub use super::{Route, Signal, State, graph, node, pipeline, scheduled, step, step_template};
    pub use forktex_flow::prelude::*;
}
