// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a process tells of its work.

use std::collections::BTreeSet;

use forktex_queue::prelude::*;
use metrics_util::debugging::DebuggingRecorder;

use crate::stage::{Ledger, Note};

/// On one thread, so that the recorder of this thread hears all.
#[test]
fn the_metrics_are_those_of_the_documentation() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let ledger = Ledger::default();
            let queue = Queue::in_process();
            let worker = Worker::new(&queue).without_linked();
            let running = worker.handle(ledger.noting()).start().await.unwrap();
            queue.enqueue(Note::new("a")).await.unwrap();
            queue
                .enqueue(Note::new("late"))
                .after("1500ms")
                .await
                .unwrap();
            ledger.reaches(2).await;
            running.drain("5s").await.unwrap();
        });
    });
    let told: BTreeSet<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, ..)| key.key().name().to_owned())
        .collect();
    let documentation = include_str!("../../src/docs/telemetry.md");
    for name in &told {
        assert!(
            documentation.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
    for name in [
        "forktex_queue_enqueued_total",
        "forktex_queue_claimed_total",
        "forktex_queue_claim_seconds",
        "forktex_queue_attempts_total",
        "forktex_queue_attempt_seconds",
        "forktex_queue_settle_batch",
        "forktex_queue_settle_seconds",
        "forktex_queue_promoted_total",
        "forktex_queue_slots_in_use",
    ] {
        assert!(told.contains(name), "{name} was not told of: {told:?}");
    }
}
