// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Transactions that lose a race and are run again.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use forktex_db::{DbError, Isolation, LockKey, Retryable, sqlx};
use tokio::sync::Barrier;

use crate::setup::{Notes, insert, options};

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Retryable for ShopError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_retryable())
    }
}

/// Both read the sum and add to it: whoever commits second has seen what is no longer so.
#[tokio::test]
async fn a_transaction_that_cannot_be_serialised_at_its_commit_is_run_again() {
    let notes = Notes::with(options().max_connections(2)).await;
    let (barrier, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (db, barrier, runs) = (notes.db.clone(), Arc::clone(&barrier), Arc::clone(&runs));
            tokio::spawn(async move {
                let is_first_run = AtomicBool::new(true);
                db.isolation(Isolation::Serializable)
                    .retrying(5)
                    .transaction(async |tx| -> Result<(), ShopError> {
                        runs.fetch_add(1, Ordering::Relaxed);
                        let sum: i64 = sqlx::query_scalar("SELECT count(*) FROM app.note")
                            .fetch_one(tx.connection())
                            .await
                            .map_err(DbError::from)?;
                        if is_first_run.load(Ordering::Relaxed) {
                            barrier.wait().await;
                        }
                        insert(tx.connection(), sum * 10 + i64::from(next_digit()))
                            .await
                            .map_err(DbError::from)?;
                        if is_first_run.swap(false, Ordering::Relaxed) {
                            barrier.wait().await;
                        }
                        Ok(())
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(runs.load(Ordering::Relaxed) >= 3);
    let ids = notes.ids().await;
    assert!(
        ids.len() == 2 && ids[0] < 10 && ids[1] >= 10,
        "as if one after the other: {ids:?}"
    );
}

/// A number that the two tasks do not share, so that only the count collides.
fn next_digit() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % 10
}

#[tokio::test]
async fn a_deadlock_is_run_again() {
    let notes = Notes::with(options().max_connections(2)).await;
    let keys = [LockKey::new("shop.left"), LockKey::new("shop.right")];
    let barrier = Arc::new(Barrier::new(2));
    let tasks: Vec<_> = [keys, [keys[1], keys[0]]]
        .into_iter()
        .map(|[first, second]| {
            let (db, barrier) = (notes.db.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let is_first_run = AtomicBool::new(true);
                db.retrying(5)
                    .transaction(async |tx| -> Result<(), DbError> {
                        tx.lock(&first).await?;
                        if is_first_run.swap(false, Ordering::Relaxed) {
                            barrier.wait().await;
                        }
                        tx.lock(&second).await
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn other_errors_and_used_up_retries_are_returned() {
    let notes = Notes::create().await;
    let runs = Cell::new(0);
    let outcome = notes
        .db
        .retrying(5)
        .transaction(async |_| {
            runs.set(runs.get() + 1);
            Err::<(), _>(ShopError::SoldOut)
        })
        .await;
    assert!(matches!(outcome, Err(ShopError::SoldOut)));
    assert_eq!(runs.get(), 1);

    let runs = Cell::new(0);
    let outcome = notes
        .db
        .retrying(2)
        .transaction(async |tx| -> Result<(), DbError> {
            runs.set(runs.get() + 1);
            sqlx::query("DO $$ BEGIN RAISE serialization_failure; END $$")
                .execute(tx.connection())
                .await?;
            Ok(())
        })
        .await;
    assert!(outcome.unwrap_err().is_retryable());
    assert_eq!(runs.get(), 3);
    assert!(notes.connection_is_clean().await);
}
