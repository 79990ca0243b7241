// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that an expansion of our macros may name. Not for people: no promise is made about it.

pub use inventory;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schedule::{InvalidSchedule, Schedule};

pub use crate::ctx::Ctx;
pub use crate::definition::binding::{Node, Undo};
pub use crate::definition::graph::Graph;
pub use crate::definition::pipeline::Pipeline;
pub use crate::definition::route::Route;
pub use crate::definition::template::TemplateRegistration;
pub use crate::definition::topology::{END, START};
pub use crate::definition::{Declaration, Workflow};
pub use crate::error::{StepError, StepResult};
pub use crate::registry::Registration;
pub use crate::schedule::{CatchUp, Overlap, ScheduleInput};
pub use crate::signal::Signal;
pub use crate::state::delta::Delta;
pub use crate::state::reducer::{self, Reducer};
pub use crate::state::writes::{ParallelMember, Sets, field_key, refuse_shared_field};
pub use crate::state::{
    ExactItems, FieldSchema, IntoItems, IntoOption, IntoUpdate, State, StateError, StateSchema,
    StateUpdate, decode, encode, from_input,
};
pub use crate::step::retry::RetryPolicy;
pub use crate::step::{Resource, ResourceKey, Resources, Step};
pub use forktex_macros::State;
pub use futures_util::future::BoxFuture;
pub use serde_json::Value;
pub use std::sync::Arc;
pub use std::time::Duration;

/// The retry policy that `#[step(..)]` declares; delays in milliseconds.
pub fn retry_policy(
    max_attempts: Option<u32>,
    backoff_ms: Option<&[u64]>,
    timeout_ms: Option<u64>,
) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    if let Some(max_attempts) = max_attempts {
        policy.max_attempts = max_attempts;
    }
    policy.backoff =
        backoff_ms.map(|delays| delays.iter().copied().map(Duration::from_millis).collect());
    policy.timeout = timeout_ms.map(Duration::from_millis);
    policy
}

/// The schedule that an attribute declares, and checked when it was compiled.
///
/// # Errors
/// [`InvalidSchedule`] where this crate is of another release than the attribute.
pub fn schedule(
    cron: &str,
    timezone: &str,
    overlap: Overlap,
    catch_up: CatchUp,
) -> Result<Schedule, InvalidSchedule> {
    let schedule = Schedule::new(cron)?.timezone(timezone)?;
    Ok(schedule.overlap(overlap).catch_up(catch_up))
}

/// A duration that was read at compile time.
pub const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What the body of a step on states of type `S` returns.
#[diagnostic::on_unimplemented(
    message = "a step returns a `StepResult`, not `{Self}`",
    label = "not a `StepResult`",
    note = "return `StepResult<{S}Update>`, or `StepResult<()>` for no change"
)]
pub trait StepOutcome<S: State> {
    /// As what [`Step::call`] returns.
    ///
    /// # Errors
    /// The body's own.
    fn finish(self) -> StepResult<S::Update>;
}

impl<S: State, U: IntoUpdate<S>, E: Into<StepError>> StepOutcome<S> for Result<U, E> {
    fn finish(self) -> StepResult<S::Update> {
        self.map(IntoUpdate::into_update).map_err(Into::into)
    }
}

/// What the body of a step that declares its writes returns: `W` is the type of those.
#[diagnostic::on_unimplemented(
    message = "a step that declares what it writes returns `StepResult<{W}>`, not `{Self}`",
    label = "not what was declared",
    note = "build it with `{W}::new()`, or leave `writes(..)` out"
)]
pub trait DeclaredOutcome<S: State, W: IntoUpdate<S>> {
    /// As what [`Step::call`] returns.
    ///
    /// # Errors
    /// The body's own.
    fn finish(self) -> StepResult<S::Update>;
}

impl<S: State, W: IntoUpdate<S>, E: Into<StepError>> DeclaredOutcome<S, W> for Result<W, E> {
    fn finish(self) -> StepResult<S::Update> {
        self.map(IntoUpdate::into_update).map_err(Into::into)
    }
}

/// The error of an operation on a field that the state does not have.
pub fn unknown_field(state: &'static str, field: &str) -> StateError {
    StateError::UnknownField {
        state,
        field: field.to_owned(),
    }
}

/// Puts a field into the delta if the update has a value for it.
///
/// # Errors
/// [`StateError::Encode`] naming the field.
pub fn put<T: Serialize>(
    delta: &mut Delta,
    reducer: Reducer,
    field: &str,
    value: Option<T>,
) -> Result<(), StateError> {
    if let Some(value) = value {
        delta.insert(reducer, field, encode(field, &value)?);
    }
    Ok(())
}

/// Applies one operation to a field: `set` replaces, all else combines the old value with the new.
///
/// # Errors
/// [`StateError`] when the value does not decode, or what `combine` says.
pub fn reduce<T: DeserializeOwned>(
    reducer: Reducer,
    field: &str,
    existing: &mut T,
    value: Value,
    combine: impl FnOnce(&mut T, T) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let new = decode(field, value)?;
    if reducer == Reducer::Set {
        *existing = new;
        return Ok(());
    }
    combine(existing, new)
}

/// Puts what the function of a `with` reducer makes of both values into the field.
pub fn combine_with<T: Clone>(function: fn(T, T) -> T, existing: &mut T, new: T) {
    *existing = function(existing.clone(), new);
}

/// What a field of an update holds after one more call of its setter.
///
/// # Errors
/// Those of `combine`, now or at an earlier call.
pub fn accumulate<T>(
    existing: Option<Result<T, StateError>>,
    new: T,
    combine: impl FnOnce(&mut T, T) -> Result<(), StateError>,
) -> Option<Result<T, StateError>> {
    Some(match existing {
        None => Ok(new),
        Some(existing) => existing.and_then(|mut value| combine(&mut value, new).map(|()| value)),
    })
}

/// The `Debug` of an update: the names of the fields that it has, and never a value, which may be
/// secret.
///
/// # Errors
/// Those of the formatter.
pub fn debug_update(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    fields: &[(&str, bool)],
) -> fmt::Result {
    let changed = fields.iter().filter(|(_, given)| *given);
    formatter
        .debug_struct(name)
        .field(
            "changed",
            &changed.map(|(field, _)| field).collect::<Vec<_>>(),
        )
        .finish()
}
