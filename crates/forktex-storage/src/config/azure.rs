// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A container on Azure Blob Storage.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use zeroize::Zeroizing;

use super::credentials::Secret;
use super::error::ConfigError;
use super::{EndpointRules, endpoint, has_only};

/// A container on Azure Blob Storage. It needs the feature `azure`.
///
/// Links are signed with the key of the account, so that signing needs no request. Without it the
/// credentials are those of the machine's managed identity, and nothing can be signed.
///
/// # Examples
/// ```
/// use forktex_storage::AzureConfig;
///
/// let bucket = AzureConfig::new("account", "invoices").access_key("c2VjcmV0");
/// assert!(!format!("{bucket:?}").contains("c2Vj"));
/// ```
#[derive(Clone, Debug)]
pub struct AzureConfig {
    pub(crate) account: String,
    pub(crate) container: String,
    endpoint: Option<String>,
    pub(crate) allow_http: bool,
    pub(crate) access_key: Option<Secret>,
}

impl AzureConfig {
    /// A container of an account.
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            container: container.into(),
            endpoint: None,
            allow_http: false,
            access_key: None,
        }
    }

    /// The key of the account, in base64 as Azure shows it.
    pub fn access_key(mut self, key: impl Into<Secret>) -> Self {
        self.access_key = Some(key.into());
        self
    }

    /// Another service, without the container. It may have a path, as the emulator does:
    /// `http://127.0.0.1:10000/devstoreaccount1`.
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
        if !has_only(&self.account, 24, b"") {
            let reason = "it needs 3 to 24 letters and digits";
            return Err(ConfigError::option(name, "account", reason));
        }
        if !has_only(&self.container, 63, b"-$") {
            let reason = "it needs 3 to 63 letters, digits and `-`";
            return Err(ConfigError::option(name, "container", reason));
        }
        if let Some(key) = &self.access_key {
            let decoded = STANDARD.decode(key.expose()).map(Zeroizing::new);
            if decoded.map_or(true, |bytes| bytes.is_empty()) {
                let reason = "it is no base64; copy the key as Azure shows it";
                return Err(ConfigError::option(name, "access_key", reason));
            }
        }
        self.service(name).map(drop)
    }

    /// The service of the account, without the container.
    pub(crate) fn service(&self, name: &str) -> Result<Url, ConfigError> {
        let rules = EndpointRules {
            http_refusal: "it is http, where all on the way can read; use https, or call `allow_http`",
            allows_http: self.allow_http,
            allows_path: true,
        };
        let of_azure = || format!("https://{}.blob.core.windows.net", self.account);
        let text = self.endpoint.clone().unwrap_or_else(of_azure);
        endpoint(name, "endpoint", &text, rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_no_base64_is_refused_unseen() {
        let config = AzureConfig::new("account", "files");
        assert!(config.check("default").is_ok());
        for bad in ["", "hunter2!", "hunter2"] {
            let error = config.clone().access_key(bad).check("default").unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(config.access_key("c2VjcmV0").check("default").is_ok());
    }

    #[test]
    fn an_account_cannot_change_the_host() {
        for bad in ["", "a.b", "a/b", "evil.example/", "a@b", "a-b"] {
            assert!(
                AzureConfig::new(bad, "files").check("default").is_err(),
                "{bad}"
            );
        }
        let emulator = AzureConfig::new("devstoreaccount1", "files")
            .endpoint("http://127.0.0.1:10000/devstoreaccount1");
        assert!(emulator.check("default").is_err());
        assert!(emulator.allow_http().check("default").is_ok());
    }
}
