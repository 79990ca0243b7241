// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The typed state of a workflow: how a step's update becomes a delta, and a delta a new state.
//!
//! A state is a struct with `#[derive(State)]`. Its steps return only what they changed, and each
//! field's reducer says how the change meets the old value. This module decides nothing about runs.

pub mod delta;
pub(crate) mod erased;
pub mod json;
pub mod payload;
pub mod reducer;
pub mod writes;

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use delta::Delta;
use reducer::Reducer;

/// The state of a workflow: a struct with named fields, made a state by `#[derive(State)]`.
///
/// The derive also makes `<Name>Update`, a builder with one setter a field, and the associated
/// functions `update()` and `from_input(value)`. Implementing the trait by hand is possible and
/// seldom useful; the derive's expansion is the reference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the state of a workflow",
    label = "not a state",
    note = "write `#[derive(State, Clone, Serialize, Deserialize)]` on the struct"
)]
pub trait State: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What a step returns: the fields that it changed.
    type Update: StateUpdate<State = Self>;

    /// The fields, their types and reducers, as declared.
    const SCHEMA: StateSchema;

    /// The fields' names in Rust, in the order of [`SCHEMA`](Self::SCHEMA); empty where they are the
    /// same as there.
    const FIELD_NAMES: &'static [&'static str] = &[];

    /// Turns an update into its operations.
    ///
    /// # Errors
    /// [`StateError::Encode`] when a value does not serialise, or holds a float that is not finite.
    fn encode(update: Self::Update) -> Result<Delta, StateError>;

    /// Applies one operation to the field of that name. `Reducer::Set` replaces whatever the
    /// field's reducer is; `Reducer::With` calls the service's function.
    ///
    /// # Errors
    /// [`StateError`] when there is no such field or the value does not fit it.
    fn apply(&mut self, reducer: Reducer, field: &str, value: Value) -> Result<(), StateError>;

    /// The field's present value as JSON.
    ///
    /// # Errors
    /// [`StateError`] when there is no such field or it does not serialise.
    fn field(&self, field: &str) -> Result<Value, StateError>;

    /// The state after `update`, reducers included: what a run would go on with. For unit tests of
    /// steps.
    ///
    /// # Errors
    /// [`StateError`] when a value does not encode, or a sum does not fit its field.
    fn updated(mut self, update: impl IntoUpdate<Self>) -> Result<Self, StateError> {
        for (reducer, field, value) in Self::encode(update.into_update())?.operations() {
            self.apply(reducer, field, value.clone())?;
        }
        Ok(self)
    }
}

/// The update type of a state; made by `#[derive(State)]`.
pub trait StateUpdate: Default + Send + 'static {
    /// The state that it updates.
    type State: State<Update = Self>;
}

/// What a step may return besides its state's update: `()` changes nothing.
#[diagnostic::on_unimplemented(
    message = "a step on `{S}` cannot return `{Self}`",
    label = "not an update of `{S}`",
    note = "return `StepResult<{S}Update>` (built with `{S}::update()`), or `StepResult<()>` for no change"
)]
pub trait IntoUpdate<S: State> {
    /// The update.
    fn into_update(self) -> S::Update;
}

impl<S: State> IntoUpdate<S> for () {
    fn into_update(self) -> S::Update {
        S::Update::default()
    }
}

/// What the setter of an `Option<T>` field takes: a `T`, an `Option<T>`, or a `&str` for a `String`.
pub trait IntoOption<T> {
    /// The option.
    fn into_option(self) -> Option<T>;
}

impl<T> IntoOption<T> for T {
    fn into_option(self) -> Option<T> {
        Some(self)
    }
}

impl<T> IntoOption<T> for Option<T> {
    fn into_option(self) -> Option<T> {
        self
    }
}

impl IntoOption<String> for &str {
    fn into_option(self) -> Option<String> {
        Some(self.to_owned())
    }
}

/// What the setter of a list, a set or a map takes: anything that yields its items.
pub trait ExactItems<C> {
    /// The collection.
    fn into_items(self) -> C;
}

impl<I, C> ExactItems<C> for I
where
    I: IntoIterator<Item = C::Item>,
    C: IntoIterator + FromIterator<C::Item>,
{
    fn into_items(self) -> C {
        self.into_iter().collect()
    }
}

