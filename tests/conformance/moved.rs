// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed values that were moved or changed by someone who can write the tables: they do not open, and
//! the run shows it.

use forktex::db::{CipherErrorKind, sqlx};
use forktex::flow::WaitingOn;
use forktex::flow::prelude::*;

use crate::keys::{flow, refused, stored, until_resting, vault, wake};
use crate::mail::{Closed, Listening, told};
use crate::signal::until_waiting;
use crate::tale::{Tale, tale};
use crate::world::{RUN_FAILED, World, ended, until};

const SWAP_INPUTS: &str = "UPDATE forktex_flow.instance AS mine SET input = other.input
    FROM forktex_flow.instance AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))";
const SWAP_ENTRIES: &str = "UPDATE forktex_flow.journal AS mine SET payload = other.payload
    FROM forktex_flow.journal AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid)) AND mine.sequence = other.sequence";
const SHIFT_ENTRIES: &str = "UPDATE forktex_flow.journal AS mine SET payload = other.payload
    FROM forktex_flow.journal AS other
    WHERE mine.instance_id IN ($1::uuid, $2::uuid) AND mine.instance_id = other.instance_id
      AND (mine.sequence, other.sequence) IN ((1, 2), (2, 1))";
const SWAP_MESSAGES: &str = "UPDATE forktex_flow.inbox AS mine SET payload = other.payload
    FROM forktex_flow.inbox AS other
    WHERE (mine.instance_id, other.instance_id)
        IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))
      AND mine.name = 'tale.told' AND other.name = mine.name
      AND mine.idempotency_key = other.idempotency_key";
const RENAME_MESSAGES: &str = "UPDATE forktex_flow.inbox
    SET name = CASE name WHEN 'tale.told' THEN 'tale.closed' ELSE 'tale.told' END
    WHERE instance_id IN ($1::uuid, $2::uuid)";
const FLIP_A_BIT: &str = "UPDATE forktex_flow.instance
    SET input = to_jsonb(overlay(input #>> '{}' PLACING
        CASE substr(input #>> '{}', 130, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 130 FOR 1))
    WHERE instance_id IN ($1::uuid, $2::uuid)";

/// Does something to the rows of a run that no flow would.
async fn change(world: &World, sql: &'static str, run: InstanceId, other: InstanceId) {
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(other.to_string())
        .execute(&world.pool)
        .await
        .unwrap();
}

/// Two runs that wait, and have taken a line each.
async fn two_listeners(flow: &Flow) -> [Run<Tale>; 2] {
    let mut runs = Vec::new();
    for title in ["one", "two"] {
        let run = flow.start(Listening, tale(title)).await.unwrap();
        until_waiting(&run).await;
        run.send(told(title, 1)).await.unwrap();
        until("the line is taken", async || {
            run.refresh().await.unwrap().state.total == 1
        })
        .await;
        until_waiting(&run).await;
        runs.push(run);
    }
    runs.try_into().unwrap()
}

#[tokio::test]
async fn what_was_moved_between_runs_or_entries_does_not_open_and_is_visibly_not_run() {
    let world = World::create().await;
    let flow = flow(&world, "worker", vault()).await;
    flow.start_driver().await.unwrap();
    for (moved, is_undone_by_repeating) in [
        (SWAP_INPUTS, true),
        (SWAP_ENTRIES, true),
        (SHIFT_ENTRIES, true),
        (FLIP_A_BIT, false),
    ] {
        let [one, two] = two_listeners(&flow).await;
        let before = stored(&world, "instance", "input", one.id()).await;
        change(&world, moved, one.id(), two.id()).await;
        for run in [&one, &two] {
            assert_eq!(
                refused(run).await,
                CipherErrorKind::TamperedOrMoved,
                "{moved}"
            );
            run.send(Closed {}).await.unwrap();
        }
        for run in [&one, &two] {
            until_resting(&world, run.id()).await;
            assert_eq!(world.count(run.id(), RUN_FAILED).await, 0);
        }
        if !is_undone_by_repeating {
            assert_ne!(stored(&world, "instance", "input", one.id()).await, before);
            continue;
        }
        change(&world, moved, one.id(), two.id()).await;
        wake(&world, &flow).await;
        for (run, title) in [(&one, "one"), (&two, "two")] {
            let done = ended(run).await;
            assert_eq!(done.status, InstanceStatus::Completed, "{moved}");
            assert_eq!((done.state.title.as_str(), done.state.total), (title, 1));
        }
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_signal_that_was_moved_to_another_run_or_name_is_not_taken() {
    let world = World::create().await;
    let flow = flow(&world, "worker", vault()).await;
    for moved in [SWAP_MESSAGES, RENAME_MESSAGES] {
        let mut runs = Vec::new();
        for title in ["one", "two"] {
            let run = flow.start(Listening, tale(title)).await.unwrap();
            let send = run.send(told(title, 3)).idempotency_key("told");
            send.await.unwrap();
            runs.push(run);
        }
        change(&world, moved, runs[0].id(), runs[1].id()).await;
        flow.start_driver().await.unwrap();
        for run in &runs {
            until_resting(&world, run.id()).await;
            let seen = run.refresh().await.unwrap();
            assert_eq!(
                seen.waiting_on,
                Some(WaitingOn::CompatibleWorker),
                "{moved}"
            );
            assert_eq!(seen.state.total, 0);
        }
        change(&world, moved, runs[0].id(), runs[1].id()).await;
        wake(&world, &flow).await;
        for (run, title) in runs.iter().zip(["one", "two"]) {
            let done = ended(run).await;
            assert_eq!(done.status, InstanceStatus::Completed, "{moved}");
            assert!(done.state.lines.iter().any(|line| line == title));
        }
        flow.stop_driver().await.unwrap();
    }
    flow.close().await.unwrap();
}
