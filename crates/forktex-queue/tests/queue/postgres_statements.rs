// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements on Postgres: each is prepared on the migrated schema, and the hot ones use the indexes
//! that they name, on empty tables as on full ones: a plan is kept while a table grows.

use std::path::PathBuf;

use forktex_db::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use forktex_db::{Db, DbOptions, rename_schema};
use forktex_queue::{Queue, QueueOptions};
use forktex_testkit::TestDatabase;

/// How many jobs of each kind there are where there are many.
const MANY: i64 = 100_000;

/// From this cost on the server compiles a statement before it runs it, which takes longer than most do.
const COMPILED_FROM: f64 = 100_000.0;

const WORKER: &str = "'00000000-0000-0000-0000-000000000001'";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/postgres/sql")
}

fn statement(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.sql"))).unwrap()
}

/// The names and texts of all statements.
fn statements() -> Vec<(String, String)> {
    let mut statements: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    statements.sort();
    statements
}

/// The indexes that the head of a statement names.
fn named_indexes(sql: &str) -> Vec<String> {
    let head: Vec<&str> = sql
        .lines()
        .take_while(|line| line.starts_with("--"))
        .map(|line| line.trim_start_matches("--").trim())
        .collect();
    let head = head.join(" ");
    let (_, indexes) = head.split_once("Index: ").unwrap();
    let indexes = indexes.split(['.', ';']).next().unwrap_or_default();
    indexes
        .split(',')
        .map(|name| {
            name.split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .filter(|name| name != "none")
        .collect()
}

async fn migrated(options: QueueOptions) -> (TestDatabase, Db) {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    let queue = Queue::postgres_with(&db, options).unwrap();
    queue.init().await.unwrap();
    queue.init().await.unwrap();
    (database, db)
}

#[tokio::test]
async fn every_statement_is_prepared_on_the_migrated_schema() {
    for (namespace, schema) in [
        (None, "forktex_queue"),
        (Some("billing"), "forktex_queue_billing"),
    ] {
        let options = match namespace {
            Some(namespace) => QueueOptions::new().namespace(namespace),
            None => QueueOptions::new(),
        };
        let (_database, db) = migrated(options).await;
        for (name, sql) in statements() {
            let sql = rename_schema(&sql, "forktex_queue", schema)
                .unwrap()
                .into_owned();
            let prepared = db
                .pool()
                .prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql)))
                .await;
            assert!(prepared.is_ok(), "{name} in {schema}: {:?}", prepared.err());
        }
    }
}

/// A statement with what its parameters are in the plan that is looked at.
struct Looked {
    name: &'static str,
    parameters: &'static [&'static str],
    /// Indexes that it names and that only matter for what is not there.
    without: &'static [&'static str],
    /// The most rows that one node reads of the tables that grow.
    rows_max: u64,
}

