// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis caching for services: cached functions, namespaced keys, tags and rate limits.
//!
//! | To | Use |
//! |---|---|
//! | connect, to one server, a cluster or sentinels | [`Cache::connect`], [`CacheOptions`] |
//! | develop without Redis | [`Cache::in_process`] |
//! | cache what a function gives | [`cached`](macro@cached) |
//! | make keys that cannot collide | [`Namespace`], [`Key`] |
//! | read and write values | [`Cache::get_json`], [`Cache::set_json`], [`Cache::mget`], [`Cache::mset`] |
//! | count | [`Cache::incr`] |
//! | invalidate many values by one write | [`SetJson::tags`], [`Cache::invalidate_tag`] |
//! | delete | [`Cache::delete`], [`Cache::delete_prefix`], [`Cache::delete_pattern`] |
//! | limit rates | [`RateLimiter`], and [`RateLimitLayer`] before a router |
//! | tell failures apart | [`CacheError`] |
//!
//! A cache is allowed to be absent, and never to lie. When Redis is out of reach, typed operations say
//! so ([`CacheError::is_outage`]), and cached functions load, a bounded number at once, or fail where
//! their namespace [fails closed](Namespace::fail_closed). After five failures in a row calls are
//! answered at once for a second or more, and then one of them tries again. What is deleted or
//! invalidated is not put back by a load that began before.
//!
//! What does not hold: Redis may drop any value when its memory is full, and a failover may lose the
//! last writes, deletes and invalidations included. Give every value a time to live.
//!
//! The driver is [`fred`], re-exported so that a command can be sent that this crate does not have. This
//! crate reads no environment variables, and shows no value in a log, an error or `Debug`.
//!
//! # Examples
//!
//! ```
//! use forktex_cache::{Cache, Namespace, RateLimiter};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Profile {
//!     name: String,
//! }
//!
//! const PROFILE: Namespace = Namespace::new("user.profile");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let redis = forktex_testkit::TestRedis::create().await?;
//! # let url = redis.url();
//! let cache = Cache::connect(url).await?;
//!
//! let key = PROFILE.key(42)?;
//! let ada = Profile { name: "Ada".to_owned() };
//! cache.set_json(&key, &ada).ttl("5m").tags(["org:1"]).await?;
//! assert_eq!(cache.get_json::<Profile>(&key).await?, Some(ada));
//!
//! cache.invalidate_tag("org:1").await?;
//! assert_eq!(cache.get_json::<Profile>(&key).await?, None);
//!
//! let limiter = RateLimiter::sliding_window("login").limit(5).window("60s");
//! assert!(limiter.check(&cache, "203.0.113.9").await?.allowed);
//! # Ok(())
//! # }
//! ```
#![doc = include_str!("docs/telemetry.md")]

extern crate self as forktex_cache;

mod breaker;
mod cache;
mod cached;
mod duration;
mod envelope;
mod error;
mod key;
mod limiter;
mod local;
mod namespace;
mod ops;
mod options;
mod store;
mod telemetry;
mod url;

#[doc(hidden)]
pub mod __private;

pub use crate::cache::Cache;
pub use crate::duration::{IntoDuration, InvalidDuration};
pub use crate::error::{CacheError, DriverError, JsonError, KeyError};
pub use crate::key::{Key, KeyPart, KeyParts, KeyWriter};
pub use crate::limiter::{
    Counter, Decision, DecisionSource, Gcra, LimitError, Outage, RateLimit, RateLimitLayer,
    RateLimiter, SlidingWindow,
};
pub use crate::namespace::Namespace;
pub use crate::ops::{Increment, SetJson, SetMany, TAGS_MAX};
pub use crate::options::CacheOptions;
pub use crate::store::TimeToLive;

#[doc = include_str!("docs/cached.md")]
pub use forktex_macros::cached;

/// The Redis driver, at the version that this crate's types are built on.
pub use fred;
