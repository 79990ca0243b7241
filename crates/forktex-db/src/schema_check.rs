// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Compares the tables of a database with what the models say of them: columns, keys, indexes, and the
//! policies that keep organisations apart. Changes nothing; each finding holds the SQL that mends it.

mod catalog;

use std::fmt;

use crate::db::Db;
use crate::error::DbError;
use crate::identifier::Quoted;
use crate::model::{ColumnInfo, ColumnRole, ModelInfo};
use crate::tenant::{POLICY, row_security_of, unique_index};

use catalog::{Catalog, Index, Table};

/// A model of the program, found at link time.
#[doc(hidden)]
#[derive(Debug)]
pub struct RegisteredModel(pub &'static ModelInfo);

inventory::collect!(RegisteredModel);

/// What [`Db::check_schema`] found. Its `Display` is a line for each finding, with the SQL that mends
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaReport {
    /// How many models were looked at.
    pub models: usize,
    /// What is wrong, by table.
    pub findings: Vec<SchemaFinding>,
}

impl SchemaReport {
    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaFinding {
    /// The table, as `schema.table`.
    pub table: String,
    /// What is wrong.
    pub problem: SchemaProblem,
    /// The SQL that mends it, to be put into a migration, or what to do where SQL alone does not.
    pub fix: String,
}

/// What can be wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// There is no such table, or the role may not see it.
    #[error("the table is not there")]
    MissingTable,
    /// A column of the model is not there.
    #[error("the column `{column}` is not there")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// A column holds another type than the model's field.
    #[error("the column `{column}` is {found}, where the model has {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// The type of the database.
        found: String,
        /// The type of the model.
        expected: &'static str,
    },
    /// A column may be NULL, which the model's field cannot be.
    #[error("the column `{column}` may be NULL, which the model cannot read")]
    MayBeNull {
        /// The column.
        column: String,
    },
    /// A column must not be NULL, which the model's field can be.
    #[error("the column `{column}` must not be NULL, which the model may write")]
    MustNotBeNull {
        /// The column.
        column: String,
    },
    /// A column that the model does not have must be given.
    #[error("the column `{column}` must be given, and the model does not have it")]
    UnknownRequiredColumn {
        /// The column.
        column: String,
    },
    /// The id is not the primary key.
    #[error("the primary key is not `id`")]
    MissingPrimaryKey,
    /// No unique index on these columns, as the model says.
    #[error("no unique index on ({}), as the model says", columns.join(", "))]
    MissingUniqueIndex {
        /// The columns, the organisation first.
        columns: Vec<String>,
    },
    /// No index begins with the organisation, so each statement reads the rows of all.
    #[error(
        "no index begins with `{column}`, so that each statement reads the rows of all organisations"
    )]
    MissingOrgIndex {
        /// The organisation's column.
        column: String,
    },
    /// A reference is not kept by the database, or can leave the organisation.
    #[error("no foreign key on ({}), as the model says", columns.join(", "))]
    MissingReference {
        /// The columns, the organisation first where both tables have one.
        columns: Vec<String>,
    },
    /// Row security is off.
    #[error("row security is off")]
    RowSecurityOff,
    /// Row security does not bind the table's owner.
    #[error("row security does not bind the table's owner")]
    RowSecurityNotForced,
    /// The policy that keeps organisations apart is not there, or says something else.
    #[error("the policy `forktex_org` is missing or is another")]
    MissingPolicy,
    /// Another policy lets more rows through.
    #[error("the policy `{policy}` lets more rows through")]
    WideningPolicy {
        /// The policy.
        policy: String,
    },
    /// The role of this session is bound by no policy.
    #[error("the role of this session is a superuser or has BYPASSRLS, so that no policy binds it")]
    RoleNotBound,
}

impl fmt::Display for SchemaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            return writeln!(f, "{} models agree with the database", self.models);
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SchemaFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.problem)?;
        for line in self.fix.trim_end().lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl Db {
    /// Compares the tables of all models in the program with what the models say of them: columns and
    /// their types, keys, unique indexes, references that stay within the organisation, and the
    /// policies of those with `row_security`. For a start-up check, a test, or a command of operators.
    ///
    /// Run it as the role that the service works as: row security binds neither superusers nor roles
    /// with `BYPASSRLS`, and the report says so. Reads the catalog only, in one transaction of seven
    /// round trips.
    ///
    /// The models are found at link time. One of a crate that is only depended on is not linked: write
    /// `use that_crate as _;`.
    ///
    /// # Errors
    /// [`DbError::Timeout`] or [`DbError::Unavailable`] when no connection could be had.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(db: forktex_db::Db) -> Result<(), forktex_db::DbError> {
    /// let report = db.check_schema().await?;
    /// if !report.is_sound() {
    ///     eprint!("{report}");
    ///     std::process::exit(1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check_schema(&self) -> Result<SchemaReport, DbError> {
        let mut models: Vec<_> = inventory::iter::<RegisteredModel>
            .into_iter()
            .map(|registered| registered.0)
            .collect();
        models.sort_unstable_by_key(|model| model.name);
        self.check_schema_of(&models).await
    }

    /// The same, for these models alone.
    ///
    /// # Errors
    /// Those of [`check_schema`](Self::check_schema).
    pub async fn check_schema_of(
        &self,
        models: &[&'static ModelInfo],
    ) -> Result<SchemaReport, DbError> {
        let catalog = self
            .read_only()
            .transaction(async |tx| Catalog::read(tx.connection(), models).await)
            .await?;
        let mut findings = Vec::new();
        for (model, table) in models.iter().zip(&catalog.tables) {
            let mut check = Check {
                model,
                findings: &mut findings,
            };
            match table {
                Some(table) => check.table(table, catalog.role_is_bound),
                None => check.report(
                    SchemaProblem::MissingTable,
                    "run the migrations first; `create_table` writes one".to_owned(),
                ),
            }
        }
        Ok(SchemaReport {
            models: models.len(),
            findings,
        })
    }
}

