// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The side tables that a statement joins, each with all that is asked of it.
//!
//! All registers share a text, and so one plan may serve small ones and large ones. A plan that reads a
//! range of entries anew for each of some few rows would do so for each of a million: `OFFSET 0` around a
//! range keeps the id of a row out of it.

use crate::filter::check::{CheckedFilter, Column, Test};
use crate::operator::Operator;

use super::filter::write_test_on;
use super::{
    Entry, Key, RowSource, SqlExpression, SqlWriter, conjuncts, entry, is_by_value, is_served,
};

/// How many side tables one statement joins; what is beyond is asked of the cells.
const JOINS_MAX: usize = 6;

/// Of so many values of a list the entry of a row is looked for one by one.
const PROBED_VALUES_MAX: usize = 16;

/// What is asked of a side table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One value, so that its rows come in the order of their ids.
    Value,
    /// One of a few values.
    Values,
    /// Many values, a range, or nothing but the order.
    Range,
}

/// A side table that is joined.
pub(crate) struct Join<'a> {
    pub(crate) alias: String,
    pub(crate) column: Column,
    pub(crate) entry: Entry,
    pub(crate) asked: Asked,
    tests: Vec<&'a Test>,
}

impl Join<'_> {
    pub(crate) fn expression(&self) -> SqlExpression {
        self.entry.expression(&self.alias)
    }

    pub(crate) fn row_id(&self) -> String {
        format!("{}.row_id", self.alias)
    }

    /// Whether it asks this itself.
    pub(super) fn asks(&self, test: &Test) -> bool {
        self.column == test.column && is_served(test.operator)
    }

    /// Joins the entries to rows with this id, in whichever direction costs less.
    pub(super) fn write(&self, writer: &mut SqlWriter, id: &str) {
        let Self { alias, entry, .. } = self;
        let table = entry.table;
        let key = writer.bind_key(Key::Field(entry.key));
        if self.asked == Asked::Range {
            writer.push(&format!(
                "\nJOIN (SELECT e.row_id, e.{} FROM {table} e\nWHERE e.field_key = {key}",
                entry.column
            ));
            self.write_tests(writer, "e");
            writer.push(&format!(" OFFSET 0) {alias} ON {alias}.row_id = {id}"));
        } else {
            writer.push(&format!(
                "\nJOIN {table} {alias} ON {alias}.field_key = {key} AND {alias}.row_id = {id}"
            ));
            self.write_tests(writer, alias);
        }
    }

    /// Looks for the entry of the one row with this id, which has been found before. What refers to the id
    /// that comes out can be read no earlier.
    pub(super) fn write_probe(&self, writer: &mut SqlWriter, id: &str) {
        let Self { alias, entry, .. } = self;
        let key = writer.bind_key(Key::Field(entry.key));
        writer.push(&format!(
            "\nCROSS JOIN LATERAL (SELECT e.row_id FROM {} e\n\
             WHERE e.field_key = {key} AND e.row_id = {id}",
            entry.table
        ));
        self.write_tests(writer, "e");
        writer.push(&format!(" OFFSET 0) {alias}"));
    }

    /// `AND ..` for each test, of the entries under an alias.
    pub(super) fn write_tests(&self, writer: &mut SqlWriter, alias: &str) {
        let expression = self.entry.expression(alias);
        for test in &self.tests {
            writer.push(" AND ");
            write_test_on(writer, test, &expression);
        }
    }
}

/// Which side tables are joined. That of the first sort key, where its index is to give the order. Those
/// of single values, always: they cost little, whichever side the planner begins with. That of a range
/// only where nothing narrows the rows better: else the cells are asked of the rows that are left.
pub(super) fn joins<'a>(
    source: &dyn RowSource,
    filter: &'a CheckedFilter,
    first: Option<Column>,
) -> Vec<Join<'a>> {
    let tests: Vec<&'a Test> = conjuncts(filter)
        .into_iter()
        .filter_map(|member| match member {
            CheckedFilter::Test(test) if is_served(test.operator) => Some(test),
            _ => None,
        })
        .collect();
    let has_value = tests
        .iter()
        .any(|test| is_by_value(test.operator) && entry(source, test.column).is_some());
    let mut columns: Vec<Column> = first.into_iter().collect();
    columns.extend(
        tests
            .iter()
            .filter(|test| is_by_value(test.operator) || !has_value)
            .map(|test| test.column),
    );
    let mut joins: Vec<Join<'a>> = Vec::new();
    for column in columns {
        if joins.len() < JOINS_MAX
            && joins.iter().all(|join| join.column != column)
            && let Some(entry) = entry(source, column)
        {
            let tests: Vec<&'a Test> = tests
                .iter()
                .copied()
                .filter(|test| test.column == column)
                .collect();
            joins.push(Join {
                alias: format!("s{}", joins.len() + 1),
                column,
                entry,
                asked: asked(&tests),
                tests,
            });
        }
    }
    joins
}

fn asked(tests: &[&Test]) -> Asked {
    let mut asked = Asked::Range;
    for test in tests {
        match test.operator {
            Operator::Eq => return Asked::Value,
            Operator::In if test.operands.len() <= PROBED_VALUES_MAX => asked = Asked::Values,
            _ => {}
        }
    }
    asked
}
