// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deleting by what keys look like.

use crate::cache::Cache;
use crate::error::CacheError;
use crate::namespace::Namespace;
use crate::store::Pattern;

impl Cache {
    /// Deletes the key `prefix` and all keys that begin with `prefix:`. How many there were.
    ///
    /// `user` takes `user:1` and `user:1:avatar`, never `username:1`. Nothing in it is a wildcard. Parts
    /// are as they stand in keys: see [`Key`](crate::Key).
    ///
    /// Looks at every key of the server, twice, in pages of 1,000: a tag, or a version of the namespace,
    /// costs less. A load of a cached function that began before cannot put its value back; a key that is
    /// written while this runs may stay.
    ///
    /// # Errors
    /// [`CacheError::EmptyPrefix`]; outages, after which some keys may be deleted: call it again.
    ///
    /// # Cancellation
    /// Some of the keys may be deleted.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// for namespace in ["user", "username"] {
    ///     let key = Namespace::new(namespace).key(1)?;
    ///     cache.set_json(&key, "Ada").await?;
    /// }
    /// assert_eq!(cache.delete_prefix("user").await?, 1);
    /// assert!(cache.exists(&Namespace::new("username").key(1)?).await?);
    /// assert!(cache.delete_prefix("").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete_prefix(&self, prefix: &str) -> Result<u64, CacheError> {
        let prefix = prefix.strip_suffix(':').unwrap_or(prefix);
        if prefix.is_empty() {
            return Err(CacheError::EmptyPrefix);
        }
        let whole = format!("{}{prefix}", self.prefix());
        let below = Pattern::beginning_with(format!("{whole}:"));
        let deleted = async {
            let exact = self.store().unlink(&[whole]).await?;
            Ok::<u64, CacheError>(exact + self.store().unlink_matching(&below).await?)
        };
        let deleted = deleted.await;
        self.forget_local_all();
        deleted
    }

    /// Deletes all keys of a namespace: those of its version, or of all versions where it has none. How
    /// many there were. As [`delete_prefix`](Self::delete_prefix).
    ///
    /// # Errors
    /// [`CacheError::Key`] where the name is not well formed; those of
    /// [`delete_prefix`](Self::delete_prefix).
    ///
    /// # Cancellation
    /// Some of the keys may be deleted.
    pub async fn delete_namespace(&self, namespace: &Namespace) -> Result<u64, CacheError> {
        namespace.check()?;
        self.delete_prefix(&namespace.to_string()).await
    }

    /// Deletes all keys that match: `*` stands for any text, `?` for one character (in ASCII), and all
    /// else for itself. How many there were. Its cost is that of
    /// [`delete_prefix`](Self::delete_prefix).
    ///
    /// # Errors
    /// [`CacheError::TooBroad`] where the pattern does not begin with literal text; outages, after which
    /// some keys may be deleted: call it again.
    ///
    /// # Cancellation
    /// Some of the keys may be deleted.
    ///
    /// # Examples
    /// ```
    /// # use forktex_cache::{Cache, Namespace};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_process();
    /// let user = Namespace::new("user");
    /// for part in ["avatar", "name"] {
    ///     cache.set_json(&user.key((1, part))?, "..").await?;
    /// }
    /// assert_eq!(cache.delete_pattern("user:*:avatar").await?, 1);
    /// assert!(cache.delete_pattern("*").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete_pattern(&self, pattern: &str) -> Result<u64, CacheError> {
        let pattern = Pattern::parse(self.prefix(), pattern)?;
        let deleted = self.store().unlink_matching(&pattern).await;
        self.forget_local_all();
        deleted
    }
}
