// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values that are loaded anew: when they are stale, early, and when loading fails.

use std::time::Duration;

use forktex_cache::{Cache, cached};

use crate::origin::{Broken, Origin};
use crate::setup::{eventually, fixtures, options, redis};

#[cached(
    ttl = "100ms",
    stale = "1h",
    jitter = 0,
    namespace = "refresh.stale",
    skip(origin)
)]
async fn stale(cache: &Cache, id: &str, origin: &Origin) -> Result<usize, Broken> {
    let _ = id;
    origin.load().await
}

#[cached(
    ttl = "100ms",
    stale = "1h",
    jitter = 0,
    refresh = "in_line",
    namespace = "refresh.in_line",
    skip(origin)
)]
async fn in_line(cache: &Cache, origin: &Origin) -> Result<usize, Broken> {
    origin.load().await
}

#[cached(
    ttl = "100ms",
    stale_if_error = "1h",
    jitter = 0,
    namespace = "refresh.fallback",
    skip(origin)
)]
async fn fallback(cache: &Cache, origin: &Origin) -> Result<usize, Broken> {
    origin.load().await
}

#[cached(
    ttl = "100ms",
    stale = "1h",
    jitter = 0,
    namespace = "refresh.gone",
    skip(origin)
)]
async fn gone(cache: &Cache, origin: &Origin) -> Option<usize> {
    origin.load().await.ok()
}

#[cached(
    ttl = "300ms",
    early,
    jitter = 0,
    namespace = "refresh.early",
    skip(origin)
)]
async fn early(cache: &Cache, origin: &Origin) -> usize {
    let number = origin.load().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    number
}

/// Long enough for what is fresh for 100 ms to be stale.
async fn until_stale() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn a_stale_value_is_served_while_one_task_loads_it_anew() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::gated();
        origin.open(1);
        assert_eq!(stale(cache, "a", &origin).await, Ok(1), "{name}");
        until_stale().await;
        // Nobody waits for the load, which the gate holds.
        for _ in 0..50 {
            assert_eq!(stale(cache, "a", &origin).await, Ok(1), "{name}");
        }
        origin.loaded(2).await;
        for _ in 0..50 {
            assert_eq!(stale(cache, "a", &origin).await, Ok(1), "{name}");
        }
        assert_eq!(origin.loads(), 2, "{name}");
        origin.open(1_000);
        eventually("the new value is served", async || {
            stale(cache, "a", &origin).await.is_ok_and(|load| load > 1)
        })
        .await;
    }
}

/// One that fails changes nothing, and is tried again by the next call.
#[tokio::test]
async fn a_stale_value_outlives_a_load_that_fails() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::default();
    assert_eq!(stale(&cache, "a", &origin).await, Ok(1));
    origin.fail(true);
    until_stale().await;
    eventually("it is tried again and again", async || {
        assert_eq!(stale(&cache, "a", &origin).await, Ok(1));
        origin.loads() >= 4
    })
    .await;
    origin.fail(false);
    eventually("a load succeeds", async || {
        stale(&cache, "a", &origin).await != Ok(1)
    })
    .await;
}

#[tokio::test]
async fn in_line_one_caller_waits_and_the_others_get_the_stale_value() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::gated();
    origin.open(1);
    assert_eq!(in_line(&cache, &origin).await, Ok(1));
    until_stale().await;
    let refresher = tokio::spawn({
        let (cache, origin) = (cache.clone(), origin.clone());
        async move { in_line(&cache, &origin).await }
    });
    origin.loaded(2).await;
    assert_eq!(in_line(&cache, &origin).await, Ok(1));
    origin.open(1);
    assert_eq!(refresher.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn a_value_past_its_time_is_served_only_where_loading_fails() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::default();
        assert_eq!(fallback(cache, &origin).await, Ok(1), "{name}");
        until_stale().await;
        origin.fail(true);
        assert_eq!(fallback(cache, &origin).await, Ok(1), "{name}");
        let calls = (0..20).map(|_| fallback(cache, &origin));
        let calls = futures_util::future::join_all(calls).await;
        assert!(
            calls.iter().all(|answer| *answer == Ok(1)),
            "{name}: {calls:?}"
        );
        origin.fail(false);
        let answer = fallback(cache, &origin).await.unwrap();
        assert!(answer > 1, "{name}: {answer}");
        assert_eq!(fallback(cache, &origin).await, Ok(answer), "{name}");
    }
}

/// What the origin does not have any more is not served for another hour.
#[tokio::test]
async fn a_stale_value_goes_when_a_load_finds_nothing() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::default();
    assert_eq!(gone(&cache, &origin).await, Some(1));
    origin.fail(true);
    until_stale().await;
    eventually("it is gone", async || gone(&cache, &origin).await.is_none()).await;
}

/// In whole seconds a load of 20 ms would count as none, and never begin before the end.
#[tokio::test]
async fn a_load_of_twenty_milliseconds_begins_before_the_value_ends() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::default();
    let mut begun_early = 0;
    let mut last = 0;
    eventually("loads begin early", async || {
        let value = early(&cache, &origin).await;
        // It is served, so it is fresh, and yet the next one is being loaded.
        if value < origin.loads() && value != last {
            last = value;
            begun_early += 1;
        }
        begun_early >= 3
    })
    .await;
}
