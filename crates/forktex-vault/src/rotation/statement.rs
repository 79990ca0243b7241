// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements of a rotation. Names cannot be bound, so they are put in here, once, quoted.

use std::sync::Arc;

use forktex_db::sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use forktex_db::{DbError, rename_schema};

use crate::schema::DEFAULT_SCHEMA;

macro_rules! own_statements {
    ($($name:ident),* $(,)?) => {
        /// The statements on the crate's own tables.
        #[derive(Clone, Debug)]
        pub(super) struct OwnStatements {
            $(pub(super) $name: SqlStr,)*
        }

        impl OwnStatements {
            pub(super) fn for_schema(schema: &str) -> Result<Self, DbError> {
                Ok(Self {
                    $($name: in_schema(include_str!(concat!("sql/", stringify!($name), ".sql")), schema)?,)*
                })
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, SqlStr)> {
                vec![$((stringify!($name), self.$name.clone()),)*]
            }
        }
    };
}

own_statements!(
    resume_rotation,
    begin_rotation,
    begin_pass,
    finish_rotation,
    quarantine_rows,
    release_rows,
    list_quarantine,
);

/// The same text, with the crate's tables looked for in `schema`.
pub(crate) fn in_schema(sql: &str, schema: &str) -> Result<SqlStr, DbError> {
    let renamed: Arc<str> = rename_schema(sql, DEFAULT_SCHEMA, schema)?.into();
    // The text is ours but for the schema's name, which the helper has quoted.
    Ok(AssertSqlSafe(renamed).into_sql_str())
}

/// Puts the parts in the places that the template names as `{part}`. What was put in is not looked
/// at again, so a column that is itself called `{id}` does no harm.
///
/// Parts are quoted identifiers, type names that the catalog has quoted, and texts of this crate.
pub(super) fn fill(template: &str, parts: &[(&str, &str)]) -> SqlStr {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let part = after.split_once('}').and_then(|(name, behind)| {
            let part = parts.iter().find(|(known, _)| *known == name)?;
            Some((part.1, behind))
        });
        rest = if let Some((text, behind)) = part {
            filled.push_str(text);
            behind
        } else {
            filled.push('{');
            after
        };
    }
    filled.push_str(rest);
    AssertSqlSafe(filled).into_sql_str()
}

#[cfg(test)]
mod tests {
    use forktex_db::{Db, DbOptions, sqlx};
    use forktex_testkit::TestDatabase;
    use sqlx::{Executor as _, SqlSafeStr as _};

    use super::*;

    #[test]
    fn what_was_put_in_is_not_filled_again() {
        let parts = [("id", "\"{table}\""), ("table", "t")];
        assert_eq!(
            fill("{table} {id} {other} {", &parts).as_str(),
            "t \"{table}\" {other} {"
        );
    }

    #[tokio::test]
    async fn every_statement_is_understood_by_the_server_in_any_schema() {
        let database = TestDatabase::create().await.unwrap();
        let db = Db::connect(database.owner_url(), DbOptions::new())
            .await
            .unwrap();
        for schema in [DEFAULT_SCHEMA, "other-vault"] {
            crate::migrate_in(&db, schema).await.unwrap();
            for (name, statement) in OwnStatements::for_schema(schema).unwrap().all() {
                let prepared = db.pool().prepare(statement.into_sql_str()).await;
                assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
            }
        }
    }
}
