// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A state whose type only its workflow knows.
//!
//! The worker keeps a run's state as it was decoded and applies each delta to it in place, so that a
//! large state is neither decoded nor written again for a small change.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;

use super::delta::Delta;
use super::reducer::Reducer;
use super::{State, StateError, StateSchema, encode, from_input};

/// A state of some type; cheap to clone and shared until it changes.
#[derive(Clone)]
pub(crate) struct AnyState(Arc<dyn Any + Send + Sync>);

impl AnyState {
    pub(crate) fn new<S: State>(state: S) -> Self {
        Self(Arc::new(state))
    }

    /// The state as its own type, or `None` where it is of another.
    pub(crate) fn downcast<S: State>(&self) -> Option<Arc<S>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

/// What the engine does with a state without knowing its type.
pub(crate) trait StateCodec: Send + Sync {
    fn schema(&self) -> &'static StateSchema;

    /// The fields' names in Rust, where they are others than in the schema.
    fn field_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Decodes the input of a run.
    fn decode(&self, input: Value) -> Result<AnyState, StateError>;

    /// Applies the operations to the state. What a `with` reducer computes is returned as `set`
    /// operations, to be journalled in place of the unresolved ones.
    fn apply(&self, state: &mut AnyState, delta: &Delta) -> Result<Delta, StateError>;

    fn encode(&self, state: &AnyState) -> Result<Value, StateError>;
}

/// The codec of one state type.
pub(crate) struct Typed<S>(PhantomData<fn() -> S>);

impl<S: State> Typed<S> {
    pub(crate) fn codec() -> Arc<dyn StateCodec> {
        Arc::new(Self(PhantomData))
    }

    fn mismatch() -> StateError {
        StateError::Decode {
            field: S::SCHEMA.name.to_owned(),
            reason: "the state is of another type".to_owned(),
        }
    }
}

impl<S: State> StateCodec for Typed<S> {
    fn schema(&self) -> &'static StateSchema {
        const { &S::SCHEMA }
    }

    fn field_names(&self) -> &'static [&'static str] {
        S::FIELD_NAMES
    }

    fn decode(&self, input: Value) -> Result<AnyState, StateError> {
        from_input::<S>(input).map(|state| AnyState(Arc::new(state)))
    }

    fn apply(&self, state: &mut AnyState, delta: &Delta) -> Result<Delta, StateError> {
        let mut resolved = Delta::new();
        if delta.is_empty() {
            return Ok(resolved);
        }
        // Take the state out of its cell, so that it is changed in place unless a body still holds it.
        let shared = std::mem::replace(&mut state.0, Arc::new(()))
            .downcast::<S>()
            .map_err(|_| Self::mismatch())?;
        let mut typed = Arc::unwrap_or_clone(shared);
        let applied = delta.operations().try_for_each(|(reducer, field, value)| {
            typed.apply(reducer, field, value.clone())?;
            if reducer == Reducer::With {
                resolved.insert(Reducer::Set, field, typed.field(field)?);
            }
            Ok(())
        });
        state.0 = Arc::new(typed);
        applied.map(|()| resolved)
    }

    fn encode(&self, state: &AnyState) -> Result<Value, StateError> {
        let typed = state.downcast::<S>().ok_or_else(Self::mismatch)?;
        encode(S::SCHEMA.name, &*typed)
    }
}
