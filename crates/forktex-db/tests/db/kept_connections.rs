// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Connections that are kept for the next statement.

use forktex_db::{Db, DbError, Session, Singly as _, sqlx};

use crate::setup::{DEADLINE, Notes, eventually, is_behind_pooler, options};

async fn backend_of(session: &mut Session) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(session.connection())
        .await
        .unwrap()
}

async fn backend(db: &Db) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .single(db)
        .fetch_one()
        .await
        .unwrap()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.unwrap()
}

#[tokio::test]
async fn the_connection_that_was_given_back_last_is_the_next_one() {
    if is_behind_pooler() {
        // Which backend a statement comes to is the pooler's choice.
        return;
    }
    let notes = Notes::create().await;
    let db = &notes.another(options().max_connections(8)).await;
    let (mut first, mut second) = (db.session().await.unwrap(), db.session().await.unwrap());
    let (first_backend, second_backend) =
        (backend_of(&mut first).await, backend_of(&mut second).await);
    second.end().await.unwrap();
    first.end().await.unwrap();
    for _ in 0..20 {
        assert_eq!(backend(db).await, first_backend);
    }
    let in_transaction = db
        .transaction(async |tx| -> Result<i32, DbError> {
            let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
            Ok(pid.fetch_one(tx.connection()).await?)
        })
        .await
        .unwrap();
    assert_eq!(in_transaction, first_backend);
    assert_ne!(first_backend, second_backend);
}

#[tokio::test]
async fn what_nobody_takes_goes_back_to_the_pool() {
    let notes = Notes::create().await;
    let db = &notes.another(options().max_connections(4)).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(db.session().await.unwrap());
    }
    for session in taken {
        session.end().await.unwrap();
    }
    assert!(db.pool().num_idle() < 3);
    eventually("all are back in the pool", async || {
        db.pool().num_idle() >= 3
    })
    .await;
}

/// A pool of which every connection may be kept would never serve who asks the pool itself.
#[tokio::test]
async fn who_waits_for_the_pool_is_served_under_steady_load() {
    let notes = Notes::create().await;
    let db = notes.another(options().max_connections(2)).await;
    let load = (0..2).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            loop {
                backend(&db).await;
            }
        })
    });
    let load: Vec<_> = load.collect();
    for _ in 0..20 {
        let asked = async { db.pool().acquire().await.map(drop).unwrap() };
        in_time(asked).await;
    }
    load.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_connection_after_an_error_is_not_kept() {
    if is_behind_pooler() {
        // Which backend a statement comes to is the pooler's choice.
        return;
    }
    let notes = Notes::create().await;
    let db = &notes.another(options().max_connections(2)).await;
    let before = backend(db).await;
    let killed = sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())")
        .single(db)
        .execute()
        .await;
    assert!(killed.is_err());
    assert_ne!(backend(db).await, before);
}

#[tokio::test]
async fn closing_waits_for_no_connection_that_is_kept() {
    let notes = Notes::create().await;
    let db = notes.another(options().max_connections(4)).await;
    backend(&db).await;
    in_time(db.close()).await;
    assert_eq!(db.pool().size(), 0);
    assert!(db.session().await.is_err());
}

#[test]
fn a_database_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (notes, db) = runtime.block_on(async {
        let notes = Notes::create().await;
        let db = notes.another(options().max_connections(2)).await;
        backend(&db).await;
        (notes, db)
    });
    runtime.block_on(async { drop(notes) });
    drop(runtime);
    drop(db);
}
