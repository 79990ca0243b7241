// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Advisory locks.

use forktex_db::{DbError, LockKey, sqlx};
use sqlx::Executor;

use crate::setup::{DEADLINE, Notes, eventually, is_behind_pooler, options};

#[tokio::test]
async fn a_lock_of_a_transaction_ends_with_it() {
    let notes = Notes::with(options().max_connections(2)).await;
    let key = LockKey::new("shop.till");
    let mut holder = notes.db.begin().await.unwrap();
    holder.lock(&key).await.unwrap();
    holder.lock(&key).await.unwrap();

    let mut other = notes.db.begin().await.unwrap();
    assert!(!other.try_lock(&key).await.unwrap());
    assert!(other.try_lock(&LockKey::new("shop.door")).await.unwrap());
    holder.commit().await.unwrap();
    assert!(other.try_lock(&key).await.unwrap());
    other.rollback().await.unwrap();
    assert!(notes.db.try_advisory_lock(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lock_of_a_nested_transaction_ends_when_that_is_rolled_back() {
    let notes = Notes::with(options().max_connections(2)).await;
    let key = LockKey::new("shop.till");
    let mut tx = notes.db.begin().await.unwrap();
    let nested = tx
        .transaction(async |tx| -> Result<(), DbError> {
            tx.lock(&key).await?;
            Err(DbError::NotFound)
        })
        .await;
    assert_eq!(nested, Err(DbError::NotFound));
    let lock = notes.db.try_advisory_lock(&key).await.unwrap();
    lock.expect("the lock is free").release().await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_lock_is_released_by_release_at_once_and_by_drop_soon() {
    let notes = Notes::create().await;
    let other = notes.another(options()).await;
    let key = LockKey::new("shop.till");

    let mut lock = notes.db.advisory_lock(&key).await.unwrap();
    assert_eq!(lock.key(), key);
    assert!(lock.is_held().await);
    assert!(other.try_advisory_lock(&key).await.unwrap().is_none());
    lock.release().await.unwrap();
    let backend = notes.backend().await;

    let lock = other
        .try_advisory_lock(&key)
        .await
        .unwrap()
        .expect("the lock is free");
    drop(lock);
    let lock = tokio::time::timeout(DEADLINE, notes.db.advisory_lock(&key)).await;
    lock.expect("a drop releases")
        .unwrap()
        .release()
        .await
        .unwrap();
    // Behind a pooler, which server connection one gets is the pooler's choice.
    assert!(
        notes.backend().await == backend || is_behind_pooler(),
        "release keeps the connection"
    );
}

#[tokio::test]
async fn a_lock_that_was_lost_says_so() {
    let notes = Notes::create().await;
    let other = notes.another(options()).await;
    let key = LockKey::new("shop.till");
    let mut lock = notes.db.advisory_lock(&key).await.unwrap();
    other
        .pool()
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE locktype = 'advisory'
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
        .unwrap();
    eventually("the loss is noticed", async || !lock.is_held().await).await;
    assert!(matches!(
        lock.release().await,
        Err(DbError::Unavailable { .. })
    ));
}
