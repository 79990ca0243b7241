// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The whole life of jobs on a cluster of three nodes.

use forktex_cache::Cache;
use forktex_queue::prelude::*;
use forktex_queue::{DeadReason, Limit, QueueOptions, Unique};
use forktex_testkit::RedisCluster;

use crate::stage::{Ledger, Note, eventually};

/// Each namespace is whole on one node, whichever that is; the namespaces are spread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_on_a_cluster_does_what_one_on_a_server_does() {
    let cluster = RedisCluster::start().await.unwrap();
    let cache = Cache::connect(&cluster.url()).await.unwrap();
    for namespace in ["one", "two", "three", "four"] {
        let options = QueueOptions::new().namespace(namespace);
        let queue = Queue::redis_with(&cache, options).unwrap();
        queue.init().await.unwrap();
        live(&queue).await;
        queue.close().await;
    }
}

async fn live(queue: &Queue) {
    let ledger = Ledger::default();
    drop(
        queue
            .enqueue_many((0..50).map(|at| Note::new(format!("plain {at}"))))
            .await
            .unwrap(),
    );
    for at in 0..20 {
        let enqueue = queue
            .enqueue(Note::new(format!("limited {at}")))
            .tenant(format!("org-{}", at % 4))
            .limit(Limit::new("two").concurrency(2).rate(500, "1s"))
            .after("10ms");
        enqueue.await.unwrap();
    }
    let first = queue
        .enqueue(Note::new("once"))
        .unique(Unique::UntilDone)
        .await
        .unwrap();
    let second = queue
        .enqueue(Note::new("once"))
        .unique(Unique::UntilDone)
        .await
        .unwrap();
    assert_eq!(second, Enqueued::Duplicate(first.id()));
    let fatal = queue.enqueue(Note::new("fatal")).await.unwrap();
    assert_eq!(
        queue
            .list()
            .limit(500)
            .fetch(None)
            .await
            .unwrap()
            .jobs
            .len(),
        72
    );
    assert!(queue.stats("default").await.unwrap().ready >= 52);

    let running = Worker::new(queue)
        .without_linked()
        .handle(ledger.then(|note, _| async move {
            if note.text == "fatal" {
                return Err(JobError::fatal("it cannot be"));
            }
            Ok(())
        }))
        .start()
        .await
        .unwrap();
    ledger.reaches(72).await;
    eventually("one is dead and the others gone", async || {
        let stats = queue.stats("default").await.unwrap();
        stats.dead == 1 && stats.ready + stats.running + stats.scheduled + stats.held == 0
    })
    .await;
    let dead = queue.job(fatal.id()).await.unwrap().unwrap();
    assert_eq!(dead.dead_reason, Some(DeadReason::Fatal));
    queue.replay(fatal.id()).await.unwrap();
    ledger.reaches(73).await;
    running.drain("5s").await.unwrap();
}
