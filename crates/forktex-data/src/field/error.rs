// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a definition cannot be used.

use crate::field_name::NameProblem;
use crate::validate::CellProblem;

/// A definition that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("cannot define field `{field}`: {problem}")]
#[non_exhaustive]
pub struct DefinitionError {
    /// The name of the field, at most its first 100 characters.
    pub field: String,
    /// What is wrong.
    pub problem: DefinitionProblem,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionProblem {
    /// The name cannot be one.
    #[error("{0}")]
    Name(NameProblem),
    /// A text for people is too long.
    #[error("its {what} has more than {max} characters")]
    TooLong {
        /// `label` or `description`.
        what: &'static str,
        /// The most characters.
        max: usize,
    },
    /// A text for people has a character that cannot be stored.
    #[error("its {what} has a NUL character")]
    NulCharacter {
        /// `label`, `description`, `pattern` or `expression`.
        what: &'static str,
    },
    /// A bound is a day that no value can be.
    #[error("its range begins or ends before the year 0")]
    BeforeYearZero,
    /// The type cannot do what is asked.
    #[error("a field of type {field_type} takes no `{option}`")]
    NotForType {
        /// What was asked.
        option: &'static str,
        /// The type.
        field_type: &'static str,
    },
    /// The smallest is above the greatest.
    #[error("its {what} allows nothing: the minimum is above the maximum")]
    EmptyRange {
        /// `range` or `length`.
        what: &'static str,
    },
    /// A limit is beyond what can be stored.
    #[error("its {what} cannot be {given}: at most {max} is possible")]
    BeyondLimit {
        /// The rule.
        what: &'static str,
        /// What was asked.
        given: usize,
        /// The most that is possible.
        max: usize,
    },
    /// The pattern cannot be used.
    #[error("its pattern cannot be used: {reason}")]
    Pattern {
        /// Why.
        reason: String,
    },
    /// An enum needs an option.
    #[error("it has no options")]
    NoOptions,
    /// An option cannot be one.
    #[error("its option number {number} cannot be used: {reason}")]
    Option {
        /// Which, from 1.
        number: usize,
        /// Why.
        reason: &'static str,
    },
    /// Something that the field goes by has no usable name.
    #[error("its `{what}` cannot be a name: {problem}")]
    OtherName {
        /// The member: `relationship`, `through`, `field`, ..
        what: &'static str,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// The default is not a value of the field.
    #[error("its default cannot be used: {0}")]
    Default(CellProblem),
    /// A formula has no text.
    #[error("its expression is empty")]
    EmptyFormula,
    /// The service does not know the custom type.
    #[error(
        "the custom type `{name}` is not registered{}; register it when the service builds its `Data`",
        similar(.nearest.as_deref())
    )]
    UnknownType {
        /// The name.
        name: String,
        /// A similar one, where there is one.
        nearest: Option<String>,
    },
}

fn similar(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (there is `{name}`)"))
}
