// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys, and what is derived from them. A key shows itself only to who asks by name.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::VaultError;

const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;

/// A secret key of 256 bits. Its text is 44 characters of url-safe base64, the form of a Fernet key.
///
/// It is wiped from memory when dropped. Neither `Debug` nor `Display` shows it;
/// [`expose`](Self::expose) does.
///
/// # Examples
/// ```
/// use forktex_vault::Key;
///
/// let key = Key::generate()?;
/// let again: Key = key.expose().parse()?;
/// assert_eq!(key.id(), again.id());
/// # Ok::<(), forktex_vault::VaultError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    secret: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

impl Key {
    /// Makes a key from the random source of the operating system.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`] when the system has none to give.
    pub fn generate() -> Result<Self, VaultError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self::from_secret(secret))
    }

    /// Takes 32 bytes as a key. They must be random: this is no place for a password.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self::from_secret(Zeroizing::new(secret))
    }

    /// The key that the Python package makes of a passphrase: its SHA-256.
    ///
    /// For reading what was written so, and nothing new: one SHA-256 costs an attacker who has a token
    /// nearly nothing, so a passphrase that a person can remember can be guessed.
    pub fn from_passphrase_sha256(passphrase: &str) -> Self {
        Self::from_bytes(Sha256::digest(passphrase).into())
    }

    /// Gives the key an id of the host's choice, such as the number that a key service knows it by.
    ///
    /// By default the id is derived from the key. An id must never be given to a second key: tokens
    /// under the first would then be [`VaultError::WrongKey`].
    #[must_use]
    pub fn with_id(mut self, id: KeyId) -> Self {
        self.id = id;
        self
    }

    /// The id, which tokens carry in the clear.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key as text, to be put where secrets are kept. The text is wiped when dropped.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE.encode(self.secret.as_slice()))
    }

    #[cfg(feature = "db")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.secret.as_slice()
    }

    fn from_secret(secret: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let derived = derive(&secret, "forktex-vault/2 id");
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&derived[..KEY_ID_BYTES]);
        Self {
            secret,
            id: KeyId(id),
        }
    }
}

impl FromStr for Key {
    type Err = VaultError;

    /// Reads 44 characters of url-safe base64, with their padding. White space around them is passed
    /// over, as key files end with a line break.
    fn from_str(text: &str) -> Result<Self, VaultError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        let decoded = URL_SAFE.decode(text.trim()).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| VaultError::InvalidKey {
            reason: "a key is 44 characters of url-safe base64 with padding",
        })?;
        if decoded.len() != KEY_BYTES {
            return Err(VaultError::InvalidKey {
                reason: "a key is 32 bytes long",
            });
        }
        secret.copy_from_slice(&decoded);
        Ok(Self::from_secret(secret))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Names a key without showing it: 8 bytes, written as 16 hexadecimal digits.
///
/// # Examples
/// ```
/// use forktex_vault::KeyId;
///
/// let id: KeyId = "000000000000002a".parse()?;
/// assert_eq!(id, KeyId::from_bytes(42_u64.to_be_bytes()));
/// # Ok::<(), forktex_vault::VaultError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// Takes 8 bytes as an id.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes, as a token of format v2 carries them.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let is_id = text.len() == 2 * KEY_ID_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = is_id.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        let number = number.ok_or(VaultError::InvalidKey {
            reason: "a key id is 16 hexadecimal digits",
        })?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key made ready: each use has a key of its own, so that no two schemes share one.
#[derive(Clone)]
pub(crate) struct DerivedKey {
    pub(crate) id: KeyId,
    /// What a token of format v2 says of its key: binding, and of no use to find it.
    pub(crate) commitment: [u8; 32],
    /// For XChaCha20-Poly1305.
    pub(crate) encryption: Zeroizing<[u8; 32]>,
    /// For fingerprints.
    pub(crate) blind_index: Zeroizing<[u8; 32]>,
    /// Fernet takes the key itself: the halves sign and encrypt.
    pub(crate) fernet: Zeroizing<[u8; 32]>,
}

impl DerivedKey {
    pub(crate) fn new(key: &Key) -> Self {
        Self {
            id: key.id,
            commitment: *derive(&key.secret, "forktex-vault/2 commitment"),
            encryption: derive(&key.secret, "forktex-vault/2 encryption"),
            blind_index: derive(&key.secret, "forktex-vault/2 blind index"),
            fernet: key.secret.clone(),
        }
    }
}

/// HMAC-SHA-256 under a key no longer than its block of 64 bytes, which it pads with zeros.
pub(crate) fn hmac<const BYTES: usize>(key: &[u8; BYTES]) -> Hmac<Sha256> {
    const { assert!(BYTES <= 64) };
    let mut block = Zeroizing::new([0; 64]);
    block[..BYTES].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// HKDF-SHA-256 (RFC 5869) without salt, as the key is uniformly random.
fn derive(secret: &[u8; KEY_BYTES], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(None, secret).expand(purpose.as_bytes(), &mut *derived);
    // A key of zeros must never pass for a derived one.
    assert!(expanded.is_ok(), "HKDF-SHA-256 gives up to 8,160 bytes");
    derived
}
