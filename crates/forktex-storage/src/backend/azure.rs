// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A container on Azure Blob Storage: the client, and what its links are signed with.
#![cfg_attr(
    not(feature = "azure"),
    allow(
        dead_code,
        unused_imports,
        clippy::needless_pass_by_value,
        clippy::unused_async,
        reason = "without its feature no such bucket is opened"
    )
)]

use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use super::Opening;
use crate::config::{AzureConfig, ConfigError, Secret};
use crate::error::StorageError;

/// A container on Azure Blob Storage.
pub(crate) struct AzureBackend {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) account: String,
    pub(crate) container: String,
    /// The service of the account, without the container. It may have a path, as the emulator's has.
    pub(crate) endpoint: Url,
    /// The key of the account; without it nothing can be signed.
    pub(crate) key: Option<Secret>,
}

impl AzureBackend {
    /// Builds the client. Nothing is sent.
    #[cfg(not(feature = "azure"))]
    pub(super) fn open(
        _name: &str,
        _config: AzureConfig,
        _opening: &Opening,
    ) -> Result<Self, StorageError> {
        Err(super::feature_missing(super::BackendKind::Azure, "azure"))
    }

    /// Builds the client. Nothing is sent.
    #[cfg(feature = "azure")]
    pub(super) fn open(
        name: &str,
        config: AzureConfig,
        opening: &Opening,
    ) -> Result<Self, StorageError> {
        use object_store::azure::MicrosoftAzureBuilder;

        let endpoint = config.service(name)?;
        let connector = opening.connector()?;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&config.account)
            .with_container_name(&config.container)
            .with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned())
            .with_client_options(crate::http::client_options(config.allow_http))
            .with_retry(crate::http::retry_config(&opening.settings))
            .with_http_connector(connector.clone());
        if let Some(key) = &config.access_key {
            builder = builder.with_access_key(key.expose());
        }
        let has_key = config.access_key.is_some();
        let store = builder.build().map_err(|error| {
            if has_key {
                // The text may tell of the key.
                ConfigError::Client {
                    bucket: name.to_owned(),
                    source: None,
                }
            } else {
                ConfigError::client(name, error)
            }
        })?;
        Ok(Self {
            store: Arc::new(store),
            account: config.account,
            container: config.container,
            endpoint,
            key: config.access_key,
        })
    }
}
