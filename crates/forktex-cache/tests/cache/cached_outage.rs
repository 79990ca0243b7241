// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cached functions while Redis is away, silent, or cut off in the middle: they answer, and do not make
//! their origin pay for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forktex_cache::{Cache, CacheError, cached};
use futures_util::future::join_all;

use crate::origin::{Broken, Origin};
use crate::setup::{DEADLINE, eventually, impatient, options, raw, redis};

#[cached(ttl = "5m", namespace = "outage.open", skip(origin))]
async fn open(cache: &Cache, id: u32, origin: &Origin) -> usize {
    let _ = id;
    origin.load().await.unwrap()
}

#[cached(
    ttl = "5m",
    namespace = "outage.cluster",
    single_flight = "cluster",
    skip(origin)
)]
async fn in_cluster(cache: &Cache, id: u32, origin: &Origin) -> usize {
    let _ = id;
    origin.load().await.unwrap()
}

#[cached(ttl = "5m", namespace = "outage.closed", fail_closed, skip(origin))]
async fn closed(cache: &Cache, id: u32, origin: &Origin) -> Result<usize, Broken> {
    let _ = id;
    origin.load().await
}

/// How many run at once, and how many did at most.
#[derive(Clone, Default)]
struct Crowd(Arc<[AtomicUsize; 2]>);