/// As [`ExactItems`], and the items are converted, so that a `&str` does for a `String`.
pub trait IntoItems<C> {
    /// The collection.
    fn into_items(self) -> C;
}

impl<I, C> IntoItems<C> for I
where
    I: IntoIterator<Item: Into<C::Item>>,
    C: IntoIterator + FromIterator<C::Item>,
{
    fn into_items(self) -> C {
        self.into_iter().map(Into::into).collect()
    }
}

/// The declared shape of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StateSchema {
    /// The struct's name.
    pub name: &'static str,
    /// Its fields in their order.
    pub fields: &'static [FieldSchema],
}

impl StateSchema {
    /// The fields as a set of lines, with their types and reducers: equal sets mean equal shapes, whatever
    /// the order of declaration.
    pub(crate) fn lines(&self) -> BTreeSet<String> {
        let fields = self.fields.iter();
        fields
            .map(|field| {
                let FieldSchema {
                    name,
                    type_name,
                    reducer,
                } = field;
                format!("field {name}: {type_name} {}", reducer.as_str())
            })
            .collect()
    }
}

/// One field of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FieldSchema {
    /// The name under which the field is serialised.
    pub name: &'static str,
    /// The type as written, white space folded.
    pub type_name: &'static str,
    /// How it takes new values.
    pub reducer: Reducer,
}

/// A value that does not fit its state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A value does not serialise.
    #[error("cannot encode field `{field}`: {reason}")]
    Encode {
        /// The field, or the state's name.
        field: String,
        /// What the serialiser says of it.
        reason: String,
    },
    /// A value does not decode into its field or state.
    #[error("cannot decode `{field}`: {reason}")]
    Decode {
        /// The field, or the state's name.
        field: String,
        /// What the deserialiser says of it.
        reason: String,
    },
    /// The state has no such field.
    #[error("state `{state}` has no field `{field}`")]
    UnknownField {
        /// The state.
        state: &'static str,
        /// The field.
        field: String,
    },
    /// A sum that the field's type cannot hold.
    #[error("cannot add to field `{field}`: its type cannot hold the sum")]
    Overflow {
        /// The field.
        field: &'static str,
    },
}

/// Decodes a whole state from the input of a start: absent fields with the reducers append, union,
/// merge and add begin empty; absent `Option` fields are `None`.
///
/// # Errors
/// [`StateError::Decode`] naming what is missing or of the wrong type.
pub fn from_input<S: State>(mut input: Value) -> Result<S, StateError> {
    if let Value::Object(fields) = &mut input {
        for field in S::SCHEMA.fields {
            let empty = match field.reducer {
                Reducer::Append | Reducer::Union => Value::Array(Vec::new()),
                Reducer::Merge => Value::Object(serde_json::Map::new()),
                Reducer::Add => Value::from(0),
                _ => continue,
            };
            fields.entry(field.name).or_insert(empty);
        }
    }
    // The line of the error tells the field, so each has one line of its own; a value names none.
    let culprit = |input: &Value| {
        let fields = input.as_object()?;
        let lines: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
            .collect();
        let text = format!("{{\n{}\n}}", lines.join(",\n"));
        let line = serde_json::from_str::<S>(&text).err()?.line();
        fields.keys().nth(line.checked_sub(2)?).cloned()
    };
    serde::Deserialize::deserialize(&input).map_err(|error| StateError::Decode {
        field: culprit(&input).unwrap_or_else(|| S::SCHEMA.name.to_owned()),
        reason: error.to_string(),
    })
}

/// Decodes one field's value.
///
/// # Errors
/// [`StateError::Decode`] naming the field.
pub fn decode<T: DeserializeOwned>(field: &str, value: Value) -> Result<T, StateError> {
    serde_json::from_value(value).map_err(|error| StateError::Decode {
        field: field.to_owned(),
        reason: error.to_string(),
    })
}

/// Encodes one field's value, refusing floats that JSON cannot hold.
///
/// # Errors
/// [`StateError::Encode`] naming the field.
pub fn encode<T: Serialize + ?Sized>(field: &str, value: &T) -> Result<Value, StateError> {
    payload::to_value(value).map_err(|error| StateError::Encode {
        field: field.to_owned(),
        reason: error.to_string(),
    })
}
