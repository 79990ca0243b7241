// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Commits whose answer never comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use forktex_db::{Db, DbError, LockKey, sqlx};
use sqlx::Executor;

use crate::setup::{Notes, eventually, insert, options};
use crate::wire::{Cut, relayed};

async fn commit_through_a_cut_wire(cut: Cut) -> Vec<i64> {
    let notes = Notes::create().await;
    let url = relayed(notes.database.owner_url(), cut).await;
    let db = Db::connect(&url, options().max_connections(1))
        .await
        .unwrap();
    let (runs, hooks) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));

    let outcome = db
        .retrying(3)
        .transaction(async |tx| -> Result<(), DbError> {
            runs.fetch_add(1, Ordering::Relaxed);
            let hooks = Arc::clone(&hooks);
            tx.after_commit(async move {
                hooks.fetch_add(1, Ordering::Relaxed);
            });
            insert(tx.connection(), 1).await?;
            Ok(())
        })
        .await;

    assert_eq!(outcome, Err(DbError::OutcomeUnknown));
    assert_eq!(
        runs.load(Ordering::Relaxed),
        1,
        "an unknown outcome is never retried"
    );
    assert_eq!(
        hooks.load(Ordering::Relaxed),
        0,
        "nobody knows that it was committed"
    );
    notes.ids().await
}

#[tokio::test]
async fn a_commit_that_never_arrived_has_an_unknown_outcome() {
    assert!(
        commit_through_a_cut_wire(Cut::BeforeCommit)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_an_unknown_outcome_and_was_kept() {
    assert_eq!(commit_through_a_cut_wire(Cut::AfterCommit).await, [1]);
}

#[tokio::test]
async fn a_session_ended_by_the_server_during_its_commit_has_an_unknown_outcome() {
    let notes = Notes::with(options().max_connections(3)).await;
    let key = LockKey::new("shop.commit");
    notes
        .db
        .pool()
        .execute(sqlx::AssertSqlSafe(format!(
            "CREATE FUNCTION app.wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock({}); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON app.note
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.wait()",
            key.value()
        )))
        .await
        .unwrap();
    let _held = notes.db.advisory_lock(&key).await.unwrap();

    let mut tx = notes.db.begin().await.unwrap();
    insert(tx.connection(), 1).await.unwrap();
    let commit = tokio::spawn(tx.commit());
    eventually("the commit waits and is ended", async || {
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE query LIKE '%COMMIT' AND wait_event = 'advisory' AND datname = current_database()",
        )
        .fetch_optional(notes.observer.pool())
        .await
        .unwrap();
        ended == Some(true)
    })
    .await;
    assert_eq!(commit.await.unwrap(), Err(DbError::OutcomeUnknown));
    assert!(notes.ids().await.is_empty());
}
