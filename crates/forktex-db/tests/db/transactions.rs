// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Commit, rollback and nesting.

use std::time::Duration;

use forktex_db::{Awaited, Db, DbError, Isolation, LockKey, Transaction, sqlx};
use sqlx::{Connection, Executor};

use crate::setup::{Notes, insert, is_outside_transaction, options};

/// An error of the application's own, as most callers have.
#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Db(#[from] DbError),
}

#[tokio::test]
async fn ok_commits_and_err_rolls_back() {
    let notes = Notes::create().await;

    let value = notes
        .db
        .transaction(async |tx| -> Result<&str, DbError> {
            insert(tx.connection(), 1).await?;
            Ok("kept")
        })
        .await;
    assert_eq!(value, Ok("kept"));

    let failed: Result<(), ShopError> = notes
        .db
        .transaction(async |tx| {
            insert(tx.connection(), 2).await.map_err(DbError::from)?;
            Err(ShopError::SoldOut)
        })
        .await;
    assert!(matches!(failed, Err(ShopError::SoldOut)));
    assert_eq!(notes.ids().await, [1]);
    assert!(notes.connection_is_clean().await);
}

#[tokio::test]
async fn rolling_back_and_committing_keep_the_connection() {
    let notes = Notes::create().await;
    let backend = notes.backend().await;
    for id in 0..5 {
        let kept =
            async |tx: &mut Transaction| Ok::<_, DbError>(insert(tx.connection(), id).await?);
        notes.db.transaction(kept).await.unwrap();
        let undone = async |_: &mut Transaction| Err::<(), _>(DbError::NotFound);
        notes.db.transaction(undone).await.unwrap_err();
    }
    assert_eq!(notes.backend().await, backend);
}

#[tokio::test]
async fn a_panic_rolls_back() {
    let notes = Notes::create().await;
    let db = notes.db.clone();
    let task = tokio::spawn(async move {
        db.transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), 1).await?;
            panic!("on purpose");
        })
        .await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert!(notes.connection_is_clean().await);
    assert!(notes.ids().await.is_empty());
}

#[tokio::test]
async fn an_explicit_transaction_is_dropped_committed_or_rolled_back() {
    let notes = Notes::create().await;

    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 1).await.unwrap();
    drop(tx);
    assert!(notes.connection_is_clean().await);

    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 2).await.unwrap();
    tx.rollback().await.unwrap();

    let mut tx = notes.db.read_only().begin().await.unwrap();
    let refused = insert(tx.connection(), 3).await.map_err(DbError::from);
    assert!(
        matches!(refused, Err(DbError::Denied { .. })),
        "{refused:?}"
    );
    drop(tx);

    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 4).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(notes.ids().await, [4]);
}

#[tokio::test]
async fn c53_a_nested_transaction_that_fails_rolls_back_to_its_savepoint_only() {
    let notes = Notes::create().await;
    notes
        .db
        .transaction(async |tx| -> Result<(), ShopError> {
            insert(tx.connection(), 1).await.map_err(DbError::from)?;
            let nested = tx
                .transaction(async |tx| -> Result<(), ShopError> {
                    insert(tx.connection(), 2).await.map_err(DbError::from)?;
                    let deeper = tx
                        .transaction(async |tx| -> Result<(), DbError> {
                            insert(tx.connection(), 3).await?;
                            insert(tx.connection(), 3).await?;
                            Ok(())
                        })
                        .await;
                    assert!(matches!(deeper, Err(DbError::AlreadyExists { .. })));
                    insert(tx.connection(), 4).await.map_err(DbError::from)?;
                    Err(ShopError::SoldOut)
                })
                .await;
            assert!(matches!(nested, Err(ShopError::SoldOut)));
            tx.transaction(async |tx| -> Result<(), DbError> {
                insert(tx.connection(), 2).await?;
                Ok(())
            })
            .await?;
            insert(tx.connection(), 5).await.map_err(DbError::from)?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(notes.ids().await, [1, 2, 5]);
    assert!(notes.connection_is_clean().await);
}

#[tokio::test]
async fn a_nested_transaction_that_passes_over_a_failed_statement_is_aborted_alone() {
    let notes = Notes::create().await;
    notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), 1).await?;
            let nested = tx
                .transaction(async |tx| -> Result<(), DbError> {
                    insert(tx.connection(), 2).await?;
                    let _ = insert(tx.connection(), 2).await;
                    Ok(())
                })
                .await;
            assert!(matches!(nested, Err(DbError::Aborted { .. })), "{nested:?}");
            insert(tx.connection(), 3).await?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(notes.ids().await, [1, 3]);
}

/// Postgres answers a COMMIT of a spoiled transaction with success, and rolls back.
#[tokio::test]
async fn passing_over_a_failed_statement_is_not_a_commit() {
    let notes = Notes::create().await;
    let backend = notes.backend().await;
    let outcome = notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), 1).await?;
            let _ = insert(tx.connection(), 1).await;
            Ok(())
        })
        .await;
    assert!(
        matches!(outcome, Err(DbError::Aborted { .. })),
        "{outcome:?}"
    );
    assert!(notes.ids().await.is_empty());
    assert!(notes.connection_is_clean().await);
    assert_eq!(notes.backend().await, backend, "the connection was saved");
}

