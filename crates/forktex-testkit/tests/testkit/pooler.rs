// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A pooler in front of a database.

use forktex_testkit::{PgBouncer, TestDatabase};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

/// Without the start-up parameter that poolers refuse.
async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.extra_float_digits(None);
    options.connect().await.unwrap()
}

#[tokio::test]
async fn clients_share_the_poolers_connections_and_come_back_after_its_death() {
    let database = TestDatabase::create().await.unwrap();
    let pooler = PgBouncer::start(&database, 1).await.unwrap();
    let url = pooler.url_through(database.url()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&url).await);
    }
    let mut backends = Vec::new();
    for client in &mut clients {
        let asked = sqlx::raw_sql("SELECT pg_backend_pid()");
        let row = sqlx::Executor::fetch_one(client, asked).await.unwrap();
        backends.push(sqlx::Row::get::<i32, _>(&row, 0));
    }
    backends.dedup();
    assert_eq!(backends.len(), 1, "three clients, one server connection");
    pooler.restart().await.unwrap();
    sqlx::raw_sql("SELECT 1")
        .execute(&mut clients[0])
        .await
        .unwrap_err();
    connect(&url).await;
}
