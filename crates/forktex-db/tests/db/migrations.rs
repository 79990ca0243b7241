// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Migrations.

use forktex_db::{Db, DbError, MigrateError, Migration, Migrator, sqlx};
use sqlx::{Executor, Row};

use crate::setup::{Database, options};

const TABLES: Migration = Migration::new(
    1,
    "tables",
    "CREATE TABLE shop.order (id bigint PRIMARY KEY, total bigint NOT NULL);
     CREATE TABLE shop.line (order_id bigint NOT NULL REFERENCES shop.order, sku text NOT NULL);",
);
const INDEX: Migration = Migration::new(
    2,
    "index",
    "CREATE INDEX line_by_order ON shop.line (order_id);
     CREATE FUNCTION shop.orders() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM shop.order';",
);
/// Fails if it is applied a second time, and takes long enough for others to come.
const COUNTED: Migration = Migration::new(
    3,
    "counted",
    "CREATE TABLE shop.applied (n integer); INSERT INTO shop.applied SELECT count(*) FROM generate_series(1, 300000);",
);

async fn owner(database: &Database) -> Db {
    Db::connect(database.owner_url(), options().max_connections(2))
        .await
        .unwrap()
}

async fn history(db: &Db, schema: &str) -> Vec<(i32, String)> {
    let statement = format!("SELECT version, name FROM {schema}.schema_migration ORDER BY version");
    let history = db.transaction(async |tx| -> Result<_, DbError> {
        let history = sqlx::query_as(sqlx::AssertSqlSafe(statement.clone()));
        Ok(history.fetch_all(tx.connection()).await?)
    });
    history.await.unwrap()
}

