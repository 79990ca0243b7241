// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can be wrong with a formula, and where. The text of a formula is part of a schema, so an error
//! may quote it; values of rows are never known here.

use std::error::Error;
use std::fmt;

use crate::error::Nearest;
use crate::limits::{FORMULA_CHARACTERS_MAX, FORMULA_DEPTH_MAX};

/// Characters of the formula that a message shows.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// A part of a formula's text, in bytes, as for slicing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Where it begins.
    pub start: usize,
    /// Where it ends; the byte here is no part of it.
    pub end: usize,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest that holds both.
    pub(super) fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }
}

/// A formula that cannot be used: what is wrong with it, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct FormulaError(Box<Fault>);

#[derive(Clone, PartialEq, Eq)]
struct Fault {
    problem: FormulaProblem,
    span: Span,
    source: String,
    field: Option<String>,
}

impl FormulaError {
    pub(super) fn new(problem: FormulaProblem, span: Span, source: &str) -> Self {
        // The text of one that is too long is not carried along.
        let source = match problem {
            FormulaProblem::TooLong { .. } => String::new(),
            _ => source.to_owned(),
        };
        Self(Box::new(Fault {
            problem,
            span,
            source,
            field: None,
        }))
    }

    /// Names the field whose formula it is, as `register.field`.
    pub(crate) fn of_field(mut self, field: String) -> Self {
        self.0.field = Some(field);
        self
    }

    /// What is wrong.
    pub fn problem(&self) -> &FormulaProblem {
        &self.0.problem
    }

    /// Where it is wrong, in bytes of the formula's text.
    pub fn span(&self) -> Span {
        self.0.span
    }

    /// The field whose formula it is, as `register.field`, if it belongs to one.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The part at fault; empty where something is missing.
    fn part(&self) -> &str {
        let Span { start, end } = self.0.span;
        self.0.source.get(start..end).unwrap_or_default()
    }
}

impl fmt::Display for FormulaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot use the formula")?;
        if let Some(field) = self.field() {
            write!(f, " of `{field}`")?;
        }
        // Places are counted in characters from 1, as editors do.
        let before = self.0.source.get(..self.0.span.start).unwrap_or_default();
        write!(f, " at character {}", before.chars().count() + 1)?;
        let part = self.part();
        if !part.is_empty() {
            let shown: String = part.chars().take(SHOWN_CHARACTERS_MAX).collect();
            let rest = if shown.len() < part.len() { ".." } else { "" };
            write!(f, " (`{shown}{rest}`)")?;
        }
        write!(f, ": {}", self.0.problem)
    }
}

impl fmt::Debug for FormulaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormulaError")
            .field("problem", &self.0.problem)
            .field("span", &self.0.span)
            .field("field", &self.0.field)
            .finish_non_exhaustive()
    }
}

impl Error for FormulaError {}

/// What is wrong with a formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormulaProblem {
    /// There is no formula.
    #[error("there is nothing in it; write an expression such as `net * 1.2`")]
    Empty,

    /// It is too long.
    #[error(
        "it has {characters} characters, and {} are allowed; split it over several fields",
        FORMULA_CHARACTERS_MAX
    )]
    TooLong {
        /// How many characters it has.
        characters: usize,
    },

    /// It is nested too deeply.
    #[error(
        "it is nested more than {} deep; split it over several fields",
        FORMULA_DEPTH_MAX
    )]
    TooDeep,

    /// A character that the language does not have.
    #[error("`{}` means nothing here{}", found.escape_default(), Instead(*instead))]
    UnexpectedCharacter {
        /// The character.
        found: char,
        /// What to write instead.
        instead: Option<&'static str>,
    },

    /// A text literal has no end.
    #[error("this text does not end; close it with `{quote}`, and double a `{quote}` within it")]
    UnclosedText {
        /// The quote that it began with.
        quote: char,
    },

    /// A field's name in braces is not well formed.
    #[error("write the name of a field between `{{` and `}}`, such as `{{net}}`")]
    FieldInBraces,

    /// A number has too many digits or is not well formed.
    #[error("this is no number of at most 28 digits; write it as `12` or `1.25`")]
    Number,

    /// Something else was expected.
    #[error("{expected} is expected here")]
    Expected {
        /// What is expected.
        expected: &'static str,
    },

    /// Something is left over after the end.
    #[error(
        "nothing is expected after the expression; write an operator before it, or take it out"
    )]
    LeftOver,

    /// Comparisons in a row.
    #[error("comparisons cannot follow each other; write `a < b and b < c`")]
    ChainedComparison,

    /// No function of this name.
    #[error("there is no function `{name}`{}", Nearest(nearest.as_deref()))]
    UnknownFunction {
        /// The name.
        name: String,
        /// One with a similar name.
        nearest: Option<String>,
    },

    /// A function is given too few or too many arguments.
    #[error("{} given; write it as `{usage}`", Arguments(*given))]
    ArgumentCount {
        /// How many arguments it is given.
        given: usize,
        /// How the function is written.
        usage: &'static str,
    },

    /// No field of this name.
    #[error("there is no field `{name}`{}", Nearest(nearest.as_deref()))]
    UnknownField {
        /// The name.
        name: String,
        /// One with a similar name.
        nearest: Option<String>,
    },

    /// A field whose values a formula cannot work with.
    #[error("a formula cannot use the field `{name}`: {reason}")]
    UnusableField {
        /// The name.
        name: String,
        /// Why not, and what to do.
        reason: &'static str,
    },

    /// A part has another type than its place asks for.
    #[error("{expected} is expected here, and this is {found}{}", Instead(*instead))]
    WrongType {
        /// What is expected.
        expected: &'static str,
        /// What it is.
        found: &'static str,
        /// What to write instead.
        instead: Option<&'static str>,
    },

    /// Two parts that must have one type do not.
    #[error(
        "{left} and {right} do not go together; convert one of them, as with `text(..)` or `date(..)`"
    )]
    Mismatch {
        /// The type of the first.
        left: &'static str,
        /// The type of the second.
        right: &'static str,
    },

    /// The formula is empty for every row, so that it has no type.
    #[error("it is always empty, so that it has no type; give it a value")]
    AlwaysEmpty,
}

struct Instead(Option<&'static str>);

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |text| write!(f, "; {text}"))
    }
}

struct Arguments(usize);

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no argument is"),
            1 => f.write_str("one argument is"),
            count => write!(f, "{count} arguments are"),
        }
    }
}
