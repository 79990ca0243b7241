// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis killed, frozen, paused and cut off in the middle: every call answers within its limit, says what
//! happened, and works again by itself.

use std::time::{Duration, Instant};

use crate::setup::{DEADLINE, eventually, impatient, key, options, raw, redis};
use forktex_cache::{Cache, CacheError};
use forktex_testkit::{Proxy, Redis, RedisOptions};

/// Beyond the limit of a command, for a machine that is busy.
const GRACE: Duration = Duration::from_secs(3);

/// Every kind of call fails as an outage, and none waits longer than it may.
async fn all_fail_in_time(cache: &Cache) {
    let key = key("user", "1");
    let start = Instant::now();
    let keys = std::slice::from_ref(&key);
    let (get, set, incr, mget, mset, tag, delete, prefix, ping) = tokio::join!(
        cache.get_json::<u8>(&key),
        cache.set_json(&key, &1).into_future(),
        cache.incr(&key).ttl("5m").into_future(),
        cache.mget::<u8>(keys),
        cache.mset([(&key, 1)]).into_future(),
        cache.invalidate_tag("org:1"),
        cache.delete(&key),
        cache.delete_prefix("user"),
        cache.ping(),
    );
    let took = start.elapsed();
    let errors = [
        get.unwrap_err(),
        set.unwrap_err(),
        incr.unwrap_err(),
        mget.unwrap_err(),
        mset.unwrap_err(),
        tag.unwrap_err(),
        delete.unwrap_err(),
        prefix.unwrap_err(),
        ping.unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_outage(), "{error:?}");
    }
    assert!(took < Duration::from_millis(200) + GRACE, "{took:?}");
}

