// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tests that the scripts and the functions are the same: at random times, with a clock that goes back,
//! they answer the same and store the same bytes.

use forktex_testkit::{Redis, RedisOptions};

use super::counter::CounterRule;
use super::gcra::GcraRule;
use super::rule::{Ask, Call, Rule, Verdict};
use super::sliding_window::SlidingWindowRule;
use crate::Cache;

/// Long enough that no key expires by the server's clock while its test runs.
const WINDOW_US: u64 = 60_000_000;
const START_US: u64 = 1_800_000_000_000_000;
const CALLS: u32 = 400;

async fn agree(cache: &Cache, rule: Rule, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let key = format!("mirror:{seed}");
    let (mut stored, mut now_us) = (Vec::new(), START_US);
    let limit = rule.limit();
    for number in 0..CALLS {
        now_us += match random.u32(0..20) {
            0 => WINDOW_US,
            1 => 0,
            _ => random.u64(0..=2 * WINDOW_US / limit),
        };
        if random.u32(0..25) == 0 {
            now_us -= random.u64(1..=2 * WINDOW_US);
        }
        let cost = random.u64(1..=(limit / 3).max(1));
        let takes = random.u32(0..5) > 0;
        let ask = if takes { Ask::take() } else { Ask::look() };

        let arguments = rule.arguments(cost, ask.at(now_us));
        let answer = cache
            .store()
            .script(rule.script(), std::slice::from_ref(&key), arguments);
        let answered = Verdict::of_script(answer.await.unwrap()).unwrap();
        let call = Call {
            cost,
            takes,
            now_us,
        };
        let step = rule.decide(&stored, call);
        let context = format!("{rule:?}, seed {seed}, call {number}: {call:?}");
        assert_eq!(answered, step.verdict, "{context}");
        if let Some(write) = step.write {
            stored = write.value;
        }
        let there = cache.store().get(&key).await.unwrap().unwrap_or_default();
        assert_eq!(there, stored, "{context}");
    }
}

#[tokio::test]
async fn a_script_and_its_function_answer_and_store_the_same() {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let cache = Cache::connect(redis.url()).await.unwrap();
    let window_us = WINDOW_US;
    let mut rules = Vec::new();
    for limit in [1, 2, 7, 127, 128, 129, 700] {
        rules.push(Rule::SlidingWindow(SlidingWindowRule { limit, window_us }));
        rules.push(Rule::Counter(CounterRule { limit, window_us }));
    }
    for (rate, burst) in [(1, 1), (7, 3), (3, 7), (1_000, 1_000), (999_983, 50)] {
        rules.push(Rule::Gcra(GcraRule {
            rate,
            period_us: window_us,
            burst,
        }));
    }
    for (rule, seed) in rules.into_iter().zip(0..) {
        agree(&cache, rule, seed).await;
    }
}

#[tokio::test]
async fn a_script_keeps_its_key_for_as_long_as_it_counts() {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let cache = Cache::connect(redis.url()).await.unwrap();
    let window_us = WINDOW_US;
    let rules = [
        Rule::SlidingWindow(SlidingWindowRule {
            limit: 5,
            window_us,
        }),
        Rule::SlidingWindow(SlidingWindowRule {
            limit: 500,
            window_us,
        }),
        Rule::Counter(CounterRule {
            limit: 5,
            window_us,
        }),
        Rule::Gcra(GcraRule {
            rate: 5,
            period_us: window_us,
            burst: 5,
        }),
    ];
    for (rule, number) in rules.into_iter().zip(0..) {
        let key = format!("kept:{number}");
        for round in 0..2 {
            let arguments = rule.arguments(1, Ask::take().at(START_US + round));
            let script = rule.script();
            let answer = cache
                .store()
                .script(script, std::slice::from_ref(&key), arguments);
            answer.await.unwrap();
        }
        let (_, ttl) = cache.store().get_with_ttl(&key).await.unwrap().unwrap();
        let ttl = u64::try_from(ttl.unwrap().as_micros()).unwrap();
        let needed = match rule {
            Rule::Gcra(_) => 2 * window_us / 5,
            _ => window_us,
        };
        // At most 100 ms longer, and less what the test has taken since.
        let least = needed - 5_000_000;
        assert!((least..=needed + 101_000).contains(&ttl), "{rule:?}: {ttl}");
    }
}
