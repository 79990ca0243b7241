// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A limiter as it was written down: its settings, not yet known to be sound, and how it is asked.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use fred::bytes::Bytes;
use fred::types::Value;
use metrics::SharedString;

use super::counter::CounterRule;
use super::decision::{Decision, DecisionSource, Outage};
use super::error::LimitError;
use super::gcra::GcraRule;
use super::rule::{ACTION, Ask, Call, EXACT_MAX, Rule, Verdict};
use super::sliding_window::{LIMIT_MAX, SlidingWindowRule};
use crate::store::{InProcessStore, Store};
use crate::{Cache, CacheError, InvalidDuration, Key, KeyError, KeyParts, Namespace, telemetry};

const WINDOW_MIN: Duration = Duration::from_millis(1);

/// Which rule the settings are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Algorithm {
    SlidingWindow,
    Gcra,
    Counter,
}

/// A limiter, whatever its algorithm.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// Shared, as every decision is counted under it.
    name: SharedString,
    namespace: Namespace,
    algorithm: Algorithm,
    /// Of gcra, the count of the rate.
    pub(super) limit: Option<u64>,
    /// Of gcra, the period of the rate.
    pub(super) window: Option<Result<Duration, InvalidDuration>>,
    pub(super) burst: Option<u64>,
    pub(super) cost: u64,
    pub(super) on_outage: Outage,
}

