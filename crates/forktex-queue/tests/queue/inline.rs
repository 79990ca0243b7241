// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Queues that run jobs where they are enqueued, and time that stands still.

use std::time::Duration;

use forktex_queue::prelude::*;
use forktex_queue::{JobStatus, QueueError};

use crate::stage::{Ledger, Note};

#[tokio::test]
async fn a_job_is_done_when_its_call_returns() {
    let ledger = Ledger::default();
    let queue = Queue::inline().without_linked().handle(ledger.noting());
    let queue = queue.build().unwrap();
    let job = queue.enqueue(Note::new("a")).await.unwrap();
    assert_eq!(ledger.texts(), ["a"]);
    assert!(queue.job(job.id()).await.unwrap().is_none());
    queue.enqueue_many(["b", "c"].map(Note::new)).await.unwrap();
    assert_eq!(ledger.texts(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_later_runs_when_it_is() {
    let ledger = Ledger::default();
    let queue = Queue::inline().without_linked().handle(ledger.noting());
    let queue = queue.build().unwrap();
    queue.enqueue(Note::new("a")).after("1h").await.unwrap();
    assert_eq!(queue.run_due().await.unwrap(), 0);
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(queue.run_due().await.unwrap(), 1);
    assert_eq!(ledger.texts(), ["a"]);
}

#[tokio::test]
async fn a_failure_reaches_whoever_enqueued() {
    let ledger = Ledger::default();
    let failing = ledger.then(|_, _| async { Err(JobError::new("no route")) });
    let queue = Queue::inline().without_linked().handle(failing);
    let queue = queue.build().unwrap();
    let failed = queue.enqueue(Note::new("a")).max_attempts(1).await;
    assert!(
        matches!(&failed, Err(QueueError::FailedInline { error, .. }) if error == "no route"),
        "{failed:?}"
    );
    let letters = queue.dead_letters().fetch(None).await.unwrap();
    assert_eq!(letters.jobs[0].status, JobStatus::Dead);
}

#[tokio::test]
async fn jobs_that_enqueue_jobs_are_run_through() {
    let (ledger, place) = (
        Ledger::default(),
        std::sync::Arc::new(std::sync::OnceLock::new()),
    );
    let queue_of = std::sync::Arc::clone(&place);
    let worker = ledger.then(move |job, _| {
        let queue_of = std::sync::Arc::clone(&queue_of);
        async move {
            let queue: &Queue = queue_of.get().unwrap();
            if job.text.len() < 3 {
                queue.enqueue(Note::new(format!("{}a", job.text))).await?;
            }
            Ok(())
        }
    });
    let queue = Queue::inline()
        .without_linked()
        .handle(worker)
        .build()
        .unwrap();
    place.set(queue.clone()).unwrap();
    queue.enqueue(Note::new("")).await.unwrap();
    assert_eq!(ledger.texts(), ["", "a", "aa", "aaa"]);
}

#[tokio::test]
async fn a_queue_with_workers_runs_nothing_by_itself() {
    let refused = Queue::in_process().run_due().await;
    assert!(matches!(refused, Err(QueueError::InvalidOption { .. })));
}

/// The whole of a worker goes by tokio's clock.
#[tokio::test(start_paused = true)]
async fn a_worker_in_process_goes_by_a_clock_that_can_be_moved() {
    let ledger = Ledger::default();
    let queue = Queue::in_process();
    let worker = Worker::new(&queue).without_linked();
    let running = worker.handle(ledger.noting()).start().await.unwrap();
    let began = tokio::time::Instant::now();
    queue.enqueue(Note::new("a")).after("3h").await.unwrap();
    tokio::time::sleep(Duration::from_hours(3) + Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    while ledger.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    assert!(
        took < Duration::from_hours(3) + Duration::from_secs(1),
        "{took:?}"
    );
    running.drain("1s").await.unwrap();
}
