// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: a bucket of the configuration, and the part of its keys that is in reach.
//!
//! It opens, hands out buckets and tenants, and turns the keys of a caller into the keys of the bucket.
//! What is done with objects stands beside it, a file for each operation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::backend::{Backend, BackendKind, Bucket, MemoryBackend, Opening};
use crate::clock::Clock;
use crate::config::{Secret, StorageConfig};
use crate::error::StorageError;
use crate::key::{Key, KeyError, Prefix};
use crate::org::OrgStorage;
use crate::public_map::PublicMap;

/// The name of the bucket in memory.
const MEMORY_BUCKET: &str = "memory";

/// The largest object that S3 and GCS take.
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// A bucket on S3, Google Cloud Storage, Azure, a folder or memory.
///
/// It is cheap to clone, and made to be shared by all tasks. All buckets of a configuration share one
/// pool of connections.
///
/// # Examples
/// ```
/// use forktex_storage::Storage;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_storage::StorageError> {
/// let storage = Storage::memory();
/// storage.put("greeting.txt", "hello").await?;
/// let object = storage.get("greeting.txt").await?;
/// assert_eq!(object.bytes().await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
    bucket: Arc<Bucket>,
    /// What the keys in reach begin with: empty, or `org/<organisation>/`.
    scope: Arc<str>,
}

/// What all views of one storage share.
pub(crate) struct Shared {
    pub(crate) buckets: BTreeMap<String, Arc<Bucket>>,
    pub(crate) public_map: PublicMap,
    pub(crate) ticket_key: Option<Secret>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
}

/// The bounds of transfers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The size of a part.
    pub(crate) part_bytes: usize,
    /// How many parts of one upload are on their way at once.
    pub(crate) parts_parallel: usize,
    /// The largest object.
    pub(crate) object_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_bytes: 8 * 1024 * 1024,
            parts_parallel: 4,
            object_bytes_max: OBJECT_BYTES_MAX,
        }
    }
}

impl Storage {
    /// Opens a configuration. It begins with the first bucket.
    ///
    /// The configuration is checked as a whole, clients are built, folders are created, and the files of
    /// service accounts are read. No cloud is spoken to: that a bucket exists shows at its first use.
    ///
    /// # Errors
    /// [`StorageError::Config`]; [`StorageError::Unsupported`] for a cloud whose feature is off;
    /// [`StorageError::Io`] for a folder that cannot be opened.
    ///
    /// # Cancellation
    /// A folder may have been created.
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::{BackendKind, MemoryConfig, Storage, StorageConfig};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), forktex_storage::StorageError> {
    /// let storage = Storage::open(StorageConfig::new(MemoryConfig::new())).await?;
    /// assert_eq!(storage.backend(), BackendKind::Memory);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(config: StorageConfig) -> Result<Self, StorageError> {
        config.check()?;
        let opening = Opening::new(config.client);
        let first = config.buckets.first().map(|(name, _)| name.clone());
        let mut buckets = BTreeMap::new();
        for (name, bucket) in config.buckets {
            let bucket = Bucket::open(name.clone(), bucket, &opening).await?;
            buckets.insert(name, Arc::new(bucket));
        }
        config.public_map.check(&buckets)?;
        let shared = Shared {
            buckets,
            public_map: config.public_map,
            ticket_key: config.ticket_key,
            clock: config.clock,
            limits: config.limits,
        };
        // A configuration is made with a bucket, and none is taken away.
        let first = first.unwrap_or_default();
        let bucket = shared.find(&first)?;
        Ok(Self {
            shared: Arc::new(shared),
            bucket,
            scope: Arc::from(""),
        })
    }

    /// Opens the URL form: [`StorageConfig::from_url`], then [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancellation
    /// As [`open`](Self::open).
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::Storage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), forktex_storage::StorageError> {
    /// let storage = Storage::open_url("memory://scratch").await?;
    /// assert_eq!(storage.bucket_name(), "scratch");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open_url(url: &str) -> Result<Self, StorageError> {
        Self::open(StorageConfig::from_url(url)?).await
    }

    /// A storage with one empty bucket in memory, for tests and examples. Its name is `memory`.
    pub fn memory() -> Self {
        let bucket = Arc::new(Bucket {
            name: MEMORY_BUCKET.to_owned(),
            backend: Backend::Memory(MemoryBackend::new()),
        });
        let shared = Shared {
            buckets: BTreeMap::from([(bucket.name.clone(), Arc::clone(&bucket))]),
            public_map: PublicMap::new(),
            ticket_key: None,
            clock: Clock::system(),
            limits: Limits::default(),
        };
        Self {
            shared: Arc::new(shared),
            bucket,
            scope: Arc::from(""),
        }
    }

    /// Another bucket of the configuration, by its name there. The keys in reach stay those of this view.
    ///
    /// # Errors
    /// [`StorageError::NoSuchBucket`].
    pub fn bucket(&self, name: &str) -> Result<Self, StorageError> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
            bucket: self.shared.find(name)?,
            scope: Arc::clone(&self.scope),
        })
    }

    /// The name of this bucket in the configuration.
    pub fn bucket_name(&self) -> &str {
        &self.bucket.name
    }

    /// What this bucket is on.
    pub fn backend(&self) -> BackendKind {
        self.bucket.backend.kind()
    }

    /// The part of this bucket that belongs to an organisation: the keys under `org/<org>/`. Of a view that
    /// is narrowed already it is a part of that part.
    ///
    /// # Errors
    /// [`KeyError::Org`] where the name has other characters than `A` to `Z`, `a` to `z`, `0` to `9`, `_`
    /// and `-`, or more than 64.
    pub fn for_org(&self, org: impl AsRef<str>) -> Result<OrgStorage, KeyError> {
        OrgStorage::new(self, org.as_ref())
    }

    /// This view with more before its keys. `more` ends with `/`.
    pub(crate) fn narrowed(&self, more: &str) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            bucket: Arc::clone(&self.bucket),
            scope: Arc::from(format!("{}{more}", self.scope)),
        }
    }

    /// What the keys in reach begin with: empty, or with a `/` at its end.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    /// The bucket's key for a key of this view.
    pub(crate) fn full_key(&self, key: &Key) -> Result<Key, KeyError> {
        if self.scope.is_empty() {
            return Ok(key.clone());
        }
        Key::new(format!("{}{key}", self.scope))
    }

    /// The bucket's prefix for a prefix of this view.
    pub(crate) fn full_prefix(&self, prefix: &Prefix) -> Result<Prefix, KeyError> {
        Prefix::new(format!("{}{prefix}", self.scope))
    }

    /// This view's key for a key of the bucket; nothing where it is out of reach, or no key.
    pub(crate) fn strip(&self, full: &str) -> Option<Key> {
        Key::new(full.strip_prefix(self.scope())?).ok()
    }

    /// The client of the bucket.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        self.bucket.backend.store()
    }

    /// The bucket.
    pub(crate) fn bucket_inner(&self) -> &Bucket {
        &self.bucket
    }

    /// What all views share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// A bucket by its name in the configuration.
    fn find(&self, name: &str) -> Result<Arc<Bucket>, StorageError> {
        match self.buckets.get(name) {
            Some(bucket) => Ok(Arc::clone(bucket)),
            None => Err(StorageError::NoSuchBucket {
                name: name.to_owned(),
                known: self.buckets.keys().cloned().collect(),
            }),
        }
    }
}

