// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: a keyring that seals under one key and opens under several.
//!
//! It picks the key that a token commits to, and never tries one key after another on a cipher that
//! commits to none.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::blind_index::BlindIndex;
use crate::context::Context;
use crate::error::VaultError;
use crate::key::{DerivedKey, Key, KeyId};
use crate::scheme::{Scheme, fernet, v2};
use crate::token::{PLAINTEXT_BYTES_MAX, Token, check_size};

/// How far ahead another machine's clock may be, when ages are checked; Fernet's specification says
/// a minute.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// Seals and opens values. Cheap to clone; clones share the keys, which are wiped when the last is
/// dropped.
///
/// It seals under the primary key and opens under any that it holds. To change the key of a service:
/// give every process a vault that holds the new key as a previous one, then one that has it as the
/// primary and the old as the previous, and only then re-encrypt what is stored.
///
/// # Examples
/// ```
/// use forktex_vault::{Key, Vault, VaultError};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Credential { provider_token: String, ssh_key_id: u32 }
///
/// let credential = Credential { provider_token: "t-1".into(), ssh_key_id: 12345 };
/// let old = Key::generate()?;
/// let vault = Vault::from_key(&old);
/// let token = vault.context("app.credential", "payload", 7).encrypt(&credential)?;
///
/// let new = Key::generate()?;
/// let vault = Vault::from_key(&new).with_previous(&old);
/// let opened: Credential = vault.context("app.credential", "payload", 7).decrypt(&token)?;
/// assert_eq!(opened, credential);
///
/// let without = Vault::from_key(&new).context("app.credential", "payload", 7).decrypt::<Credential>(&token);
/// assert_eq!(without, Err(VaultError::UnknownKey { id: old.id() }));
/// # Ok::<(), VaultError>(())
/// ```
#[derive(Clone)]
pub struct Vault {
    keyring: Arc<KeySet>,
}

#[derive(Clone)]
struct KeySet {
    primary: DerivedKey,
    previous: Vec<DerivedKey>,
    writes: Scheme,
    reads_fernet: bool,
}

