// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed URLs and cookies of CloudFront: RSA with SHA-1 over a JSON policy, in AWS's own base64.
//!
//! SHA-1 is what CloudFront checks; it takes no other hash. The text is the one that botocore's
//! `CloudFrontSigner` prints. A signature says neither method nor headers: it can only let read.

use std::time::Duration;

use time::OffsetDateTime;

use super::encode::push_json;
use super::rsa_key::RsaKey;
use super::{SignError, expires_at};

/// Parameters that CloudFront reads itself, and so may not be in a URL that is signed.
const RESERVED: [&str; 5] = [
    "Expires",
    "Policy",
    "Signature",
    "Key-Pair-Id",
    "Hash-Algorithm",
];

/// The private half of a key pair of CloudFront, and its id. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Key {
    key: RsaKey,
}

impl Key {
    /// Reads an RSA key in PEM, PKCS #1 or PKCS #8. `id` is the public key's id in CloudFront.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] when the key cannot be read, and [`SignError::InvalidField`] when
    /// the id could not be part of a URL.
    pub fn from_pem(id: impl Into<String>, pem: &str) -> Result<Self, SignError> {
        let id = id.into();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(SignError::InvalidField {
                name: "Key-Pair-Id".to_owned(),
                reason: "the id of a key pair has letters and digits only",
            });
        }
        Ok(Self {
            key: RsaKey::from_pem(id, pem)?,
        })
    }

    /// The id, which every link shows.
    pub fn id(&self) -> &str {
        self.key.id()
    }
}

/// What a custom policy allows.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// The URL, or a pattern of URLs with `*` and `?`.
    pub resource: &'a str,
    /// When it begins to be good; at once without.
    pub starts_at: Option<OffsetDateTime>,
    /// The address or the network, such as `192.0.2.0/24`, that may use it.
    pub source_ip: Option<&'a str>,
}

/// Signs `url` (whole, encoded as the client will call it) with a canned policy: the shorter one,
/// which only says when it ends.
///
/// # Errors
/// When the life is not 1 second to 7 days, when the URL cannot be signed as it is, or when the RSA
/// operation fails.
pub fn canned_url(
    key: &Key,
    url: &str,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    check_url(url)?;
    let policy = Policy {
        resource: url,
        starts_at: None,
        source_ip: None,
    };
    let end = expires_at(now, expires)?.unix_timestamp();
    let signature = key.key.sign_sha1(policy_text(&policy, end).as_bytes())?;
    let parameters = format!(
        "Expires={end}&Signature={}&Key-Pair-Id={}",
        base64(&signature),
        key.id()
    );
    Ok(with_parameters(url, &parameters))
}

/// Signs `url` with a custom policy, which may say a beginning, a network and a wider resource.
///
/// # Errors
/// When the life is not 1 second to 7 days, when the URL or the policy cannot be signed as it is, or
/// when the RSA operation fails.
pub fn custom_url(
    key: &Key,
    url: &str,
    policy: &Policy<'_>,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    check_url(url)?;
    let (policy, signature) = signed_policy(key, policy, now, expires)?;
    let parameters = format!(
        "Policy={policy}&Signature={signature}&Key-Pair-Id={}",
        key.id()
    );
    Ok(with_parameters(url, &parameters))
}

/// Signs the three cookies that let a browser read all that `policy` allows.
///
/// # Errors
/// When the life is not 1 second to 7 days, when the policy cannot be signed as it is, or when the RSA
/// operation fails.
pub fn cookies(
    key: &Key,
    policy: &Policy<'_>,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<[(String, String); 3], SignError> {
    let (policy, signature) = signed_policy(key, policy, now, expires)?;
    Ok([
        ("CloudFront-Policy".to_owned(), policy),
        ("CloudFront-Signature".to_owned(), signature),
        ("CloudFront-Key-Pair-Id".to_owned(), key.id().to_owned()),
    ])
}

/// A custom policy and its signature, both in CloudFront's base64.
fn signed_policy(
    key: &Key,
    policy: &Policy<'_>,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<(String, String), SignError> {
    check_text(policy.resource)?;
    if policy
        .source_ip
        .is_some_and(|ip| ip.is_empty() || ip.contains(char::is_control))
    {
        return Err(SignError::InvalidField {
            name: "IpAddress".to_owned(),
            reason: "it is an address such as `192.0.2.1`, or a network such as `192.0.2.0/24`",
        });
    }
    let end = expires_at(now, expires)?.unix_timestamp();
    let text = policy_text(policy, end);
    let signature = key.key.sign_sha1(text.as_bytes())?;
    Ok((base64(text.as_bytes()), base64(&signature)))
}

/// The policy's JSON: no white space, and members in the one order that a canned policy may have.
fn policy_text(policy: &Policy<'_>, end: i64) -> String {
    let mut out = String::with_capacity(256 + policy.resource.len());
    out.push_str("{\"Statement\":[{\"Resource\":");
    push_json(&mut out, policy.resource);
    out.push_str(",\"Condition\":{\"DateLessThan\":{\"AWS:EpochTime\":");
    out.push_str(&end.to_string());
    out.push('}');
    if let Some(ip) = policy.source_ip {
        out.push_str(",\"IpAddress\":{\"AWS:SourceIp\":");
        if ip.contains('/') {
            push_json(&mut out, ip);
        } else {
            push_json(&mut out, &format!("{ip}/32"));
        }
        out.push('}');
    }
    if let Some(start) = policy.starts_at {
        out.push_str(",\"DateGreaterThan\":{\"AWS:EpochTime\":");
        out.push_str(&start.unix_timestamp().to_string());
        out.push('}');
    }
    out.push_str("}}]}");
    out
}

/// Base64 with `-`, `_` and `~` for `+`, `=` and `/`.
fn base64(bytes: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(bytes);
    text.chars()
        .map(|character| match character {
            '+' => '-',
            '=' => '_',
            '/' => '~',
            other => other,
        })
        .collect()
}

fn with_parameters(url: &str, parameters: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameters}")
}

fn check_url(url: &str) -> Result<(), SignError> {
    check_text(url)?;
    let refuse = |reason| {
        Err(SignError::InvalidPath {
            path: without_query(url).to_owned(),
            reason,
        })
    };
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return refuse("it must begin with `https://` or `http://`");
    }
    if url.contains('#') {
        return refuse("it has a fragment, which no client sends");
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut names = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default());
    if names.any(|name| RESERVED.contains(&name)) {
        return refuse("its query has a parameter that CloudFront reads itself");
    }
    Ok(())
}

/// CloudFront compares the URL as it came, so that it must be encoded already.
fn check_text(url: &str) -> Result<(), SignError> {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>');
    if !url.is_empty() && url.bytes().all(is_plain) {
        return Ok(());
    }
    Err(SignError::InvalidPath {
        path: without_query(url).to_owned(),
        reason: "it must be percent-encoded: ASCII without white space, quotes and backslashes",
    })
}

/// A query may hold what is no one's business.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cloudfront_would_read_otherwise_are_refused() {
        for bad in [
            "",
            "ftp://host/a",
            "//host/a",
            "https://host/a b",
            "https://host/é",
            "https://host/a\"b",
            "https://host/a#b",
            "https://host/a?Expires=1",
            "https://host/a?b=c&Key-Pair-Id=d",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert!(check_url("https://host/a%20b?response=x&expires=1").is_ok());
    }

    #[test]
    fn an_id_that_is_no_id_is_refused() {
        for id in ["", "a b", "K&Expires=1"] {
            assert!(matches!(
                Key::from_pem(id, ""),
                Err(SignError::InvalidField { .. })
            ));
        }
    }
}
