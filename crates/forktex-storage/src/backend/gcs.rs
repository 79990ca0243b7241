// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket on Google Cloud Storage: the client, and what its links are signed with.
#![cfg_attr(
    not(feature = "gcp"),
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
use object_store::multipart::MultipartStore;
use url::Url;

use super::Opening;
use crate::config::gcs::ServiceAccountSource;
use crate::config::{ConfigError, GcsConfig, Secret};
use crate::error::StorageError;
use crate::http::HttpClient;
use crate::sign::gcs::ServiceAccount;

/// A bucket on Google Cloud Storage.
pub(crate) struct GcsBackend {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same client, for uploads whose parts others send.
    pub(crate) multipart: Arc<dyn MultipartStore>,
    /// The service, without the bucket: scheme and authority.
    pub(crate) endpoint: Url,
    /// The bucket's name at the service.
    pub(crate) bucket: String,
    /// The service account that signs; without one nothing can be signed.
    pub(crate) signer: Option<ServiceAccount>,
    /// For the requests that are sent by presigned URLs of our own.
    pub(crate) http: Option<HttpClient>,
}

impl GcsBackend {
    /// Builds the client. Nothing is sent.
    #[cfg(not(feature = "gcp"))]
    pub(super) async fn open(
        _name: &str,
        _config: GcsConfig,
        _opening: &Opening,
    ) -> Result<Self, StorageError> {
        Err(super::feature_missing(super::BackendKind::Gcs, "gcp"))
    }

    /// Reads the service account, and builds the client. Nothing is sent.
    #[cfg(feature = "gcp")]
    pub(super) async fn open(
        name: &str,
        config: GcsConfig,
        opening: &Opening,
    ) -> Result<Self, StorageError> {
        use object_store::gcp::GoogleCloudStorageBuilder;

        let endpoint = config.service(name)?;
        let connector = opening.connector()?;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&config.bucket)
            // Said always, since a service account may name another one.
            .with_base_url(endpoint.as_str().trim_end_matches('/'))
            .with_client_options(crate::http::client_options(config.allow_http))
            .with_retry(crate::http::retry_config(&opening.settings))
            .with_http_connector(connector.clone());
        let mut signer = None;
        if let Some(source) = config.service_account {
            let json = read(name, source).await?;
            signer = Some(ServiceAccount::from_json(&json).map_err(ConfigError::from)?);
            builder = builder.with_service_account_key(json.expose());
        }
        let has_account = signer.is_some();
        let store = builder.build().map_err(|error| {
            if has_account {
                // The text may quote the account's JSON.
                ConfigError::Client {
                    bucket: name.to_owned(),
                    source: None,
                }
            } else {
                ConfigError::client(name, error)
            }
        })?;
        let store = Arc::new(store);
        Ok(Self {
            multipart: Arc::clone(&store) as Arc<dyn MultipartStore>,
            store,
            endpoint,
            bucket: config.bucket,
            signer,
            http: Some(connector.client(config.allow_http)),
        })
    }
}

/// The JSON text of the service account.
async fn read(name: &str, source: ServiceAccountSource) -> Result<Secret, ConfigError> {
    match source {
        ServiceAccountSource::Json(json) => Ok(json),
        ServiceAccountSource::File(path) => match tokio::fs::read_to_string(&path).await {
            Ok(json) => Ok(Secret::from(json)),
            Err(source) => Err(ConfigError::File {
                what: "service account",
                bucket: name.to_owned(),
                path,
                source,
            }),
        },
    }
}
