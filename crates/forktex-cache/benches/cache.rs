// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a cached call costs over the bare command, how many calls the local tier answers, and how often
//! a herd loads.
//!
//! Each pair runs in one process, on one connection, in turns; a figure is the median of its rounds. The
//! bare side sends `GET` by the same driver, with the same limit on its time, and decodes the same value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "cache/bare.rs"]
mod bare;
#[path = "cache/herd.rs"]
mod herd;

use std::hint::black_box;
use std::time::Instant;

use forktex_cache::fred::clients::{Client, WithOptions};
use forktex_cache::{Cache, CacheError, CacheOptions, Key, Namespace, cached};
use forktex_testkit::figure::{self, Figure, Output, median};
use forktex_testkit::{Redis, RedisOptions};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 5;
/// Calls of one side in one round.
const CALLS: u32 = 20_000;
/// Calls that the local tier answers, in one round.
const LOCAL_CALLS: u32 = 2_000_000;
const LOCAL_BAR: f64 = 1_000_000.0;

/// What is cached: about 150 bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    id: u32,
    name: String,
    email: String,
    roles: Vec<String>,
    active: bool,
}

impl Profile {
    fn of(id: u32) -> Self {
        Self {
            id,
            name: "Ada Lovelace".to_owned(),
            email: "ada.lovelace@example.com".to_owned(),
            roles: vec!["admin".to_owned(), "billing".to_owned()],
            active: true,
        }
    }
}

#[cached(ttl = "1h", namespace = "bench.hit")]
async fn hit(cache: &Cache, id: u32) -> Profile {
    Profile::of(id)
}

#[cached(ttl = "1h", namespace = "bench.local", local = "1h")]
async fn local(cache: &Cache, id: u32) -> u64 {
    u64::from(id)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Some(url) = herd::worker_url() {
        return herd::work(&url).await;
    }
    let output = Output::from_arguments();
    let server = Redis::start(RedisOptions::new()).await.unwrap();
    let options = CacheOptions::new().connections(1);
    let cache = Cache::connect_with(server.url(), options).await.unwrap();
    let client = bare::client(&cache);
    let key = Namespace::new("bench.bare").key(7).unwrap();
    cache
        .set_json(&key, &Profile::of(7))
        .ttl("1h")
        .await
        .unwrap();

    eprintln!("bench cache: two comparisons in turns, local hits, and a herd; about a minute");
    let mut figures = vec![
        compare("cache.get_json", 1.15, &client, &key, async |calls| {
            for _ in 0..calls {
                let profile = cache.get_json::<Profile>(&key).await?;
                assert_eq!(profile.unwrap().id, 7);
            }
            Ok(())
        })
        .await,
        compare("cache.cached_hit", 1.25, &client, &key, async |calls| {
            for _ in 0..calls {
                assert_eq!(hit(&cache, 7).await.id, 7);
            }
            Ok(())
        })
        .await,
        local_hits(&cache).await,
    ];
    figures.extend(herd::figures(server.url(), ROUNDS).await);
    figure::print(&figures, output);
}

/// Runs both in turns, the order changing from round to round; a figure is microseconds a call.
async fn compare(
    bench: &'static str,
    bar: f64,
    client: &WithOptions<Client>,
    key: &Key,
    ours: impl AsyncFn(u32) -> Result<(), CacheError>,
) -> Figure {
    bare::get(client, key, CALLS / 4).await;
    ours(CALLS / 4).await.unwrap();
    let (mut of_bare, mut of_ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut times = [0.0; 2];
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let start = Instant::now();
            if which == 0 {
                bare::get(client, key, CALLS).await;
            } else {
                ours(CALLS).await.unwrap();
            }
            times[which] = start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
        }
        of_bare.push(times[0]);
        of_ours.push(times[1]);
        ratios.push(times[1] / times[0]);
    }
    Figure {
        bench,
        value: median(of_ours),
        unit: "us/call",
        baseline: median(of_bare),
        ratio: median(ratios),
        bar,
        at_most: true,
    }
}

/// Calls that the local tier answers, a second, on one core; the baseline is the bar of the design.
async fn local_hits(cache: &Cache) -> Figure {
    // The local tier is read once it is told of changes.
    for id in 0..1_000 {
        local(cache, id).await;
    }
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for call in 0..LOCAL_CALLS {
            black_box(local(cache, black_box(call % 1_000)).await);
        }
        rates.push(f64::from(LOCAL_CALLS) / start.elapsed().as_secs_f64());
    }
    let value = median(rates);
    Figure {
        bench: "cache.local_hit",
        value,
        unit: "calls/s",
        baseline: LOCAL_BAR,
        ratio: value / LOCAL_BAR,
        bar: 1.0,
        at_most: false,
    }
}
