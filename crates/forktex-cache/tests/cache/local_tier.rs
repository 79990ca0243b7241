// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The local tier: served without Redis, kept right by what Redis tells, and off where it may not.

use forktex_cache::{Cache, CacheOptions, cached};
use forktex_testkit::{Redis, RedisCluster, RedisOptions};

use crate::cluster::{at, ports};
use crate::origin::{Broken, Origin};
use crate::setup::{eventually, impatient, options, raw, redis};

#[cached(ttl = "5m", local = "5m", namespace = "local.user", skip(origin))]
async fn user(cache: &Cache, id: u32, origin: &Origin) -> Result<usize, Broken> {
    let _ = id;
    origin.load().await
}

#[cached(ttl = "5m", local = "5m", namespace = "local.tagged", tags = ("org:{org}"), skip(origin))]
async fn tagged(cache: &Cache, org: u32, origin: &Origin) -> Result<usize, Broken> {
    origin.load().await
}

#[cached(ttl = "5m", local = "200ms", namespace = "local.short", skip(origin))]
async fn short(cache: &Cache, origin: &Origin) -> Result<usize, Broken> {
    origin.load().await
}

/// How many reads Redis has answered.
async fn reads(cache: &Cache) -> u64 {
    reads_in(&raw::<String>(cache, "INFO", &["stats"]).await)
}

/// How many reads the primaries of a cluster have answered.
async fn reads_of_all(cache: &Cache, servers: &RedisCluster) -> u64 {
    let mut reads = 0;
    for port in ports(servers) {
        reads += reads_in(&at::<String>(cache, port, "INFO", &["stats"]).await);
    }
    reads
}

