// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of a page: found by the values of the last row before it, or counted off.
//!
//! NULL is in no comparison, so that a list goes through two regions, one with a value in the first
//! sort key and one without. Each is a range of its index; a page asks the second only where the first
//! does not fill it.

use std::collections::BTreeMap;

use forktex_db::Transaction;
use forktex_db::sqlx::Row as _;
use forktex_db::sqlx::postgres::PgRow;
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cell::Cell;
use crate::cursor::Cursor;
use crate::error::DataError;
use crate::filter::check::Column;
use crate::register::LoadedRegister;
use crate::row::{Row, RowId};
use crate::sort::{SortDirection, SortKey, tie_direction};
use crate::value::Value;

use super::plan::{CheckedQuery, Window};
use super::sql::{
    Bind, CREATED_AT_IN_ID, Form, Key, Lead, LeadChoice, RowBase, RowSource, Selection,
    SqlExpression, SqlWriter, choose, lead_by,
};

/// The first hexadecimal digits of an id, with their dash, count milliseconds.
const ID_TIME_CHARS: usize = 13;

/// The rows of one page.
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<Cursor>,
    /// The version of the definition in the database, as the rows came with it.
    pub(super) schema_version: Option<i64>,
}

/// What leads through the list: one short look at the indexes where that depends on how many rows have
/// the values that are asked for.
pub(super) async fn lead(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<Lead, DataError> {
    match choose(source, query) {
        LeadChoice::Known(lead) => Ok(lead),
        LeadChoice::Counted(writer) => {
            let row = writer.statement()?.fetch_one(tx.connection()).await?;
            Ok(lead_by(row.try_get("rarest")?))
        }
    }
}

/// Reads a page: one statement beside that of the lead, two where it crosses from rows with a value in
/// the first sort key to rows without.
pub(super) async fn read(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<Page, DataError> {
    let size = query.window.size() as usize;
    // A scroll looks one row further, to know whether there is a next page.
    let wanted = match &query.window {
        Window::Page { .. } => size,
        Window::Scroll { .. } => size + 1,
    };
    let mut found: Vec<PgRow> = Vec::new();
    let is_in_id = source.base().created_at == CREATED_AT_IN_ID;
    let lead = lead(tx, source, query).await?;
    for region in regions(&query.window, &query.sort, is_in_id) {
        let limit = wanted - found.len();
        if limit == 0 {
            break;
        }
        let statement = statement(source, query, lead, region, limit).statement()?;
        found.extend(statement.fetch_all(tx.connection()).await?);
    }
    let schema_version = match found.first() {
        Some(row) => row.try_get("schema_version")?,
        None => None,
    };
    let has_more = found.len() > size;
    found.truncate(size);
    let next = match found.last() {
        Some(last) if has_more => Some(cursor_after(source.register(), query, last)?),
        _ => None,
    };
    let rows = found
        .iter()
        .map(|row| read_row(source.register(), &query.fields, row));
    Ok(Page {
        rows: rows.collect::<Result<_, _>>()?,
        next,
        schema_version,
    })
}

/// A part of the list, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// All of it.
    Whole,
    /// After the last row, with a value in the first sort key where that row has one.
    After,
    /// The rows on the other side: without a value, or with one.
    Beyond,
}

/// `is_in_id`: the instant of creation is, and so is never empty.
fn regions(window: &Window, sort: &[SortKey], is_in_id: bool) -> Vec<Region> {
    let Window::Scroll {
        after: Some(after), ..
    } = window
    else {
        return vec![Region::Whole];
    };
    let is_crossing = match (sort.first(), after.first()) {
        (Some(key), _) if key.column == Column::Id => false,
        (Some(key), _) if key.column == Column::CreatedAt && is_in_id => false,
        (Some(key), Some(value)) => (key.direction == SortDirection::Ascending) == value.is_some(),
        _ => false,
    };
    if is_crossing {
        vec![Region::After, Region::Beyond]
    } else {
        vec![Region::After]
    }
}

/// The statement of the rows of a region.
pub(super) fn statement(
    source: &dyn RowSource,
    query: &CheckedQuery,
    lead: Lead,
    region: Region,
    limit: usize,
) -> SqlWriter {
    let selection = Selection::sorted(source, query, lead);
    let mut writer = SqlWriter::new("SELECT ");
    write_columns(&mut writer, &selection.base);
    let key = writer.bind_key(Key::Register(source.register().key));
    writer.push(&format!(
        ",\n  (SELECT g.version FROM forktex_data.register g WHERE g.key = {key}) AS schema_version"
    ));
    selection.write(&mut writer);
    let order = Order::new(&mut writer, &selection, &query.sort);
    match (region, &query.window) {
        (
            Region::After,
            Window::Scroll {
                after: Some(after), ..
            },
        ) => order.write_after(&mut writer, after),
        (Region::Beyond, Window::Scroll { after, .. }) => {
            let has_value = matches!(after.as_deref(), Some([Some(_), ..]));
            order.write_beyond(&mut writer, has_value);
        }
        _ => {}
    }
    order.write(&mut writer);
    let limit = writer.bind(Bind::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    writer.push(&format!("\nLIMIT {limit}::bigint"));
    if let Window::Page { number, size } = query.window {
        let offset = number.saturating_sub(1).saturating_mul(u64::from(size));
        let offset = writer.bind(Bind::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
        writer.push(&format!(" OFFSET {offset}::bigint"));
    }
    writer
}

/// What a row is read from.
pub(super) fn write_columns(writer: &mut SqlWriter, base: &RowBase) {
    writer.push(&format!(
        "{} AS id, {} AS version, {} AS external_ref, {} AS created_at, {} AS updated_at, \
         {} AS archived_at, {} AS cells",
        base.id,
        base.version,
        base.external_ref,
        base.created_at,
        base.updated_at,
        base.archived_at,
        base.cells
    ));
}

/// The order of a list, as expressions.
struct Order {
    keys: Vec<(SqlExpression, SortKey)>,
    id: String,
    tie: SortDirection,
}

impl Order {
    fn new(writer: &mut SqlWriter, selection: &Selection<'_>, sort: &[SortKey]) -> Self {
        let is_in_id = selection.base.created_at == CREATED_AT_IN_ID;
        let tie = tie_direction(sort);
        let mut keys = Vec::with_capacity(sort.len());
        for (n, key) in sort.iter().enumerate() {
            let expression = match key.column {
                // What comes last is decided by the id alone.
                Column::Id => break,
                Column::CreatedAt if is_in_id && n + 1 == sort.len() => break,
                Column::CreatedAt if is_in_id => SqlExpression {
                    sql: format!(
                        "(left({}::text, {ID_TIME_CHARS}) COLLATE \"C\")",
                        selection.base.id
                    ),
                    form: Form::Text,
                },
                column => selection.key(writer, column),
            };
            keys.push((expression, *key));
        }
        Self {
            keys,
            id: selection.id(),
            tie,
        }
    }

    fn write(&self, writer: &mut SqlWriter) {
        writer.push("\nORDER BY ");
        for (expression, key) in &self.keys {
            writer
                .push(&expression.sql)
                .push(word(key.direction))
                .push(", ");
        }
        writer.push(&self.id).push(word(self.tie));
    }

    fn write_after(&self, writer: &mut SqlWriter, after: &[Option<Value>]) {
        writer.push("\n  AND ");
        let id = match after.last() {
            Some(Some(Value::Uuid(id))) => *id,
            _ => Uuid::nil(),
        };
        match (self.keys.as_slice(), after) {
            // One comparison of both, which is one range of the index.
            ([(expression, key)], [Some(value), ..]) if key.direction == self.tie => {
                let value = operand(writer, expression, key, value);
                let id = writer.bind(Bind::Uuid(id));
                writer.push(&format!(
                    "({}, {}) {} ({value}, {id}::uuid)",
                    expression.sql,
                    self.id,
                    beyond(key.direction)
                ));
            }
            ([(expression, key), ..], [Some(value), ..]) => {
                // The bound on the first key alone is what the index goes by.
                let bound = operand(writer, expression, key, value);
                let sql = &expression.sql;
                let word = beyond(key.direction);
                writer.push(&format!(
                    "{sql} {word}= {bound} AND ({sql} {word} {bound} OR "
                ));
                writer.push("(");
                self.write_rest(writer, 1, after, id);
                writer.push("))");
            }
            ([(expression, _), ..], _) => {
                writer.push(&format!("{} IS NULL AND ", expression.sql));
                self.write_rest(writer, 1, after, id);
            }
            ([], _) => self.write_rest(writer, 0, after, id),
        }
    }

    /// After the last row by the keys from `from` on, the ones before being equal.
    fn write_rest(&self, writer: &mut SqlWriter, from: usize, after: &[Option<Value>], id: Uuid) {
        let Some((expression, key)) = self.keys.get(from) else {
            let id = writer.bind(Bind::Uuid(id));
            writer.push(&format!("{} {} {id}::uuid", self.id, beyond(self.tie)));
            return;
        };
        let sql = &expression.sql;
        let is_ascending = key.direction == SortDirection::Ascending;
        if let Some(value) = after.get(from).and_then(Option::as_ref) {
            let value = operand(writer, expression, key, value);
            let word = beyond(key.direction);
            let nulls = if is_ascending {
                format!(" OR {sql} IS NULL")
            } else {
                String::new()
            };
            writer.push(&format!(
                "({sql} {word} {value}{nulls} OR {sql} = {value} AND "
            ));
            self.write_rest(writer, from + 1, after, id);
            writer.push(")");
        } else {
            let values = if is_ascending {
                String::new()
            } else {
                format!("{sql} IS NOT NULL OR ")
            };
            writer.push(&format!("({values}{sql} IS NULL AND "));
            self.write_rest(writer, from + 1, after, id);
            writer.push(")");
        }
    }

    fn write_beyond(&self, writer: &mut SqlWriter, had_value: bool) {
        if let Some((expression, _)) = self.keys.first() {
            let word = if had_value { "IS NULL" } else { "IS NOT NULL" };
            writer.push(&format!("\n  AND {} {word}", expression.sql));
        }
    }
}

fn operand(
    writer: &mut SqlWriter,
    expression: &SqlExpression,
    key: &SortKey,
    value: &Value,
) -> String {
    let text = match (key.column, expression.form, value) {
        (Column::CreatedAt, Form::Text, Value::Instant(instant)) => id_time(*instant),
        _ => value.canonical_text(),
    };
    let placeholder = writer.bind_text(text);
    expression.form.operand(&placeholder)
}

/// The beginning of the ids of an instant.
fn id_time(instant: OffsetDateTime) -> String {
    let since = instant - OffsetDateTime::UNIX_EPOCH;
    let milliseconds = u128::try_from(since.whole_milliseconds()).unwrap_or_default();
    let id = Uuid::from_u128(milliseconds << 80).to_string();
    id.chars().take(ID_TIME_CHARS).collect()
}

fn word(direction: SortDirection) -> &'static str {
    match direction {
        SortDirection::Ascending => "",
        SortDirection::Descending => " DESC",
    }
}

fn beyond(direction: SortDirection) -> &'static str {
    match direction {
        SortDirection::Ascending => ">",
        SortDirection::Descending => "<",
    }
}

fn cursor_after(
    register: &LoadedRegister,
    query: &CheckedQuery,
    row: &PgRow,
) -> Result<Cursor, DataError> {
    let columns: Vec<Column> = query.sort.iter().map(|key| key.column).collect();
    let places: Vec<usize> = columns
        .iter()
        .filter_map(|column| match column {
            Column::Field(place) => Some(*place),
            _ => None,
        })
        .collect();
    let read = read_row(register, &places, row)?;
    let mut values: Vec<Option<Value>> = columns
        .into_iter()
        .map(|column| value_of(register, &read, column))
        .collect();
    values.push(Some(Value::Uuid(read.id.as_uuid())));
    Ok(Cursor::encode(&query.fingerprint, &values)?)
}

fn value_of(register: &LoadedRegister, row: &Row, column: Column) -> Option<Value> {
    match column {
        Column::Field(_) => row.get(column.name(register)).cloned(),
        Column::Id => Some(Value::Uuid(row.id.as_uuid())),
        Column::CreatedAt => Some(Value::Instant(row.created_at)),
        Column::UpdatedAt => Some(Value::Instant(row.updated_at)),
        Column::ArchivedAt => row.archived_at.map(Value::Instant),
        Column::Version => Some(Value::Integer(row.version)),
        Column::ExternalRef => row.external_ref.clone().map(Value::Text),
    }
}

/// Reads what [`write_columns`] names. References are not among the cells.
pub(super) fn read_row(
    register: &LoadedRegister,
    fields: &[usize],
    row: &PgRow,
) -> Result<Row, DataError> {
    let id = RowId::from(row.try_get::<Uuid, _>("id")?);
    let created_at: Option<OffsetDateTime> = row.try_get("created_at")?;
    let created_at = created_at
        .or_else(|| id.created_at())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let updated_at: Option<OffsetDateTime> = row.try_get("updated_at")?;
    let mut read = Row::new(
        id,
        row.try_get("version")?,
        created_at,
        updated_at.unwrap_or(created_at),
    );
    read.external_ref = row.try_get("external_ref")?;
    read.archived_at = row.try_get("archived_at")?;
    let cells: Json = row.try_get("cells")?;
    let empty = Map::new();
    let cells = cells.as_object().unwrap_or(&empty);
    for field in fields
        .iter()
        .filter_map(|place| register.fields.get(*place))
    {
        if field.definition().field_type.is_reference() {
            continue;
        }
        let cell = Cell::from_member(field.kind(), cells.get(&field.key.to_string()))
            .ok_or_else(|| DataError::corrupt("row", id))?;
        read.insert_cell(field.name(), cell);
    }
    Ok(read)
}

/// The places of rows in a page, by their ids.
pub(super) fn by_id(rows: &[Row]) -> BTreeMap<Uuid, usize> {
    let rows = rows.iter().enumerate();
    rows.map(|(place, row)| (row.id.as_uuid(), place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(column: Column, direction: SortDirection) -> SortKey {
        SortKey { column, direction }
    }

    fn order(keys: &[(&str, SortDirection)]) -> Order {
        let expression = |sql: &str| SqlExpression {
            sql: sql.to_owned(),
            form: Form::Text,
        };
        Order {
            keys: keys
                .iter()
                .map(|(sql, direction)| (expression(sql), key(Column::ExternalRef, *direction)))
                .collect(),
            id: "id".to_owned(),
            tie: keys.last().map_or(SortDirection::Ascending, |last| last.1),
        }
    }

    fn after(order: &Order, values: &[Option<Value>]) -> String {
        let mut writer = SqlWriter::default();
        order.write_after(&mut writer, values);
        writer.text().trim().to_owned()
    }

    fn row(values: &[Option<&str>]) -> Vec<Option<Value>> {
        let values = values.iter().map(|value| value.map(Value::from));
        values.chain([Some(Value::Uuid(Uuid::nil()))]).collect()
    }

    #[test]
    fn one_key_and_the_id_are_one_comparison() {
        let up = order(&[("a", SortDirection::Ascending)]);
        assert_eq!(
            after(&up, &row(&[Some("x")])),
            "AND (a, id) > ($1::text, $2::uuid)"
        );
        let down = order(&[("a", SortDirection::Descending)]);
        assert_eq!(
            after(&down, &row(&[Some("x")])),
            "AND (a, id) < ($1::text, $2::uuid)"
        );
        assert_eq!(
            after(&down, &row(&[None])),
            "AND a IS NULL AND id < $1::uuid"
        );
        assert_eq!(after(&order(&[]), &row(&[])), "AND id > $1::uuid");
    }

    #[test]
    fn further_keys_break_ties_with_empties_as_the_greatest() {
        let mixed = order(&[
            ("a", SortDirection::Ascending),
            ("b", SortDirection::Descending),
        ]);
        assert_eq!(
            after(&mixed, &row(&[Some("x"), Some("y")])),
            "AND a >= $1::text AND (a > $1::text OR ((b < $2::text OR b = $2::text AND id < $3::uuid)))"
        );
        assert_eq!(
            after(&mixed, &row(&[None, None])),
            "AND a IS NULL AND (b IS NOT NULL OR b IS NULL AND id < $1::uuid)"
        );
    }

    #[test]
    fn a_list_crosses_to_the_rows_on_the_other_side_once() {
        let scroll = |value| Window::Scroll {
            size: 1,
            after: Some(row(&[value])),
        };
        let up = [key(Column::Version, SortDirection::Ascending)];
        let down = [key(Column::Version, SortDirection::Descending)];
        let both = [Region::After, Region::Beyond];
        assert_eq!(regions(&scroll(Some("x")), &up, true), both);
        assert_eq!(regions(&scroll(None), &up, true), [Region::After]);
        assert_eq!(regions(&scroll(Some("x")), &down, true), [Region::After]);
        assert_eq!(regions(&scroll(None), &down, true), both);
        let created = [key(Column::CreatedAt, SortDirection::Ascending)];
        assert_eq!(regions(&scroll(Some("x")), &created, true), [Region::After]);
        assert_eq!(regions(&scroll(Some("x")), &created, false), both);
    }
}