impl Crowd {
    async fn visit(&self) {
        let [now, most] = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
}

#[cached(ttl = "5m", namespace = "outage.crowded", skip(crowd))]
async fn crowded(cache: &Cache, id: u32, crowd: &Crowd) -> u32 {
    crowd.visit().await;
    id
}

#[cached(ttl = "5m", namespace = "outage.nested", skip(crowd))]
async fn nested(cache: &Cache, id: u32, crowd: &Crowd) -> u32 {
    crowded(cache, id, crowd).await
}

#[tokio::test]
async fn c56_with_redis_down_the_call_still_answers() {
    let (redis, cache) = redis(impatient()).await;
    let origin = Origin::default();
    assert_eq!(open(&cache, 1, &origin).await, 1);
    redis.kill().await.unwrap();
    let calls = async {
        assert_eq!(open(&cache, 1, &origin).await, 2);
        assert_eq!(in_cluster(&cache, 1, &origin).await, 3);
        assert_eq!(closed(&cache, 1, &origin).await, Err(Broken::Cache(true)));
    };
    tokio::time::timeout(DEADLINE, calls).await.unwrap();
    assert_eq!(origin.loads(), 3);

    redis.restart().await.unwrap();
    eventually("values are kept again", async || {
        let load = open(&cache, 2, &origin).await;
        open(&cache, 2, &origin).await == load
    })
    .await;
    eventually("calls are let through again", async || {
        closed(&cache, 1, &origin).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn callers_of_one_key_share_a_load_during_an_outage() {
    let (redis, cache) = redis(impatient()).await;
    redis.kill().await.unwrap();
    // Each call then knows at once that the cache is away.
    eventually("the circuit is open", async || {
        matches!(cache.ping().await, Err(CacheError::CircuitOpen { .. }))
    })
    .await;
    let origin = Origin::gated();
    let calls = (0..100).map(|_| {
        let (cache, origin) = (cache.clone(), origin.clone());
        tokio::spawn(async move { open(&cache, 1, &origin).await })
    });
    let calls: Vec<_> = calls.collect();
    origin.loaded(1).await;
    // All come to wait, beside one perhaps that tries whether Redis is back.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    origin.open(100);
    for call in calls {
        call.await.unwrap();
    }
    assert!(origin.loads() <= 2, "{}", origin.loads());
}

#[tokio::test]
async fn an_outage_does_not_flood_the_origin() {
    let (redis, cache) = redis(impatient().outage_loads(4)).await;
    redis.kill().await.unwrap();
    let crowd = Crowd::default();
    let calls = (0..200).map(|id| crowded(&cache, id, &crowd));
    let answers = tokio::time::timeout(DEADLINE, join_all(calls))
        .await
        .unwrap();
    assert_eq!(answers, (0..200).collect::<Vec<_>>());
    assert!((1..=4).contains(&crowd.most()), "{}", crowd.most());
}

/// Each outer load holds a place, and must not wait for another one inside.
#[tokio::test]
async fn loads_inside_of_loads_do_not_use_up_the_places() {
    let (redis, cache) = redis(impatient().outage_loads(2)).await;
    redis.kill().await.unwrap();
    let crowd = Crowd::default();
    let calls = (0..50).map(|id| nested(&cache, id, &crowd));
    let answers = tokio::time::timeout(DEADLINE, join_all(calls))
        .await
        .unwrap();
    assert_eq!(answers.len(), 50);
    assert!((1..=2).contains(&crowd.most()), "{}", crowd.most());
}

#[tokio::test]
async fn a_silent_server_costs_a_call_a_few_timeouts_at_most() {
    let (redis, cache) = redis(impatient()).await;
    let origin = Origin::default();
    assert_eq!(open(&cache, 1, &origin).await, 1);
    redis.pause().await.unwrap();
    for _ in 0..10 {
        let start = Instant::now();
        open(&cache, 1, &origin).await;
        // The limit of a command is 200 ms; a busy machine may add to it.
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "{:?}",
            start.elapsed()
        );
    }
    redis.resume().await.unwrap();
    eventually("the old value is served again", async || {
        open(&cache, 1, &origin).await == 1
    })
    .await;
}

/// The server falls silent after the lease was taken, and before the value is stored.
#[tokio::test]
async fn a_pause_in_the_middle_of_a_load_does_not_hold_up_the_answer() {
    let (_redis, cache) = redis(impatient()).await;
    let origin = Origin::gated();
    let call = tokio::spawn({
        let (cache, origin) = (cache.clone(), origin.clone());
        async move { open(&cache, 1, &origin).await }
    });
    origin.loaded(1).await;
    let _: String = raw(&cache, "CLIENT", &["PAUSE", "3000", "ALL"]).await;
    origin.open(100);
    let start = Instant::now();
    assert_eq!(call.await.unwrap(), 1);
    assert!(
        start.elapsed() < Duration::from_millis(2_500),
        "{:?}",
        start.elapsed()
    );
    // Whoever asks meanwhile is answered too.
    let answers = join_all((0..20).map(|_| open(&cache, 1, &origin)));
    tokio::time::timeout(DEADLINE, answers).await.unwrap();
}

#[tokio::test]
async fn connections_that_are_cut_in_the_middle_are_made_anew() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::gated();
    let call = tokio::spawn({
        let (cache, origin) = (cache.clone(), origin.clone());
        async move { in_cluster(&cache, 1, &origin).await }
    });
    origin.loaded(1).await;
    let _: i64 = raw(
        &cache,
        "CLIENT",
        &["KILL", "TYPE", "normal", "SKIPME", "yes"],
    )
    .await;
    origin.open(100);
    let answer = tokio::time::timeout(DEADLINE, call).await.unwrap();
    assert_eq!(answer.unwrap(), 1);
    eventually("values are kept again", async || {
        let load = in_cluster(&cache, 2, &origin).await;
        in_cluster(&cache, 2, &origin).await == load
    })
    .await;
}

/// Killed and started again and again under load: every call answers.
#[tokio::test]
async fn a_server_that_comes_and_goes_leaves_no_call_without_an_answer() {
    let (redis, cache) = redis(impatient()).await;
    let origin = Origin::default();
    let calls = join_all((0..8).map(|worker| {
        let (cache, origin) = (cache.clone(), origin.clone());
        tokio::spawn(async move {
            for round in 0..200 {
                let id = worker % 2 + 10 * (round % 7);
                let call = async {
                    open(&cache, id, &origin).await;
                    in_cluster(&cache, id, &origin).await;
                };
                tokio::time::timeout(DEADLINE, call)
                    .await
                    .expect("an answer");
            }
        })
    }));
    let trouble = async {
        for _ in 0..3 {
            redis.kill().await.unwrap();
            redis.restart().await.unwrap();
        }
    };
    let (calls, ()) = tokio::join!(calls, trouble);
    for call in calls {
        call.unwrap();
    }
}
