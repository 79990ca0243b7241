// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deleting by prefix and by pattern: what is taken, and what never is.

use forktex_cache::{Cache, CacheError, Namespace};

use crate::setup::{Fixture, fixtures, key, options, raw, redis};

#[tokio::test]
async fn c55_a_prefix_takes_whole_segments_on_each_store() {
    for Fixture {
        name,
        cache,
        ground,
    } in fixtures().await
    {
        prefixes(&cache).await;
        patterns(&cache).await;
        namespaces(&cache).await;
        eprintln!("{name}: done");
        drop(ground);
    }
}

async fn put(cache: &Cache, keys: &[(&'static str, &str)]) {
    for (namespace, part) in keys {
        cache
            .set_json(&key(namespace, part), &1)
            .ttl("5m")
            .await
            .unwrap();
    }
}

async fn is_there(cache: &Cache, namespace: &'static str, part: &str) -> bool {
    cache.exists(&key(namespace, part)).await.unwrap()
}

/// The conformance case: `user` takes `user` and `user:1`, never `username`.
async fn prefixes(cache: &Cache) {
    put(
        cache,
        &[
            ("user", "1"),
            ("user", "2"),
            ("user:deep", "3"),
            ("username", "1"),
        ],
    )
    .await;
    put(
        cache,
        &[("user.dot", "1"), ("user-dash", "1"), ("other", "user")],
    )
    .await;
    // What cannot be made as a key is there as well, where the store is a server.
    if cache.client().is_some() {
        let () = raw(cache, "SET", &["billing:user", "1"]).await;
        let () = raw(cache, "SET", &["user:of-another-service", "1"]).await;
    }
    let exact = u64::from(cache.client().is_some());
    assert_eq!(cache.delete_prefix("user").await.unwrap(), 3 + exact);
    for (namespace, part) in [
        ("username", "1"),
        ("user.dot", "1"),
        ("user-dash", "1"),
        ("other", "user"),
    ] {
        assert!(is_there(cache, namespace, part).await, "{namespace}:{part}");
    }
    assert!(!is_there(cache, "user", "1").await && !is_there(cache, "user:deep", "3").await);
    if cache.client().is_some() {
        let there: bool = raw(cache, "EXISTS", &["user:of-another-service"]).await;
        assert!(there, "the prefix of the cache holds");
        let there: bool = raw(cache, "EXISTS", &["billing:user"]).await;
        assert!(!there);
    }
    assert_eq!(cache.delete_prefix("user").await.unwrap(), 0);

    for empty in ["", ":"] {
        let error = cache.delete_prefix(empty).await.unwrap_err();
        assert!(matches!(error, CacheError::EmptyPrefix), "{error:?}");
    }
    // Nothing in a prefix is a wildcard.
    put(cache, &[("user", "1")]).await;
    for literal in ["use?", "us*", "[u]ser", "u[a-z]er", "\\user"] {
        assert_eq!(cache.delete_prefix(literal).await.unwrap(), 0, "{literal}");
    }
    assert_eq!(cache.delete_prefix("user:").await.unwrap(), 1);
}

async fn patterns(cache: &Cache) {
    let user = Namespace::new("user");
    for id in 0..50 {
        for part in ["avatar", "name"] {
            let key = user.key((id, part)).unwrap();
            cache.set_json(&key, &1).ttl("5m").await.unwrap();
        }
    }
    // Characters of globs in parts are literal: they stand escaped in keys.
    put(cache, &[("user", "*"), ("user", "[a-z]"), ("user", "?")]).await;
    assert_eq!(cache.delete_pattern("user:*:avatar").await.unwrap(), 50);
    assert_eq!(cache.delete_pattern("user:?:name").await.unwrap(), 10);
    assert_eq!(cache.delete_pattern("user:[0-9]*").await.unwrap(), 0);
    assert_eq!(cache.delete_pattern("user:%2A").await.unwrap(), 1);
    assert_eq!(cache.delete_pattern("user:*").await.unwrap(), 42);

    for broad in ["", "*", "?", "*:avatar"] {
        let error = cache.delete_pattern(broad).await.unwrap_err();
        assert!(
            matches!(error, CacheError::TooBroad { .. }),
            "{broad}: {error:?}"
        );
    }
}

async fn namespaces(cache: &Cache) {
    let (all, v2) = (Namespace::new("doc"), Namespace::new("doc").version(2));
    for key in [all.key(1), v2.key(1), v2.key(2)] {
        cache.set_json(&key.unwrap(), &1).ttl("5m").await.unwrap();
    }
    assert_eq!(cache.delete_namespace(&v2).await.unwrap(), 2);
    assert!(cache.exists(&all.key(1).unwrap()).await.unwrap());
    assert_eq!(cache.delete_namespace(&all).await.unwrap(), 1);
    let error = cache
        .delete_namespace(&Namespace::new("*"))
        .await
        .unwrap_err();
    assert!(matches!(error, CacheError::Key(_)), "{error:?}");
}

#[tokio::test]
async fn many_pages_are_deleted_to_the_last_key() {
    let (_server, cache) = redis(options()).await;
    let namespace = Namespace::new("many");
    let values = (0..9_000).map(|n| (namespace.key(n).unwrap(), n));
    cache.mset(values).ttl("5m").await.unwrap();
    put(&cache, &[("kept", "1")]).await;
    assert_eq!(cache.delete_prefix("many").await.unwrap(), 9_000);
    let left: i64 = raw(&cache, "DBSIZE", &[]).await;
    assert_eq!(left, 1);
}

#[tokio::test]
async fn keys_that_are_no_text_are_deleted_too() {
    let (_server, cache) = redis(options()).await;
    let script = "return redis.call('SET', 'user:' .. string.char(255, 0, 254), '1')";
    let () = raw(&cache, "EVAL", &[script, "0"]).await;
    assert_eq!(cache.delete_prefix("user").await.unwrap(), 1);
}
