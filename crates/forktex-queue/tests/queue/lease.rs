// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workers that are lost. (Processes that are killed and stopped are the murder tests' business.)

use std::time::Duration;

use forktex_queue::{DeadReason, JobStatus};
use tokio::time::sleep;

use crate::stage::{Ledger, Note, eventually};

on_all_backends! {
    async fn c60_a_job_of_a_lost_worker_is_done_again_once(stage) {
        let ledger = Ledger::default();
        let stuck = stage.worker().lease("300ms");
        let stuck = stuck.handle(ledger.then(|_, _| std::future::pending()));
        let running = stuck.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        drop(running);
        let running = stage.scribe(&ledger).await;
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        let attempts: Vec<u16> = ledger.entries().iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1, 2]);
    }

    /// A job that kills its workers does not do so for ever.
    async fn c60_a_job_whose_workers_are_always_lost_is_a_dead_letter(stage) {
        let ledger = Ledger::default();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        for attempt in 1..=3 {
            let stuck = stage.worker().lease("200ms");
            let stuck = stuck.handle(ledger.then(|_, _| std::future::pending()));
            let running = stuck.start().await.unwrap();
            ledger.reaches(attempt).await;
            drop(running);
        }
        let running = stage.scribe(&ledger).await;
        eventually("it is dead", async || {
            let job = stage.queue.job(job.id()).await.unwrap().unwrap();
            job.status == JobStatus::Dead
        })
        .await;
        running.drain("5s").await.unwrap();
        let letter = stage.queue.job(job.id()).await.unwrap().unwrap();
        assert_eq!(letter.dead_reason, Some(DeadReason::LeaseLost));
        assert_eq!((letter.attempts, ledger.len()), (3, 3));
    }

    async fn a_job_that_takes_longer_than_its_lease_keeps_it(stage) {
        let ledger = Ledger::default();
        let mut workers = Vec::new();
        for _ in 0..2 {
            let worker = stage.worker().lease("300ms").handle(ledger.then(|_, _| async {
                sleep(Duration::from_millis(1_500)).await;
                Ok(())
            }));
            workers.push(worker.start().await.unwrap());
        }
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        ledger.reaches(1).await;
        let held = stage.queue.job(job.id()).await.unwrap().unwrap();
        assert_eq!((held.status, held.attempts), (JobStatus::Running, 1));
        assert!(held.started_at.is_some() && held.lease_until > held.started_at);
        stage.gone(job.id()).await;
        for worker in workers {
            worker.drain("5s").await.unwrap();
        }
        assert_eq!(ledger.len(), 1);
    }
}
