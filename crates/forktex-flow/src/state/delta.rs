// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a step changed, as it is journalled, and how a journal folds back into a state.
//!
//! Folding works on JSON alone and calls no user code, so that any process can show any run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::reducer::Reducer;

/// The changes that one node made: each field at most once, under its operation.
///
/// As JSON: `{"set":{"server_id":"s-1"},"append":{"logs":["provisioned"]}}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta {
    operations: BTreeMap<Reducer, BTreeMap<String, Value>>,
}

impl Delta {
    /// A delta that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one operation. A field that is given twice keeps the later value.
    pub fn insert(&mut self, reducer: Reducer, field: &str, value: Value) {
        self.operations
            .entry(reducer)
            .or_default()
            .insert(field.to_owned(), value);
    }

    /// Whether the delta changes nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations: reducer, field, value.
    pub fn operations(&self) -> impl Iterator<Item = (Reducer, &str, &Value)> {
        self.operations.iter().flat_map(|(reducer, fields)| {
            fields
                .iter()
                .map(|(field, value)| (*reducer, field.as_str(), value))
        })
    }

    /// The fields that are replaced outright; two parallel nodes must not name the same one.
    pub fn replaced_fields(&self) -> impl Iterator<Item = &str> {
        self.operations
            .get(&Reducer::Set)
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// Takes out the operations that wait for a function of the service.
    pub(crate) fn take_unresolved(&mut self) -> BTreeMap<String, Value> {
        self.operations.remove(&Reducer::With).unwrap_or_default()
    }
}

/// A stored delta that does not fit the stored state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply `{operation}` to field `{field}`: the stored values do not fit it")]
pub struct FoldError {
    /// The operation's word.
    pub operation: &'static str,
    /// The field.
    pub field: String,
}

/// Applies `delta` to a state in JSON. Operations still unresolved are passed over: the join that
/// resolves them is journalled as `set`.
///
/// # Errors
/// [`FoldError`] when a stored value is of another shape than its operation needs.
pub fn fold(state: &mut Map<String, Value>, delta: &Delta) -> Result<(), FoldError> {
    for (reducer, field, value) in delta.operations() {
        let slot = state.entry(field).or_insert(Value::Null);
        let folded = match reducer {
            Reducer::With => continue,
            Reducer::Union if slot.is_null() => {
                concatenate(&mut Value::Array(Vec::new()), value, true)
            }
            _ if slot.is_null() => Some(value.clone()),
            Reducer::Set => Some(value.clone()),
            Reducer::Append => concatenate(slot, value, false),
            Reducer::Union => concatenate(slot, value, true),
            Reducer::Add => sum(slot, value),
            Reducer::Max | Reducer::Min if value.is_null() => Some(slot.take()),
            Reducer::Max => {
                exceeds(value, slot).map(|yes| if yes { value.clone() } else { slot.take() })
            }
            Reducer::Min => {
                exceeds(slot, value).map(|yes| if yes { value.clone() } else { slot.take() })
            }
            Reducer::Merge => merged(slot, value),
        };
        *slot = folded.ok_or_else(|| FoldError {
            operation: reducer.as_str(),
            field: field.to_owned(),
        })?;
    }
    Ok(())
}

fn concatenate(slot: &mut Value, value: &Value, only_new: bool) -> Option<Value> {
    let Value::Array(mut items) = slot.take() else {
        return None;
    };
    for item in value.as_array()? {
        if !(only_new && items.contains(item)) {
            items.push(item.clone());
        }
    }
    Some(Value::Array(items))
}

fn sum(slot: &Value, value: &Value) -> Option<Value> {
    let (Value::Number(old), Value::Number(new)) = (slot, value) else {
        return None;
    };
    let number = match (integer(old), integer(new)) {
        (Some(old), Some(new)) => {
            let sum = old.checked_add(new)?;
            i64::try_from(sum)
                .map(Number::from)
                .or_else(|_| u64::try_from(sum).map(Number::from))
                .ok()?
        }
        _ => Number::from_f64(old.as_f64()? + new.as_f64()?)?,
    };
    Some(Value::Number(number))
}

fn exceeds(left: &Value, right: &Value) -> Option<bool> {
    let (Value::Number(left), Value::Number(right)) = (left, right) else {
        return None;
    };
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left > right),
        _ => Some(left.as_f64()? > right.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

fn merged(slot: &mut Value, value: &Value) -> Option<Value> {
    let Value::Object(mut entries) = slot.take() else {
        return None;
    };
    entries.extend(value.as_object()?.clone());
    Some(Value::Object(entries))
}
