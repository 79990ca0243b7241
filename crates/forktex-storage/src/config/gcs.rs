// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket on Google Cloud Storage.

use std::path::PathBuf;

use url::Url;

use super::credentials::Secret;
use super::error::ConfigError;
use super::{EndpointRules, endpoint, has_only};

/// The service of Google.
const ENDPOINT: &str = "https://storage.googleapis.com";

/// A bucket on Google Cloud Storage. It needs the feature `gcp`.
///
/// Links are signed with the private key of a service account, so that signing needs no request. Without
/// one the credentials are the application's default ones, or come from the metadata service of the
/// machine, and nothing can be signed.
///
/// # Examples
/// ```
/// use forktex_storage::GcsConfig;
///
/// let bucket = GcsConfig::new("invoices").service_account_file("/run/secrets/storage.json");
/// # let _ = bucket;
/// ```
#[derive(Clone, Debug)]
pub struct GcsConfig {
    pub(crate) bucket: String,
    endpoint: Option<String>,
    pub(crate) allow_http: bool,
    #[cfg_attr(
        not(feature = "gcp"),
        allow(dead_code, reason = "without it no such bucket is opened")
    )]
    pub(crate) service_account: Option<ServiceAccountSource>,
}

/// Where the JSON text of a service account is.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "gcp"),
    allow(dead_code, reason = "without it no such bucket is opened")
)]
pub(crate) enum ServiceAccountSource {
    Json(Secret),
    File(PathBuf),
}

impl GcsConfig {
    /// A bucket of this name.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            endpoint: None,
            allow_http: false,
            service_account: None,
        }
    }

    /// The service account, as the JSON text that Google gives for its key.
    pub fn service_account_json(mut self, json: impl Into<Secret>) -> Self {
        self.service_account = Some(ServiceAccountSource::Json(json.into()));
        self
    }

    /// The file with the JSON text of the service account. It is read when the storage is opened.
    pub fn service_account_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.service_account = Some(ServiceAccountSource::File(path.into()));
        self
    }

    /// Another service that speaks the same, without the bucket. It has no path.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Allows an endpoint of http: everybody on the way reads and may change what is sent.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        if !has_only(&self.bucket, 222, b"._-") || self.bucket.starts_with('.') {
            let reason = "it needs letters, digits, `.`, `_` and `-`";
            return Err(ConfigError::option(name, "bucket", reason));
        }
        self.service(name).map(drop)
    }

    /// The service, without the bucket.
    pub(crate) fn service(&self, name: &str) -> Result<Url, ConfigError> {
        let rules = EndpointRules {
            http_refusal: "it is http, where all on the way can read; use https, or call `allow_http`",
            allows_http: self.allow_http,
            allows_path: false,
        };
        let text = self.endpoint.as_deref().unwrap_or(ENDPOINT);
        endpoint(name, "endpoint", text, rules)
    }
}
