// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The process of our side: does as ordered, and prints the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forktex_cache::Cache;
use forktex_queue::{Job, Queue, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use crate::contender::{Order, Outcome, Report, Task};

/// The jobs that are put in together.
const BULK: u64 = 5_000;

const QUEUE: &str = "bench";

#[derive(Job, Serialize, Deserialize)]
#[job("bench.nothing", queue = "bench")]
struct Nothing {
    number: u64,
    text: String,
}

/// Does as ordered.
pub(crate) async fn obey(order: &str) -> Outcome<()> {
    let order: Order = serde_json::from_str(order)?;
    let cache = Cache::connect(&order.url).await?;
    let queue = Queue::redis(&cache);
    queue.init().await?;
    let report = match order.task {
        Task::Many => many(&queue, &order).await?,
        Task::Pickup => pickup(&queue, &order).await?,
    };
    queue.close().await;
    cache.close().await;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn job(number: u64, order: &Order) -> Nothing {
    Nothing {
        number,
        text: order.text.clone(),
    }
}

fn version() -> String {
    const LOCK: &str = include_str!("../Cargo.lock");
    let mut lines = LOCK.lines();
    lines
        .find(|line| *line == "name = \"forktex-queue\"")
        .and_then(|_| lines.next())
        .and_then(|line| line.strip_prefix("version = \""))
        .map_or_else(
            || "?".to_owned(),
            |rest| rest.trim_end_matches('"').to_owned(),
        )
}

async fn many(queue: &Queue, order: &Order) -> Outcome<Report> {
    let mut first = 0;
    while first < order.jobs {
        let last = order.jobs.min(first + BULK);
        drop(
            queue
                .enqueue_many((first..last).map(|number| job(number, order)))
                .await?,
        );
        first = last;
    }
    let count = order.jobs;
    let done = Arc::new((AtomicU64::new(0), Notify::new()));
    let counted = Arc::clone(&done);
    let worker = Worker::new(queue)
        .without_linked()
        .concurrency(order.at_once)
        .handle(move |_: Nothing, _| {
            let counted = Arc::clone(&counted);
            async move {
                if counted.0.fetch_add(1, Ordering::Relaxed) + 1 == count {
                    counted.1.notify_one();
                }
                Ok(())
            }
        });
    let began = Instant::now();
    let running = worker.start().await?;
    done.1.notified().await;
    running.drain("30s").await?;
    let seconds = began.elapsed().as_secs_f64();
    let left = queue.stats(QUEUE).await?;
    if left.ready + left.running + left.scheduled + left.dead > 0 {
        return Err(format!("jobs are left: {left:?}").into());
    }
    Ok(Report {
        version: version(),
        seconds,
        begun: done.0.load(Ordering::Relaxed),
        times: Vec::new(),
    })
}

async fn pickup(queue: &Queue, order: &Order) -> Outcome<Report> {
    let (begun, mut beginnings) = mpsc::unbounded_channel();
    let worker = Worker::new(queue)
        .without_linked()
        .concurrency(order.at_once)
        .handle(move |_: Nothing, _| {
            let at = Instant::now();
            let begun = begun.clone();
            async move {
                begun.send(at)?;
                Ok(())
            }
        });
    let running = worker.start().await?;
    let mut times = Vec::new();
    for number in 0..order.jobs {
        let asked = Instant::now();
        queue.enqueue(job(number, order)).await?;
        let at = beginnings.recv().await.ok_or("the worker has ended")?;
        times.push(at.duration_since(asked).as_secs_f64() * 1_000.0);
    }
    running.drain("5s").await?;
    Ok(Report {
        version: version(),
        times,
        ..Report::default()
    })
}
