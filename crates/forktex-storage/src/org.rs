// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One tenant's part of a storage. Whoever holds it reaches the keys of that tenant and no others:
//! there is no method that leads out of the prefix, and no key can climb out of it.

use std::fmt;
use std::ops::Deref;

use crate::error::StorageError;
use crate::key::KeyError;
use crate::storage::Storage;

/// The most characters of an organisation's name.
const ORG_BYTES_MAX: usize = 64;

/// The objects of one organisation, under the prefix `org/<organisation>/` of the bucket.
///
/// It is a [`Storage`] with shorter keys: what it is given and what it gives back has no prefix. Links,
/// forms and tickets that it makes are for its own objects, too.
///
/// # Examples
/// ```
/// use forktex_storage::Storage;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_storage::StorageError> {
/// let storage = Storage::memory();
/// let acme = storage.for_org("acme")?;
/// acme.put("logo.txt", "acme's").await?;
///
/// assert!(storage.exists("org/acme/logo.txt").await?);
/// assert!(!storage.for_org("other")?.exists("logo.txt").await?);
/// assert!(acme.get("../other/logo.txt").await.is_err());
/// assert!(storage.for_org("acme/../other").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OrgStorage {
    storage: Storage,
    org: String,
}

impl OrgStorage {
    /// Narrows a storage to an organisation.
    pub(crate) fn new(storage: &Storage, org: &str) -> Result<Self, KeyError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=ORG_BYTES_MAX).contains(&org.len()) || !org.bytes().all(is_allowed) {
            return Err(KeyError::org(org));
        }
        Ok(Self {
            storage: storage.narrowed(&format!("org/{org}/")),
            org: org.to_owned(),
        })
    }

    /// The organisation.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The same organisation in another bucket of the configuration.
    ///
    /// # Errors
    /// [`StorageError::NoSuchBucket`].
    pub fn bucket(&self, name: &str) -> Result<Self, StorageError> {
        Ok(Self {
            storage: self.storage.bucket(name)?,
            org: self.org.clone(),
        })
    }
}

impl Deref for OrgStorage {
    type Target = Storage;

    fn deref(&self) -> &Storage {
        &self.storage
    }
}

impl fmt::Debug for OrgStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrgStorage")
            .field("org", &self.org)
            .field("storage", &self.storage)
            .finish()
    }
}
