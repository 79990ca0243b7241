// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A herd: 1,000 calls for one cold key, over four processes at once.
//!
//! This program starts itself four times; the workers tell when they are connected, begin when they are
//! told the round, and tell how long their calls took.

use std::process::Stdio;
use std::time::{Duration, Instant};

use forktex_cache::{Cache, CacheOptions, Namespace, cached};
use forktex_testkit::figure::{Figure, median};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PROCESSES: u32 = 4;
const CALLS: u32 = 1_000;
/// How long the loader takes: a slow query.
const LOAD: Duration = Duration::from_millis(100);

/// Names the server to a worker.
const URL: &str = "FORKTEX_BENCH_HERD_URL";

const LOADS: Namespace = Namespace::new("bench.loads");

#[cached(ttl = "1h", namespace = "bench.herd", key = (round), single_flight = "cluster")]
async fn load(cache: &Cache, round: u32) -> u32 {
    let loads = LOADS.key(round).expect("a number is a part");
    cache.incr(&loads).await.expect("Redis is there");
    tokio::time::sleep(LOAD).await;
    round
}

/// Where the server is, in a worker.
pub(crate) fn worker_url() -> Option<String> {
    std::env::var(URL).ok()
}

/// What a worker does.
pub(crate) async fn work(url: &str) {
    let cache = Cache::connect_with(url, CacheOptions::new().connections(1))
        .await
        .unwrap();
    println!("ready");
    let mut rounds = BufReader::new(tokio::io::stdin()).lines();
    while let Some(round) = rounds.next_line().await.unwrap() {
        let round: u32 = round.parse().unwrap();
        let start = Instant::now();
        let calls = (0..CALLS / PROCESSES).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { load(&cache, round).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), round);
        }
        println!("{}", start.elapsed().as_secs_f64());
    }
}

/// How often a herd loaded, and how long its slowest process waited against one load.
pub(crate) async fn figures(url: &str, rounds: usize) -> [Figure; 2] {
    let observer = Cache::connect(url).await.unwrap();
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(Worker::start(url).await);
    }
    let (mut loads, mut times) = (Vec::new(), Vec::new());
    for round in 0..u32::try_from(rounds).unwrap() {
        for worker in &mut workers {
            worker.tell(round).await;
        }
        let mut slowest: f64 = 0.0;
        for worker in &mut workers {
            slowest = slowest.max(worker.answer().await.parse().unwrap());
        }
        let key = LOADS.key(round).unwrap();
        let count: u32 = observer.get_json(&key).await.unwrap().unwrap();
        loads.push(f64::from(count));
        times.push(slowest * 1e3);
    }
    let (load, herd) = (LOAD.as_secs_f64() * 1e3, median(times));
    // The most of all rounds: one herd that loads twice is a fault.
    let most = loads.into_iter().fold(0.0, f64::max);
    [
        Figure {
            bench: "cache.herd_loads",
            value: most,
            unit: "loads",
            baseline: f64::from(CALLS),
            ratio: most,
            bar: 1.0,
            at_most: true,
        },
        Figure {
            bench: "cache.herd_wait",
            value: herd,
            unit: "ms",
            baseline: load,
            ratio: herd / load,
            bar: 2.0,
            at_most: true,
        },
    ]
}

/// This program once more, as a worker.
struct Worker {
    _child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    async fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut worker = Self {
            _child: child,
            stdin,
            answers,
        };
        assert_eq!(worker.answer().await, "ready");
        worker
    }

    async fn tell(&mut self, round: u32) {
        let line = format!("{round}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    async fn answer(&mut self) -> String {
        self.answers
            .next_line()
            .await
            .unwrap()
            .expect("a worker ended")
    }
}
