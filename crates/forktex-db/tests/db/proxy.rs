// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Everything again behind a `PgBouncer` in transaction mode; and many clients on its few server
//! connections, which the suite itself does not crowd enough to see.

use std::process::Command;
use std::time::Duration;

use forktex_db::{
    Db, DbError, DbOptions, LockKey, Migration, Migrator, Singly as _, Transaction, sqlx,
};
use forktex_testkit::PgBouncer;
use sqlx::Executor;

use crate::setup::{BEHIND_POOLER, Notes, eventually, insert, is_behind_pooler};

/// All tests of this binary, once more, each in front of a pooler of its own.
#[test]
fn the_whole_suite_passes_behind_a_pooler() {
    if is_behind_pooler() {
        return;
    }
    let suite = Command::new(std::env::current_exe().unwrap())
        .env(BEHIND_POOLER, "yes")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&suite.stdout);
    assert!(suite.status.success(), "{told}");
    assert!(
        told.contains("transactions_share_server_connections"),
        "{told}"
    );
}

async fn connect(bouncer: &PgBouncer, notes: &Notes) -> Db {
    let options = DbOptions::new()
        .pooled_by_proxy()
        .statement_timeout(Duration::from_secs(9));
    let url = bouncer
        .url_through(notes.database.direct().owner_url())
        .unwrap();
    Db::connect(&url, options).await.unwrap()
}

/// Many clients, few server connections, the same statement names on all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_share_server_connections_behind_a_pooler() {
    let notes = Notes::create().await;
    let bouncer = PgBouncer::start(notes.database.direct(), 2).await.unwrap();
    let mut tasks = Vec::new();
    for client in 0..5_i64 {
        let db = connect(&bouncer, &notes).await;
        for task in 0..4_i64 {
            let db = db.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..10 {
                    let id = client * 1000 + task * 100 + round;
                    db.transaction(async |tx| write_and_read(tx, id).await)
                        .await?;
                }
                Ok::<_, DbError>(())
            }));
        }
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(notes.ids().await.len(), 200);
}

/// Outside a transaction of the caller's, each statement comes to one server connection all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_statements_share_server_connections_behind_a_pooler() {
    let notes = Notes::create().await;
    let bouncer = PgBouncer::start(notes.database.direct(), 2).await.unwrap();
    let mut tasks = Vec::new();
    for client in 0..5_i64 {
        let db = connect(&bouncer, &notes).await;
        for task in 0..4_i64 {
            let db = db.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..10_i64 {
                    let id = client * 1000 + task * 100 + round;
                    let done = sqlx::query("INSERT INTO app.note (id, text) VALUES ($1, 'a note')")
                        .bind(id)
                        .single(&db)
                        .execute()
                        .await?;
                    assert_eq!(done.rows_affected(), 1);
                    let read: i64 = sqlx::query_scalar("SELECT id FROM app.note WHERE id = $1")
                        .bind(id)
                        .single(&db)
                        .fetch_one()
                        .await?;
                    assert_eq!(read, id);
                }
                Ok::<_, DbError>(())
            }));
        }
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(notes.ids().await.len(), 200);
}

async fn write_and_read(tx: &mut Transaction, id: i64) -> Result<(), DbError> {
    let limit: String = sqlx::query_scalar("SELECT current_setting('statement_timeout')")
        .fetch_one(tx.connection())
        .await?;
    assert_eq!(limit, "9s");
    insert(tx.connection(), id).await?;
    let nested = tx
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), id).await?;
            Ok(())
        })
        .await;
    assert!(
        matches!(nested, Err(DbError::AlreadyExists { .. })),
        "{nested:?}"
    );
    let read: i64 = sqlx::query_scalar("SELECT id FROM app.note WHERE id = $1")
        .bind(id)
        .fetch_one(tx.connection())
        .await?;
    assert_eq!(read, id);
    Ok(())
}

#[tokio::test]
async fn locks_and_migrations_work_behind_a_pooler() {
    let notes = Notes::create().await;
    let bouncer = PgBouncer::start(notes.database.direct(), 2).await.unwrap();
    let db = connect(&bouncer, &notes).await;
    let direct = notes.database.observer().await;
    let key = LockKey::new("shop.till");

    let mut lock = db.advisory_lock(&key).await.unwrap();
    assert!(direct.try_advisory_lock(&key).await.unwrap().is_none());
    assert!(db.try_advisory_lock(&key).await.unwrap().is_none());
    assert!(lock.is_held().await);
    lock.release().await.unwrap();
    let lock = db
        .try_advisory_lock(&key)
        .await
        .unwrap()
        .expect("the lock is free");
    drop(lock);
    eventually("a drop releases", async || {
        direct.try_advisory_lock(&key).await.unwrap().is_some()
    })
    .await;

    let migrations = [Migration::new(
        1,
        "orders",
        "CREATE TABLE shop.order (id bigint PRIMARY KEY);",
    )];
    let migrator = Migrator::new("shop", &migrations);
    assert_eq!(migrator.run(&db).await.unwrap().applied, [1]);
    assert!(migrator.run(&db).await.unwrap().applied.is_empty());
    direct
        .pool()
        .execute("SELECT FROM shop.order")
        .await
        .unwrap();
}
