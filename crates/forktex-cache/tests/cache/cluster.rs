// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Three primaries: keys of all slots, a slot that moves, a node that dies.

use std::time::Duration;

use forktex_cache::fred::interfaces::{ClientLike as _, ClusterInterface as _, KeysInterface as _};
use forktex_cache::fred::types::config::{Options, Server};
use forktex_cache::fred::types::{ClusterHash, CustomCommand, FromValue};
use forktex_cache::fred::util::redis_keyslot;
use forktex_cache::{Cache, Key, Namespace};
use forktex_testkit::RedisCluster;

use crate::setup::{eventually, options};

async fn cluster() -> (RedisCluster, Cache) {
    let cluster = RedisCluster::start().await.unwrap();
    let cache = Cache::connect_with(&cluster.url(), options())
        .await
        .unwrap();
    (cluster, cache)
}

/// Sends a command to one node.
pub(crate) async fn at<T: FromValue>(
    cache: &Cache,
    port: u16,
    name: &'static str,
    arguments: &[&str],
) -> T {
    let client = cache.client().unwrap().next_connected();
    let node = client.with_cluster_node(Server::new("127.0.0.1", port));
    let command = CustomCommand::new_static(name, ClusterHash::Random, false);
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    node.custom(command, arguments).await.unwrap()
}

pub(crate) fn ports(cluster: &RedisCluster) -> Vec<u16> {
    cluster
        .nodes()
        .iter()
        .map(|node| node.address().port())
        .collect()
}

#[tokio::test]
async fn a_delete_by_prefix_scans_every_primary() {
    let (cluster, cache) = cluster().await;
    let namespace = Namespace::new("user");
    let values = (0..3_000).map(|n| (namespace.key(n).unwrap(), n));
    cache.mset(values).ttl("5m").await.unwrap();
    for port in ports(&cluster) {
        let keys: i64 = at(&cache, port, "DBSIZE", &[]).await;
        assert!(keys > 500, "{port} has {keys}");
    }
    assert_eq!(cache.delete_prefix("user").await.unwrap(), 3_000);
    for port in ports(&cluster) {
        let keys: i64 = at(&cache, port, "DBSIZE", &[]).await;
        assert_eq!(keys, 0, "{port}");
    }
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let (cluster, cache) = cluster().await;
    let namespace = Namespace::new("user");
    let key = namespace.key("moved").unwrap();
    let slot = redis_keyslot(key.as_str().as_bytes());
    cache
        .set_json(&key, &1)
        .ttl("5m")
        .tags(["org:1"])
        .await
        .unwrap();

    let ports = ports(&cluster);
    let routing = cache
        .client()
        .unwrap()
        .next_connected()
        .cached_cluster_state()
        .unwrap();
    let from = routing.get_server(slot).unwrap().port;
    let to = *ports.iter().find(|port| **port != from).unwrap();
    move_slot(&cache, &ports, slot, from, to, &key).await;

    // By one command, a script, a pipeline and a scan.
    eventually("the value is read where it went", async || {
        matches!(cache.get_json::<u8>(&key).await, Ok(Some(1)))
    })
    .await;
    assert!(cache.set_json(&key, &2).ttl("5m").await.unwrap());
    let keys = [namespace.key("other").unwrap(), key.clone()];
    assert_eq!(cache.mget::<u8>(&keys).await.unwrap(), [None, Some(2)]);
    assert_eq!(cache.delete_pattern("user:m*").await.unwrap(), 1);
}

/// Moves a slot with its one key, as an operator's tool does.
async fn move_slot(cache: &Cache, ports: &[u16], slot: u16, from: u16, to: u16, key: &Key) {
    let slot = slot.to_string();
    let (from_id, to_id): (String, String) = (
        at(cache, from, "CLUSTER MYID", &[]).await,
        at(cache, to, "CLUSTER MYID", &[]).await,
    );
    let () = at(
        cache,
        to,
        "CLUSTER SETSLOT",
        &[&slot, "IMPORTING", &from_id],
    )
    .await;
    let () = at(
        cache,
        from,
        "CLUSTER SETSLOT",
        &[&slot, "MIGRATING", &to_id],
    )
    .await;
    // While it moves, commands are sent on to where the key is.
    assert_eq!(cache.get_json::<u8>(key).await.unwrap(), Some(1));
    let port = to.to_string();
    let () = at(
        cache,
        from,
        "MIGRATE",
        &["127.0.0.1", &port, key.as_str(), "0", "5000"],
    )
    .await;
    assert_eq!(cache.get_json::<u8>(key).await.unwrap(), Some(1));
    let keys = [Namespace::new("user").key("other").unwrap(), key.clone()];
    assert_eq!(cache.mget::<u8>(&keys).await.unwrap(), [None, Some(1)]);
    for port in [to, from]
        .iter()
        .chain(ports.iter().filter(|port| **port != from && **port != to))
    {
        let () = at(cache, *port, "CLUSTER SETSLOT", &[&slot, "NODE", &to_id]).await;
    }
}

/// With one attempt, the driver ends the connection when it is told to ask elsewhere.
#[tokio::test]
async fn a_connection_that_its_driver_gave_up_is_opened_anew() {
    let cluster = RedisCluster::start().await.unwrap();
    let cache = Cache::connect_with(&cluster.url(), options().connections(1))
        .await
        .unwrap();
    let key = Namespace::new("user").key("gone").unwrap();
    let slot = redis_keyslot(key.as_str().as_bytes());
    let client = cache.client().unwrap().next_connected().clone();
    let routing = client.cached_cluster_state().unwrap();
    let from = routing.get_server(slot).unwrap().port;
    let ports = ports(&cluster);
    let to = *ports.iter().find(|port| **port != from).unwrap();
    let to_id: String = at(&cache, to, "CLUSTER MYID", &[]).await;
    let slot = slot.to_string();
    let () = at(
        &cache,
        from,
        "CLUSTER SETSLOT",
        &[&slot, "MIGRATING", &to_id],
    )
    .await;
    let once = Options {
        max_attempts: Some(1),
        ..Options::default()
    };
    let client = client.with_options(&once);
    client
        .get::<Option<String>, _>(key.as_str())
        .await
        .unwrap_err();

    eventually("other keys are served again", async || {
        let ping = cache.ping();
        tokio::time::timeout(Duration::from_millis(500), ping)
            .await
            .is_ok_and(|ping| ping.is_ok())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_dies_is_an_outage_and_comes_back() {
    let cluster = RedisCluster::start().await.unwrap();
    let options = options().command_timeout(Duration::from_millis(300));
    let cache = Cache::connect_with(&cluster.url(), options).await.unwrap();
    let namespace = Namespace::new("user");
    let keys: Vec<Key> = (0..30).map(|n| namespace.key(n).unwrap()).collect();
    let write = async || {
        for key in &keys {
            cache.set_json(key, &1).ttl("5m").await?;
        }
        Ok::<(), forktex_cache::CacheError>(())
    };
    eventually("all keys can be written", async || write().await.is_ok()).await;

    let node = &cluster.nodes()[1];
    node.kill().await.unwrap();
    let error = write().await.unwrap_err();
    assert!(error.is_outage(), "{error:?}");
    let error = cache.delete_prefix("user").await.unwrap_err();
    assert!(error.is_outage(), "{error:?}");

    node.restart().await.unwrap();
    eventually("all keys can be written again", async || {
        write().await.is_ok()
    })
    .await;
    let read = cache.mget::<u8>(&keys).await.unwrap();
    assert!(read.iter().all(Option::is_some), "{read:?}");
}
