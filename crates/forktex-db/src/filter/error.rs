// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is wrong with a filter, and where in it.

use crate::error::DbError;
use crate::value::ValueKind;

use super::{FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_LIST_MAX};

/// A filter that cannot be used. Holds no values of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter is wrong at `{path}`: {problem}")]
pub struct FilterError {
    path: String,
    problem: FilterProblem,
}

impl FilterError {
    pub(crate) fn new(path: impl Into<String>, problem: FilterProblem) -> Self {
        Self {
            path: path.into(),
            problem,
        }
    }

    /// Where, as a JSON pointer into the filter's JSON form; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub fn problem(&self) -> &FilterProblem {
        &self.problem
    }
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterProblem {
    /// Not an object, or one without a word of the vocabulary.
    #[error(
        r#"expected `{{"field": "..", "eq": ..}}`, `{{"and": [..]}}`, `{{"or": [..]}}` or `{{"not": ..}}`"#
    )]
    Shape,
    /// A word that is not in the vocabulary.
    #[error(
        "there is no operator `{word}`; the operators are eq, ne, lt, lte, gt, gte, between, in, \
         not_in, contains, icontains, starts_with, ends_with, fuzzy, is_null"
    )]
    UnknownOperator {
        /// The word.
        word: String,
    },
    /// The operand has another form than the operator takes.
    #[error("`{operator}` takes {expected}")]
    Operand {
        /// The operator.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// The field is none that can be filtered by.
    #[error("there is no field `{field}`")]
    UnknownField {
        /// The field.
        field: String,
    },
    /// The field is not among those that the caller may filter by.
    #[error("the field `{field}` cannot be filtered by")]
    NotAllowed {
        /// The field.
        field: String,
    },
    /// The field's values are sealed, so that only whether there is one can be asked.
    #[error("the field `{field}` is encrypted: it can only be asked whether it is null")]
    Sealed {
        /// The field.
        field: String,
    },
    /// The operator does not fit the kind of the field.
    #[error("`{operator}` does not fit the field `{field}`, which holds {kind}")]
    Misfit {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
    },
    /// The value is not one of the field's kind.
    #[error("expected {kind}")]
    WrongKind {
        /// What the field holds.
        kind: ValueKind,
    },
    /// NULL where a value is needed.
    #[error("`{operator}` needs a value; whether there is one is asked with is_null")]
    NeedsValue {
        /// The operator.
        operator: &'static str,
    },
    /// Nested too deep.
    #[error("nested more than {FILTER_DEPTH_MAX} deep")]
    TooDeep,
    /// A list that is too long.
    #[error("{length} members, where at most {FILTER_LIST_MAX} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// Too many comparisons in all.
    #[error("more than {FILTER_COMPARISONS_MAX} comparisons in all")]
    TooMany,
}

impl From<FilterError> for DbError {
    fn from(error: FilterError) -> Self {
        Self::invalid(error.to_string())
    }
}
