// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cuts the text of a formula into words, numbers, texts and signs. It knows no grammar.

use rust_decimal::Decimal;

use super::error::{FormulaProblem, Span};
use crate::limits::{FORMULA_CHARACTERS_MAX, NAME_CHARACTERS_MAX};
use crate::value::Value;

/// Words that stand for themselves, so that a field of such a name is written in braces.
const WORDS: [&str; 6] = ["and", "or", "not", "true", "false", "null"];

/// A fault and its place.
pub(super) type Fault = (FormulaProblem, Span);

/// A piece of a formula.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number or a text as it is.
    Literal(Value),
    /// A word: of the language, a function or a field. As it was written.
    Word(String),
    /// A field's name in braces.
    Field(String),
    /// A sign, such as `<=`.
    Sign(&'static str),
}

/// Whether the word belongs to the language.
pub(super) fn is_word(word: &str) -> bool {
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Cuts the text up.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, Span)>, Fault> {
    let characters = source.chars().count();
    if characters > FORMULA_CHARACTERS_MAX {
        return Err((FormulaProblem::TooLong { characters }, Span::new(0, 0)));
    }
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    // Each turn takes at least one character.
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Takes what begins the rest and fits.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn next(&mut self) -> Result<Option<(Token, Span)>, Fault> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '0'..='9' => self.number()?,
            '\'' | '"' => self.text(first)?,
            '{' => self.braces()?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                Token::Word(word.to_owned())
            }
            _ => self.sign(first)?,
        };
        Ok(Some((token, Span::new(start, self.at))))
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit());
        let is_whole = !self.rest().starts_with('.');
        if !is_whole {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        // Letters that touch a number belong to no word: `2x` or `1e5`.
        let tail = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let span = Span::new(start, self.at);
        let text = self.source.get(start..self.at).unwrap_or_default();
        if !tail.is_empty() || text.ends_with('.') {
            return Err((FormulaProblem::Number, span));
        }
        if is_whole && let Ok(number) = text.parse() {
            return Ok(Token::Literal(Value::Integer(number)));
        }
        Decimal::from_str_exact(text)
            .map(|number| Token::Literal(Value::Decimal(number)))
            .map_err(|_| (FormulaProblem::Number, span))
    }

    /// A text in quotes, where a doubled quote stands for one.
    fn text(&mut self, quote: char) -> Result<Token, Fault> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            text.push_str(self.take_while(|c| c != quote));
            if self.rest().is_empty() {
                let span = Span::new(start, self.at);
                return Err((FormulaProblem::UnclosedText { quote }, span));
            }
            self.at += 1;
            if !self.rest().starts_with(quote) {
                break;
            }
            self.at += 1;
            text.push(quote);
        }
        if let Some(position) = text.find('\0') {
            let problem = FormulaProblem::UnexpectedCharacter {
                found: '\0',
                instead: Some("a text cannot hold it"),
            };
            let at = start + 1 + position;
            return Err((problem, Span::new(at.min(self.at), self.at)));
        }
        Ok(Token::Literal(Value::Text(text)))
    }

    fn braces(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        let name = self.take_while(|c| c != '}' && c != '{').trim();
        let is_closed = self.rest().starts_with('}');
        let is_name = !name.is_empty()
            && name.len() <= NAME_CHARACTERS_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_closed || !is_name {
            let span = Span::new(start, self.at);
            return Err((FormulaProblem::FieldInBraces, span));
        }
        self.at += 1;
        Ok(Token::Field(name.to_owned()))
    }

    fn sign(&mut self, first: char) -> Result<Token, Fault> {
        static TWO: [(&str, &str); 6] = [
            ("<=", "<="),
            (">=", ">="),
            ("!=", "!="),
            ("<>", "!="),
            ("==", "="),
            ("&&", ""),
        ];
        static ONE: [&str; 12] = ["(", ")", ",", "+", "-", "*", "/", "%", "&", "=", "<", ">"];
        let start = self.at;
        let rest = self.rest();
        let two = TWO.iter().find(|(sign, _)| rest.starts_with(sign));
        if let Some((written, sign)) = two.filter(|(_, sign)| !sign.is_empty()) {
            self.at += written.len();
            return Ok(Token::Sign(sign));
        }
        let one = ONE.iter().find(|sign| rest.starts_with(**sign));
        if let (None, Some(sign)) = (two, one) {
            self.at += 1;
            return Ok(Token::Sign(sign));
        }
        self.at += first.len_utf8();
        let problem = FormulaProblem::UnexpectedCharacter {
            found: first,
            instead: instead_of(first),
        };
        Err((problem, Span::new(start, self.at)))
    }
}

/// What people who know other languages mean by the character.
fn instead_of(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "write `and`",
        '|' => "write `or`",
        '!' => "write `not`, or `!=` to compare",
        ';' => "write `,` between arguments",
        '[' | ']' => "write a field as `net` or `{net}`",
        '}' => "write a field as `{net}`",
        '^' => "there are no powers; multiply",
        '.' => "write a number as `0.5`; other registers are read by a look-up or a rollup",
        '\u{2018}' | '\u{2019}' => "write `'`",
        '\u{201c}' | '\u{201d}' => "write `\"`",
        '\u{d7}' => "write `*`",
        '\u{f7}' => "write `/`",
        '\u{2212}' | '\u{2013}' => "write `-`",
        '\u{2264}' => "write `<=`",
        '\u{2265}' => "write `>=`",
        '\u{2260}' => "write `!=`",
        _ => return None,
    })
}
