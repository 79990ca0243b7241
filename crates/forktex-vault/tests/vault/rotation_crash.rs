// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rotations in processes that are killed.

use std::process::{Child, Command, Stdio};

use forktex_db::{Db, DbOptions};
use forktex_vault::{Key, rotate_blobs};

use crate::fixture::{Fixture, TABLE, eventually};

const ROWS: i64 = 20_000;
const KILLS: usize = 8;

/// The database's URL and the two keys, for the child.
const URL: &str = "VAULT_TEST_CHILD_URL";
const OLD: &str = "VAULT_TEST_CHILD_OLD";
const NEW: &str = "VAULT_TEST_CHILD_NEW";

/// Not a test by itself: the process that the test below kills.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let key = |name| std::env::var(name).unwrap().parse::<Key>().unwrap();
    let db = Db::connect(&url, DbOptions::new()).await.unwrap();
    rotate_blobs(&db, TABLE, "payload")
        .from(&key(OLD))
        .to(&key(NEW))
        .org_column("org_id")
        .batch_rows(25)
        .run()
        .await
        .unwrap();
}

fn spawn_child(fixture: &Fixture) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rotation_crash::child", "--nocapture"])
        .env(URL, fixture.database.owner_url())
        .env(OLD, &**fixture.old.expose())
        .env(NEW, &**fixture.new.expose())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn c58_a_rotation_killed_again_and_again_goes_on_and_loses_nothing() {
    let fixture = Fixture::with_rows(ROWS).await;
    let scanned = "SELECT coalesce(sum(scanned), 0)::bigint FROM forktex_vault.rotation";
    let mut kills_at_work = 0;
    for _ in 0..KILLS {
        let before = fixture.count(scanned).await;
        let step = fastrand::i64(1..=500);
        let mut child = spawn_child(&fixture);
        eventually(async || fixture.count(scanned).await >= before + step).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let unfinished = fixture
            .count("SELECT count(*) FROM forktex_vault.rotation WHERE finished_at IS NULL")
            .await;
        kills_at_work += unfinished;
    }
    assert!(kills_at_work >= 6, "most kills must hit a rotation at work");
    let under_way = fixture.count(scanned).await;
    let position = fixture.count("SELECT position::bigint FROM forktex_vault.rotation");
    assert!(position.await > 0, "a checkpoint is kept");

    // The server notices the end of the last child, and lets go of its lock, a moment later.
    let report = loop {
        match fixture.rotation("payload").run().await {
            Err(forktex_vault::RotationError::AlreadyRunning { .. }) => {
                tokio::task::yield_now().await;
            }
            outcome => break outcome.unwrap(),
        }
    };
    fixture.assert_rotated(ROWS).await;
    assert!(report.is_complete(), "{report}");
    // It began where the last one was stopped, and counted what that had done.
    assert_eq!(report.rotated, ROWS.cast_unsigned(), "{report}");
    assert!(report.scanned >= under_way.cast_unsigned());
    assert_eq!(report.scanned, 2 * ROWS.cast_unsigned(), "{report}");
}
