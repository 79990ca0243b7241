// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Connecting, and what is said when it fails.

use std::time::Duration;

use forktex_db::{Awaited, Db, DbError, sqlx};
use forktex_testkit::{Postgres, PostgresOptions};

use crate::setup::{Database, eventually, options};

/// All that a log or a user could see of an error.
fn everything_shown(error: &DbError) -> String {
    format!("{error} {error:?} {error:#?}")
}

#[tokio::test]
async fn a_server_that_is_down_is_named_without_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://app:hunter2@127.0.0.1:{port}/shop");
    let error = Db::connect(&url, options()).await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{port}/shop")),
        "{error}"
    );
    assert!(!everything_shown(&error).contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_stays_silent_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://app:hunter2@127.0.0.1:{port}/shop?sslmode=disable");
    let options = options().connect_timeout(Duration::from_millis(50));
    let error = Db::connect(&url, options).await.unwrap_err();
    assert_eq!(
        error,
        DbError::Timeout {
            awaited: Awaited::Connect
        }
    );
}

#[tokio::test]
async fn a_missing_database_and_a_wrong_url_are_told_apart() {
    let database = Database::create().await;
    // A pooler knows its databases by its own list, and answers for the server.
    let mut url = url::Url::parse(database.direct().url()).unwrap();
    url.set_path("/no_such_database");
    let error = Db::connect(url.as_str(), options()).await.unwrap_err();
    assert!(
        matches!(
            error,
            DbError::Missing {
                object: "database",
                ..
            }
        ),
        "{error:?}"
    );

    let error = Db::connect("postgres://app:hunter2@localhost", options())
        .await
        .unwrap_err();
    assert!(matches!(error, DbError::Invalid { .. }), "{error:?}");
    assert!(!everything_shown(&error).contains("hunter2"));
}

#[tokio::test]
async fn options_reach_the_session() {
    let database = Database::create().await;
    let options = options()
        .application_name("shop-api")
        .statement_timeout(Duration::from_secs(7))
        .min_connections(2);
    let db = Db::connect(database.url(), options).await.unwrap();
    let settings = db.transaction(async |tx| -> Result<(String, String), DbError> {
        let settings = sqlx::query_as(
            "SELECT current_setting('application_name'), current_setting('statement_timeout')",
        );
        Ok(settings.fetch_one(tx.connection()).await?)
    });
    assert_eq!(settings.await, Ok(("shop-api".into(), "7s".into())));
    assert_eq!(db.pool().size(), 2);
}

#[tokio::test]
async fn the_debug_form_shows_the_server_and_no_secret() {
    let options = "postgres://app:hunter2@db.internal:6432/shop"
        .parse()
        .unwrap();
    let db = Db::from_pool(sqlx::PgPool::connect_lazy_with(options));
    let shown = format!("{db:?}");
    assert!(shown.contains("db.internal:6432/shop"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_busy_pool_and_a_server_that_went_away_are_told_apart() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let options = || {
        options()
            .max_connections(2)
            .acquire_timeout(Duration::from_millis(300))
    };
    let db = Db::connect(database.url(), options()).await.unwrap();

    let held = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let busy = db.begin().await.unwrap_err();
    assert_eq!(
        busy,
        DbError::Timeout {
            awaited: Awaited::Connection
        }
    );

    postgres.kill().await.unwrap();
    drop(held);
    eventually("the broken connections are gone", async || {
        db.pool().size() == 0
    })
    .await;
    let gone = db.begin().await.unwrap_err();
    assert!(matches!(gone, DbError::Unavailable { .. }), "{gone:?}");
    assert!(
        gone.to_string().contains(&postgres.address().to_string()),
        "{gone}"
    );

    // The pool mends itself.
    postgres.restart().await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_statement_cut_off_by_a_crash_is_unavailable() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let db = Db::connect(database.url(), options()).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    postgres.kill().await.unwrap();
    let error: DbError = sqlx::query("SELECT 1")
        .execute(tx.connection())
        .await
        .unwrap_err()
        .into();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
}
