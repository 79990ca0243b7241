// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys of objects, and prefixes of them: checked once, then carried as types.
//!
//! A key is refused rather than repaired: nothing is encoded, trimmed or normalised, so that the key
//! that was asked for is the key that is used, on every backend. A key that climbs (`..`), that has
//! control characters, or that one of the backends cannot hold, does not exist as a [`Key`].

mod typed;

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

pub use self::typed::{IntoKey, IntoPrefix, PrivateKey, PublicKey};

/// The most bytes of a key, its tenant's prefix included: the limit of S3 and of GCS.
pub(crate) const KEY_BYTES_MAX: usize = 1024;

/// The folder in which the folder backend keeps what is no object.
pub(crate) const RESERVED_SEGMENT: &str = ".forktex-storage";

/// The most bytes of a key that an error shows.
const SHOWN_BYTES_MAX: usize = 200;

/// The key of an object: `invoices/2026/7.pdf`.
///
/// It has 1 to 1024 bytes of UTF-8, in segments between `/`. No segment is empty, `.` or `..`; there are
/// no control characters and no `\`; the first segment is not `.forktex-storage`. Everything else is
/// kept as it is: spaces, `%`, `+`, `?`, `#` and letters of any script.
///
/// # Examples
/// ```
/// use forktex_storage::{Key, KeyError};
///
/// let key = Key::new("invoices/2026/7.pdf")?;
/// assert_eq!(key.name(), "7.pdf");
/// assert!(matches!(Key::new("invoices/../secret"), Err(KeyError::RelativeSegment { .. })));
/// assert!(Key::new("/etc/passwd").is_err());
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// A key of this text.
    ///
    /// # Errors
    /// [`KeyError`], which says what is wrong with the text.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        check_length(&text)?;
        check_segments(&text)?;
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: what a file of this key would be called.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// This key, a `/`, and more segments.
    ///
    /// # Errors
    /// [`KeyError`] where `more` is no key by itself, or the whole is too long.
    pub fn join(&self, more: &str) -> Result<Self, KeyError> {
        // Checked by itself, so that `more` cannot be empty.
        let more = Self::new(more)?;
        Self::new(format!("{self}/{more}"))
    }

    /// The path of `object_store`, with the text unchanged.
    pub(crate) fn to_path(&self) -> Path {
        to_path(&self.0)
    }
}

/// What the keys of a list begin with, by whole segments: `invoices/2026`. It may be empty, which is all
/// keys; a `/` at the end is allowed and means nothing. Else it follows the rules of a [`Key`].
///
/// # Examples
/// ```
/// use forktex_storage::Prefix;
///
/// assert_eq!(Prefix::new("invoices/2026/")?, Prefix::new("invoices/2026")?);
/// assert!(Prefix::new("")?.is_empty());
/// assert!(Prefix::new("../other").is_err());
/// # Ok::<(), forktex_storage::KeyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Prefix {
    /// A prefix of this text.
    ///
    /// # Errors
    /// [`KeyError`], which says what is wrong with the text.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let mut text = text.into();
        if text.is_empty() {
            return Ok(Self::default());
        }
        check_length(&text)?;
        if text.ends_with('/') {
            text.pop();
        }
        check_segments(&text)?;
        Ok(Self(text))
    }

    /// The text, without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the prefix of all keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key begins with it, by whole segments: `a` is a prefix of `a/b` and not of `ab` or `a`.
    pub fn contains(&self, key: &Key) -> bool {
        self.is_empty()
            || key
                .as_str()
                .strip_prefix(self.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The path of `object_store`, with the text unchanged; its root for the empty prefix.
    pub(crate) fn to_path(&self) -> Path {
        to_path(&self.0)
    }
}

/// The path of a text that was checked. `Path::parse` keeps the text and refuses a subset of what a key
/// may not have.
fn to_path(text: &str) -> Path {
    let path = Path::parse(text);
    debug_assert!(path.is_ok(), "a key that is no path: {text:?}");
    // It cannot be reached. The other way of making a path encodes, so that it never climbs either.
    path.unwrap_or_else(|_| Path::from(text))
}

fn check_length(text: &str) -> Result<(), KeyError> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong {
            bytes: text.len(),
            bytes_max: KEY_BYTES_MAX,
        });
    }
    Ok(())
}

/// The rules for each segment, and for each character.
fn check_segments(text: &str) -> Result<(), KeyError> {
    if text.chars().any(char::is_control) {
        return Err(KeyError::ControlCharacter { key: shown(text) });
    }
    if text.contains('\\') {
        return Err(KeyError::Backslash { key: shown(text) });
    }
    for segment in text.split('/') {
        if segment.is_empty() {
            return Err(KeyError::EmptySegment { key: shown(text) });
        }
        if segment == "." || segment == ".." {
            return Err(KeyError::RelativeSegment { key: shown(text) });
        }
    }
    if text.split('/').next() == Some(RESERVED_SEGMENT) {
        return Err(KeyError::Reserved { key: shown(text) });
    }
    Ok(())
}

