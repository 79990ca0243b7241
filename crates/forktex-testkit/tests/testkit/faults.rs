// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A private server that is killed, stopped and paused.

use std::time::Duration;

use forktex_testkit::{Postgres, PostgresOptions, TestkitError};
use sqlx::{Connection as _, PgConnection};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn count(url: &str) -> i64 {
    let mut connection = connect(url).await;
    sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_durable_server_keeps_what_was_committed_over_a_kill_and_a_stop() {
    let postgres = Postgres::start(PostgresOptions::new().durable())
        .await
        .unwrap();
    let database = postgres.create_database().await.unwrap();
    let mut owner = connect(database.owner_url()).await;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(value, "on", "{setting}");
    }
    sqlx::raw_sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        .execute(&mut owner)
        .await
        .unwrap();
    let mut uncommitted = owner.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO kept VALUES (2)")
        .execute(&mut *uncommitted)
        .await
        .unwrap();

    postgres.kill().await.unwrap();
    sqlx::raw_sql("SELECT 1")
        .execute(&mut *uncommitted)
        .await
        .unwrap_err();
    PgConnection::connect(database.url()).await.unwrap_err();
    let again = postgres.kill().await.unwrap_err();
    assert!(
        matches!(again, TestkitError::NotRunning { server: "Postgres" }),
        "{again}"
    );

    postgres.restart().await.unwrap();
    assert_eq!(count(database.url()).await, 1);

    postgres.stop().await.unwrap();
    PgConnection::connect(database.url()).await.unwrap_err();
    postgres.restart().await.unwrap();
    assert_eq!(count(database.url()).await, 1);
    // Of a server that runs, too.
    postgres.restart().await.unwrap();
    assert_eq!(count(database.url()).await, 1);
}

#[tokio::test]
async fn a_query_hangs_while_the_server_is_paused_and_completes_after() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let mut connection = connect(&postgres.url("postgres")).await;
    postgres.pause().await.unwrap();
    let query = async {
        sqlx::query_scalar::<_, i32>("SELECT 41 + 1")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    tokio::pin!(query);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut query).await;
    assert!(early.is_err(), "a paused server answered");
    postgres.resume().await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), query)
        .await
        .unwrap();
    assert_eq!(answer, 42);
}

#[tokio::test]
async fn a_paused_server_can_be_killed() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let _open = connect(&postgres.url("postgres")).await;
    postgres.pause().await.unwrap();
    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();
    connect(&postgres.url("postgres")).await;
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_its_log() {
    let options = PostgresOptions::new().setting("shared_buffers", "nonsense");
    let error = Postgres::start(options).await.unwrap_err();
    assert!(matches!(error, TestkitError::StartFailed { .. }), "{error}");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn settings_and_folder_are_the_callers() {
    let parent = std::env::temp_dir();
    let options = PostgresOptions::new()
        .setting("work_mem", "7MB")
        .in_folder(&parent);
    let postgres = Postgres::start(options).await.unwrap();
    assert!(
        postgres
            .data_folder()
            .starts_with(parent.canonicalize().unwrap())
    );
    assert!(postgres.bin_dir().join("psql").exists());
    let mut connection = connect(&postgres.url("postgres")).await;
    let value: String = sqlx::query_scalar("SHOW work_mem")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(value, "7MB");
}
