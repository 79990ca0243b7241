// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tags: a value remembers the generation of each of its tags, and counts for nothing once one of them
//! has another. So that many values are invalidated by one write.

use crate::cache::Cache;
use crate::error::CacheError;

/// The most tags of one value, and of one invalidation.
pub const TAGS_MAX: usize = 16;

/// Tags with the keys of their generations.
#[derive(Debug)]
pub(crate) struct Tags {
    names: Vec<String>,
    keys: Vec<String>,
}

impl Tags {
    /// Checks tags; one that is given twice counts once.
    pub(crate) fn new(cache: &Cache, mut names: Vec<String>) -> Result<Self, CacheError> {
        names.sort_unstable();
        names.dedup();
        if names.len() > TAGS_MAX {
            return Err(CacheError::option("tags", "at most 16 are allowed"));
        }
        let keys = names.iter().map(|name| cache.tag_key(name));
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self { names, keys })
    }

    /// The generations to write under; a tag without one gets one. One round trip to all primaries.
    ///
    /// They are asked for before the value is loaded: what is invalidated while it loads is then stale
    /// from the start.
    pub(crate) async fn ensure(self, cache: &Cache) -> Result<Vec<(String, String)>, CacheError> {
        let generations = cache.store().ensure_generations(&self.keys).await?;
        Ok(self.names.into_iter().zip(generations).collect())
    }
}

impl Cache {
    /// Invalidates all values that were written with this tag, wherever they are. One round trip.
    ///
    /// It deletes nothing: the values count for nothing from now on, and go when their time is over.
    ///
    /// # Errors
    /// [`CacheError::Key`] for a tag that is empty or longer than 512 bytes; outages.
    ///
    /// # Cancellation
    /// The tag is invalidated or not.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// let (ada, bob) = (Namespace::new("user").key("ada")?, Namespace::new("user").key("bob")?);
    /// cache.set_json(&ada, &1).ttl("5m").tags(["org:1"]).await?;
    /// cache.set_json(&bob, &2).ttl("5m").tags(["org:2"]).await?;
    /// cache.invalidate_tag("org:1").await?;
    /// assert_eq!(cache.get_json::<u32>(&ada).await?, None);
    /// assert_eq!(cache.get_json::<u32>(&bob).await?, Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
        self.invalidate_tags([tag]).await
    }

    /// Invalidates all values that were written with any of these tags, at most
    /// [`TAGS_MAX`](crate::TAGS_MAX). One round trip each.
    ///
    /// # Errors
    /// Those of [`invalidate_tag`](Self::invalidate_tag); [`CacheError::InvalidOption`] for too many.
    /// The tags before the one that failed are invalidated: call it again.
    ///
    /// # Cancellation
    /// Some of the tags may be invalidated.
    pub async fn invalidate_tags<T: Into<String>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), CacheError> {
        let tags = Tags::new(self, tags.into_iter().map(Into::into).collect())?;
        for key in &tags.keys {
            let raised = self.store().raise_generation(key).await;
            self.forget_local_tagged(key);
            raised?;
        }
        Ok(())
    }

    /// Whether the generations that a value was written under are still those of its tags. One round
    /// trip to each primary; none without tags.
    pub(crate) async fn is_current(
        &self,
        generations: &[(String, String)],
    ) -> Result<bool, CacheError> {
        if generations.is_empty() {
            return Ok(true);
        }
        let keys = generations.iter().map(|(tag, _)| self.tag_key(tag));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let now = self.store().generations(&keys).await?;
        Ok(generations
            .iter()
            .zip(now)
            .all(|((_, then), now)| now.as_ref() == Some(then)))
    }
}