#[tokio::test]
async fn pending_migrations_are_applied_once_and_in_order() {
    let database = Database::create().await;
    let db = owner(&database).await;

    let report = Migrator::new("shop", &[TABLES]).run(&db).await.unwrap();
    assert_eq!(
        (report.applied, report.current, report.ahead),
        (vec![1], 1, vec![])
    );
    let report = Migrator::new("shop", &[TABLES, INDEX, COUNTED])
        .run(&db)
        .await
        .unwrap();
    assert_eq!((report.applied, report.current), (vec![2, 3], 3));
    let report = Migrator::new("shop", &[TABLES, INDEX, COUNTED])
        .run(&db)
        .await
        .unwrap();
    assert_eq!((report.applied, report.current), (vec![], 3));

    let names = [
        (1, "tables".to_owned()),
        (2, "index".to_owned()),
        (3, "counted".to_owned()),
    ];
    assert_eq!(history(&db, "shop").await, names);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c52_ten_concurrent_migrators_apply_each_version_once() {
    let database = Database::create().await;
    let mut runs = Vec::new();
    for _ in 0..10 {
        let db = owner(&database).await;
        runs.push(tokio::spawn(async move {
            Migrator::new("shop", &[TABLES, INDEX, COUNTED])
                .run(&db)
                .await
        }));
    }
    let mut applied = Vec::new();
    for run in runs {
        let report = run.await.unwrap().unwrap();
        assert_eq!(report.current, 3);
        applied.extend(report.applied);
    }
    assert_eq!(applied, [1, 2, 3], "one of them applied all");
    assert_eq!(history(&owner(&database).await, "shop").await.len(), 3);
}

#[tokio::test]
async fn a_migration_that_fails_is_named_and_leaves_nothing() {
    let database = Database::create().await;
    let db = owner(&database).await;
    let broken = Migration::new(
        2,
        "broken",
        "CREATE TABLE shop.more (id bigint);\n\nSELEC 1;",
    );
    let error = Migrator::new("shop", &[TABLES, broken])
        .run(&db)
        .await
        .unwrap_err();
    match &error {
        MigrateError::Failed {
            version: 2,
            name: "broken",
            line: Some(3),
            source,
        } => {
            assert_eq!(source.sqlstate(), Some("42601"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.to_string(), "migration 2 `broken` failed at line 3");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shop'";
    let schemas = db.pool().fetch_one(schemas).await.unwrap();
    assert_eq!(schemas.get::<i64, _>(0), 0);
    // The same database takes the mended ones.
    Migrator::new("shop", &[TABLES, INDEX])
        .run(&db)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let database = Database::create().await;
    let db = owner(&database).await;
    Migrator::new("shop", &[TABLES]).run(&db).await.unwrap();
    let edited = Migration::new(1, "tables", "CREATE TABLE shop.order (id bigint);");
    let error = Migrator::new("shop", &[edited, INDEX])
        .run(&db)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        MigrateError::ChecksumChanged {
            version: 1,
            name: "tables"
        }
    );
}

#[tokio::test]
async fn an_older_program_runs_on_a_newer_schema() {
    let database = Database::create().await;
    let db = owner(&database).await;
    Migrator::new("shop", &[TABLES, INDEX, COUNTED])
        .run(&db)
        .await
        .unwrap();
    let report = Migrator::new("shop", &[TABLES]).run(&db).await.unwrap();
    assert_eq!(
        (report.applied, report.current, report.ahead),
        (vec![], 3, vec![2, 3])
    );
}

#[tokio::test]
async fn a_role_that_may_only_read_can_check_a_migrated_schema() {
    let database = Database::create().await;
    let db = owner(&database).await;
    Migrator::new("shop", &[TABLES]).run(&db).await.unwrap();
    db.pool()
        .execute(
            "GRANT USAGE ON SCHEMA shop TO PUBLIC;
             GRANT SELECT ON shop.schema_migration TO PUBLIC",
        )
        .await
        .unwrap();

    let app = Db::connect(database.url(), options()).await.unwrap();
    let report = Migrator::new("shop", &[TABLES]).run(&app).await.unwrap();
    assert_eq!((report.applied, report.current), (vec![], 1));
    let error = Migrator::new("shop", &[TABLES, INDEX])
        .run(&app)
        .await
        .unwrap_err();
    let denied = matches!(
        &error,
        MigrateError::Failed {
            source: DbError::Denied { .. },
            ..
        } | MigrateError::Database(DbError::Denied { .. })
    );
    assert!(denied, "{error:?}");
}

#[tokio::test]
async fn schemas_of_other_names_live_side_by_side() {
    let database = Database::create().await;
    let db = owner(&database).await;
    let migrations = [TABLES, INDEX];
    Migrator::new("shop", &migrations).run(&db).await.unwrap();
    Migrator::new("shop", &migrations)
        .schema("tenant-7")
        .run(&db)
        .await
        .unwrap();
    db.pool()
        .execute(r#"INSERT INTO "tenant-7".order VALUES (1, 990)"#)
        .await
        .unwrap();
    let counts = r#"SELECT shop.orders(), "tenant-7".orders()"#;
    let counts = db.pool().fetch_one(counts).await.unwrap();
    assert_eq!((counts.get(0), counts.get(1)), (0_i64, 1_i64));
    // The checksum is that of the text before it was renamed.
    let report = Migrator::new("shop", &migrations)
        .schema("tenant-7")
        .run(&db)
        .await
        .unwrap();
    assert_eq!((report.applied, report.current), (vec![], 2));

    let error = Migrator::new("shop", &migrations)
        .schema("o'dear")
        .run(&db)
        .await
        .unwrap_err();
    assert!(
        matches!(error, MigrateError::Database(DbError::Invalid { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_migration_that_ends_the_transaction_is_reported() {
    let database = Database::create().await;
    let db = owner(&database).await;
    let rude = Migration::new(1, "rude", "CREATE TABLE shop.order (id bigint); COMMIT;");
    let error = Migrator::new("shop", &[rude]).run(&db).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Database(DbError::Aborted { .. })),
        "{error:?}"
    );
}
