// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One load for all who ask at the same time: what they wait for, and what they do not.

use forktex_cache::{Cache, cached};
use futures_util::future::join_all;

use crate::origin::{Broken, Origin};
use crate::setup::{DEADLINE, fixtures, options, redis};

#[cached(ttl = "5m", namespace = "flight.user", skip(origin))]
async fn user(cache: &Cache, id: &str, origin: &Origin) -> Result<usize, Broken> {
    let _ = id;
    origin.load().await
}

#[cached(ttl = "5m", namespace = "flight.plain", skip(origin))]
async fn plain(cache: &Cache, id: u32, origin: &Origin) -> usize {
    let _ = id;
    origin.load().await.unwrap()
}

#[tokio::test]
async fn c56_a_hundred_cold_misses_at_once_run_the_function_once() {
    for fixture in fixtures().await {
        let cache = &fixture.cache;
        let origin = Origin::gated();
        let calls = (0..100).map(|_| {
            let (cache, origin) = (cache.clone(), origin.clone());
            tokio::spawn(async move { user(&cache, "ada", &origin).await })
        });
        let calls = join_all(calls);
        origin.open(100);
        for call in calls.await {
            assert_eq!(call.unwrap().unwrap(), 1, "{}", fixture.name);
        }
        assert_eq!(origin.loads(), 1, "{}", fixture.name);
    }
}

/// Among futures of one task as well, in whatever order they are polled.
#[tokio::test]
async fn calls_that_are_joined_in_one_task_run_the_function_once() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::default();
    let calls = join_all((0..50).map(|_| plain(&cache, 1, &origin))).await;
    assert!(calls.iter().all(|load| *load == 1), "{calls:?}");
}

#[cached(
    ttl = "5m",
    namespace = "flight.off",
    single_flight = "off",
    skip(origin)
)]
async fn each(cache: &Cache, origin: &Origin) -> usize {
    origin.load().await.unwrap()
}

#[tokio::test]
async fn without_single_flight_each_call_loads_and_one_value_is_kept() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::gated();
    let calls = async { tokio::join!(each(&cache, &origin), each(&cache, &origin)) };
    let open = async {
        origin.loaded(2).await;
        origin.open(2);
    };
    let ((first, second), ()) = tokio::join!(calls, open);
    assert_ne!(first, second);
    let kept = each(&cache, &origin).await;
    assert!(kept == first || kept == second);
    assert_eq!(origin.loads(), 2);
}

#[tokio::test]
async fn a_leader_that_is_cancelled_leaves_the_load_to_one_of_the_others() {
    for fixture in fixtures().await {
        let cache = &fixture.cache;
        let origin = Origin::gated();
        let call = || {
            let (cache, origin) = (cache.clone(), origin.clone());
            tokio::spawn(async move { user(&cache, "ada", &origin).await })
        };
        let leader = call();
        origin.loaded(1).await;
        let others: Vec<_> = (0..20).map(|_| call()).collect();
        // They have come to wait when the next one does not run the body either.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        leader.abort();
        origin.loaded(2).await;
        origin.open(20);
        for other in others {
            assert_eq!(other.await.unwrap().unwrap(), 2, "{}", fixture.name);
        }
        // What it loaded is kept: the lease was free for it.
        assert_eq!(
            user(cache, "ada", &origin).await.unwrap(),
            2,
            "{}",
            fixture.name
        );
        assert_eq!(origin.loads(), 2, "{}", fixture.name);
    }
}

#[cached(ttl = "5m", namespace = "flight.panic", skip(origin))]
async fn panics_first(cache: &Cache, origin: &Origin) -> usize {
    let number = origin.load().await.unwrap();
    assert!(number > 1, "on purpose");
    number
}

#[tokio::test]
async fn a_leader_that_panics_leaves_the_load_to_one_of_the_others() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::gated();
    let call = || {
        let (cache, origin) = (cache.clone(), origin.clone());
        tokio::spawn(async move { panics_first(&cache, &origin).await })
    };
    let leader = call();
    origin.loaded(1).await;
    let others: Vec<_> = (0..20).map(|_| call()).collect();
    origin.open(21);
    assert!(leader.await.unwrap_err().is_panic());
    for other in others {
        assert_eq!(other.await.unwrap(), 2);
    }
    assert_eq!(origin.loads(), 2);
}

