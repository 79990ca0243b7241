// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Attempts that fail: errors, panics, timeouts, and what becomes of the job.

use std::time::Duration;

use forktex_queue::prelude::*;
use forktex_queue::{DeadReason, JobId, JobRecord, JobStatus};
use serde::{Deserialize, Serialize};

use crate::stage::{Ledger, Note, Stage, eventually};

/// Of the same name as a note, and yet no note.
#[derive(Job, Serialize, Deserialize)]
#[job("test.note")]
struct Number {
    number: u32,
}

#[derive(Job, Serialize, Deserialize)]
#[job("test.unknown")]
struct Unknown {}

async fn dead(stage: &Stage, id: JobId) -> JobRecord {
    eventually("it is a dead letter", async || {
        let job = stage.queue.job(id).await.unwrap().unwrap();
        job.status == JobStatus::Dead
    })
    .await;
    stage.queue.job(id).await.unwrap().unwrap()
}

on_all_backends! {
    async fn a_job_that_fails_is_tried_again_until_it_succeeds(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, ctx| async move {
            if ctx.attempt() < 3 {
                return Err(JobError::new("not yet"));
            }
            assert!(ctx.is_last_attempt());
            Ok(())
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        let attempts: Vec<u16> = ledger.entries().iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1, 2, 3]);
    }

    /// Three attempts, as many as two retries give.
    async fn c60_a_job_without_attempts_left_is_a_dead_letter_with_its_error(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, ctx| async move {
            Err(JobError::new(format!("failure {}", ctx.attempt())))
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        let letter = dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 3);
        assert_eq!(letter.attempts, 3);
        assert_eq!(letter.dead_reason, Some(DeadReason::Exhausted));
        assert_eq!(letter.note.as_deref(), Some("failure 3"));
        assert!(letter.died_at.is_some());
        assert_eq!(letter.decode::<Note>().unwrap(), Note::new("a"));
    }

    async fn a_fatal_error_costs_no_second_attempt(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| async {
            Err(JobError::fatal("gone"))
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        let letter = dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(letter.dead_reason, Some(DeadReason::Fatal));
        assert_eq!(letter.attempts, 1);
    }

    async fn the_error_may_say_when(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, ctx| async move {
            match ctx.attempt() {
                1 => Err(JobError::retry_after("300ms", "busy")),
                _ => Ok(()),
            }
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        let entries = ledger.entries();
        let between = entries[1].at - entries[0].at;
        assert!(between >= Duration::from_millis(295), "{between:?}");
    }

    async fn a_panic_is_a_failed_attempt(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, ctx| async move {
            assert!(ctx.attempt() > 1, "the first attempt breaks");
            Err(JobError::fatal("the second ends"))
        }));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).await.unwrap();
        let letter = dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!((letter.attempts, ledger.len()), (2, 2));
    }

    async fn a_body_over_its_time_is_dropped(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| std::future::pending()));
        let running = worker.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).timeout("50ms").max_attempts(2);
        let job = job.await.unwrap();
        let letter = dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 2);
        assert_eq!(letter.note.as_deref(), Some("timed out after 50ms"));
    }

    async fn a_payload_that_does_not_fit_is_a_dead_letter_at_once_and_stays_secret(stage) {
        let ledger = Ledger::default();
        let running = stage.scribe(&ledger).await;
        let job = stage.queue.enqueue(Number { number: 90_210 }).await.unwrap();
        let letter = dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(letter.dead_reason, Some(DeadReason::Undecodable));
        assert_eq!((letter.attempts, ledger.len()), (1, 0));
        let refused = letter.decode::<Note>().unwrap_err();
        for shown in [letter.note.clone().unwrap(), format!("{letter:?} {refused:?} {refused}")] {
            assert!(!shown.contains("90210"), "{shown}");
        }
    }

    async fn a_job_that_nobody_knows_is_kept_and_says_so(stage) {
        let ledger = Ledger::default();
        let running = stage.scribe(&ledger).await;
        let unknown = stage.queue.enqueue(Unknown {}).await.unwrap();
        eventually("it was handed back", async || {
            let job = stage.queue.job(unknown.id()).await.unwrap().unwrap();
            job.status == JobStatus::Scheduled
        })
        .await;
        let job = stage.queue.job(unknown.id()).await.unwrap().unwrap();
        assert_eq!(job.attempts, 0);
        assert!(job.note.unwrap().contains("no handler"));
        let rest = job.due_at - job.enqueued_at;
        assert!(rest >= Duration::from_secs(59), "{rest}");
        // It is in nobody's way.
        let known = stage.queue.enqueue(Note::new("a")).await.unwrap();
        stage.gone(known.id()).await;
        running.drain("5s").await.unwrap();
    }

    async fn a_dead_letter_is_replayed_with_all_its_attempts(stage) {
        let ledger = Ledger::default();
        let broken = stage.worker().handle(ledger.then(|_, _| async {
            Err(JobError::new("broken"))
        }));
        let running = broken.start().await.unwrap();
        let job = stage.queue.enqueue(Note::new("a")).max_attempts(2).await.unwrap();
        dead(&stage, job.id()).await;
        running.drain("5s").await.unwrap();
        assert!(stage.queue.replay(job.id()).await.unwrap());
        let ready = stage.queue.job(job.id()).await.unwrap().unwrap();
        assert_eq!((ready.status, ready.attempts), (JobStatus::Ready, 0));
        assert_eq!(ready.dead_reason, None);
        let running = stage.scribe(&ledger).await;
        stage.gone(job.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.len(), 3);
        assert!(!stage.queue.replay(job.id()).await.unwrap());
    }
}
