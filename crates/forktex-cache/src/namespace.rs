// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Namespaces: the first part of every key, with the version of what is stored under it.

use std::fmt;

use metrics::SharedString;

use crate::error::KeyError;
use crate::key::{Key, KeyParts};

/// The most bytes of a namespace's name.
const NAME_BYTES_MAX: usize = 100;

/// What keys of one kind begin with: `user.profile`, or `user:profile:v2` with a version.
///
/// A name has `a` to `z`, `0` to `9`, `_`, `-`, `.` and `:`, at most 100 bytes, and no empty segment
/// between dots and colons. It is checked when a key is made, so that a namespace can be a constant.
///
/// Two namespaces share keys where one is the other with more segments after a colon (`user` with the
/// part `profile` is `user:profile`); give each kind of value a name of its own.
///
/// # Examples
/// ```
/// use forktex_cache::Namespace;
///
/// const PROFILE: Namespace = Namespace::new("user.profile").version(2);
///
/// let key = PROFILE.key(("org 1", 42))?;
/// assert_eq!(key.as_str(), "user.profile:v2:org%201:42");
/// assert!(PROFILE.key("").is_err());
/// # Ok::<(), forktex_cache::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// Shared, as every key has it and every call is counted under it.
    name: SharedString,
    /// Why the name cannot begin keys. Of a constant it is known when the program is compiled.
    fault: Option<&'static str>,
    version: Option<u32>,
    fails_closed: bool,
}

impl Namespace {
    /// A namespace of this name, which fails open.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: SharedString::const_str(name),
            fault: name_fault(name),
            version: None,
            fails_closed: false,
        }
    }

    /// The version of the type that is stored: raise it when the type changes, and values of the old
    /// type are not read any more. They go when their time is over.
    pub const fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Cached functions in this namespace fail when Redis is out of reach, rather than load each value.
    pub const fn fail_closed(mut self) -> Self {
        self.fails_closed = true;
        self
    }

    /// Makes a key of one part or of a tuple of up to eight.
    ///
    /// # Errors
    /// [`KeyError`] where the name is not well formed, a part is empty or missing, or the key is too
    /// long.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a tuple of references is written without another one"
    )]
    pub fn key(&self, parts: impl KeyParts) -> Result<Key, KeyError> {
        Key::make(self, &parts)
    }

    /// The name, without the version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, as metrics take it.
    pub(crate) fn label(&self) -> SharedString {
        self.name.clone()
    }

    /// Whether cached functions in it fail when Redis is out of reach.
    pub fn fails_closed(&self) -> bool {
        self.fails_closed
    }

    /// Checks the name.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        match self.fault {
            None => Ok(()),
            Some(reason) => Err(KeyError::Namespace {
                name: self.name().to_owned(),
                reason,
            }),
        }
    }
}

impl From<&'static str> for Namespace {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Namespace {
    fn from(name: String) -> Self {
        Self {
            fault: name_fault(&name),
            name: SharedString::from_shared(name.into()),
            version: None,
            fails_closed: false,
        }
    }
}

/// What the keys of the namespace begin with.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.version {
            Some(version) => write!(f, ":v{version}"),
            None => Ok(()),
        }
    }
}

/// Why a text cannot begin keys, if it cannot; the prefix of a cache follows the same rules.
pub(crate) const fn name_fault(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.len() > NAME_BYTES_MAX {
        return Some("its name has more than 100 bytes");
    }
    let (mut index, mut segment, mut has_empty) = (0, 0, false);
    while index < bytes.len() {
        match bytes[index] {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => segment += 1,
            b'.' | b':' => {
                has_empty |= segment == 0;
                segment = 0;
            }
            _ => return Some("its name may have a to z, 0 to 9, `_`, `-`, `.` and `:`"),
        }
        index += 1;
    }
    if has_empty || segment == 0 {
        return Some("its name has an empty segment");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_when_a_key_is_made() {
        for good in ["user", "user.profile", "user:profile", "a-b_c.9", "v1:x"] {
            assert!(Namespace::new(good).key("1").is_ok(), "{good}");
        }
        for bad in [
            "", ".", "user.", ":user", "a..b", "a.:b", "User", "a b", "a*", "{a}", "a%",
        ] {
            let error = Namespace::new(bad).key("1").unwrap_err();
            assert!(
                matches!(error, KeyError::Namespace { .. }),
                "{bad}: {error}"
            );
        }
        let long = Namespace::from("a".repeat(NAME_BYTES_MAX + 1));
        assert!(long.key("1").unwrap_err().to_string().contains("100 bytes"));
        assert!(Namespace::from("a".repeat(NAME_BYTES_MAX)).key("1").is_ok());
    }

    #[test]
    fn the_version_stands_after_the_name() {
        const V2: Namespace = Namespace::new("user").version(2);
        assert_eq!(V2.to_string(), "user:v2");
        assert_eq!(V2.key(1).unwrap().as_str(), "user:v2:1");
        assert!(!V2.fails_closed() && V2.fail_closed().fails_closed());
    }
}
