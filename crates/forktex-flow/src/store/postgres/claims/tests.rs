// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The plans of claims: each reads about as many rows as it claims, whatever is ready.

use forktex_db::sqlx::{AssertSqlSafe, SqlSafeStr as _};
use forktex_db::{Db, DbOptions};
use forktex_testkit::TestDatabase;

use super::*;
use std::time::{Duration, Instant};

use crate::identifier::WorkerId;
use crate::store::postgres::schema::migrate;
use crate::store::postgres::statement::{DEFAULT_SCHEMA, Statements};

const WORKER: &str = "'00000000-0000-0000-0000-000000000001'";

/// A hundred thousand ready runs of so many namespaces, and as many that wait.
async fn many(namespaces: i32) -> (TestDatabase, Db) {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new());
    let db = db.await.unwrap();
    migrate(&db, DEFAULT_SCHEMA).await.unwrap();
    for sql in [
        "INSERT INTO forktex_flow.worker (worker_id, worker_name, lease_until, definition_ids)
         SELECT '00000000-0000-0000-0000-000000000001', 'one', now() + interval '1 hour', '{1,2}'
         WHERE $1 > 0",
        "INSERT INTO forktex_flow.definition (
             namespace, workflow_name, workflow_version, topology_hash, topology, state_hash, stages
         )
         SELECT '', 'workflow.' || number, 1, sha256('a'), '{}', sha256('b'), '[]'
         FROM generate_series(1, 3) AS number WHERE $1 > 0",
        "INSERT INTO forktex_flow.active (instance_id, definition_id, namespace, ready_at)
         SELECT gen_random_uuid(), 1, nullif('org-' || number % $1, 'org-' || ($1 - 1)), now()
         FROM generate_series(1, 100000) AS number",
        "INSERT INTO forktex_flow.active (instance_id, definition_id, waits_on, wake_at)
         SELECT gen_random_uuid(), 1, 'retry', now() + interval '1 hour'
         FROM generate_series(1, 100000) AS number WHERE $1 > 0",
    ] {
        sqlx::query(sql)
            .bind(namespaces)
            .execute(db.pool())
            .await
            .unwrap();
    }
    for sql in ["VACUUM ANALYZE forktex_flow.active"] {
        sqlx::query(sql).execute(db.pool()).await.unwrap();
    }
    (database, db)
}

/// The plan of a statement with what it read, rolled back.
async fn analyzed(db: &Db, statement: &str, parameters: &[&str]) -> String {
    let mut sql = statement.to_owned();
    for (number, parameter) in parameters.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", number + 1), parameter);
    }
    let mut transaction = db.pool().begin().await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, TIMING off) {sql}")).into_sql_str();
    let plan: Vec<String> = sqlx::query_scalar(explain)
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    plan.join("\n")
}

/// The most rows that one node of a plan read from `active`, over all its loops.
fn most_read(plan: &str) -> u64 {
    let reads = plan.lines().filter(|line| line.contains("on active"));
    let reads = reads.filter_map(|line| {
        let (_, actual) = line.split_once("(actual ")?;
        let number = |name: &str| -> Option<u64> {
            let (_, rest) = actual.split_once(name)?;
            let digits = rest.split(|mark: char| !mark.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        Some(number("rows=")? * number("loops=")?)
    });
    reads.max().unwrap_or_default()
}

#[tokio::test]
async fn a_claim_reads_no_more_than_it_may_claim_however_many_runs_and_namespaces_are_ready() {
    let statements = Statements::for_schema(DEFAULT_SCHEMA).unwrap();
    for namespaces in [1, 1_000] {
        let (_database, db) = many(namespaces).await;
        let claim = statements.claim_runs.as_str();
        let turn = ["128", "'org-5'", "1", "0"];
        let parameters = [&[WORKER, "ARRAY[1, 2]"], &turn[..]].concat();
        let plan = analyzed(&db, claim, &parameters).await;
        assert!(plan.contains("active_ready"), "{plan}");
        assert!(!plan.contains("Seq Scan on active"), "{plan}");
        assert!(most_read(&plan) <= 129, "{namespaces} namespaces: {plan}");

        let limits = "INSERT INTO forktex_flow.running_limit VALUES
                      ('', 'workflow.1', 1000), ('org-7', '', 5)
                      ON CONFLICT DO NOTHING";
        sqlx::query(limits).execute(db.pool()).await.unwrap();
        let hold = statements.hold_running_limits.as_str();
        let parameters = [&["ARRAY[1, 2]"], &turn[..]].concat();
        let plan = analyzed(&db, hold, &parameters).await;
        assert!(plan.contains("active_ready"), "{plan}");
        assert!(!plan.contains("Seq Scan on active"), "{plan}");
        assert!(most_read(&plan) <= 193, "{namespaces} namespaces: {plan}");

        let within = statements.claim_limited_runs.as_str();
        let parameters = [
            WORKER,
            "ARRAY['', 'org-7', 'org-8']",
            "ARRAY[1, 1, 1]",
            "128",
            "0",
            "ARRAY['', 'org-7']",
            "ARRAY['workflow.1', '']",
        ];
        let plan = analyzed(&db, within, &parameters).await;
        assert!(plan.contains("active_ready"), "{plan}");
        assert!(!plan.contains("Seq Scan on active"), "{plan}");
        assert!(most_read(&plan) <= 129, "{namespaces} namespaces: {plan}");

        let pulse = statements.pulse.as_str();
        let plan = analyzed(&db, pulse, &[WORKER, "1000000", "ARRAY[1, 2]"]).await;
        assert!(plan.contains("active_ready"), "{plan}");
        assert!(!plan.contains("Seq Scan on active"), "{plan}");
        assert!(most_read(&plan) <= 4, "{namespaces} namespaces: {plan}");
    }
}

/// A process that is frozen between the two statements holds limits that others need.
#[tokio::test]
async fn a_claimer_that_stops_while_it_holds_limits_keeps_them_for_seconds_only() {
    let (_database, db) = many(1).await;
    sqlx::query("INSERT INTO forktex_flow.running_limit VALUES ('', 'workflow.1', 7)")
        .execute(db.pool())
        .await
        .unwrap();
    let store = PostgresStore::new(db.clone(), DEFAULT_SCHEMA).unwrap();
    let turn = Turn::default();
    let request = ClaimRequest {
        worker: WorkerId(Uuid::from_u128(1)),
        definitions: &[DefinitionId(1)],
        which: Claimable::Ready,
        room: 10,
        turn: &turn,
    };
    let mut stopped = db.pool().begin().await.unwrap();
    sqlx::query(store.statements.hold_running_limits.clone())
        .bind(definition_ids(request.definitions))
        .bind(10_i64)
        .bind("")
        .bind(0_i64)
        .bind(0_i32)
        .fetch_one(&mut *stopped)
        .await
        .unwrap();
    let owned = async || -> i64 {
        let owned = "SELECT count(*) FROM forktex_flow.active WHERE worker_id IS NOT NULL";
        let owned = sqlx::query_scalar(owned).fetch_one(db.pool());
        owned.await.unwrap()
    };
    let since = Instant::now();
    while store.claim_limited(&request).await.unwrap().is_contended {
        assert_eq!(
            owned().await,
            0,
            "it claims what it does not hold the limit of"
        );
        assert!(since.elapsed() < Duration::from_secs(20), "it keeps them");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(since.elapsed() > Duration::from_secs(1), "it was not held");
    assert_eq!(owned().await, 7);
    assert!(stopped.commit().await.is_err(), "it may claim after all");
}
