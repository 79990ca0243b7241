// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a link under a rule would be refused by the server, asked once for each bucket.
//!
//! Pure: it knows addresses and names, and sends nothing. It cannot tell whether a host is there.

use url::{Host, Url};

use super::rule::AddressStyle;
use crate::BackendKind;

/// What a rule must know of a bucket to be checked against it.
pub(crate) struct BucketFacts<'a> {
    /// The name in the configuration.
    pub(crate) name: &'a str,
    pub(crate) kind: BackendKind,
    /// The name at the server: it stands in hosts and paths.
    pub(crate) remote_name: &'a str,
    /// Whether the bucket itself is called by https alone.
    pub(crate) is_https: bool,
    /// Whether the bucket is named in the path where the rule says nothing.
    pub(crate) path_style: bool,
}

/// Why a signature for this endpoint would not be accepted.
pub(super) fn endpoint_fault(
    url: &Url,
    style: Option<AddressStyle>,
    bucket: &BucketFacts<'_>,
) -> Option<String> {
    match bucket.kind {
        BackendKind::Memory => {
            return Some("memory signs no links, so no endpoint can serve them".to_owned());
        }
        BackendKind::Folder => {
            return Some(
                "the router of a folder accepts links for its own base URL only; give that to \
                 `FolderConfig::serve_at`"
                    .to_owned(),
            );
        }
        BackendKind::Azure if style == Some(AddressStyle::VirtualHost) => {
            return Some("Azure names the container in the path, never in the host".to_owned());
        }
        BackendKind::Azure => {}
        _ if !matches!(url.path(), "" | "/") => {
            return Some(
                "its endpoint has a path, and the signature covers the path that the server sees: a proxy \
                 that takes the path away would break every link; give the endpoint a host of its own"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if url.scheme() == "http" && bucket.is_https {
        return Some(
            "its endpoint is http, and the bucket is called by https only: a redirect to https drops what \
             was signed; write https"
                .to_owned(),
        );
    }
    let is_virtual = match style {
        Some(style) => style == AddressStyle::VirtualHost,
        None => bucket.kind != BackendKind::Azure && !bucket.path_style,
    };
    if is_virtual {
        return virtual_host_fault(url, bucket.remote_name);
    }
    None
}

/// Why the bucket cannot stand in front of this host.
fn virtual_host_fault(url: &Url, bucket: &str) -> Option<String> {
    let host = match url.host()? {
        Host::Domain(host) => host,
        Host::Ipv4(_) | Host::Ipv6(_) => {
            return Some(format!(
                "its endpoint is an address of numbers, and `{bucket}` cannot be put in front of it as a \
                 host; say `.path_style()`"
            ));
        }
    };
    if host.starts_with(&format!("{bucket}.")) {
        return Some(format!(
            "its endpoint names `{bucket}` already, and a virtual host would name it twice; give the host \
             without the bucket"
        ));
    }
    let is_label = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if !bucket.bytes().all(is_label) {
        return Some(format!(
            "`{bucket}` is no host name, and clients would change or refuse it, which breaks the signature; \
             say `.path_style()`"
        ));
    }
    if bucket.contains('.') && url.scheme() == "https" {
        return Some(format!(
            "`{bucket}` has dots, and no wildcard certificate covers it as a virtual host on https; say \
             `.path_style()`"
        ));
    }
    None
}

/// Why a CloudFront link would not be accepted.
pub(super) fn cloudfront_fault(url: &Url, bucket: &BucketFacts<'_>) -> Option<String> {
    if bucket.kind != BackendKind::S3 {
        return Some(format!(
            "CloudFront can close only an S3 bucket to everyone else; `{}` would stay open beside the \
             signature",
            bucket.name
        ));
    }
    (url.scheme() == "http").then(|| {
        "the signature covers the scheme, and a redirect from http to https would break it; write https"
            .to_owned()
    })
}

/// Why a plain URL would not be served.
pub(super) fn public_fault(url: &Url, bucket: &BucketFacts<'_>) -> Option<String> {
    (url.scheme() == "http" && bucket.is_https)
        .then(|| "its base is http, and the bucket is called by https only; write https".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rule;

    fn facts(kind: BackendKind) -> BucketFacts<'static> {
        BucketFacts {
            name: "default",
            kind,
            remote_name: "files",
            is_https: true,
            path_style: true,
        }
    }

    fn reason(rule: &Rule, bucket: &BucketFacts<'_>) -> String {
        rule.fault_of_its_own()
            .or_else(|| rule.fault(bucket))
            .unwrap_or_else(|| panic!("{rule} is accepted"))
    }

    #[test]
    fn an_endpoint_that_breaks_the_signature_is_refused() {
        let s3 = facts(BackendKind::S3);
        let dotted = BucketFacts {
            remote_name: "my.files",
            ..facts(BackendKind::S3)
        };
        let legacy = BucketFacts {
            remote_name: "My_Files",
            ..facts(BackendKind::S3)
        };
        let cases = [
            (
                Rule::any().endpoint("https://example.com/files"),
                &s3,
                "path",
            ),
            (Rule::any().endpoint("http://example.com"), &s3, "http"),
            (
                Rule::any().endpoint("https://10.0.0.1").virtual_host(),
                &s3,
                "numbers",
            ),
            (
                Rule::any()
                    .endpoint("https://files.example.com")
                    .virtual_host(),
                &s3,
                "twice",
            ),
            (
                Rule::any().endpoint("https://example.com").virtual_host(),
                &dotted,
                "dots",
            ),
            (
                Rule::any().endpoint("https://example.com").virtual_host(),
                &legacy,
                "host name",
            ),
        ];
        for (rule, bucket, word) in cases {
            let said = reason(&rule, bucket);
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(
            Rule::any()
                .endpoint("https://example.com")
                .fault(&dotted)
                .is_none()
        );
        let plain = BucketFacts {
            is_https: false,
            ..facts(BackendKind::S3)
        };
        assert!(
            Rule::any()
                .endpoint("http://localhost:9000")
                .fault(&plain)
                .is_none()
        );
        assert!(
            Rule::any()
                .endpoint("https://files.example.org")
                .fault(&s3)
                .is_none()
        );
    }

    #[test]
    fn an_endpoint_needs_a_backend_that_signs_for_it() {
        for kind in [BackendKind::Folder, BackendKind::Memory] {
            let rule = Rule::any().endpoint("https://example.com");
            assert!(rule.fault(&facts(kind)).is_some(), "{kind:?}");
        }
        let azure = Rule::any().endpoint("https://example.com").virtual_host();
        assert!(reason(&azure, &facts(BackendKind::Azure)).contains("container"));
    }

    #[test]
    fn a_public_rule_needs_an_address() {
        assert!(
            Rule::any()
                .public()
                .fault(&facts(BackendKind::Memory))
                .is_some()
        );
        let http = Rule::any().public_base("http://cdn.example.com");
        assert!(http.fault(&facts(BackendKind::S3)).is_some());
    }
}
