// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A column that holds a sealed value. It reads and writes ciphertext; a vault opens it.

#[cfg(feature = "db")]
mod postgres;

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::VaultError;
use crate::token::Token;
use crate::vault::BoundVault;

/// A sealed `T` in a column.
///
/// With the feature `db` it is a column type: bind it, and read it from a row. The second parameter
/// says what the column is: [`Bytea`], the default, or [`Text`] as in columns that Python services
/// write. It holds ciphertext, so a row can be logged and compared without showing the value.
///
/// Reading a row checks the form of the token alone; [`open`](Self::open) says whether it is genuine.
///
/// # Examples
/// ```
/// use forktex_vault::{Encrypted, Vault, VaultError};
///
/// struct Credential { id: i64, payload: Encrypted<String> }
///
/// let vault = Vault::from_key(&Vault::generate_key()?);
/// let cell = vault.context("app.credential", "payload", 7);
/// let row = Credential { id: 7, payload: Encrypted::seal(&cell, "s3cret")? };
///
/// let cell = vault.context("app.credential", "payload", row.id);
/// assert_eq!(row.payload.open(&cell)?, "s3cret");
/// # Ok::<(), VaultError>(())
/// ```
pub struct Encrypted<T, C = Bytea> {
    token: Token,
    holds: PhantomData<fn() -> (T, C)>,
}

/// The column is `BYTEA`.
#[derive(Clone, Copy, Debug)]
pub enum Bytea {}

/// The column is `TEXT` or `VARCHAR`.
#[derive(Clone, Copy, Debug)]
pub enum Text {}

impl<T, C> Encrypted<T, C> {
    /// Seals a value for its place. What is sealed may be a borrowed form of `T`, such as `str` for a
    /// `String`.
    ///
    /// # Errors
    /// Those of [`BoundVault::encrypt`].
    pub fn seal<V>(vault: &BoundVault, value: &V) -> Result<Self, VaultError>
    where
        T: std::borrow::Borrow<V>,
        V: Serialize + ?Sized,
    {
        vault.encrypt(value).map(Self::from_token)
    }

    /// Opens the value.
    ///
    /// # Errors
    /// Those of [`BoundVault::decrypt`].
    pub fn open(&self, vault: &BoundVault) -> Result<T, VaultError>
    where
        T: DeserializeOwned,
    {
        vault.decrypt(&self.token)
    }

    /// Takes a token that was sealed elsewhere.
    pub fn from_token(token: Token) -> Self {
        Self {
            token,
            holds: PhantomData,
        }
    }

    /// What the column holds.
    pub fn token(&self) -> &Token {
        &self.token
    }
}

impl<T, C> Clone for Encrypted<T, C> {
    fn clone(&self) -> Self {
        Self::from_token(self.token.clone())
    }
}

/// Whether the ciphertexts are the same. Two seals of one value are not.
impl<T, C> PartialEq for Encrypted<T, C> {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

impl<T, C> Eq for Encrypted<T, C> {}

impl<T, C> fmt::Debug for Encrypted<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encrypted").field(&self.token).finish()
    }
}
