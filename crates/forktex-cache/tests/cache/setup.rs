// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the tests stand on: a cache on each kind of store, and waiting for what must happen.

use std::time::Duration;

use forktex_cache::fred::interfaces::ClientLike as _;
use forktex_cache::fred::types::{ClusterHash, CustomCommand, FromValue};
use forktex_cache::{Cache, CacheOptions, Key, Namespace};
use forktex_testkit::{Redis, RedisCluster, RedisOptions};

/// Nothing that must happen takes longer, however busy the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Patient, so that a busy machine is no outage.
pub(crate) fn options() -> CacheOptions {
    CacheOptions::new()
        .connections(2)
        .connect_timeout(Duration::from_secs(20))
        .command_timeout(Duration::from_secs(20))
}

/// Impatient, for tests of what happens when Redis does not answer.
pub(crate) fn impatient() -> CacheOptions {
    options().command_timeout(Duration::from_millis(200))
}

/// A private server, and a cache on it.
pub(crate) async fn redis(options: CacheOptions) -> (Redis, Cache) {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let cache = Cache::connect_with(redis.url(), options).await.unwrap();
    (redis, cache)
}

/// What a cache of a [`Fixture`] stands on.
pub(crate) enum Ground {
    Redis { _server: Redis },
    Cluster { _servers: RedisCluster },
    Process,
}

/// The same suite runs on each of these.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) cache: Cache,
    pub(crate) ground: Ground,
}

/// A cache on a server, on a cluster and in process, each with a prefix.
pub(crate) async fn fixtures() -> Vec<Fixture> {
    let options = || options().prefix("billing");
    let server = Redis::start(RedisOptions::new()).await.unwrap();
    let servers = RedisCluster::start().await.unwrap();
    vec![
        Fixture {
            name: "redis",
            cache: Cache::connect_with(server.url(), options()).await.unwrap(),
            ground: Ground::Redis { _server: server },
        },
        Fixture {
            name: "cluster",
            cache: Cache::connect_with(&servers.url(), options())
                .await
                .unwrap(),
            ground: Ground::Cluster { _servers: servers },
        },
        Fixture {
            name: "in process",
            cache: Cache::in_process_with(&options()).unwrap(),
            ground: Ground::Process,
        },
    ]
}

pub(crate) fn key(namespace: &'static str, part: &str) -> Key {
    Namespace::new(namespace).key(part).unwrap()
}

/// Sends a command past the cache.
pub(crate) async fn raw<T: FromValue>(cache: &Cache, name: &'static str, arguments: &[&str]) -> T {
    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    let client = cache.client().expect("a cache on Redis").next_connected();
    client
        .custom(command, arguments.iter().map(ToString::to_string).collect())
        .await
        .unwrap()
}

/// Asks again until the answer is yes, or panics at the deadline.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, poll).await.is_ok(),
        "never happened: {what}"
    );
}
