// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rotation of a column that others write meanwhile, and two rotations at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forktex_db::sqlx;
use forktex_vault::{RotationError, Vault};

use crate::fixture::{Fixture, org_of, payload, value, write_payload};

/// What a writer left behind: none for a row that it deleted.
type Written = BTreeMap<i64, Option<String>>;

/// Writes, inserts and deletes rows that nobody else writes, until told to stop.
async fn writer(
    fixture: Arc<Fixture>,
    vault: Vault,
    ids: Vec<i64>,
    stop: Arc<AtomicBool>,
) -> Written {
    let mut written = Written::new();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let id = ids[fastrand::usize(..ids.len())];
        let text = format!("round {round} of {id}");
        let is_there = written.get(&id).is_none_or(Option::is_some);
        let change = if is_there && round % 5 == 0 {
            sqlx::query("DELETE FROM app.credential WHERE id = $1")
                .bind(id)
                .execute(fixture.db.pool())
                .await
                .unwrap();
            None
        } else if is_there {
            write_payload(&fixture.db, &vault, id, &text).await.unwrap();
            Some(text)
        } else {
            sqlx::query("INSERT INTO app.credential (id, org_id, payload) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(org_of(id))
                .bind(payload(&vault, id, &text))
                .execute(fixture.db.pool())
                .await
                .unwrap();
            Some(text)
        };
        written.insert(id, change);
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_under_either_key_lose_nothing_while_the_column_rotates() {
    const ROWS: i64 = 2_000;
    let fixture = Arc::new(Fixture::with_rows(ROWS).await);
    let stop = Arc::new(AtomicBool::new(false));
    let behind = Vault::from_key(&fixture.old).with_previous(&fixture.new);
    let ahead = Vault::from_key(&fixture.new).with_previous(&fixture.old);
    let writers: Vec<_> = [behind.clone(), ahead.clone(), behind, ahead]
        .into_iter()
        .zip(0..)
        .map(|(vault, n)| {
            let ids = (1..=ROWS).filter(|id| id % 4 == n).collect();
            tokio::spawn(writer(Arc::clone(&fixture), vault, ids, Arc::clone(&stop)))
        })
        .collect();

    let rotation = || fixture.rotation("payload").batch_rows(50);
    let meanwhile = rotation().passes_max(4).run().await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut expected: BTreeMap<i64, Option<String>> =
        (1..=ROWS).map(|id| (id, Some(value(id)))).collect();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    assert!(meanwhile.rotated >= 1, "{meanwhile}");
    assert_eq!(meanwhile.quarantined, 0, "{meanwhile}");

    let report = rotation().run().await.unwrap();
    assert!(report.is_complete(), "{report}");
    let expected: Vec<_> = expected
        .into_iter()
        .filter_map(|(id, text)| text.map(|text| (id, Ok(text))))
        .collect();
    assert_eq!(fixture.payloads().await, expected);
}

/// The swap has read the row, waits for its writer, and must then leave the new value alone.
#[tokio::test]
async fn a_write_between_reading_and_writing_is_kept_and_visited_again() {
    let fixture = Fixture::with_rows(10).await;
    let old = Vault::from_key(&fixture.old);
    let mut tx = fixture.db.begin().await.unwrap();
    sqlx::query("UPDATE app.credential SET payload = $1 WHERE id = 4")
        .bind(payload(&old, 4, "written meanwhile"))
        .execute(tx.connection())
        .await
        .unwrap();
    let rotation = fixture.rotation("payload").run();
    let writing = async {
        fixture.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(rotation, writing);
    let report = report.unwrap();
    assert_eq!((report.lost_swaps, report.rotated), (1, 10), "{report}");
    assert_eq!(report.passes, 3, "{report}");
    assert!(report.is_complete());
    let payloads = fixture.payloads().await;
    assert_eq!(payloads[3], (4, Ok("written meanwhile".to_owned())));
    assert_eq!(payloads[4], (5, Ok(value(5))));
}

#[tokio::test]
async fn of_two_rotations_of_one_column_the_second_is_refused() {
    let fixture = Fixture::with_rows(100).await;
    let mut tx = fixture.db.begin().await.unwrap();
    sqlx::query("UPDATE app.credential SET org_id = org_id WHERE id = 5")
        .execute(tx.connection())
        .await
        .unwrap();
    let first = fixture.rotation("payload").run();
    let meanwhile = async {
        // The first has its lock, and waits for the row.
        fixture.somebody_waits_for_a_lock().await;
        let second = fixture.rotation("payload").run().await.unwrap_err();
        tx.rollback().await.unwrap();
        second
    };
    let (first, second) = tokio::join!(first, meanwhile);
    assert_eq!(
        second,
        RotationError::AlreadyRunning {
            table: "app.credential".to_owned(),
            column: "payload".to_owned(),
        }
    );
    assert!(second.to_string().contains("already running"));
    assert!(first.unwrap().is_complete());
}

/// A run that was cut off from the server must not write over the checkpoint of the one that took over.
#[tokio::test]
async fn a_run_that_was_superseded_stops() {
    let fixture = Fixture::with_rows(50).await;
    let db = fixture.db.clone();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let told = std::sync::Arc::new(tokio::sync::Mutex::new(told));
    let rotation = fixture
        .rotation("payload")
        .batch_rows(10)
        .pause_between_batches(std::time::Duration::from_millis(1))
        .progress(move |_| {
            tell.send(()).ok();
        })
        .run();
    let superseding = async {
        told.lock().await.recv().await.unwrap();
        sqlx::query("UPDATE forktex_vault.rotation SET run = run + 1")
            .execute(db.pool())
            .await
            .unwrap();
    };
    let (outcome, ()) = tokio::join!(rotation, superseding);
    assert!(
        matches!(outcome, Err(RotationError::Superseded { .. })),
        "{outcome:?}"
    );
}