/// The statements that run at the rate of the jobs, or once a second whatever there is.
const HOT: &[Looked] = &[
    Looked {
        name: "claim_jobs",
        parameters: &["'many'", "''", "200", "60000000", WORKER],
        without: &[],
        rows_max: 201,
    },
    Looked {
        name: "claim_jobs",
        parameters: &["'tenants'", "'tenant-500'", "200", "60000000", WORKER],
        without: &[],
        rows_max: 201,
    },
    Looked {
        name: "claim_tenant_jobs",
        parameters: &["'many'", "''", "50000", "200", "60000000", WORKER],
        without: &[],
        rows_max: 201,
    },
    Looked {
        name: "find_limited_jobs",
        parameters: &["'limited'", "''", "100"],
        without: &[],
        rows_max: 101,
    },
    Looked {
        name: "finish_jobs",
        parameters: &[
            "forktex_queue.sampled()",
            "array_fill(0, ARRAY[200])",
            "ARRAY[1, 2, 3]",
        ],
        without: &[],
        rows_max: 200,
    },
    Looked {
        name: "settle_jobs",
        parameters: &[
            "forktex_queue.sampled()",
            "array_fill(0, ARRAY[200])",
            "array_fill(1::smallint, ARRAY[200])",
            "array_fill(1000000::bigint, ARRAY[200])",
            "array_fill('note'::text, ARRAY[200])",
            "array_fill(NULL::text, ARRAY[200])",
        ],
        // It inserts there.
        without: &["ready_next"],
        rows_max: 200,
    },
    Looked {
        name: "renew_leases",
        parameters: &[
            "forktex_queue.sampled()",
            "array_fill(0, ARRAY[200])",
            "array_fill(1::bigint, ARRAY[200])",
            "60000000",
            WORKER,
        ],
        without: &[],
        rows_max: 200,
    },
    Looked {
        name: "promote_due_jobs",
        parameters: &["'due'", "1000"],
        without: &[],
        rows_max: 1_001,
    },
    Looked {
        name: "due_queues",
        parameters: &[],
        without: &[],
        rows_max: 200,
    },
    Looked {
        name: "take_back_lost_jobs",
        parameters: &["20", "'lost'"],
        without: &["ready_next"],
        rows_max: 4_000,
    },
    Looked {
        name: "held_limits",
        parameters: &["''", "''", "100"],
        without: &[],
        rows_max: 101,
    },
    Looked {
        name: "let_held_go",
        parameters: &["ARRAY['held']", "ARRAY['key-7']"],
        without: &["job_pkey"],
        rows_max: 1_001,
    },
    Looked {
        name: "read_limits",
        parameters: &["'held'", "ARRAY['key-7']", "ARRAY[10]", "ARRAY[60000000]"],
        without: &[],
        rows_max: 1_001,
    },
    Looked {
        name: "prune",
        parameters: &["2592000000000", "1000"],
        without: &[],
        rows_max: 1_001,
    },
    Looked {
        name: "remove_ready_job",
        parameters: &["(forktex_queue.sampled())[1]", "'many'", "''", "1"],
        without: &[],
        rows_max: 1,
    },
    Looked {
        name: "place_of_job",
        parameters: &["(forktex_queue.sampled())[1]"],
        without: &[],
        rows_max: 1,
    },
];

/// Jobs in each place, and what stands beside them.
const FILL: &[&str] = &[
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'many', 'job', '', '{}'
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'tenants', 'job',
            'tenant-' || number % 1000, '{}'
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload,
         limit_key, limit_concurrency
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'limited', 'job', '', '{}',
            'key-' || number % 100, 1
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
     SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM forktex_queue.job WHERE $1 > 0",
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload,
         place, due_at
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'due', 'job', '', '{}', 1,
            now() + (number - 2000) * interval '1 second'
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload,
         place, limit_key, limit_concurrency
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'held', 'job', '', '{}', 2,
            'key-' || number % 1000, 5
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.job (
         job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload,
         place, died_at, dead_reason
     )
     SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'dead', 'job', '', '{}', 3,
            now() - number * interval '1 minute', 'exhausted'
     FROM generate_series(1, $1) AS number",
    // 100,000 that run, a hundred for each lease; the leases of 3,000 are over.
    "WITH running AS (
         INSERT INTO forktex_queue.job (
             job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant,
             payload
         )
         SELECT gen_random_uuid(), now(), number, 1000000, 3, 0, 'running', 'job', '', '{}'
         FROM generate_series(1, $1) AS number
         RETURNING job_id, score
     )
     INSERT INTO forktex_queue.lease (worker_id, taken_at, until, job_ids, generations)
     SELECT gen_random_uuid(), now(), now() + (score / 100 - 29) * interval '1 second',
            array_agg(job_id), array_agg(0)
     FROM running
     GROUP BY score / 100",
    "INSERT INTO forktex_queue.limit_running (queue, limit_key, job_id)
     SELECT 'held', 'key-' || number % 1000, gen_random_uuid() FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.rate_start (queue, limit_key, started_at, until)
     SELECT 'held', 'key-' || number % 1000, now(), now() + (number - 50000) * interval '1 second'
     FROM generate_series(1, $1) AS number",
    "INSERT INTO forktex_queue.unique_lock (queue, unique_key, job_id, until)
     SELECT 'many', 'key-' || number, gen_random_uuid(), now() + (number - 50000) * interval '1 second'
     FROM generate_series(1, $1) AS number",
];