#[tokio::test]
async fn a_transaction_ended_by_the_drivers_own_is_reported() {
    let notes = Notes::create().await;
    let outcome = notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            let mut inner = tx.connection().begin().await?;
            insert(&mut inner, 1).await?;
            inner.commit().await?;
            Ok(())
        })
        .await;
    assert!(
        matches!(outcome, Err(DbError::Aborted { .. })),
        "{outcome:?}"
    );
    assert!(notes.connection_is_clean().await);
}

#[tokio::test]
async fn a_commit_refused_by_a_deferred_constraint_keeps_nothing_but_the_connection() {
    let notes = Notes::create().await;
    notes
        .db
        .pool()
        .execute(
            "CREATE TABLE app.reply (
                 id   bigint PRIMARY KEY,
                 note bigint CONSTRAINT reply_note_fkey REFERENCES app.note DEFERRABLE INITIALLY DEFERRED
             )",
        )
        .await
        .unwrap();
    let backend = notes.backend().await;
    let outcome = notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), 1).await?;
            tx.connection()
                .execute("INSERT INTO app.reply VALUES (1, 7)")
                .await?;
            Ok(())
        })
        .await;
    match outcome {
        Err(DbError::Invalid { constraint, .. }) => {
            assert_eq!(constraint.as_deref(), Some("reply_note_fkey"));
        }
        other => panic!("{other:?}"),
    }
    assert!(notes.ids().await.is_empty());
    assert!(notes.connection_is_clean().await);
    assert_eq!(notes.backend().await, backend, "the connection was saved");
}

#[tokio::test]
async fn options_hold_in_the_transaction_and_end_with_it() {
    let notes = Notes::create().await;
    let show = async |connection: &mut sqlx::PgConnection| -> (String, String, String, String) {
        sqlx::query_as(
            "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'),
                    current_setting('statement_timeout'), current_setting('lock_timeout')",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    };
    let inside = notes
        .db
        .isolation(Isolation::RepeatableRead)
        .read_only()
        .statement_timeout(Duration::from_millis(1234))
        .lock_timeout(Duration::from_secs(2))
        .transaction(async |tx| -> Result<_, DbError> {
            assert!(!is_outside_transaction(tx.connection()).await);
            Ok(show(tx.connection()).await)
        })
        .await
        .unwrap();
    assert_eq!(
        inside,
        (
            "repeatable read".into(),
            "on".into(),
            "1234ms".into(),
            "2s".into()
        )
    );
    let after = show(&mut notes.db.pool().acquire().await.unwrap()).await;
    assert_eq!(
        after,
        (
            "read committed".into(),
            "off".into(),
            "0".into(),
            "0".into()
        )
    );
}

#[tokio::test]
async fn time_limits_have_their_own_errors() {
    let notes = Notes::with(options().max_connections(2)).await;
    let slow = notes
        .db
        .statement_timeout(Duration::from_millis(20))
        .transaction(async |tx| -> Result<(), DbError> {
            tx.connection().execute("SELECT pg_sleep(60)").await?;
            Ok(())
        })
        .await;
    assert_eq!(
        slow,
        Err(DbError::Timeout {
            awaited: Awaited::Statement
        })
    );

    let key = LockKey::new("shop.till");
    let held = notes.db.advisory_lock(&key).await.unwrap();
    let waiting = notes
        .db
        .lock_timeout(Duration::from_millis(20))
        .transaction(async |tx| tx.lock(&key).await)
        .await;
    assert!(
        matches!(waiting, Err(DbError::Conflict { .. })),
        "{waiting:?}"
    );
    assert!(!waiting.unwrap_err().is_retryable());
    held.release().await.unwrap();
}

/// Async closures that nest and borrow must still make futures that any thread may run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_spawned() {
    let notes = Notes::with(options()).await;
    let tasks: Vec<_> = (0..20)
        .map(|id| {
            let db = notes.db.clone();
            tokio::spawn(async move {
                let name = format!("note {id}");
                db.isolation(Isolation::Serializable)
                    .retrying(50)
                    .transaction(async |tx| -> Result<(), DbError> {
                        write_nested(tx, id, &name).await
                    })
                    .await?;
                db.transaction(async |tx| -> Result<(), DbError> {
                    tx.transaction(async |tx| {
                        tx.transaction(async |tx| write_nested(tx, id + 100, &name).await)
                            .await
                    })
                    .await
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(notes.ids().await.len(), 40);
}

async fn write_nested(tx: &mut Transaction, id: i64, name: &str) -> Result<(), DbError> {
    tx.transaction(async |tx| -> Result<(), DbError> {
        sqlx::query("INSERT INTO app.note (id, text) VALUES ($1, $2)")
            .bind(id)
            .bind(name)
            .execute(tx.connection())
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_borrowed_pool_stays_open() {
    let notes = Notes::create().await;
    let borrowed = Db::from_pool(notes.db.pool().clone());
    borrowed
        .transaction(async |tx| insert(tx.connection(), 1).await.map_err(DbError::from))
        .await
        .unwrap();
    borrowed.close().await;
    assert_eq!(notes.ids().await, [1]);
    notes.db.close().await;
    let refused = notes.db.begin().await;
    assert!(
        matches!(refused, Err(DbError::Unavailable { .. })),
        "{refused:?}"
    );
}