/// The others do not get its error, which may be its own alone, and do not all load at once.
#[tokio::test]
async fn an_error_of_the_leader_is_not_shared() {
    let (_redis, cache) = redis(options().outage_loads(2)).await;
    let origin = Origin::gated();
    origin.fail(true);
    let call = || {
        let (cache, origin) = (cache.clone(), origin.clone());
        tokio::spawn(async move { user(&cache, "ada", &origin).await })
    };
    let leader = call();
    origin.loaded(1).await;
    let others: Vec<_> = (0..40).map(|_| call()).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    origin.open(1);
    assert_eq!(leader.await.unwrap(), Err(Broken::Origin));
    origin.loaded(3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.loads(), 3, "as many as there are places");
    origin.fail(false);
    origin.open(40);
    for other in others {
        assert!(other.await.unwrap().unwrap() > 1);
    }
    // Most of them find what the first of them have loaded.
    assert!(origin.loads() <= 20, "{}", origin.loads());
}

#[cached(ttl = "5m", namespace = "flight.recursive", key = (id))]
async fn recursive(cache: &Cache, id: u32, depth: u32) -> u32 {
    if depth == 0 {
        return 1;
    }
    1 + Box::pin(recursive(cache, id, depth - 1)).await
}

#[cached(
    ttl = "5m",
    namespace = "flight.left",
    single_flight = "cluster",
    lease = "200ms",
    skip(depth, origin)
)]
async fn left(cache: &Cache, depth: u32, origin: &Origin) -> usize {
    let load = origin.load().await.unwrap();
    if depth > 0 {
        Box::pin(right(cache, depth - 1, origin)).await;
    }
    load
}

#[cached(
    ttl = "5m",
    namespace = "flight.right",
    single_flight = "cluster",
    lease = "200ms",
    skip(depth, origin)
)]
async fn right(cache: &Cache, depth: u32, origin: &Origin) -> usize {
    let load = origin.load().await.unwrap();
    if depth > 0 {
        Box::pin(left(cache, depth - 1, origin)).await;
    }
    load
}

#[tokio::test]
async fn a_function_that_calls_itself_does_not_wait_for_itself() {
    let (_redis, cache) = redis(options()).await;
    let calls = async {
        assert_eq!(recursive(&cache, 1, 3).await, 4);
        assert_eq!(recursive(&cache, 1, 0).await, 4);
    };
    tokio::time::timeout(DEADLINE, calls).await.unwrap();
}

/// Each leads one flight and comes to the other's, in one process and in two.
#[tokio::test]
async fn functions_that_call_each_other_do_not_wait_for_each_other() {
    let (redis, cache) = redis(options()).await;
    let other = Cache::connect_with(redis.url(), options()).await.unwrap();
    for other in [&cache, &other] {
        let origin = Origin::gated();
        let calls = async {
            tokio::join!(left(&cache, 4, &origin), right(other, 4, &origin));
        };
        let open = async {
            origin.loaded(2).await;
            origin.open(100);
        };
        let both = async { tokio::join!(calls, open) };
        tokio::time::timeout(DEADLINE, both).await.unwrap();
        cache.delete_prefix("flight.left").await.unwrap();
        cache.delete_prefix("flight.right").await.unwrap();
    }
}

#[cached(
    ttl = "5m",
    namespace = "flight.unpolled",
    lease = "100ms",
    skip(origin)
)]
async fn unpolled(cache: &Cache, origin: &Origin) -> usize {
    origin.load().await.unwrap()
}

/// A task may hold the leader and wait for one of those that wait for it.
#[tokio::test]
async fn a_leader_that_nobody_polls_does_not_hold_up_the_others() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::gated();
    let mut held = Box::pin(unpolled(&cache, &origin));
    let until_it_loads = async {
        tokio::select! {
            _ = &mut held => panic!("the gate is shut"),
            () = origin.loaded(1) => {}
        }
    };
    until_it_loads.await;
    origin.open(2);
    let answer = tokio::time::timeout(DEADLINE, unpolled(&cache, &origin)).await;
    assert_eq!(answer.unwrap(), 2);
    drop(held);
}