/// Shows where it leads, and none of what opens it.
impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("bucket", &self.bucket.name)
            .field("backend", &self.backend())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FolderConfig, MemoryConfig, S3Config};

    #[test]
    fn keys_of_a_view_are_keys_of_the_bucket() {
        let storage = Storage::memory();
        let key = Key::new("a/b").unwrap();
        assert_eq!(storage.full_key(&key).unwrap(), key);
        assert_eq!(storage.strip("a/b"), Some(key.clone()));

        let acme = storage.for_org("acme").unwrap();
        let full = acme.full_key(&key).unwrap();
        assert_eq!(full.as_str(), "org/acme/a/b");
        assert_eq!(acme.strip(full.as_str()), Some(key));
        for outside in ["a/b", "org/acme", "org/acme/", "org/acme2/a", "org/other/a"] {
            assert_eq!(acme.strip(outside), None, "{outside}");
        }
        let all = acme.full_prefix(&Prefix::default()).unwrap();
        assert_eq!(all.as_str(), "org/acme");
    }

    #[test]
    fn a_tenant_leads_to_no_other() {
        let storage = Storage::memory();
        let inner = storage.for_org("acme").unwrap().for_org("other").unwrap();
        assert_eq!(inner.scope(), "org/acme/org/other/");
        let same = inner.bucket("memory").unwrap();
        assert_eq!((same.scope(), same.org()), (inner.scope(), "other"));
        for bad in ["", "a/b", "..", "a b", "\u{e4}", "a".repeat(65).as_str()] {
            assert!(storage.for_org(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_prefix_of_a_tenant_counts() {
        let acme = Storage::memory().for_org("acme").unwrap();
        let long = Key::new("a".repeat(1024 - "org/acme/".len())).unwrap();
        assert!(acme.full_key(&long).is_ok());
        let longer = Key::new("a".repeat(1024)).unwrap();
        assert!(matches!(
            acme.full_key(&longer),
            Err(KeyError::TooLong { .. })
        ));
    }

    #[tokio::test]
    async fn the_first_bucket_is_the_one_that_is_open() {
        let config = StorageConfig::named("main", MemoryConfig::new())
            .bucket("archive", MemoryConfig::new());
        let storage = Storage::open(config).await.unwrap();
        assert_eq!(storage.bucket_name(), "main");
        assert_eq!(storage.bucket("archive").unwrap().bucket_name(), "archive");
        let error = storage.bucket("other").unwrap_err().to_string();
        assert!(error.contains("archive, main"), "{error}");
    }

    #[tokio::test]
    async fn nothing_secret_is_shown() {
        let key = "hunter2".repeat(8);
        let folder = std::env::temp_dir().join(format!("forktex-storage-{}", uuid::Uuid::new_v4()));
        let config = StorageConfig::new(
            FolderConfig::new(&folder).serve_at("http://localhost", key.as_str()),
        )
        .bucket(
            "s3",
            S3Config::minio("http://localhost:9000", "files", "AKID", key.as_str()),
        )
        .ticket_key(key.as_str());
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("AKID"),
            "{shown}"
        );
        match Storage::open(config).await {
            Ok(storage) => {
                let shown = format!("{storage:?} {:?}", storage.for_org("acme").unwrap());
                assert!(!shown.contains("hunter2"), "{shown}");
            }
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert!(
                    shown.contains("feature `aws`") && !shown.contains("hunter2"),
                    "{shown}"
                );
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
