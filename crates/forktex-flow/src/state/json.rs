// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The state of workflows that are defined at run time: a JSON object, whose fields are merged by the
//! reducers that the definition names.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::delta::{Delta, fold};
use super::erased::{AnyState, StateCodec};
use super::reducer::Reducer;
use super::{IntoUpdate, State, StateError, StateSchema, StateUpdate, encode};

/// The state that a step template takes: a JSON object.
///
/// ```
/// use forktex_flow::prelude::*;
/// use forktex_flow::state::json::JsonState;
///
/// let state = JsonState::from(json!({"link": "eth0"}).as_object().unwrap().clone());
/// assert_eq!(state.get::<String>("link").unwrap().as_deref(), Some("eth0"));
/// assert_eq!(state.get::<u32>("tries").unwrap(), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonState(Map<String, Value>);

impl JsonState {
    /// A field, decoded; `None` where it is absent or null.
    ///
    /// # Errors
    /// [`StateError::Decode`] when it has another shape.
    pub fn get<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, StateError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => super::decode(field, value.clone()).map(Some),
        }
    }

    /// All the fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// An update that changes nothing.
    pub fn update() -> JsonUpdate {
        JsonUpdate::default()
    }
}

impl From<Map<String, Value>> for JsonState {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

/// What a step template changed: fields of a JSON object. How each meets the old value is up to the
/// definition's `reducers`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonUpdate(Result<Map<String, Value>, StateError>);

impl Default for JsonUpdate {
    fn default() -> Self {
        Self(Ok(Map::new()))
    }
}

impl JsonUpdate {
    /// Sets a field. What does not serialise fails the step.
    pub fn set<T: Serialize>(mut self, field: impl Into<String>, value: T) -> Self {
        let field = field.into();
        self.0 = self.0.and_then(|mut fields| {
            let value = encode(&field, &value)?;
            fields.insert(field, value);
            Ok(fields)
        });
        self
    }
}

impl StateUpdate for JsonUpdate {
    type State = JsonState;
}

impl IntoUpdate<JsonState> for JsonUpdate {
    fn into_update(self) -> Self {
        self
    }
}

impl State for JsonState {
    type Update = JsonUpdate;

    const SCHEMA: StateSchema = StateSchema {
        name: "JsonState",
        fields: &[],
    };

    fn encode(update: JsonUpdate) -> Result<Delta, StateError> {
        let mut delta = Delta::new();
        for (field, value) in update.0? {
            delta.insert(Reducer::Set, &field, value);
        }
        Ok(delta)
    }

    fn apply(&mut self, reducer: Reducer, field: &str, value: Value) -> Result<(), StateError> {
        let mut delta = Delta::new();
        delta.insert(reducer, field, value);
        self.fold(&delta)
    }

    fn field(&self, field: &str) -> Result<Value, StateError> {
        Ok(self.0.get(field).cloned().unwrap_or_default())
    }
}

impl JsonState {
    fn fold(&mut self, delta: &Delta) -> Result<(), StateError> {
        fold(&mut self.0, delta).map_err(|error| StateError::Decode {
            field: error.field.clone(),
            reason: error.to_string(),
        })
    }
}

/// The reducers of a definition; a field that it does not name is replaced.
pub(crate) type Reducers = BTreeMap<String, Reducer>;

/// A delta of replacements with the definition's reducers put in.
pub(crate) fn reduced(delta: &Delta, reducers: &Reducers) -> Delta {
    let mut reduced = Delta::new();
    for (written, field, value) in delta.operations() {
        let meant = reducers.get(field).copied().unwrap_or(written);
        reduced.insert(meant, field, value.clone());
    }
    reduced
}

/// The codec of JSON states.
pub(crate) struct JsonCodec;

impl JsonCodec {
    fn mismatch() -> StateError {
        StateError::Decode {
            field: "state".to_owned(),
            reason: "the state must be a JSON object".to_owned(),
        }
    }
}

impl StateCodec for JsonCodec {
    fn schema(&self) -> &'static StateSchema {
        const { &JsonState::SCHEMA }
    }

    fn decode(&self, input: Value) -> Result<AnyState, StateError> {
        match input {
            Value::Object(fields) => Ok(AnyState::new(JsonState(fields))),
            _ => Err(Self::mismatch()),
        }
    }

    fn apply(&self, state: &mut AnyState, delta: &Delta) -> Result<Delta, StateError> {
        if delta.is_empty() {
            return Ok(Delta::new());
        }
        let shared = state.downcast::<JsonState>().ok_or_else(Self::mismatch)?;
        let mut fields = Arc::unwrap_or_clone(shared);
        fields.fold(delta)?;
        *state = AnyState::new(fields);
        Ok(Delta::new())
    }

    fn encode(&self, state: &AnyState) -> Result<Value, StateError> {
        let state = state.downcast::<JsonState>().ok_or_else(Self::mismatch)?;
        Ok(Value::Object(Arc::unwrap_or_clone(state).0))
    }
}
