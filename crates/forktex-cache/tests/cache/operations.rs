// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The typed operations: the same answers from a server, a cluster and this process.

use std::time::Duration;

use forktex_cache::{Cache, CacheError, Key, KeyError, Namespace, TimeToLive};
use serde::{Deserialize, Serialize};

use crate::setup::{Fixture, eventually, fixtures, key, options, raw, redis};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    age: u8,
}

fn ada() -> Profile {
    Profile {
        name: "Ada".to_owned(),
        age: 36,
    }
}

#[tokio::test]
async fn each_store_answers_the_same() {
    for Fixture {
        name,
        cache,
        ground,
    } in fixtures().await
    {
        values(&cache).await;
        conditions(&cache).await;
        times(&cache).await;
        numbers(&cache).await;
        many(&cache).await;
        refusals(&cache).await;
        eprintln!("{name}: done");
        drop(ground);
    }
}

async fn values(cache: &Cache) {
    let key = key("user", "values");
    assert_eq!(cache.get_json::<Profile>(&key).await.unwrap(), None);
    assert!(!cache.exists(&key).await.unwrap());
    assert!(cache.set_json(&key, &ada()).ttl("5m").await.unwrap());
    assert_eq!(cache.get_json::<Profile>(&key).await.unwrap(), Some(ada()));
    assert!(cache.exists(&key).await.unwrap());

    // What is absent and what is null are told apart.
    assert!(cache.set_json(&key, &None::<u8>).await.unwrap());
    assert_eq!(
        cache.get_json::<Option<u8>>(&key).await.unwrap(),
        Some(None)
    );

    assert!(cache.delete(&key).await.unwrap());
    assert!(!cache.delete(&key).await.unwrap());
    assert_eq!(cache.get_json::<Profile>(&key).await.unwrap(), None);
}

async fn conditions(cache: &Cache) {
    let key = key("user", "conditions");
    assert!(!cache.set_json(&key, &1).if_present().await.unwrap());
    assert!(
        cache
            .set_json(&key, &2)
            .if_absent()
            .ttl("5m")
            .await
            .unwrap()
    );
    assert!(!cache.set_json(&key, &3).if_absent().await.unwrap());
    assert_eq!(cache.get_json(&key).await.unwrap(), Some(2));
    assert!(cache.set_json(&key, &4).if_present().await.unwrap());
    assert_eq!(cache.get_json(&key).await.unwrap(), Some(4));
}

