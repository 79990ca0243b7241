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
    advance_schedule,
    bump_runtime_revision,
    claim_limited_runs,
    claim_runs,
    commit_checkpoint,
    commit_checkpoints,
    commit_entries,
    count_active_of_definitions,
    count_namespace_use,
    count_runtime_definitions,
    database_clock,
    deliver_messages,
    disable_schedule,
    due_schedules,
    enable_schedule,
    end_cancelled_run,
    ended_instances,
    find_by_idempotency_key,
    find_runtime_definition,
    forget_lost_workers,
    forget_wish,
    fork_run,
    give_up_leadership,
    hand_back,
    hold_definitions,
    hold_namespace_limit,
    hold_running_limits,
    hold_runtime_definition,
    insert_runtime_definition,
    instance_status,
    limited_namespaces,
    list_running_limits,
    list_runtime_definitions,
    list_schedules,
    load_journals,
    lock_run,
    lock_runtime_definitions,
    lock_schedule,
    migrate_run,
    note_fired_now,
    notify,
    oldest_signal,
    overdue_cancellations,
    pass_turns_on,
    pause_run,
    post_signal,
    prune_runs,
    pulse,
    put_definition,
    read_events,
    read_instance,
    read_outcomes,
    register_schedule,
    register_worker,
    release_lost_runs,
    release_unheld_runs,
    remove_running_limit,
    remove_runtime_definitions,
    remove_worker,
    request_cancel,
    request_undo,
    retire_schedule,
    runs_of_definition,
    runtime_definitions_since,
    set_namespace_limit,
    set_running_limit,
    start_run,
    start_runs,
    state_shapes,
    take_leadership,
    take_leadership_by_lease,
    terminate_stale_leader,
    wake_due_runs,
    wish_end,
    wished_cancellations,
);

fn in_schema(sql: &'static str, schema: &str) -> Result<SqlStr, DbError> {
    let renamed: Arc<str> = rename_schema(sql, DEFAULT_SCHEMA, schema)?.into();
    // The text is ours but for the schema's name, which the helper has quoted.
    Ok(AssertSqlSafe(renamed).into_sql_str())
}

#[cfg(test)]
mod tests {
    use forktex_db::sqlx::Executor as _;
    use forktex_db::{Db, DbOptions};
    use forktex_testkit::TestDatabase;

    use super::*;
    use crate::store::postgres::schema::migrate;

    async fn migrated(schema: &str) -> (TestDatabase, Db) {
        let database = TestDatabase::create().await.unwrap();
        let owner = Db::connect(database.owner_url(), DbOptions::new())
            .await
            .unwrap();
        migrate(&owner, schema).await.unwrap();
        owner.close().await;
        let db = Db::connect(database.url(), DbOptions::new()).await.unwrap();
        (database, db)
    }

    #[tokio::test]
    async fn every_statement_is_prepared_on_the_migrated_schema() {
        for schema in [DEFAULT_SCHEMA, "tenant-7"] {
            let (_database, db) = migrated(schema).await;
            for (name, sql) in Statements::for_schema(schema).unwrap().all() {
                let prepared = db.pool().prepare(sql).await;
                assert!(prepared.is_ok(), "{name} in {schema}: {:?}", prepared.err());
            }
        }
    }
}