/// The comparison of one model with its table.
struct Check<'a> {
    model: &'static ModelInfo,
    findings: &'a mut Vec<SchemaFinding>,
}

impl Check<'_> {
    fn report(&mut self, problem: SchemaProblem, fix: String) {
        self.findings.push(SchemaFinding {
            table: self.model.name.to_owned(),
            problem,
            fix,
        });
    }

    fn alter(&self, change: impl fmt::Display) -> String {
        format!("ALTER TABLE {} {change};", self.model.quoted())
    }

    fn table(&mut self, table: &Table, role_is_bound: bool) {
        self.columns(table);
        self.indexes(table);
        self.references(table);
        if self.model.row_security {
            self.row_security(table, role_is_bound);
        }
    }

    fn columns(&mut self, table: &Table) {
        for column in self.model.columns {
            let name = Quoted(column.name);
            let found = table.columns.iter().find(|found| found.name == column.name);
            let Some(found) = found else {
                let not_null = if column.is_nullable { "" } else { " NOT NULL" };
                let fix = format!("ADD COLUMN {name} {}{not_null}", column.sql_type);
                let problem = SchemaProblem::MissingColumn {
                    column: column.name.to_owned(),
                };
                self.report(problem, self.alter(fix));
                continue;
            };
            let owned = || column.name.to_owned();
            if !types_of(column.sql_type).contains(&found.sql_type.as_str()) {
                let problem = SchemaProblem::WrongType {
                    column: owned(),
                    found: found.sql_type.clone(),
                    expected: column.sql_type,
                };
                let fix = format!("ALTER COLUMN {name} TYPE {}", column.sql_type);
                self.report(problem, self.alter(fix));
            }
            if !column.is_nullable && !found.is_not_null {
                let fix = format!("ALTER COLUMN {name} SET NOT NULL");
                let problem = SchemaProblem::MayBeNull { column: owned() };
                self.report(problem, self.alter(fix));
            } else if column.is_nullable && found.is_not_null {
                let fix = format!("ALTER COLUMN {name} DROP NOT NULL");
                let problem = SchemaProblem::MustNotBeNull { column: owned() };
                self.report(problem, self.alter(fix));
            }
        }
        for found in &table.columns {
            let is_required = found.is_not_null && !found.has_default;
            if is_required && self.model.column(&found.name).is_none() {
                let fix = format!("ALTER COLUMN {} SET DEFAULT ..", Quoted(&found.name));
                let problem = SchemaProblem::UnknownRequiredColumn {
                    column: found.name.clone(),
                };
                self.report(problem, self.alter(fix));
            }
        }
    }

    fn indexes(&mut self, table: &Table) {
        let id = self.model.column_of(ColumnRole::Id).map(|id| id.name);
        let has_primary_key = table
            .indexes
            .iter()
            .any(|index| index.is_primary && index.columns.iter().eq(&id));
        if !has_primary_key {
            let fix = self.alter("ADD PRIMARY KEY (\"id\")");
            self.report(SchemaProblem::MissingPrimaryKey, fix);
        }
        let org_id = self.model.column_of(ColumnRole::OrgId).map(|org| org.name);
        if let Some(org_id) = org_id {
            let leads = |index: &Index| {
                index.predicate.is_none()
                    && index.columns.first().is_some_and(|first| first == org_id)
            };
            if !table.indexes.iter().any(leads) {
                let problem = SchemaProblem::MissingOrgIndex {
                    column: org_id.to_owned(),
                };
                let fix = format!("ADD UNIQUE ({}, \"id\")", Quoted(org_id));
                self.report(problem, self.alter(fix));
            }
        }
        for unique in self.model.unique {
            let columns: Vec<&str> = org_id.into_iter().chain(unique.iter().copied()).collect();
            let is_kept = table.indexes.iter().any(|index| {
                index.is_unique && index.columns == columns && self.is_live_only(index)
            });
            if !is_kept {
                let problem = SchemaProblem::MissingUniqueIndex {
                    columns: columns.iter().map(ToString::to_string).collect(),
                };
                self.report(problem, unique_index(self.model, unique));
            }
        }
    }

    /// Whether a unique index is on the live rows, where rows are archived, and else on all.
    fn is_live_only(&self, index: &Index) -> bool {
        let archived_at = self.model.column_of(ColumnRole::ArchivedAt);
        let expected = archived_at.map(|column| format!("({} IS NULL)", column.name));
        index.predicate == expected
    }

    fn references(&mut self, table: &Table) {
        for column in self.model.columns {
            let Some(target) = column.references.map(|model| model()) else {
                continue;
            };
            let (columns, target_columns) = key_columns(self.model, column, target);
            let is_kept = table.references.iter().any(|reference| {
                reference.columns == columns
                    && reference.target == target.table
                    && reference.target_columns == target_columns
            });
            if !is_kept {
                let fix = format!(
                    "ADD FOREIGN KEY ({}) REFERENCES {} ({})",
                    quoted_list(&columns),
                    target.quoted(),
                    quoted_list(&target_columns)
                );
                let problem = SchemaProblem::MissingReference {
                    columns: columns.iter().map(ToString::to_string).collect(),
                };
                self.report(problem, self.alter(fix));
            }
        }
    }

    fn row_security(&mut self, table: &Table, role_is_bound: bool) {
        if !table.has_row_security {
            let fix = self.alter("ENABLE ROW LEVEL SECURITY");
            self.report(SchemaProblem::RowSecurityOff, fix);
        }
        if !table.forces_row_security {
            let fix = self.alter("FORCE ROW LEVEL SECURITY");
            self.report(SchemaProblem::RowSecurityNotForced, fix);
        }
        let policy = table.policies.iter().find(|policy| policy.name == POLICY);
        let org_id = self.model.column_of(ColumnRole::OrgId);
        let is_ours = policy.is_some_and(|policy| {
            // The server writes the condition in words of its own; what it must speak of is checked.
            policy.is_permissive
                && policy.is_for_all
                && policy.check_condition.is_empty()
                && policy.condition.contains("forktex.org_id")
                && org_id.is_some_and(|org_id| policy.condition.contains(org_id.name))
                && !policy.condition.contains(" OR ")
        });
        if !is_ours {
            let fix = format!(
                "DROP POLICY IF EXISTS {} ON {};\n{}",
                Quoted(POLICY),
                self.model.quoted(),
                row_security_of(self.model)
            );
            self.report(SchemaProblem::MissingPolicy, fix);
        }
        for other in &table.policies {
            if other.is_permissive && other.name != POLICY {
                let problem = SchemaProblem::WideningPolicy {
                    policy: other.name.clone(),
                };
                let table = self.model.quoted();
                let fix = format!(
                    "DROP POLICY {name} ON {table}; -- or make it AS RESTRICTIVE",
                    name = Quoted(&other.name)
                );
                self.report(problem, fix);
            }
        }
        if !role_is_bound {
            let fix = "connect as a role that is neither a superuser nor has BYPASSRLS".to_owned();
            self.report(SchemaProblem::RoleNotBound, fix);
        }
    }
}

