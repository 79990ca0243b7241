// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Putting jobs in.

use std::time::Duration;

use forktex_queue::{Enqueued, JobStatus, Limit, QueueError, Unique};
use time::OffsetDateTime;

use crate::stage::{Ledger, Note};

on_all_backends! {
    async fn a_job_is_done_once_and_gone(stage) {
        let ledger = Ledger::default();
        let enqueued = stage.queue.enqueue(Note::new("a")).await.unwrap();
        assert!(matches!(enqueued, Enqueued::Inserted(_)));
        let job = stage.queue.job(enqueued.id()).await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Ready);
        assert_eq!(job.decode::<Note>().unwrap(), Note::new("a"));
        assert_eq!((job.attempts, job.attempts_max), (0, 3));
        let running = stage.scribe(&ledger).await;
        stage.gone(enqueued.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(ledger.texts(), ["a"]);
    }

    async fn a_worker_that_waits_is_woken(stage) {
        let ledger = Ledger::default();
        let running = stage.scribe(&ledger).await;
        for round in 0..5 {
            stage.queue.enqueue(Note::new("a")).await.unwrap();
            ledger.reaches(round + 1).await;
        }
        running.drain("5s").await.unwrap();
    }

    async fn a_job_comes_when_it_is_due_and_not_before(stage) {
        let ledger = Ledger::default();
        let running = stage.scribe(&ledger).await;
        let began = tokio::time::Instant::now();
        let delay = Duration::from_millis(400);
        let late = stage.queue.enqueue(Note::new("late")).after(delay).await.unwrap();
        let job = stage.queue.job(late.id()).await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Scheduled);
        assert!(job.due_at > job.enqueued_at);
        ledger.reaches(1).await;
        let after = ledger.entries()[0].at - began;
        assert!(after + Duration::from_millis(5) >= delay, "{after:?}");
        assert!(after < delay + Duration::from_secs(2), "{after:?}");
        running.drain("5s").await.unwrap();
    }

    async fn a_time_that_has_passed_is_now(stage) {
        let past = OffsetDateTime::now_utc() - Duration::from_hours(1);
        let enqueued = stage.queue.enqueue(Note::new("a")).at(past).await.unwrap();
        let job = stage.queue.job(enqueued.id()).await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Ready);
    }

    async fn many_go_in_together(stage) {
        let ledger = Ledger::default();
        let notes = (0..1_500).map(|number| Note::new(number.to_string()));
        let enqueued = stage.queue.enqueue_many(notes).await.unwrap();
        assert_eq!(enqueued.len(), 1_500);
        assert_eq!(stage.queue.stats("default").await.unwrap().ready, 1_500);
        let running = stage.worker().concurrency(64).handle(ledger.noting()).start().await.unwrap();
        ledger.reaches(1_500).await;
        running.drain("10s").await.unwrap();
        assert_eq!(ledger.len(), 1_500);
        assert!(ledger.counts().values().all(|count| *count == 1));
        assert!(stage.queue.queues().await.unwrap().is_empty());
    }

    async fn no_jobs_are_no_error(stage) {
        let none = stage.queue.enqueue_many(Vec::<Note>::new()).await.unwrap();
        assert!(none.is_empty());
    }

    async fn what_cannot_be_kept_is_refused_before_it_is_sent(stage) {
        let queue = &stage.queue;
        let large = queue.enqueue(Note::new("x".repeat(300 * 1024))).await;
        assert!(
            matches!(large, Err(QueueError::PayloadTooLarge { bytes_max: 262_144, .. })),
            "{large:?}"
        );
        let note = || Note::new("a");
        for refused in [
            queue.enqueue(note()).after("soon").await,
            queue.enqueue(note()).timeout("0s").await,
            queue.enqueue(note()).timeout("31d").await,
            queue.enqueue(note()).max_attempts(0).await,
            queue.enqueue(note()).max_attempts(1_001).await,
            queue.enqueue(note()).queue("no queue").await,
            queue.enqueue(note()).tenant("").await,
            queue.enqueue(note()).unique_key("").await,
            queue.enqueue(note()).unique_key("x".repeat(191)).await,
            queue.enqueue(note()).unique(Unique::For(Duration::ZERO)).await,
            queue.enqueue(note()).limit(Limit::new("k").concurrency(0)).await,
            queue.enqueue(note()).limit(Limit::new("k").rate(1, "soon")).await,
            queue.enqueue(note()).trace_parent("mine").await,
        ] {
            let refused = refused.unwrap_err();
            assert!(!refused.is_transient(), "{refused}");
        }
        assert!(queue.queues().await.unwrap().is_empty());
    }

    async fn the_longest_names_and_keys_are_kept(stage) {
        let queue = &stage.queue;
        let name = "q".repeat(100);
        let limit = Limit::new("k".repeat(200)).concurrency(1);
        let enqueued = queue
            .enqueue(Note::new("\u{1F600} \\u0000 \" \n"))
            .queue(&name)
            .tenant("\u{e9}".repeat(100))
            .unique_key("\u{e9}".repeat(95))
            .limit(limit)
            .priority(i16::MIN)
            .await
            .unwrap();
        let job = queue.job(enqueued.id()).await.unwrap().unwrap();
        assert_eq!(job.queue.as_str(), name);
        assert_eq!(job.tenant, "\u{e9}".repeat(100));
        assert_eq!(job.priority, i16::MIN);
        assert_eq!(job.limit_key.as_deref(), Some(&*"k".repeat(200)));
        assert_eq!(job.decode::<Note>().unwrap().text, "\u{1F600} \\u0000 \" \n");
    }
}
