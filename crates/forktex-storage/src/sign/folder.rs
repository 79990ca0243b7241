// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed URLs and forms of a folder, which our own router serves: HMAC-SHA256 over a canonical text.
//!
//! All that a link allows is in its query and under its signature: the base URL, the method, the path,
//! the end and every constraint. What is verified is rebuilt from what was understood, so that nothing
//! unsigned can have a meaning. The format has a version; there is one so far.

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::Mac;
use time::OffsetDateTime;
use url::Url;

pub use post::{PostPolicy, post_url, sign_post, verify_post};

use super::{SignError, canonical, encode, expires_at, finish, hmac_sha256};
use crate::{Secret, Sha256Digest};

mod post;

const VERSION: u8 = 1;
const LINK: &str = "forktex-storage link";

/// What a link is for.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// Where the router is served; it may have a path.
    pub base_url: &'a Url,
    /// The path below the base, not encoded: `/bucket/key`.
    pub path: &'a str,
}

/// What the router holds a request to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// A read is answered with this type; a write must bring it.
    pub content_type: Option<String>,
    /// The most bytes that a write may bring.
    pub bytes_max: Option<u64>,
    /// A write is refused where there is an object already.
    pub if_absent: bool,
    /// The name under which the object is downloaded.
    pub download_as: Option<String>,
    /// The object is shown even where it would otherwise be downloaded.
    pub inline: bool,
    /// What a write must bring.
    pub sha256: Option<Sha256Digest>,
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The method.
    pub method: &'a str,
    /// The `Host` header, or the authority of HTTP/2.
    pub host: &'a str,
    /// The path below the base URL's own, from its `/`, encoded as it came.
    pub path: &'a str,
    /// The query, encoded as it came, without the `?`.
    pub query: &'a str,
}

/// Why a request is refused. No message holds a signature or a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not signed in a form that is understood.
    #[error("the signature cannot be read: {reason}")]
    Malformed {
        /// What is wrong with its form.
        reason: &'static str,
    },
    /// It was signed by a later release.
    #[error("the signature has version {version}, which this release cannot read")]
    UnsupportedVersion {
        /// The version.
        version: u32,
    },
    /// The signature is another key's, or the request was changed.
    #[error("the signature does not fit the request")]
    WrongSignature,
    /// It ended.
    #[error("the signature ended at {ended_at}")]
    Expired {
        /// When it ended.
        ended_at: OffsetDateTime,
    },
    /// It was signed for another method.
    #[error("the link is for {allowed}")]
    WrongMethod {
        /// The method that it was signed for.
        allowed: String,
    },
    /// It was signed for another host.
    #[error("the link is for another host")]
    WrongHost,
}

/// Signs a link that is good until `expires` from `now`.
///
/// # Errors
/// When the life is not 1 second to 7 days, when the base URL is none, or when a value has a control
/// character.
pub fn sign(
    link: &Link<'_>,
    constraints: &Constraints,
    secret: &Secret,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    check_constraints(constraints)?;
    let end = expires_at(now, expires)?.unix_timestamp();
    let base = base_text(link.base_url)?;
    let path = canonical::path(link.path)?;
    let query = query_text(link.method, end, constraints);
    let mac = mac_of(secret, LINK, &[&base, link.method, &path, &query]);
    let signature = data_encoding::HEXLOWER.encode(&finish(mac));
    Ok(format!("{base}{path}?{query}&signature={signature}"))
}

/// Whether a query looks like that of a link, signed or forged.
pub fn is_signed(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("signature"))
}

/// Checks a request against the signature in its query, in constant time, and says what it allows.
///
/// The signature is checked before anything that it covers is believed: a forged link is never called
/// expired.
///
/// # Errors
/// [`Refusal`], which says what to answer.
pub fn verify(
    received: &Received<'_>,
    base_url: &Url,
    secret: &Secret,
    now: OffsetDateTime,
) -> Result<Constraints, Refusal> {
    let query = parse_query(received.query)?;
    let base = base_text(base_url).map_err(|_| Refusal::WrongHost)?;
    let path = encode::decode(received.path)
        .and_then(|path| canonical::path(&path).ok())
        .ok_or(Refusal::Malformed {
            reason: "the path is not encoded as it should be",
        })?;
    let text = query_text(&query.method, query.end, &query.constraints);
    let mac = mac_of(secret, LINK, &[&base, &query.method, &path, &text]);
    check_signature(mac, &query.signature)?;
    if query.method != received.method {
        return Err(Refusal::WrongMethod {
            allowed: query.method,
        });
    }
    check_host(received.host, base_url)?;
    check_end(query.end, now)?;
    Ok(query.constraints)
}

/// The base URL as it is signed and printed: without a slash at its end.
fn base_text(base_url: &Url) -> Result<String, SignError> {
    let authority = canonical::authority(base_url)?;
    let path = base_url.path().trim_end_matches('/');
    Ok(format!("{}://{authority}{path}", base_url.scheme()))
}