/// The columns of a reference and those that it names: with the organisation, where both tables have
/// one, so that a reference cannot leave it.
pub(crate) fn key_columns(
    model: &ModelInfo,
    column: &ColumnInfo,
    target: &ModelInfo,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let id = target.column_of(ColumnRole::Id).map_or("id", |id| id.name);
    let orgs = model
        .column_of(ColumnRole::OrgId)
        .zip(target.column_of(ColumnRole::OrgId));
    match orgs {
        Some((ours, theirs)) => (vec![ours.name, column.name], vec![theirs.name, id]),
        None => (vec![column.name], vec![id]),
    }
}

/// Names, quoted and separated by commas.
pub(crate) fn quoted_list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| Quoted(name).to_string()).collect();
    names.join(", ")
}

/// How the server writes the types that a field of this SQL type is read from.
fn types_of(sql_type: &str) -> &'static [&'static str] {
    match sql_type {
        "boolean" => &["boolean"],
        "smallint" => &["smallint"],
        "integer" => &["integer"],
        "bigint" => &["bigint"],
        "real" => &["real"],
        "double precision" => &["double precision"],
        "text" => &["text", "character varying", "character", "name", "citext"],
        "bytea" => &["bytea"],
        "uuid" => &["uuid"],
        "date" => &["date"],
        "time" => &["time without time zone"],
        "timestamp" => &["timestamp without time zone"],
        "timestamptz" => &["timestamp with time zone"],
        "jsonb" => &["jsonb", "json"],
        _ => &[],
    }
}
