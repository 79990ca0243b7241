// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sums, averages and their like, over all rows that match or for each group of them. Exact: no
//! floating point number takes part.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rust_decimal::{Decimal, RoundingStrategy};

use super::{MemoryRow, number};
use crate::capability::AggregateFunction;
use crate::cell::Cell;
use crate::error::DataError;
use crate::filter::check::Column;
use crate::filter::evaluate::{RowView as _, compare_cells};
use crate::query::GROUPS_MAX;
use crate::query::aggregates::AVERAGE_DIGITS;
use crate::query::plan::{CheckedAggregate, CheckedQuery};
use crate::register::LoadedRegister;
use crate::result::Group;
use crate::value::{Value, ValueKind, normalized};

/// A value that rows are grouped by, in the order of sorting: no value is the greatest.
pub(super) struct Key(Option<Value>);

impl Key {
    pub(super) fn of(row: &MemoryRow, column: Column) -> Self {
        Self(row.cell(column).into_owned().into_value().map(plain))
    }

    pub(super) fn into_value(self) -> Option<Value> {
        self.0
    }

    fn cell(&self) -> Cell {
        self.0.clone().map_or(Cell::Null, Cell::Value)
    }
}

/// Of the decimals that are one number, `1.5` and `1.50`, the one that SQL shows too.
fn plain(value: Value) -> Value {
    match value {
        Value::Decimal(number) => Value::Decimal(normalized(number)),
        other => other,
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_cells(&self.cell(), &other.cell())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

/// The groups that the query asks for, in the order of their keys.
pub(super) fn groups(
    register: &LoadedRegister,
    rows: &[MemoryRow],
    query: &CheckedQuery,
) -> Result<Vec<Group>, DataError> {
    if query.group_by.is_empty() {
        return Ok(Vec::new());
    }
    let mut groups: BTreeMap<Vec<Key>, Vec<&MemoryRow>> = BTreeMap::new();
    for row in rows {
        let columns = query.group_by.iter();
        let keys = columns.map(|column| Key::of(row, *column)).collect();
        groups.entry(keys).or_default().push(row);
        if groups.len() > GROUPS_MAX {
            return Err(DataError::LimitReached {
                what: "groups of a query",
                max: GROUPS_MAX,
            });
        }
    }
    let groups = groups.into_iter().map(|(keys, rows)| {
        let names = query.group_by.iter().map(|column| column.name(register));
        Ok(Group {
            keys: names
                .map(str::to_owned)
                .zip(keys.into_iter().map(Key::into_value))
                .collect(),
            count: number(rows.len()),
            aggregates: aggregates(register, &rows, query)?,
        })
    });
    groups.collect()
}

/// The aggregates over these rows, by their names.
pub(super) fn aggregates(
    register: &LoadedRegister,
    rows: &[&MemoryRow],
    query: &CheckedQuery,
) -> Result<BTreeMap<String, Option<Value>>, DataError> {
    let aggregates = query.aggregates.iter();
    aggregates
        .map(|wanted| Ok((wanted.name.clone(), aggregate(register, rows, wanted)?)))
        .collect()
}

fn aggregate(
    register: &LoadedRegister,
    rows: &[&MemoryRow],
    wanted: &CheckedAggregate,
) -> Result<Option<Value>, DataError> {
    let Some(column) = wanted.column else {
        return Ok(Some(count(rows.len())));
    };
    let cells = rows.iter().map(|row| row.cell(column).into_owned());
    let values: Vec<Value> = cells.filter_map(Cell::into_value).collect();
    Ok(match wanted.function {
        AggregateFunction::Count => Some(count(values.len())),
        AggregateFunction::Sum if values.is_empty() => None,
        AggregateFunction::Sum => Some(as_kind(sum(&values)?, column.kind(register))?),
        AggregateFunction::Average => average(&values)?.map(Value::Decimal),
        AggregateFunction::Min => values.into_iter().min_by(compare_values).map(plain),
        AggregateFunction::Max => values.into_iter().max_by(compare_values).map(plain),
    })
}

fn compare_values(one: &Value, two: &Value) -> Ordering {
    one.compare(two).unwrap_or(Ordering::Equal)
}

fn count(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn sum(values: &[Value]) -> Result<Decimal, DataError> {
    let numbers = values.iter().filter_map(Value::as_decimal);
    let mut sum = Decimal::ZERO;
    for number in numbers {
        // A sum that has too many digits is rounded, and then does not lead back.
        let next = sum.checked_add(number);
        let exact = next.filter(|next| next.checked_sub(sum) == Some(number));
        sum = exact.ok_or_else(too_large)?;
    }
    Ok(normalized(sum))
}

/// Half a unit of the last digit goes away from zero, as the server rounds.
fn average(values: &[Value]) -> Result<Option<Decimal>, DataError> {
    if values.is_empty() {
        return Ok(None);
    }
    let quotient = sum(values)?.checked_div(Decimal::from(number(values.len())));
    let average = quotient.ok_or_else(too_large)?;
    let rounding = RoundingStrategy::MidpointAwayFromZero;
    let rounded = average.round_dp_with_strategy(AVERAGE_DIGITS, rounding);
    Ok(Some(normalized(rounded)))
}

/// A sum of whole numbers is a whole number.
fn as_kind(sum: Decimal, kind: ValueKind) -> Result<Value, DataError> {
    if kind == ValueKind::Integer {
        let whole = i64::try_from(sum).map_err(|_| too_large())?;
        return Ok(Value::Integer(whole));
    }
    Ok(Value::Decimal(sum))
}

fn too_large() -> DataError {
    DataError::invalid(
        "aggregates",
        "the result has more digits than a value can hold; narrow the query",
    )
}
