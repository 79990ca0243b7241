// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signature version 4 of AWS, in the query of a URL: what S3 and every service like it checks.
//!
//! The text is the one that botocore's `generate_presigned_url` prints: the operation's parameters in
//! the order given, then the signature's own. The payload is never signed, since a link is made
//! before there is one; a checksum is a signed header instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime, UtcOffset};
use zeroize::Zeroizing;

pub use super::canonical::Request;
use super::{SignError, canonical, encode, expires_seconds, finish, hmac_sha256, sha256_hex};
use crate::Secret;

/// The algorithm's name, as it is signed and printed.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id, which every link shows.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: Secret,
    /// The token of a session, which every link shows too.
    pub session_token: Option<Secret>,
}

/// The key that signs one day's requests to one service in one region.
#[derive(Clone)]
pub struct SigningKey {
    mac: Hmac<Sha256>,
    day: Date,
    scope: String,
}

impl SigningKey {
    /// Derives the key of the day of `now` (in UTC) for a region such as `eu-central-1` and a service
    /// such as `s3`. Takes four HMACs: [`SigningKeys`] keeps what was derived.
    pub fn derive(secret_key: &Secret, now: OffsetDateTime, region: &str, service: &str) -> Self {
        let date = encode::date(now);
        let start = Zeroizing::new(format!("AWS4{}", secret_key.expose()));
        let key = mac_of(start.as_bytes(), &date);
        let key = mac_of(key.as_slice(), region);
        let key = mac_of(key.as_slice(), service);
        let key = mac_of(key.as_slice(), "aws4_request");
        Self {
            mac: hmac_sha256(key.as_slice()),
            day: day_of(now),
            scope: format!("{date}/{region}/{service}/aws4_request"),
        }
    }

    /// `20130524/us-east-1/s3/aws4_request`.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The signature of a text, in lower-case hex.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        data_encoding::HEXLOWER.encode(&finish(mac))
    }

    /// Refuses a key of another day: the service would find a wrong signature.
    pub(crate) fn check_day(&self, now: OffsetDateTime) -> Result<(), SignError> {
        let today = day_of(now);
        if today == self.day {
            Ok(())
        } else {
            Err(SignError::KeyOfAnotherDay {
                today,
                day: self.day,
            })
        }
    }
}

/// Derived keys, kept so that a link costs one HMAC and not five.
///
/// Keeps at most 32; the oldest goes first. Nothing but derived keys and digests of secrets is held.
#[derive(Default)]
pub struct SigningKeys {
    known: Mutex<Vec<(KeyName, Arc<SigningKey>)>>,
}

#[derive(PartialEq, Eq)]
struct KeyName {
    secret_sha256: [u8; 32],
    day: Date,
    region: String,
}

const SIGNING_KEYS_MAX: usize = 32;

impl SigningKeys {
    /// None derived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key for S3 in `region` on the day of `now`, derived at its first use.
    pub fn get(&self, secret_key: &Secret, now: OffsetDateTime, region: &str) -> Arc<SigningKey> {
        let secret_sha256: [u8; 32] = Sha256::digest(secret_key.expose().as_bytes()).into();
        let day = day_of(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(name, _)| {
            name.day == day && name.region == region && name.secret_sha256 == secret_sha256
        });
        if let Some((_, key)) = found {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(secret_key, now, region, "s3"));
        if known.len() >= SIGNING_KEYS_MAX {
            known.remove(0);
        }
        let name = KeyName {
            secret_sha256,
            day,
            region: region.to_owned(),
        };
        known.push((name, Arc::clone(&key)));
        key
    }
}

