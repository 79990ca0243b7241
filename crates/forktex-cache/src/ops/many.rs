// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Several values at once.

use std::borrow::Borrow;
use std::fmt;

use fred::bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Pending, Ttl, check_size, decode, encode};
use crate::cache::Cache;
use crate::duration::IntoDuration;
use crate::envelope::Envelope;
use crate::error::CacheError;
use crate::key::Key;
use crate::telemetry;

/// The most keys of one call.
pub(super) const KEYS_MAX: usize = 10_000;

impl Cache {
    /// Reads values, in the order of their keys; `None` where a key is absent, or a tag of its value was
    /// invalidated since. At most 10,000 keys.
    ///
    /// One round trip for all primaries together, for each 500 keys; and one more where values have tags.
    /// They are not read at one moment.
    ///
    /// # Errors
    /// Those of [`get_json`](Self::get_json); [`CacheError::InvalidOption`] for too many keys. What is no
    /// text, such as a list, counts as absent here.
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
    /// let user = Namespace::new("user");
    /// let keys = [user.key(1)?, user.key(2)?, user.key(3)?];
    /// cache.mset([(&keys[0], "Ada"), (&keys[2], "Eve")]).ttl("5m").await?;
    /// let names = cache.mget::<String>(&keys).await?;
    /// assert_eq!(names, [Some("Ada".to_owned()), None, Some("Eve".to_owned())]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn mget<T: DeserializeOwned>(
        &self,
        keys: &[Key],
    ) -> Result<Vec<Option<T>>, CacheError> {
        check_count(keys.len())?;
        let full_keys: Vec<String> = keys.iter().map(|key| self.full_key(key)).collect();
        let stored = self.store().get_many(&full_keys).await?;
        let envelopes: Vec<Option<Envelope>> = stored
            .into_iter()
            .map(|stored| stored.and_then(Envelope::open).filter(Envelope::has_value))
            .collect();
        let envelopes = self.current(envelopes).await?;
        let mut values = Vec::with_capacity(keys.len());
        for ((key, full_key), envelope) in keys.iter().zip(&full_keys).zip(envelopes) {
            telemetry::read(key.namespace(), envelope.is_some());
            let value = envelope.map(|envelope| decode(full_key, &envelope.payload));
            values.push(value.transpose()?);
        }
        Ok(values)
    }

    /// Writes values as JSON: await what this returns. At most 10,000. One round trip for all primaries
    /// together, for each 500 values; not as one, so that after an error some may be written.
    ///
    /// # Errors
    /// Those of [`set_json`](Self::set_json), for the first value that is refused, with nothing written;
    /// [`CacheError::InvalidOption`] for too many.
    ///
    /// # Cancellation
    /// Some of the values may be written.
    pub fn mset<K, T>(&self, values: impl IntoIterator<Item = (K, T)>) -> SetMany<'_>
    where
        K: Borrow<Key>,
        T: Serialize,
    {
        let max = self.value_bytes_max();
        let values = values.into_iter().map(|(key, value)| {
            let key = key.borrow();
            let payload = encode(key.as_str(), &value)?;
            check_size(key.as_str(), &payload, max)?;
            Ok((self.full_key(key), Bytes::from(payload)))
        });
        SetMany {
            cache: self,
            values: values.collect(),
            ttl: Ok(None),
        }
    }

    /// Those of which no tag was invalidated since.
    async fn current(
        &self,
        envelopes: Vec<Option<Envelope>>,
    ) -> Result<Vec<Option<Envelope>>, CacheError> {
        let tags = |envelope: &Envelope| -> Vec<String> {
            let generations = envelope.generations().iter();
            generations.map(|(tag, _)| tag.clone()).collect()
        };
        let mut names: Vec<String> = envelopes.iter().flatten().flat_map(tags).collect();
        if names.is_empty() {
            return Ok(envelopes);
        }
        names.sort_unstable();
        names.dedup();
        let keys = names.iter().map(|name| self.tag_key(name));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let generations = self.store().generations(&keys).await?;
        let is_current = |envelope: &Envelope| {
            envelope.generations().iter().all(|(tag, then)| {
                let at = names.binary_search(tag).ok();
                let now = at.and_then(|at| generations.get(at));
                now.is_some_and(|now| now.as_ref() == Some(then))
            })
        };
        Ok(envelopes
            .into_iter()
            .map(|envelope| envelope.filter(&is_current))
            .collect())
    }
}

/// Values to be written; made by [`Cache::mset`], and done when it is awaited.
#[must_use = "nothing is written until it is awaited"]
pub struct SetMany<'a> {
    cache: &'a Cache,
    values: Result<Vec<(String, Bytes)>, CacheError>,
    ttl: Ttl,
}

impl SetMany<'_> {
    /// How long the values live. Default: until they are deleted or evicted.
    pub fn ttl(mut self, ttl: impl IntoDuration) -> Self {
        self.ttl = ttl.into_duration().map(Some);
        self
    }

    async fn write(self) -> Result<(), CacheError> {
        let (values, ttl) = (self.values?, self.ttl?);
        check_count(values.len())?;
        let keys: Vec<String> = values.iter().map(|(key, _)| key.clone()).collect();
        let written = self.cache.store().set_many(values, ttl).await;
        for key in &keys {
            self.cache.forget_local(key);
        }
        written
    }
}

/// Shows no value.
impl fmt::Debug for SetMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetMany")
            .field("values", &self.values.as_ref().map(Vec::len))
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for SetMany<'a> {
    type Output = Result<(), CacheError>;
    type IntoFuture = Pending<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.write())
    }
}

pub(super) fn check_count(keys: usize) -> Result<(), CacheError> {
    if keys > KEYS_MAX {
        return Err(CacheError::option(
            "keys",
            "at most 10,000 are allowed at once",
        ));
    }
    Ok(())
}
