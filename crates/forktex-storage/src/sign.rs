// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signatures for links and forms: S3, Google Cloud Storage, Azure, CloudFront and our own folder.
//!
//! Every signer is a pure function of its arguments and of the time that it is given: none reads a
//! clock, a file or the network. The endpoint that goes in is the one that the client will call, and
//! it is part of what is signed. What would make a signature that the service refuses is an error
//! here. Nothing is rewritten after it was signed.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub mod azure;
pub mod canonical;
pub mod cloudfront;
pub mod encode;
pub mod folder;
pub mod form;
pub mod gcs;
pub mod gcs_post;
pub mod rsa_key;
pub mod sigv4;
pub mod sigv4_post;

/// The longest life of a signature: seven days, which is what S3 and GCS allow.
pub const EXPIRES_MAX: Duration = Duration::from_hours(7 * 24);

/// Why nothing could be signed.
///
/// No message holds a secret or a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The life of the signature is out of its bounds.
    #[error("cannot sign for {expires:?}: a signature lives from 1 second to 7 days")]
    ExpiresOutOfRange {
        /// The life that was asked for.
        expires: Duration,
    },

    /// The time is too far from now to be written.
    #[error("cannot sign at {now} for {expires:?}: the end is no date")]
    TimeOutOfRange {
        /// The time of signing.
        now: OffsetDateTime,
        /// The life that was asked for.
        expires: Duration,
    },

    /// The endpoint cannot be part of a signature.
    #[error("cannot sign for the endpoint `{endpoint}`: {reason}")]
    InvalidEndpoint {
        /// The endpoint's host, or what stands in its place.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The path cannot be signed.
    #[error("cannot sign the path `{path}`: {reason}")]
    InvalidPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A header or a form field cannot be signed.
    #[error("cannot sign `{name}`: {reason}")]
    InvalidField {
        /// The header, query parameter or form field.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The derived key belongs to another day.
    #[error("cannot sign on {today} with a key derived for {day}; derive the day's own")]
    KeyOfAnotherDay {
        /// The day of the signature.
        today: time::Date,
        /// The day of the key.
        day: time::Date,
    },

    /// A private key, an account key or a service account cannot be read.
    #[error("cannot read the {what}: {reason}")]
    InvalidKey {
        /// What was read, such as `RSA private key`.
        what: &'static str,
        /// What is wrong with it, without any of its text.
        reason: &'static str,
        /// What the decoder noticed.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },

    /// The RSA operation failed.
    #[error(
        "cannot sign with the RSA key `{id}`: the operation failed; check that the key is whole"
    )]
    Rsa {
        /// The id of the key: a service account's email, or a CloudFront key pair id.
        id: String,
        /// What the RSA library noticed.
        source: rsa::Error,
    },
}

/// The life of a signature in whole seconds, if it is within its bounds.
pub(crate) fn expires_seconds(expires: Duration) -> Result<u64, SignError> {
    let seconds = expires.as_secs();
    if seconds == 0 || expires > EXPIRES_MAX {
        return Err(SignError::ExpiresOutOfRange { expires });
    }
    Ok(seconds)
}

/// When a signature made now ends, in whole seconds.
pub(crate) fn expires_at(
    now: OffsetDateTime,
    expires: Duration,
) -> Result<OffsetDateTime, SignError> {
    let seconds = expires_seconds(expires)?;
    now.checked_add(time::Duration::seconds(seconds.cast_signed()))
        .ok_or(SignError::TimeOutOfRange { now, expires })
}

/// HMAC-SHA256 under a key of any length, ready for the text.
///
/// The key is padded to a block here, since that cannot fail; the constructor that takes a slice can.
pub(crate) fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0_u8; 64]);
    if let Some(start) = block.get_mut(..key.len()) {
        start.copy_from_slice(key);
    } else {
        for (slot, byte) in block.iter_mut().zip(Sha256::digest(key)) {
            *slot = byte;
        }
    }
    Hmac::<Sha256>::new((&*block).into())
}

/// The bytes of a finished HMAC.
pub(crate) fn finish(mac: Hmac<Sha256>) -> [u8; 32] {
    mac.finalize().into_bytes().into()
}

/// The SHA-256 of a text, in lower-case hex.
pub(crate) fn sha256_hex(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(key: &[u8], text: &[u8]) -> String {
        let mut mac = hmac_sha256(key);
        mac.update(text);
        data_encoding::HEXLOWER.encode(&finish(mac))
    }

    #[test]
    fn hmac_agrees_with_rfc_4231_for_short_and_long_keys() {
        assert_eq!(
            hex(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_life_outside_one_second_to_seven_days_is_refused() {
        assert!(expires_seconds(Duration::ZERO).is_err());
        assert!(expires_seconds(Duration::from_millis(999)).is_err());
        assert_eq!(expires_seconds(Duration::from_secs(1)).unwrap(), 1);
        assert_eq!(expires_seconds(EXPIRES_MAX).unwrap(), 604_800);
        assert!(expires_seconds(EXPIRES_MAX + Duration::from_secs(1)).is_err());
    }
}
