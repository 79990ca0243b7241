// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket on S3, or on a service that speaks the same.

use std::path::PathBuf;

use url::{Host, Url};

use super::credentials::{S3Credentials, Secret};
use super::error::ConfigError;
use super::{EndpointRules, endpoint, has_only};

/// A bucket on S3 of AWS, MinIO, or another service that speaks the same. It needs the feature `aws`.
///
/// Without [`credentials`](Self::credentials) they come from the metadata service of the machine, and are
/// renewed before they end.
///
/// # Examples
/// ```
/// use forktex_storage::{S3Config, S3Credentials};
///
/// let aws = S3Config::new("invoices", "eu-west-1");
/// let other = S3Config::new("invoices", "auto")
///     .endpoint("https://storage.example.com")
///     .path_style()
///     .credentials(S3Credentials::new("key", "secret"));
/// # let _ = (aws, other);
/// ```
#[derive(Clone, Debug)]
pub struct S3Config {
    pub(crate) bucket: String,
    pub(crate) region: String,
    endpoint: Option<String>,
    path_style: bool,
    pub(crate) allow_http: bool,
    #[cfg_attr(
        not(feature = "aws"),
        allow(dead_code, reason = "without it no such bucket is opened")
    )]
    pub(crate) credentials: S3CredentialSource,
}

/// Where the credentials come from.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "aws"),
    allow(dead_code, reason = "without it no such bucket is opened")
)]
pub(crate) enum S3CredentialSource {
    Static(S3Credentials),
    InstanceMetadata,
    WebIdentity {
        role_arn: String,
        token_file: PathBuf,
    },
}

impl S3Config {
    /// A bucket of AWS in a region, such as `eu-west-1`.
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint: None,
            path_style: false,
            allow_http: false,
            credentials: S3CredentialSource::InstanceMetadata,
        }
    }

    /// A bucket of MinIO: path style, region `us-east-1`, http allowed.
    pub fn minio(
        endpoint: impl Into<String>,
        bucket: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<Secret>,
    ) -> Self {
        Self::new(bucket, "us-east-1")
            .endpoint(endpoint)
            .path_style()
            .allow_http()
            .credentials(S3Credentials::new(access_key, secret_key))
    }

    /// The service, without the bucket: `https://storage.example.com`. It has no path.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// The bucket stands in the path, and not before the host: what services without a wildcard name and
    /// certificate need, and what an endpoint that is an IP address needs.
    pub fn path_style(mut self) -> Self {
        self.path_style = true;
        self
    }

    /// These credentials.
    pub fn credentials(mut self, credentials: S3Credentials) -> Self {
        self.credentials = S3CredentialSource::Static(credentials);
        self
    }

    /// The credentials of a role, for the token in a file: how a pod of Kubernetes gets them on AWS. The
    /// file is read anew when they end.
    pub fn web_identity(
        mut self,
        role_arn: impl Into<String>,
        token_file: impl Into<PathBuf>,
    ) -> Self {
        self.credentials = S3CredentialSource::WebIdentity {
            role_arn: role_arn.into(),
            token_file: token_file.into(),
        };
        self
    }

    /// Allows an endpoint of http: everybody on the way reads and may change what is sent.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        if !has_only(&self.bucket, 255, b"._-") || self.bucket.starts_with('.') {
            let reason = "it needs letters, digits, `.`, `_` and `-`";
            return Err(ConfigError::option(name, "bucket", reason));
        }
        if !has_only(&self.region, 64, b"-_") {
            let reason = "it needs letters, digits, `-` and `_`, such as `eu-west-1`";
            return Err(ConfigError::option(name, "region", reason));
        }
        let endpoint = self.service(name)?;
        if self.is_path_style() {
            return Ok(());
        }
        if !matches!(endpoint.host(), Some(Host::Domain(_))) {
            let reason = "an IP address has no virtual hosts; call `path_style`";
            return Err(ConfigError::option(name, "endpoint", reason));
        }
        if self.bucket.contains('.') && endpoint.scheme() == "https" {
            let reason =
                "no certificate covers a bucket with dots before the host; call `path_style`";
            return Err(ConfigError::option(name, "bucket", reason));
        }
        if self.bucket.contains('_') || self.bucket.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let reason = "`_` and capital letters do not go before a host; call `path_style`";
            return Err(ConfigError::option(name, "bucket", reason));
        }
        Ok(())
    }

    /// Whether the bucket stands in the path. For AWS it does where it has dots, since no certificate
    /// covers those before the host.
    pub(crate) fn is_path_style(&self) -> bool {
        self.path_style || (self.endpoint.is_none() && self.bucket.contains('.'))
    }

    /// The service, without the bucket.
    pub(crate) fn service(&self, name: &str) -> Result<Url, ConfigError> {
        let rules = EndpointRules {
            http_refusal: "it is http, where all on the way can read; use https, or call `allow_http`",
            allows_http: self.allow_http,
            allows_path: false,
        };
        let text = self.endpoint.clone().unwrap_or_else(|| self.of_aws());
        endpoint(name, "endpoint", &text, rules)
    }

    fn of_aws(&self) -> String {
        let domain = if self.region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://s3.{}.{domain}", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(config: &S3Config) -> String {
        config.check("default").unwrap_err().to_string()
    }

    #[test]
    fn an_endpoint_has_nothing_that_a_signature_would_not_cover() {
        let with = |endpoint: &str| S3Config::new("files", "eu-west-1").endpoint(endpoint);
        assert!(with("https://s.example.com").check("default").is_ok());
        assert!(with("https://s.example.com:8443/").check("default").is_ok());
        for bad in [
            "s.example.com",
            "http://s.example.com",
            "ftp://s.example.com",
            "https://s.example.com/files",
            "https://s.example.com?x=1",
            "https://s.example.com#x",
            "https://key:hunter2@s.example.com",
        ] {
            let said = fault(&with(bad));
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert!(
            with("http://s.example.com")
                .allow_http()
                .check("default")
                .is_ok()
        );
    }

    #[test]
    fn a_bucket_stands_before_the_host_only_where_it_can() {
        let dots = S3Config::new("a.b", "eu-west-1");
        assert!(dots.check("default").is_ok() && dots.is_path_style());
        let dots = dots.endpoint("https://s.example.com");
        assert!(fault(&dots).contains("path_style"));
        assert!(dots.path_style().check("default").is_ok());
        let address = S3Config::new("a", "eu-west-1").endpoint("https://10.0.0.1");
        assert!(fault(&address).contains("path_style"));
    }

    #[test]
    fn the_endpoint_of_aws_is_that_of_the_region() {
        let url = |region: &str| S3Config::new("a", region).service("default").unwrap();
        assert_eq!(
            url("eu-west-1").as_str(),
            "https://s3.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            url("cn-north-1").as_str(),
            "https://s3.cn-north-1.amazonaws.com.cn/"
        );
        assert!(fault(&S3Config::new("a", "x.evil.example/")).contains("region"));
        assert!(fault(&S3Config::new("a/b", "eu-west-1")).contains("bucket"));
    }
}
