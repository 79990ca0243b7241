// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The SQL that a migration holds for a model: its table with indexes, and the policy by which the
//! server itself keeps organisations apart.

use std::fmt::Write as _;

use crate::identifier::Quoted;
use crate::model::{ColumnRole, Model, ModelInfo};
use crate::schema_check::{key_columns, quoted_list};

/// The name of the policy, the same on every table.
pub(crate) const POLICY: &str = "forktex_org";

/// The least and the greatest UUID: with the setting at `*`, the range takes in all organisations.
const LEAST: &str = "00000000-0000-0000-0000-000000000000";
const GREATEST: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// The statements that make the server keep organisations apart in the table of `M`, to be put into a
/// migration; empty where its rows belong to none.
///
/// The policy compares `org_id` with the setting `forktex.org_id`, which
/// [`for_org`](crate::Transaction::for_org) makes. Without the setting no row is seen and none can be
/// written. The setting stands in sub-selects, so that it is read once in a statement and an index
/// led by `org_id` serves the comparison, even where a statement of your own leaves the organisation
/// out.
///
/// `FORCE` binds the table's owner too. Superusers and roles with `BYPASSRLS` are not bound:
/// [`Db::check_schema`](crate::Db::check_schema) refuses to be run as one.
///
/// # Examples
/// ```
/// use forktex_db::{Model, row_security};
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "app.invoice", org_scoped, row_security)]
/// struct Invoice { id: Uuid, org_id: Uuid, number: String }
///
/// let sql = row_security::<Invoice>();
/// assert!(sql.contains(r#"ALTER TABLE "app"."invoice" FORCE ROW LEVEL SECURITY;"#));
/// ```
pub fn row_security<M: Model>() -> String {
    row_security_of(M::INFO)
}

pub(crate) fn row_security_of(info: &ModelInfo) -> String {
    let Some(org_id) = info.column_of(ColumnRole::OrgId) else {
        return String::new();
    };
    let (table, policy, org_id) = (info.quoted(), Quoted(POLICY), Quoted(org_id.name));
    format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;\n\
         ALTER TABLE {table} FORCE ROW LEVEL SECURITY;\n\
         CREATE POLICY {policy} ON {table} USING (\n    \
             {org_id} >= (SELECT {low})\n    \
             AND {org_id} <= (SELECT {high})\n\
         );\n",
        low = bound(LEAST),
        high = bound(GREATEST),
    )
}

/// The setting as a UUID: the organisation, or for a star this one. Once a transaction has used the
/// setting, it is not absent in later ones of the session but empty.
fn bound(for_everyone: &str) -> String {
    format!(
        "coalesce(nullif(nullif(current_setting('forktex.org_id', true), ''), '*'), \
         CASE current_setting('forktex.org_id', true) WHEN '*' THEN '{for_everyone}' END)::uuid"
    )
}

/// The statements that make the table of `M`: a start for a migration, with the keys, the unique
/// indexes and the references that [`Db::check_schema`](crate::Db::check_schema) looks for, and
/// [`row_security`] where the model asks for it. The schema must exist.
///
/// # Examples
/// ```
/// use forktex_db::{Model, create_table};
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "app.tag", unique(name))]
/// struct Tag { id: Uuid, name: String, colour: Option<String> }
///
/// assert_eq!(
///     create_table::<Tag>(),
///     r#"CREATE TABLE "app"."tag" (
///     "id" uuid PRIMARY KEY,
///     "name" text NOT NULL,
///     "colour" text
/// );
/// CREATE UNIQUE INDEX "tag_name_key" ON "app"."tag" ("name");
/// "#
/// );
/// ```
pub fn create_table<M: Model>() -> String {
    let info = M::INFO;
    let mut lines: Vec<String> = Vec::new();
    for column in info.columns {
        let mut line = format!("    {} {}", Quoted(column.name), column.sql_type);
        if column.role == ColumnRole::Id {
            line += " PRIMARY KEY";
        } else if !column.is_nullable {
            line += " NOT NULL";
        }
        lines.push(line);
    }
    let org_id = info.column_of(ColumnRole::OrgId);
    if let Some(org_id) = org_id {
        // What composite references point to, and what finds the rows of an organisation.
        lines.push(format!("    UNIQUE ({}, \"id\")", Quoted(org_id.name)));
    }
    for column in info.columns {
        if let Some(target) = column.references.map(|model| model()) {
            let (columns, target_columns) = key_columns(info, column, target);
            lines.push(format!(
                "    FOREIGN KEY ({}) REFERENCES {} ({})",
                quoted_list(&columns),
                target.quoted(),
                quoted_list(&target_columns)
            ));
        }
    }
    let mut sql = format!(
        "CREATE TABLE {} (\n{}\n);\n",
        info.quoted(),
        lines.join(",\n")
    );
    for columns in info.unique {
        sql += &unique_index(info, columns);
    }
    if info.row_security {
        sql += &row_security_of(info);
    }
    sql
}

/// A unique index on these columns: within one organisation, and among the rows that are not archived.
pub(crate) fn unique_index(info: &ModelInfo, columns: &[&str]) -> String {
    let org_id = info.column_of(ColumnRole::OrgId).map(|column| column.name);
    let keys: Vec<&str> = org_id.into_iter().chain(columns.iter().copied()).collect();
    let mut sql = format!(
        "CREATE UNIQUE INDEX {} ON {} ({})",
        Quoted(&unique_index_name(info, columns)),
        info.quoted(),
        quoted_list(&keys)
    );
    if let Some(archived_at) = info.column_of(ColumnRole::ArchivedAt) {
        let _ = write!(sql, " WHERE {} IS NULL", Quoted(archived_at.name));
    }
    sql + ";\n"
}

/// As Postgres would name a constraint of them, cut at the length that it keeps.
fn unique_index_name(info: &ModelInfo, columns: &[&str]) -> String {
    let mut name = format!("{}_{}", info.table, columns.join("_"));
    while name.len() > 59 {
        name.pop();
    }
    name + "_key"
}
