// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A process of a worker. What it does it says on its standard output, a line at a time and before anything
//! else: what was said is known, however the process ends.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use forktex_queue::{Job, JobContext, JobResult, Worker};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::place::Kind;

/// How many jobs a worker runs at a time.
pub(crate) const SLOTS: u32 = 8;

/// How many jobs a worker may have on its hands: as many again may be done and not written yet.
pub(crate) const HANDS: u64 = 2 * SLOTS as u64;

/// How long a silent worker keeps its jobs.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How often a job that kills its worker may do so.
pub(crate) const POISON_ATTEMPTS: u16 = 3;

/// The queue of all jobs.
pub(crate) const QUEUE: &str = "murder";

/// What asks a worker to drain.
pub(crate) const STOP: &str = "stop";

/// Takes a moment.
#[derive(Job, Clone, Serialize, Deserialize)]
#[job("murder.work", queue = "murder", max_attempts = 100, timeout = "30s")]
pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) takes_ms: u64,
}

/// Kills its process.
#[derive(Job, Clone, Serialize, Deserialize)]
#[job("murder.poison", queue = "murder", max_attempts = 3, timeout = "30s")]
pub(crate) struct Poison {
    pub(crate) number: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) kind: Kind,
    pub(crate) url: String,
}

pub(crate) fn run(orders: &str) -> Outcome<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(live(&orders))
}

async fn live(orders: &Orders) -> Outcome<()> {
    // A worker does not outlive its murderer.
    let (sender, mut wishes) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
        std::process::exit(0);
    });
    let queue = orders.kind.queue(&orders.url).await?;
    let running = Worker::new(&queue)
        .concurrency(SLOTS)
        .lease(LEASE)
        .handle(work)
        .handle(poison)
        .start()
        .await?;
    while wishes.recv().await.is_some_and(|wish| wish != STOP) {}
    running.drain("10s").await?;
    say("drained", 0, 0);
    Ok(())
}

async fn work(job: Work, ctx: JobContext) -> JobResult {
    say("begin", job.number, ctx.attempt());
    tokio::time::sleep(Duration::from_millis(job.takes_ms)).await;
    say("end", job.number, ctx.attempt());
    Ok(())
}

async fn poison(job: Poison, ctx: JobContext) -> JobResult {
    say("poison", job.number, ctx.attempt());
    std::process::abort()
}

/// One write, so that a line is there whole or not at all.
fn say(word: &str, number: u64, attempt: u16) {
    let line = format!("{word} {number} {attempt}\n");
    let mut out = std::io::stdout().lock();
    // A murderer that is gone hears nothing.
    let _ = out.write_all(line.as_bytes());
    let _ = out.flush();
}
