// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Takes server URLs apart and puts them together again, as text.
//!
//! It keeps what it does not understand, so that options for one client library are neither lost
//! nor invented. It does not validate: the client that connects does.

use crate::TestkitError;

/// `scheme://userinfo@address/path?query`, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlParts {
    scheme: String,
    userinfo: Option<String>,
    /// Host and port.
    address: String,
    path: String,
    /// With its question mark.
    query: String,
}

impl UrlParts {
    /// Parses `url`, which came from `origin`.
    pub(crate) fn parse(url: &str, origin: &'static str) -> Result<Self, TestkitError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| TestkitError::InvalidUrl {
                variable: origin,
                source: "a scheme and `://` are missing".into(),
            })?;
        let (rest, query) = match rest.find('?') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo.to_owned()), address),
            None => (None, authority),
        };
        if address.is_empty() {
            return Err(TestkitError::InvalidUrl {
                variable: origin,
                source: "the host is missing".into(),
            });
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            userinfo,
            address: address.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// The same server and path, as another user. Neither text may need escaping.
    pub(crate) fn with_user(mut self, name: &str, password: &str) -> Self {
        self.userinfo = Some(format!("{name}:{password}"));
        self
    }

    /// The same server and user, another path. It may not need escaping.
    pub(crate) fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The name and the password of the user, as they stand there.
    pub(crate) fn user(&self) -> Option<(&str, &str)> {
        self.userinfo.as_deref()?.split_once(':')
    }

    /// The host and the port, as they stand there.
    pub(crate) fn host_and_port(&self) -> (&str, &str) {
        self.address
            .rsplit_once(':')
            .unwrap_or((&self.address, "5432"))
    }

    /// The same URL at another address.
    pub(crate) fn with_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }
}

impl std::fmt::Display for UrlParts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            scheme,
            userinfo,
            address,
            path,
            query,
        } = self;
        write!(formatter, "{scheme}://")?;
        if let Some(userinfo) = userinfo {
            write!(formatter, "{userinfo}@")?;
        }
        write!(formatter, "{address}/{path}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_replaced_alone() -> Result<(), TestkitError> {
        let parts = UrlParts::parse(
            "postgres://me:p%40@db.test:5433/main?sslmode=require",
            "test",
        )?;
        assert_eq!(
            parts
                .clone()
                .with_user("app", "secret")
                .with_path("other")
                .to_string(),
            "postgres://app:secret@db.test:5433/other?sslmode=require"
        );
        assert_eq!(
            parts.with_address("127.0.0.1:9").to_string(),
            "postgres://me:p%40@127.0.0.1:9/main?sslmode=require"
        );
        assert_eq!(
            UrlParts::parse("redis://h:1", "test")?.to_string(),
            "redis://h:1/"
        );
        Ok(())
    }

    #[test]
    fn a_text_without_scheme_or_host_is_refused() {
        assert!(UrlParts::parse("localhost", "test").is_err());
        assert!(UrlParts::parse("postgres:///db", "test").is_err());
    }
}
