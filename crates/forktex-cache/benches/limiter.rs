// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a limiter costs over its bare script, what the scripts cost the server, and what a key takes.
//!
//! Each pair runs in one process, on the same connections, in turns; a figure is the median of its
//! rounds. The bare side sends the same script with the same arguments by fred, as a careful author would
//! by hand. The sorted set is the sliding window as it is usually written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "limiter/server.rs"]
mod server;

use std::time::{Duration, Instant};

use forktex_cache::fred::clients::Pool;
use forktex_cache::fred::interfaces::LuaInterface;
use forktex_cache::{Cache, CacheOptions, RateLimiter};
use forktex_testkit::figure::{self, Figure, Output, median};
use forktex_testkit::{Redis, RedisOptions};
use futures_util::future::join_all;

/// Many and short, as what this machine does beside it comes and goes.
const ROUNDS: usize = 15;
const SCRIPT_ROUNDS: usize = 5;
/// Of one round.
const CALLS: u32 = 16_000;
const CALLERS: u32 = 64;
const KEYS: u32 = 1_000;
/// Long enough that nothing expires in a run.
const WINDOW: Duration = Duration::from_mins(10);
const SORTED_SET: &str = include_str!("limiter/sorted_set.lua");
/// Of the bare script's rate.
const RATE_BAR: f64 = 0.9;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let output = Output::from_arguments();
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let options = CacheOptions::new().command_timeout(Duration::from_secs(10));
    let cache = Cache::connect_with(redis.url(), options).await.unwrap();
    eprintln!("bench limiter: rates, times of scripts, and sizes of keys; about a minute");
    let mut figures = vec![
        against_bare(&cache, "limiter.sliding_window", |round| {
            RateLimiter::sliding_window(format!("sliding-{round}"))
                .limit(100)
                .window(WINDOW)
        })
        .await,
        against_bare(&cache, "limiter.refused", |round| {
            RateLimiter::sliding_window(format!("refused-{round}"))
                .limit(1)
                .window(WINDOW)
        })
        .await,
        against_bare(&cache, "limiter.gcra", |round| {
            RateLimiter::gcra(format!("gcra-{round}"))
                .rate(1_000, WINDOW)
                .burst(1_000)
        })
        .await,
        against_bare(&cache, "limiter.counter", |round| {
            RateLimiter::counter(format!("counter-{round}"))
                .limit(1_000)
                .window(WINDOW)
        })
        .await,
    ];
    for (limit, script, memory) in [
        (5, "limiter.script_5", "limiter.memory_5"),
        (100, "limiter.script_100", "limiter.memory_100"),
        (1_000, "limiter.script_1000", "limiter.memory_1000"),
        (10_000, "limiter.script_10000", "limiter.memory_10000"),
    ] {
        figures.extend(against_sorted_set(&cache, limit, script, memory).await);
    }
    figure::print(&figures, output);
}

/// Calls a second of the limiter and of its bare script, over many keys and with many callers at once.
async fn against_bare<A>(
    cache: &Cache,
    bench: &'static str,
    limiter: impl Fn(String) -> RateLimiter<A>,
) -> Figure {
    let client = cache.client().unwrap();
    let (mut of_bare, mut of_ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first is not counted.
    for round in 0..=ROUNDS {
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let which = (round + turn) % 2;
            // Each begins with keys that are empty.
            let limiter = limiter(format!("{round}-{which}"));
            let start = Instant::now();
            if which == 0 {
                bare(cache, client, &limiter).await;
            } else {
                ours(cache, &limiter).await;
            }
            rates[which] = f64::from(CALLS) / start.elapsed().as_secs_f64();
        }
        if round > 0 {
            of_bare.push(rates[0]);
            of_ours.push(rates[1]);
            ratios.push(rates[1] / rates[0]);
        }
    }
    Figure {
        bench,
        value: median(of_ours),
        unit: "calls/s",
        baseline: median(of_bare),
        ratio: median(ratios),
        bar: RATE_BAR,
        at_most: false,
    }
}

