// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sums, averages and the like, over all matching rows or over each group. Exact: nothing is computed
//! in floating point.

use std::collections::BTreeMap;

use forktex_db::Transaction;
use forktex_db::sqlx::Row as _;
use forktex_db::sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::capability::AggregateFunction;
use crate::error::DataError;
use crate::register::LoadedRegister;
use crate::result::Group;
use crate::row::RowId;
use crate::value::{Value, ValueKind, parse_date, parse_exact_decimal, parse_instant};

use super::GROUPS_MAX;
use super::count::unsigned;
use super::plan::{CheckedAggregate, CheckedQuery};
use super::sql::{Form, RowSource, Selection, SqlWriter, key_expression};

/// Digits after the point of an average.
pub(crate) const AVERAGE_DIGITS: u32 = 10;

/// Aggregates by their names.
type Aggregates = BTreeMap<String, Option<Value>>;

/// Aggregates over all matching rows: one statement, none without any.
pub(super) async fn read(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<Aggregates, DataError> {
    if query.aggregates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut writer = SqlWriter::default();
    let columns = columns(&mut writer, source, query);
    writer.push("SELECT ").push(&columns.join(", "));
    Selection::unsorted(source, query).write(&mut writer);
    let row = writer.statement()?.fetch_one(tx.connection()).await?;
    read_aggregates(source.register(), query, &row)
}

/// The groups: one statement.
///
/// # Errors
/// [`DataError::LimitReached`] beyond [`GROUPS_MAX`].
pub(super) async fn read_groups(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<Vec<Group>, DataError> {
    let statement = write_groups(source, query).statement()?;
    let rows = statement.fetch_all(tx.connection()).await?;
    if rows.len() > GROUPS_MAX {
        return Err(DataError::LimitReached {
            what: "groups of a query",
            max: GROUPS_MAX,
        });
    }
    let register = source.register();
    let rows = rows.iter().map(|row| {
        let mut keys = BTreeMap::new();
        for (n, column) in query.group_by.iter().enumerate() {
            let text: Option<String> = row.try_get(format!("t{n}").as_str())?;
            let value = text
                .map(|text| value_from_text(column.kind(register), &text))
                .transpose()?;
            keys.insert(column.name(register).to_owned(), value);
        }
        Ok(Group {
            keys,
            count: unsigned(row.try_get("hits")?),
            aggregates: read_aggregates(register, query, row)?,
        })
    });
    rows.collect()
}

/// What is grouped by stands in the text three times, each time with the same parameter for the key of its
/// field: else the server would see three expressions, and refuse the statement.
fn write_groups(source: &dyn RowSource, query: &CheckedQuery) -> SqlWriter {
    let mut writer = SqlWriter::default();
    let selection = Selection::unsorted(source, query);
    let keys: Vec<_> = query
        .group_by
        .iter()
        .map(|column| match selection.created_at(*column) {
            Some(created_at) => created_at,
            None => source.expression(&mut writer, *column),
        })
        .collect();
    let mut columns: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| format!("{} AS t{n}", key.form.text(&key.sql)))
        .collect();
    columns.push("count(*) AS hits".to_owned());
    columns.extend(self::columns(&mut writer, source, query));
    let groups: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
    let groups = groups.join(", ");
    writer.push("SELECT ").push(&columns.join(", "));
    selection.write(&mut writer);
    writer.push(&format!(
        "\nGROUP BY {groups}\nORDER BY {groups}\nLIMIT {}",
        GROUPS_MAX + 1
    ));
    writer
}

/// Each aggregate as a text, called by its number.
fn columns(writer: &mut SqlWriter, source: &dyn RowSource, query: &CheckedQuery) -> Vec<String> {
    let aggregates = query.aggregates.iter().enumerate();
    aggregates
        .map(|(n, aggregate)| format!("{} AS a{n}", column(writer, source, aggregate)))
        .collect()
}

fn column(writer: &mut SqlWriter, source: &dyn RowSource, aggregate: &CheckedAggregate) -> String {
    let Some(column) = aggregate.column else {
        return "count(*)::text".to_owned();
    };
    let base = source.base();
    let expression = key_expression(writer, source, &base, column);
    let sql = &expression.sql;
    match aggregate.function {
        AggregateFunction::Count => format!("count({sql})::text"),
        AggregateFunction::Sum => format!("trim_scale(sum({sql}))::text"),
        AggregateFunction::Average => {
            // The server's own average has 16 digits in all; a quotient has as many after the point as
            // its dividend.
            format!(
                "trim_scale(round((sum({sql}) + 0.00000000000000000000) \
                 / nullif(count({sql}), 0), {AVERAGE_DIGITS}))::text"
            )
        }
        AggregateFunction::Min | AggregateFunction::Max => {
            let word = aggregate.function.as_str();
            match expression.form {
                // Older servers know no least uuid; their texts sort alike.
                Form::Uuid => format!("{word}(({sql})::text COLLATE \"C\")"),
                form => form.text(&format!("{word}({sql})")),
            }
        }
    }
}

fn read_aggregates(
    register: &LoadedRegister,
    query: &CheckedQuery,
    row: &PgRow,
) -> Result<Aggregates, DataError> {
    let mut read = BTreeMap::new();
    for (n, aggregate) in query.aggregates.iter().enumerate() {
        let text: Option<String> = row.try_get(format!("a{n}").as_str())?;
        let value = text
            .map(|text| aggregate_from_text(register, aggregate, &text))
            .transpose()?;
        read.insert(aggregate.name.clone(), value);
    }
    Ok(read)
}

fn aggregate_from_text(
    register: &LoadedRegister,
    aggregate: &CheckedAggregate,
    text: &str,
) -> Result<Value, DataError> {
    let kind = aggregate.column.map(|column| column.kind(register));
    match (aggregate.function, kind) {
        (AggregateFunction::Count, _) | (_, None) => value_from_text(ValueKind::Integer, text),
        (AggregateFunction::Average, _) => number(ValueKind::Decimal, text),
        (AggregateFunction::Sum, Some(kind)) => number(kind, text),
        (AggregateFunction::Min | AggregateFunction::Max, Some(kind)) => {
            // The instant of creation is read from the least id.
            let instant = Uuid::try_parse(text)
                .ok()
                .filter(|_| kind == ValueKind::Datetime)
                .and_then(|id| RowId::from(id).created_at());
            match instant {
                Some(instant) => Ok(Value::Instant(instant)),
                None => value_from_text(kind, text),
            }
        }
    }
}

/// A computed number, which may be one that no field could hold.
fn number(kind: ValueKind, text: &str) -> Result<Value, DataError> {
    value_from_text(kind, text).map_err(|_| {
        DataError::invalid(
            "aggregates",
            "the result has more digits than a value can hold; narrow the query",
        )
    })
}

/// A value from the canonical text that SQL gave.
pub(super) fn value_from_text(kind: ValueKind, text: &str) -> Result<Value, DataError> {
    let value = match kind {
        ValueKind::Text => Some(Value::Text(text.to_owned())),
        ValueKind::Integer => text.parse().ok().map(Value::Integer),
        ValueKind::Decimal => parse_exact_decimal(text).map(Value::Decimal),
        ValueKind::Boolean => text.parse().ok().map(Value::Boolean),
        ValueKind::Date => parse_date(text).map(Value::Date),
        ValueKind::Datetime => parse_instant(text).map(Value::Instant),
        ValueKind::Uuid => Uuid::try_parse(text).ok().map(Value::Uuid),
        ValueKind::Json => serde_json::from_str(text).ok().map(Value::Json),
    };
    value.ok_or_else(|| DataError::corrupt("value", kind.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::check::{Column, tests::register};
    use crate::query::sql::tests::list;
    use crate::query::stored::StoredSource;

    #[test]
    fn what_is_grouped_by_is_one_expression_wherever_it_stands() {
        let register = register();
        let source = StoredSource::new(&register);
        let mut query = list(&register, &json!({"field": "note", "eq": "x"}), Vec::new());
        query.group_by = vec![Column::Field(1), Column::Field(2)];
        query.aggregates = vec![CheckedAggregate {
            name: "total".to_owned(),
            function: AggregateFunction::Sum,
            column: Some(Column::Field(1)),
        }];
        let sql = write_groups(&source, &query).text().to_owned();
        let (total, note) = (
            "(r.cells ->> $1::text)::numeric",
            "((r.cells ->> $2::text) COLLATE \"C\")",
        );
        assert!(sql.starts_with(&format!(
            "SELECT trim_scale({total})::text AS t0, {note} AS t1, count(*) AS hits, \
             trim_scale(sum({total}))::text AS a0\nFROM "
        )));
        assert!(sql.contains(&format!("\n  AND {note} = $4::text")), "{sql}");
        assert!(sql.contains(&format!(
            "\nGROUP BY {total}, {note}\nORDER BY {total}, {note}\n"
        )));
    }

    #[test]
    fn values_are_read_by_their_kind() {
        let read = |kind, text| value_from_text(kind, text).unwrap();
        assert_eq!(read(ValueKind::Integer, "-7"), Value::from(-7));
        assert_eq!(read(ValueKind::Boolean, "true"), Value::from(true));
        assert_eq!(read(ValueKind::Text, "007"), Value::from("007"));
        assert_eq!(
            read(ValueKind::Decimal, "12.5"),
            Value::Decimal("12.5".parse().unwrap())
        );
        assert!(value_from_text(ValueKind::Date, "yesterday").is_err());
    }

    #[test]
    fn a_sum_that_no_value_holds_is_refused() {
        let text = "99999999999999999999";
        assert!(number(ValueKind::Integer, text).is_err());
    }
}