impl Vault {
    /// A fresh key, for a new environment: [`Key::generate`].
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`] when the operating system has none to give.
    pub fn generate_key() -> Result<Key, VaultError> {
        Key::generate()
    }

    /// A vault that seals in format v2 under `key`, and opens what was sealed so.
    pub fn from_key(key: &Key) -> Self {
        Self {
            keyring: Arc::new(KeySet {
                primary: DerivedKey::new(key),
                previous: Vec::new(),
                writes: Scheme::V2,
                reads_fernet: false,
            }),
        }
    }

    /// Opens what was sealed under `key` as well; nothing new is sealed under it.
    #[must_use]
    pub fn with_previous(self, key: &Key) -> Self {
        self.changed(|keyring| keyring.previous.push(DerivedKey::new(key)))
    }

    /// Seals by this scheme from now on. With [`Scheme::Fernet`], Fernet tokens are read too.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.changed(|keyring| {
            keyring.writes = scheme;
            keyring.reads_fernet |= scheme == Scheme::Fernet;
        })
    }

    /// Reads Fernet tokens too, while columns that hold them are migrated.
    ///
    /// Not the default: Fernet tokens are bound to no place, so one that an attacker has kept from
    /// before would open in any row.
    #[must_use]
    pub fn reading_fernet(self) -> Self {
        self.changed(|keyring| keyring.reads_fernet = true)
    }

    /// The key that values are sealed under.
    pub fn primary_key(&self) -> KeyId {
        self.keyring.primary.id
    }

    /// Seals a value as JSON, bound to no place. Prefer [`context`](Self::context).
    ///
    /// # Errors
    /// Those of [`BoundVault::encrypt`].
    pub fn encrypt<T: Serialize + ?Sized>(&self, value: &T) -> Result<Token, VaultError> {
        self.bound(Context::none()).encrypt(value)
    }

    /// Opens what [`encrypt`](Self::encrypt) sealed.
    ///
    /// # Errors
    /// Those of [`BoundVault::decrypt`].
    pub fn decrypt<T: DeserializeOwned>(&self, token: &Token) -> Result<T, VaultError> {
        self.bound(Context::none()).decrypt(token)
    }

    /// The vault as one cell of a table uses it: short for [`bound`](Self::bound) with a table, a
    /// column and a row.
    pub fn context(&self, table: &str, column: &str, row: impl fmt::Display) -> BoundVault {
        self.bound(Context::new(table, column).row(row))
    }

    /// The vault as one place uses it.
    pub fn bound(&self, context: Context) -> BoundVault {
        BoundVault {
            vault: self.clone(),
            context,
            age_max: None,
        }
    }

    /// The fingerprints of a column, for equality look-ups over sealed values.
    pub fn blind_index(&self, table: &str, column: &str) -> BlindIndex {
        BlindIndex::new(self.clone(), Context::new(table, column))
    }

    pub(crate) fn primary(&self) -> &DerivedKey {
        &self.keyring.primary
    }

    /// All keys, the primary first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &DerivedKey> {
        std::iter::once(&self.keyring.primary).chain(&self.keyring.previous)
    }

    /// An id that two different keys bear.
    #[cfg(feature = "db")]
    pub(crate) fn ambiguous_key(&self) -> Option<KeyId> {
        let primary = self.primary();
        self.keys()
            .find(|key| key.id == primary.id && key.commitment != primary.commitment)
            .map(|key| key.id)
    }

    /// The vault with its primary key alone.
    #[cfg(feature = "db")]
    pub(crate) fn without_previous(&self) -> Self {
        self.clone().changed(|keyring| keyring.previous.clear())
    }

    /// Whether a key of the vault signed this Fernet token.
    #[cfg(feature = "db")]
    pub(crate) fn has_signed(&self, token: &Token) -> bool {
        token.scheme() == Scheme::Fernet && self.signing_key(token).is_ok()
    }

    /// The key of this id that a token commits to.
    fn committed_key(&self, token: &Token) -> Result<&DerivedKey, VaultError> {
        let id = token.key_id().ok_or(VaultError::malformed("it is cut"))?;
        let commitment = v2::commitment(token.raw());
        let mut named = self.keys().filter(|key| key.id == id).peekable();
        if named.peek().is_none() {
            return Err(VaultError::UnknownKey { id });
        }
        named
            .find(|key| commitment == Some(&key.commitment))
            .ok_or(VaultError::WrongKey { id: Some(id) })
    }

    /// The key that signed a Fernet token. A signature commits to its key.
    fn signing_key(&self, token: &Token) -> Result<&DerivedKey, VaultError> {
        if !self.keyring.reads_fernet {
            return Err(VaultError::FernetRefused);
        }
        self.keys()
            .find(|key| fernet::is_signed_by(&key.fernet, token.raw()))
            .ok_or(VaultError::WrongKey { id: None })
    }

    fn changed(mut self, change: impl FnOnce(&mut KeySet)) -> Self {
        change(Arc::make_mut(&mut self.keyring));
        self
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous: Vec<_> = self.keyring.previous.iter().map(|key| key.id).collect();
        f.debug_struct("Vault")
            .field("primary", &self.keyring.primary.id)
            .field("previous", &previous)
            .field("writes", &self.keyring.writes)
            .field("reads_fernet", &self.keyring.reads_fernet)
            .finish()
    }
}

/// A vault for one place. Made by [`Vault::context`] or [`Vault::bound`].
#[derive(Clone, Debug)]
pub struct BoundVault {
    vault: Vault,
    context: Context,
    age_max: Option<Duration>,
}

impl BoundVault {
    /// Refuses to open what was sealed longer ago than this, in whole seconds. By default age does not
    /// matter.
    ///
    /// Ages go by the clocks of both machines; one that is up to a minute ahead is borne.
    #[must_use]
    pub fn age_max(mut self, age: Duration) -> Self {
        self.age_max = Some(age);
        self
    }

    /// Seals a value as JSON.
    ///
    /// # Errors
    /// - [`VaultError::Unserializable`] when it cannot be written as JSON;
    /// - [`VaultError::TooLarge`] when its JSON is longer than [`PLAINTEXT_BYTES_MAX`];
    /// - [`VaultError::NoRandomness`] when the operating system has none to give.
    pub fn encrypt<T: Serialize + ?Sized>(&self, value: &T) -> Result<Token, VaultError> {
        let json = serde_json::to_vec(value).map(Zeroizing::new);
        let json = json.map_err(|_| VaultError::Unserializable {
            type_name: type_name::<T>(),
        })?;
        self.seal(&json)
    }

    /// Opens a token and reads its JSON.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`VaultError::Undecodable`] when it holds something else
    /// than a `T`.
    pub fn decrypt<T: DeserializeOwned>(&self, token: &Token) -> Result<T, VaultError> {
        let json = self.open(token)?;
        // The error of the parser may quote the value.
        serde_json::from_slice(&json).map_err(|_| VaultError::Undecodable {
            type_name: type_name::<T>(),
        })
    }

    /// Seals bytes.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`] beyond [`PLAINTEXT_BYTES_MAX`], [`VaultError::NoRandomness`] when the
    /// operating system has none to give.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Token, VaultError> {
        self.seal_as_of(plaintext, now_seconds())
    }

    /// Seals bytes with this time, in seconds since 1970.
    pub(crate) fn seal_as_of(&self, plaintext: &[u8], time: u64) -> Result<Token, VaultError> {
        check_size(plaintext.len(), PLAINTEXT_BYTES_MAX)?;
        let keyring = &self.vault.keyring;
        Token::from_raw(match keyring.writes {
            Scheme::V2 => v2::seal(&keyring.primary, &self.context, random()?, time, plaintext),
            Scheme::Fernet => fernet::seal(&keyring.primary.fernet, random()?, time, plaintext),
        })
    }

    /// Opens a token. What comes back is wiped when dropped.
    ///
    /// # Errors
    /// - [`VaultError::UnknownKey`] when the vault does not hold the key that the token names;
    /// - [`VaultError::WrongKey`] when another key made it;
    /// - [`VaultError::TamperedOrMoved`] when it was changed, or sealed for another place;
    /// - [`VaultError::Expired`] or [`VaultError::FromTheFuture`] by [`age_max`](Self::age_max);
    /// - [`VaultError::FernetRefused`] when it is a Fernet token and those are not read;
    /// - [`VaultError::Malformed`] when what was signed is broken all the same.
    pub fn open(&self, token: &Token) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.open_at(token, now_seconds())
    }

    /// The place.
    #[cfg(feature = "db")]
    pub(crate) fn into_context(self) -> Context {
        self.context
    }

    fn open_at(&self, token: &Token, now: u64) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (plaintext, sealed_at) = match token.scheme() {
            Scheme::V2 => {
                let key = self.vault.committed_key(token)?;
                let plaintext = v2::open(key, &self.context, token.raw())?;
                (plaintext, v2::sealed_at(token.raw()))
            }
            Scheme::Fernet => {
                let key = self.vault.signing_key(token)?;
                let plaintext = fernet::open(&key.fernet, token.raw())?;
                (plaintext, fernet::sealed_at(token.raw()))
            }
        };
        // Last, since the time is proved only now.
        self.check_age(sealed_at.unwrap_or_default(), now)?;
        Ok(plaintext)
    }

    fn check_age(&self, sealed_at: u64, now: u64) -> Result<(), VaultError> {
        let Some(age_max) = self.age_max else {
            return Ok(());
        };
        if sealed_at > now.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(VaultError::FromTheFuture);
        }
        if now > sealed_at.saturating_add(age_max.as_secs()) {
            return Err(VaultError::Expired);
        }
        Ok(())
    }
}

fn now_seconds() -> u64 {
    // A clock before 1970 counts as 1970: such tokens are merely old.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], VaultError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
