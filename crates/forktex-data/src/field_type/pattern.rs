// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Patterns for texts, matched in time linear in the text.
//!
//! There is no backtracking, and so no back-references and no look-around. A pattern that would become
//! too large is refused when its field is defined, not when rows are written.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{PATTERN_COMPILED_BYTES_MAX, PATTERN_LENGTH_MAX};

/// How deep groups may be nested.
const NESTING_MAX: u32 = 50;

/// A regular expression that some part of a text must match; `^` and `$` bind it to the whole.
///
/// It is compiled once, when it is first needed. As JSON it is a string.
#[derive(Clone)]
pub struct Pattern {
    source: Arc<str>,
    /// Shared by all copies, as a definition is copied more often than it is read from the database.
    compiled: Arc<OnceLock<Result<Regex, String>>>,
}

impl Pattern {
    /// A pattern; whether it can be used is said when its field is defined.
    pub fn new(source: impl Into<String>) -> Self {
        let source: String = source.into();
        Self {
            source: source.into(),
            compiled: Arc::default(),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Why the pattern cannot be used, if it cannot.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.compile().as_ref().err().map(String::as_str)
    }

    /// Whether some part of the text matches. Nothing matches a pattern that cannot be used.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.compile()
            .as_ref()
            .is_ok_and(|regex| regex.is_match(text))
    }

    fn compile(&self) -> &Result<Regex, String> {
        self.compiled.get_or_init(|| {
            if self.source.chars().count() > PATTERN_LENGTH_MAX {
                return Err(format!("it has more than {PATTERN_LENGTH_MAX} characters"));
            }
            // What is compiled bounds the work for each character of a text, too.
            RegexBuilder::new(&self.source)
                .size_limit(PATTERN_COMPILED_BYTES_MAX)
                .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
                .nest_limit(NESTING_MAX)
                .build()
                .map_err(|error| match error {
                    regex::Error::CompiledTooBig(_) => {
                        "it repeats too much: it would become too large".to_owned()
                    }
                    other => last_line(&other.to_string()),
                })
        })
    }
}

/// What is wrong, without the drawing that shows where.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl From<&str> for Pattern {
    fn from(source: &str) -> Self {
        Self::new(source)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn any_part_matches_unless_it_is_bound() {
        assert!(Pattern::new("[A-Z]{2}").is_match("xxABxx"));
        let bound = Pattern::new("^[A-Z]{2}$");
        assert!(bound.is_match("AB") && !bound.is_match("ABC") && !bound.is_match("AB\n"));
    }

    #[test]
    fn what_would_run_away_elsewhere_is_linear_here() {
        let started = Instant::now();
        for source in ["^(a+)+$", "^(a|aa)+$", "^(a*)*b$", "(x+x+)+y"] {
            let pattern = Pattern::new(source);
            assert_eq!(pattern.fault(), None, "{source}");
            let text = format!("{}!", "a".repeat(50_000));
            assert!(!pattern.is_match(&text), "{source}");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_cannot_be_linear_or_small_is_refused() {
        for source in [
            r"(a)\1",
            "(?=a)b",
            "(?<!a)b",
            "(",
            r"(\w{500}){500}",
            "((((a{100}){100}){100}){100})",
        ] {
            let pattern = Pattern::new(source);
            assert!(pattern.fault().is_some(), "{source}");
            assert!(!pattern.is_match("aa"), "{source}");
        }
        assert!(Pattern::new("a".repeat(501)).fault().is_some());
        assert!(Pattern::new("a".repeat(500)).fault().is_none());
        assert!(
            Pattern::new(format!("{}a{}", "(".repeat(80), ")".repeat(80)))
                .fault()
                .is_some()
        );
    }

    #[test]
    fn copies_are_compiled_once() {
        let pattern = Pattern::new("a");
        let copy = pattern.clone();
        assert!(copy.is_match("a"));
        assert!(pattern.compiled.get().is_some());
        assert_eq!(pattern, Pattern::from("a"));
        assert_eq!(serde_json::to_string(&pattern).unwrap(), "\"a\"");
    }
}
