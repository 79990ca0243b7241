// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The words that compare: one vocabulary for Rust, JSON, SQL and memory. Which of them a field knows
//! is said by its type's capabilities, not here.

use std::fmt;

/// How a field is compared.
///
/// Comparisons have two outcomes. With an empty cell (absent, or null) each of them is false, `ne` and
/// `not_in` too: those ask for a value that is another one. `not` around a comparison is its exact
/// complement. Texts compare by code point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// The same value.
    Eq,
    /// A value, and another one.
    Ne,
    /// Less.
    Lt,
    /// Less, or the same.
    Lte,
    /// Greater.
    Gt,
    /// Greater, or the same.
    Gte,
    /// Within two bounds, both counted in.
    Between,
    /// One of a list.
    In,
    /// A value, and none of a list.
    NotIn,
    /// A part of a text.
    Contains,
    /// A part of a text, in upper or lower case.
    Icontains,
    /// The beginning of a text.
    StartsWith,
    /// The end of a text.
    EndsWith,
    /// Words like these, small mistakes allowed.
    Fuzzy,
    /// Absent or null.
    IsEmpty,
    /// Emptied on purpose.
    IsNull,
    /// Never set.
    IsAbsent,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::Between,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::Icontains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Fuzzy,
        Self::IsEmpty,
        Self::IsNull,
        Self::IsAbsent,
    ];

    /// Its word in JSON.
    ///
    /// ```
    /// use forktex_data::Operator;
    ///
    /// assert_eq!(Operator::NotIn.word(), "not_in");
    /// assert_eq!(Operator::from_word("not_in"), Some(Operator::NotIn));
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Between => "between",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::Icontains => "icontains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Fuzzy => "fuzzy",
            Self::IsEmpty => "is_empty",
            Self::IsNull => "is_null",
            Self::IsAbsent => "is_absent",
        }
    }

    /// The operator of a word in JSON.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.word() == word)
    }

    /// What it takes.
    pub(crate) fn operands(self) -> OperandShape {
        match self {
            Self::Eq | Self::Ne | Self::Lt | Self::Lte | Self::Gt | Self::Gte => OperandShape::One,
            Self::Between => OperandShape::Two,
            Self::In | Self::NotIn => OperandShape::List,
            Self::Contains | Self::Icontains | Self::StartsWith | Self::EndsWith | Self::Fuzzy => {
                OperandShape::Text
            }
            Self::IsEmpty | Self::IsNull | Self::IsAbsent => OperandShape::Nothing,
        }
    }
}

/// What an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperandShape {
    One,
    Two,
    List,
    /// A part of a text. Of a JSON field, `contains` takes a document.
    Text,
    Nothing,
}

impl OperandShape {
    /// In words, for an error.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::One => "a value",
            Self::Two => "a list of two bounds",
            Self::List => "a list",
            Self::Text => "a text",
            Self::Nothing => "true or false",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl serde::Serialize for Operator {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_operator() {
        for operator in Operator::ALL {
            assert_eq!(Operator::from_word(operator.word()), Some(operator));
        }
        assert_eq!(Operator::from_word("like"), None);
    }
}
