// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rate limits: how often something may happen, held by all processes together.
//!
//! A limiter is one script on one key of Redis, by the server's clock, so it costs one round trip and
//! works on a cluster. The same arithmetic in Rust serves [`Cache::in_process`](crate::Cache::in_process).
//!
//! | | In any true window of its length | A key's value | Use it for |
//! |---|---|---|---|
//! | [`sliding_window`](RateLimiter::sliding_window) | never more than `limit` | 7 bytes for each unit in the window; beyond a limit of 128 up to 28 | logins, codes, whatever must hold |
//! | [`gcra`](RateLimiter::gcra) | at most `burst` + `rate` | 14 bytes | smoothing of traffic, large limits |
//! | [`counter`](RateLimiter::counter) | fewer than twice `limit` | 14 bytes | quotas where the edge does not matter |
//!
//! What is stored counts for nothing any more when it expires, and it expires by itself. Redis adds some
//! 100 bytes a key.
//!
//! A limiter refuses to guess: what it cannot ask for is decided by [`Outage`], and said in
//! [`Decision::source`]. Limits hold on one primary; a failover may lose the last calls that a replica
//! had not received, and a server whose clock jumps forward forgets what it jumped over. One whose clock
//! jumps back forgets nothing, and refuses for at most a window longer.

mod counter;
mod decision;
mod definition;
mod error;
mod gcra;
mod layer;
#[cfg(test)]
mod mirror;
mod rule;
mod sliding_window;

use std::borrow::Cow;
use std::marker::PhantomData;

pub use decision::{Decision, DecisionSource, Outage};
pub use error::LimitError;
pub use layer::{RateLimit, RateLimitLayer};

use crate::{Cache, IntoDuration, KeyParts};
use definition::{Algorithm, Definition};
use rule::Ask;

/// The exact sliding window: a log of what was allowed. See [`RateLimiter::sliding_window`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SlidingWindow;

/// The generic cell rate algorithm. See [`RateLimiter::gcra`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Gcra;

/// The counter of a fixed window. See [`RateLimiter::counter`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Counter;

/// How often something may happen for each key.
///
/// Its name is its identity: limiters of one name share what they count, so give one name one set of
/// settings. A changed limit or window holds from the next call on, over what was counted before.
///
/// Cloning is cheap, and a limiter may be kept in a `static` behind a `LazyLock`.
///
/// # Examples
/// ```
/// # use forktex_cache::{Cache, RateLimiter};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cache = Cache::in_process();
/// let limiter = RateLimiter::sliding_window("login").limit(2).window("60s");
///
/// for _ in 0..2 {
///     assert!(limiter.check(&cache, "203.0.113.9").await?.allowed);
/// }
/// let decision = limiter.check(&cache, "203.0.113.9").await?;
/// assert!(!decision.allowed && decision.retry_after.is_some());
/// assert!(limiter.check(&cache, "203.0.113.10").await?.allowed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a limiter limits nothing until `check` is called"]
pub struct RateLimiter<A = SlidingWindow> {
    definition: Definition,
    algorithm: PhantomData<fn() -> A>,
}

impl RateLimiter<SlidingWindow> {
    /// A limiter that never allows more than its limit in any window of its length, wherever that
    /// begins: not on the hour, and not over the edge of two windows.
    ///
    /// It needs a [`limit`](Self::limit) and a [`window`](Self::window). It keeps 7 bytes for each unit
    /// that was allowed in the window, so a login limit of 5 keeps 35; beyond a limit of 128 the log
    /// grows in place to twice its live part before it is rewritten, and Redis reserves room for its
    /// growth, so a unit may take 28. Limits above 100,000 are refused: use
    /// [`gcra`](RateLimiter::gcra).
    pub fn sliding_window(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Algorithm::SlidingWindow, name.into())
    }

    /// How much is allowed in a window: 1 to 100,000.
    pub fn limit(self, limit: u64) -> Self {
        self.with(|definition| definition.limit = Some(limit))
    }

    /// How long the window is: a [`Duration`](std::time::Duration) or a text such as `"60s"`, from 1 ms
    /// to 10 years.
    pub fn window(self, window: impl IntoDuration) -> Self {
        self.with(|definition| definition.window = Some(window.into_duration()))
    }
}

impl RateLimiter<Counter> {
    /// A limiter that counts in windows of a fixed length, of which each begins with its first call.
    ///
    /// It needs a [`limit`](Self::limit) and a [`window`](Self::window), and keeps 14 bytes a key. Its
    /// error: callers who wait for the end of one window and the beginning of the next are allowed one
    /// less than twice the limit within a moment.
    pub fn counter(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Algorithm::Counter, name.into())
    }

    /// How much is allowed in a window: 1 to 2^53.
    pub fn limit(self, limit: u64) -> Self {
        self.with(|definition| definition.limit = Some(limit))
    }

    /// How long the window is: a [`Duration`](std::time::Duration) or a text such as `"60s"`, from 1 ms
    /// to 10 years.
    pub fn window(self, window: impl IntoDuration) -> Self {
        self.with(|definition| definition.window = Some(window.into_duration()))
    }
}

