// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that an expansion of our macros may name. Not for people: no promise is made about it.

pub use inventory;

pub use crate::ctx::Ctx;
pub use crate::definition::binding::Node;
pub use crate::definition::pipeline::Pipeline;
pub use crate::definition::{Declaration, Workflow};
pub use crate::error::{StepError, StepResult};
pub use crate::registry::Registration;
pub use crate::state::delta::Delta;
pub use crate::state::reducer::{self, Reducer};
pub use crate::state::{
    FieldSchema, IntoOption, IntoUpdate, State, StateError, StateSchema, StateUpdate, decode,
    encode, from_input,
};
pub use crate::step::retry::RetryPolicy;
pub use crate::step::{Resource, ResourceKey, Resources, Step};
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

/// The error of an operation on a field that the state does not have.
pub fn unknown_field(state: &'static str, field: &str) -> StateError {
    StateError::UnknownField {
        state,
        field: field.to_owned(),
    }
}
