// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed values, as they lie in a column. Reading one checks its form alone; only a vault with the
//! key can say whether it is genuine.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use crate::error::VaultError;
use crate::key::KeyId;
use crate::scheme::{Scheme, fernet, v2};

/// The longest value that can be sealed, in bytes: 16 MiB.
pub const PLAINTEXT_BYTES_MAX: usize = 16 << 20;

/// The longest token, as bytes; its text is a third longer.
const TOKEN_BYTES_MAX: usize = PLAINTEXT_BYTES_MAX + 128;

/// Raw tokens begin with their version, which is below this; the text of a token never does.
const FIRST_PRINTABLE: u8 = 0x20;

/// A sealed value. It shows its scheme, its key's id and its size, never what it holds.
///
/// Stored in a text column it is url-safe base64 ([`Display`](fmt::Display)). Stored in a `BYTEA`
/// column, format v2 is raw bytes, and Fernet is the same text, as Python writes it
/// ([`to_bytes`](Self::to_bytes)).
///
/// # Examples
/// ```
/// use forktex_vault::{Key, Token, Vault};
///
/// let key = Key::generate()?;
/// let token = Vault::from_key(&key).encrypt(&"s3cret")?;
/// assert_eq!(token.key_id(), Some(key.id()));
///
/// let text = token.to_string();
/// assert_eq!(text.parse::<Token>()?, token);
/// assert_eq!(Token::from_bytes(&token.to_bytes())?, token);
/// # Ok::<(), forktex_vault::VaultError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token {
    scheme: Scheme,
    bytes: Vec<u8>,
}

impl Token {
    /// Reads a token from a `BYTEA` column: raw bytes, or the text as bytes.
    ///
    /// # Errors
    /// - [`VaultError::Malformed`] when it is no token, or cut;
    /// - [`VaultError::UnsupportedVersion`] when a later release wrote it;
    /// - [`VaultError::TooLarge`] when it is longer than any token can be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        match bytes.first() {
            Some(&version) if version < FIRST_PRINTABLE => Self::from_raw(bytes.to_vec()),
            _ => std::str::from_utf8(bytes)
                .map_err(|_| VaultError::malformed("it is neither a version nor base64"))?
                .parse(),
        }
    }

    /// How it was sealed.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key that it says it was sealed under. None for Fernet, which names no key.
    pub fn key_id(&self) -> Option<KeyId> {
        match self.scheme {
            Scheme::V2 => v2::key_id(&self.bytes),
            Scheme::Fernet => None,
        }
    }

    /// When it says it was sealed, to the second. None where the time is out of range.
    ///
    /// It is as true as the clock of who sealed it, and not proved before the token is opened.
    pub fn sealed_at(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(i64::try_from(self.sealed_at_seconds()).ok()?).ok()
    }

    pub(crate) fn sealed_at_seconds(&self) -> u64 {
        let seconds = match self.scheme {
            Scheme::V2 => v2::sealed_at(&self.bytes),
            Scheme::Fernet => fernet::sealed_at(&self.bytes),
        };
        // A token whose form was checked has one.
        seconds.unwrap_or_default()
    }

    /// What is stored in a `BYTEA` column.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self.scheme {
            Scheme::V2 => self.bytes.clone(),
            Scheme::Fernet => self.to_string().into_bytes(),
        }
    }

    /// As [`to_bytes`](Self::to_bytes), of a token that is not needed any more.
    #[cfg(feature = "db")]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self.scheme {
            Scheme::V2 => self.bytes,
            Scheme::Fernet => self.to_string().into_bytes(),
        }
    }

    /// The token without base64.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the form of a token without base64.
    pub(crate) fn from_raw(bytes: Vec<u8>) -> Result<Self, VaultError> {
        check_size(bytes.len(), TOKEN_BYTES_MAX)?;
        let scheme = match bytes.first() {
            None => return Err(VaultError::malformed("it is empty")),
            Some(&v2::VERSION) => v2::check_form(&bytes).map(|()| Scheme::V2)?,
            Some(&fernet::VERSION) => fernet::check_form(&bytes).map(|()| Scheme::Fernet)?,
            Some(&version) => return Err(VaultError::UnsupportedVersion { version }),
        };
        Ok(Self { scheme, bytes })
    }
}

impl FromStr for Token {
    type Err = VaultError;

    /// Reads the text of a token. There is one text for a token: with padding for Fernet, without it
    /// for v2, and no stray bits at the end.
    fn from_str(text: &str) -> Result<Self, VaultError> {
        check_size(text.len(), TOKEN_BYTES_MAX / 3 * 4 + 4)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| VaultError::malformed("it is not url-safe base64"))?;
        let token = Self::from_raw(bytes)?;
        if token.to_string() != text {
            return Err(VaultError::malformed("its base64 padding is wrong"));
        }
        Ok(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self.scheme {
            Scheme::V2 => URL_SAFE_NO_PAD.encode(&self.bytes),
            Scheme::Fernet => URL_SAFE.encode(&self.bytes),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("scheme", &self.scheme)
            .field("key_id", &self.key_id())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

pub(crate) fn check_size(bytes: usize, bytes_max: usize) -> Result<(), VaultError> {
    if bytes > bytes_max {
        return Err(VaultError::TooLarge { bytes, bytes_max });
    }
    Ok(())
}