/// A text as an error shows it: escaped, and not longer than a line or two.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let (start, rest) = text.split_at(end);
    let dots = if rest.is_empty() { "" } else { ".." };
    format!("{}{dots}", start.escape_debug())
}

/// A text that is no key, no prefix or no organisation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("cannot use an empty key; name an object")]
    Empty,

    /// It is too long, with the prefix of its tenant.
    #[error(
        "cannot use a key of {bytes} bytes: {bytes_max} are allowed; use a shorter name or an id"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },

    /// It begins or ends with `/`, or has `//`.
    #[error("cannot use the key `{key}`: it has an empty segment; drop the `/` before or after it")]
    EmptySegment {
        /// The key.
        key: String,
    },

    /// It has a segment `.` or `..`.
    #[error("cannot use the key `{key}`: `.` and `..` are no names; write the whole key")]
    RelativeSegment {
        /// The key.
        key: String,
    },

    /// It has a control character, such as a line break or NUL.
    #[error("cannot use the key `{key}`: it has a control character; replace it")]
    ControlCharacter {
        /// The key, escaped.
        key: String,
    },

    /// It has a `\`, which some systems take for a `/`.
    #[error("cannot use the key `{key}`: it has a backslash; separate segments by `/`")]
    Backslash {
        /// The key, escaped.
        key: String,
    },

    /// Its first segment is the one in which the folder backend keeps what is no object.
    #[error(
        "cannot use the key `{key}`: `.forktex-storage` is reserved; use another first segment"
    )]
    Reserved {
        /// The key.
        key: String,
    },

    /// An organisation's name is not well formed.
    #[error(
        "cannot use the organisation `{org}`: it needs 1 to 64 characters of `A` to `Z`, `a` to `z`, `0` to \
         `9`, `_` and `-`"
    )]
    Org {
        /// The name, escaped.
        org: String,
    },
}

impl KeyError {
    /// An [`Org`](Self::Org).
    pub(crate) fn org(org: &str) -> Self {
        Self::Org { org: shown(org) }
    }
}

/// What keys and prefixes have in common.
macro_rules! text_type {
    ($type:ident) => {
        impl FromStr for $type {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = KeyError;

            fn try_from(text: &str) -> Result<Self, KeyError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = KeyError;

            fn try_from(text: String) -> Result<Self, KeyError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> Self {
                text.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(Key);
text_type!(Prefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_as_it_is() {
        let good = [
            "a",
            "a/b/c.txt",
            "a b",
            "%2e%2e/x",
            "a+b~c?d#e%f&g=h",
            "...",
            "a/...b",
            "\u{e4}\u{1f980}/\u{4e2d}",
            "org/.forktex-storage",
            "..a/b..",
        ];
        for text in good {
            let key = Key::new(text).unwrap();
            assert_eq!(key.as_str(), text);
            assert_eq!(key.to_path().as_ref(), text, "the path of {text:?}");
        }
        assert!(Key::new("a".repeat(KEY_BYTES_MAX)).is_ok());
    }

    #[test]
    fn what_climbs_or_hides_is_refused() {
        let bad = [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "a\\b",
            "..\\a",
            ".forktex-storage",
            ".forktex-storage/x",
        ];
        for text in bad {
            assert!(Key::new(text).is_err(), "{text:?}");
        }
        let long = Key::new("a".repeat(KEY_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(
            long,
            KeyError::TooLong {
                bytes: 1025,
                bytes_max: 1024
            }
        );
    }

    #[test]
    fn an_error_shows_a_key_escaped_and_short() {
        let error = Key::new("a\u{1b}[31m").unwrap_err().to_string();
        assert!(
            !error.contains('\u{1b}') && error.contains("[31m"),
            "{error:?}"
        );
        let long = Key::new(format!("{}/", "\u{e4}".repeat(400))).unwrap_err();
        assert!(long.to_string().len() < 400, "{long}");
    }

    #[test]
    fn a_prefix_holds_whole_segments() {
        let prefix = Prefix::new("a/b/").unwrap();
        assert_eq!(prefix.as_str(), "a/b");
        for (key, inside) in [
            ("a/b/c", true),
            ("a/bc", false),
            ("a/b", false),
            ("x", false),
        ] {
            assert_eq!(prefix.contains(&Key::new(key).unwrap()), inside, "{key}");
        }
        assert!(Prefix::default().contains(&Key::new("x").unwrap()));
        for bad in ["/", "//", "a//", "/a", "a/../b", ".."] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_checked_when_they_are_read() {
        let read: Result<Key, _> = serde_json::from_str("\"a/../b\"");
        assert!(read.is_err());
        let read: Result<PublicKey, _> = serde_json::from_str("\"../b\"");
        assert!(read.is_err());
        let key: Key = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"a/b\"");
    }

    #[test]
    fn keys_are_joined_by_whole_segments() {
        let key = Key::new("a").unwrap();
        assert_eq!(key.join("b/c").unwrap().as_str(), "a/b/c");
        for bad in ["", "/b", "../b", "b/"] {
            assert!(key.join(bad).is_err(), "{bad}");
        }
        assert_eq!(key.join("b/c").unwrap().name(), "c");
    }
}
