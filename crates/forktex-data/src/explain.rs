// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What of a query no index serves. It warns by the definition of the register; what the planner does
//! with the indexes that are there is in the plan.

use std::fmt;

use serde::Serialize;

use crate::filter::check::{CheckedFilter, Column, Test};
use crate::operator::Operator;
use crate::query::plan::CheckedQuery;
use crate::query::sql::{RowSource, entry, is_served};
use crate::query::stored::StoredSource;

/// How a query is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What no index serves: the cost of it grows with the rows of the register.
    pub warnings: Vec<ExplainWarning>,
    /// The plan of the database for the first page, in its own words; empty for a virtual register.
    /// It shows no values of the filter where the database keeps them as parameters; treat it as data
    /// all the same.
    pub plan: String,
}

/// A part of a query that no index serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainWarning {
    /// The field.
    pub field: String,
    /// Why not.
    pub why: ExplainReason,
}

/// Why no index serves a part of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExplainReason {
    /// The field is filtered by, and has no index.
    FilterWithoutIndex,
    /// The index of the field is still being built.
    IndexNotReady,
    /// The field has an index, which does not serve this operator.
    OperatorNotServed,
    /// The field is filtered by within a `not`, or by an alternative of which another part has no
    /// index: each row is asked.
    EachRowAsked,
    /// The first field of the order has no index.
    SortWithoutIndex,
}

impl fmt::Display for ExplainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FilterWithoutIndex => {
                "the field is filtered by and has no index; call set_indexed"
            }
            Self::IndexNotReady => "the index of the field is still being built",
            Self::OperatorNotServed => "the index of the field does not serve this operator",
            Self::EachRowAsked => "no index serves a `not`, or an `or` with a part that has none",
            Self::SortWithoutIndex => "the rows are sorted by the field, which has no index",
        })
    }
}

/// All warnings about a query, each once.
pub(crate) fn warnings(source: &dyn RowSource, query: &CheckedQuery) -> Vec<ExplainWarning> {
    let mut found = Vec::new();
    visit(source, &query.filter, true, &mut found);
    // The index on references of another system has only the rows that have one.
    if let Some(key) = query.sort.first()
        && (key.column == Column::ExternalRef || !has_index(source, key.column))
    {
        let why = not_ready(source, key.column).unwrap_or(ExplainReason::SortWithoutIndex);
        push(source, key.column, why, &mut found);
    }
    found
}

/// `is_required`: the condition must hold for each row of the answer.
fn visit(
    source: &dyn RowSource,
    filter: &CheckedFilter,
    is_required: bool,
    found: &mut Vec<ExplainWarning>,
) {
    match filter {
        CheckedFilter::And(members) => {
            for member in members {
                visit(source, member, is_required, found);
            }
        }
        CheckedFilter::Or(members) => {
            let is_served = is_required
                && members.iter().all(|member| match member {
                    CheckedFilter::Test(test) => reason(source, test).is_none(),
                    _ => false,
                });
            for member in members {
                visit(source, member, is_served, found);
            }
        }
        CheckedFilter::Not(inner) => visit(source, inner, false, found),
        CheckedFilter::Test(test) => {
            let why = reason(source, test)
                .or_else(|| (!is_required).then_some(ExplainReason::EachRowAsked));
            if let Some(why) = why {
                push(source, test.column, why, found);
            }
        }
        CheckedFilter::Related(related) => {
            let other = StoredSource::new(&related.register);
            visit(&other, &related.filter, is_required, found);
        }
    }
}

fn reason(source: &dyn RowSource, test: &Test) -> Option<ExplainReason> {
    let register = source.register();
    if test.column.is_reference(register) {
        let is_served = matches!(test.operator, Operator::Eq | Operator::In);
        return (!is_served).then_some(ExplainReason::OperatorNotServed);
    }
    if !has_index(source, test.column) {
        let without = ExplainReason::FilterWithoutIndex;
        return Some(not_ready(source, test.column).unwrap_or(without));
    }
    let asks_for_none = matches!(
        test.operator,
        Operator::IsEmpty | Operator::IsNull | Operator::IsAbsent
    );
    let is_served =
        is_served(test.operator) && !(test.column == Column::ExternalRef && asks_for_none);
    (!is_served).then_some(ExplainReason::OperatorNotServed)
}

fn has_index(source: &dyn RowSource, column: Column) -> bool {
    entry(source, column).is_some() || source.is_indexed(column)
}

fn not_ready(source: &dyn RowSource, column: Column) -> Option<ExplainReason> {
    let state = column.field(source.register())?.index_state();
    (state.is_kept() && !state.is_ready()).then_some(ExplainReason::IndexNotReady)
}

fn push(
    source: &dyn RowSource,
    column: Column,
    why: ExplainReason,
    found: &mut Vec<ExplainWarning>,
) {
    let warning = ExplainWarning {
        field: column.name(source.register()).to_owned(),
        why,
    };
    if !found.contains(&warning) {
        found.push(warning);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::filter::check::tests::{checked, register};

    fn warned(filter: &Json) -> Vec<(String, ExplainReason)> {
        let register = register();
        let source = StoredSource::new(&register);
        let mut found = Vec::new();
        visit(&source, &checked(filter).unwrap(), true, &mut found);
        found
            .into_iter()
            .map(|warning| (warning.field, warning.why))
            .collect()
    }

    #[test]
    fn the_index_on_references_of_another_system_has_no_rows_without_one() {
        assert!(warned(&json!({"field": "external_ref", "eq": "a"})).is_empty());
        assert_eq!(
            warned(&json!({"field": "external_ref", "is_empty": true})),
            one("external_ref", ExplainReason::OperatorNotServed)
        );
    }

    fn one(field: &str, why: ExplainReason) -> Vec<(String, ExplainReason)> {
        vec![(field.to_owned(), why)]
    }

    #[test]
    fn what_an_index_serves_is_not_warned_of() {
        for filter in [
            json!({"field": "status", "eq": "paid"}),
            json!({"field": "status", "starts_with": "p"}),
            json!({"field": "total", "gte": 1, "lt": 5}),
            json!({"field": "created_at", "gte": "2026-01-01"}),
            json!({"or": [{"field": "status", "eq": "a"}, {"field": "total", "eq": 1}]}),
        ] {
            assert!(warned(&filter).is_empty(), "{filter}");
        }
    }

    #[test]
    fn each_part_without_an_index_is_named_with_the_reason() {
        let paid = json!({"field": "status", "eq": "paid"});
        for (filter, expected) in [
            (
                json!({"field": "note", "eq": "x"}),
                one("note", ExplainReason::FilterWithoutIndex),
            ),
            (
                json!({"field": "due", "eq": "2026-01-01"}),
                one("due", ExplainReason::IndexNotReady),
            ),
            (
                json!({"field": "status", "contains": "x"}),
                one("status", ExplainReason::OperatorNotServed),
            ),
            (
                json!({"not": paid}),
                one("status", ExplainReason::EachRowAsked),
            ),
        ] {
            assert_eq!(warned(&filter), expected, "{filter}");
        }
        let mixed = json!({"or": [paid, {"field": "note", "eq": "x"}]});
        assert_eq!(warned(&mixed).len(), 2);
    }
}
