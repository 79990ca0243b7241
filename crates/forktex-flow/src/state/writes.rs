// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The fields that a step declares to write: what sets only those, and what tells that two steps write
//! the same one.
//!
//! All of it is for expansions and runs at compile time; it allocates nothing.

use super::reducer::Reducer;
use super::{State, StateSchema};

/// An update that takes a `V` for the field that [`field_key`] tells. One for each setter, made by
/// `#[derive(State)]`.
#[diagnostic::on_unimplemented(
    message = "this field of `{Self}` does not take a `{V}`",
    label = "the field is of another type",
    note = "it takes what the setter of the same name on `{Self}` takes"
)]
pub trait Sets<const FIELD: u64, V>: Sized {
    /// Calls the setter.
    #[must_use]
    fn set(self, value: V) -> Self;
}

/// The key of the field that is called `name` in Rust: its FNV-1a hash.
pub const fn field_key(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut position = 0;
    while position < bytes.len() {
        hash ^= bytes[position] as u64;
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        position += 1;
    }
    hash
}

/// A node of a parallel group: its name, and the fields that its step declares to write, by their names
/// in Rust, if it declares them.
pub type ParallelMember = (&'static str, Option<&'static [&'static str]>);

/// Refuses a member of a parallel group that declares a field without a reducer which a member before
/// it declares as well. For a constant, so that the compiler stops there.
///
/// # Panics
/// Where there is such a field; the message names it and both members.
#[allow(clippy::panic, reason = "this is how a constant is refused")]
pub const fn refuse_shared_field<S: State>(members: &[ParallelMember], position: usize) {
    let (name, Some(fields)) = members[position] else {
        return;
    };
    let mut earlier = 0;
    while earlier < position {
        let (other, declared) = members[earlier];
        if let Some(declared) = declared
            && let Some(field) = shared_field(&S::SCHEMA, S::FIELD_NAMES, declared, fields)
        {
            let mut text = Text::new();
            text.push("the parallel steps `");
            text.push(other);
            text.push("` and `");
            text.push(name);
            text.push("` both write `");
            text.push(field);
            text.push("`: give that field a reducer, such as `#[reduce(append)]`, or let one of them write it");
            panic!("{}", text.as_str());
        }
        earlier += 1;
    }
}

/// The first field without a reducer that is in both lists.
pub(crate) const fn shared_field(
    schema: &StateSchema,
    names: &[&'static str],
    one: &[&'static str],
    other: &[&'static str],
) -> Option<&'static str> {
    let mut position = 0;
    while position < one.len() {
        let field = one[position];
        if contains(other, field) && is_set(schema, names, field) {
            return Some(field);
        }
        position += 1;
    }
    None
}

/// Whether a new value of the field replaces the old one.
const fn is_set(schema: &StateSchema, names: &[&'static str], field: &str) -> bool {
    let mut position = 0;
    while position < schema.fields.len() {
        let declared = if names.is_empty() {
            schema.fields[position].name
        } else {
            names[position]
        };
        if is_same(declared, field) {
            return matches!(schema.fields[position].reducer, Reducer::Set);
        }
        position += 1;
    }
    false
}

const fn contains(names: &[&'static str], name: &str) -> bool {
    let mut position = 0;
    while position < names.len() {
        if is_same(names[position], name) {
            return true;
        }
        position += 1;
    }
    false
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut position = 0;
    while position < one.len() {
        if one[position] != other[position] {
            return false;
        }
        position += 1;
    }
    true
}

/// A text that is put together at compile time; what does not fit is cut off.
struct Text {
    bytes: [u8; 600],
    length: usize,
}

impl Text {
    const fn new() -> Self {
        Self {
            bytes: [0; 600],
            length: 0,
        }
    }

    const fn push(&mut self, part: &str) {
        let part = part.as_bytes();
        if self.length + part.len() > self.bytes.len() {
            return;
        }
        let mut position = 0;
        while position < part.len() {
            self.bytes[self.length] = part[position];
            self.length += 1;
            position += 1;
        }
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => "two parallel steps write one field",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::FieldSchema;

    const fn field(name: &'static str, reducer: Reducer) -> FieldSchema {
        FieldSchema {
            name,
            type_name: "u8",
            reducer,
        }
    }

    const SCHEMA: StateSchema = StateSchema {
        name: "Deploy",
        fields: &[
            field("serverId", Reducer::Set),
            field("logs", Reducer::Append),
        ],
    };

    #[test]
    fn only_a_field_without_a_reducer_is_shared() {
        let names = ["server_id", "logs"];
        let both = ["logs", "server_id"];
        assert_eq!(
            shared_field(&SCHEMA, &names, &both, &both),
            Some("server_id")
        );
        assert_eq!(shared_field(&SCHEMA, &names, &["logs"], &both), None);
        assert_eq!(shared_field(&SCHEMA, &[], &both, &both), None);
        assert_eq!(
            shared_field(&SCHEMA, &[], &["serverId"], &["serverId"]),
            Some("serverId")
        );
    }

    #[test]
    fn keys_differ_by_name() {
        assert_ne!(field_key("server_id"), field_key("server_ip"));
        assert_eq!(field_key(""), 0xcbf2_9ce4_8422_2325);
    }
}
