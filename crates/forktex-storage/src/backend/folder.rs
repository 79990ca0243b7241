// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket in a folder: the store, and what its links are signed with.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use crate::config::{FolderConfig, Secret};
use crate::error::StorageError;
use crate::folder::FolderStore;

/// A bucket in a folder.
pub(crate) struct FolderBackend {
    pub(crate) store: Arc<FolderStore>,
    /// The same store, as the trait.
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) signing: Option<FolderSigning>,
}

/// What links to a folder are signed with.
pub(crate) struct FolderSigning {
    /// Where a router answers them.
    pub(crate) base_url: Url,
    pub(crate) key: Secret,
}

impl FolderBackend {
    /// Opens the folder, and creates it where it is missing.
    pub(super) async fn open(name: &str, config: FolderConfig) -> Result<Self, StorageError> {
        let signing = config.signing(name)?;
        let signing = signing.map(|(base_url, key)| FolderSigning { base_url, key });
        let store = Arc::new(opened(config.path).await?);
        let objects: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
        Ok(Self {
            store,
            objects,
            signing,
        })
    }
}

/// Opens the folder on a thread that may block.
async fn opened(path: PathBuf) -> Result<FolderStore, StorageError> {
    let root = path.clone();
    let opening = tokio::task::spawn_blocking(move || FolderStore::open(&root));
    match opening.await {
        Ok(opened) => opened,
        Err(error) => Err(StorageError::Io {
            operation: "open the folder",
            path,
            source: error.into(),
        }),
    }
}
