// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The column that is rotated: its quoted names, and what the catalog says of it.

use forktex_db::sqlx::{self, AssertSqlSafe, Row as _};
use forktex_db::{Db, DbError, Identifier};

use super::error::invalid;
use crate::context::Context;

/// The names, checked. They are put into SQL by their `Display`, which quotes them.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// As the host gave it, which is also how tokens are bound to it.
    pub(super) given_table: String,
    pub(super) schema: Identifier,
    pub(super) relation: Identifier,
    pub(super) column: Identifier,
    pub(super) id: Identifier,
    pub(super) org: Option<Identifier>,
    /// The column that plain values come from.
    pub(super) source: Option<Identifier>,
}

impl Names {
    /// The table, quoted.
    pub(super) fn table(&self) -> String {
        format!("{}.{}", self.schema, self.relation)
    }

    /// The place of a value without its row.
    pub(super) fn place(&self) -> Context {
        Context::new(self.given_table.clone(), self.column.as_str())
    }
}

/// Splits `schema.table`.
pub(super) fn split_table(table: &str) -> Result<(Identifier, Identifier), DbError> {
    let Some((schema, relation)) = table.split_once('.') else {
        return Err(invalid("name the table as `schema.table`", None));
    };
    Ok((Identifier::new(schema)?, Identifier::new(relation)?))
}

/// How the column holds tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Bytes,
    Text,
}

/// What the catalog says.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) table_oid: i64,
    pub(super) holds: Holds,
    /// The type of the id, quoted by the server.
    pub(super) id_type: String,
    /// Whether each plain value has one JSON form alone.
    pub(super) plain_is_comparable: bool,
}

impl Facts {
    /// Looks the column up. One statement.
    pub(super) async fn read(db: &Db, names: &Names) -> Result<Self, DbError> {
        let row = db
            .read_only()
            .transaction(async |tx| {
                let described = sqlx::query(AssertSqlSafe(include_str!("sql/describe_table.sql")))
                    .bind(names.schema.as_str())
                    .bind(names.relation.as_str())
                    .bind(names.column.as_str())
                    .bind(names.id.as_str())
                    .bind(names.org.as_ref().map(Identifier::as_str))
                    .bind(names.source.as_ref().map(Identifier::as_str))
                    .fetch_optional(tx.connection())
                    .await;
                described.map_err(DbError::from)
            })
            .await?;
        let Some(row) = row.filter(|row| row.try_get("is_table").unwrap_or(false)) else {
            return Err(missing("table"));
        };
        let value_type: Option<String> = row.try_get("value_type")?;
        let id_type: Option<String> = row.try_get("id_type")?;
        let (Some(value_type), Some(id_type)) = (value_type, id_type) else {
            return Err(missing("column"));
        };
        if names.org.is_some() && !row.try_get::<bool, _>("has_org")? {
            return Err(missing("column"));
        }
        let column = Some(names.column.as_str());
        if row.try_get("hides_rows")? {
            // Rows that it does not see would stay behind, and the proof would be false.
            return Err(invalid(
                "row-level security hides rows of the table from this role; use one that it does not bind",
                None,
            ));
        }
        if !row.try_get::<bool, _>("id_is_key")? {
            return Err(invalid(
                "the id column must be NOT NULL and have a unique index of its own",
                Some(names.id.as_str()),
            ));
        }
        let source_type: Option<String> = row.try_get("source_type")?;
        if let Some(source) = &names.source {
            check_source(source, source_type.as_deref())?;
        }
        let holds = match value_type.as_str() {
            "bytea" => Holds::Bytes,
            "text" | "character varying" => Holds::Text,
            _ => {
                return Err(invalid(
                    "sealed values stand in BYTEA, TEXT or VARCHAR",
                    column,
                ));
            }
        };
        Ok(Self {
            table_oid: row.try_get("table_oid")?,
            holds,
            id_type,
            plain_is_comparable: source_type.is_some_and(|name| has_one_json_form(&name)),
        })
    }
}

fn check_source(source: &Identifier, source_type: Option<&str>) -> Result<(), DbError> {
    match source_type {
        None => Err(missing("column")),
        Some("bytea") => Err(invalid(
            "plain BYTEA has no JSON form that tells what it is; seal it by code of your own",
            Some(source.as_str()),
        )),
        Some(_) => Ok(()),
    }
}

/// Whether serde and Postgres write values of this type alike.
fn has_one_json_form(type_name: &str) -> bool {
    matches!(
        type_name,
        "text"
            | "character varying"
            | "boolean"
            | "smallint"
            | "integer"
            | "bigint"
            | "uuid"
            | "json"
            | "jsonb"
    )
}

fn missing(object: &'static str) -> DbError {
    DbError::Missing {
        object,
        sqlstate: None,
    }
}
