// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Patterns of keys: literal text with `*` and `?` in it, and nothing else that means more than itself.

use crate::error::CacheError;

/// What a delete takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Any one byte.
    One,
    /// Any bytes, none included.
    Many,
}

impl Pattern {
    /// Reads a pattern, of which `head` is put in front.
    ///
    /// # Errors
    /// [`CacheError::TooBroad`] where it begins with a wildcard, or is empty.
    pub(crate) fn parse(head: &str, pattern: &str) -> Result<Self, CacheError> {
        if pattern.is_empty() || pattern.starts_with(['*', '?']) {
            return Err(CacheError::TooBroad {
                pattern: pattern.to_owned(),
            });
        }
        let mut pieces = Vec::new();
        let mut text = head.to_owned();
        for character in pattern.chars() {
            let wildcard = match character {
                '*' => Piece::Many,
                '?' => Piece::One,
                literal => {
                    text.push(literal);
                    continue;
                }
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            // Several in a row say no more than one.
            if wildcard != Piece::Many || pieces.last() != Some(&Piece::Many) {
                pieces.push(wildcard);
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self { pieces })
    }

    /// All keys that begin with `text`.
    pub(crate) fn beginning_with(text: String) -> Self {
        Self {
            pieces: vec![Piece::Text(text), Piece::Many],
        }
    }

    /// As Redis reads patterns.
    pub(crate) fn glob(&self) -> String {
        let mut glob = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::One => glob.push('?'),
                Piece::Many => glob.push('*'),
                Piece::Text(text) => {
                    for character in text.chars() {
                        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                            glob.push('\\');
                        }
                        glob.push(character);
                    }
                }
            }
        }
        glob
    }

    /// As Redis reads patterns, of the leases of the keys that match.
    pub(crate) fn lease_glob(&self) -> String {
        super::lease_key(&self.glob())
    }

    /// Whether a key matches.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let key = key.as_bytes();
        let (mut piece, mut at) = (0, 0);
        // Where to go on when the text after the last `*` turns out to stand later.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let rest = key.get(at..).unwrap_or_default();
            let matched = match self.pieces.get(piece) {
                None => rest.is_empty(),
                Some(Piece::Many) => {
                    retry = Some((piece + 1, at));
                    piece += 1;
                    continue;
                }
                Some(Piece::One) => {
                    at += 1;
                    !rest.is_empty()
                }
                Some(Piece::Text(text)) => {
                    at += text.len();
                    rest.starts_with(text.as_bytes())
                }
            };
            if matched {
                if piece == self.pieces.len() {
                    return true;
                }
                piece += 1;
                continue;
            }
            match retry {
                Some((after, from)) if from < key.len() => {
                    (piece, at) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::parse("", pattern).unwrap().matches(key)
    }

    #[test]
    fn wildcards_match_any_bytes_and_one_byte() {
        for (pattern, key) in [
            ("user:*", "user:"),
            ("user:*", "user:1:avatar"),
            ("user:*:avatar", "user:1:avatar"),
            ("user:*:avatar", "user:1:avatar:2:avatar"),
            ("user:?", "user:1"),
            ("u*r:*1", "user:11"),
            ("user", "user"),
            ("a**b?c", "axxbyc"),
        ] {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("user:*", "username"),
            ("user:*:avatar", "user:1:avatars"),
            ("user:*:avatar", "user:avatar"),
            ("user:?", "user:"),
            ("user:?", "user:12"),
            ("user", "user:1"),
            ("a*b?c", "axxbc"),
        ] {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn all_but_the_two_wildcards_is_literal() {
        let pattern = Pattern::parse("p:", r"user:[a-c]\*").unwrap();
        assert_eq!(pattern.glob(), r"p:user:\[a-c\]\\*");
        assert_eq!(pattern.lease_glob(), r"{p:user:\[a-c\]\\*}:lease");
        assert!(pattern.matches(r"p:user:[a-c]\x"));
        assert!(!pattern.matches("p:user:bx"));
    }

    #[test]
    fn a_pattern_without_a_literal_head_is_refused() {
        for pattern in ["", "*", "?", "*:avatar", "?ser:*"] {
            // The prefix of the cache does not make it narrower.
            let error = Pattern::parse("billing:", pattern).unwrap_err();
            assert!(matches!(error, CacheError::TooBroad { .. }), "{error}");
        }
    }

    #[test]
    fn a_beginning_is_literal() {
        let pattern = Pattern::beginning_with("user*:".to_owned());
        assert_eq!(pattern.glob(), r"user\*:*");
        assert!(pattern.matches("user*:1") && !pattern.matches("users:1"));
    }
}
