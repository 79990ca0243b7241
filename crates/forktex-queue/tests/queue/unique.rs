// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keeping a second job out.

use std::sync::Arc;
use std::time::Duration;

use forktex_queue::{Cancelled, Enqueued, JobError, JobStatus, QueueError, Unique};
use tokio::sync::Semaphore;

use crate::stage::{Ledger, Note, eventually};

on_all_backends! {
    async fn an_equal_job_is_a_duplicate_until_it_is_done(stage) {
        let ledger = Ledger::default();
        let put = async |text: &str| {
            let job = stage.queue.enqueue(Note::new(text)).unique(Unique::UntilDone);
            job.await.unwrap()
        };
        let first = put("a").await;
        assert_eq!(put("a").await, Enqueued::Duplicate(first.id()));
        assert!(put("b").await.is_inserted());
        let running = stage.scribe(&ledger).await;
        stage.gone(first.id()).await;
        assert!(put("a").await.is_inserted());
        running.drain("5s").await.unwrap();
    }

    async fn a_key_takes_the_place_of_the_payload(stage) {
        let first = stage.queue.enqueue(Note::new("a")).unique_key("k").await.unwrap();
        let second = stage.queue.enqueue(Note::new("b")).unique_key("k").await.unwrap();
        assert_eq!(second, Enqueued::Duplicate(first.id()));
        let other = stage.queue.enqueue(Note::new("a")).unique_key("l").await.unwrap();
        assert!(other.is_inserted());
        // Without being unique, it asks nobody.
        assert!(stage.queue.enqueue(Note::new("a")).await.unwrap().is_inserted());
    }

    async fn of_equal_ones_put_in_together_the_first_is_inserted(stage) {
        let notes = ["a", "b", "a"].map(Note::new);
        let enqueued = stage.queue.enqueue_many(notes).unique(Unique::UntilDone).await.unwrap();
        assert!(enqueued[0].is_inserted() && enqueued[1].is_inserted());
        assert_eq!(enqueued[2], Enqueued::Duplicate(enqueued[0].id()));
        assert_eq!(stage.queue.stats("default").await.unwrap().ready, 2);
    }

    async fn of_many_at_once_one_is_inserted(stage) {
        let puts = (0..50).map(|_| {
            let queue = stage.queue.clone();
            tokio::spawn(async move {
                queue.enqueue(Note::new("a")).unique(Unique::UntilDone).await.unwrap()
            })
        });
        let mut inserted = Vec::new();
        let mut holders = Vec::new();
        for put in puts.collect::<Vec<_>>() {
            match put.await.unwrap() {
                Enqueued::Inserted(id) => inserted.push(id),
                Enqueued::Duplicate(id) => holders.push(id),
            }
        }
        assert_eq!(inserted.len(), 1);
        assert!(holders.iter().all(|holder| *holder == inserted[0]));
    }

    async fn until_started_lets_the_next_in_while_the_first_runs(stage) {
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
        let put = async || {
            let job = stage.queue.enqueue(Note::new("a")).unique(Unique::UntilStarted);
            job.await.unwrap()
        };
        let first = put().await;
        assert!(!put().await.is_inserted());
        let running = worker.start().await.unwrap();
        ledger.reaches(1).await;
        let second = put().await;
        assert!(second.is_inserted());
        gate.add_permits(2);
        stage.gone(first.id()).await;
        stage.gone(second.id()).await;
        running.drain("5s").await.unwrap();
    }

    async fn a_retry_keeps_the_lock(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| async {
            Err(JobError::retry_after("1h", "not today"))
        }));
        let put = async || {
            let job = stage.queue.enqueue(Note::new("a")).unique(Unique::UntilDone);
            job.await.unwrap()
        };
        let first = put().await;
        let running = worker.start().await.unwrap();
        eventually("the retry is scheduled", async || {
            let job = stage.queue.job(first.id()).await.unwrap().unwrap();
            job.status == JobStatus::Scheduled
        })
        .await;
        assert_eq!(put().await, Enqueued::Duplicate(first.id()));
        assert_eq!(stage.queue.cancel(first.id()).await.unwrap(), Cancelled::Now);
        running.drain("5s").await.unwrap();
        assert!(put().await.is_inserted());
    }

    async fn a_time_ends_by_itself_and_not_with_the_job(stage) {
        let ledger = Ledger::default();
        let time = Duration::from_secs(2);
        let put = async || {
            let job = stage.queue.enqueue(Note::new("a")).unique(Unique::For(time));
            job.await.unwrap()
        };
        let first = put().await;
        let running = stage.scribe(&ledger).await;
        stage.gone(first.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(put().await, Enqueued::Duplicate(first.id()));
        eventually("the time is over", async || put().await.is_inserted()).await;
    }

    async fn forever_is_for_ever(stage) {
        let ledger = Ledger::default();
        let put = async || {
            let job = stage.queue.enqueue(Note::new("a")).unique(Unique::Forever);
            job.await.unwrap()
        };
        let first = put().await;
        let running = stage.scribe(&ledger).await;
        stage.gone(first.id()).await;
        running.drain("5s").await.unwrap();
        assert_eq!(put().await, Enqueued::Duplicate(first.id()));
    }

    async fn a_dead_letter_frees_its_lock_and_takes_it_again_when_replayed(stage) {
        let ledger = Ledger::default();
        let worker = stage.worker().handle(ledger.then(|_, _| async {
            Err(JobError::fatal("never"))
        }));
        let put = async || {
            let job = stage.queue.enqueue(Note::new("a")).unique(Unique::UntilDone);
            job.await.unwrap()
        };
        let first = put().await;
        let running = worker.start().await.unwrap();
        eventually("it is dead", async || {
            let job = stage.queue.job(first.id()).await.unwrap().unwrap();
            job.status == JobStatus::Dead
        })
        .await;
        running.drain("5s").await.unwrap();
        let second = put().await;
        assert!(second.is_inserted());
        let refused = stage.queue.replay(first.id()).await;
        assert!(
            matches!(refused, Err(QueueError::Conflict { holder, .. }) if holder == second.id()),
            "{refused:?}"
        );
        let all = stage.queue.replay_all(stage.queue.dead_letters()).await.unwrap();
        assert_eq!((all.replayed, all.conflicts), (0, vec![first.id()]));
        assert_eq!(stage.queue.cancel(second.id()).await.unwrap(), Cancelled::Now);
        assert!(stage.queue.replay(first.id()).await.unwrap());
        assert_eq!(put().await, Enqueued::Duplicate(first.id()));
    }

    async fn a_key_holds_within_its_queue(stage) {
        let put = async |queue: &str| {
            let job = stage.queue.enqueue(Note::new("a")).queue(queue).unique_key("k");
            job.await.unwrap().is_inserted()
        };
        assert!(put("one").await);
        assert!(put("other").await);
        assert!(!put("one").await);
    }
}
