// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs a second on Postgres: many jobs that do nothing, from the start of a worker of this process until the
//! last is removed. Enqueueing is noted beside.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forktex_db::sqlx::{self, Connection as _, PgConnection};
use forktex_db::{Db, DbOptions};
use forktex_queue::{Queue, Worker};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::baseline;
use crate::fixture::{self, Bench, Mail, until};
use crate::report::Report;

const BENCH: &str = "queue.postgres";

/// How many jobs may run at the same time.
const SLOTS: u32 = 512;

/// How many jobs are put in together.
const ENQUEUED: u64 = 1_000;

/// What a round of ours came to, in jobs a second.
struct Rates {
    enqueued: f64,
    done: f64,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let jobs = bench.jobs(200_000, 20_000);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let (mut our_puts, mut bare_puts) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, "the bare loop");
        let (done, put) = bare_loop(&server, jobs).await?;
        bare.push(done);
        bare_puts.push(put);
        bench.progress(BENCH, round, &format!("{jobs} jobs"));
        let rates = round_of_ours(&server, jobs).await?;
        ours.push(rates.done);
        our_puts.push(rates.enqueued);
    }
    let (value, baseline) = (median(ours), median(bare));
    let mut report = Report::default();
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "jobs/s",
        baseline,
        ratio: value / baseline,
        bar: 0.5,
        at_most: false,
    });
    report.note(BENCH, "enqueue_many of 1,000", median(our_puts), "jobs/s");
    report.note(
        BENCH,
        "bare inserts of 200, 4 connections",
        median(bare_puts),
        "jobs/s",
    );
    Ok(report)
}

/// Jobs a second that a bare loop does, and puts in.
async fn bare_loop(server: &Postgres, jobs: u64) -> Result<(f64, f64), Box<dyn Error>> {
    let database = server.create_database().await?;
    let url = database.superuser_url();
    baseline::set_up(server, url, jobs).await?;
    let done = baseline::batched(server, url, jobs).await?;
    let mut probe = PgConnection::connect(url).await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM bare.job")
        .fetch_one(&mut probe)
        .await?;
    let due = jobs - baseline::taken(jobs);
    if u64::try_from(left)? != due {
        return Err(format!("the bare loop left {left} jobs where {due} were due").into());
    }
    let put = baseline::enqueued(server, url, jobs).await?;
    Ok((done, put))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn round_of_ours(server: &Postgres, jobs: u64) -> Result<Rates, Box<dyn Error>> {
    let database = server.create_database().await?;
    let db = Db::connect(database.owner_url(), DbOptions::new().max_connections(8)).await?;
    let queue = Queue::postgres(&db);
    queue.init().await?;
    let began_at = Instant::now();
    let mut next = 0;
    while next < jobs {
        let batch = next..jobs.min(next + ENQUEUED);
        next = batch.end;
        queue.enqueue_many(batch.map(Mail::new)).await?;
    }
    let enqueued = jobs as f64 / began_at.elapsed().as_secs_f64();
    let mut probe = PgConnection::connect(database.superuser_url()).await?;
    // As the table of the bare loop is.
    sqlx::raw_sql("VACUUM ANALYZE forktex_queue.job")
        .execute(&mut probe)
        .await?;
    sqlx::raw_sql("VACUUM ANALYZE forktex_queue.ready")
        .execute(&mut probe)
        .await?;

    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let worker = Worker::new(&queue)
        .without_linked()
        .concurrency(SLOTS)
        .handle(move |_job: Mail, _ctx| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
    let began_at = Instant::now();
    let running = worker.start().await?;
    until("all jobs are done", async || {
        Ok(count.load(Ordering::Relaxed) >= jobs)
    })
    .await?;
    until("all jobs are removed", async || {
        let is_empty: bool =
            sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM forktex_queue.job)")
                .fetch_one(&mut probe)
                .await?;
        Ok(is_empty)
    })
    .await?;
    let elapsed = began_at.elapsed();
    running.drain("10s").await?;
    let ran = count.load(Ordering::Relaxed);
    if ran != jobs {
        return Err(format!("{ran} jobs ran where {jobs} were put in").into());
    }
    db.close().await;
    Ok(Rates {
        enqueued,
        done: jobs as f64 / elapsed.as_secs_f64(),
    })
}
