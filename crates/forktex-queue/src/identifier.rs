// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names and identifiers, checked once where they enter.
//!
//! Nothing here reads a backend; a value of these types is well formed by construction.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most characters that the name of a job, of a queue or of a schedule may have.
pub const NAME_CHARACTERS_MAX: usize = 100;

/// The most bytes that a unique key that is given may have.
pub const UNIQUE_KEY_BYTES_MAX: usize = 190;

/// The most bytes that a tenant or the key of a limit may have.
pub const KEY_BYTES_MAX: usize = 200;

/// A text that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("`{text}` is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What the text was meant to be, such as `job name`.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// The rule that it breaks, as advice.
    pub rule: &'static str,
}

/// The rule of all names.
const NAME_RULE: &str =
    "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots";

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $what:literal) => {
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
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { what: $what, text: text.to_owned(), rule: NAME_RULE })
                }
            }

            /// A name that is known to be well formed.
            pub(crate) fn unchecked(text: &str) -> Self {
                debug_assert!(is_name(text), "{text:?}");
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

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
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
    /// The name of a kind of job, such as `email.send`.
    JobName,
    "job name"
);

name!(
    /// The name of a queue, such as `mail`; `default` where a job names none.
    QueueName,
    "queue name"
);

/// Whether a text may be a name.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARACTERS_MAX && text.split('.').all(is_word)
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Identifies one job. A UUIDv7, so that newer jobs sort after older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new identifier, later than every one that this process made before.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<Uuid> for JobId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// Identifies one worker of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) Uuid);

impl WorkerId {
    pub(crate) fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Fences a claim: each takes a new one, and whoever writes names the one that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LeaseToken(pub(crate) Uuid);

impl LeaseToken {
    pub(crate) fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

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
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut last = line + 1;
        for (cell, to) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(right.iter().map(Some)))
        {
            let above = *cell;
            *cell = match to {
                None => last,
                Some(to) => (diagonal + usize::from(from != *to))
                    .min(above + 1)
                    .min(last + 1),
            };
            diagonal = above;
            last = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        for good in ["a", "email.send", "user-1.x_y"] {
            assert_eq!(JobName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "a.",
            "a..b",
            "a b",
            "é",
            &"x".repeat(101),
            "a\0b",
            "a:b",
            "{a}",
        ] {
            assert!(QueueName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identifiers_sort_by_age() {
        let older = JobId::generate();
        assert!(older < JobId::generate());
    }

    #[test]
    fn the_distance_counts_what_was_changed() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("mail", "mails", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
        assert_eq!(
            nearest("email.sent", ["email.send", "report"]),
            Some("email.send")
        );
        assert_eq!(nearest("other", ["email.send", "report"]), None);
    }
}
