// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Service SAS for one blob of Azure, signed with the account's shared key.
//!
//! The token is the one that azure-storage-blob's `generate_blob_sas` prints. A SAS cannot bind
//! headers, a size or a checksum of an upload, so there is nothing for them here.

use std::time::Duration;

use hmac::Mac;
use time::OffsetDateTime;
use url::Url;
use zeroize::Zeroizing;

use super::{SignError, canonical, encode, expires_at, finish, hmac_sha256};
use crate::Secret;

/// The version of the service that a SAS is made for: the newest that azure-storage-blob 12.31 knows.
pub const SAS_VERSION: &str = "2026-10-06";

/// Permissions in the order in which the service wants them.
const PERMISSIONS: &str = "racwdxytmei";

/// What a SAS allows, on which blob, and how the service answers.
#[derive(Clone, Copy, Debug)]
pub struct Sas<'a> {
    /// The storage account.
    pub account: &'a str,
    /// The container.
    pub container: &'a str,
    /// The blob, not encoded.
    pub blob: &'a str,
    /// Letters in the service's order, such as `r`, `cw` (write) or `c` (only where there is none).
    pub permissions: &'a str,
    /// When it begins to be good; at once without.
    pub starts_at: Option<OffsetDateTime>,
    /// The address, or `first-last` range, that may use it.
    pub ip: Option<&'a str>,
    /// Whether plain HTTP is allowed too.
    pub protocol: Protocol,
    /// The answer's `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// The answer's `Content-Disposition`.
    pub content_disposition: Option<&'a str>,
    /// The answer's `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// The answer's `Content-Language`.
    pub content_language: Option<&'a str>,
    /// The answer's `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The version of the service: [`SAS_VERSION`], or an older one for an emulator.
    pub version: &'a str,
}

/// By which protocols a SAS may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTPS alone.
    #[default]
    Https,
    /// HTTPS and plain HTTP, for an emulator.
    HttpsOrHttp,
}

impl<'a> Sas<'a> {
    /// `permissions` on a blob, over HTTPS, with nothing else said.
    pub fn new(account: &'a str, container: &'a str, blob: &'a str, permissions: &'a str) -> Self {
        Self {
            account,
            container,
            blob,
            permissions,
            starts_at: None,
            ip: None,
            protocol: Protocol::Https,
            cache_control: None,
            content_disposition: None,
            content_encoding: None,
            content_language: None,
            content_type: None,
            version: SAS_VERSION,
        }
    }
}

/// Signs a SAS token, the text after the `?`, that is good until `expires` from `now`.
///
/// # Errors
/// When the life is not 1 second to 7 days, when a value has a line break or the permissions are out
/// of order, or when the account's key is no base64.
pub fn token(
    sas: &Sas<'_>,
    account_key: &Secret,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    check(sas)?;
    let start = sas.starts_at.map(encode::timestamp_extended);
    let start = start.as_deref().unwrap_or_default();
    let expiry = encode::timestamp_extended(expires_at(now, expires)?);
    let protocol = match sas.protocol {
        Protocol::Https => "https",
        Protocol::HttpsOrHttp => "https,http",
    };
    let ip = sas.ip.unwrap_or_default();
    let overrides = [
        ("rscc", sas.cache_control.unwrap_or_default()),
        ("rscd", sas.content_disposition.unwrap_or_default()),
        ("rsce", sas.content_encoding.unwrap_or_default()),
        ("rscl", sas.content_language.unwrap_or_default()),
        ("rsct", sas.content_type.unwrap_or_default()),
    ];

    // Empty lines stand for the stored policy, the snapshot and the encryption scope.
    let mut signed = format!(
        "{}\n{start}\n{expiry}\n/blob/{}/{}/{}\n\n{ip}\n{protocol}\n{}\nb\n\n",
        sas.permissions, sas.account, sas.container, sas.blob, sas.version
    );
    for (_, value) in overrides {
        signed.push('\n');
        signed.push_str(value);
    }
    let signature = sign(account_key, &signed)?;

    let mut token = String::with_capacity(512);
    let mut push = |name: &str, value: &str| {
        if !value.is_empty() {
            if !token.is_empty() {
                token.push('&');
            }
            token.push_str(name);
            token.push('=');
            token.push_str(&encode::encode_path(value));
        }
    };
    push("st", start);
    push("se", &expiry);
    push("sp", sas.permissions);
    push("sip", ip);
    push("spr", protocol);
    push("sv", sas.version);
    push("sr", "b");
    for (name, value) in overrides {
        push(name, value);
    }
    push("sig", &signature);
    Ok(token)
}

