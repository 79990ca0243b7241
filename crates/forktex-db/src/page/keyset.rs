// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The conditions for "after this row", for a total order.
//!
//! Each is one range of an index on the order's columns. Where the first column may be NULL there can
//! be two, since no range spans values and NULLs; they are asked for one after the other.

use crate::identifier::Quoted;
use crate::sort::{Direction, Nulls, SortColumn, TotalOrder};
use crate::statement::Statement;
use crate::value::Value;

/// A part of the rows after the cursor's, such that the parts follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// From the cursor's row on, to the end of those with a value in the first column, or of those
    /// without one.
    Rest,
    /// Then those without a value in the first column.
    Nulls,
    /// Then those with one.
    Values,
}

/// The parts after a row with these values, of which there is one for each column of the order.
pub(crate) fn parts_after(order: &TotalOrder, values: &[Value]) -> &'static [Part] {
    match (order.0.first(), values.first()) {
        (Some(first), Some(value)) if first.column.is_nullable => {
            match (value.is_null(), first.nulls) {
                (false, Nulls::Last) => &[Part::Rest, Part::Nulls],
                (true, Nulls::First) => &[Part::Rest, Part::Values],
                _ => &[Part::Rest],
            }
        }
        _ => &[Part::Rest],
    }
}

/// Writes the condition of one part.
pub(crate) fn write_part(
    part: Part,
    order: &TotalOrder,
    values: &[Value],
    statement: &mut Statement,
) {
    let Some((first, rest)) = order.0.split_first() else {
        return;
    };
    match (part, values) {
        (Part::Nulls, _) => {
            statement.put(Quoted(first.column.name)).push(" IS NULL");
        }
        (Part::Values, _) => {
            statement
                .put(Quoted(first.column.name))
                .push(" IS NOT NULL");
        }
        (Part::Rest, [Value::Null, values @ ..]) => {
            statement
                .put(Quoted(first.column.name))
                .push(" IS NULL AND ");
            write_spelled_out(rest, values, statement);
        }
        (Part::Rest, values) if is_row_comparison(&order.0, values) => {
            write_row_comparison(&order.0, values, statement);
        }
        (Part::Rest, values) => {
            write_bound(first, values, statement);
            write_spelled_out(&order.0, values, statement);
        }
    }
}

/// Whether one comparison of rows says it, which an index answers in one descent. It leaves out rows
/// that have NULL where the decision falls: right where NULLs come before all values.
fn is_row_comparison(columns: &[SortColumn], values: &[Value]) -> bool {
    let goes_one_way = columns
        .windows(2)
        .all(|pair| pair[0].direction == pair[1].direction);
    goes_one_way
        && values.iter().all(|value| !value.is_null())
        && columns
            .iter()
            .skip(1)
            .all(|key| !key.column.is_nullable || key.nulls == Nulls::First)
}

fn write_row_comparison(columns: &[SortColumn], values: &[Value], statement: &mut Statement) {
    for (n, key) in columns.iter().enumerate() {
        statement.push(if n == 0 { "(" } else { ", " });
        statement.put(Quoted(key.column.name));
    }
    statement.push(")");
    statement.push(match columns.first().map(|key| key.direction) {
        Some(Direction::Descending) => " < ",
        _ => " > ",
    });
    for (n, (key, value)) in columns.iter().zip(values).enumerate() {
        statement.push(if n == 0 { "(" } else { ", " });
        statement.bind(key.column.kind, value.clone());
    }
    statement.push(")");
}

/// Writes what follows for the first column alone: no index serves the `OR` after it.
fn write_bound(first: &SortColumn, values: &[Value], statement: &mut Statement) {
    let Some(value) = values.first() else {
        return;
    };
    statement.put(Quoted(first.column.name));
    statement.push(match first.direction {
        Direction::Ascending => " >= ",
        Direction::Descending => " <= ",
    });
    statement
        .bind(first.column.kind, value.clone())
        .push(" AND ");
}

/// Writes: after in the first, or equal in it and (after in the second, or equal in it and (..
fn write_spelled_out(columns: &[SortColumn], values: &[Value], statement: &mut Statement) {
    statement.push("(");
    for (n, (key, value)) in columns.iter().zip(values).enumerate() {
        write_key_after(key, value, statement);
        if n + 1 < columns.len() {
            statement.push(" OR ");
            write_equal(key, value, statement);
            statement.push(" AND (");
        }
    }
    for _ in 1..columns.len() {
        statement.push(")");
    }
    statement.push(")");
}

/// Writes that the column's value comes after this one.
fn write_key_after(key: &SortColumn, value: &Value, statement: &mut Statement) {
    let name = Quoted(key.column.name);
    match (value, key.nulls) {
        (Value::Null, Nulls::First) => {
            statement.put(name).push(" IS NOT NULL");
        }
        (Value::Null, Nulls::Last) => {
            statement.push("FALSE");
        }
        (value, nulls) => {
            let nulls_come_after = key.column.is_nullable && nulls == Nulls::Last;
            statement.push(if nulls_come_after { "(" } else { "" });
            statement.put(&name);
            statement.push(match key.direction {
                Direction::Ascending => " > ",
                Direction::Descending => " < ",
            });
            statement.bind(key.column.kind, value.clone());
            if nulls_come_after {
                statement.push(" OR ").put(name).push(" IS NULL)");
            }
        }
    }
}

fn write_equal(key: &SortColumn, value: &Value, statement: &mut Statement) {
    statement.put(Quoted(key.column.name));
    if value.is_null() {
        statement.push(" IS NULL");
    } else {
        statement.push(" = ").bind(key.column.kind, value.clone());
    }
}
