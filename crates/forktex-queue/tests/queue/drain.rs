// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a worker stops.

use std::sync::Arc;
use std::time::Duration;

use forktex_queue::JobStatus;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::stage::{Ledger, Note, PATIENCE};

on_all_backends! {
    async fn what_runs_may_finish(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().concurrency(2).handle(ledger.then(|_, _| async {
            sleep(Duration::from_millis(200)).await;
            Ok(())
        }));
        let running = worker.start().await.unwrap();
        let notes = ["a", "b", "c", "d"].map(Note::new);
        stage.queue.enqueue_many(notes).await.unwrap();
        ledger.reaches(2).await;
        let drained = running.drain("10s").await.unwrap();
        assert_eq!((drained.finished, drained.handed_back), (2, 0));
        let stats = stage.queue.stats("default").await.unwrap();
        assert_eq!((stats.ready, stats.running), (2, 0));
    }

    async fn what_does_not_finish_is_handed_back_uncounted(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| std::future::pending()));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        let began = Instant::now();
        let drained = running.drain("100ms").await.unwrap();
        assert!(began.elapsed() < PATIENCE / 2);
        assert_eq!((drained.finished, drained.handed_back), (0, 1));
        let back = stage.queue.job(job.id()).await.unwrap().unwrap();
        assert_eq!((back.status, back.attempts), (JobStatus::Ready, 0));
        assert!(back.note.unwrap().contains("stopped"));
        let running = stage.scribe(&ledger).await;
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        let attempts: Vec<u16> = ledger.entries().iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1, 1]);
    }

    /// Whatever the worker was about to do, each job is done or there.
    async fn a_drain_in_the_middle_of_the_work_loses_nothing(stage) {
        const JOBS: usize = 400;
        let ledger = Ledger::default();
        let notes = (0..JOBS).map(|number| Note::new(number.to_string()));
        stage.queue.enqueue_many(notes).await.unwrap();
        for stop_at in [20, 100, 250] {
            let running = stage.worker().handle(ledger.noting()).start().await.unwrap();
            ledger.reaches(stop_at).await;
            running.drain("10s").await.unwrap();
            let stats = stage.queue.stats("default").await.unwrap();
            let done = ledger.len();
            assert_eq!((stats.ready, stats.running), ((JOBS - done) as u64, 0));
        }
        let running = stage.scribe(&ledger).await;
        ledger.reaches(JOBS).await;
        running.drain("10s").await.unwrap();
        assert!(ledger.counts().values().all(|count| *count == 1));
    }

    async fn a_signal_drains(stage) {
        let (ledger, stop) = (Ledger::default(), Arc::new(Semaphore::new(0)));
        let worker = stage.worker().handle(ledger.noting());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(worker.run_until(
            async move { drop(stopped.acquire().await) },
            "5s",
        ));
        stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        stop.add_permits(1);
        let drained = task.await.unwrap().unwrap();
        assert_eq!(drained.handed_back, 0);
        let stats = stage.queue.stats("default").await.unwrap();
        assert_eq!((stats.ready, stats.running), (0, 0));
    }
}