/// The parameters in the one order in which they are signed.
fn query_text(method: &str, end: i64, constraints: &Constraints) -> String {
    let mut pairs = vec![
        ("version", VERSION.to_string()),
        ("method", method.to_owned()),
        ("expires", end.to_string()),
    ];
    if let Some(content_type) = &constraints.content_type {
        pairs.push(("content-type", content_type.clone()));
    }
    if let Some(bytes_max) = constraints.bytes_max {
        pairs.push(("bytes-max", bytes_max.to_string()));
    }
    if constraints.if_absent {
        pairs.push(("if-absent", "1".to_owned()));
    }
    if let Some(name) = &constraints.download_as {
        pairs.push(("download-as", name.clone()));
    }
    if constraints.inline {
        pairs.push(("inline", "1".to_owned()));
    }
    if let Some(sha256) = &constraints.sha256 {
        pairs.push(("sha256", sha256.to_string()));
    }
    let encoded: Vec<(String, String)> = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), encode::encode_query(&value)))
        .collect();
    encode::join_pairs(&encoded)
}

/// The parameters of a link, as they came and not yet believed.
struct Query {
    method: String,
    end: i64,
    constraints: Constraints,
    signature: String,
}

fn parse_query(query: &str) -> Result<Query, Refusal> {
    let malformed = |reason| Refusal::Malformed { reason };
    let mut given = BTreeMap::new();
    for pair in query.split('&') {
        let (name, value) = pair
            .split_once('=')
            .ok_or(malformed("a parameter has no value"))?;
        let value = encode::decode(value).ok_or(malformed("a parameter is not encoded"))?;
        if given.insert(name, value).is_some() {
            return Err(malformed("a parameter is given twice"));
        }
    }
    let version = given
        .remove("version")
        .ok_or(malformed("it has no version"))?;
    check_version(number(&version)?)?;
    let query = Query {
        method: given
            .remove("method")
            .ok_or(malformed("it has no method"))?,
        end: number(&given.remove("expires").ok_or(malformed("it has no end"))?)?,
        constraints: Constraints {
            content_type: given.remove("content-type"),
            bytes_max: given
                .remove("bytes-max")
                .map(|bytes| number(&bytes))
                .transpose()?,
            if_absent: flag(given.remove("if-absent").as_deref())?,
            download_as: given.remove("download-as"),
            inline: flag(given.remove("inline").as_deref())?,
            sha256: given
                .remove("sha256")
                .map(|digest| parse_digest(&digest))
                .transpose()?,
        },
        signature: given
            .remove("signature")
            .ok_or(malformed("it has no signature"))?,
    };
    if given.is_empty() {
        Ok(query)
    } else {
        Err(malformed("it has a parameter that no link has"))
    }
}

fn number<Number: std::str::FromStr>(text: &str) -> Result<Number, Refusal> {
    text.parse().map_err(|_| Refusal::Malformed {
        reason: "a number is none, or too large",
    })
}

fn parse_digest(text: &str) -> Result<Sha256Digest, Refusal> {
    text.parse().map_err(|_| Refusal::Malformed {
        reason: "its digest is none",
    })
}

fn flag(value: Option<&str>) -> Result<bool, Refusal> {
    match value {
        None => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Refusal::Malformed {
            reason: "a flag is not 1",
        }),
    }
}

/// HMAC over lines. No line can have a line feed: each is encoded, base64 or checked before.
fn mac_of(secret: &Secret, kind: &str, lines: &[&str]) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = hmac_sha256(secret.expose().as_bytes());
    mac.update(format!("{kind} {VERSION}").as_bytes());
    for line in lines {
        mac.update(b"\n");
        mac.update(line.as_bytes());
    }
    mac
}

fn check_signature(mac: hmac::Hmac<sha2::Sha256>, signature: &str) -> Result<(), Refusal> {
    let given = data_encoding::HEXLOWER
        .decode(signature.as_bytes())
        .map_err(|_| Refusal::Malformed {
            reason: "the signature is no hex",
        })?;
    mac.verify_slice(&given)
        .map_err(|_| Refusal::WrongSignature)
}

fn check_version(version: u32) -> Result<(), Refusal> {
    if version == u32::from(VERSION) {
        Ok(())
    } else {
        Err(Refusal::UnsupportedVersion { version })
    }
}

fn check_end(end: i64, now: OffsetDateTime) -> Result<(), Refusal> {
    if now.unix_timestamp() < end {
        return Ok(());
    }
    let ended_at = OffsetDateTime::from_unix_timestamp(end).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Err(Refusal::Expired { ended_at })
}

/// A client may say the scheme's own port or leave it out.
fn check_host(host: &str, base_url: &Url) -> Result<(), Refusal> {
    let authority = canonical::authority(base_url).map_err(|_| Refusal::WrongHost)?;
    let own_port = if base_url.scheme() == "https" {
        ":443"
    } else {
        ":80"
    };
    let host = match base_url.port() {
        None => host.strip_suffix(own_port).unwrap_or(host),
        Some(_) => host,
    };
    if host.eq_ignore_ascii_case(&authority) {
        Ok(())
    } else {
        Err(Refusal::WrongHost)
    }
}

fn check_constraints(constraints: &Constraints) -> Result<(), SignError> {
    check_text("content-type", constraints.content_type.as_deref())?;
    check_text("download-as", constraints.download_as.as_deref())
}

/// These values become headers.
fn check_text(name: &str, value: Option<&str>) -> Result<(), SignError> {
    if value.is_some_and(|value| value.contains(char::is_control)) {
        return Err(SignError::InvalidField {
            name: name.to_owned(),
            reason: "it has a control character",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
