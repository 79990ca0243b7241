// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Futures dropped at every point where they wait.

use std::future::{Future, poll_fn};
use std::task::Poll;

use forktex_db::{Db, DbError, LockKey, sqlx};
use sqlx::Executor;

use crate::setup::{Notes, insert, options};

/// When, in relation to the last poll, a future is dropped.
#[derive(Clone, Copy, Debug)]
enum Drop {
    /// As soon as it waits: its request is sent, the answer is not there.
    AtOnce,
    /// When it is woken: the answer is there, but has not been read.
    WhenWoken,
}

/// Polls a future a number of times, then drops it. Gives its output if it finished before.
async fn polled_at_most<F: Future>(future: F, polls: u32, drop: Drop) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Pending if polled == polls && matches!(drop, Drop::AtOnce) => Poll::Ready(None),
            poll => poll.map(Some),
        }
    })
    .await
}

async fn write_a_pair(db: &Db, id: i64) -> Result<(), DbError> {
    db.transaction(async |tx| -> Result<(), DbError> {
        insert(tx.connection(), id).await?;
        tx.transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), id + 1).await?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_transaction_dropped_at_any_poll_never_leaves_a_connection_inside_it() {
    let notes = Notes::create_relayed().await;
    let other = notes.another(options()).await;
    let (mut dropped, mut finished) = (0, 0);
    for drop in [Drop::AtOnce, Drop::WhenWoken] {
        for polls in 1..=50 {
            match polled_at_most(write_a_pair(&notes.db, 1), polls, drop).await {
                Some(outcome) => {
                    outcome.unwrap();
                    finished += 1;
                }
                None => dropped += 1,
            }
            assert!(
                notes.connection_is_clean().await,
                "{drop:?} after {polls} polls"
            );
            let ids = notes.ids().await;
            assert!(
                ids.is_empty() || ids == [1, 2],
                "{drop:?} after {polls} polls: {ids:?}"
            );

            // What is written next must be kept, not vanish in a transaction that was left open.
            let next = "INSERT INTO app.note VALUES (9, 'the next user')";
            notes.db.pool().execute(next).await.unwrap();
            let kept = other
                .pool()
                .execute("DELETE FROM app.note WHERE id = 9")
                .await
                .unwrap();
            assert_eq!(kept.rows_affected(), 1, "{drop:?} after {polls} polls");
            // Waits for a commit that is still under way, so that the next round begins afresh.
            other
                .pool()
                .execute("LOCK TABLE app.note IN EXCLUSIVE MODE; DELETE FROM app.note")
                .await
                .unwrap();
        }
    }
    assert!(
        dropped >= 10,
        "the future must wait often enough to be dropped: {dropped}"
    );
    assert!(finished >= 10, "the longest runs must finish: {finished}");
}

#[tokio::test]
async fn a_begin_dropped_at_any_poll_leaves_nothing() {
    let notes = Notes::create_relayed().await;
    for drop in [Drop::AtOnce, Drop::WhenWoken] {
        for polls in 1..=10 {
            let begun = polled_at_most(notes.db.begin(), polls, drop).await;
            std::mem::drop(begun);
            assert!(
                notes.connection_is_clean().await,
                "{drop:?} after {polls} polls"
            );
        }
    }
}

#[tokio::test]
async fn a_nested_transaction_dropped_midway_condemns_the_one_around_it() {
    let notes = Notes::create_relayed().await;
    for polls in 1..=6 {
        let mut tx = notes.db.begin().await.unwrap();
        insert(tx.connection(), 1).await.unwrap();
        let nested = tx.transaction(async |tx| -> Result<(), DbError> {
            for id in 2..20 {
                insert(tx.connection(), id).await?;
            }
            Ok(())
        });
        assert!(polled_at_most(nested, polls, Drop::AtOnce).await.is_none());

        let again = tx.transaction(async |_| Ok::<_, DbError>(())).await;
        assert!(
            matches!(again, Err(DbError::Aborted { .. })),
            "after {polls} polls: {again:?}"
        );
        let outcome = tx.commit().await;
        assert!(
            matches!(outcome, Err(DbError::Aborted { .. })),
            "after {polls} polls: {outcome:?}"
        );
        assert!(notes.connection_is_clean().await);
        assert!(notes.ids().await.is_empty());
    }
}

/// The driver reads the answer of a dropped statement before it sends the next, and reports an error
/// in it there. That must not be taken for the answer to the commit, nor leave the transaction open.
#[tokio::test]
async fn a_statement_dropped_midway_that_fails_later_fails_the_commit() {
    let notes = Notes::create_relayed().await;
    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 1).await.unwrap();
    let statement = tx
        .connection()
        .execute("INSERT INTO app.note VALUES (1, 'again')");
    assert!(polled_at_most(statement, 1, Drop::AtOnce).await.is_none());
    let outcome = tx.commit().await;
    assert!(
        matches!(outcome, Err(DbError::AlreadyExists { .. })),
        "{outcome:?}"
    );
    assert!(notes.connection_is_clean().await);
    assert!(notes.ids().await.is_empty());

    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 1).await.unwrap();
    let statement = tx
        .connection()
        .execute("INSERT INTO app.note VALUES (1, 'again')");
    assert!(polled_at_most(statement, 1, Drop::AtOnce).await.is_none());
    tx.rollback().await.unwrap();
    assert!(notes.connection_is_clean().await);
}

#[tokio::test]
async fn a_lock_dropped_at_any_poll_is_free_again() {
    let notes = Notes::create_relayed().await;
    let other = notes.another(options()).await;
    let key = LockKey::new("shop.till");
    for polls in 1..=10 {
        let taken = polled_at_most(notes.db.advisory_lock(&key), polls, Drop::AtOnce).await;
        drop(taken);
        let lock = tokio::time::timeout(crate::setup::DEADLINE, other.advisory_lock(&key)).await;
        lock.expect("the lock must come free")
            .unwrap()
            .release()
            .await
            .unwrap();
    }
}
