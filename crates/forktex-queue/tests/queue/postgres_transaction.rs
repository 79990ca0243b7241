// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs that are put in with other writes: there when these are, and never without them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forktex_db::{Db, DbError, DbOptions, sqlx};
use forktex_queue::{Enqueued, Job, Queue, QueueError, Unique, Worker};
use forktex_testkit::TestDatabase;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Job, Clone, Serialize, Deserialize)]
#[job("order.confirm", queue = "orders")]
struct Confirm {
    order: u64,
}

async fn stage() -> (TestDatabase, Db, Queue) {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    let queue = Queue::postgres(&db);
    queue.init().await.unwrap();
    sqlx::query("CREATE TABLE public.placed (number bigint PRIMARY KEY)")
        .execute(db.pool())
        .await
        .unwrap();
    (database, db, queue)
}

async fn place(tx: &mut forktex_db::Transaction, order: u64) -> Result<(), DbError> {
    sqlx::query("INSERT INTO public.placed (number) VALUES ($1)")
        .bind(i64::try_from(order).unwrap())
        .execute(tx.connection())
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_job_is_taken_only_after_the_commit_and_sees_what_was_written_with_it() {
    let (_database, db, queue) = stage().await;
    let (sender, mut confirmed) = tokio::sync::mpsc::unbounded_channel();
    let looking = db.clone();
    let worker = Worker::new(&queue)
        .without_linked()
        .handle(move |job: Confirm, _ctx| {
            let (sender, db) = (sender.clone(), looking.clone());
            async move {
                let is_placed: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT FROM public.placed WHERE number = $1)",
                )
                .bind(i64::try_from(job.order)?)
                .fetch_one(db.pool())
                .await?;
                sender.send((job.order, is_placed))?;
                Ok(())
            }
        })
        .start()
        .await
        .unwrap();

    let mut tx = db.begin().await.unwrap();
    place(&mut tx, 1).await.unwrap();
    let enqueued = queue
        .enqueue(Confirm { order: 1 })
        .in_transaction(&mut tx)
        .await
        .unwrap();
    assert!(queue.job(enqueued.id()).await.unwrap().is_none());
    // One that is committed meanwhile is done; this one is not.
    let _ = queue.enqueue(Confirm { order: 2 }).await.unwrap();
    let first = timeout(PATIENCE, confirmed.recv()).await.unwrap();
    assert_eq!(first, Some((2, false)));
    assert!(confirmed.try_recv().is_err());
    tx.commit().await.unwrap();
    let second = timeout(PATIENCE, confirmed.recv()).await.unwrap();
    assert_eq!(second, Some((1, true)));
    worker.drain("5s").await.unwrap();
}

#[tokio::test]
async fn a_job_of_a_transaction_that_rolls_back_never_was() {
    let (_database, db, queue) = stage().await;
    let enqueued = db
        .transaction(async |tx| -> Result<Enqueued, QueueErrorOrRollback> {
            place(tx, 1).await?;
            let enqueued = queue
                .enqueue(Confirm { order: 1 })
                .unique(Unique::Forever)
                .in_transaction(tx)
                .await?;
            Err(QueueErrorOrRollback::Rollback(enqueued))
        })
        .await;
    let Err(QueueErrorOrRollback::Rollback(enqueued)) = enqueued else {
        panic!("it was committed")
    };
    assert!(queue.job(enqueued.id()).await.unwrap().is_none());
    let stats = queue.stats("orders").await.unwrap();
    assert_eq!((stats.ready, stats.running), (0, 0));
    // Its unique lock has gone with it.
    let again = queue
        .enqueue(Confirm { order: 1 })
        .unique(Unique::Forever)
        .await
        .unwrap();
    assert!(again.is_inserted());
}

#[tokio::test]
async fn a_unique_job_waits_for_the_transaction_of_another_that_holds_the_key() {
    let (_database, db, queue) = stage().await;
    for is_committed in [false, true] {
        let order = u64::from(is_committed);
        let mut tx = db.begin().await.unwrap();
        let first = queue
            .enqueue(Confirm { order })
            .unique(Unique::UntilDone)
            .in_transaction(&mut tx)
            .await
            .unwrap();
        assert!(first.is_inserted());
        let other = queue.clone();
        let second = tokio::spawn(async move {
            other
                .enqueue(Confirm { order })
                .unique(Unique::UntilDone)
                .await
        });
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock')";
        let waiting = async {
            while !sqlx::query_scalar::<_, bool>(waits)
                .fetch_one(db.pool())
                .await
                .unwrap()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("it does not wait");
        if is_committed {
            tx.commit().await.unwrap();
            let second = second.await.unwrap().unwrap();
            assert_eq!(second, Enqueued::Duplicate(first.id()));
        } else {
            tx.rollback().await.unwrap();
            assert!(second.await.unwrap().unwrap().is_inserted());
        }
    }
}

#[tokio::test]
async fn a_queue_elsewhere_has_no_transactions() {
    let (_database, db, _queue) = stage().await;
    let elsewhere = Queue::in_process();
    let mut tx = db.begin().await.unwrap();
    let refused = elsewhere
        .enqueue(Confirm { order: 1 })
        .in_transaction(&mut tx)
        .await;
    assert!(
        matches!(refused, Err(QueueError::NotTransactional { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_queue_that_was_never_set_up_says_so() {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    let queue = Queue::postgres(&db);
    let refused = queue.enqueue(Confirm { order: 1 }).await;
    assert!(
        matches!(
            refused,
            Err(QueueError::NotInitialised {
                action: "enqueue",
                ..
            })
        ),
        "{refused:?}"
    );
}

/// Many processes may set one place up at once.
#[tokio::test]
async fn setting_up_from_many_at_once_does_it_once() {
    let database = TestDatabase::create().await.unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = database.owner_url().to_owned();
        let count = Arc::clone(&count);
        tasks.spawn(async move {
            let db = Db::connect(&url, DbOptions::new()).await.unwrap();
            let queue = Queue::postgres(&db);
            queue.init().await.unwrap();
            let _ = queue.enqueue(Confirm { order: 1 }).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            db.close().await;
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), 8);
}

#[derive(Debug)]
enum QueueErrorOrRollback {
    Rollback(Enqueued),
    Queue(#[expect(dead_code, reason = "shown where a test fails")] QueueError),
    Db(#[expect(dead_code, reason = "shown where a test fails")] DbError),
}

impl From<QueueError> for QueueErrorOrRollback {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<DbError> for QueueErrorOrRollback {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}
