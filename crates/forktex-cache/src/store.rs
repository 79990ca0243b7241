// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the cache stands on: Redis, or this process for development, behind the same calls.
//!
//! Keys are whole here, with the prefix of the cache. A store knows nothing of JSON, tags or policies;
//! it knows values, the leases under which they are loaded, and the generations of tags.
//!
//! Everything that takes a value away ends the lease of its key first, so that a load that began before
//! cannot put an old value back.

mod in_process;
mod pattern;
mod redis;
mod scan;
mod script;

use std::time::Duration;

use fred::bytes::Bytes;
use fred::types::Value;

use crate::error::CacheError;

pub(crate) use in_process::InProcessStore;
pub(crate) use pattern::Pattern;
pub(crate) use redis::RedisStore;
pub(crate) use script::Script;

/// How long a tag's generation lives after it was last written under.
pub(crate) const GENERATION_TTL: Duration = Duration::from_hours(30 * 24);

/// Whether a value is written over what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOnly {
    Always,
    IfAbsent,
    IfPresent,
}

/// What came of asking for the lease of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The caller has the lease, and loads.
    Mine,
    /// Another one loads.
    Other {
        /// How much longer its lease holds, unless it is renewed.
        remaining: Duration,
    },
    /// There is a value, with what is left of its time, if that is limited.
    Value(Bytes, Option<Duration>),
}

/// How much longer a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a key is absent, has no end, or has one"
)]
pub enum TimeToLive {
    /// The key is absent.
    Absent,
    /// The key lives until it is deleted, or evicted.
    Unlimited,
    /// The key goes by itself after this time.
    Left(Duration),
}

/// One of the stores.
#[derive(Debug)]
pub(crate) enum Store {
    Redis(Box<RedisStore>),
    InProcess(InProcessStore),
}

/// Calls the same method on whichever store it is; Redis is awaited.
macro_rules! either {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match $store {
            Store::Redis(store) => store.$method($($argument),*).await,
            Store::InProcess(store) => store.$method($($argument),*),
        }
    };
}

impl Store {
    /// The connections, where there are any.
    pub(crate) fn redis(&self) -> Option<&RedisStore> {
        match self {
            Self::Redis(store) => Some(store),
            Self::InProcess(_) => None,
        }
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), CacheError> {
        either!(self, ping())
    }

    /// Ends the connections; later calls are [`CacheError::Closed`].
    pub(crate) async fn close(&self) {
        either!(self, close());
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        either!(self, get(key))
    }

    /// The value of a key and what is left of its time, if that is limited. One round trip.
    pub(crate) async fn get_with_ttl(
        &self,
        key: &str,
    ) -> Result<Option<(Bytes, Option<Duration>)>, CacheError> {
        either!(self, get_with_ttl(key))
    }

    /// The values of keys, in their order. One round trip to all primaries.
    pub(crate) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        either!(self, get_many(keys))
    }

    /// Writes a value, and ends the lease of its key. Whether it was written.
    pub(crate) async fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        only: SetOnly,
    ) -> Result<bool, CacheError> {
        either!(self, set(key, value, ttl, only))
    }

    /// Writes values, and ends the leases of their keys; not as one. One round trip to all primaries.
    pub(crate) async fn set_many(
        &self,
        values: Vec<(String, Bytes)>,
        ttl: Option<Duration>,
    ) -> Result<(), CacheError> {
        either!(self, set_many(values, ttl))
    }

    /// Adds to a number, and gives a new one its time.
    pub(crate) async fn increment(
        &self,
        key: &str,
        by: i64,
        ttl_if_new: Option<Duration>,
    ) -> Result<i64, CacheError> {
        either!(self, increment(key, by, ttl_if_new))
    }

    /// Deletes values and the leases of their keys. How many values there were.
    pub(crate) async fn unlink(&self, keys: &[String]) -> Result<u64, CacheError> {
        either!(self, unlink(keys))
    }

    /// Deletes what matches, and the leases of what matches. How many values there were.
    pub(crate) async fn unlink_matching(&self, pattern: &Pattern) -> Result<u64, CacheError> {
        either!(self, unlink_matching(pattern))
    }

    /// Gives a key another time to live. Whether there is the key.
    pub(crate) async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        either!(self, expire(key, ttl))
    }

    /// Takes the limit from a key's time. Whether it had one.
    pub(crate) async fn persist(&self, key: &str) -> Result<bool, CacheError> {
        either!(self, persist(key))
    }

    /// How much longer a key lives.
    pub(crate) async fn ttl(&self, key: &str) -> Result<TimeToLive, CacheError> {
        either!(self, ttl(key))
    }

    /// Whether there is a key.
    pub(crate) async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        either!(self, exists(key))
    }

    /// Asks for the lease of a key. A value that is there wins, unless it is to be loaded anew all the
    /// same (`force`).
    pub(crate) async fn take_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
        force: bool,
    ) -> Result<Taken, CacheError> {
        either!(self, take_lease(key, token, lease, force))
    }

    /// Makes a lease last from now. Whether it is still the token's.
    pub(crate) async fn renew_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
    ) -> Result<bool, CacheError> {
        either!(self, renew_lease(key, token, lease))
    }

    /// Ends a lease. Whether it was still the token's.
    pub(crate) async fn release_lease(&self, key: &str, token: &str) -> Result<bool, CacheError> {
        either!(self, release_lease(key, token))
    }

    /// Writes what was loaded under a lease, and ends the lease. Whether it was written: not where the
    /// lease is another's, or was ended by a delete meanwhile.
    pub(crate) async fn fill(
        &self,
        key: &str,
        token: &str,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        either!(self, fill(key, token, value, ttl))
    }

    /// The generations of tags, by their whole keys. One round trip to all primaries.
    pub(crate) async fn generations(
        &self,
        tags: &[String],
    ) -> Result<Vec<Option<String>>, CacheError> {
        let stored = self.get_many(tags).await?;
        Ok(stored
            .into_iter()
            .map(|generation| generation.as_deref().map(text))
            .collect())
    }

    /// The generations of tags, by their whole keys; a tag without one gets one. One round trip to all
    /// primaries.
    pub(crate) async fn ensure_generations(
        &self,
        tags: &[String],
    ) -> Result<Vec<String>, CacheError> {
        either!(self, ensure_generations(tags, &new_generation()))
    }

    /// Gives a tag another generation, so that nothing that was written under it before counts.
    pub(crate) async fn raise_generation(&self, tag: &str) -> Result<(), CacheError> {
        let generation = Bytes::from(new_generation());
        match self {
            Self::Redis(store) => store.put(tag, generation, GENERATION_TTL).await,
            Self::InProcess(store) => store.put(tag, generation, GENERATION_TTL),
        }
    }

    /// Runs a script over keys of one slot; see [`Script`].
    ///
    /// In process there are no scripts: [`CacheError::Rejected`].
    pub(crate) async fn script(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: Vec<Value>,
    ) -> Result<Value, CacheError> {
        match self {
            Self::Redis(store) => store.script(script, keys, arguments).await,
            Self::InProcess(_) => Err(CacheError::Rejected {
                action: script.action(),
                code: "NOSCRIPT".to_owned(),
            }),
        }
    }
}

/// The key of the lease under which a key is loaded, in the same slot. Braces stand in no other key.
pub(crate) fn lease_key(key: &str) -> String {
    format!("{{{key}}}:lease")
}

/// Random rather than counted, so that a generation that was evicted does not come again.
fn new_generation() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
