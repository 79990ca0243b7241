// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a `#[cached]` function answers, and how often it runs: on Redis, on a cluster and in process.

use std::convert::Infallible;

use forktex_cache::{Cache, KeyError, Namespace, cached};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::origin::{Broken, Origin};
use crate::setup::{DEADLINE, fixtures, options, redis};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    org: u32,
    id: String,
    load: usize,
}

#[cached(ttl = "5m", namespace = "call.user", skip(origin))]
async fn user(cache: &Cache, org: u32, id: &str, origin: &Origin) -> Result<User, Broken> {
    Ok(User {
        org,
        id: id.to_owned(),
        load: origin.load().await?,
    })
}

#[cached(ttl = "5m", namespace = "call.plain", skip(origin))]
async fn plain(cache: &Cache, id: u32, origin: &Origin) -> usize {
    origin.load().await.unwrap()
}

type Answer<T> = Result<T, Broken>;

#[cached(ttl = "5m", namespace = "call.maybe", skip(origin))]
async fn maybe(cache: &Cache, id: u32, origin: &Origin) -> Answer<Option<usize>> {
    let number = origin.load().await?;
    Ok((id > 0).then_some(number))
}

#[cached(
    ttl = "5m",
    negative_ttl = "5m",
    namespace = "call.absent",
    skip(origin)
)]
async fn absent(cache: &Cache, id: u32, origin: &Origin) -> Option<Option<u8>> {
    origin.load().await.ok()?;
    // Written, it would look like the value of 1.
    (id == 1).then_some(None)
}

#[cached(ttl = "5m", namespace = "call.tagged", tags = ("org:{org}", origin_tag()), skip(origin))]
async fn tagged(cache: &Cache, org: u32, origin: &Origin) -> Option<usize> {
    origin.load().await.ok()
}

fn origin_tag() -> &'static str {
    "origin"
}

#[cached(ttl = "5m", namespace = "call.all")]
async fn all(cache: &Cache) -> String {
    "all".to_owned()
}

#[cached(ttl = "5m", namespace = "call.row", key = (id), version = 3)]
async fn row<T>(cache: &Cache, id: u32, value: T) -> Result<T, Infallible>
where
    T: Serialize + DeserializeOwned + Send,
{
    Ok(value)
}

#[derive(Clone)]
struct Users {
    cache: Cache,
    tenant: u32,
    origin: Origin,
}

impl Users {
    #[cached(ttl = "5m", namespace = "call.method", cache = self.cache, key = (self.tenant, id))]
    async fn find(&self, id: &str) -> Answer<usize> {
        let _ = id;
        self.origin.load().await
    }

    #[cached(ttl = "5m", namespace = "call.shared", skip(self), stale = "1h")]
    async fn shared(&self, cache: &Cache, id: u32) -> Answer<usize> {
        let _ = (cache, id);
        self.origin.load().await
    }
}

#[tokio::test]
async fn a_value_is_loaded_once_for_each_key_and_again_after_it_is_invalidated() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::default();
        let first = user(cache, 1, "ada", &origin).await.unwrap();
        assert_eq!(user(cache, 1, "ada", &origin).await, Ok(first), "{name}");
        assert_eq!(
            user(cache, 1, "bob", &origin).await.unwrap().load,
            2,
            "{name}"
        );
        assert_eq!(
            user(cache, 2, "ada", &origin).await.unwrap().load,
            3,
            "{name}"
        );
        assert_eq!(user::key(1, "a b").unwrap().as_str(), "call.user:1:a%20b");
        assert!(user::invalidate(cache, 1, "ada").await.unwrap(), "{name}");
        assert!(!user::invalidate(cache, 1, "ada").await.unwrap(), "{name}");
        assert_eq!(
            user(cache, 1, "ada", &origin).await.unwrap().load,
            4,
            "{name}"
        );
        assert_eq!(
            user(cache, 1, "bob", &origin).await.unwrap().load,
            2,
            "{name}"
        );

        // Any program reads what is kept.
        let key = user::key(1, "bob").unwrap();
        assert_eq!(
            cache.get_json::<User>(&key).await.unwrap().unwrap().load,
            2,
            "{name}"
        );

        assert_eq!(all(cache).await, "all");
        assert_eq!(all::key().unwrap().as_str(), "call.all:_");
    }
}

#[tokio::test]
async fn errors_are_not_kept_and_none_only_where_it_is_said() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::default();
        origin.fail(true);
        assert_eq!(
            maybe(cache, 1, &origin).await,
            Err(Broken::Origin),
            "{name}"
        );
        origin.fail(false);
        assert_eq!(maybe(cache, 1, &origin).await, Ok(Some(2)), "{name}");
        assert_eq!(maybe(cache, 1, &origin).await, Ok(Some(2)), "{name}");
        assert_eq!(maybe(cache, 0, &origin).await, Ok(None), "{name}");
        assert_eq!(maybe(cache, 0, &origin).await, Ok(None), "{name}");
        assert_eq!(origin.loads(), 4, "{name}");

        let origin = Origin::default();
        for _ in 0..3 {
            assert_eq!(absent(cache, 0, &origin).await, None, "{name}");
            assert_eq!(absent(cache, 1, &origin).await, Some(None), "{name}");
        }
        assert_eq!(origin.loads(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_tag_takes_all_values_that_were_written_with_it() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::default();
        for (org, load) in [(1, 1), (2, 2), (1, 1)] {
            assert_eq!(tagged(cache, org, &origin).await, Some(load), "{name}");
        }
        cache.invalidate_tag("org:1").await.unwrap();
        assert_eq!(tagged(cache, 1, &origin).await, Some(3), "{name}");
        assert_eq!(tagged(cache, 2, &origin).await, Some(2), "{name}");
        cache.invalidate_tag("origin").await.unwrap();
        assert_eq!(tagged(cache, 1, &origin).await, Some(4), "{name}");
        assert_eq!(tagged(cache, 2, &origin).await, Some(5), "{name}");
    }
}

