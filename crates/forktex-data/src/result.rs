// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a query answers: rows, counts of values, aggregates, groups, and where the next page begins.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cursor::Cursor;
use crate::row::Row;
use crate::value::Value;

/// The answer of a [`RowQuery`](crate::RowQuery), the same from every source.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct QueryResult {
    /// The rows of the page, in the order that was asked for.
    pub rows: Vec<Row>,
    /// For each facet by its field's name: the values that the matching rows have, the most frequent
    /// first, at most 1,000.
    pub facets: BTreeMap<String, Vec<FacetValue>>,
    /// Each aggregate by its name, over all matching rows; none where there is no value to compute it
    /// of. Empty where the query groups.
    pub aggregates: BTreeMap<String, Option<Value>>,
    /// The groups, where the query groups; at most 1,000, by their keys ascending.
    pub groups: Vec<Group>,
    /// How many rows match, where it was asked for.
    pub total: Option<Total>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
    /// Computed fields among those asked for of which some rows may still show an old value, because a
    /// large recomputation is under way.
    pub stale_fields: Vec<String>,
}

/// A value of a facet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FacetValue {
    /// The value; none for the rows whose cell is empty.
    pub value: Option<Value>,
    /// How many matching rows have it.
    pub count: u64,
}

impl FacetValue {
    pub(crate) fn new(value: Option<Value>, count: u64) -> Self {
        Self { value, count }
    }
}

/// Rows that have the same values in the fields that are grouped by.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The values, by the names of the fields; none where the cells are empty.
    pub keys: BTreeMap<String, Option<Value>>,
    /// How many rows.
    pub count: u64,
    /// Each aggregate by its name.
    pub aggregates: BTreeMap<String, Option<Value>>,
}

/// How many rows match a query, on all its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Total {
    /// The number of rows.
    pub rows: u64,
    /// Whether they were counted. Otherwise it is what the planner of the database expects.
    pub is_exact: bool,
}

impl Total {
    pub(crate) fn exact(rows: u64) -> Self {
        Self {
            rows,
            is_exact: true,
        }
    }

    pub(crate) fn estimated(rows: u64) -> Self {
        Self {
            rows,
            is_exact: false,
        }
    }
}
