// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements of the Postgres store, with the schema's name put in once.

use std::sync::Arc;

use forktex_db::sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use forktex_db::{DbError, rename_schema};

/// The schema that the files name.
pub(crate) const DEFAULT_SCHEMA: &str = "forktex_flow";

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// Every statement, ready to be prepared.
        #[derive(Debug, Clone)]
        pub(crate) struct Statements {
            $(pub(crate) $name: SqlStr,)*
        }

        impl Statements {
            /// The statements for a schema of that name.
            ///
            /// # Errors
            /// [`DbError::Invalid`] when the name cannot be quoted.
            pub(crate) fn for_schema(schema: &str) -> Result<Self, DbError> {
                Ok(Self {
                    $($name: in_schema(include_str!(concat!("sql/", stringify!($name), ".sql")), schema)?,)*
                })
            }

            #[cfg(test)]
            pub(crate) fn all(&self) -> Vec<(&'static str, SqlStr)> {
                vec![$((stringify!($name), self.$name.clone()),)*]
            }
        }
    };
}

statements!(
    claim_ready_runs,
    claim_suspect_run,
    commit_checkpoint,
    commit_checkpoints,
    end_cancelled_run,
    ended_instances,
    find_by_idempotency_key,
    forget_lost_workers,
    give_up_leadership,
    hand_back,
    instance_status,
    load_journals,
    lock_run,
    overdue_cancellations,
    pulse,
    put_definition,
    read_instance,
    register_worker,
    release_lost_runs,
    release_unheld_runs,
    notify,
    remove_worker,
    request_cancel,
    start_runs,
    take_leadership,
    take_leadership_by_lease,
    terminate_stale_leader,
    wake_due_runs,
);

fn in_schema(sql: &'static str, schema: &str) -> Result<SqlStr, DbError> {
    let renamed: Arc<str> = rename_schema(sql, DEFAULT_SCHEMA, schema)?.into();
    // The text is ours but for the schema's name, which the helper has quoted.
    Ok(AssertSqlSafe(renamed).into_sql_str())
}