impl Definition {
    pub(super) fn new(algorithm: Algorithm, name: Cow<'static, str>) -> Self {
        let namespace = Namespace::from(format!("limit:{name}"));
        let name = match name {
            Cow::Borrowed(name) => SharedString::const_str(name),
            Cow::Owned(name) => SharedString::from_shared(name.into()),
        };
        Self {
            name,
            namespace,
            algorithm,
            limit: None,
            window: None,
            burst: None,
            cost: 1,
            on_outage: Outage::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The rule, if the settings are sound and the name can begin keys.
    pub(super) fn validate(&self) -> Result<Rule, LimitError> {
        let named = self.namespace.check();
        named.map_err(|source| self.key_error(source))?;
        self.rule()
    }

    /// The rule, if the settings are sound.
    pub(super) fn rule(&self) -> Result<Rule, LimitError> {
        let (limit_setting, window_setting, limit_max) = match self.algorithm {
            Algorithm::SlidingWindow => ("limit", "window", LIMIT_MAX),
            Algorithm::Counter => ("limit", "window", EXACT_MAX),
            Algorithm::Gcra => ("rate", "rate", EXACT_MAX),
        };
        let limit = self.count(limit_setting, self.limit, limit_max)?;
        let window_us = self.window_us(window_setting)?;
        let rule = match self.algorithm {
            Algorithm::SlidingWindow => Rule::SlidingWindow(SlidingWindowRule { limit, window_us }),
            Algorithm::Counter => Rule::Counter(CounterRule { limit, window_us }),
            Algorithm::Gcra => {
                let burst = self.burst.unwrap_or(limit);
                Rule::Gcra(GcraRule {
                    rate: limit,
                    period_us: window_us,
                    burst: self.count("burst", Some(burst), EXACT_MAX / window_us)?,
                })
            }
        };
        let cost = self.count("cost", Some(self.cost), u64::MAX)?;
        let limit = rule.limit();
        if cost > limit {
            return Err(LimitError::CostAboveLimit {
                limiter: self.limiter(),
                cost,
                limit,
            });
        }
        Ok(rule)
    }

    pub(super) fn key(&self, parts: impl KeyParts) -> Result<Key, LimitError> {
        let key = self.namespace.key(parts);
        key.map_err(|source| self.key_error(source))
    }

    pub(super) async fn decide(
        &self,
        cache: &Cache,
        key: &Key,
        ask: Ask,
    ) -> Result<Decision, LimitError> {
        let rule = self.rule()?;
        let key = cache.full_key(key);
        let (answer, source) = match cache.store() {
            Store::Redis(_) => {
                let answer = self.ask_redis(cache.store(), rule, key, ask).await;
                (answer, DecisionSource::Redis)
            }
            Store::InProcess(store) => {
                let answer = self.ask_here(store, rule, &key, ask);
                (answer, DecisionSource::InProcess)
            }
        };
        let decision = match answer {
            Ok(verdict) => Decision::new(verdict, rule.limit(), source),
            Err(error) if error.is_outage() => {
                tracing::debug!(limiter = self.name(), %error, "a rate limit was not checked");
                Decision::in_outage(self.on_outage, rule.limit(), &error)
            }
            Err(source) => return Err(self.cache_error(source)),
        };
        let (outcome, source) = decision.labels();
        telemetry::limit_decided(self.name.clone(), outcome, source);
        Ok(decision)
    }

    pub(super) async fn forget(&self, cache: &Cache, key: &Key) -> Result<bool, LimitError> {
        let key = cache.full_key(key);
        let removed = cache.store().unlink(&[key]).await;
        let removed = removed.map_err(|source| self.cache_error(source))?;
        Ok(removed > 0)
    }

    /// What is sent to Redis for one check.
    pub(super) fn bare(
        &self,
        cache: &Cache,
        key: &Key,
    ) -> Result<(&'static str, String, Vec<Value>), LimitError> {
        let rule = self.rule()?;
        let arguments = rule.arguments(self.cost, Ask::take());
        Ok((rule.source(), cache.full_key(key), arguments))
    }

    async fn ask_redis(
        &self,
        store: &Store,
        rule: Rule,
        key: String,
        ask: Ask,
    ) -> Result<Verdict, CacheError> {
        let arguments = rule.arguments(self.cost, ask);
        let answer = store.script(rule.script(), &[key], arguments).await?;
        Verdict::of_script(answer).ok_or_else(|| CacheError::Rejected {
            action: ACTION,
            code: "an answer that is not the script's".to_owned(),
        })
    }

    fn ask_here(
        &self,
        store: &InProcessStore,
        rule: Rule,
        key: &str,
        ask: Ask,
    ) -> Result<Verdict, CacheError> {
        let call = Call {
            cost: self.cost,
            takes: ask.takes,
            now_us: ask.now_us.unwrap_or_else(now_us),
        };
        store.update(key, |stored| {
            let step = rule.decide(stored.unwrap_or_default(), call);
            let write = step.write.map(|write| {
                let lives = Duration::from_millis(write.lives_ms);
                (Bytes::from(write.value), lives)
            });
            (write, step.verdict)
        })
    }

    fn count(
        &self,
        setting: &'static str,
        given: Option<u64>,
        max: u64,
    ) -> Result<u64, LimitError> {
        match given {
            None => Err(self.unset(setting)),
            Some(0) => Err(LimitError::Zero {
                limiter: self.limiter(),
                setting,
            }),
            Some(given) if given > max => Err(LimitError::TooLarge {
                limiter: self.limiter(),
                setting,
                given,
                max,
            }),
            Some(given) => Ok(given),
        }
    }

    /// Rounded up, so that no window is shorter than it was given.
    fn window_us(&self, setting: &'static str) -> Result<u64, LimitError> {
        let window = self.window.clone().ok_or_else(|| self.unset(setting))?;
        let given = window.map_err(|source| LimitError::Duration {
            limiter: self.limiter(),
            setting,
            source,
        })?;
        if given < WINDOW_MIN {
            return Err(LimitError::TooShort {
                limiter: self.limiter(),
                setting,
                given,
            });
        }
        // A duration is at most ten years.
        Ok(u64::try_from(given.as_nanos().div_ceil(1_000)).unwrap_or(EXACT_MAX))
    }

    fn unset(&self, setting: &'static str) -> LimitError {
        LimitError::Unset {
            limiter: self.limiter(),
            setting,
        }
    }

    fn key_error(&self, source: KeyError) -> LimitError {
        LimitError::Key {
            limiter: self.limiter(),
            source,
        }
    }

    fn cache_error(&self, source: CacheError) -> LimitError {
        LimitError::Cache {
            limiter: self.limiter(),
            source,
        }
    }

    fn limiter(&self) -> String {
        self.name().to_owned()
    }
}

/// The clock of this process, which goes by tokio's, so that tests can hold it.
fn now_us() -> u64 {
    static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    let start = *START;
    let since = tokio::time::Instant::now().into_std();
    let since = since.saturating_duration_since(start);
    u64::try_from(since.as_micros()).unwrap_or(EXACT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliding_window(limit: u64, window: &str) -> Definition {
        let mut definition = Definition::new(Algorithm::SlidingWindow, "login".into());
        definition.limit = Some(limit);
        definition.window = Some(crate::IntoDuration::into_duration(window));
        definition
    }

    fn gcra(rate: u64, period: Duration, burst: u64) -> Definition {
        let mut definition = Definition::new(Algorithm::Gcra, "api".into());
        definition.limit = Some(rate);
        definition.window = Some(Ok(period));
        definition.burst = Some(burst);
        definition
    }

    #[test]
    fn settings_that_cannot_hold_are_named() {
        let fault = |definition: Definition| definition.rule().unwrap_err().to_string();
        let unset = Definition::new(Algorithm::SlidingWindow, "login".into());
        assert_eq!(
            fault(unset),
            "rate limiter `login` has no limit; call `limit` on it"
        );
        assert!(fault(sliding_window(0, "1m")).contains("a limit of zero"));
        assert!(fault(sliding_window(100_001, "1m")).contains("at most 100000"));
        assert!(fault(sliding_window(5, "soon")).contains("cannot be read"));
        assert!(fault(sliding_window(5, "0s")).contains("cannot be read"));
        let mut short = sliding_window(5, "1m");
        short.window = Some(Ok(Duration::from_micros(999)));
        assert!(fault(short).contains("1 ms or more"));
        let mut dear = sliding_window(5, "1m");
        dear.cost = 6;
        assert!(matches!(
            dear.rule(),
            Err(LimitError::CostAboveLimit {
                cost: 6,
                limit: 5,
                ..
            })
        ));
        dear.cost = 0;
        assert!(fault(dear).contains("a cost of zero"));
    }

    #[test]
    fn a_burst_is_bounded_by_what_a_script_counts_exactly() {
        let day = Duration::from_hours(24);
        assert!(gcra(1_000, day, 104_249).rule().is_ok());
        assert!(matches!(
            gcra(1_000, day, 104_250).rule(),
            Err(LimitError::TooLarge {
                setting: "burst",
                max: 104_249,
                ..
            })
        ));
        let rule = gcra(100, Duration::from_mins(1), 20).rule().unwrap();
        assert_eq!((rule.limit(), rule.window_us()), (20, 12_000_000));
    }

    #[test]
    fn a_name_that_cannot_begin_keys_is_known_before_the_first_call() {
        let mut definition = Definition::new(Algorithm::SlidingWindow, "Log In".into());
        definition.limit = Some(1);
        definition.window = Some(Ok(WINDOW_MIN));
        assert!(matches!(definition.validate(), Err(LimitError::Key { .. })));
    }

    #[test]
    fn a_window_is_never_shorter_than_given() {
        let mut definition = sliding_window(5, "1m");
        definition.window = Some(Ok(Duration::from_nanos(1_000_001)));
        assert_eq!(definition.rule().unwrap().window_us(), 1_001);
    }
}
