// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Test databases: their roles, and their end.

use forktex_testkit::TestDatabase;
use sqlx::{Connection as _, PgConnection};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn neither_role_is_a_superuser_or_bypasses_row_security() {
    let database = TestDatabase::create().await.unwrap();
    for url in [database.url(), database.owner_url()] {
        let mut connection = connect(url).await;
        let powers: (bool, bool, bool, bool) = sqlx::query_as(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole
             FROM pg_catalog.pg_roles WHERE rolname = current_user",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(powers, (false, false, false, false), "{url}");
    }
}

#[tokio::test]
async fn the_application_uses_what_the_owner_makes_and_makes_nothing() {
    let database = TestDatabase::create().await.unwrap();
    let mut owner = connect(database.owner_url()).await;
    sqlx::raw_sql(
        "CREATE SCHEMA shop;
         CREATE TABLE shop.items (id bigserial PRIMARY KEY, name text NOT NULL);
         CREATE FUNCTION shop.twice(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT n * 2';
         CREATE TABLE notes (id bigint)",
    )
    .execute(&mut owner)
    .await
    .unwrap();

    let mut application = connect(database.url()).await;
    let (id,): (i64,) =
        sqlx::query_as("INSERT INTO shop.items (name) VALUES ('lamp') RETURNING shop.twice(id)")
            .fetch_one(&mut application)
            .await
            .unwrap();
    assert_eq!(id, 2);
    sqlx::raw_sql("INSERT INTO notes VALUES (1); UPDATE notes SET id = 2; DELETE FROM notes")
        .execute(&mut application)
        .await
        .unwrap();
    for statement in [
        "CREATE TABLE public.mine (id bigint)",
        "CREATE TABLE shop.mine (id bigint)",
        "CREATE SCHEMA mine",
        "DROP TABLE shop.items",
        "TRUNCATE shop.items",
        "ALTER TABLE shop.items DISABLE ROW LEVEL SECURITY",
    ] {
        let error = sqlx::raw_sql(statement)
            .execute(&mut application)
            .await
            .unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(Into::into));
        assert_eq!(code, Some("42501".to_owned()), "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_dropped_database_is_gone_although_sessions_were_open() {
    let witness = TestDatabase::create().await.unwrap();
    let database = TestDatabase::create().await.unwrap();
    let _open = connect(database.url()).await;
    let name = database.name().to_owned();
    drop(database);
    let mut connection = connect(witness.superuser_url()).await;
    let (left,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(left, 0);
}
