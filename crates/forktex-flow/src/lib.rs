// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durable workflows on Postgres.

extern crate self as forktex_flow;

#[doc(hidden)]
pub mod __private;

pub mod identifier;
pub mod state;

mod clock;
pub mod ctx;
pub mod definition;
pub mod error;
pub mod instance;
pub mod step;

mod compile;
mod registry;
mod transition;

mod store;

mod handle;

mod driver;
mod worker;

mod flow;

pub use crate::ctx::Ctx;
pub use crate::definition::Workflow;
pub use crate::error::{
    BuildError, BuildFault, CancelError, DriverError, FlowError, ReadError, StartError, StepError,
    StepResult, WaitError,
};
pub use crate::flow::{
    DatabaseSource, DriverHandle, Flow, FlowBuilder, Role, RunBuilder, StartBuilder, WorkflowHandle,
};
pub use crate::handle::{Cancel, GRACE_PERIOD_DEFAULT, Run, Wait};
pub use crate::identifier::{InstanceId, Namespace, NodeName, Version, WorkflowName};
pub use crate::instance::{Instance, InstanceStatus, NodeRecord, NodeStatus, WaitingOn};
pub use crate::state::State;
pub use crate::step::Resource;
pub use crate::store::Election;

#[doc = include_str!("docs/state.md")]
pub use forktex_macros::State;

#[doc = include_str!("docs/step.md")]
pub use forktex_macros::step;

/// The same as [`#[step]`](macro@step).
pub use forktex_macros::node;

#[doc = include_str!("docs/pipeline.md")]
pub use forktex_macros::pipeline;

/// What a service author imports.
pub mod prelude {
    pub use crate::ctx::Ctx;
    pub use crate::error::{FlowError, StepError, StepResult};
    pub use crate::flow::Flow;
    pub use crate::handle::Run;
    pub use crate::identifier::InstanceId;
    pub use crate::instance::{Instance, InstanceStatus, NodeStatus};
    pub use crate::state::State;
    pub use crate::step::Resource;
    pub use forktex_macros::{State, node, pipeline, step};
    pub use serde_json::json;
}
