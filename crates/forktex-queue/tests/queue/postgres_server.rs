// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What stands between a queue and its tables: a pooler in transaction mode, and a server that dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forktex_db::{Db, DbOptions, sqlx};
use forktex_queue::{Job, Limit, Queue, Unique, Worker};
use forktex_testkit::{PgBouncer, Postgres, PostgresOptions, TestDatabase};
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Job, Clone, Serialize, Deserialize)]
#[job("server.count", queue = "count", max_attempts = 10, timeout = "20s")]
struct Count {
    number: u64,
}

/// How often each number was done.
type Done = Arc<Mutex<BTreeMap<u64, u32>>>;

fn worker(queue: &Queue, done: &Done) -> Worker {
    let done = Arc::clone(done);
    Worker::new(queue)
        .without_linked()
        .concurrency(8)
        .lease("2s")
        .handle(move |job: Count, _ctx| {
            let done = Arc::clone(&done);
            async move {
                *done.lock().unwrap().entry(job.number).or_default() += 1;
                Ok(())
            }
        })
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(
            Instant::now() < deadline,
            "{what}: not so after {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_done(done: &Done, count: usize) {
    until("all jobs are done", async || {
        done.lock().unwrap().len() >= count
    })
    .await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_no_hindrance() {
    let database = TestDatabase::create().await.unwrap();
    let owner = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    Queue::postgres(&owner).init().await.unwrap();
    // Two server connections for all: what is left in a session is found by another.
    let pooler = PgBouncer::start(&database, 2).await.unwrap();
    let url = pooler.url_through(database.owner_url()).unwrap();
    let db = Db::connect(&url, DbOptions::new().pooled_by_proxy())
        .await
        .unwrap();
    let queue = Queue::postgres(&db);
    let done = Done::default();
    let workers = [
        worker(&queue, &done).start().await.unwrap(),
        worker(&queue, &done).start().await.unwrap(),
    ];
    let jobs = (0..100).map(|number| Count { number });
    queue.enqueue_many(jobs).await.unwrap();
    for number in 100..150 {
        let _ = queue
            .enqueue(Count { number })
            .limit(Limit::new("k").concurrency(2))
            .unique(Unique::UntilDone)
            .await
            .unwrap();
    }
    let mut tx = db.begin().await.unwrap();
    let _ = queue
        .enqueue(Count { number: 150 })
        .in_transaction(&mut tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let _ = queue
        .enqueue(Count { number: 151 })
        .after("100ms")
        .await
        .unwrap();
    until_done(&done, 152).await;
    let in_transaction = "SELECT count(*) FROM pg_stat_activity
                          WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    for worker in workers {
        worker.drain("10s").await.unwrap();
    }
    until("no connection stays in a transaction", async || {
        let left: i64 = sqlx::query_scalar(in_transaction)
            .fetch_one(owner.pool())
            .await
            .unwrap();
        left == 0
    })
    .await;
    assert!(done.lock().unwrap().values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_loses_no_job() {
    let server = Postgres::start(PostgresOptions::new().durable())
        .await
        .unwrap();
    let database = server.create_database().await.unwrap();
    let options = DbOptions::new().acquire_timeout(Duration::from_secs(2));
    let db = Db::connect(database.owner_url(), options).await.unwrap();
    let queue = Queue::postgres(&db);
    queue.init().await.unwrap();
    let done = Done::default();
    let running = worker(&queue, &done).start().await.unwrap();

    let mut accepted = Vec::new();
    let mut number = 0;
    for _ in 0..3 {
        for _ in 0..200 {
            number += 1;
            if queue.enqueue(Count { number }).await.is_ok() {
                accepted.push(number);
            }
        }
        server.kill().await.unwrap();
        let refused = queue.enqueue(Count { number: u64::MAX }).await;
        assert!(refused.is_err_and(|error| error.is_transient()));
        server.restart().await.unwrap();
    }
    until("what was accepted is done", async || {
        let done = done.lock().unwrap();
        accepted.iter().all(|number| done.contains_key(number))
    })
    .await;
    until("nothing is left", async || {
        queue
            .stats("count")
            .await
            .is_ok_and(|stats| stats.ready + stats.running + stats.scheduled == 0)
    })
    .await;
    let again: u32 = done.lock().unwrap().values().map(|times| times - 1).sum();
    // What was under way, or done and not yet written, at each of three deaths: two hands a slot.
    assert!(again <= 3 * 16, "{again} jobs were done again");
    running.drain("10s").await.unwrap();
}
