// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where the keys of a service come from. A key service is one more implementation of the trait.

mod file;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;

pub use file::FileKeys;

use crate::error::VaultError;
use crate::key::Key;
use crate::vault::Vault;

/// The keys of a service: one to seal under, and those that values may still be under.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Keyring {
    /// New values are sealed under this key.
    pub primary: Key,
    /// These open as well.
    pub previous: Vec<Key>,
}

impl Keyring {
    /// A ring of one key.
    pub fn new(primary: Key) -> Self {
        Self {
            primary,
            previous: Vec::new(),
        }
    }

    /// Adds a key that opens.
    #[must_use]
    pub fn with_previous(mut self, key: Key) -> Self {
        self.previous.push(key);
        self
    }
}

impl From<Key> for Keyring {
    fn from(primary: Key) -> Self {
        Self::new(primary)
    }
}

/// Gives the keys of a service. Implement it for a key service; [`StaticKeys`], [`FileKeys`] and
/// [`from_fn`] are here.
///
/// Its `Debug`, where it has one, must show no key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no keys",
    note = "implement `forktex_vault::KeyProvider`, or wrap an async closure in `forktex_vault::from_fn`"
)]
pub trait KeyProvider: Send + Sync {
    /// Fetches the keys anew.
    ///
    /// # Errors
    /// A [`KeyProviderError`] when they cannot be had.
    fn keys(&self) -> impl Future<Output = Result<Keyring, KeyProviderError>> + Send;
}

/// Keys that could not be had. Holds no content of a key file, and no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProviderError {
    /// The file cannot be read.
    #[error("the key file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Everybody on the machine may read the file, or write it.
    #[error("the key file {} is open to every user of the machine; type: chmod o= {}", path.display(), path.display())]
    ReadableByAll {
        /// The file.
        path: PathBuf,
    },

    /// The file is longer than any list of keys.
    #[error("the key file {} has more than {bytes_max} bytes; it is no list of keys", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes it may have.
        bytes_max: usize,
    },

    /// There is no key in the file.
    #[error("the key file {} holds no key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },

    /// A line of the file is not a key.
    #[error("line {line} of the key file {} is no key: {cause}", path.display())]
    InvalidLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        cause: VaultError,
    },

    /// A provider of the host's own failed. Its text must hold no key.
    #[error("the keys could not be fetched")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keys that the host already holds.
///
/// # Examples
/// ```
/// use forktex_vault::{Key, StaticKeys, Vault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Key::generate()?;
/// let vault = Vault::load(&StaticKeys::new(key.clone())).await?;
/// assert_eq!(vault.primary_key(), key.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StaticKeys(Keyring);

impl StaticKeys {
    /// Gives these keys whenever asked.
    pub fn new(keys: impl Into<Keyring>) -> Self {
        Self(keys.into())
    }
}

impl KeyProvider for StaticKeys {
    async fn keys(&self) -> Result<Keyring, KeyProviderError> {
        Ok(self.0.clone())
    }
}

/// Keys that a closure fetches. Made by [`from_fn`].
pub struct FnKeys<F>(F);

impl<F> fmt::Debug for FnKeys<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnKeys").finish_non_exhaustive()
    }
}

/// Makes a provider of a closure.
///
/// # Examples
/// ```
/// use forktex_vault::{Key, KeyProviderError, Keyring, Vault, from_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), KeyProviderError> {
/// let provider = from_fn(async || {
///     let key = Key::generate().map_err(|error| KeyProviderError::Other(error.into()))?;
///     Ok(Keyring::new(key))
/// });
/// let vault = Vault::load(&provider).await?;
/// # let _ = vault;
/// # Ok(())
/// # }
/// ```
pub fn from_fn<F, Fut>(fetch: F) -> FnKeys<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<Keyring, KeyProviderError>> + Send,
{
    FnKeys(fetch)
}

impl<F, Fut> KeyProvider for FnKeys<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<Keyring, KeyProviderError>> + Send,
{
    fn keys(&self) -> impl Future<Output = Result<Keyring, KeyProviderError>> + Send {
        (self.0)()
    }
}

impl Vault {
    /// Makes a vault of the keys that a provider gives now. Later changes are not followed: load again.
    ///
    /// # Errors
    /// Those of the provider.
    ///
    /// # Cancellation
    /// Safe, as far as the provider is.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_vault::{FileKeys, KeyProviderError, Vault};
    ///
    /// # async fn example() -> Result<(), KeyProviderError> {
    /// let vault = Vault::load(&FileKeys::new("/etc/shop/vault.keys")).await?;
    /// # let _ = vault;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn load(provider: &impl KeyProvider) -> Result<Self, KeyProviderError> {
        let Keyring { primary, previous } = provider.keys().await?;
        let vault = Self::from_key(&primary);
        Ok(previous.iter().fold(vault, Self::with_previous))
    }
}