/// Signs the whole URL of a blob. The endpoint may have a path, as an emulator's has.
///
/// # Errors
/// Those of [`token`], and an endpoint that is no web address.
pub fn url(
    endpoint: &Url,
    sas: &Sas<'_>,
    account_key: &Secret,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    if sas.protocol == Protocol::Https && endpoint.scheme() != "https" {
        return Err(SignError::InvalidEndpoint {
            endpoint: endpoint.host_str().unwrap_or_default().to_owned(),
            reason: "the SAS allows HTTPS alone, and the endpoint is not HTTPS",
        });
    }
    let authority = canonical::authority(endpoint)?;
    let token = token(sas, account_key, now, expires)?;
    Ok(format!(
        "{}://{authority}{}/{}/{}?{token}",
        endpoint.scheme(),
        endpoint.path().trim_end_matches('/'),
        encode::encode_path(sas.container),
        encode::encode_path(sas.blob),
    ))
}

fn sign(account_key: &Secret, text: &str) -> Result<String, SignError> {
    let key = data_encoding::BASE64
        .decode(account_key.expose().as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| SignError::InvalidKey {
            what: "account key of Azure",
            reason: "it is no base64; use the account key, not a SAS or a connection string",
            // The decoder's error would tell of the key's text.
            source: None,
        })?;
    let mut mac = hmac_sha256(&key);
    mac.update(text.as_bytes());
    Ok(data_encoding::BASE64.encode(&finish(mac)))
}

/// Lines are what separates the signed values, so that no value may have a line break.
fn check(sas: &Sas<'_>) -> Result<(), SignError> {
    let refuse = |name: &str, reason| {
        Err(SignError::InvalidField {
            name: name.to_owned(),
            reason,
        })
    };
    let mut order = PERMISSIONS.chars();
    if sas.permissions.is_empty() || !sas.permissions.chars().all(|one| order.any(|of| of == one)) {
        return refuse(
            "sp",
            "permissions are letters of `racwdxytmei`, in that order",
        );
    }
    for (name, value) in [
        ("account", sas.account),
        ("container", sas.container),
        ("blob", sas.blob),
        ("sv", sas.version),
    ] {
        if value.is_empty() || value.contains(char::is_control) {
            return refuse(name, "it is empty, or has a control character");
        }
    }
    for (name, value) in [
        ("sip", sas.ip),
        ("rscc", sas.cache_control),
        ("rscd", sas.content_disposition),
        ("rsce", sas.content_encoding),
        ("rscl", sas.content_language),
        ("rsct", sas.content_type),
    ] {
        if value.is_some_and(|value| value.contains(char::is_control)) {
            return refuse(name, "it has a control character");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn sign_it(sas: &Sas<'_>, key: &str) -> Result<String, SignError> {
        let now = datetime!(2025-01-01 00:00:00 UTC);
        token(sas, &Secret::from(key), now, Duration::from_mins(1))
    }

    #[test]
    fn permissions_out_of_order_and_line_breaks_are_refused() {
        for permissions in ["", "wc", "rr", "z", "r "] {
            let sas = Sas::new("account", "container", "blob", permissions);
            assert!(sign_it(&sas, "a2V5").is_err(), "{permissions}");
        }
        let sas = Sas::new("account", "container", "a\nb", "r");
        assert!(sign_it(&sas, "a2V5").is_err());
        let sas = Sas {
            content_type: Some("text/plain\nhttps"),
            ..Sas::new("account", "container", "blob", "r")
        };
        assert!(sign_it(&sas, "a2V5").is_err());
        let sas = Sas::new("account", "container", "blob", "racwdxytmei");
        assert!(sign_it(&sas, "a2V5").is_ok());
    }

    #[test]
    fn a_key_that_is_no_base64_is_refused_without_being_shown() {
        let sas = Sas::new("account", "container", "blob", "r");
        let error = sign_it(&sas, "hunter2!").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[test]
    fn a_sas_for_https_alone_is_not_put_behind_http() {
        let sas = Sas::new("account", "container", "blob", "r");
        let endpoint = Url::parse("http://127.0.0.1:10000/account").unwrap();
        let now = datetime!(2025-01-01 00:00:00 UTC);
        let minute = Duration::from_mins(1);
        assert!(url(&endpoint, &sas, &Secret::from("a2V5"), now, minute).is_err());
    }
}
