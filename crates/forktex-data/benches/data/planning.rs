// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How long the server takes to plan the statements of a query.
//!
//! What they are is learnt from the session that ran them: its prepared statements are planned again, each
//! time from their text.

use std::error::Error;

use forktex_db::sqlx::{self, AssertSqlSafe, PgConnection};

/// The statements that a session has prepared and that read rows of registers; the longest of them is the
/// query itself.
const PREPARED: &str = "
    SELECT statement, parameter_types::text[]
      FROM pg_prepared_statements
     WHERE statement LIKE '%forktex_data.row%' AND statement NOT LIKE '%pg_prepared_statements%'
     ORDER BY length(statement) DESC
     LIMIT 1";

/// The query that a session ran.
pub(crate) struct Statement {
    text: String,
    /// The types of its parameters.
    parameters: Vec<String>,
}

impl Statement {
    pub(crate) async fn of_session(session: &mut PgConnection) -> Result<Self, Box<dyn Error>> {
        let (text, parameters): (String, Vec<String>) = sqlx::query_as(PREPARED)
            .fetch_optional(session)
            .await?
            .ok_or("the session has prepared no statement that reads rows")?;
        Ok(Self { text, parameters })
    }

    /// Milliseconds that the server takes to plan it. The generic plan: values do not matter to it.
    pub(crate) async fn planned(&self, session: &mut PgConnection) -> Result<f64, Box<dyn Error>> {
        let (types, nulls) = (
            self.parameters.join(", "),
            vec!["NULL"; self.parameters.len()],
        );
        let nulls = nulls.join(", ");
        let in_brackets = |list: String| {
            if list.is_empty() {
                list
            } else {
                format!("({list})")
            }
        };
        let (types, arguments) = (in_brackets(types), in_brackets(nulls));
        let settings = sqlx::raw_sql("SET plan_cache_mode = force_generic_plan");
        settings.execute(&mut *session).await?;
        let prepare = format!("PREPARE measured{types} AS {}", self.text);
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *session)
            .await?;
        let explain = format!("EXPLAIN (SUMMARY) EXECUTE measured{arguments}");
        let lines = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut *session)
            .await;
        sqlx::raw_sql("DEALLOCATE measured")
            .execute(&mut *session)
            .await?;
        sqlx::raw_sql("RESET plan_cache_mode")
            .execute(&mut *session)
            .await?;
        let time = lines?.iter().find_map(|line| {
            let line: String = sqlx::Row::try_get(line, 0).ok()?;
            let time = line.strip_prefix("Planning Time: ")?.strip_suffix(" ms")?;
            time.parse().ok()
        });
        time.ok_or_else(|| "the server did not tell the time of planning".into())
    }
}
