// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is wrong with a query, and where in it. No value of a filter or of a row is kept.

use std::fmt;

use crate::capability::AggregateFunction;
use crate::error::Nearest;
use crate::limits::{
    FACETS_MAX, FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_LIST_MAX, PAGE_ROWS_MAX,
    SORT_KEYS_MAX,
};
use crate::search::SEARCH_QUERY_WORDS_MAX;
use crate::value::ValueKind;

use super::{AGGREGATES_MAX, GROUP_FIELDS_MAX, RELATED_MAX};

/// A query that cannot be asked of its register. The same query will fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The filter is wrong.
    #[error("the filter is wrong at `{path}`: {problem}")]
    Filter {
        /// Where, as a JSON pointer into the filter's JSON form; empty for the whole.
        path: String,
        /// What.
        problem: FilterProblem,
    },

    /// A field that is asked for, sorted by, counted or grouped by is not there.
    #[error("the register `{register}` has no field `{field}`{}", Nearest(nearest.as_deref()))]
    UnknownField {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// A field with a similar name.
        nearest: Option<String>,
    },

    /// A relationship that is asked for is not there.
    #[error(
        "the register `{register}` has no relationship `{relationship}`{}",
        Nearest(nearest.as_deref())
    )]
    UnknownRelationship {
        /// The register.
        register: String,
        /// The relationship.
        relationship: String,
        /// One with a similar name.
        nearest: Option<String>,
    },

    /// The field's values have no order.
    #[error("cannot sort by the field `{field}`, which holds {}", kind.as_str())]
    NotSortable {
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
    },

    /// The field's values cannot be counted apart, or grouped by.
    #[error("cannot count the values of the field `{field}`, which holds {}", kind.as_str())]
    NotFacetable {
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
    },

    /// The function does not fit the field's values.
    #[error(
        "cannot compute {} of the field `{field}`, which holds {}",
        function.as_str(),
        kind.as_str()
    )]
    NotAggregable {
        /// The function.
        function: AggregateFunction,
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
    },

    /// No field of the register is searchable.
    #[error("the register `{register}` has no searchable field; make one with set_searchable")]
    NotSearchable {
        /// The register.
        register: String,
    },

    /// The search is not built yet.
    #[error("the search of the register `{register}` is still being built; try again later")]
    SearchNotReady {
        /// The register.
        register: String,
    },

    /// More of something than a query may have.
    #[error("{what}: {count}, where at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: QueryPart,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },

    /// Two aggregates have one name.
    #[error("two aggregates are called `{name}`; name one of them with `named`")]
    DuplicateName {
        /// The name.
        name: String,
    },

    /// The number of rows of a page is out of its bounds.
    #[error("a page of {size} rows was asked for, where 1 to {PAGE_ROWS_MAX} are allowed")]
    PageSize {
        /// What was asked for.
        size: u32,
    },

    /// The number of the page is out of its bounds.
    #[error(
        "the page {number} cannot be counted off, since pages begin at 1 and end at row {}; \
         scroll instead",
        super::PAGE_OFFSET_MAX
    )]
    PageNumber {
        /// What was asked for.
        number: u64,
    },

    /// The cursor is none, or was cut or changed.
    #[error("the cursor is malformed; begin again without one")]
    CursorMalformed,

    /// The cursor is one of another query.
    #[error("the cursor belongs to another register, filter or sort; begin again without one")]
    CursorOfAnotherQuery,

    /// A value to sort by is too long for a cursor.
    #[error("a value to sort by is too long for a cursor; sort by a shorter field, or by pages")]
    CursorTooLong,

    /// The computed groups are not rows.
    #[error("groups have no rows to scroll or count; end the query with `page` or `first`")]
    GroupsHaveNoRows,
}

/// A part of a query of which there may only be so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryPart {
    /// What is sorted by.
    SortKeys,
    /// Fields whose values are counted.
    Facets,
    /// Sums, averages and the like.
    Aggregates,
    /// Fields that are grouped by.
    GroupFields,
    /// Relationships whose rows are read along.
    Related,
    /// Words of a search.
    SearchWords,
}

impl QueryPart {
    pub(crate) fn check(self, count: usize) -> Result<(), QueryError> {
        let max = match self {
            Self::SortKeys => SORT_KEYS_MAX,
            Self::Facets => FACETS_MAX,
            Self::Aggregates => AGGREGATES_MAX,
            Self::GroupFields => GROUP_FIELDS_MAX,
            Self::Related => RELATED_MAX,
            Self::SearchWords => SEARCH_QUERY_WORDS_MAX,
        };
        if count <= max {
            return Ok(());
        }
        Err(QueryError::TooMany {
            what: self,
            count,
            max,
        })
    }
}

impl fmt::Display for QueryPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SortKeys => "keys to sort by",
            Self::Facets => "facets",
            Self::Aggregates => "aggregates",
            Self::GroupFields => "fields to group by",
            Self::Related => "relationships to read along",
            Self::SearchWords => "words to search for",
        })
    }
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterProblem {
    /// Not an object, or one without a word of the vocabulary.
    #[error(
        r#"expected `{{"field": "..", "eq": ..}}`, `{{"and": [..]}}`, `{{"or": [..]}}`, `{{"not": ..}}` or `{{"related": "..", "where": ..}}`"#
    )]
    Shape,
    /// A word that is not in the vocabulary.
    #[error(
        "there is no operator `{word}`; the operators are eq, ne, lt, lte, gt, gte, between, in, \
         not_in, contains, icontains, starts_with, ends_with, fuzzy, is_empty, is_null, is_absent"
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
    /// The register has no such field.
    #[error("there is no field `{field}`{}", Nearest(nearest.as_deref()))]
    UnknownField {
        /// The field.
        field: String,
        /// A field with a similar name.
        nearest: Option<String>,
    },
    /// The register has no such relationship.
    #[error("there is no relationship `{relationship}`{}", Nearest(nearest.as_deref()))]
    UnknownRelationship {
        /// The relationship.
        relationship: String,
        /// One with a similar name.
        nearest: Option<String>,
    },
    /// Related rows of related rows.
    #[error("`related` goes one hop; the filter within it cannot have another")]
    NestedRelated,
    /// The operator does not fit the kind of the field.
    #[error("`{operator}` does not fit the field `{field}`, which holds {}", kind.as_str())]
    Misfit {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
    },
    /// The operand is none that the field could hold.
    #[error("the field `{field}` holds {}: {reason}", kind.as_str())]
    WrongValue {
        /// The field.
        field: String,
        /// What it holds.
        kind: ValueKind,
        /// Why not.
        reason: String,
    },
    /// Null where a value is needed.
    #[error("`{operator}` needs a value; whether there is one is asked with is_empty")]
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

impl QueryError {
    pub(crate) fn filter(path: impl Into<String>, problem: FilterProblem) -> Self {
        Self::Filter {
            path: path.into(),
            problem,
        }
    }

    /// Where in the filter's JSON form, as a JSON pointer; none where the fault is elsewhere.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Filter { path, .. } => Some(path),
            _ => None,
        }
    }
}