/// A tag that is invalidated while a value is loaded takes it as well.
#[tokio::test]
async fn what_is_invalidated_while_it_loads_is_stale_from_the_start() {
    let (_redis, cache) = redis(options()).await;
    for how in ["tag", "delete"] {
        let origin = Origin::gated();
        let loading = tokio::spawn({
            let (cache, origin) = (cache.clone(), origin.clone());
            async move { tagged(&cache, 1, &origin).await }
        });
        origin.loaded(1).await;
        match how {
            "tag" => cache.invalidate_tag("org:1").await.unwrap(),
            _ => assert!(!tagged::invalidate(&cache, 1).await.unwrap()),
        }
        origin.open(2);
        assert_eq!(loading.await.unwrap(), Some(1));
        assert_eq!(tagged(&cache, 1, &origin).await, Some(2), "{how}");
        tagged::invalidate(&cache, 1).await.unwrap();
    }
}

#[tokio::test]
async fn methods_and_generic_functions_have_keys_of_their_own() {
    let cache = Cache::in_process();
    let origin = Origin::default();
    let users = |tenant| Users {
        cache: cache.clone(),
        tenant,
        origin: origin.clone(),
    };
    assert_eq!(users(1).find("a").await, Ok(1));
    assert_eq!(users(1).find("a").await, Ok(1));
    assert_eq!(users(2).find("a").await, Ok(2));
    assert_eq!(users(2).find_key("a").unwrap().as_str(), "call.method:2:a");
    assert!(users(2).find_invalidate("a").await.unwrap());
    assert_eq!(users(2).find("a").await, Ok(3));
    assert_eq!(users(1).shared(&cache, 7).await, Ok(4));
    assert_eq!(users(2).shared(&cache, 7).await, Ok(4));
    assert!(users(3).shared_invalidate(&cache, 7).await.unwrap());

    assert_eq!(row(&cache, 1, 5_u8).await, Ok(5));
    assert_eq!(
        row(&cache, 1, "text".to_owned()).await,
        Ok("text".to_owned())
    );
    assert_eq!(row(&cache, 1, 6_u8).await, Ok(5));
    assert_eq!(row::key::<u8>(1).unwrap().as_str(), "call.row:v3:1:u8");
}

#[tokio::test]
async fn a_stored_value_that_does_not_fit_is_replaced() {
    for fixture in fixtures().await {
        let (cache, name) = (&fixture.cache, fixture.name);
        let origin = Origin::default();
        let key = user::key(1, "ada").unwrap();
        cache
            .set_json(&key, &["another shape"])
            .ttl("5m")
            .await
            .unwrap();
        assert_eq!(
            user(cache, 1, "ada", &origin).await.unwrap().load,
            1,
            "{name}"
        );
        assert_eq!(
            user(cache, 1, "ada", &origin).await.unwrap().load,
            1,
            "{name}"
        );
        assert_eq!(
            cache.get_json::<User>(&key).await.unwrap().unwrap().load,
            1,
            "{name}"
        );
    }
}

#[cached(ttl = "5m", namespace = "call.closed", fail_closed, skip(origin))]
async fn closed(cache: &Cache, id: &str, origin: &Origin) -> Answer<usize> {
    let _ = id;
    origin.load().await
}

#[tokio::test]
async fn an_empty_argument_is_loaded_and_not_kept_or_refused() {
    let cache = Cache::in_process();
    let origin = Origin::default();
    assert_eq!(user(&cache, 1, "", &origin).await.unwrap().load, 1);
    assert_eq!(user(&cache, 1, "", &origin).await.unwrap().load, 2);
    assert!(matches!(
        user::key(1, ""),
        Err(KeyError::Empty { index: 1, .. })
    ));
    assert_eq!(closed(&cache, "", &origin).await, Err(Broken::Key));
    assert_eq!(closed(&cache, "a", &origin).await, Ok(3));
    assert!(closed::key("a").unwrap().namespace().fails_closed());
    assert_eq!(
        *user::key(1, "a").unwrap().namespace(),
        Namespace::new("call.user")
    );
}

#[tokio::test]
async fn two_versions_of_a_function_do_not_read_each_other() {
    let cache = Cache::in_process();
    let key = Namespace::new("call.row")
        .version(2)
        .key((1, "u8"))
        .unwrap();
    cache.set_json(&key, &9).await.unwrap();
    assert_eq!(row(&cache, 1, 5_u8).await, Ok(5));
    assert_eq!(cache.get_json(&key).await.unwrap(), Some(9));
}

/// A future of a cached function can be spawned, whatever the function borrows.
#[tokio::test]
async fn calls_can_be_spawned() {
    let cache = Cache::in_process();
    let users = Users {
        cache: cache.clone(),
        tenant: 1,
        origin: Origin::default(),
    };
    let spawned = tokio::spawn(async move {
        let found = users.find("a").await;
        let shared = users.shared(&users.cache, 1).await;
        (found, shared)
    });
    let answers = tokio::time::timeout(DEADLINE, spawned).await;
    assert_eq!(answers.unwrap().unwrap(), (Ok(1), Ok(2)));
}

/// Futures stand inside of each other, and on the stacks of those who poll them.
#[test]
fn the_future_of_a_call_is_small() {
    let cache = Cache::in_process();
    let origin = Origin::default();
    let read = size_of_val(&cache.get_json::<User>(&user::key(1, "a").unwrap()));
    let call = size_of_val(&plain(&cache, 1, &origin));
    assert!(read <= 2_048 && call <= 4_096, "{read} and {call} bytes");
}
