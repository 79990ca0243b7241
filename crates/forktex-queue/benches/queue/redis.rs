// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis: a worker that does nothing with its jobs, against bare scripts that claim and end as many in
//! batches, by the same driver on the same server, in turns; and how soon an idle worker begins a job.
//!
//! The bare side touches the same data and no more: a job's string, its place among the ready ones, its
//! place among the running ones. It keeps no attempts, fences nothing, and looks at no time.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forktex_cache::Cache;
use forktex_cache::fred::clients::Pool;
use forktex_cache::fred::interfaces::LuaInterface;
use forktex_cache::fred::types::Value;
use forktex_queue::{Job, Queue, QueueOptions, Worker};
use forktex_testkit::figure::{Figure, median};
use forktex_testkit::{Redis, RedisOptions};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The jobs of a turn.
const JOBS: u64 = 100_000;

/// The jobs that are put in together.
const PUT: u64 = 5_000;

/// The jobs that our worker runs at a time.
const CONCURRENCY: u32 = 1_000;

/// The jobs of one claim of the bare side, and how many loops it has. Of 100, 200, 500 and 1,000 jobs and
/// 2, 4 and 8 loops, 500 with 2 and with 4 were the quickest, a twentieth apart in a round each.
const BATCH: i64 = 500;
const LOOPS: usize = 4;

/// The jobs whose pickup is measured, after those that warm up.
const PICKUPS: usize = 1_000;
const WARM_UP: usize = 50;

const THROUGHPUT_BAR: f64 = 0.4;
const PICKUP_BAR_MS: f64 = 10.0;

/// How long a turn may take.
const LIMIT: Duration = Duration::from_mins(2);

#[derive(Job, Serialize, Deserialize)]
#[job("bench.nothing", queue = "bench")]
struct Nothing {
    number: u64,
    text: String,
}

impl Nothing {
    fn new(number: u64) -> Self {
        Self {
            number,
            text: "as much as a small job carries".to_owned(),
        }
    }
}

/// Measures, on a server of its own that keeps everything in memory.
pub(crate) async fn figures(rounds: usize) -> Outcome<Vec<Figure>> {
    let server = Redis::start(RedisOptions::new()).await?;
    let cache = Cache::connect(server.url()).await?;
    let bare = Bare::new(&cache).await?;
    let (mut of_ours, mut of_bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who goes first changes from round to round.
        let is_ours_first = round % 2 == 0;
        let (mut our_rate, mut bare_rate) = (0.0, 0.0);
        for turn in 0..2 {
            if (turn == 0) == is_ours_first {
                our_rate = ours(&cache, round).await?;
            } else {
                bare_rate = bare.turn().await?;
            }
        }
        eprintln!(
            "  redis, round {}: ours {our_rate:.0} jobs/s, bare {bare_rate:.0}",
            round + 1
        );
        of_ours.push(our_rate);
        of_bare.push(bare_rate);
        ratios.push(our_rate / bare_rate);
    }
    let mut pickups = Vec::new();
    for round in 0..rounds {
        let p99 = pickup_p99_ms(&cache, round).await?;
        eprintln!("  redis, round {}: pickup p99 {p99:.3} ms", round + 1);
        pickups.push(p99);
    }
    let pickup = median(pickups);
    cache.close().await;
    Ok(vec![
        Figure {
            bench: "queue.redis",
            value: median(of_ours),
            unit: "jobs/s",
            baseline: median(of_bare),
            ratio: median(ratios),
            bar: THROUGHPUT_BAR,
            at_most: false,
        },
        Figure {
            bench: "queue.redis_pickup_p99",
            value: pickup,
            unit: "ms",
            baseline: PICKUP_BAR_MS,
            ratio: pickup / PICKUP_BAR_MS,
            bar: 1.0,
            at_most: true,
        },
    ])
}

/// Jobs a second of our worker, from its start until all are done and removed.
async fn ours(cache: &Cache, round: usize) -> Outcome<f64> {
    let options = QueueOptions::new().namespace(format!("bench_{round}"));
    let queue = Queue::redis_with(cache, options)?;
    queue.init().await?;
    for first in (0..JOBS).step_by(usize::try_from(PUT)?) {
        let jobs = (first..first + PUT).map(Nothing::new);
        drop(queue.enqueue_many(jobs).await?);
    }
    let done = Arc::new((AtomicU64::new(0), Notify::new()));
    let counted = Arc::clone(&done);
    let worker = Worker::new(&queue)
        .without_linked()
        .concurrency(CONCURRENCY)
        .handle(move |_: Nothing, _| {
            let counted = Arc::clone(&counted);
            async move {
                if counted.0.fetch_add(1, Ordering::Relaxed) + 1 == JOBS {
                    counted.1.notify_one();
                }
                Ok(())
            }
        });
    let began = Instant::now();
    let running = worker.start().await?;
    tokio::time::timeout(LIMIT, done.1.notified()).await?;
    running.drain("30s").await?;
    let seconds = began.elapsed().as_secs_f64();
    let left = queue.stats("bench").await?;
    if left.ready + left.running + left.scheduled + left.dead > 0 {
        return Err(format!("jobs are left: {left:?}").into());
    }
    queue.close().await;
    Ok(rate(seconds))
}

