// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: a cache on Redis, or in this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Pool;
use tokio::time::Instant;

use crate::cached::{Flights, LoadBound};
use crate::error::{CacheError, KeyError};
use crate::key::{Key, PART_BYTES_MAX, escape};
use crate::local::LocalTier;
use crate::options::CacheOptions;
use crate::store::{InProcessStore, RedisStore, Store};
use crate::url::RedisUrl;

/// A cache on Redis, or in this process. Cheap to clone; clones share connections.
///
/// What the typed operations are called with is made by a [`Namespace`](crate::Namespace); functions are
/// cached by [`cached`](macro@crate::cached).
///
/// The connections are closed with the last clone, or by [`close`](Self::close).
///
/// # Examples
/// ```
/// use forktex_cache::{Cache, CacheError, Namespace};
///
/// const GREETING: Namespace = Namespace::new("greeting");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let redis = forktex_testkit::TestRedis::create().await?;
/// # let url = redis.url();
/// let cache = Cache::connect(url).await?;
/// let key = GREETING.key("en")?;
/// cache.set_json(&key, "hello").ttl("5m").await?;
/// assert_eq!(cache.get_json::<String>(&key).await?.as_deref(), Some("hello"));
/// cache.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// With its colon; empty where there is none.
    prefix: String,
    value_bytes_max: usize,
    local: LocalTier,
    flights: Flights,
    load_bound: LoadBound,
}

impl Cache {
    /// Connects with the [default options](CacheOptions), and makes sure at once that the server answers
    /// and lets the user in.
    ///
    /// The URL is one of
    /// - `redis://user:password@host:port/database`, a single server,
    /// - `redis-cluster://host:port?node=host:port&node=host:port`, a cluster by some of its nodes,
    /// - `redis-sentinel://host:port?node=host:port&sentinelServiceName=name`, a server behind sentinels,
    ///   which may have `sentinelUsername` and `sentinelPassword` of their own,
    ///
    /// or the same with TLS: `rediss`, `rediss-cluster`, `rediss-sentinel`. Redis must be 6.2 or later,
    /// or Valkey.
    ///
    /// A connection that breaks later is opened again, for as long as it takes, with waits of up to two
    /// seconds. Meanwhile calls fail at once.
    ///
    /// # Errors
    /// - [`CacheError::InvalidUrl`] names what is wrong with the URL, without the password.
    /// - [`CacheError::Unavailable`] when no server is there.
    /// - [`CacheError::Timeout`] when it accepts but stays silent.
    /// - [`CacheError::Rejected`] when the user or the password is wrong.
    ///
    /// # Cancellation
    /// Safe: nothing stays open.
    pub async fn connect(url: &str) -> Result<Self, CacheError> {
        Self::connect_with(url, CacheOptions::new()).await
    }

    /// Connects with these options.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect); [`CacheError::InvalidOption`].
    ///
    /// # Cancellation
    /// Safe: nothing stays open.
    pub async fn connect_with(url: &str, options: CacheOptions) -> Result<Self, CacheError> {
        options.check()?;
        let url = RedisUrl::parse(url)?;
        let store = RedisStore::connect(url, &options).await?;
        let local = match options.local_bytes_max {
            0 => LocalTier::off(),
            bytes_max => LocalTier::new(bytes_max),
        };
        Ok(Self::of(Store::Redis(Box::new(store)), local, &options))
    }

    /// A cache in this process, for development and tests. It answers as Redis does, and forgets all
    /// with its last clone; other processes see nothing of it.
    pub fn in_process() -> Self {
        let options = CacheOptions::new();
        let store = InProcessStore::new(options.entries_max);
        Self::of(Store::InProcess(store), LocalTier::off(), &options)
    }

    /// A cache in this process with these options; those of connections say nothing here.
    ///
    /// # Errors
    /// [`CacheError::InvalidOption`].
    pub fn in_process_with(options: &CacheOptions) -> Result<Self, CacheError> {
        options.check()?;
        let store = InProcessStore::new(options.entries_max);
        Ok(Self::of(Store::InProcess(store), LocalTier::off(), options))
    }

    fn of(store: Store, local: LocalTier, options: &CacheOptions) -> Self {
        let prefix = options.prefix.as_ref();
        Self {
            inner: Arc::new(Inner {
                store,
                prefix: prefix.map_or_else(String::new, |prefix| format!("{prefix}:")),
                value_bytes_max: options.value_bytes_max,
                local,
                flights: Flights::default(),
                load_bound: LoadBound::new(options.outage_loads),
            }),
        }
    }

    /// The driver's connections, for commands that this crate does not have; none in process.
    ///
    /// Keys need the prefix of the cache there. Commands that block do not belong on them: others wait
    /// behind them. The connections are closed with the last clone of the cache.
    pub fn client(&self) -> Option<&Pool> {
        self.inner.store.redis().map(RedisStore::pool)
    }

    /// Asks the server for a sign of life, and says how long it took. One round trip.
    ///
    /// # Errors
    /// Those of [`CacheError::is_outage`]; [`CacheError::Closed`].
    ///
    /// # Cancellation
    /// Safe.
    pub async fn ping(&self) -> Result<Duration, CacheError> {
        let start = Instant::now();
        self.inner.store.ping().await?;
        Ok(start.elapsed())
    }

    /// Closes the connections, of all clones: answers that are under way are waited for, up to a second;
    /// later calls are [`CacheError::Closed`].
    ///
    /// # Cancellation
    /// The cache stays closed; its connections close with the last clone.
    pub async fn close(&self) {
        self.inner.local.close();
        self.inner.store.close().await;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The key as the store has it, with the prefix of the cache.
    pub(crate) fn full_key(&self, key: &Key) -> String {
        [self.inner.prefix.as_str(), key.as_str()].concat()
    }

    /// The key of a tag's generation. No key of a namespace is like it, as those have no `%t`.
    pub(crate) fn tag_key(&self, tag: &str) -> Result<String, KeyError> {
        if tag.is_empty() {
            return Err(KeyError::Tag {
                reason: "it is empty; give it a name such as `org:1`",
            });
        }
        let mut key = format!("{}%tag:", self.inner.prefix);
        let start = key.len();
        escape(tag, &mut key);
        if key.len() - start > PART_BYTES_MAX {
            return Err(KeyError::Tag {
                reason: "it has more than 512 bytes; use an id or a hash of it",
            });
        }
        Ok(key)
    }

    /// The prefix with its colon; empty where there is none.
    pub(crate) fn prefix(&self) -> &str {
        &self.inner.prefix
    }

    pub(crate) fn value_bytes_max(&self) -> usize {
        self.inner.value_bytes_max
    }

    pub(crate) fn local(&self) -> &LocalTier {
        &self.inner.local
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.inner.flights
    }

    pub(crate) fn load_bound(&self) -> &LoadBound {
        &self.inner.load_bound
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("store", &self.inner.store)
            .field("prefix", &self.inner.prefix.trim_end_matches(':'))
            .finish_non_exhaustive()
    }
}