/// Signs `request` into a URL that is good for `expires` from `now`.
///
/// # Errors
/// When the life is not 1 second to 7 days, when `key` was derived for another day, or when the
/// endpoint, the path or a header cannot be signed.
pub fn presign(
    request: &Request<'_>,
    credentials: &Credentials,
    key: &SigningKey,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<String, SignError> {
    let seconds = expires_seconds(expires)?;
    key.check_day(now)?;
    let authority = canonical::bare_authority(request.endpoint)?;
    let path = canonical::path(request.path)?;
    let headers = canonical::headers(&authority, request.headers)?;
    let timestamp = encode::timestamp(now);

    let mut pairs = Vec::with_capacity(request.query.len() + 6);
    let mut push = |name: &str, value: &str| {
        pairs.push((encode::encode_query(name), encode::encode_query(value)));
    };
    for (name, value) in request.query {
        push(name, value);
    }
    push("X-Amz-Algorithm", ALGORITHM);
    push(
        "X-Amz-Credential",
        &format!("{}/{}", credentials.access_key, key.scope),
    );
    push("X-Amz-Date", &timestamp);
    push("X-Amz-Expires", &seconds.to_string());
    push("X-Amz-SignedHeaders", &headers.names);
    if let Some(token) = &credentials.session_token {
        push("X-Amz-Security-Token", token.expose());
    }

    let mut sorted: Vec<&(String, String)> = pairs.iter().collect();
    sorted.sort_unstable();
    let canonical_request = format!(
        "{}\n{path}\n{}\n{}\n{}\nUNSIGNED-PAYLOAD",
        request.method,
        encode::join_pairs(sorted),
        headers.lines,
        headers.names,
    );
    let signature = key.sign(&format!(
        "{ALGORITHM}\n{timestamp}\n{}\n{}",
        key.scope,
        sha256_hex(&canonical_request)
    ));
    Ok(format!(
        "{}://{authority}{path}?{}&X-Amz-Signature={signature}",
        request.endpoint.scheme(),
        encode::join_pairs(&pairs),
    ))
}

fn mac_of(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = hmac_sha256(key);
    mac.update(text.as_bytes());
    Zeroizing::new(finish(mac))
}

fn day_of(now: OffsetDateTime) -> Date {
    now.to_offset(UtcOffset::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use url::Url;

    fn request(endpoint: &Url) -> Request<'_> {
        Request {
            method: "GET",
            endpoint,
            path: "/test.txt",
            query: &[],
            headers: &[],
        }
    }

    fn credentials() -> Credentials {
        Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: Secret::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        }
    }

    #[test]
    fn a_key_of_yesterday_signs_nothing_today() {
        let endpoint = Url::parse("https://examplebucket.s3.amazonaws.com").unwrap();
        let now = datetime!(2013-05-24 00:00:00 UTC);
        let key = SigningKey::derive(&credentials().secret_key, now, "us-east-1", "s3");
        let sign = |now| {
            let day = Duration::from_hours(24);
            presign(&request(&endpoint), &credentials(), &key, now, day)
        };
        assert!(sign(now).is_ok());
        assert!(matches!(
            sign(now + time::Duration::DAY),
            Err(SignError::KeyOfAnotherDay { .. })
        ));
    }

    #[test]
    fn kept_keys_are_those_that_would_be_derived_and_are_bounded() {
        let keys = SigningKeys::new();
        let now = datetime!(2013-05-24 23:59:59 UTC);
        let secret = credentials().secret_key;
        for region in 0..SIGNING_KEYS_MAX * 2 {
            let region = format!("region-{region}");
            let kept = keys.get(&secret, now, &region);
            let again = keys.get(&secret, now, &region);
            assert!(Arc::ptr_eq(&kept, &again));
            let derived = SigningKey::derive(&secret, now, &region, "s3");
            assert_eq!(kept.sign("text"), derived.sign("text"));
        }
        assert_eq!(keys.known.lock().unwrap().len(), SIGNING_KEYS_MAX);
        let other = keys.get(&Secret::from("other"), now, "region-63");
        assert_ne!(
            other.sign("text"),
            keys.get(&secret, now, "region-63").sign("text")
        );
    }

    #[test]
    fn credentials_do_not_show_their_secrets() {
        let shown = format!("{:?}", credentials());
        assert!(!shown.contains("wJalr"), "{shown}");
    }
}
