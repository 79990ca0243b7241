// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deleting by key, and what this process keeps of it.

use super::many::check_count;
use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::Key;

impl Cache {
    /// Deletes a key. Whether there was one. One round trip.
    ///
    /// A load of a cached function that began before cannot put its value back.
    ///
    /// # Errors
    /// Outages. After a [`CacheError::Timeout`] it may be deleted or not.
    ///
    /// # Cancellation
    /// The key is deleted or not.
    pub async fn delete(&self, key: &Key) -> Result<bool, CacheError> {
        Ok(self.delete_many(std::slice::from_ref(key)).await? > 0)
    }

    /// Deletes keys, at most 10,000. How many there were. One round trip for all primaries together, for
    /// each 500 keys.
    ///
    /// # Errors
    /// [`CacheError::InvalidOption`] for too many; outages, after which some may be deleted.
    ///
    /// # Cancellation
    /// Some of the keys may be deleted.
    pub async fn delete_many(&self, keys: &[Key]) -> Result<u64, CacheError> {
        check_count(keys.len())?;
        let full_keys: Vec<String> = keys.iter().map(|key| self.full_key(key)).collect();
        let deleted = self.store().unlink(&full_keys).await;
        // Also where it is not known whether they were deleted.
        for full_key in &full_keys {
            self.forget_local(full_key);
        }
        deleted
    }

    /// Drops what this process keeps of a key; a call that comes now does not join a load that began before.
    pub(crate) fn forget_local(&self, full_key: &str) {
        self.flights().detach(full_key);
        self.local().forget(full_key);
    }

    /// Drops all that this process keeps.
    pub(crate) fn forget_local_all(&self) {
        self.flights().detach_all();
        self.local().forget_all();
    }

    /// Drops what this process keeps under a tag.
    pub(crate) fn forget_local_tagged(&self, tag_key: &str) {
        // Which loads have the tag is not known.
        self.flights().detach_all();
        self.local().forget_tagged(tag_key);
    }
}
