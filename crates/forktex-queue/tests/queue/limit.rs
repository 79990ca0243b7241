// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Limits: how many run at a time, and how many start in a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forktex_queue::{Cancelled, JobStatus, Limit};
use tokio::sync::Semaphore;

use crate::stage::{Ledger, Note, Stage, eventually};

/// A handler that counts how many run at a time and goes on when the gate lets it.
#[derive(Clone, Default)]
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Crowd {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn held(stage: &Stage) -> u64 {
    stage.queue.stats("default").await.unwrap().held
}

on_all_backends! {
    async fn no_more_run_than_the_limit_whoever_runs_them(stage) {
        let (ledger, crowd) = (Ledger::default(), Crowd::default());
        let mut workers = Vec::new();
        for _ in 0..3 {
            let crowd = crowd.clone();
            let worker = stage.worker().handle(ledger.then(move |_, _| {
                let crowd = crowd.clone();
                async move {
                    crowd.enter();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    crowd.leave();
                    Ok(())
                }
            }));
            workers.push(worker.start().await.unwrap());
        }
        let notes = (0..60).map(|number| Note::new(number.to_string()));
        let limit = Limit::new("account").concurrency(3);
        stage.queue.enqueue_many(notes).limit(limit).await.unwrap();
        ledger.reaches(60).await;
        for worker in workers {
            worker.drain("5s").await.unwrap();
        }
        assert_eq!(crowd.most.load(Ordering::SeqCst), 3);
        assert!(ledger.counts().values().all(|count| *count == 1));
    }

    async fn keys_do_not_wait_for_each_other(stage) {
        let gate = Arc::new(Semaphore::new(0));
        let ledger = Ledger::default();
        let opened = Arc::clone(&gate);
        let worker = stage.worker().handle(ledger.then(move |_, _| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }));
        let running = worker.start().await.unwrap();
        for text in ["a", "a", "a", "b"] {
            let limit = Limit::new(text).concurrency(1);
            stage.queue.enqueue(Note::new(text)).limit(limit).await.unwrap();
        }
        eventually("two of a key are held", async || held(&stage).await == 2).await;
        ledger.reaches(2).await;
        let mut texts = ledger.texts();
        texts.sort();
        assert_eq!(texts, ["a", "b"]);
        gate.add_permits(4);
        ledger.reaches(4).await;
        running.drain("5s").await.unwrap();
    }

    async fn a_held_job_can_be_cancelled_and_leaves_the_next_its_place(stage) {
        let gate = Arc::new(Semaphore::new(0));
        let ledger = Ledger::default();
        let opened = Arc::clone(&gate);
        let worker = stage.worker().handle(ledger.then(move |_, _| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }));
        let running = worker.start().await.unwrap();
        let mut jobs = Vec::new();
        for text in ["a", "b", "c"] {
            let limit = Limit::new("k").concurrency(1);
            jobs.push(stage.queue.enqueue(Note::new(text)).limit(limit).await.unwrap());
            ledger.reaches(1).await;
        }
        eventually("two are held", async || held(&stage).await == 2).await;
        let b = stage.queue.job(jobs[1].id()).await.unwrap().unwrap();
        assert_eq!(b.status, JobStatus::Held);
        assert_eq!(stage.queue.cancel(b.id).await.unwrap(), Cancelled::Now);
        gate.add_permits(2);
        stage.gone(jobs[2].id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.texts(), ["a", "c"]);
    }

    /// The place of a job whose worker was lost is free for another.
    async fn a_lost_worker_leaks_no_place(stage) {
        let ledger = Ledger::default();
        let stuck = stage.worker().lease("300ms");
        let stuck = stuck.handle(ledger.then(|_, _| std::future::pending()));
        let running = stuck.start().await.unwrap();
        for text in ["a", "b"] {
            let limit = Limit::new("k").concurrency(1);
            stage.queue.enqueue(Note::new(text)).limit(limit).await.unwrap();
        }
        ledger.reaches(1).await;
        drop(running);
        let well = stage.worker().lease("300ms").handle(ledger.noting());
        let running = well.start().await.unwrap();
        ledger.reaches(3).await;
        eventually("all is done", async || stage.queue.queues().await.unwrap().is_empty()).await;
        running.drain("5s").await.unwrap();
    }

    /// Whatever window is laid over the starts, no more are in it than the limit.
    async fn no_window_has_more_starts_than_the_rate(stage) {
        const COUNT: usize = 4;
        let per = Duration::from_millis(400);
        let ledger = Ledger::default();
        let running = stage.worker().handle(ledger.noting()).start().await.unwrap();
        let limit = Limit::new("k").rate(4, per);
        let notes = (0..14).map(|number| Note::new(number.to_string()));
        stage.queue.enqueue_many(notes).limit(limit).await.unwrap();
        ledger.reaches(14).await;
        running.drain("5s").await.unwrap();
        let starts: Vec<_> = ledger.entries().iter().map(|entry| entry.at).collect();
        for window in starts.windows(COUNT + 1) {
            // What is noted here comes a little after the claim, and not always equally so.
            let time = window[COUNT] - window[0];
            assert!(time + Duration::from_millis(60) >= per, "{time:?}");
        }
        let all = starts[13] - starts[0];
        assert!(all < per * 8, "{all:?}");
    }

    async fn a_job_over_its_rate_is_scheduled_and_keeps_its_place(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().concurrency(1).handle(ledger.noting());
        let running = worker.start().await.unwrap();
        let limit = || Limit::new("k").rate(1, "500ms");
        for text in ["a", "b", "c"] {
            stage.queue.enqueue(Note::new(text)).limit(limit()).await.unwrap();
        }
        eventually("two wait", async || {
            stage.queue.stats("default").await.unwrap().scheduled == 2
        })
        .await;
        ledger.reaches(3).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.texts(), ["a", "b", "c"]);
    }
}
