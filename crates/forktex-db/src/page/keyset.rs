// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The condition "after this row", for a total order.

use crate::identifier::Quoted;
use crate::sort::{Direction, Nulls, SortColumn, TotalOrder};
use crate::statement::Statement;
use crate::value::Value;

/// Writes the condition that a row comes after the one with these values, of which there is one for
/// each column of the order.
///
/// Where no column may be NULL and all go one way, it is one comparison of rows, which an index
/// answers in one descent. Otherwise it is spelled out: a row comes after when it is equal in the first
/// `n` columns and comes after in the next.
pub(crate) fn write_after(order: &TotalOrder, values: Vec<Value>, statement: &mut Statement) {
    let columns = &order.0;
    let goes_one_way = columns
        .windows(2)
        .all(|pair| pair[0].direction == pair[1].direction);
    if goes_one_way && columns.iter().all(|key| !key.column.is_nullable) {
        write_row_comparison(columns, values, statement);
    } else {
        write_spelled_out(columns, &values, statement);
    }
}

fn write_row_comparison(columns: &[SortColumn], values: Vec<Value>, statement: &mut Statement) {
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
        statement.bind(key.column.kind, value);
    }
    statement.push(")");
}

fn write_spelled_out(columns: &[SortColumn], values: &[Value], statement: &mut Statement) {
    statement.push("(");
    let first = columns.first().zip(values.first());
    let is_bounded = first.is_some_and(|(key, value)| write_bound(key, value, statement));
    for (n, (key, value)) in columns.iter().zip(values).enumerate() {
        // ( after the first, or equal in it and ( after the second, or equal in it and ( ..
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
    statement.push(if is_bounded { "))" } else { ")" });
}

/// Writes what follows for the first column alone, where that is one range, and says whether it
/// did: no index serves the `OR` after it.
fn write_bound(key: &SortColumn, value: &Value, statement: &mut Statement) -> bool {
    let nulls_come_after = key.column.is_nullable && key.nulls == Nulls::Last;
    if value.is_null() || nulls_come_after {
        return false;
    }
    statement.put(Quoted(key.column.name));
    statement.push(match key.direction {
        Direction::Ascending => " >= ",
        Direction::Descending => " <= ",
    });
    statement
        .bind(key.column.kind, value.clone())
        .push(" AND (");
    true
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
