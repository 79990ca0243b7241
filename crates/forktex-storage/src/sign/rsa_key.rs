// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! RSA private keys of service accounts and of CloudFront, read from PEM.
//!
//! Signing only: nothing here decrypts, so a timing leak of RSA decryption has nothing to leak. The
//! library masks each signature's computation with fresh randomness; the signature stays the same.

use std::fmt;
use std::sync::Arc;

use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;

use super::SignError;

const WHAT: &str = "RSA private key";

/// An RSA private key of 1024 to 8192 bits. Cloning is cheap; the key is wiped with its last clone.
#[derive(Clone)]
pub struct RsaKey {
    id: String,
    key: Arc<PrivateKey>,
}

impl RsaKey {
    /// Reads a key in PEM, PKCS #1 (`BEGIN RSA PRIVATE KEY`) or PKCS #8 (`BEGIN PRIVATE KEY`).
    ///
    /// Checks the numbers, which takes some milliseconds: parse once, sign often. `id` names the key
    /// in errors.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] when it is another kind of PEM, encrypted, damaged or too short.
    pub fn from_pem(id: impl Into<String>, pem: &str) -> Result<Self, SignError> {
        let pem = pem.trim();
        let key = if pem.contains("-----BEGIN RSA PRIVATE KEY-----") {
            PrivateKey::from_pkcs1_pem(pem).map_err(|error| damaged(error.into()))?
        } else if pem.contains("-----BEGIN PRIVATE KEY-----") {
            PrivateKey::from_pkcs8_pem(pem).map_err(|error| damaged(error.into()))?
        } else {
            let reason = if pem.contains("ENCRYPTED") {
                "it is encrypted; decrypt it first, for instance with `openssl pkey`"
            } else {
                "it must be PEM that begins with `BEGIN PRIVATE KEY` or `BEGIN RSA PRIVATE KEY`"
            };
            return Err(SignError::InvalidKey {
                what: WHAT,
                reason,
                source: None,
            });
        };
        Ok(Self {
            id: id.into(),
            key: Arc::new(key),
        })
    }

    /// The name of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A PKCS #1 v1.5 signature over the SHA-256 of `message`.
    pub(crate) fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key
            .pkcs1v15_sign::<sha2::Sha256>(message)
            .map_err(|source| self.failed(source))
    }

    /// A PKCS #1 v1.5 signature over the SHA-1 of `message`, which is what CloudFront checks.
    pub(crate) fn sign_sha1(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key
            .pkcs1v15_sign::<sha1::Sha1>(message)
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: rsa::Error) -> SignError {
        SignError::Rsa {
            id: self.id.clone(),
            source,
        }
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn damaged(source: Box<dyn std::error::Error + Send + Sync>) -> SignError {
    SignError::InvalidKey {
        what: WHAT,
        reason: "it is damaged, shorter than 1024 bits, or no RSA key",
        source: Some(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rsa_key_is_refused_with_a_reason() {
        for (pem, reason) in [
            ("", "must be PEM"),
            ("-----BEGIN EC PRIVATE KEY-----", "must be PEM"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "encrypted"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                "damaged",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
                "damaged",
            ),
        ] {
            let error = RsaKey::from_pem("id", pem).unwrap_err().to_string();
            assert!(error.contains(reason), "{pem}: {error}");
        }
    }
}
