// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A column as SQL: in the form in which this crate compares values, and as the cell that is read.
//!
//! Nothing but names that went through the quoting helper gets into the text.

use forktex_db::sqlx::Postgres;
use forktex_db::sqlx::postgres::PgArguments;
use forktex_db::sqlx::query::Query;
use uuid::Uuid;

use crate::row::RowId;
use crate::value::ValueKind;
use crate::virtual_register::integer_of_uuid;

type Statement = Query<'static, Postgres, PgArguments>;

/// The alias that the table has in each statement.
pub(super) const ALIAS: &str = "bound";

/// How many fields go into one call of `jsonb_build_object`: a function takes at most 100 arguments.
const FIELDS_PER_OBJECT_MAX: usize = 40;

/// A column of the table, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// `bound."name"`.
    pub(crate) sql: String,
    /// The name of its type, without a schema; that of the base type for a domain.
    pub(crate) type_name: String,
    /// Whether its type is an enum of the database.
    pub(crate) is_enum: bool,
    /// Whether it is declared NOT NULL.
    pub(crate) is_not_null: bool,
}

impl Column {
    /// Whether values of the kind can be read from it.
    pub(super) fn fits(&self, kind: ValueKind) -> bool {
        let name = self.type_name.as_str();
        match kind {
            ValueKind::Text => {
                self.is_enum || matches!(name, "text" | "varchar" | "bpchar" | "citext" | "name")
            }
            ValueKind::Integer => matches!(name, "int2" | "int4" | "int8"),
            ValueKind::Decimal => matches!(name, "numeric" | "int2" | "int4" | "int8"),
            ValueKind::Boolean => name == "bool",
            ValueKind::Date => name == "date",
            ValueKind::Datetime => name == "timestamptz",
            ValueKind::Uuid => name == "uuid",
            ValueKind::Json => matches!(name, "jsonb" | "json"),
        }
    }

    /// The value in the form that is compared: numeric for numbers, else the canonical text.
    pub(crate) fn canonical(&self, kind: ValueKind) -> String {
        let column = &self.sql;
        match kind {
            ValueKind::Integer | ValueKind::Decimal => format!("({column})::numeric"),
            // What no canonical text can say is left in the words of the server, so that reading the
            // row fails instead of showing another day.
            ValueKind::Date => format!(
                "(CASE WHEN {column} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' \
                 THEN to_char({column}, 'YYYY-MM-DD') ELSE ({column})::text END)"
            ),
            ValueKind::Datetime => format!(
                "(CASE WHEN {column} BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' \
                 AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00' \
                 THEN to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                 ELSE ({column})::text END)"
            ),
            ValueKind::Text | ValueKind::Boolean | ValueKind::Uuid | ValueKind::Json => {
                format!("({column})::text")
            }
        }
    }

    /// The value as the cell of a row, in JSON.
    fn cell(&self, kind: ValueKind) -> String {
        let column = &self.sql;
        match kind {
            ValueKind::Integer => format!("({column})::bigint"),
            ValueKind::Decimal => format!("trim_scale(({column})::numeric)::text"),
            ValueKind::Boolean => column.clone(),
            ValueKind::Json => format!(
                "(CASE WHEN {column} IS NOT NULL THEN jsonb_build_array(({column})::jsonb) END)"
            ),
            ValueKind::Text | ValueKind::Date | ValueKind::Datetime | ValueKind::Uuid => {
                self.canonical(kind)
            }
        }
    }
}

/// The columns as one JSON object, keyed as the cells of a stored row are.
pub(super) fn cells<'a>(columns: impl IntoIterator<Item = (i64, &'a Column, ValueKind)>) -> String {
    let members: Vec<String> = columns
        .into_iter()
        .map(|(key, column, kind)| format!("'{key}', {}", column.cell(kind)))
        .collect();
    let objects: Vec<String> = members
        .chunks(FIELDS_PER_OBJECT_MAX)
        .map(|members| format!("jsonb_build_object({})", members.join(", ")))
        .collect();
    if objects.is_empty() {
        return "'{}'::jsonb".to_owned();
    }
    objects.join(" || ")
}

/// What the id's column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdKind {
    Uuid,
    Integer,
}

impl IdKind {
    pub(super) fn of(column: &Column) -> Option<Self> {
        match column.type_name.as_str() {
            "uuid" => Some(Self::Uuid),
            "int2" | "int4" | "int8" => Some(Self::Integer),
            _ => None,
        }
    }

    /// The row's id. An integer's is made as
    /// `uuid_of_integer` makes it, in the same order.
    pub(super) fn row_id(self, column: &Column) -> String {
        let column = &column.sql;
        match self {
            Self::Uuid => column.clone(),
            Self::Integer => format!(
                "lpad(to_hex(({column})::bigint # (-9223372036854775807 - 1)), 32, '0')::uuid"
            ),
        }
    }
}

/// What the table calls a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnId {
    Uuid(Uuid),
    Integer(i64),
}

impl IdKind {
    /// What the table calls the row of this id; `None` for an id that no row of it can have.
    pub(super) fn own_id(self, id: RowId) -> Option<OwnId> {
        match self {
            Self::Uuid => Some(OwnId::Uuid(id.as_uuid())),
            Self::Integer => integer_of_uuid(id.as_uuid()).map(OwnId::Integer),
        }
    }
}

impl OwnId {
    pub(super) fn bind(self, statement: Statement) -> Statement {
        match self {
            Self::Uuid(id) => statement.bind(id),
            Self::Integer(number) => statement.bind(number),
        }
    }
}

/// What the table calls some rows.
pub(super) enum OwnIds {
    Uuids(Vec<Uuid>),
    Integers(Vec<i64>),
}

impl OwnIds {
    /// Those of them that rows of the table can have.
    pub(super) fn of(kind: IdKind, ids: &[RowId]) -> Self {
        let uuids = ids.iter().map(|id| id.as_uuid());
        match kind {
            IdKind::Uuid => Self::Uuids(uuids.collect()),
            IdKind::Integer => Self::Integers(uuids.filter_map(integer_of_uuid).collect()),
        }
    }

    pub(super) fn bind(self, statement: Statement) -> Statement {
        match self {
            Self::Uuids(ids) => statement.bind(ids),
            Self::Integers(numbers) => statement.bind(numbers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str) -> Column {
        Column {
            sql: r#"bound."value""#.to_owned(),
            type_name: type_name.to_owned(),
            is_enum: false,
            is_not_null: false,
        }
    }

    #[test]
    fn inexact_types_fit_no_field() {
        let kinds = [ValueKind::Integer, ValueKind::Decimal, ValueKind::Datetime];
        for type_name in ["float4", "float8", "timestamp", "money"] {
            assert!(!kinds.iter().any(|kind| column(type_name).fits(*kind)));
        }
        assert!(column("int4").fits(ValueKind::Decimal));
        assert!(!column("numeric").fits(ValueKind::Integer));
    }

    #[test]
    fn many_columns_are_split_over_several_calls() {
        let text = column("text");
        let sql = cells((1..=85).map(|n| (-n, &text, ValueKind::Text)));
        assert_eq!(sql.matches("jsonb_build_object(").count(), 3);
        assert_eq!(sql.matches(" || ").count(), 2);
        assert!(sql.starts_with(r#"jsonb_build_object('-1', (bound."value")::text, '-2'"#));
        assert_eq!(cells([]), "'{}'::jsonb");
    }

    #[test]
    fn ids_are_uuids_or_integers() {
        assert_eq!(IdKind::of(&column("int2")), Some(IdKind::Integer));
        assert_eq!(IdKind::of(&column("text")), None);
    }
}
