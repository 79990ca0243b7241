// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What happens to a queue when its Redis is hurt, and what it leaves there.

use std::time::Duration;

use forktex_cache::Cache;
use forktex_cache::fred::interfaces::{ClientLike, LuaInterface};
use forktex_cache::fred::types::{ClusterHash, CustomCommand, Value};
use forktex_queue::prelude::*;
use forktex_queue::{Limit, QueueError, QueueOptions, Unique};
use forktex_testkit::{Redis, RedisOptions};
use tokio::time::{Instant, timeout};

use crate::stage::{Ledger, Note, PATIENCE, eventually};

/// A server of the test's own, with a queue on it.
struct Ground {
    server: Redis,
    cache: Cache,
    queue: Queue,
}

impl Ground {
    async fn new(options: RedisOptions) -> Self {
        let server = Redis::start(options).await.unwrap();
        let cache = Cache::connect(server.url()).await.unwrap();
        let queue = Queue::redis(&cache);
        queue.init().await.unwrap();
        Self {
            server,
            cache,
            queue,
        }
    }

    /// All keys of the server.
    async fn keys(&self) -> Vec<String> {
        let keys = CustomCommand::new_static("KEYS", ClusterHash::FirstKey, false);
        let pool = self.cache.client().unwrap();
        pool.custom(keys, vec![Value::from_static_str("*")])
            .await
            .unwrap()
    }
}

/// A server that has lost the scripts is told them again, in the same call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_the_server_has_lost_are_sent_again() {
    let ground = Ground::new(RedisOptions::new()).await;
    let pool = ground.cache.client().unwrap();
    pool.script_flush(false).await.unwrap();
    let enqueued = ground.queue.enqueue(Note::new("a")).await.unwrap();
    assert!(ground.queue.job(enqueued.id()).await.unwrap().is_some());
}

/// With `appendfsync always`, what was said is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_server_that_is_killed_loses_no_job() {
    let ground = Ground::new(RedisOptions::new().durable()).await;
    let ledger = Ledger::default();
    let running = Worker::new(&ground.queue)
        .without_linked()
        .concurrency(4)
        .lease("1s")
        .handle(ledger.then(|_, _| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(())
        }))
        .start()
        .await
        .unwrap();
    let jobs = (0..1_000).map(|at| Note::new(at.to_string()));
    let enqueued = ground.queue.enqueue_many(jobs).await.unwrap();
    ledger.reaches(100).await;
    ground.server.kill().await.unwrap();
    ground.server.restart().await.unwrap();
    eventually("all jobs are done", async || {
        let stats = ground.queue.stats("default").await;
        stats.is_ok_and(|stats| stats.ready + stats.running + stats.scheduled + stats.dead == 0)
    })
    .await;
    let counts = ledger.counts();
    assert_eq!(counts.len(), enqueued.len());
    // What was in flight at the kill may have been done twice: a slot each, and a hand each.
    let again = counts.values().filter(|count| **count > 1).count();
    assert!(again <= 8, "{again} jobs were done again");
    running.drain("5s").await.unwrap();
}

/// A worker goes on when its server is back, though that has forgotten everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_outlives_its_server() {
    let ground = Ground::new(RedisOptions::new()).await;
    let ledger = Ledger::default();
    let running = Worker::new(&ground.queue)
        .without_linked()
        .handle(ledger.noting())
        .start()
        .await
        .unwrap();
    ground.queue.enqueue(Note::new("before")).await.unwrap();
    ledger.reaches(1).await;
    ground.server.kill().await.unwrap();
    let fault = ground.queue.enqueue(Note::new("lost")).await.unwrap_err();
    assert!(fault.is_transient(), "{fault:?}");
    ground.server.restart().await.unwrap();
    eventually("a job is put in", async || {
        ground.queue.enqueue(Note::new("after")).await.is_ok()
    })
    .await;
    ledger.reaches(2).await;
    assert!(ledger.texts().contains(&"after".to_owned()));
    running.drain("5s").await.unwrap();
}

/// A server that is silent makes calls fail in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_waited_for_within_bounds() {
    let ground = Ground::new(RedisOptions::new()).await;
    ground.server.pause().await.unwrap();
    let answer = timeout(PATIENCE, ground.queue.enqueue(Note::new("a")).into_future()).await;
    let fault = answer.expect("bounded").unwrap_err();
    assert!(
        matches!(
            fault,
            QueueError::Timeout { .. } | QueueError::Unavailable { .. }
        ),
        "{fault:?}"
    );
    ground.server.resume().await.unwrap();
}

/// An idle worker hears of a job, and does not only look for it every second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_hears_of_a_job() {
    let ground = Ground::new(RedisOptions::new()).await;
    let ledger = Ledger::default();
    let running = Worker::new(&ground.queue)
        .without_linked()
        .handle(ledger.noting())
        .start()
        .await
        .unwrap();
    // The first may come before the worker listens.
    ground.queue.enqueue(Note::new("first")).await.unwrap();
    ledger.reaches(1).await;
    let began = Instant::now();
    for count in 2..=11 {
        ground.queue.enqueue(Note::new("next")).await.unwrap();
        ledger.reaches(count).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    running.drain("5s").await.unwrap();
}

/// All keys have the tag of the namespace, and so one slot; a job that is done leaves none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_leave_nothing_behind() {
    let ground = Ground::new(RedisOptions::new()).await;
    let options = QueueOptions::new().namespace("billing");
    let queue = Queue::redis_with(&ground.cache, options).unwrap();
    queue.init().await.unwrap();
    for at in 0..20 {
        let enqueue = queue
            .enqueue(Note::new(at.to_string()))
            .tenant(format!("org-{}", at % 3))
            .unique(Unique::UntilDone)
            .limit(Limit::new("one").concurrency(1))
            .after(if at % 2 == 0 { "0s" } else { "20ms" });
        assert!(enqueue.await.unwrap().is_inserted());
    }
    drop(
        queue
            .enqueue_many((0..20).map(|at| Note::new(format!("plain {at}"))))
            .await
            .unwrap(),
    );
    let keys = ground.keys().await;
    assert!(!keys.is_empty());
    assert!(
        keys.iter().all(|key| key.starts_with("{billing:queue}:")),
        "{keys:?}"
    );

    let ledger = Ledger::default();
    let running = Worker::new(&queue)
        .without_linked()
        .handle(ledger.noting())
        .start()
        .await
        .unwrap();
    ledger.reaches(40).await;
    eventually("maintenance has removed the last key", async || {
        ground.keys().await.is_empty()
    })
    .await;
    running.drain("5s").await.unwrap();
}

/// A cache in process has no Redis, and its queue is in process as well.
#[tokio::test]
async fn a_queue_on_a_cache_in_process_is_in_process() {
    let queue = Queue::redis(&Cache::in_process());
    queue.init().await.unwrap();
    let enqueued = queue.enqueue(Note::new("a")).await.unwrap();
    assert!(queue.job(enqueued.id()).await.unwrap().is_some());
}
