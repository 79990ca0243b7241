// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tags: many values invalidated by one write.

use forktex_cache::{Cache, CacheError, Key, KeyError};

use crate::setup::{Fixture, fixtures, key, options, raw, redis};

#[tokio::test]
async fn an_invalidated_tag_takes_its_values_on_each_store() {
    for Fixture {
        name,
        cache,
        ground,
    } in fixtures().await
    {
        one_tag(&cache).await;
        several_tags(&cache).await;
        refusals(&cache).await;
        eprintln!("{name}: done");
        drop(ground);
    }
}

async fn value(cache: &Cache, key: &Key) -> Option<u8> {
    cache.get_json(key).await.unwrap()
}

async fn one_tag(cache: &Cache) {
    let (ada, bob, plain) = (key("user", "ada"), key("user", "bob"), key("user", "plain"));
    cache
        .set_json(&ada, &1)
        .ttl("5m")
        .tags(["org:1"])
        .await
        .unwrap();
    cache
        .set_json(&bob, &2)
        .ttl("5m")
        .tags(["org:2"])
        .await
        .unwrap();
    cache.set_json(&plain, &3).ttl("5m").await.unwrap();
    assert_eq!(value(cache, &ada).await, Some(1));

    cache.invalidate_tag("org:1").await.unwrap();
    assert_eq!(value(cache, &ada).await, None);
    assert_eq!(value(cache, &bob).await, Some(2));
    assert_eq!(value(cache, &plain).await, Some(3));
    let keys = [ada.clone(), bob.clone(), plain.clone()];
    assert_eq!(
        cache.mget::<u8>(&keys).await.unwrap(),
        [None, Some(2), Some(3)]
    );

    // Written again, it counts again.
    cache
        .set_json(&ada, &4)
        .ttl("5m")
        .tags(["org:1"])
        .await
        .unwrap();
    assert_eq!(value(cache, &ada).await, Some(4));
    // A tag that nothing has is invalidated all the same.
    cache.invalidate_tag("org:nobody").await.unwrap();
    assert_eq!(value(cache, &ada).await, Some(4));
}

async fn several_tags(cache: &Cache) {
    let doc = key("doc", "1");
    let tags = ["org:1", "doc:1", "a b*{c}", "org:1"];
    for tag in tags {
        cache.set_json(&doc, &1).ttl("5m").tags(tags).await.unwrap();
        assert_eq!(value(cache, &doc).await, Some(1));
        cache.invalidate_tags([tag]).await.unwrap();
        assert_eq!(value(cache, &doc).await, None, "{tag}");
    }
    cache
        .set_json(&doc, &1)
        .ttl("5m")
        .tags(["x"])
        .tags(["y"])
        .await
        .unwrap();
    cache
        .invalidate_tags(vec!["z".to_owned(), "y".to_owned()])
        .await
        .unwrap();
    assert_eq!(value(cache, &doc).await, None);
}

async fn refusals(cache: &Cache) {
    let doc = key("doc", "refused");
    for error in [
        cache.set_json(&doc, &1).tags([""]).await.unwrap_err(),
        cache.invalidate_tag("").await.unwrap_err(),
        cache.invalidate_tag(&"x".repeat(513)).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, CacheError::Key(KeyError::Tag { .. })),
            "{error:?}"
        );
    }
    let many = || (0..17).map(|n| n.to_string());
    for error in [
        cache.set_json(&doc, &1).tags(many()).await.unwrap_err(),
        cache.invalidate_tags(many()).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, CacheError::InvalidOption { option: "tags", .. }),
            "{error:?}"
        );
    }
    assert!(!cache.exists(&doc).await.unwrap());
}

#[tokio::test]
async fn a_generation_that_was_evicted_does_not_bring_back_what_was_invalidated() {
    let (_server, cache) = redis(options()).await;
    let doc = key("doc", "1");
    cache
        .set_json(&doc, &1)
        .ttl("5m")
        .tags(["org:1"])
        .await
        .unwrap();
    let removed: i64 = raw(&cache, "DEL", &["%tag:org%3A1"]).await;
    assert_eq!(removed, 1);
    assert_eq!(value(&cache, &doc).await, None);
    // Another value makes a new generation, which the old value does not have.
    let other = key("doc", "2");
    cache
        .set_json(&other, &2)
        .ttl("5m")
        .tags(["org:1"])
        .await
        .unwrap();
    assert_eq!(value(&cache, &doc).await, None);
    assert_eq!(value(&cache, &other).await, Some(2));
}

#[tokio::test]
async fn an_invalidation_is_one_write_however_many_values_there_are() {
    let (_server, cache) = redis(options()).await;
    for n in 0..100_u8 {
        let key = key("doc", &n.to_string());
        cache
            .set_json(&key, &n)
            .ttl("5m")
            .tags(["org:1"])
            .await
            .unwrap();
    }
    let () = raw(&cache, "CONFIG RESETSTAT", &[]).await;
    cache.invalidate_tag("org:1").await.unwrap();
    let stats: String = raw(&cache, "INFO", &["commandstats"]).await;
    let calls = |command: &str| stats.contains(&format!("cmdstat_{command}:calls=1,"));
    assert!(calls("set") && !stats.contains("cmdstat_unlink"), "{stats}");
}