async fn ours<A>(cache: &Cache, limiter: &RateLimiter<A>) {
    let callers = (0..CALLERS).map(async |caller| {
        for call in 0..CALLS / CALLERS {
            let decision = limiter.check(cache, key_of(caller, call)).await.unwrap();
            assert!(decision.limit > 0);
        }
    });
    join_all(callers).await;
}

async fn bare<A>(cache: &Cache, client: &Pool, limiter: &RateLimiter<A>) {
    let (script, key, arguments) = limiter.bare(cache, 0).unwrap();
    let hash = server::load(client, script).await;
    let arguments: Vec<i64> = arguments
        .iter()
        .map(|value| value.as_i64().unwrap())
        .collect();
    let head = key.strip_suffix(":0").unwrap();
    let callers = (0..CALLERS).map(async |caller| {
        for call in 0..CALLS / CALLERS {
            let key = format!("{head}:{}", key_of(caller, call));
            let answer: Vec<i64> = client
                .evalsha(hash.as_str(), key, arguments.clone())
                .await
                .unwrap();
            assert_eq!(answer.len(), 4);
        }
    });
    join_all(callers).await;
}

/// Scattered, and the same for both sides.
fn key_of(caller: u32, call: u32) -> u32 {
    (caller * 7_919 + call * 31) % KEYS
}

/// The time of the script on the server and the size of the key, with a window that is full and slides.
async fn against_sorted_set(
    cache: &Cache,
    limit: u64,
    script_bench: &'static str,
    memory_bench: &'static str,
) -> [Figure; 2] {
    // So short that the window slides, and that a part of the calls is refused.
    const WINDOW: Duration = Duration::from_millis(200);
    let client = cache.client().unwrap();
    let sorted_set = server::load(client, SORTED_SET).await;
    let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    let mut sizes = [0.0; 2];
    for round in 0..SCRIPT_ROUNDS {
        let mut of_round = [0.0; 2];
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let limiter = RateLimiter::sliding_window(format!("script-{limit}-{which}"))
                .limit(limit)
                .window(WINDOW);
            let (script, key, arguments) = limiter.bare(cache, 0).unwrap();
            let arguments = arguments.iter().map(|value| value.as_i64().unwrap());
            let mut arguments: Vec<String> = arguments.map(|number| number.to_string()).collect();
            let hash = match which {
                0 => sorted_set.clone(),
                _ => server::load(client, script).await,
            };
            let start = Instant::now();
            let mut calls = 0_u32;
            server::reset_statistics(client).await;
            while start.elapsed() < 4 * WINDOW {
                if which == 0 {
                    // What makes its members distinct.
                    arguments[2] = calls.to_string();
                }
                let batch = (0..CALLERS).map(|_| {
                    let (key, arguments) = (key.as_str(), arguments.clone());
                    client.evalsha::<Vec<i64>, _, _, _>(hash.as_str(), key, arguments)
                });
                for answer in join_all(batch).await {
                    answer.unwrap();
                }
                calls += 1;
            }
            of_round[which] = server::script_us(client).await;
            sizes[which] = server::memory_usage(client, &key).await;
        }
        times[0].push(of_round[0]);
        times[1].push(of_round[1]);
        ratios.push(of_round[1] / of_round[0]);
    }
    let [of_sorted_set, of_ours] = times;
    [
        Figure {
            bench: script_bench,
            value: median(of_ours),
            unit: "us/script",
            baseline: median(of_sorted_set),
            ratio: median(ratios),
            bar: 1.0,
            at_most: true,
        },
        Figure {
            bench: memory_bench,
            value: sizes[1],
            unit: "bytes/key",
            baseline: sizes[0],
            ratio: sizes[1] / sizes[0],
            bar: 1.0,
            at_most: true,
        },
    ]
}
