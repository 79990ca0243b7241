// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The backends: what each bucket is on, and what it takes to sign for it.
//!
//! A backend holds a client and the material of its signatures. It decides nothing about keys, tenants
//! or links, and opening one sends nothing. None of these types can be shown by `Debug`: the clients of
//! `object_store` would show their account keys.

mod azure;
mod folder;
mod gcs;
mod memory;
mod s3;

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

use crate::config::{BucketConfig, ClientSettings};
use crate::error::StorageError;

pub(crate) use self::azure::AzureBackend;
pub(crate) use self::folder::{FolderBackend, FolderSigning};
pub(crate) use self::gcs::GcsBackend;
pub(crate) use self::memory::MemoryBackend;
pub(crate) use self::s3::S3Backend;

/// What a bucket is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BackendKind {
    /// S3 of AWS, MinIO, or another that speaks the same.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A folder on this machine.
    Folder,
    /// Memory of this process.
    Memory,
}

impl BackendKind {
    /// The name as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Gcs => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
            Self::Folder => "a folder",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bucket of the configuration, opened.
pub(crate) struct Bucket {
    /// Its name in the configuration.
    pub(crate) name: String,
    pub(crate) backend: Backend,
}

/// The backend of a bucket.
#[cfg_attr(
    not(all(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "without its feature a backend is not opened")
)]
pub(crate) enum Backend {
    S3(S3Backend),
    Gcs(GcsBackend),
    Azure(AzureBackend),
    Folder(FolderBackend),
    Memory(MemoryBackend),
}

impl Bucket {
    /// Opens the bucket. A folder is created; a cloud is not spoken to.
    pub(crate) async fn open(
        name: String,
        config: BucketConfig,
        opening: &Opening,
    ) -> Result<Self, StorageError> {
        let backend = match config {
            BucketConfig::S3(config) => Backend::S3(S3Backend::open(&name, config, opening)?),
            BucketConfig::Gcs(config) => {
                Backend::Gcs(GcsBackend::open(&name, config, opening).await?)
            }
            BucketConfig::Azure(config) => {
                Backend::Azure(AzureBackend::open(&name, config, opening)?)
            }
            BucketConfig::Folder(config) => {
                Backend::Folder(FolderBackend::open(&name, config).await?)
            }
            BucketConfig::Memory(_) => Backend::Memory(MemoryBackend::new()),
        };
        Ok(Self { name, backend })
    }
}

impl Backend {
    /// What it is on.
    pub(crate) fn kind(&self) -> BackendKind {
        match self {
            Self::S3(_) => BackendKind::S3,
            Self::Gcs(_) => BackendKind::Gcs,
            Self::Azure(_) => BackendKind::Azure,
            Self::Folder(_) => BackendKind::Folder,
            Self::Memory(_) => BackendKind::Memory,
        }
    }

    /// The client.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        match self {
            Self::S3(backend) => &backend.store,
            Self::Gcs(backend) => &backend.store,
            Self::Azure(backend) => &backend.store,
            Self::Folder(backend) => &backend.objects,
            Self::Memory(backend) => &backend.store,
        }
    }
}

/// What the buckets of one storage share when they are opened: one HTTP client, built when the first
/// cloud wants it.
#[cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "only clouds are spoken to")
)]
pub(crate) struct Opening {
    pub(crate) settings: ClientSettings,
    #[cfg(feature = "http-client")]
    connector: std::sync::OnceLock<crate::http::Connector>,
}

impl Opening {
    /// Nothing is built yet.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self {
            settings,
            #[cfg(feature = "http-client")]
            connector: std::sync::OnceLock::new(),
        }
    }

    /// The one HTTP client.
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub(crate) fn connector(&self) -> Result<&crate::http::Connector, crate::config::ConfigError> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let connector = crate::http::Connector::new(&self.settings)?;
        Ok(self.connector.get_or_init(|| connector))
    }
}

/// A backend whose feature is off.
#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn feature_missing(backend: BackendKind, feature: &str) -> StorageError {
    StorageError::unsupported(
        backend,
        "its client was not built",
        format!("enable the feature `{feature}` of forktex-storage"),
    )
}
