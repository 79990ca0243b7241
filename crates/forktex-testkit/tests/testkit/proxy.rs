// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Faults of the connection, with a server that is well.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use forktex_testkit::{Proxy, TestDatabase};
use sqlx::{Connection as _, PgConnection};

fn address_of(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

async fn behind_a_proxy(database: &TestDatabase) -> (Proxy, PgConnection) {
    let proxy = Proxy::start(address_of(database.owner_url()))
        .await
        .unwrap();
    let url = proxy.url_through(database.owner_url()).unwrap();
    let connection = PgConnection::connect(&url).await.unwrap();
    (proxy, connection)
}

async fn is_well(connection: &mut PgConnection) -> bool {
    sqlx::query("SELECT 1").execute(connection).await.is_ok()
}

#[tokio::test]
async fn a_cut_ends_open_connections_and_not_later_ones() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    assert!(is_well(&mut connection).await);
    proxy.cut();
    assert!(!is_well(&mut connection).await);
    let url = proxy.url_through(database.url()).unwrap();
    assert!(is_well(&mut PgConnection::connect(&url).await.unwrap()).await);
}

#[tokio::test]
async fn a_block_refuses_new_connections_and_spares_open_ones() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    let url = proxy.url_through(database.url()).unwrap();
    proxy.block();
    PgConnection::connect(&url).await.unwrap_err();
    assert!(is_well(&mut connection).await);
    proxy.unblock();
    PgConnection::connect(&url).await.unwrap();
}

#[tokio::test]
async fn a_delay_applies_to_each_direction_and_can_be_lifted() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    proxy.delay(Duration::from_millis(60));
    let started = Instant::now();
    sqlx::raw_sql("SELECT 1")
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_millis(120),
        "{:?}",
        started.elapsed()
    );

    proxy.delay(Duration::MAX);
    let query = is_well(&mut connection);
    tokio::pin!(query);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut query)
            .await
            .is_err()
    );
    proxy.delay(Duration::ZERO);
    assert!(
        tokio::time::timeout(Duration::from_secs(10), query)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_commit_happens_although_its_answer_is_lost() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    sqlx::raw_sql("CREATE TABLE notes (text text)")
        .execute(&mut connection)
        .await
        .unwrap();

    proxy.drop_after_commit();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("INSERT INTO notes VALUES ('here')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap_err();
    assert_eq!(proxy.commits_dropped(), 1);

    let mut direct = PgConnection::connect(database.url()).await.unwrap();
    let notes: Vec<String> = sqlx::query_scalar("SELECT text FROM notes")
        .fetch_all(&mut direct)
        .await
        .unwrap();
    assert_eq!(notes, ["here"]);

    // Only the next commit was meant.
    let url = proxy.url_through(database.url()).unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.begin().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_prepared_commit_is_lost_as_well() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    proxy.drop_after_commit();
    sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
    sqlx::query("CREATE TABLE made (id int)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("COMMIT")
        .execute(&mut connection)
        .await
        .unwrap_err();
    let mut direct = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query("SELECT id FROM made")
        .execute(&mut direct)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_along() {
    let database = TestDatabase::create().await.unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    drop(proxy);
    assert!(!is_well(&mut connection).await);
}

#[tokio::test]
async fn a_muted_server_does_what_it_is_asked_and_nobody_hears_of_it() {
    let database = TestDatabase::create().await.unwrap();
    let mut direct = PgConnection::connect(database.owner_url()).await.unwrap();
    sqlx::query("CREATE TABLE told (word text)")
        .execute(&mut direct)
        .await
        .unwrap();
    let (proxy, mut connection) = behind_a_proxy(&database).await;
    assert!(is_well(&mut connection).await);
    proxy.mute();
    let telling = tokio::spawn(async move {
        let told = sqlx::raw_sql("INSERT INTO told VALUES ('heard')");
        told.execute(&mut connection).await.is_ok()
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let told: i64 = sqlx::query_scalar("SELECT count(*) FROM told")
            .fetch_one(&mut direct)
            .await
            .unwrap();
        if told == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "it was not done");
    }
    assert!(!telling.is_finished());
    proxy.cut();
    proxy.unmute();
    assert!(!telling.await.unwrap());
    let url = proxy.url_through(database.url()).unwrap();
    assert!(is_well(&mut PgConnection::connect(&url).await.unwrap()).await);
}
