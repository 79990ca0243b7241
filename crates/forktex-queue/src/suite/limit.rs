// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Limits, as the claim looks at them.

use std::time::Duration;

use super::{on_all_backends, plain, settlement};
use crate::backend::{CancelAnswer, NewJob, Outcome};
use crate::identifier::QueueName;
use crate::limit::Limit;
use crate::record::JobStatus;

const LONG: Duration = Duration::from_mins(10);

fn limited(limit: Limit) -> NewJob {
    NewJob {
        limit: Some(limit),
        ..plain()
    }
}

on_all_backends! {
    async fn one_is_let_go_for_each_that_ends(stage) {
        let limit = || Limit::new("k").concurrency(2);
        for _ in 0..5 {
            stage.put(limited(limit())).await;
        }
        let mut running = stage.claim(5, LONG).await;
        assert_eq!(running.len(), 2);
        let stats = stage.backend.stats(&QueueName::unchecked("default")).await.unwrap();
        assert_eq!((stats.running, stats.held + stats.ready), (2, 3));
        for left in [2, 1, 0] {
            let ended = running.remove(0);
            stage.backend.settle(vec![settlement(&ended, Outcome::Done)]).await.unwrap();
            running.push(stage.claim_one(LONG).await);
            assert!(stage.claim(5, LONG).await.is_empty(), "{left} are left");
        }
    }

    /// Whoever was let go may go another way; its place is the next one's.
    async fn a_job_that_was_let_go_and_cancelled_leaves_its_place(stage) {
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.push(stage.put(limited(Limit::new("k").concurrency(1))).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let first = stage.claim_one(LONG).await;
        assert_eq!(first.id, jobs[0]);
        assert!(stage.claim(5, LONG).await.is_empty());
        stage.backend.settle(vec![settlement(&first, Outcome::Done)]).await.unwrap();
        assert_eq!(stage.backend.cancel(jobs[1]).await.unwrap(), CancelAnswer::Removed);
        assert_eq!(stage.claim_one(LONG).await.id, jobs[2]);
    }

    /// Each job goes by its own number; one that lets fewer run is not forgotten for those of more.
    async fn jobs_of_one_key_may_have_different_numbers(stage) {
        let wide = stage.put(limited(Limit::new("k").concurrency(2))).await;
        let first = stage.claim_one(LONG).await;
        assert_eq!(first.id, wide);
        let narrow = stage.put(limited(Limit::new("k").concurrency(1))).await;
        assert!(stage.claim(5, LONG).await.is_empty());
        let second = stage.put(limited(Limit::new("k").concurrency(2))).await;
        let other = stage.claim_one(LONG).await;
        assert_eq!(other.id, second);
        for ended in [first, other] {
            stage.backend.settle(vec![settlement(&ended, Outcome::Done)]).await.unwrap();
        }
        assert_eq!(stage.claim_one(LONG).await.id, narrow);
    }

    /// What starts is counted where it starts; a job that is held or refused uses nothing up.
    async fn a_rate_counts_starts_and_nothing_else(stage) {
        let limit = || Limit::new("k").rate(2, "1h");
        for _ in 0..4 {
            stage.put(limited(limit())).await;
        }
        let started = stage.claim(4, LONG).await;
        assert_eq!(started.len(), 2);
        for _ in 0..3 {
            assert!(stage.claim(4, LONG).await.is_empty());
        }
        let stats = stage.backend.stats(&QueueName::unchecked("default")).await.unwrap();
        assert_eq!((stats.scheduled, stats.running), (2, 2));
        // A job of another key does not wait for them.
        let free = stage.put(limited(Limit::new("l").rate(2, "1h"))).await;
        assert_eq!(stage.claim_one(LONG).await.id, free);
        // An end gives nothing back: it is starts that are counted.
        stage.backend.settle(vec![settlement(&started[0], Outcome::Done)]).await.unwrap();
        assert!(stage.claim(4, LONG).await.is_empty());
    }

    async fn a_job_over_both_limits_waits_for_both(stage) {
        let limit = || Limit::new("k").concurrency(1).rate(1, "200ms");
        let first = stage.put(limited(limit())).await;
        let second = stage.put(limited(limit())).await;
        let job = stage.claim_one(LONG).await;
        assert_eq!(job.id, first);
        assert!(stage.claim(1, LONG).await.is_empty());
        let waiting = stage.backend.find(second).await.unwrap().unwrap();
        assert!(matches!(waiting.status, JobStatus::Held | JobStatus::Scheduled), "{waiting:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(stage.claim(1, LONG).await.is_empty());
        stage.backend.settle(vec![settlement(&job, Outcome::Done)]).await.unwrap();
        assert_eq!(stage.claim_one(LONG).await.id, second);
    }
}
