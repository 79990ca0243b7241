// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is asked of a server when it is started, and the names that it answers to.

use s3s::S3Result;
use s3s::host::{S3Host, SingleDomain, VirtualHost};

/// How an [`S3`](crate::S3) server is started. The default is what `S3::start` gives.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// use forktex_testkit::{S3, S3Options};
///
/// let s3 = S3::start_with(S3Options::new().domain("localhost")).await?;
/// assert!(s3.domain_endpoint().unwrap().starts_with("http://localhost:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    pub(super) domain: Option<String>,
}

impl S3Options {
    /// The default: path style alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `bucket.domain:port` as well as `domain:port/bucket`.
    ///
    /// The server listens on 127.0.0.1 alone. Not every machine resolves the names below
    /// `localhost`: a client may have to connect to [`S3::address`](crate::S3::address), and send
    /// the name in its `host` header.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }
}

/// Finds the bucket in the `host` header.
///
/// A host that is not below the domain is no bucket of that name, but one that nothing was signed
/// for: such a request ends as a signature that does not match.
pub(super) struct Domain {
    base: String,
}

impl Domain {
    /// Of a domain with its port; the error says why it is none.
    pub(super) fn new(base: &str) -> Result<Self, String> {
        SingleDomain::new(base).map_err(|error| error.to_string())?;
        Ok(Self {
            base: base.to_owned(),
        })
    }
}

impl S3Host for Domain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let below = host.strip_suffix(self.base.as_str());
        let found = VirtualHost::new(host);
        Ok(match below.and_then(|below| below.strip_suffix('.')) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}