fn reads_in(stats: &str) -> u64 {
    ["keyspace_hits:", "keyspace_misses:"]
        .iter()
        .map(|name| {
            let line = stats.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

/// Asks until the answer comes without Redis.
async fn is_local(cache: &Cache, call: impl AsyncFn() -> usize) {
    eventually("the value is served by this process", async || {
        let before = reads(cache).await;
        for _ in 0..10 {
            call().await;
        }
        // The probe of the tier may read as well.
        reads(cache).await - before < 5
    })
    .await;
}

async fn two_caches(options: impl Fn() -> CacheOptions) -> (Redis, Cache, Cache) {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let one = Cache::connect_with(redis.url(), options()).await.unwrap();
    let other = Cache::connect_with(redis.url(), options()).await.unwrap();
    (redis, one, other)
}

#[tokio::test]
async fn a_local_value_goes_when_another_client_changes_it() {
    let (_redis, cache, other) = two_caches(|| options().prefix("billing")).await;
    let origin = Origin::default();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    is_local(&cache, &call).await;
    for round in 1..20 {
        assert!(user::invalidate(&other, 1).await.unwrap());
        eventually("the next value is loaded", async || {
            call().await == round + 1
        })
        .await;
    }
    is_local(&cache, &call).await;
    other
        .set_json(&user::key(1).unwrap(), &77)
        .ttl("5m")
        .await
        .unwrap();
    eventually("the written value is served", async || call().await == 77).await;
}

/// Its own changes are seen at once, before Redis tells of them.
#[tokio::test]
async fn what_this_process_changes_is_seen_at_once() {
    let (_redis, cache) = redis(options()).await;
    let origin = Origin::default();
    let key = user::key(1).unwrap();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    for _ in 0..10 {
        is_local(&cache, &call).await;
        let loads = origin.loads();
        user::invalidate(&cache, 1).await.unwrap();
        assert_eq!(call().await, loads + 1);
        is_local(&cache, &call).await;
        cache.delete_prefix("local.user").await.unwrap();
        assert_eq!(call().await, loads + 2);
        is_local(&cache, &call).await;
        cache.set_json(&key, &77).ttl("5m").await.unwrap();
        assert_eq!(call().await, 77);
    }
}

#[tokio::test]
async fn a_local_value_goes_with_its_tag() {
    let (_redis, cache, other) = two_caches(options).await;
    let origin = Origin::default();
    let call = async || tagged(&cache, 1, &origin).await.unwrap();
    is_local(&cache, &call).await;
    other.invalidate_tag("org:1").await.unwrap();
    eventually("the next value is loaded", async || call().await == 2).await;
    is_local(&cache, &call).await;
    cache.invalidate_tag("org:1").await.unwrap();
    assert_eq!(call().await, 3);
    is_local(&cache, &call).await;
    cache.invalidate_tag("org:2").await.unwrap();
    assert_eq!(call().await, 3);
}

#[tokio::test]
async fn a_local_value_ends_with_its_own_time() {
    let (_redis, cache, other) = two_caches(options).await;
    let origin = Origin::default();
    let call = async || short(&cache, &origin).await.unwrap();
    is_local(&cache, &call).await;
    // Past the cache, and unseen by it: only the end of the local time shows it.
    let before = reads(&other).await;
    eventually("Redis is asked again", async || {
        call().await;
        reads(&other).await > before
    })
    .await;
    assert_eq!(call().await, 1);
}

/// While the connection is down, changes go untold; what was kept before is not served after.
#[tokio::test]
async fn the_tier_is_emptied_when_its_connection_breaks() {
    let (_redis, cache, other) = two_caches(options).await;
    let origin = Origin::default();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    for _ in 0..3 {
        is_local(&cache, &call).await;
        let kept = call().await;
        let _: i64 = raw(
            &other,
            "CLIENT",
            &["KILL", "TYPE", "normal", "SKIPME", "yes"],
        )
        .await;
        eventually("the value is deleted", async || {
            user::invalidate(&other, 1).await.is_ok()
        })
        .await;
        eventually("the next value is loaded", async || call().await != kept).await;
        eventually("the connections are back", async || {
            cache.ping().await.is_ok()
        })
        .await;
    }
    is_local(&cache, &call).await;
}

#[tokio::test]
async fn a_restarted_server_is_not_hidden_by_what_was_kept() {
    let (server, cache) = redis(impatient()).await;
    let origin = Origin::default();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    is_local(&cache, &call).await;
    server.kill().await.unwrap();
    eventually("nothing of the tier is served", async || call().await > 1).await;
    server.restart().await.unwrap();
    eventually("the tier serves again", async || {
        let first = call().await;
        let loads = origin.loads();
        for _ in 0..20 {
            if call().await != first {
                return false;
            }
        }
        origin.loads() == loads
    })
    .await;
}

/// A server that is frozen closes no connection; changes could go untold for as long as it is.
#[tokio::test]
async fn a_frozen_server_turns_the_tier_off() {
    let (server, cache) = redis(impatient()).await;
    let origin = Origin::default();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    is_local(&cache, &call).await;
    server.pause().await.unwrap();
    eventually("nothing of the tier is served", async || call().await > 1).await;
    server.resume().await.unwrap();
}

/// The driver drops the notice of it, so that the canary tells.
#[tokio::test]
async fn an_emptied_server_empties_the_tier() {
    let (_redis, cache, other) = two_caches(options).await;
    let origin = Origin::default();
    let call = async || user(&cache, 1, &origin).await.unwrap();
    is_local(&cache, &call).await;
    let _: String = raw(&other, "FLUSHALL", &[]).await;
    eventually("the next value is loaded", async || call().await == 2).await;
}

/// A reader whose answer is on its way when the key is deleted must not keep the old value.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_races_with_a_change_keeps_nothing_old() {
    let (_redis, cache, other) = two_caches(options).await;
    let origin = Origin::default();
    let key = user::key(1).unwrap();
    is_local(&cache, async || user(&cache, 1, &origin).await.unwrap()).await;
    for version in 1_000..1_300 {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (cache, origin) = (cache.clone(), origin.clone());
                tokio::spawn(async move {
                    for _ in 0..10 {
                        user(&cache, 1, &origin).await.unwrap();
                    }
                })
            })
            .collect();
        other.set_json(&key, &version).ttl("5m").await.unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
        eventually("the last value is served", async || {
            user(&cache, 1, &origin).await == Ok(version)
        })
        .await;
    }
}

#[tokio::test]
async fn on_a_cluster_every_primary_tells() {
    let servers = RedisCluster::start().await.unwrap();
    let cache = Cache::connect_with(&servers.url(), options())
        .await
        .unwrap();
    let other = Cache::connect_with(&servers.url(), options())
        .await
        .unwrap();
    let origin = Origin::default();
    let mut before = Vec::new();
    for id in 0..60 {
        before.push(user(&cache, id, &origin).await.unwrap());
    }
    // Read again, once the tier is live, they are kept.
    eventually("every value is served by this process", async || {
        let reads = reads_of_all(&cache, &servers).await;
        for id in 0..60 {
            user(&cache, id, &origin).await.unwrap();
        }
        reads_of_all(&cache, &servers).await == reads
    })
    .await;
    for id in 0..60 {
        assert_eq!(user(&cache, id, &origin).await, Ok(before[id as usize]));
    }
    for id in 0..60 {
        assert!(user::invalidate(&other, id).await.unwrap());
        eventually("the next value is loaded", async || {
            user(&cache, id, &origin).await.unwrap() > before[id as usize]
        })
        .await;
    }
}

/// In process there is nothing to save, and nobody to tell.
#[tokio::test]
async fn in_process_the_option_changes_nothing() {
    let cache = Cache::in_process();
    let origin = Origin::default();
    assert_eq!(user(&cache, 1, &origin).await, Ok(1));
    assert_eq!(user(&cache, 1, &origin).await, Ok(1));
    assert!(user::invalidate(&cache, 1).await.unwrap());
    assert_eq!(user(&cache, 1, &origin).await, Ok(2));
}
