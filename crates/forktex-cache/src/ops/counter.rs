// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Numbers that count.

use super::{Pending, Ttl};
use crate::cache::Cache;
use crate::duration::IntoDuration;
use crate::error::CacheError;
use crate::key::Key;

impl Cache {
    /// Adds 1 to a number, or what [`by`](Increment::by) says, and gives what it is then: await what
    /// this returns. An absent key counts from 0. One round trip.
    ///
    /// # Errors
    /// [`CacheError::WrongType`] where the key holds no number; [`CacheError::Rejected`] where the sum
    /// does not fit an `i64`; [`CacheError::Duration`]; outages. After a [`CacheError::Timeout`] it may
    /// have been counted or not.
    ///
    /// # Cancellation
    /// It is counted or not.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// let key = Namespace::new("visits").key("home")?;
    /// assert_eq!(cache.incr(&key).ttl("1h").await?, 1);
    /// assert_eq!(cache.incr(&key).by(2).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn incr<'a>(&'a self, key: &'a Key) -> Increment<'a> {
        Increment {
            cache: self,
            key,
            by: 1,
            ttl: Ok(None),
        }
    }
}

/// A number to be added to; made by [`Cache::incr`], and done when it is awaited.
#[derive(Debug)]
#[must_use = "nothing is counted until it is awaited"]
pub struct Increment<'a> {
    cache: &'a Cache,
    key: &'a Key,
    by: i64,
    ttl: Ttl,
}

impl Increment<'_> {
    /// What is added; negative counts down. Default 1.
    pub fn by(mut self, by: i64) -> Self {
        self.by = by;
        self
    }

    /// How long the number lives from its first count on; later counts do not prolong it. Default: until
    /// it is deleted or evicted.
    pub fn ttl(mut self, ttl: impl IntoDuration) -> Self {
        self.ttl = ttl.into_duration().map(Some);
        self
    }

    async fn count(self) -> Result<i64, CacheError> {
        let full_key = self.cache.full_key(self.key);
        let counted = self.cache.store().increment(&full_key, self.by, self.ttl?);
        let counted = counted.await;
        self.cache.forget_local(&full_key);
        counted
    }
}

impl<'a> IntoFuture for Increment<'a> {
    type Output = Result<i64, CacheError>;
    type IntoFuture = Pending<'a, i64>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.count())
    }
}