async fn times(cache: &Cache) {
    let key = key("user", "times");
    assert_eq!(cache.ttl(&key).await.unwrap(), TimeToLive::Absent);
    assert!(!cache.expire(&key, "5m").await.unwrap());
    cache.set_json(&key, &1).await.unwrap();
    assert_eq!(cache.ttl(&key).await.unwrap(), TimeToLive::Unlimited);
    assert!(cache.expire(&key, "5m").await.unwrap());
    match cache.ttl(&key).await.unwrap() {
        TimeToLive::Left(left) => {
            assert!(
                left > Duration::from_secs(200) && left <= Duration::from_mins(5),
                "{left:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(cache.persist(&key).await.unwrap());
    assert!(!cache.persist(&key).await.unwrap());
    assert_eq!(cache.ttl(&key).await.unwrap(), TimeToLive::Unlimited);

    // Less than a millisecond counts as one, and not as for ever.
    cache
        .set_json(&key, &1)
        .ttl(Duration::from_nanos(1))
        .await
        .unwrap();
    eventually("the value goes by itself", async || {
        !cache.exists(&key).await.unwrap()
    })
    .await;
}

async fn numbers(cache: &Cache) {
    let number = key("visits", "numbers");
    assert_eq!(cache.incr(&number).await.unwrap(), 1);
    assert_eq!(cache.incr(&number).by(41).await.unwrap(), 42);
    assert_eq!(cache.incr(&number).by(-50).await.unwrap(), -8);
    // A number that is there keeps its time.
    cache.incr(&number).ttl("5m").await.unwrap();
    assert_eq!(cache.ttl(&number).await.unwrap(), TimeToLive::Unlimited);
    cache.delete(&number).await.unwrap();
    // Exact where a double is not.
    let large = (1 << 53) + 1;
    assert_eq!(
        cache.incr(&number).by(large).ttl("5m").await.unwrap(),
        large
    );
    assert!(matches!(
        cache.ttl(&number).await.unwrap(),
        TimeToLive::Left(_)
    ));
    assert_eq!(cache.get_json::<i64>(&number).await.unwrap(), Some(large));

    let error = cache.incr(&number).by(i64::MAX).await.unwrap_err();
    assert!(
        matches!(&error, CacheError::Rejected { code, .. } if code == "ERR"),
        "{error:?}"
    );
    let text = key("visits", "text");
    cache.set_json(&text, "many").await.unwrap();
    for error in [
        cache.incr(&text).await.unwrap_err(),
        cache.incr(&text).ttl("5m").await.unwrap_err(),
    ] {
        assert!(matches!(error, CacheError::WrongType { .. }), "{error:?}");
    }
}

async fn many(cache: &Cache) {
    let namespace = Namespace::new("many");
    // Enough for each primary of a cluster, and for more than one command.
    let keys: Vec<Key> = (0..1_200).map(|n| namespace.key(n).unwrap()).collect();
    let even = keys.iter().enumerate().step_by(2);
    let values = even.map(|(n, key)| (key, n));
    cache.mset(values).ttl("5m").await.unwrap();
    let read = cache.mget::<usize>(&keys).await.unwrap();
    for (n, value) in read.into_iter().enumerate() {
        assert_eq!(value, (n % 2 == 0).then_some(n));
    }
    assert!(matches!(
        cache.ttl(&keys[0]).await.unwrap(),
        TimeToLive::Left(_)
    ));
    assert_eq!(cache.delete_many(&keys).await.unwrap(), 600);
    assert!(
        cache
            .mget::<usize>(&keys)
            .await
            .unwrap()
            .iter()
            .all(Option::is_none)
    );

    assert!(cache.mget::<u8>(&[]).await.unwrap().is_empty());
    cache.mset(Vec::<(Key, u8)>::new()).await.unwrap();
    assert_eq!(cache.delete_many(&[]).await.unwrap(), 0);
}

async fn refusals(cache: &Cache) {
    let key = key("user", "refusals");
    cache.set_json(&key, &ada()).ttl("5m").await.unwrap();
    // A value that does not fit is an error, and stays.
    let error = cache.get_json::<u32>(&key).await.unwrap_err();
    assert!(
        matches!(
            &error,
            CacheError::Decode {
                type_name: "u32",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("user:refusals"), "{error}");
    let error = cache
        .mget::<u32>(std::slice::from_ref(&key))
        .await
        .unwrap_err();
    assert!(matches!(error, CacheError::Decode { .. }), "{error:?}");

    let large = "x".repeat(8 * 1024 * 1024);
    for error in [
        cache.set_json(&key, &large).await.unwrap_err(),
        cache.mset([(&key, &large)]).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, CacheError::TooLarge { max: 8_388_608, .. }),
            "{error:?}"
        );
    }
    let error = cache.set_json(&key, &1).ttl("soon").await.unwrap_err();
    assert!(matches!(error, CacheError::Duration(_)), "{error:?}");
    let error = cache.expire(&key, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, CacheError::Duration(_)), "{error:?}");
    let tuple_keys = std::collections::HashMap::from([((1, 2), 3)]);
    let error = cache.set_json(&key, &tuple_keys).await.unwrap_err();
    assert!(matches!(error, CacheError::Encode { .. }), "{error:?}");
    assert_eq!(cache.get_json::<Profile>(&key).await.unwrap(), Some(ada()));
}

#[tokio::test]
async fn what_is_stored_is_bare_json_under_the_prefix() {
    let (_server, cache) = redis(options().prefix("billing")).await;
    let key = key("user.profile", "a:b*");
    cache.set_json(&key, &ada()).ttl("5m").await.unwrap();
    let stored: String = raw(&cache, "GET", &["billing:user.profile:a%3Ab%2A"]).await;
    assert_eq!(stored, r#"{"name":"Ada","age":36}"#);
    // A program in another language writes it; this reads it.
    let () = raw(
        &cache,
        "SET",
        &["billing:user.profile:other", r#"{"age": 1, "name": "é"}"#],
    )
    .await;
    let other = cache
        .get_json::<Profile>(&crate::setup::key("user.profile", "other"))
        .await;
    assert_eq!(other.unwrap().unwrap().name, "é");
}

#[tokio::test]
async fn a_list_is_no_value_and_an_empty_text_is_no_json() {
    let (_server, cache) = redis(options()).await;
    let () = raw(&cache, "LPUSH", &["user:list", "1"]).await;
    let () = raw(&cache, "SET", &["user:empty", ""]).await;
    let () = raw(&cache, "SET", &["user:broken", "\u{1}{broken"]).await;
    let list = key("user", "list");
    for error in [
        cache.get_json::<u8>(&list).await.unwrap_err(),
        cache.incr(&list).await.unwrap_err(),
        cache.incr(&list).ttl("5m").await.unwrap_err(),
    ] {
        assert!(matches!(error, CacheError::WrongType { .. }), "{error:?}");
    }
    let error = cache
        .get_json::<u8>(&key("user", "empty"))
        .await
        .unwrap_err();
    assert!(matches!(error, CacheError::Decode { .. }), "{error:?}");
    assert_eq!(
        cache.get_json::<u8>(&key("user", "broken")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_refused_write_is_told_by_its_code_and_is_no_outage() {
    let (_server, cache) = redis(options()).await;
    let () = raw(&cache, "CONFIG SET", &["maxmemory", "1"]).await;
    let key = key("user", "1");
    for _ in 0..10 {
        let error = cache.set_json(&key, &1).await.unwrap_err();
        assert!(
            matches!(&error, CacheError::Rejected { code, .. } if code == "OOM"),
            "{error:?}"
        );
        assert!(!error.is_outage());
    }
    // It does not count towards the circuit breaker.
    assert_eq!(cache.get_json::<u8>(&key).await.unwrap(), None);
}

#[tokio::test]
async fn scripts_are_sent_again_to_a_server_that_forgot_them() {
    let (server, cache) = redis(options()).await;
    let key = key("user", "1");
    cache.set_json(&key, &1).await.unwrap();
    let () = raw(&cache, "SCRIPT FLUSH", &[]).await;
    assert!(cache.set_json(&key, &2).await.unwrap());
    server.restart().await.unwrap();
    eventually("it is connected again", async || {
        cache.set_json(&key, &3).await.is_ok()
    })
    .await;
    assert_eq!(cache.get_json(&key).await.unwrap(), Some(3));
}

#[test]
fn bad_parts_of_keys_are_typed_errors() {
    let namespace = Namespace::new("user");
    let empty = namespace.key(("a", "")).unwrap_err();
    assert!(matches!(empty, KeyError::Empty { index: 1, .. }), "{empty}");
    let missing = namespace.key(None::<u8>).unwrap_err();
    assert!(
        matches!(missing, KeyError::Missing { index: 0, .. }),
        "{missing}"
    );
}
