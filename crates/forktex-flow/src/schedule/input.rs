// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a schedule starts its runs with: the state's default, or what a function of the service makes.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{InvalidSchedule, Schedule};
use crate::state::{State, encode};

/// What the input function of a schedule returns: the state to start with, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "the input of a schedule cannot be made of `{Self}`",
    label = "return `{S}`, or a `Result` of one"
)]
pub trait ScheduleInput<S: State> {
    /// The state, or why there is none.
    ///
    /// # Errors
    /// The function's own error.
    fn into_input(self) -> Result<S, Box<dyn Error + Send + Sync>>;
}

impl<S: State> ScheduleInput<S> for S {
    fn into_input(self) -> Result<S, Box<dyn Error + Send + Sync>> {
        Ok(self)
    }
}

impl<S: State, E: Into<Box<dyn Error + Send + Sync>>> ScheduleInput<S> for Result<S, E> {
    fn into_input(self) -> Result<S, Box<dyn Error + Send + Sync>> {
        self.map_err(Into::into)
    }
}

/// A state that a schedule can start runs with: one that has a default.
#[diagnostic::on_unimplemented(
    message = "a schedule does not know which `{Self}` to start its runs with",
    label = "not `Default`",
    note = "implement `Default` for `{Self}`, or give a function that makes one: `input = path::to::function`"
)]
pub trait DefaultInput: State {
    /// The input.
    fn default_input() -> Self;
}

#[diagnostic::do_not_recommend]
impl<S: State + Default> DefaultInput for S {
    fn default_input() -> Self {
        S::default()
    }
}

/// Makes the input of one run. It is the service's code: it may err, block or panic.
pub(crate) type MakeInput = Arc<dyn Fn() -> Result<Value, String> + Send + Sync>;

/// A schedule as a workflow declares it, not checked yet.
#[derive(Clone)]
pub(crate) struct DeclaredSchedule {
    pub(crate) schedule: Result<Schedule, InvalidSchedule>,
    pub(crate) input: MakeInput,
}

impl DeclaredSchedule {
    pub(crate) fn new<S: State, I: ScheduleInput<S>>(
        schedule: Result<Schedule, InvalidSchedule>,
        input: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self {
        let input = move || {
            let state = input().into_input().map_err(|error| error.to_string())?;
            encode(S::SCHEMA.name, &state).map_err(|error| error.to_string())
        };
        Self {
            schedule,
            input: Arc::new(input),
        }
    }
}

impl fmt::Debug for DeclaredSchedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.schedule, formatter)
    }
}

/// A schedule that was found valid.
#[derive(Clone)]
pub(crate) struct WorkflowSchedule {
    pub(crate) schedule: Schedule,
    pub(crate) input: MakeInput,
}
