// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a value does not fit its field, and all such reasons of one row.
//!
//! A problem holds what the definition says, never the value: it may be logged, and is sent back as it is.

use std::fmt;

use serde::{Serialize, Serializer};

/// Problems of one row that are kept; a row that has more is refused all the same.
pub(crate) const PROBLEMS_MAX: usize = 100;

/// Why a value does not fit its field. As JSON it is an object with a `code`, such as `too_long`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CellProblem {
    /// The field must have a value.
    #[error("a value is required")]
    Required,
    /// The value is of another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the field takes.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// The text has too many characters.
    #[error("it has {length} characters, and at most {max} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The text has too few characters.
    #[error("it has {length} characters, and at least {min} are needed")]
    TooShort {
        /// How many it has.
        length: usize,
        /// How many are needed.
        min: usize,
    },
    /// The document, or the whole row, has too many bytes.
    #[error("it has {bytes} bytes, and at most {max} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The document is nested too deep.
    #[error("it is nested deeper than {depth_max}")]
    TooDeep {
        /// How deep documents may be.
        depth_max: usize,
    },
    /// There are more references than one draft may have.
    #[error("it has {count} references, and at most {max} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The value is below the field's minimum.
    #[error("it is below the minimum, {minimum}")]
    BelowMinimum {
        /// The minimum.
        minimum: String,
    },
    /// The value is above the field's maximum.
    #[error("it is above the maximum, {maximum}")]
    AboveMaximum {
        /// The maximum.
        maximum: String,
    },
    /// The text is not the key of an option.
    #[error("it is not one of the options ({})", Options(.options))]
    NotAnOption {
        /// The keys of the options, at most the first 20.
        options: Vec<String>,
    },
    /// The text does not match the field's pattern.
    #[error("it does not match the pattern {pattern}")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// The number has more digits after the point than the field keeps.
    #[error("it has more than {scale} digits after the point")]
    Scale {
        /// How many the field keeps.
        scale: u32,
    },
    /// The text is not a number.
    #[error("it is not a number as the field takes it: digits, with a point and a minus at most")]
    NotANumber,
    /// The text has a NUL character, which cannot be stored.
    #[error("it has a NUL character, which cannot be stored")]
    NulCharacter,
    /// Nobody can give the field a value: it is computed, counted by us, or what every row has.
    #[error("it cannot be set: it is given by the register")]
    ReadOnly,
    /// The register has no such field.
    #[error("there is no such field{}", similar(.nearest.as_deref()))]
    UnknownField {
        /// A field of a similar name, where there is one.
        nearest: Option<String>,
    },
    /// A custom type does not take the value.
    #[error("{message}")]
    Custom {
        /// Why, in the words of the type.
        message: String,
    },
    /// No value of the field stands for it: it is too large, too fine, or would lose something.
    #[error("the field has no value that stands for it without loss")]
    Unrepresentable,
}

/// All problems of one row, with the fields that they are in. At most 100 are kept.
///
/// As JSON it is a list: `[{"field": "total", "code": "required"}]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowProblems {
    problems: Vec<(String, CellProblem)>,
}

impl RowProblems {
    /// These problems.
    pub fn new(problems: Vec<(String, CellProblem)>) -> Self {
        let mut kept = Self { problems };
        kept.problems.truncate(PROBLEMS_MAX);
        kept
    }

    /// Adds a problem, unless there are too many already.
    pub fn push(&mut self, field: impl Into<String>, problem: CellProblem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push((field.into(), problem));
        }
    }

    /// The problems, each with its field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &CellProblem)> {
        let problems = self.problems.iter();
        problems.map(|(field, problem)| (field.as_str(), problem))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The first problem, and how many more there are.
impl fmt::Display for RowProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((field, problem)) = self.problems.first() else {
            return f.write_str("nothing is wrong");
        };
        write!(f, "`{field}`: {problem}")?;
        match self.len() - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and one more problem)"),
            more => write!(f, " (and {more} more problems)"),
        }
    }
}

impl std::error::Error for RowProblems {}

impl Serialize for RowProblems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.iter()
                .map(|(field, problem)| InField { field, problem }),
        )
    }
}

/// A problem with the field that it is in, as one object.
#[derive(Serialize)]
struct InField<'a> {
    field: &'a str,
    #[serde(flatten)]
    problem: &'a CellProblem,
}

/// The keys of options, as a list for people.
struct Options<'a>(&'a [String]);

impl fmt::Display for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

fn similar(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; there is `{name}`"))
}