async fn comes_back(cache: &Cache) {
    let key = key("user", "back");
    eventually("calls succeed again", async || {
        cache.set_json(&key, &7).ttl("5m").await.is_ok()
    })
    .await;
    eventually("reads succeed again", async || {
        matches!(cache.get_json::<u8>(&key).await, Ok(Some(7)))
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_is_an_outage_until_it_is_restarted() {
    let (server, cache) = redis(impatient()).await;
    comes_back(&cache).await;
    for _ in 0..2 {
        server.kill().await.unwrap();
        all_fail_in_time(&cache).await;
        all_fail_in_time(&cache).await;
        server.restart().await.unwrap();
        comes_back(&cache).await;
    }
}

#[tokio::test]
async fn a_frozen_server_is_an_outage_until_it_thaws() {
    let (server, cache) = redis(impatient()).await;
    comes_back(&cache).await;
    server.pause().await.unwrap();
    all_fail_in_time(&cache).await;
    all_fail_in_time(&cache).await;
    server.resume().await.unwrap();
    comes_back(&cache).await;
}

#[tokio::test]
async fn a_server_that_pauses_its_clients_is_an_outage_until_it_goes_on() {
    let (server, cache) = redis(impatient()).await;
    let operator = Cache::connect_with(server.url(), options().connections(1))
        .await
        .unwrap();
    comes_back(&cache).await;
    let () = raw(&operator, "CLIENT PAUSE", &["2000", "ALL"]).await;
    all_fail_in_time(&cache).await;
    comes_back(&cache).await;
}

#[tokio::test]
async fn killed_connections_are_opened_again() {
    let (server, cache) = redis(impatient()).await;
    let operator = Cache::connect_with(server.url(), options().connections(1))
        .await
        .unwrap();
    let key = key("user", "1");
    for _ in 0..5 {
        let killed: i64 = raw(
            &operator,
            "CLIENT KILL",
            &["TYPE", "normal", "SKIPME", "yes"],
        )
        .await;
        assert!(killed > 0);
        // Each call answers in time, be it with the value or with the outage.
        let start = Instant::now();
        match cache.get_json::<u8>(&key).await {
            Ok(_) => {}
            Err(error) => assert!(error.is_outage(), "{error:?}"),
        }
        assert!(
            start.elapsed() < Duration::from_millis(200) + GRACE,
            "{:?}",
            start.elapsed()
        );
        comes_back(&cache).await;
    }
}

#[tokio::test]
async fn a_command_that_was_under_way_when_the_connection_broke_is_not_sent_again() {
    let (server, cache) = redis(options()).await;
    let operator = Cache::connect_with(server.url(), options().connections(1))
        .await
        .unwrap();
    let key = key("visits", "1");
    assert_eq!(cache.incr(&key).await.unwrap(), 1);
    for round in 0..5 {
        let before: i64 = raw(&operator, "GET", &["visits:1"]).await;
        // Writes wait while the server is paused, and their connections are then cut.
        let () = raw(&operator, "CLIENT PAUSE", &["30000", "WRITE"]).await;
        let mut counting = cache.incr(&key).into_future();
        assert!(still_waits(&mut counting).await, "round {round}");
        eventually("the command waits at the server", async || {
            let clients: String = raw(&operator, "CLIENT LIST", &[]).await;
            clients.contains("flags=b")
        })
        .await;
        let _: i64 = raw(
            &operator,
            "CLIENT KILL",
            &["TYPE", "normal", "SKIPME", "yes"],
        )
        .await;
        let error = tokio::time::timeout(DEADLINE, counting)
            .await
            .unwrap()
            .unwrap_err();
        assert!(matches!(error, CacheError::Unavailable { .. }), "{error:?}");
        let () = raw(&operator, "CLIENT UNPAUSE", &[]).await;
        eventually("it is connected again", async || cache.ping().await.is_ok()).await;
        let after: i64 = raw(&operator, "GET", &["visits:1"]).await;
        assert_eq!(
            after, before,
            "it was counted after its caller was told that it failed"
        );
    }
}

/// Polls once; whether it still waits.
async fn still_waits<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[tokio::test]
async fn after_five_failures_calls_are_answered_at_once() {
    let (server, cache) = redis(options()).await;
    server.kill().await.unwrap();
    let key = key("user", "1");
    let mut refused = None;
    for _ in 0..6 {
        refused = Some(cache.get_json::<u8>(&key).await.unwrap_err());
    }
    match refused.unwrap() {
        CacheError::CircuitOpen { retry_in, .. } => assert!(retry_in <= Duration::from_secs(1)),
        other => panic!("{other:?}"),
    }
    let start = Instant::now();
    for _ in 0..1_000 {
        match cache.get_json::<u8>(&key).await.unwrap_err() {
            CacheError::CircuitOpen { .. } => {}
            // The pause was over.
            CacheError::Unavailable { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(start.elapsed() < GRACE, "{:?}", start.elapsed());
    server.restart().await.unwrap();
    comes_back(&cache).await;
}

#[tokio::test]
async fn commands_are_not_queued_without_bound_while_the_server_is_frozen() {
    let (server, cache) = redis(impatient()).await;
    comes_back(&cache).await;
    server.pause().await.unwrap();
    let start = Instant::now();
    let mut sent = 0;
    let mut refused = 0;
    while start.elapsed() < Duration::from_secs(2) {
        match cache.get_json::<u8>(&key("user", "1")).await.unwrap_err() {
            CacheError::CircuitOpen { .. } => refused += 1,
            _ => sent += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!(
        sent <= 10 && refused > 100,
        "{sent} sent, {refused} refused"
    );
    server.resume().await.unwrap();
    comes_back(&cache).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_for_now_is_an_outage() {
    let (_server, cache) = redis(impatient()).await;
    let () = raw(&cache, "CONFIG SET", &["min-replicas-to-write", "1"]).await;
    let error = cache.set_json(&key("user", "1"), &1).await.unwrap_err();
    assert!(matches!(error, CacheError::Unavailable { .. }), "{error:?}");
    let () = raw(&cache, "CONFIG SET", &["min-replicas-to-write", "0"]).await;
    comes_back(&cache).await;
}

/// The connections of a primary that was demoted stay open, and it takes no more writes.
#[tokio::test]
async fn a_demoted_primary_is_left_for_the_server_that_the_url_leads_to_now() {
    let (old, first) = redis(options().connections(1)).await;
    let new = Redis::start(RedisOptions::new()).await.unwrap();
    let second = Cache::connect_with(new.url(), options().connections(1))
        .await
        .unwrap();
    let proxy = Proxy::start(old.address()).await.unwrap();
    let url = proxy.url_through(old.url()).unwrap();
    let cache = Cache::connect_with(&url, impatient()).await.unwrap();
    comes_back(&cache).await;
    let (host, port) = (new.address().ip().to_string(), new.address().port());
    let () = raw(&first, "REPLICAOF", &[&host, &port.to_string()]).await;
    proxy.redirect(new.address());

    let key = key("user", "moved");
    eventually("a write goes to the new primary", async || {
        match cache.set_json(&key, &8).ttl("5m").await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_outage(), "{error:?}");
                false
            }
        }
    })
    .await;
    let there: i64 = raw(&second, "EXISTS", &["user:moved"]).await;
    assert_eq!(there, 1);
    comes_back(&cache).await;
}
