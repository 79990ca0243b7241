// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One value: reading it, writing it, and how long it lives.

use std::fmt;

use fred::bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tags::Tags;
use super::{Pending, Ttl, check_size, decode, encode};
use crate::cache::Cache;
use crate::duration::IntoDuration;
use crate::envelope::{Envelope, Header, seal};
use crate::error::CacheError;
use crate::key::Key;
use crate::store::{SetOnly, TimeToLive};
use crate::telemetry;

impl Cache {
    /// Reads a value; `None` where the key is absent, or a tag of it was invalidated since.
    ///
    /// One round trip, and one more where the value has tags.
    ///
    /// # Errors
    /// [`CacheError::Decode`] where another type was stored: unlike a cached function, this does not
    /// take it for absent. [`CacheError::WrongType`] where the key holds a list or the like. Outages.
    ///
    /// # Cancellation
    /// Safe.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// let key = Namespace::new("user").key(42)?;
    /// assert_eq!(cache.get_json::<String>(&key).await?, None);
    /// cache.set_json(&key, "Ada").ttl("5m").await?;
    /// assert_eq!(cache.get_json::<String>(&key).await?.as_deref(), Some("Ada"));
    /// assert!(cache.get_json::<u32>(&key).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_json<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, CacheError> {
        let full_key = self.full_key(key);
        let stored = self.store().get(&full_key).await?;
        let payload = match stored {
            Some(stored) => self.current_payload(stored).await?,
            None => None,
        };
        telemetry::read(key.namespace(), payload.is_some());
        payload
            .map(|payload| decode(&full_key, &payload))
            .transpose()
    }

    /// Writes a value as JSON: await what this returns, after its options. Gives whether the value was
    /// written, which without a condition is always so.
    ///
    /// Without tags, what is stored is the bare JSON, for programs in other languages. A cached function
    /// that is loading the same key does not write over it. One round trip, and one more with tags.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] and [`CacheError::Encode`], with nothing written;
    /// [`CacheError::Duration`]; [`CacheError::Key`] for a tag that is empty; outages. After a
    /// [`CacheError::Timeout`] the value may have been written or not.
    ///
    /// # Cancellation
    /// The value is written or not.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// let key = Namespace::new("user").key(42)?;
    /// assert!(cache.set_json(&key, "Ada").ttl("5m").tags(["org:1"]).await?);
    /// assert!(!cache.set_json(&key, "Eve").if_absent().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_json<'a, T>(&'a self, key: &'a Key, value: &T) -> SetJson<'a>
    where
        T: Serialize + ?Sized,
    {
        SetJson {
            cache: self,
            key,
            payload: encode(key.as_str(), value),
            ttl: Ok(None),
            tags: Vec::new(),
            only: SetOnly::Always,
        }
    }

    /// Whether there is a key. Does not look at its tags. One round trip.
    ///
    /// # Errors
    /// Outages.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn exists(&self, key: &Key) -> Result<bool, CacheError> {
        self.store().exists(&self.full_key(key)).await
    }

    /// How much longer a key lives. One round trip.
    ///
    /// # Errors
    /// Outages.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn ttl(&self, key: &Key) -> Result<TimeToLive, CacheError> {
        self.store().ttl(&self.full_key(key)).await
    }

    /// Gives a key another time to live, from now. Whether there is the key. One round trip.
    ///
    /// Not for what a cached function stored: what is fresh of that is counted from its end.
    ///
    /// # Errors
    /// [`CacheError::Duration`]; outages.
    ///
    /// # Cancellation
    /// The time is set or not.
    pub async fn expire(&self, key: &Key, ttl: impl IntoDuration) -> Result<bool, CacheError> {
        let ttl = ttl.into_duration()?;
        let full_key = self.full_key(key);
        let is_there = self.store().expire(&full_key, ttl).await?;
        self.forget_local(&full_key);
        Ok(is_there)
    }

    /// Takes the limit from a key's time to live. Whether it had one. One round trip.
    ///
    /// # Errors
    /// Outages.
    ///
    /// # Cancellation
    /// The limit is lifted or not.
    pub async fn persist(&self, key: &Key) -> Result<bool, CacheError> {
        self.store().persist(&self.full_key(key)).await
    }

    /// The JSON of a stored value, unless a tag of it was invalidated, or its form cannot be read.
    async fn current_payload(&self, stored: Bytes) -> Result<Option<Bytes>, CacheError> {
        let Some(envelope) = Envelope::open(stored).filter(Envelope::has_value) else {
            return Ok(None);
        };
        let is_current = self.is_current(envelope.generations()).await?;
        Ok(is_current.then_some(envelope.payload))
    }
}

/// A value to be written; made by [`Cache::set_json`], and done when it is awaited.
#[must_use = "nothing is written until it is awaited"]
pub struct SetJson<'a> {
    cache: &'a Cache,
    key: &'a Key,
    payload: Result<Vec<u8>, CacheError>,
    ttl: Ttl,
    tags: Vec<String>,
    only: SetOnly,
}

impl SetJson<'_> {
    /// How long the value lives: a [`Duration`](std::time::Duration) or a text such as `"5m"`. Default:
    /// until it is deleted or evicted.
    pub fn ttl(mut self, ttl: impl IntoDuration) -> Self {
        self.ttl = ttl.into_duration().map(Some);
        self
    }

    /// Tags by which the value can be invalidated together with others:
    /// [`Cache::invalidate_tag`]. At most [`TAGS_MAX`](crate::TAGS_MAX).
    ///
    /// A value with tags lives at most 30 days after something was last written with each of them.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Writes only where the key is absent.
    pub fn if_absent(mut self) -> Self {
        self.only = SetOnly::IfAbsent;
        self
    }

    /// Writes only where there is the key.
    pub fn if_present(mut self) -> Self {
        self.only = SetOnly::IfPresent;
        self
    }

    async fn write(self) -> Result<bool, CacheError> {
        let Self {
            cache,
            key,
            payload,
            ttl,
            tags,
            only,
        } = self;
        let (payload, ttl) = (payload?, ttl?);
        let full_key = cache.full_key(key);
        // Before the generations are asked for: what is refused costs no round trip.
        check_size(key.as_str(), &payload, cache.value_bytes_max())?;
        let stored = if tags.is_empty() {
            Bytes::from(payload)
        } else {
            let tags = Tags::new(cache, tags)?;
            let header = Header {
                generations: tags.ensure(cache).await?,
                ..Header::default()
            };
            seal(&header, &payload)
        };
        check_size(key.as_str(), &stored, cache.value_bytes_max())?;
        let is_written = cache.store().set(&full_key, stored, ttl, only).await;
        // Also where it is not known whether it was written.
        cache.forget_local(&full_key);
        is_written
    }
}

/// Shows no value.
impl fmt::Debug for SetJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetJson")
            .field("key", self.key)
            .field("bytes", &self.payload.as_ref().map(Vec::len))
            .field("ttl", &self.ttl)
            .field("tags", &self.tags)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for SetJson<'a> {
    type Output = Result<bool, CacheError>;
    type IntoFuture = Pending<'a, bool>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.write())
    }
}
