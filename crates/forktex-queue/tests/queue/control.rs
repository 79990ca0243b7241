// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cancelling, pausing, discarding.

use std::time::Duration;

use forktex_queue::{Cancelled, JobError, JobId, JobStatus};

use crate::stage::{Ledger, Note, eventually};

on_all_backends! {
    async fn a_job_that_does_not_run_is_cancelled_at_once(stage) {
        let ready = stage.queue.enqueue(Note::new("a")).await.unwrap();
        let late = stage.queue.enqueue(Note::new("b")).after("1h").await.unwrap();
        for job in [ready, late] {
            assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::Now);
            assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::NotFound);
            assert!(stage.queue.job(job.id()).await.unwrap().is_none());
        }
        let never = stage.queue.cancel(JobId::generate()).await.unwrap();
        assert_eq!(never, Cancelled::NotFound);
        assert!(stage.queue.queues().await.unwrap().is_empty());
    }

    async fn a_running_job_is_told_and_ends_by_itself(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().lease("300ms").handle(ledger.then(|_, ctx| async move {
            ctx.cancelled().await;
            // What it says now is not tried again.
            Err(JobError::new("interrupted"))
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::Asked);
        let asked = stage.queue.job(job.id()).await.unwrap();
        assert!(asked.is_none_or(|job| job.is_cancelling && job.status == JobStatus::Running));
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 1);
    }

    async fn a_body_that_does_not_listen_is_dropped_after_the_grace(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().lease("300ms").grace("50ms");
        let worker = worker.handle(ledger.then(|_, _| std::future::pending()));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::Asked);
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 1);
    }

    async fn a_job_that_was_done_before_it_heard_is_done(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().lease("300ms").handle(ledger.then(|_, ctx| async move {
            ctx.cancelled().await;
            Ok(())
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::Asked);
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
    }

    /// Its worker is gone: nobody is left to end it.
    async fn a_cancelled_job_of_a_lost_worker_is_not_done_again(stage) {
        let ledger = Ledger::default();
        let stuck = stage.worker().lease("300ms");
        let stuck = stuck.handle(ledger.then(|_, _| std::future::pending()));
        let running = stuck.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        drop(running);
        assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::Asked);
        let running = stage.scribe(&ledger).await;
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 1);
    }

    async fn nobody_takes_from_a_paused_queue(stage) {
        let ledger = Ledger::default();
        let running = stage.worker().queues(["one", "other"]).handle(ledger.noting());
        let running = running.start().await.unwrap();
        stage.queue.pause("one").await.unwrap();
        stage.queue.pause("one").await.unwrap();
        stage.queue.enqueue(Note::new("paused")).queue("one").await.unwrap();
        stage.queue.enqueue(Note::new("open")).queue("other").await.unwrap();
        ledger.reaches(1).await;
        let stats = stage.queue.stats("one").await.unwrap();
        assert!(stats.is_paused);
        assert_eq!((stats.ready, stats.running), (1, 0));
        assert_eq!(ledger.texts(), ["open"]);
        stage.queue.resume("one").await.unwrap();
        ledger.reaches(2).await;
        running.drain("5s").await.unwrap();
        assert!(!stage.queue.stats("one").await.unwrap().is_paused);
    }

    async fn a_dead_letter_is_discarded_once(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| async {
            Err(JobError::fatal("gone"))
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        eventually("it is dead", async || {
            stage.queue.stats("default").await.unwrap().dead == 1
        })
        .await;
        running.drain("5s").await.unwrap();
        assert_eq!(stage.queue.cancel(job.id()).await.unwrap(), Cancelled::NotFound);
        assert!(stage.queue.discard(job.id()).await.unwrap());
        assert!(!stage.queue.discard(job.id()).await.unwrap());
        // What is no dead letter is not discarded.
        let ready = stage.queue.enqueue(Note::new("b")).await.unwrap();
        assert!(!stage.queue.discard(ready.id()).await.unwrap());
        assert!(!stage.queue.replay(ready.id()).await.unwrap());
    }

    async fn dead_letters_go_when_their_time_is_over(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().keep_dead_letters("100ms");
        let worker = worker.handle(ledger.then(|_, _| async { Err(JobError::fatal("gone")) }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        stage.gone(job.id()).await;
        running.drain(Duration::from_secs(5)).await.unwrap();
    }
}
