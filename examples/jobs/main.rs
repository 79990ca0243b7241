// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A shop that writes a letter for each order: the job is put in with the order, in one transaction.
//!
//! `jobs` plays it on a throwaway Postgres: a letter that is retried, one that cannot be sent and is a dead
//! letter, an order that is taken back and never had a job. To copy: `mail`.

mod mail;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use forktex::db::{Db, DbOptions, sqlx};
use forktex::queue::prelude::*;
use forktex::queue::{DeadReason, JobId};
use forktex_testkit::TestDatabase;
use tokio::time::{Instant, sleep};
use tracing_subscriber::EnvFilter;

use mail::{ConfirmOrder, Mailer};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "jobs: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let database = TestDatabase::create().await?;
    let db = Db::connect(database.owner_url(), DbOptions::new()).await?;
    sqlx::query("CREATE TABLE purchase (number BIGINT PRIMARY KEY, email TEXT NOT NULL)")
        .execute(db.pool())
        .await?;
    let queue = Queue::postgres(&db);
    queue.init().await?;

    let mailer = Arc::new(Mailer::default());
    let worker = Worker::new(&queue).shared_resource(Arc::clone(&mailer));
    let running = worker.concurrency(4).start().await?;

    // Each order is there together with its job, or neither is.
    for number in 1..=3 {
        place(&db, &queue, number, "ada@example.com").await?;
    }
    let nobody = place(&db, &queue, 4, "nobody").await?;
    let mut taken_back = db.begin().await?;
    confirm(&queue, 5, "ada@example.com")
        .in_transaction(&mut taken_back)
        .await?;
    taken_back.rollback().await?;

    until(async || Ok(mailer.sent() == [1, 2, 3])).await?;
    until(async || Ok(queue.stats("mail").await?.dead == 1)).await?;
    let letter = queue.job(nobody).await?.ok_or("the dead letter is gone")?;
    let mut out = io::stdout();
    writeln!(
        out,
        "job {} is dead: {}",
        letter.name,
        letter.note.as_deref().unwrap_or_default()
    )?;
    if letter.dead_reason != Some(DeadReason::Fatal) || letter.attempts != 1 {
        return Err(format!("not as expected: {letter:?}").into());
    }

    // An operator has mended what was wrong, or gives up.
    queue.discard(nobody).await?;
    let drained = running.drain("10s").await?;
    if drained.handed_back != 0 || !queue.queues().await?.is_empty() {
        return Err(format!("something is left: {drained:?}").into());
    }
    queue.close().await;
    db.close().await;
    writeln!(out, "jobs: ok")?;
    Ok(())
}

/// Places an order and puts its letter in, in one transaction.
async fn place(db: &Db, queue: &Queue, number: u64, email: &str) -> Outcome<JobId> {
    let mut tx = db.begin().await?;
    sqlx::query("INSERT INTO purchase (number, email) VALUES ($1, $2)")
        .bind(i64::try_from(number)?)
        .bind(email)
        .execute(tx.connection())
        .await?;
    let enqueued = confirm(queue, number, email)
        .in_transaction(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(enqueued.id())
}

/// The letter for an order: one, however often it is asked for.
fn confirm<'q>(
    queue: &'q Queue,
    order: u64,
    to: &str,
) -> forktex::queue::Enqueue<'q, ConfirmOrder> {
    let job = ConfirmOrder {
        shop: "lamps".to_owned(),
        order,
        to: to.to_owned(),
    };
    queue
        .enqueue(job)
        .unique(Unique::UntilDone)
        .unique_key(order.to_string())
}

/// Waits until something holds, for ten seconds at most.
async fn until(holds: impl AsyncFn() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await? {
        if Instant::now() > deadline {
            return Err("waited in vain".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
