// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Content types: what an object is, as given, or as its bytes and its name tell.
//!
//! A type that is found here is a guess that errs towards danger: what a browser might run is called by
//! its active name. It refuses to vouch for a whole file: only the beginning is looked at.

mod sniff;

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use sniff::FIRST_BYTES_MAX;

/// The most bytes of a content type.
const BYTES_MAX: usize = 255;

/// What an object is called where nothing is known of it.
const UNKNOWN: &str = "application/octet-stream";

/// The type of an object, `type/subtype` with parameters: `image/png`, `text/plain; charset=utf-8`.
///
/// The type itself is kept in lower case; parameters stay as they were given. At most 255 bytes.
///
/// # Examples
/// ```
/// use forktex_storage::ContentType;
///
/// let given = ContentType::new("Text/HTML; charset=utf-8")?;
/// assert_eq!(given.essence(), "text/html");
/// assert!(given.is_active() && given.matches("text/*"));
///
/// let found = ContentType::sniff(b"\x89PNG\r\n\x1a\n", "holiday.jpg");
/// assert_eq!(found.as_str(), "image/png");
/// assert!(ContentType::new("no type").is_err());
/// # Ok::<(), forktex_storage::InvalidContentType>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentType(String);

impl ContentType {
    /// Reads a content type.
    ///
    /// # Errors
    /// [`InvalidContentType`] where it is not `type/subtype`, or a parameter is not `name=value`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidContentType> {
        let text = text.as_ref().trim_matches([' ', '\t']);
        let refuse = |reason| InvalidContentType {
            text: text.chars().take(BYTES_MAX).collect(),
            reason,
        };
        if text.len() > BYTES_MAX {
            return Err(refuse("it has more than 255 bytes"));
        }
        let (essence, parameters) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let essence = essence.trim_end_matches([' ', '\t']);
        match essence.split_once('/') {
            Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {}
            _ => return Err(refuse("it does not begin with `type/subtype`")),
        }
        if !are_parameters(parameters) {
            return Err(refuse("a parameter is not `; name=value`"));
        }
        let parameters = parameters.trim_end_matches([' ', '\t']);
        Ok(Self(format!(
            "{}{parameters}",
            essence.to_ascii_lowercase()
        )))
    }

    /// Tells what an object is: by its first bytes, where those decide it, then by the ending of its
    /// name, and else `application/octet-stream`.
    ///
    /// Only the first 512 bytes are looked at. Bytes that are markup win over every name, so a page
    /// called `cat.png` is still `text/html`.
    pub fn sniff(first_bytes: &[u8], name: &str) -> Self {
        Self(
            sniff::sniff(first_bytes, name)
                .unwrap_or(UNKNOWN)
                .to_owned(),
        )
    }

    /// The whole text, with parameters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type without parameters, in lower case.
    pub fn essence(&self) -> &str {
        self.0
            .split(';')
            .next()
            .unwrap_or_default()
            .trim_end_matches([' ', '\t'])
    }

    /// Whether a browser may run code that comes in such an object: pages, SVG, XML, scripts, archived
    /// pages. Such objects are stored to be downloaded. A PDF is not active: it is shown in a sandbox.
    pub fn is_active(&self) -> bool {
        let essence = self.essence();
        essence.ends_with("+xml")
            || essence.ends_with("/xml")
            || essence.contains("javascript")
            || essence.contains("ecmascript")
            || ACTIVE.contains(&essence)
    }

    /// Whether the type is `pattern`, where that is `image/png`, `image/*` or `*/*`. Case and parameters
    /// are not looked at.
    pub fn matches(&self, pattern: &str) -> bool {
        let pattern = pattern
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match pattern.split_once('/') {
            Some(("*", "*")) => true,
            Some((kind, "*")) => self.essence().split('/').next() == Some(kind),
            Some(_) => self.essence() == pattern,
            None => false,
        }
    }
}

