// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The sliding window against a log of everything, on Redis and in process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_cache::fred::interfaces::KeysInterface;
use forktex_cache::{Cache, CacheOptions, Decision, DecisionSource, RateLimiter};
use forktex_testkit::{Redis, RedisOptions};

/// Long enough that no key expires by the server's clock while its test runs.
const WINDOW: Duration = Duration::from_mins(1);
const WINDOW_US: u64 = 60_000_000;
/// Some time in 2027.
const START_US: u64 = 1_800_000_000_000_000;

/// All that was allowed, with its true time, and nothing clever.
#[derive(Default)]
struct Log(Vec<u64>);

impl Log {
    /// In `(now - window, now]`.
    fn in_window(&self, now: u64) -> u64 {
        let live = |time: &&u64| **time + WINDOW_US > now && **time <= now;
        self.0.iter().filter(live).count() as u64
    }

    fn check(&mut self, limit: u64, cost: u64, now: u64, decision: Decision, context: &str) {
        self.0.retain(|time| time + WINDOW_US > now);
        let fits = |time| self.in_window(time) + cost <= limit;
        assert_eq!(decision.allowed, fits(now), "{context}");
        assert_eq!(decision.limit, limit, "{context}");
        if let Some(retry_after) = decision.retry_after {
            let retry = now + micros(retry_after);
            assert!(fits(retry) && !fits(retry - 1), "{context}");
        }
        assert_eq!(
            decision.retry_after.is_none(),
            decision.allowed,
            "{context}"
        );
        if decision.allowed {
            self.0.extend((0..cost).map(|_| now));
        }
        let remaining = limit - self.in_window(now);
        assert_eq!(decision.remaining, remaining, "{context}");
        let free = self.0.last().map_or(now, |last| last + WINDOW_US);
        assert_eq!(now + micros(decision.reset), free, "{context}");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

async fn server() -> (Redis, Cache) {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let cache = Cache::connect(redis.url()).await.unwrap();
    (redis, cache)
}

async fn random_arrivals(cache: &Cache) {
    for (seed, limit) in (0..).zip([1, 2, 5, 40, 128, 129, 300]) {
        let mut random = fastrand::Rng::with_seed(seed);
        let limiter = RateLimiter::sliding_window(format!("random-{limit}"))
            .limit(limit)
            .window(WINDOW);
        let (mut log, mut now) = (Log::default(), START_US);
        for call in 0..300 {
            now += match random.u32(0..12) {
                0 => WINDOW_US,
                1 => WINDOW_US - 1,
                2 => 0,
                _ => random.u64(0..=2 * WINDOW_US / limit),
            };
            let cost = random.u64(1..=(limit / 4).max(1));
            let limiter = limiter.clone().cost(cost);
            let context = format!("limit {limit}, call {call}, cost {cost}, at {now}");
            let peeked = limiter.peek_at(cache, "a", now).await.unwrap();
            let decision = limiter.check_at(cache, "a", now).await.unwrap();
            assert_eq!(peeked.allowed, decision.allowed, "{context}");
            assert_eq!(peeked.retry_after, decision.retry_after, "{context}");
            let taken = if decision.allowed { cost } else { 0 };
            assert_eq!(peeked.remaining, decision.remaining + taken, "{context}");
            log.check(limit, cost, now, decision, &context);
        }
    }
}

#[tokio::test]
async fn random_arrivals_on_redis_are_decided_as_by_a_log_of_everything() {
    let (_redis, cache) = server().await;
    random_arrivals(&cache).await;
}

#[tokio::test]
async fn random_arrivals_in_process_are_decided_as_by_a_log_of_everything() {
    random_arrivals(&Cache::in_process()).await;
}

#[tokio::test]
async fn a_burst_at_the_edge_of_a_window_gets_no_more_than_the_limit() {
    let (_redis, redis) = server().await;
    for cache in [redis, Cache::in_process()] {
        for limit in [5, 200] {
            let limiter = RateLimiter::sliding_window(format!("edge-{limit}"))
                .limit(limit)
                .window(WINDOW);
            // The last microsecond of a minute, and the first of the next.
            let burst = START_US + WINDOW_US - 1;
            for time in [burst, burst + 1, burst + WINDOW_US - 1] {
                let mut allowed = 0;
                for _ in 0..limit + 5 {
                    let decision = limiter.check_at(&cache, "a", time).await.unwrap();
                    allowed += u64::from(decision.allowed);
                }
                assert_eq!(allowed, if time == burst { limit } else { 0 });
            }
            let decision = limiter
                .check_at(&cache, "a", burst + WINDOW_US)
                .await
                .unwrap();
            assert!(decision.allowed && decision.remaining == limit - 1);
        }
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_lets_no_more_through_and_locks_nobody_out() {
    let (_redis, redis) = server().await;
    for cache in [redis, Cache::in_process()] {
        for (seed, limit) in (0..).zip([1, 5, 150]) {
            let mut random = fastrand::Rng::with_seed(seed);
            let limiter = RateLimiter::sliding_window(format!("back-{limit}"))
                .limit(limit)
                .window(WINDOW);
            // The clock shows less and less of the true time.
            let (mut log, mut now, mut lost) = (Log::default(), START_US, 0);
            for _ in 0..300 {
                now += random.u64(0..=2 * WINDOW_US / limit);
                if random.u32(0..20) == 0 {
                    lost += random.u64(0..=20 * WINDOW_US);
                }
                let decision = limiter.check_at(&cache, "a", now - lost).await.unwrap();
                if decision.allowed {
                    log.0.push(now);
                }
                assert!(log.in_window(now) <= limit);
                assert!(decision.retry_after.is_none_or(|after| after <= WINDOW));
            }
            // Whatever the clock has done, a window without calls frees all of it.
            let time = now - lost + WINDOW_US;
            let decision = limiter.check_at(&cache, "a", time).await.unwrap();
            assert_eq!(decision.remaining, limit - 1);
        }
    }
}

#[tokio::test]
async fn a_limit_that_was_changed_holds_over_what_was_counted_before() {
    let (_redis, redis) = server().await;
    let limiter = |limit| {
        RateLimiter::sliding_window("changed")
            .limit(limit)
            .window(WINDOW)
    };
    for cache in [redis, Cache::in_process()] {
        for number in 0..150 {
            let decision = limiter(200).check_at(&cache, "a", START_US + number).await;
            assert!(decision.unwrap().allowed);
        }
        let now = START_US + 1_000;
        let lowered = limiter(10).check_at(&cache, "a", now).await.unwrap();
        assert!(!lowered.allowed && lowered.remaining == 0);
        // Nine of the last ten must be left: those until number 140 are gone.
        let retry = now + micros(lowered.retry_after.unwrap());
        assert_eq!(retry, START_US + 140 + WINDOW_US);
        let raised = limiter(151).check_at(&cache, "a", now).await.unwrap();
        assert!(raised.allowed && raised.remaining == 0);
    }
}

/// The time at which a call was allowed lies between its ends, as this process sees them.
struct Allowed {
    sent: Instant,
    answered: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_on_many_connections_get_no_more_than_the_limit_in_any_true_window() {
    const LIMIT: u64 = 40;
    const WINDOW: Duration = Duration::from_millis(250);
    /// By which the server's clock may run otherwise than ours.
    const TOLERANCE: Duration = Duration::from_millis(2);
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let limiter = RateLimiter::sliding_window("crowd")
        .limit(LIMIT)
        .window(WINDOW);
    let limiter = Arc::new(limiter);
    let end = Instant::now() + 5 * WINDOW;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let options = CacheOptions::new().connections(2);
        let cache = Cache::connect_with(redis.url(), options).await.unwrap();
        for _ in 0..4 {
            let (cache, limiter) = (cache.clone(), Arc::clone(&limiter));
            callers.push(tokio::spawn(async move {
                let mut allowed = Vec::new();
                while Instant::now() < end {
                    let sent = Instant::now();
                    let decision = limiter.check(&cache, "a").await.unwrap();
                    assert_eq!(decision.source, DecisionSource::Redis);
                    if decision.allowed {
                        let answered = Instant::now();
                        allowed.push(Allowed { sent, answered });
                    }
                }
                allowed
            }));
        }
    }
    let mut all: Vec<Allowed> = Vec::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    // Some windows' worth, or the test has shown nothing.
    assert!(all.len() as u64 > 3 * LIMIT, "{} were allowed", all.len());
    all.sort_by_key(|allowed| allowed.sent);
    for group in all.windows(usize::try_from(LIMIT).unwrap() + 1) {
        let last = group.iter().map(|allowed| allowed.answered).max().unwrap();
        let span = last - group[0].sent;
        assert!(span + TOLERANCE >= WINDOW, "one too many in {span:?}");
    }
}

#[tokio::test]
async fn the_time_is_the_servers_and_the_key_goes_by_itself() {
    const WINDOW: Duration = Duration::from_millis(400);
    let (_redis, cache) = server().await;
    let limiter = RateLimiter::sliding_window("login").limit(3).window(WINDOW);
    let start = Instant::now();
    for left in [2, 1, 0] {
        let decision = limiter.check(&cache, "203.0.113.9").await.unwrap();
        assert!(decision.allowed && decision.remaining == left);
        assert_eq!(decision.reset, WINDOW);
    }
    let key = "limit:login:203.0.113.9";
    let client = cache.client().unwrap();
    let lives_ms: i64 = client.pttl(key).await.unwrap();
    assert!(lives_ms > 100 && lives_ms <= 501, "{lives_ms}");

    let deadline = start + Duration::from_secs(10);
    let mut refused = 0;
    while !limiter.check(&cache, "203.0.113.9").await.unwrap().allowed {
        refused += 1;
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(refused > 0);
    assert!(start.elapsed() + Duration::from_millis(2) >= WINDOW);

    while client.exists::<i64, _>(key).await.unwrap() > 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
