// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The layer, before a router of axum.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};
use forktex_cache::{
    Cache, CacheOptions, Decision, LimitError, Outage, RateLimitLayer, RateLimiter,
};
use forktex_testkit::{Redis, RedisOptions};
use tower::ServiceExt as _;

fn by_account(request: &Request<Body>) -> Option<String> {
    let account = request.headers().get("x-account");
    account?.to_str().ok().map(str::to_owned)
}

fn request(account: Option<&str>) -> Request<Body> {
    let mut request = Request::get("/");
    if let Some(account) = account {
        request = request.header("x-account", account);
    }
    request.body(Body::empty()).unwrap()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    let value = response.headers().get(name)?;
    Some(value.to_str().unwrap())
}

/// A router that counts what reaches it.
fn counting() -> (Router, Arc<AtomicU32>) {
    let reached = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reached);
    let handler = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { "hello" }
    };
    (Router::new().route("/", get(handler)), reached)
}

async fn tells_and_refuses(cache: Cache) {
    let limiter = RateLimiter::sliding_window("login").limit(2).window("60s");
    let (router, reached) = counting();
    let router = router.layer(RateLimitLayer::new(limiter, cache, by_account).unwrap());

    for left in ["1", "0"] {
        let response = router.clone().oneshot(request(Some("7"))).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            header(&response, "ratelimit-policy"),
            Some("\"login\";q=2;w=60")
        );
        let state = format!("\"login\";r={left};t=60");
        assert_eq!(header(&response, "ratelimit"), Some(state.as_str()));
        assert_eq!(header(&response, "ratelimit-limit"), Some("2"));
        assert_eq!(header(&response, "ratelimit-remaining"), Some(left));
        assert_eq!(header(&response, "ratelimit-reset"), Some("60"));
        assert_eq!(header(&response, "retry-after"), None);
    }
    let refused = router.clone().oneshot(request(Some("7"))).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), Some("60"));
    assert_eq!(header(&refused, "ratelimit"), Some("\"login\";r=0;t=60"));
    assert_eq!(header(&refused, "ratelimit-remaining"), Some("0"));
    assert!(to_bytes(refused.into_body(), 1).await.unwrap().is_empty());
    assert_eq!(reached.load(Ordering::Relaxed), 2);

    let other = router.clone().oneshot(request(Some("8"))).await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
    let keyless = router.oneshot(request(None)).await.unwrap();
    assert_eq!(keyless.status(), StatusCode::BAD_REQUEST);
    assert_eq!(header(&keyless, "ratelimit"), None);
    assert_eq!(reached.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_response_tells_of_the_limit_and_what_is_over_it_is_refused() {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let cache = Cache::connect(redis.url()).await.unwrap();
    tells_and_refuses(cache).await;
    tells_and_refuses(Cache::in_process()).await;
}

#[tokio::test]
async fn of_two_layers_both_policies_are_told_and_the_tighter_limit() {
    let cache = Cache::in_process();
    let wide = RateLimiter::gcra("wide").rate(10, "1s").burst(9);
    let tight = RateLimiter::sliding_window("tight").limit(3).window("1h");
    for tight_is_inside in [true, false] {
        let (router, _) = counting();
        let tight = RateLimitLayer::new(tight.clone(), cache.clone(), by_account).unwrap();
        let wide = RateLimitLayer::new(wide.clone(), cache.clone(), by_account).unwrap();
        let router = if tight_is_inside {
            router.layer(tight).layer(wide)
        } else {
            router.layer(wide).layer(tight)
        };
        let account = format!("inside-{tight_is_inside}");
        let response = router.oneshot(request(Some(&account))).await.unwrap();
        let policies = response.headers().get_all("ratelimit-policy");
        let mut policies: Vec<&str> = policies
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        policies.sort_unstable();
        assert_eq!(policies, ["\"tight\";q=3;w=3600", "\"wide\";q=9;w=1"]);
        assert_eq!(response.headers().get_all("ratelimit").iter().count(), 2);
        assert_eq!(header(&response, "ratelimit-limit"), Some("3"));
        assert_eq!(header(&response, "ratelimit-remaining"), Some("2"));
    }
}

#[tokio::test]
async fn a_handler_can_read_the_decision() {
    let limiter = RateLimiter::counter("read").limit(4).window("60s").cost(3);
    let handler = async |Extension(decision): Extension<Decision>| decision.remaining.to_string();
    let layer = RateLimitLayer::new(limiter, Cache::in_process(), by_account).unwrap();
    let router: Router = Router::new().route("/", get(handler)).layer(layer);
    let response = router.oneshot(request(Some("7"))).await.unwrap();
    let body = to_bytes(response.into_body(), 10).await.unwrap();
    assert_eq!(body, "1");
}

#[tokio::test]
async fn a_layer_of_a_limiter_without_a_limit_is_not_made() {
    let limiter = RateLimiter::sliding_window("login").window("60s");
    let layer = RateLimitLayer::new(limiter, Cache::in_process(), by_account);
    assert!(matches!(
        layer,
        Err(LimitError::Unset {
            setting: "limit",
            ..
        })
    ));
}

#[tokio::test]
async fn in_an_outage_requests_pass_or_are_put_off_and_nothing_is_told() {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let options = CacheOptions::new().command_timeout(std::time::Duration::from_millis(200));
    let cache = Cache::connect_with(redis.url(), options).await.unwrap();
    redis.kill().await.unwrap();
    for (outage, status) in [
        (Outage::Allow, StatusCode::OK),
        (Outage::Refuse, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let limiter = RateLimiter::sliding_window("login").limit(2).window("60s");
        let limiter = limiter.on_outage(outage);
        let (router, _) = counting();
        let layer = RateLimitLayer::new(limiter, cache.clone(), by_account).unwrap();
        let response = router
            .layer(layer)
            .oneshot(request(Some("7")))
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "ratelimit"), None);
        assert_eq!(header(&response, "ratelimit-remaining"), None);
        let is_put_off = header(&response, "retry-after").is_some();
        assert_eq!(is_put_off, outage == Outage::Refuse);
    }
}