/// Active types that their ending does not show.
const ACTIVE: [&str; 14] = [
    "text/html",
    "text/xsl",
    "text/jscript",
    "text/livescript",
    "text/vbscript",
    "text/x-component",
    "text/cache-manifest",
    "message/rfc822",
    "multipart/related",
    "multipart/x-mixed-replace",
    "application/x-mimearchive",
    "application/hta",
    "application/x-shockwave-flash",
    "application/java-archive",
];

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContentType {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<ContentType> for String {
    fn from(content_type: ContentType) -> Self {
        content_type.0
    }
}

impl From<&ContentType> for String {
    fn from(content_type: &ContentType) -> Self {
        content_type.0.clone()
    }
}

impl FromStr for ContentType {
    type Err = InvalidContentType;

    fn from_str(text: &str) -> Result<Self, InvalidContentType> {
        Self::new(text)
    }
}

impl Serialize for ContentType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A text that is no content type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {text:?} as a content type: {reason}")]
#[non_exhaustive]
pub struct InvalidContentType {
    /// What was given, at most 255 characters of it.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        && text != "*"
}

/// Whether the text is any number of `; name=value`, with values as tokens or in quotes.
fn are_parameters(text: &str) -> bool {
    let mut rest = text.trim_end_matches([' ', '\t']);
    while !rest.is_empty() {
        let Some(parameter) = rest.strip_prefix(';') else {
            return false;
        };
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        if !is_token(name.trim_matches([' ', '\t'])) {
            return false;
        }
        let Some(after) = after_value(value) else {
            return false;
        };
        rest = after.trim_start_matches([' ', '\t']);
    }
    true
}

/// What follows the value that the text begins with.
fn after_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return is_token(value).then_some(after);
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if !matches!(c, '\t' | ' '..='~') => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return quoted.get(at + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_with_their_parameters() {
        for (text, read) in [
            ("image/png", "image/png"),
            (" IMAGE/PNG ", "image/png"),
            ("text/plain;charset=UTF-8", "text/plain;charset=UTF-8"),
            (
                "text/plain ; charset=\"a;b\\\"c\"",
                "text/plain; charset=\"a;b\\\"c\"",
            ),
            (
                "application/vnd.api+json; a=b; c=d",
                "application/vnd.api+json; a=b; c=d",
            ),
        ] {
            assert_eq!(ContentType::new(text).unwrap().as_str(), read);
        }
    }

    #[test]
    fn what_could_break_a_header_is_refused() {
        for text in [
            "",
            "png",
            "/png",
            "image/",
            "image/*",
            "image/png/x",
            "image/png;",
            "image/png; a",
            "image/png; a=",
            "image/png; a=\"b",
            "image/png\r\nx: y",
            "image/png; a=\"\u{e9}\"",
            "im\u{e4}ge/png",
        ] {
            assert!(ContentType::new(text).is_err(), "{text:?}");
        }
        assert!(ContentType::new(format!("a/{}", "b".repeat(254))).is_err());
    }

    #[test]
    fn active_types_are_known_by_name() {
        for text in [
            "text/html",
            "TEXT/HTML; charset=x",
            "application/xhtml+xml",
            "image/svg+xml",
            "text/xml",
            "application/xml",
            "application/rss+xml",
            "text/javascript",
            "application/x-javascript",
            "message/rfc822",
        ] {
            assert!(ContentType::new(text).unwrap().is_active(), "{text}");
        }
        for text in [
            "application/pdf",
            "image/png",
            "text/plain",
            "application/json",
            UNKNOWN,
        ] {
            assert!(!ContentType::new(text).unwrap().is_active(), "{text}");
        }
    }

    #[test]
    fn patterns_match_whole_types() {
        let png = ContentType::new("image/png; a=b").unwrap();
        for pattern in ["image/png", "IMAGE/PNG", "image/*", "*/*", "image/png; x=y"] {
            assert!(png.matches(pattern), "{pattern}");
        }
        for pattern in [
            "image/pn",
            "imag/*",
            "*",
            "*/png",
            "image",
            "",
            "image/jpeg",
        ] {
            assert!(!png.matches(pattern), "{pattern}");
        }
    }
}
