// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durable workflows on Postgres: steps, pipelines and graphs declared with attributes on async
//! functions, safe under `kill -9`.
//!
//! A *step* is an async function that takes the typed *state* of its run and returns what it changed.
//! A *pipeline* puts steps in order, some of them in parallel or under a condition; a *graph* has edges
//! between them, some chosen by a router, and may come to a step again. A *run* of either is
//! durable when its start returns; each step's update is a *checkpoint*, committed together with what
//! comes next, and a step whose checkpoint is committed never runs again. A step whose process dies
//! before that runs again elsewhere, with the same [`Ctx::idempotency_key`]: at least once, then.
//!
//! | To | Use |
//! |---|---|
//! | declare a state, a step | [`derive@State`], [`macro@step`] |
//! | declare a workflow | [`macro@pipeline`], [`macro@graph`] with [`derive@Route`] |
//! | declare a message to a run | [`derive@Signal`] |
//! | undo what a step did | [`compensate`](macro@step#compensation), [`Cancel::compensate`] |
//! | build, migrate, run | [`Flow::builder`], [`Flow::init`], [`Flow::start_driver`] |
//! | start a run | [`Flow::start`] by type, [`Flow::run`] by name |
//! | start it with other writes of the service | [`StartBuilder::in_transaction`] |
//! | start runs by the clock | [`macro@scheduled`], `cron = ".."` on the others; [`Flow::schedules`] |
//! | read a run, wait for it | [`Run::refresh`], [`Run::wait`], [`Instance::waiting_on`] |
//! | follow a run | [`Run::stream`], [`Run::stream_after`], [`Run::history`], [`Event::to_sse`] |
//! | tell a run something | [`Run::send`] |
//! | steer a run | [`Run::pause`], [`Run::resume`], [`Run::cancel`], [`Run::retry`], [`Run::fork`] |
//! | wait for a message or a time, between steps | `wait_edge(..)` of a [`macro@graph`] |
//! | wait for a message or a time, in a step | [`Ctx::signal`], [`Ctx::sleep`] |
//! | do a part of a step once | [`Ctx::once`], [`Ctx::idempotency_key`] |
//! | write a table with the checkpoint | [`Ctx::transaction`] |
//! | start other runs, and wait for them | [`Ctx::spawn`] with [`Ctx::wait`], [`Ctx::map`] |
//! | tell those who follow | [`Ctx::emit`] |
//! | notice the end, say that one is at work | [`Ctx::cancelled`], [`Ctx::heartbeat`] |
//! | list, count, sum up many runs | [`Flow::query`] |
//! | cancel or retry many runs | [`InstanceQuery::cancel`](query::InstanceQuery::cancel), [`InstanceQuery::retry`](query::InstanceQuery::retry) |
//! | draw a workflow, or a run | [`WorkflowHandle::drawing`], [`WorkflowHandle::drawing_of`] |
//! | seal what runs hold in the tables | [`FlowBuilder::payload_cipher`] |
//! | give steps a client | [`Resource`], [`FlowBuilder::resource`] |
//! | test a step without Postgres | call it, with [`Ctx::for_test`] |
//! | test a workflow without Postgres | [`Flow::in_memory`], [`VirtualClock`], [`Fault`] |
//!
//! Workflows are found at link time. A crate that nothing names is dropped by the linker, and its
//! workflows with it: write `use my_workflows as _;`, or [`FlowBuilder::register`] them.
//!
//! # Examples
//!
//! ```
//! use forktex_flow::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(State, Clone, Debug, Serialize, Deserialize)]
//! struct Order {
//!     item: String,
//!     paid: bool,
//!     #[reduce(append)]
//!     notes: Vec<String>,
//! }
//!
//! #[step(max_attempts = 5, backoff = ["1s", "10s"])]
//! async fn pay(_ctx: &Ctx, state: &Order) -> StepResult<OrderUpdate> {
//!     Ok(Order::update().paid(true).notes([format!("paid for {}", state.item)]))
//! }
//!
//! #[step]
//! async fn send(_ctx: &Ctx, _state: &Order) -> StepResult<OrderUpdate> {
//!     Ok(Order::update().notes(["sent"]))
//! }
//!
//! #[pipeline(
//!     name = "shop.order", version = 1, state = Order,
//!     steps = [pay, step(send, when = |order| order.paid)],
//! )]
//! struct PlaceOrder;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let database = forktex_testkit::TestDatabase::create().await?;
//! # let url = database.owner_url();
//! let flow = Flow::builder(url).build().await?;
//! flow.init().await?;
//! flow.start_driver().await?;
//!
//! let order = Order { item: "a lamp".into(), paid: false, notes: vec![] };
//! let run = flow.start(PlaceOrder, order).idempotency_key("order-1").await?;
//! let done = run.wait().await?;
//! assert_eq!(done.status, InstanceStatus::Completed);
//! assert_eq!(done.state.notes, ["paid for a lamp", "sent"]);
//! # flow.close().await?;
//! # Ok(())
//! # }
//! ```
//!
#![doc = include_str!("docs/waits.md")]
//!
#![doc = include_str!("docs/fairness.md")]
//!
#![doc = include_str!("docs/testing.md")]
//!
#![doc = include_str!("docs/telemetry.md")]

