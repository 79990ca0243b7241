// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which job is next.

use std::time::Duration;

use forktex_queue::Queue;
use time::OffsetDateTime;

use crate::stage::{Ledger, Note, Stage};

/// Does all jobs one by one, and says in which order.
async fn order(stage: &Stage, count: usize) -> Vec<String> {
    let ledger = Ledger::default();
    let worker = stage.worker().concurrency(1).handle(ledger.noting());
    let running = worker.start().await.unwrap();
    ledger.reaches(count).await;
    running.drain("5s").await.unwrap();
    ledger.texts()
}

async fn put(queue: &Queue, text: &str, priority: i16) {
    queue
        .enqueue(Note::new(text))
        .priority(priority)
        .await
        .unwrap();
}

on_all_backends! {
    async fn the_first_is_first(stage) {
        for text in ["a", "b", "c"] {
            put(&stage.queue, text, 0).await;
        }
        assert_eq!(order(&stage, 3).await, ["a", "b", "c"]);
    }

    async fn a_point_of_priority_is_a_head_start_of_half_a_minute(stage) {
        put(&stage.queue, "low", -1).await;
        put(&stage.queue, "normal", 0).await;
        put(&stage.queue, "high", 1).await;
        assert_eq!(order(&stage, 3).await, ["high", "normal", "low"]);
    }

    async fn the_queues_are_asked_in_the_order_given(stage) {
        let ledger = Ledger::default();
        for (queue, text) in [("second", "b"), ("first", "a"), ("third", "c")] {
            stage.queue.enqueue(Note::new(text)).queue(queue).await.unwrap();
        }
        let worker = stage.worker().concurrency(1).queues(["first", "second"]);
        let running = worker.handle(ledger.noting()).start().await.unwrap();
        ledger.reaches(2).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.texts(), ["a", "b"]);
        assert_eq!(stage.queue.stats("third").await.unwrap().ready, 1);
    }

    /// 8,001 due jobs stop a queue whose script unpacks them all at once.
    async fn any_number_of_jobs_may_come_due_together(stage) {
        const JOBS: usize = 20_000;
        let ledger = Ledger::default();
        let due = OffsetDateTime::now_utc() + Duration::from_secs(2);
        for _ in 0..4 {
            let notes = (0..JOBS / 4).map(|number| Note::new(number.to_string()));
            stage.queue.enqueue_many(notes).at(due).await.unwrap();
        }
        let worker = stage.worker().concurrency(256).handle(ledger.noting());
        let running = worker.start().await.unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
        while ledger.len() < JOBS {
            assert!(tokio::time::Instant::now() < deadline, "{} were done", ledger.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.drain("30s").await.unwrap();
        assert!(ledger.counts().values().all(|count| *count == 1));
    }
}
