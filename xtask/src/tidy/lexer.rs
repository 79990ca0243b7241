// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cuts Rust source into words and signs, without comments and without the insides of literals.
//! Enough to see which paths a file names; it does not parse.

/// A word, a `::`, or a single sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: usize,
}

/// The tokens of a file. Source that does not compile gives tokens all the same, perhaps wrong.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    Lexer {
        source,
        at: 0,
        line: 1,
    }
    .collect()
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Goes on by `bytes`, counting the lines passed.
    fn skip(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.source.len());
        self.line += self.source[self.at..end].matches('\n').count();
        self.at = end;
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else if rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                self.skip(block_comment(rest));
            } else if let Some(length) = literal(rest) {
                self.skip(length);
            } else {
                let line = self.line;
                let text = &rest[..word_or_sign(rest)];
                self.skip(text.len());
                return Some(Token {
                    text: text.strip_prefix("r#").unwrap_or(text),
                    line,
                });
            }
        }
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a string or character that the text starts with.
fn literal(text: &str) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let opened = raw.trim_start_matches('#');
        let hashes = raw.len() - opened.len();
        if let Some(body) = opened.strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = body.find(&end).map_or(body.len(), |at| at + end.len());
            return Some(prefix + "r".len() + hashes + "\"".len() + body);
        }
    }
    if unprefixed.starts_with('"') {
        return Some(prefix + quoted(unprefixed, '"'));
    }
    if unprefixed.starts_with('\'') && is_character(unprefixed) {
        return Some(prefix + quoted(unprefixed, '\''));
    }
    None
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

/// The length of a literal with its quotes, in which a backslash hides the next character.
fn quoted(text: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, character) in text.char_indices().skip(1) {
        if hidden {
            hidden = false;
        } else if character == '\\' {
            hidden = true;
        } else if character == quote {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

fn word_or_sign(text: &str) -> usize {
    let raw = text
        .strip_prefix("r#")
        .filter(|word| word.starts_with(is_word));
    let (prefix, word) = raw.map_or((0, text), |word| (2, word));
    let length = word
        .find(|character| !is_word(character))
        .unwrap_or(word.len());
    if length > 0 {
        return prefix + length;
    }
    if text.starts_with("::") {
        2
    } else {
        text.chars().next().map_or(1, char::len_utf8)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_paths_are_cut() {
        assert_eq!(
            texts("use crate::a_b::{c, r#type};"),
            [
                "use", "crate", "::", "a_b", "::", "{", "c", ",", "type", "}", ";"
            ]
        );
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let source = r##"a // x
            /* y /* z */ y */ b "q\"r" c 'd' '\'' e 'life r#"s"t"# b"u" f"##;
        assert_eq!(texts(source), ["a", "b", "c", "e", "'", "life", "f"]);
        assert_eq!(texts("a br##\"b\"# c\"## d"), ["a", "d"]);
    }

    #[test]
    fn lines_are_counted_over_all_that_is_left_out() {
        let source = "a\n/* \n */ \"\n\" b\n// c\nd";
        let lines: Vec<_> = tokens(source)
            .iter()
            .map(|token| (token.text, token.line))
            .collect();
        assert_eq!(lines, [("a", 1), ("b", 4), ("d", 6)]);
    }

    #[test]
    fn text_that_does_not_end_well_still_ends() {
        for source in ["\"open", "/* open", "r#\"open\"", "'", "b'", "é::ü '"] {
            let _ = tokens(source);
        }
    }
}
