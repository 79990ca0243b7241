// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket in a folder of this machine.

use std::path::PathBuf;

use url::Url;

use super::credentials::Secret;
use super::error::ConfigError;
use super::{EndpointRules, check_signing_key, endpoint};

/// A bucket in a folder of this machine: for development, tests, and services on one machine.
///
/// It is created when the storage is opened. Several processes may use it at once. Links need
/// [`serve_at`](Self::serve_at), and a router that answers them (feature `serve`).
///
/// # Examples
/// ```
/// use forktex_storage::FolderConfig;
///
/// let bucket = FolderConfig::new("/srv/files")
///     .serve_at("https://files.example.com", "a key of at least 32 random bytes");
/// # let _ = bucket;
/// ```
#[derive(Clone, Debug)]
pub struct FolderConfig {
    pub(crate) path: PathBuf,
    signing: Option<(String, Secret)>,
}

impl FolderConfig {
    /// The folder at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            signing: None,
        }
    }

    /// Signs links that a router of this crate answers at `base_url`, which may have a path and be http.
    /// The key has at least 32 bytes; all processes that sign and serve need the same.
    pub fn serve_at(mut self, base_url: impl Into<String>, signing_key: impl Into<Secret>) -> Self {
        self.signing = Some((base_url.into(), signing_key.into()));
        self
    }

    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        if self.path.as_os_str().is_empty() {
            let reason = "it is empty; name a folder";
            return Err(ConfigError::option(name, "path", reason));
        }
        if let Some((_, key)) = &self.signing {
            check_signing_key("serve_at", key)?;
        }
        self.signing(name).map(drop)
    }

    /// Where links lead to, and the key that signs them.
    pub(crate) fn signing(&self, name: &str) -> Result<Option<(Url, Secret)>, ConfigError> {
        let Some((base_url, key)) = &self.signing else {
            return Ok(None);
        };
        let rules = EndpointRules {
            http_refusal: "",
            allows_http: true,
            allows_path: true,
        };
        let url = endpoint(name, "serve_at", base_url, rules)?;
        Ok(Some((url, key.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_need_a_base_url_and_a_long_key() {
        let key = "k".repeat(32);
        let folder = FolderConfig::new("/srv/files");
        let served = |url: &str, key: &str| folder.clone().serve_at(url, key).check("default");
        assert!(folder.check("default").is_ok());
        assert!(served("http://localhost:8080/files", &key).is_ok());
        assert!(matches!(
            served("http://localhost", "short"),
            Err(ConfigError::WeakKey { .. })
        ));
        for bad in [
            "localhost",
            "http://localhost?a=b",
            "http://u:p@localhost",
            "file:///srv",
        ] {
            assert!(served(bad, &key).is_err(), "{bad}");
        }
        assert!(FolderConfig::new("").check("default").is_err());
    }
}