/// The 99th percentile of the time from `enqueue` to the begin of the body, of an idle worker.
async fn pickup_p99_ms(cache: &Cache, round: usize) -> Outcome<f64> {
    let options = QueueOptions::new().namespace(format!("pickup_{round}"));
    let queue = Queue::redis_with(cache, options)?;
    queue.init().await?;
    let (begun, mut beginnings) = mpsc::unbounded_channel();
    let worker = Worker::new(&queue)
        .without_linked()
        .handle(move |_: Nothing, _| {
            let at = Instant::now();
            let begun = begun.clone();
            async move {
                begun.send(at)?;
                Ok(())
            }
        });
    let running = worker.start().await?;
    let mut times = Vec::with_capacity(PICKUPS);
    for number in 0..WARM_UP + PICKUPS {
        let asked = Instant::now();
        queue.enqueue(Nothing::new(0)).await?;
        let at = tokio::time::timeout(LIMIT, beginnings.recv()).await?;
        let at = at.ok_or("the worker has ended")?;
        if number >= WARM_UP {
            times.push(at.duration_since(asked).as_secs_f64() * 1_000.0);
        }
    }
    running.drain("5s").await?;
    queue.close().await;
    times.sort_by(f64::total_cmp);
    let p99 = times.get(times.len() * 99 / 100).copied();
    Ok(p99.ok_or("nothing was measured")?)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(seconds: f64) -> f64 {
    JOBS as f64 / seconds
}

/// The bare scripts.
struct Bare {
    pool: Pool,
    put: String,
    claim: String,
    ack: String,
}

/// The jobs, those ready, those running.
const KEYS: [&str; 3] = ["{bare}:jobs", "{bare}:ready", "{bare}:running"];

impl Bare {
    async fn new(cache: &Cache) -> Outcome<Self> {
        let pool = cache.client().ok_or("the cache is in process")?.clone();
        Ok(Self {
            put: pool.script_load(include_str!("bare/put.lua")).await?,
            claim: pool.script_load(include_str!("bare/claim.lua")).await?,
            ack: pool.script_load(include_str!("bare/ack.lua")).await?,
            pool,
        })
    }

    /// Jobs a second, from the first claim until the last end.
    async fn turn(&self) -> Outcome<f64> {
        for first in (0..JOBS).step_by(usize::try_from(PUT)?) {
            let mut arguments = Vec::new();
            for number in first..first + PUT {
                // As long as one of ours is stored.
                let body = serde_json::to_vec(&Nothing::new(number))?;
                let body = [vec![b' '; 80], body].concat();
                arguments.push(Value::from(&number.to_be_bytes().repeat(2)[..]));
                arguments.push(Value::from(body.as_slice()));
            }
            let put = self.pool.evalsha::<i64, _, _, _>(
                self.put.as_str(),
                KEYS.to_vec(),
                Value::Array(arguments),
            );
            put.await?;
        }
        let began = Instant::now();
        let loops = (0..LOOPS).map(|_| self.work());
        let counts = tokio::time::timeout(LIMIT, try_join_all(loops)).await??;
        let seconds = began.elapsed().as_secs_f64();
        if counts.iter().sum::<u64>() != JOBS {
            return Err(format!("{counts:?} jobs were done, not {JOBS}").into());
        }
        Ok(rate(seconds))
    }

    /// Claims and ends until nothing is left; gives how many.
    async fn work(&self) -> Outcome<u64> {
        let mut count = 0;
        loop {
            let until = Value::Integer(i64::MAX / 1_024);
            let claimed: Value = self
                .pool
                .evalsha(
                    self.claim.as_str(),
                    KEYS.to_vec(),
                    Value::Array(vec![Value::Integer(BATCH), until]),
                )
                .await?;
            let ids: Vec<Value> = claimed.into_array().into_iter().step_by(2).collect();
            if ids.is_empty() {
                return Ok(count);
            }
            count += u64::try_from(ids.len())?;
            let ack = self.pool.evalsha::<i64, _, _, _>(
                self.ack.as_str(),
                KEYS.to_vec(),
                Value::Array(ids),
            );
            ack.await?;
        }
    }
}