/// Two hundred of the jobs that run: what EXECUTE is given may call a function, and is no query.
const SAMPLED: &str = "
    CREATE FUNCTION forktex_queue.sampled() RETURNS uuid[] LANGUAGE sql STABLE AS $$
        SELECT ARRAY(SELECT job_id FROM forktex_queue.job WHERE queue = 'running' LIMIT 200)
    $$";

async fn fill(connection: &mut PgConnection) {
    for sql in FILL {
        sqlx::query(*sql)
            .bind(MANY)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    for table in [
        "job",
        "ready",
        "lease",
        "unique_lock",
        "limit_running",
        "rate_start",
    ] {
        let vacuum = format!("VACUUM ANALYZE forktex_queue.{table}");
        sqlx::raw_sql(AssertSqlSafe(vacuum))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// The plan that is kept for any parameters, with what it read for these; rolled back.
async fn plan(connection: &mut PgConnection, sql: &str, parameters: &[&str]) -> String {
    let run = async |connection: &mut PgConnection, sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(connection)
            .await
            .map(drop)
    };
    run(connection, format!("PREPARE looked_at AS {sql}"))
        .await
        .unwrap();
    run(
        connection,
        "SET plan_cache_mode = force_generic_plan".to_owned(),
    )
    .await
    .unwrap();
    run(connection, "BEGIN".to_owned()).await.unwrap();
    let parameters = match parameters {
        [] => String::new(),
        parameters => format!("({})", parameters.join(", ")),
    };
    let explain =
        format!("EXPLAIN (ANALYZE, TIMING off, SUMMARY off) EXECUTE looked_at{parameters}");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    run(connection, "ROLLBACK".to_owned()).await.unwrap();
    run(connection, "DEALLOCATE looked_at".to_owned())
        .await
        .unwrap();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| sqlx::Row::get::<String, _>(line, 0))
        .collect();
    lines.join("\n")
}

/// What the planner believes that a statement costs.
fn dearest(plan: &str) -> f64 {
    let (_, cost) = plan.split_once("..").unwrap();
    cost.split(' ').next().unwrap().parse().unwrap()
}

/// The most rows that one node of a plan read from a table that grows, over all its loops.
fn most_read(plan: &str) -> u64 {
    let tables = [
        " on job",
        " on ready",
        " on lease",
        "using job_",
        "using ready_",
    ];
    let reads = plan
        .lines()
        .filter(|line| line.contains("Scan") && tables.iter().any(|table| line.contains(table)));
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

async fn check_plans(connection: &mut PgConnection, are_full: bool) {
    for looked in HOT {
        let sql = statement(looked.name);
        let plan = plan(connection, &sql, looked.parameters).await;
        let name = looked.name;
        for index in named_indexes(&sql) {
            // Of queues that are paused there are few.
            if index == "paused_queue_pkey" || looked.without.contains(&&*index) {
                continue;
            }
            assert!(
                plan.contains(&index),
                "{name} does not use {index}, full: {are_full}: {plan}"
            );
        }
        for table in ["job", "ready", "lease"] {
            let scan = format!("Seq Scan on {table}");
            let whole = plan.lines().find(|line| line.trim_end().contains(&scan));
            assert!(
                whole.is_none(),
                "{name} reads {table} whole, full: {are_full}: {plan}"
            );
        }
        assert!(
            dearest(&plan) < COMPILED_FROM,
            "{name} is compiled at each run, full: {are_full}: {plan}"
        );
        assert!(
            most_read(&plan) <= looked.rows_max,
            "{name} reads {} rows: {plan}",
            most_read(&plan)
        );
    }
}

#[tokio::test]
async fn hot_statements_use_the_indexes_that_they_name_whatever_is_there() {
    let (database, db) = migrated(QueueOptions::new()).await;
    let mut connection = PgConnection::connect(database.owner_url()).await.unwrap();
    sqlx::raw_sql(SAMPLED)
        .execute(&mut connection)
        .await
        .unwrap();
    check_plans(&mut connection, false).await;
    fill(&mut connection).await;
    check_plans(&mut connection, true).await;
    db.close().await;
}
