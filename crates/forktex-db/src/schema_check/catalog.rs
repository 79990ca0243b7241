// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the database has, read from its catalog. Decides nothing.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};

use crate::error::DbError;
use crate::model::ModelInfo;

/// What there is of the tables that were asked for, in their order, and of the role that asked.
#[derive(Debug)]
pub(super) struct Catalog {
    /// None where there is no such table.
    pub(super) tables: Vec<Option<Table>>,
    /// Whether policies bind the role.
    pub(super) role_is_bound: bool,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) has_row_security: bool,
    pub(super) forces_row_security: bool,
    pub(super) columns: Vec<Column>,
    pub(super) indexes: Vec<Index>,
    pub(super) references: Vec<Reference>,
    pub(super) policies: Vec<Policy>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) sql_type: String,
    pub(super) is_not_null: bool,
    pub(super) has_default: bool,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) is_unique: bool,
    pub(super) is_primary: bool,
    pub(super) predicate: Option<String>,
    pub(super) columns: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Reference {
    pub(super) columns: Vec<String>,
    pub(super) target: String,
    pub(super) target_columns: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) is_permissive: bool,
    pub(super) is_for_all: bool,
    pub(super) condition: String,
    pub(super) check_condition: String,
}

impl Catalog {
    /// Reads it, in five round trips, however many tables there are.
    pub(super) async fn read(
        connection: &mut PgConnection,
        models: &[&'static ModelInfo],
    ) -> Result<Self, DbError> {
        let names: Vec<String> = models
            .iter()
            .map(|model| model.quoted().to_string())
            .collect();
        let mut tables: BTreeMap<i64, Table> = BTreeMap::new();

        for row in rows(connection, include_str!("sql/columns.sql"), &names).await? {
            let table = tables.entry(row.try_get("table_position")?).or_default();
            table.has_row_security = row.try_get("has_row_security")?;
            table.forces_row_security = row.try_get("forces_row_security")?;
            table.columns.push(Column {
                name: row.try_get("name")?,
                sql_type: row.try_get("sql_type")?,
                is_not_null: row.try_get("is_not_null")?,
                has_default: row.try_get("has_default")?,
            });
        }
        for row in rows(connection, include_str!("sql/indexes.sql"), &names).await? {
            let table = tables.entry(row.try_get("table_position")?).or_default();
            table.indexes.push(Index {
                is_unique: row.try_get("is_unique")?,
                is_primary: row.try_get("is_primary")?,
                predicate: row.try_get("predicate")?,
                columns: row.try_get("columns")?,
            });
        }
        for row in rows(connection, include_str!("sql/references.sql"), &names).await? {
            let table = tables.entry(row.try_get("table_position")?).or_default();
            table.references.push(Reference {
                columns: row.try_get("columns")?,
                target: row.try_get("target")?,
                target_columns: row.try_get("target_columns")?,
            });
        }
        for row in rows(connection, include_str!("sql/policies.sql"), &names).await? {
            let table = tables.entry(row.try_get("table_position")?).or_default();
            table.policies.push(Policy {
                name: row.try_get("name")?,
                is_permissive: row.try_get("is_permissive")?,
                is_for_all: row.try_get("is_for_all")?,
                condition: row.try_get("condition")?,
                check_condition: row.try_get("check_condition")?,
            });
        }
        let role_is_bound = sqlx::query_scalar(include_str!("sql/role.sql"))
            .fetch_one(connection)
            .await?;
        let positions = (0..).take(models.len());
        Ok(Self {
            tables: positions.map(|position| tables.remove(&position)).collect(),
            role_is_bound,
        })
    }
}

async fn rows(
    connection: &mut PgConnection,
    statement: &'static str,
    names: &[String],
) -> Result<Vec<sqlx::postgres::PgRow>, DbError> {
    let rows = sqlx::query(statement).bind(names).fetch_all(connection);
    Ok(rows.await?)
}
