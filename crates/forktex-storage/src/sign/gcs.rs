// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed URLs of Google Cloud Storage, version 4, signed with a service account's RSA key.
//!
//! The text is the one that google-cloud-storage's `generate_signed_url(version="v4")` prints: all
//! parameters sorted, then the signature. HMAC keys of GCS are not used here: an S3 endpoint of GCS
//! takes those.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use super::canonical::Request;
use super::rsa_key::RsaKey;
use super::{SignError, canonical, encode, expires_seconds, sha256_hex};
use crate::Secret;

/// The algorithm's name, as it is signed and printed.
pub(crate) const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// A service account: its email, and the key that signs in its name. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    key: RsaKey,
}

/// The two members of a service account's JSON that signing needs.
#[derive(Deserialize)]
struct ServiceAccountJson {
    client_email: String,
    private_key: String,
}

impl ServiceAccount {
    /// Reads the JSON file that Google gives out for a service account's key.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] when it is no such JSON, or its key cannot be read.
    pub fn from_json(json: &Secret) -> Result<Self, SignError> {
        let account: ServiceAccountJson =
            serde_json::from_str(json.expose()).map_err(|error| SignError::InvalidKey {
                what: "service account's JSON",
                reason: if error.is_data() {
                    "it lacks `client_email` or `private_key`; it must be a service account's key file"
                } else {
                    "it is no JSON"
                },
                // The text of serde's error may quote the document, and so is dropped.
                source: None,
            })?;
        let private_key = Zeroizing::new(account.private_key);
        Self::new(account.client_email, &private_key)
    }

    /// An account by its email and its private key in PEM.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] when the key cannot be read.
    pub fn new(client_email: impl Into<String>, private_key_pem: &str) -> Result<Self, SignError> {
        Ok(Self {
            key: RsaKey::from_pem(client_email, private_key_pem)?,
        })
    }

    /// The account's email, which every link shows.
    pub fn client_email(&self) -> &str {
        self.key.id()
    }

    /// `email/20130524/auto/storage/goog4_request`.
    pub(crate) fn credential(&self, now: OffsetDateTime) -> String {
        format!("{}/{}", self.client_email(), scope(now))
    }

    /// The signature of a text, in lower-case hex.
    pub(crate) fn sign(&self, text: &str) -> Result<String, SignError> {
        let signature = self.key.sign_sha256(text.as_bytes())?;
        Ok(data_encoding::HEXLOWER.encode(&signature))
    }
}

fn scope(now: OffsetDateTime) -> String {
    format!("{}/auto/storage/goog4_request", encode::date(now))
}

/// Signs `request` into a URL that is good for `expires` from `now`.
///
/// An RSA signature takes about a millisecond: hundreds of links a second a core, not thousands.
///
/// # Errors
/// When the life is not 1 second to 7 days, when the endpoint, the path or a header cannot be signed,
/// or when the RSA operation fails.
pub fn presign(
    request: &Request<'_>,
    account: &ServiceAccount,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    let seconds = expires_seconds(expires)?;
    let authority = canonical::bare_authority(request.endpoint)?;
    let path = canonical::path(request.path)?;
    let headers = canonical::headers(&authority, request.headers)?;
    let timestamp = encode::timestamp(now);

    let mut pairs = Vec::with_capacity(request.query.len() + 5);
    let mut push = |name: &str, value: &str| {
        pairs.push(format!(
            "{}={}",
            encode::encode_query(name),
            encode::encode_query(value)
        ));
    };
    for (name, value) in request.query {
        push(name, value);
    }
    push("X-Goog-Algorithm", ALGORITHM);
    push("X-Goog-Credential", &account.credential(now));
    push("X-Goog-Date", &timestamp);
    push("X-Goog-Expires", &seconds.to_string());
    push("X-Goog-SignedHeaders", &headers.names);
    // The library sorts whole pairs, and so do we: `=` sorts after `-` and before letters.
    pairs.sort_unstable();
    let query = pairs.join("&");

    let payload = request
        .headers
        .iter()
        .find(|(name, _)| name == "x-goog-content-sha256")
        .map_or("UNSIGNED-PAYLOAD", |(_, value)| value.as_str());
    let canonical_request = format!(
        "{}\n{path}\n{query}\n{}\n{}\n{payload}",
        request.method, headers.lines, headers.names,
    );
    let signature = account.sign(&format!(
        "{ALGORITHM}\n{timestamp}\n{}\n{}",
        scope(now),
        sha256_hex(&canonical_request)
    ))?;
    Ok(format!(
        "{}://{authority}{path}?{query}&X-Goog-Signature={signature}",
        request.endpoint.scheme()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_no_service_account_is_refused_without_being_shown() {
        for (json, reason) in [
            ("hunter2", "no JSON"),
            (r#"{"client_email": "hunter2"}"#, "lacks"),
            (r#"{"client_email": 7, "private_key": "hunter2"}"#, "lacks"),
            (
                r#"{"client_email": "a@b", "private_key": "hunter2"}"#,
                "PEM",
            ),
        ] {
            let error = ServiceAccount::from_json(&Secret::from(json)).unwrap_err();
            assert!(error.to_string().contains(reason), "{json}: {error}");
            assert!(
                !format!("{error:?} {error}").contains("hunter2"),
                "{error:?}"
            );
        }
    }
}
