// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements of the backend on Postgres, with the schema's name put in once.

use std::sync::Arc;

use forktex_db::rename_schema;
use forktex_db::sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The schema that the files name.
pub(super) const DEFAULT_SCHEMA: &str = "forktex_queue";

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// Every statement, ready to be prepared.
        #[derive(Debug, Clone)]
        pub(super) struct Statements {
            $(pub(super) $name: SqlStr,)*
        }

        impl Statements {
            /// The statements for a schema of that name.
            pub(super) fn for_schema(schema: &str) -> Self {
                Self {
                    $($name: in_schema(
                        include_str!(concat!("sql/", stringify!($name), ".sql")),
                        schema,
                    ),)*
                }
            }
        }

        /// The names of all statements.
        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

statements!(
    ask_cancel,
    claim_jobs,
    claim_limited_jobs,
    claim_tenant_jobs,
    discard_job,
    due_queues,
    find_job,
    find_limited_jobs,
    finish_jobs,
    forget_leases,
    held_limits,
    hold_dead_job,
    let_held_go,
    list_dead_jobs,
    list_held_jobs,
    list_jobs,
    list_queues,
    list_ready_jobs,
    list_running_jobs,
    list_scheduled_jobs,
    lock_limits,
    note_tick,
    notify,
    pause_queue,
    place_of_job,
    promote_due_jobs,
    prune,
    put_job,
    put_jobs,
    put_unique_jobs,
    queue_stats,
    read_limits,
    remove_ready_job,
    remove_waiting_job,
    renew_leases,
    replay_job,
    resume_queue,
    server_clock,
    set_jobs_aside,
    settle_jobs,
    take_back_lost_jobs,
    take_unique_lock,
    unique_holder,
);

fn in_schema(sql: &'static str, schema: &str) -> SqlStr {
    let renamed: Arc<str> = match rename_schema(sql, DEFAULT_SCHEMA, schema) {
        Ok(renamed) => renamed.into(),
        // The options let no namespace through that could not be quoted; the migrations refuse it too.
        Err(error) => {
            debug_assert!(false, "{error}");
            sql.into()
        }
    };
    // The text is ours but for the schema's name, which the helper has quoted.
    AssertSqlSafe(renamed).into_sql_str()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_file_is_a_statement_that_somebody_knows() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known: BTreeSet<String> = NAMES.iter().map(|name| format!("{name}.sql")).collect();
        assert_eq!(files, known);
    }

    #[test]
    fn the_schema_is_put_in_everywhere() {
        let statements = Statements::for_schema("forktex_queue_billing");
        let claim = statements.claim_jobs.as_str();
        assert!(
            claim.contains(r#"FROM "forktex_queue_billing".ready"#),
            "{claim}"
        );
        assert!(!claim.contains(" forktex_queue."), "{claim}");
    }
}