extern crate self as forktex_flow;

#[doc(hidden)]
pub mod __private;

pub mod identifier;
pub mod state;

mod clock;
pub mod ctx;
pub mod definition;
pub mod error;
#[cfg(feature = "failpoints")]
#[doc(hidden)]
pub mod failpoint;
pub mod instance;
#[cfg(feature = "planted-faults")]
#[doc(hidden)]
pub mod planted;
pub mod schedule;
pub mod signal;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
pub mod step;

mod catalog;
mod compile;
mod registry;
mod transition;

mod store;

mod handle;
pub mod query;
mod telemetry;

mod driver;
mod worker;

mod flow;

pub use crate::ctx::Ctx;
pub use crate::definition::Workflow;
pub use crate::definition::retention::Retention;
pub use crate::definition::route::Route;
pub use crate::error::{
    BuildError, BuildFault, CancelError, DefinitionError, DriverError, FlowError, ForkError,
    MigrationError, PauseError, QueryError, ReadError, ScheduleError, SignalError, StartError,
    StepError, StepResult, WaitError,
};
pub use crate::flow::{
    DatabaseSource, DefineBuilder, DriverHandle, Flow, FlowBuilder, InMemoryBuilder, InMemoryFlow,
    InTransaction, Limits, MigrateBuilder, NamespaceHandle, Role, RunBuilder, RunningLimit,
    RunningLimitHandle, RuntimeDefinition, ScheduleHandle, ScheduleInfo, StartBuilder,
    UndefineBuilder, VirtualClock, WorkflowHandle, check_definition,
};
pub use crate::handle::{
    Cancel, EventStream, ForkBuilder, GRACE_PERIOD_DEFAULT, Run, Send, Sent, Wait,
};
pub use crate::identifier::{InstanceId, Namespace, NodeName, SignalName, Version, WorkflowName};
pub use crate::instance::event::{CallKind, Event, EventKind};
pub use crate::instance::migration;
pub use crate::instance::{Instance, InstanceStatus, NodeRecord, NodeStatus, WaitingOn};
pub use crate::schedule::{CatchUp, InvalidSchedule, Overlap, Schedule};
pub use crate::signal::Signal;
pub use crate::state::State;
pub use crate::step::Resource;
pub use crate::store::Election;
pub use crate::worker::fault::Fault;

#[doc = include_str!("docs/state.md")]
pub use forktex_macros::State;

#[doc = include_str!("docs/step.md")]
pub use forktex_macros::step;

/// The same as [`#[step]`](macro@step).
pub use forktex_macros::node;

#[doc = include_str!("docs/pipeline.md")]
pub use forktex_macros::pipeline;

#[doc = include_str!("docs/graph.md")]
pub use forktex_macros::graph;

#[doc = include_str!("docs/schedules.md")]
pub use forktex_macros::scheduled;

#[doc = include_str!("docs/step_template.md")]
pub use forktex_macros::step_template;

/// Implements [`Route`](trait@Route) for an enum whose variants hold nothing; the names of its variants
/// are the names of the branches. `#[route(crate = ::path)]` says where this crate is found, for one
/// that re-exports it.
pub use forktex_macros::Route;

/// Makes a struct or an enum that is `Serialize` and `Deserialize` a [`Signal`](trait@Signal):
/// `#[signal("email.verified")]` gives it its name, words of letters, digits, `_` and `-`, joined by
/// dots, of at most 200 characters. `#[signal("email.verified", crate = ::path)]` says where this crate
/// is found, for one that re-exports it.
///
/// ```
/// use forktex_flow::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Signal, Serialize, Deserialize)]
/// #[signal("email.verified")]
/// struct EmailVerified {
///     email: String,
/// }
///
/// assert_eq!(EmailVerified::NAME, "email.verified");
/// ```
pub use forktex_macros::Signal;

/// What a service author imports.
pub mod prelude {
    pub use crate::ctx::Ctx;
    pub use crate::definition::route::Route;
    pub use crate::error::{FlowError, StepError, StepResult};
    pub use crate::flow::Flow;
    pub use crate::handle::Run;
    pub use crate::identifier::InstanceId;
    pub use crate::instance::migration;
    pub use crate::instance::{Instance, InstanceStatus, NodeStatus};
    pub use crate::signal::Signal;
    pub use crate::state::State;
    pub use crate::step::Resource;
    pub use forktex_macros::{
        Route, Signal, State, graph, node, pipeline, scheduled, step, step_template,
    };
    pub use serde_json::json;
}
