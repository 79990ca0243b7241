// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From the call of `enqueue()` to the begin of the handler, in an idle worker of another process. Jobs come
//! one at a time and at random moments, with all processes asleep in between.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forktex_db::{Db, DbOptions};
use forktex_queue::{Queue, Worker};
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::child::{self, Child};
use crate::fixture::{self, Bench, Mail};
use crate::report::{Report, percentile};

const BENCH: &str = "queue.postgres_pickup";

/// How long one pickup may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest pause between two jobs.
const PAUSE_MS_MAX: u64 = 40;

/// What is asked: the 99th percentile.
const BAR_MS: f64 = 10.0;

/// The time by the clock that all processes of a machine share.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A worker that tells when jobs begin.
pub(crate) async fn run_child(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let url = arguments.first().ok_or("a worker needs a URL")?;
    child::attend_parent();
    let db = Db::connect(url, DbOptions::new()).await?;
    let queue = Queue::postgres(&db);
    let worker = Worker::new(&queue)
        .without_linked()
        .handle(|job: Mail, _ctx| {
            child::tell(&format!("{} {}", job.number, now().as_nanos()));
            async { Ok(()) }
        });
    let running = worker.start().await?;
    child::tell("ready");
    Ok(running.ended().await?)
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let jobs = bench.jobs(500, 50);
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, &format!("{jobs} jobs, one at a time"));
        let latencies_ms = latencies_ms(&server, jobs).await?;
        p50.push(percentile(latencies_ms.clone(), 0.5));
        p99.push(percentile(latencies_ms, 0.99));
    }
    let value = median(p99);
    let mut report = Report::default();
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "ms",
        baseline: BAR_MS,
        ratio: value / BAR_MS,
        bar: 1.0,
        at_most: true,
    });
    report.note(BENCH, "p50", median(p50), "ms");
    Ok(report)
}

async fn latencies_ms(server: &Postgres, jobs: u64) -> Result<Vec<f64>, Box<dyn Error>> {
    let database = server.create_database().await?;
    let db = Db::connect(database.owner_url(), DbOptions::new()).await?;
    let queue = Queue::postgres(&db);
    queue.init().await?;
    let mut worker = Child::spawn(&[database.owner_url()])?;
    if worker.hear(LIMIT).await? != "ready" {
        return Err("the worker did not say that it is ready".into());
    }
    let mut latencies_ms = Vec::new();
    for number in 0..jobs {
        let pause = Duration::from_micros(fastrand::u64(..PAUSE_MS_MAX * 1_000));
        tokio::time::sleep(pause).await;
        let called_at = now();
        let _ = queue.enqueue(Mail::new(number)).await?;
        let line = worker.hear(LIMIT).await?;
        let (told, began_at) = line.split_once(' ').ok_or("a short line")?;
        if told.parse::<u64>()? != number {
            return Err(format!("job {told} began where {number} was due").into());
        }
        let began_at = Duration::from_nanos(began_at.parse()?);
        let latency = began_at
            .checked_sub(called_at)
            .ok_or("the clock was set back")?;
        latencies_ms.push(latency.as_secs_f64() * 1_000.0);
    }
    db.close().await;
    Ok(latencies_ms)
}
