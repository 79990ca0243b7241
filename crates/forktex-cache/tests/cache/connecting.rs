// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Connecting, what is said when it fails, and what is left of it.

use std::fmt::Write as _;
use std::time::Duration;

use forktex_cache::{Cache, CacheError, CacheOptions};
use forktex_testkit::{Redis, RedisOptions};

use crate::setup::{eventually, key, options, raw, redis};

/// All that a log or a user could see of an error.
fn everything_shown(error: &CacheError) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(shown, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    shown
}

#[tokio::test]
async fn a_server_that_is_down_is_an_outage_that_shows_no_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for scheme in ["redis", "redis-cluster"] {
        let url = format!("{scheme}://app:hunter2@127.0.0.1:{port}");
        let error = Cache::connect_with(&url, options()).await.unwrap_err();
        assert!(matches!(error, CacheError::Unavailable { .. }), "{error:?}");
        assert!(error.is_outage());
        assert!(!everything_shown(&error).contains("hunter2"));
    }
}

#[tokio::test]
async fn a_server_that_stays_silent_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let limit = Duration::from_millis(50);
    let options = options().connect_timeout(limit);
    let start = std::time::Instant::now();
    let url = format!("redis://:hunter2@127.0.0.1:{port}");
    let error = Cache::connect_with(&url, options).await.unwrap_err();
    assert!(matches!(error, CacheError::Timeout { .. }), "{error:?}");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_right_one_lets_in() {
    let server = RedisOptions::new().setting("requirepass", "s@crt");
    let server = Redis::start(server).await.unwrap();
    let url = |password: &str| format!("redis://{password}127.0.0.1:{}/2", server.address().port());
    for password in ["", ":hunter2@"] {
        let error = Cache::connect_with(&url(password), options())
            .await
            .unwrap_err();
        assert!(matches!(error, CacheError::Rejected { .. }), "{error:?}");
        assert!(!error.is_outage());
        assert!(!everything_shown(&error).contains("hunter2"));
    }
    let cache = Cache::connect_with(&url(":s%40crt@"), options())
        .await
        .unwrap();
    assert!(cache.ping().await.unwrap() > Duration::ZERO);
    assert!(!format!("{cache:?}").contains("crt"));
    let size: i64 = raw(&cache, "DBSIZE", &[]).await;
    cache.set_json(&key("user", "1"), &1).await.unwrap();
    let info: String = raw(&cache, "INFO", &["keyspace"]).await;
    assert!(size == 0 && info.contains("db2:keys=1"), "{info}");
}

#[tokio::test]
async fn wrong_urls_and_options_are_named() {
    for url in [
        "http://localhost",
        "redis://",
        "redis://localhost?x=1",
        "redis://localhost/x",
    ] {
        let error = Cache::connect(url).await.unwrap_err();
        assert!(
            matches!(error, CacheError::InvalidUrl { .. }),
            "{url}: {error:?}"
        );
    }
    let options = CacheOptions::new().prefix("no spaces");
    let error = Cache::connect_with("redis://localhost", options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            CacheError::InvalidOption {
                option: "prefix",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_closed_cache_refuses_and_its_connections_are_gone() {
    let (server, cache) = redis(options()).await;
    let observer = Cache::connect_with(server.url(), options().connections(1))
        .await
        .unwrap();
    let clone = cache.clone();
    cache.close().await;
    cache.close().await;
    for error in [
        clone.get_json::<u8>(&key("user", "1")).await.unwrap_err(),
        clone.set_json(&key("user", "1"), &1).await.unwrap_err(),
        clone.delete_prefix("user").await.unwrap_err(),
        clone.ping().await.unwrap_err(),
    ] {
        assert!(matches!(error, CacheError::Closed), "{error:?}");
    }
    eventually("only the observer is connected", async || {
        clients(&observer).await == 1
    })
    .await;

    let in_process = Cache::in_process();
    in_process.close().await;
    let error = in_process.ping().await.unwrap_err();
    assert!(matches!(error, CacheError::Closed), "{error:?}");
}

#[tokio::test]
async fn the_connections_are_closed_with_the_last_clone() {
    let (server, cache) = redis(options()).await;
    let observer = Cache::connect_with(server.url(), options().connections(1))
        .await
        .unwrap();
    let clone = cache.clone();
    drop(cache);
    assert!(clone.ping().await.is_ok());
    assert_eq!(clients(&observer).await, 3);
    drop(clone);
    eventually("only the observer is connected", async || {
        clients(&observer).await == 1
    })
    .await;
}

#[tokio::test]
async fn a_connect_that_is_given_up_leaves_nothing_open() {
    let (server, observer) = redis(options().connections(1)).await;
    for micros in [0, 100, 500, 1_000, 2_000, 5_000] {
        let connecting = Cache::connect_with(server.url(), options().connections(4));
        let _ = tokio::time::timeout(Duration::from_micros(micros), connecting).await;
    }
    eventually("only the observer is connected", async || {
        clients(&observer).await == 1
    })
    .await;
}

async fn clients(observer: &Cache) -> usize {
    let list: String = raw(observer, "CLIENT LIST", &[]).await;
    list.lines().count()
}