impl RateLimiter<Gcra> {
    /// A limiter that allows a burst, and then as much as the rate gives back: evenly, not all at once.
    ///
    /// It needs a [`rate`](Self::rate), and keeps 14 bytes a key. Its arithmetic is in whole numbers, so
    /// nothing drifts. Its error against a sliding window: in any stretch of time it allows the burst
    /// and what the rate gave back in it, so up to `burst + rate` in one period.
    pub fn gcra(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Algorithm::Gcra, name.into())
    }

    /// How much is given back in a period, such as 100 in `"1m"`: 1 to 2^53 in 1 ms to 10 years.
    pub fn rate(self, count: u64, period: impl IntoDuration) -> Self {
        self.with(|definition| {
            definition.limit = Some(count);
            definition.window = Some(period.into_duration());
        })
    }

    /// How much is allowed at once after a rest; it is the decisions' limit. Default: as much as the
    /// rate gives in one period. Burst times period in microseconds is at most 2^53: a burst of 100,000
    /// in a day.
    pub fn burst(self, burst: u64) -> Self {
        self.with(|definition| definition.burst = Some(burst))
    }
}

impl<A> RateLimiter<A> {
    fn new(algorithm: Algorithm, name: Cow<'static, str>) -> Self {
        Self {
            definition: Definition::new(algorithm, name),
            algorithm: PhantomData,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Definition)) -> Self {
        change(&mut self.definition);
        self
    }

    /// How much a call takes of the limit. Default 1; from 1 to the limit.
    pub fn cost(self, cost: u64) -> Self {
        self.with(|definition| definition.cost = cost)
    }

    /// What is decided while Redis does not answer. Default [`Outage::Allow`].
    pub fn on_outage(self, outage: Outage) -> Self {
        self.with(|definition| definition.on_outage = outage)
    }

    /// Checks the settings now rather than with the first call: for a service that would rather not
    /// start.
    ///
    /// # Errors
    /// [`LimitError`] with the setting that is missing, zero or too large, or a name that cannot begin
    /// keys.
    pub fn validated(self) -> Result<Self, LimitError> {
        self.definition.validate()?;
        Ok(self)
    }

    /// Takes the cost from what remains for this key, if that much remains. What is refused takes
    /// nothing.
    ///
    /// One round trip. During an outage it answers within the cache's command timeout, at once while
    /// the circuit breaker is open; a call that timed out may have been counted.
    ///
    /// # Errors
    /// [`LimitError`] for settings and keys that cannot be used, and for a server that refuses the
    /// script. An outage is a decision, not an error.
    ///
    /// # Cancellation
    /// A call that was sent may be counted.
    pub async fn check(&self, cache: &Cache, key: impl KeyParts) -> Result<Decision, LimitError> {
        let key = self.definition.key(key)?;
        self.definition.decide(cache, &key, Ask::take()).await
    }

    /// What [`check`](Self::check) would say, without taking anything: `remaining` is what there is
    /// before the call.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    ///
    /// # Cancellation
    /// Nothing is changed.
    pub async fn peek(&self, cache: &Cache, key: impl KeyParts) -> Result<Decision, LimitError> {
        let key = self.definition.key(key)?;
        self.definition.decide(cache, &key, Ask::look()).await
    }

    /// Forgets what was counted for a key, such as failed logins after one that succeeded. Tells whether
    /// there was anything. One round trip.
    ///
    /// # Errors
    /// [`LimitError::Key`], and [`LimitError::Cache`] for an outage too: nothing was forgotten then.
    ///
    /// # Cancellation
    /// It may be forgotten or not.
    pub async fn reset(&self, cache: &Cache, key: impl KeyParts) -> Result<bool, LimitError> {
        let key = self.definition.key(key)?;
        self.definition.forget(cache, &key).await
    }

    /// [`check`](Self::check) at a time of the caller's, in microseconds since 1970. For tests of this
    /// crate: callers who disagree about the time break every limit.
    #[doc(hidden)]
    pub async fn check_at(
        &self,
        cache: &Cache,
        key: impl KeyParts,
        now_us: u64,
    ) -> Result<Decision, LimitError> {
        let key = self.definition.key(key)?;
        let ask = Ask::take().at(now_us);
        self.definition.decide(cache, &key, ask).await
    }

    /// [`peek`](Self::peek) at a time of the caller's. For tests of this crate.
    #[doc(hidden)]
    pub async fn peek_at(
        &self,
        cache: &Cache,
        key: impl KeyParts,
        now_us: u64,
    ) -> Result<Decision, LimitError> {
        let key = self.definition.key(key)?;
        let ask = Ask::look().at(now_us);
        self.definition.decide(cache, &key, ask).await
    }

    /// The script, its key and its arguments of one check: for the benchmark, which runs it bare.
    #[doc(hidden)]
    pub fn bare(
        &self,
        cache: &Cache,
        key: impl KeyParts,
    ) -> Result<(&'static str, String, Vec<fred::types::Value>), LimitError> {
        let key = self.definition.key(key)?;
        self.definition.bare(cache, &key)
    }
}
