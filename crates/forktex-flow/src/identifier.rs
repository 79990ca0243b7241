// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names and identifiers, checked once where they enter.
//!
//! Nothing here reads a clock or a database; a value of these types is well formed by construction.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most characters that a workflow name may have.
pub const WORKFLOW_NAME_CHARACTERS_MAX: usize = 200;

/// The most characters that a node name or a namespace may have.
pub const NAME_CHARACTERS_MAX: usize = 100;

/// A text that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("`{text}` is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What the text was meant to be, such as `workflow name`.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// The rule that it breaks, as advice.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $what:literal, $max:expr, $rule:literal, $valid:expr) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes a name of it.
            ///
            /// # Errors
            /// [`InvalidName`] with the rule that the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                let valid: fn(&str) -> bool = $valid;
                if text.chars().count() <= $max && valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { what: $what, text: text.to_owned(), rule: $rule })
                }
            }

            /// A name that is known to be well formed.
            #[allow(dead_code, reason = "not every kind of name has one")]
            pub(crate) fn unchecked(text: &str) -> Self {
                debug_assert!(Self::new(text).is_ok(), "{text:?}");
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a workflow, such as `cloud.deploy.up`.
    WorkflowName,
    "workflow name",
    WORKFLOW_NAME_CHARACTERS_MAX,
    "write 1 to 200 characters: words of letters, digits, `_` and `-`, joined by dots",
    |text| text.split('.').all(is_word)
);

name!(
    /// The name of a node, unique within its workflow.
    NodeName,
    "node name",
    NAME_CHARACTERS_MAX,
    "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots, and not `__START__` or `__END__`",
    |text| text.split('.').all(is_word) && text != "__START__" && text != "__END__"
);

name!(
    /// The name of a signal, such as `email.verified`.
    SignalName,
    "signal name",
    WORKFLOW_NAME_CHARACTERS_MAX,
    "write 1 to 200 characters: words of letters, digits, `_` and `-`, joined by dots",
    |text| text.split('.').all(is_word)
);

name!(
    /// The tenant or area that a run belongs to; empty for the platform's own.
    Namespace,
    "namespace",
    NAME_CHARACTERS_MAX,
    "write at most 100 characters: words of letters, digits, `_` and `-`, joined by dots",
    |text| text.is_empty() || text.split('.').all(is_word)
);

/// The most characters that an idempotency key, or the key of a durable call, may have.
pub(crate) const KEY_CHARACTERS_MAX: usize = 200;

/// Whether a text may be an idempotency key, or the key of a durable call.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=KEY_CHARACTERS_MAX).contains(&text.chars().count()) && !text.contains('\0')
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl Default for Namespace {
    /// The platform's own namespace, which is empty.
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

/// The version of a workflow; 1 or more.
pub type Version = u32;

/// Identifies one run. A UUIDv7, so that newer runs sort after older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub Uuid);

impl InstanceId {
    /// A new identifier, later than every one that this process made before.
    pub fn generate() -> Self {
        Self(new_uuid())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::str::FromStr for InstanceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<Uuid> for InstanceId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// A new UUIDv7.
#[cfg(not(feature = "simulation"))]
pub(crate) fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

#[cfg(feature = "simulation")]
pub use seeded::seed_identifiers;
#[cfg(feature = "simulation")]
pub(crate) use seeded::{are_seeded, new_uuid};

/// Identifiers that come from a seed.
#[cfg(feature = "simulation")]
mod seeded {
    use std::cell::Cell;

    use uuid::{Builder, Uuid};

    thread_local! {
        static IS_SEEDED: Cell<bool> = const { Cell::new(false) };
    }

    /// By how much the clocks of the processes that make identifiers are apart: an hour each way.
    const MILLISECONDS: std::ops::Range<u64> = 946_684_800_000..946_692_000_000;

    /// From now on the identifiers of this thread come from its generator of random numbers, and seem
    /// to be made by processes whose clocks are up to an hour wrong.
    #[doc(hidden)]
    pub fn seed_identifiers() {
        IS_SEEDED.set(true);
    }

    /// Whether they do, on this thread.
    pub(crate) fn are_seeded() -> bool {
        IS_SEEDED.get()
    }

    pub(crate) fn new_uuid() -> Uuid {
        if !are_seeded() {
            return Uuid::now_v7();
        }
        let random = fastrand::u128(..).to_le_bytes();
        let bytes: [u8; 10] = std::array::from_fn(|at| random[at]);
        Builder::from_unix_timestamp_millis(fastrand::u64(MILLISECONDS), &bytes).into_uuid()
    }
}

/// Identifies one incarnation of a worker. A process that loses its lease becomes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerId(pub(crate) Uuid);

/// Counts the claims of a run. Each claim takes a new one, and every write names the one it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) i64);

/// The key of a definition row: one workflow, version and namespace in one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DefinitionId(pub(crate) i64);

/// The candidate nearest to `text`, if one is near enough to be what was meant: at most a third of
/// its characters differ (Levenshtein distance).
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        for good in ["a", "cloud.deploy.up", "user-1.x_y"] {
            assert_eq!(WorkflowName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "a.", "a..b", "a b", "é", &"x".repeat(201), "a\0b"] {
            assert!(WorkflowName::new(bad).is_err(), "{bad:?}");
        }
        assert!(NodeName::new("__END__").is_err());
        assert!(Namespace::new("").is_ok());
    }

    #[test]
    fn identifiers_sort_by_age() {
        let older = InstanceId::generate();
        assert!(older < InstanceId::generate());
    }
}
