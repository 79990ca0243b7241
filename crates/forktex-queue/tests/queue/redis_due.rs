// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Very many jobs at once on Redis: no script may be given more than its stack holds.

use forktex_queue::JobStatus;

use crate::stage::{Kind, Ledger, Note, Stage, eventually};

const JOBS: usize = 20_000;

/// So many due jobs stop a script that hands them all to one command: 8,001 are too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_due_jobs_are_promoted() {
    let stage = Stage::new(Kind::Redis).await;
    for half in 0..2 {
        let first = half * JOBS / 2;
        let jobs = (first..first + JOBS / 2).map(|at| Note::new(at.to_string()));
        drop(stage.queue.enqueue_many(jobs).after("1ms").await.unwrap());
    }
    let stats = stage.queue.stats("default").await.unwrap();
    assert_eq!(usize::try_from(stats.scheduled).unwrap(), JOBS);
    let ledger = Ledger::default();
    let running = stage
        .worker()
        .concurrency(200)
        .handle(ledger.noting())
        .start()
        .await
        .unwrap();
    ledger.reaches(JOBS).await;
    eventually("all are gone", async || {
        let stats = stage.queue.stats("default").await.unwrap();
        stats.ready + stats.scheduled + stats.running + stats.dead == 0
    })
    .await;
    assert_eq!(ledger.counts().len(), JOBS);
    running.drain("5s").await.unwrap();
}

/// The largest batch goes in and out, and so do its leases when their worker is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_batch_is_claimed_and_taken_back() {
    let stage = Stage::new(Kind::Redis).await;
    let jobs = (0..10_000).map(|at| Note::new(at.to_string()));
    drop(stage.queue.enqueue_many(jobs).await.unwrap());
    let lost = Ledger::default();
    let running = stage
        .worker()
        .concurrency(5_000)
        .lease("200ms")
        .handle(lost.then(|_, _| std::future::pending()))
        .start()
        .await
        .unwrap();
    lost.reaches(5_000).await;
    // It says nothing any more: its leases end.
    drop(running);
    let ledger = Ledger::default();
    let running = stage
        .worker()
        .concurrency(2_000)
        .handle(ledger.noting())
        .start()
        .await
        .unwrap();
    ledger.reaches(10_000).await;
    assert_eq!(ledger.counts().len(), 10_000);
    running.drain("5s").await.unwrap();
}

/// A page begins after the last job of the one before, whatever is looked for, and however the jobs lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_many_jobs_are_whole_and_in_order() {
    let stage = Stage::new(Kind::Redis).await;
    let texts = (0..5_000).map(|at| Note::new(at.to_string()));
    let enqueued = stage.queue.enqueue_many(texts).await.unwrap();
    let later = (0..30).map(|at| Note::new(format!("later {at}")));
    let later = stage.queue.enqueue_many(later).after("1h").await.unwrap();
    for (list, expected) in [
        (stage.queue.list().status(JobStatus::Ready), &enqueued),
        (stage.queue.list().status(JobStatus::Scheduled), &later),
    ] {
        let list = list.limit(499);
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = list.fetch(cursor).await.unwrap();
            found.extend(page.jobs.iter().map(|job| job.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<_> = expected.iter().map(|enqueued| enqueued.id()).collect();
        assert_eq!(found, expected);
    }
}
