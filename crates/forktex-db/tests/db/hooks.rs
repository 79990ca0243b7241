// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Hooks after the commit.

use std::sync::{Arc, Mutex};

use forktex_db::{DbError, Transaction};

use crate::setup::{Notes, eventually, insert};

/// What hooks wrote down, in order.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<&'static str>>>);

impl Journal {
    fn on_commit(&self, tx: &mut Transaction, entry: &'static str) {
        let journal = self.clone();
        tx.after_commit(async move { journal.write(entry) });
    }

    fn write(&self, entry: &'static str) {
        self.0.lock().unwrap().push(entry);
    }

    fn entries(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn hooks_run_once_in_order_after_the_outermost_commit() {
    let notes = Notes::create().await;
    let journal = Journal::default();
    notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            journal.on_commit(tx, "first");
            tx.transaction(async |tx| -> Result<(), DbError> {
                journal.on_commit(tx, "nested");
                Ok(())
            })
            .await?;
            journal.on_commit(tx, "last");
            insert(tx.connection(), 1).await?;
            assert!(
                journal.entries().is_empty(),
                "nothing runs before the commit"
            );
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(journal.entries(), ["first", "nested", "last"]);
}

#[tokio::test]
async fn hooks_of_what_was_rolled_back_never_run() {
    let notes = Notes::create().await;
    let journal = Journal::default();
    let _ = notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            journal.on_commit(tx, "rolled back");
            Err(DbError::NotFound)
        })
        .await;
    notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            journal.on_commit(tx, "kept");
            let _ = tx
                .transaction(async |tx| -> Result<(), DbError> {
                    journal.on_commit(tx, "nested, rolled back");
                    tx.transaction(async |tx| -> Result<(), DbError> {
                        journal.on_commit(tx, "released into what was rolled back");
                        Ok(())
                    })
                    .await?;
                    Err(DbError::NotFound)
                })
                .await;
            Ok(())
        })
        .await
        .unwrap();
    let passed_over = notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            journal.on_commit(tx, "aborted");
            insert(tx.connection(), 1).await?;
            let _ = insert(tx.connection(), 1).await;
            Ok(())
        })
        .await;
    assert!(passed_over.is_err());
    assert_eq!(journal.entries(), ["kept"]);
}

#[tokio::test]
async fn a_hook_that_panics_neither_hides_the_commit_nor_stops_the_next() {
    let notes = Notes::create().await;
    let journal = Journal::default();
    let committed = notes
        .db
        .transaction(async |tx| -> Result<i32, DbError> {
            insert(tx.connection(), 1).await?;
            tx.after_commit(async { panic!("on purpose") });
            journal.on_commit(tx, "next");
            Ok(7)
        })
        .await;
    assert_eq!(committed, Ok(7));
    assert_eq!(journal.entries(), ["next"]);
    assert_eq!(notes.ids().await, [1]);
}

#[tokio::test]
async fn a_hook_may_use_the_pool_even_if_it_has_one_connection() {
    let notes = Notes::create().await;
    let db = notes.db.clone();
    notes
        .db
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), 1).await?;
            tx.after_commit(async move {
                db.transaction(async |tx| Ok::<_, DbError>(insert(tx.connection(), 2).await?))
                    .await
                    .unwrap();
            });
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(notes.ids().await, [1, 2]);
}

#[tokio::test]
async fn hooks_go_on_when_the_caller_is_dropped() {
    let notes = Notes::create().await;
    let journal = Journal::default();
    let (reached, in_hook) = tokio::sync::oneshot::channel();
    let (go_on, waiting) = tokio::sync::oneshot::channel();
    let db = notes.db.clone();
    let inside = journal.clone();
    let caller = tokio::spawn(async move {
        db.transaction(async |tx| -> Result<(), DbError> {
            tx.after_commit(async move {
                reached.send(()).unwrap();
                waiting.await.unwrap();
            });
            inside.on_commit(tx, "second");
            Ok(())
        })
        .await
    });
    in_hook.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    eventually("the second hook runs", async || {
        journal.entries() == ["second"]
    })
    .await;
}
