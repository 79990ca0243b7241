// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A vault as the cipher of a `Db`: it seals and opens the columns that models mark as encrypted.
//!
//! It seals bytes as they come. What they mean (JSON, for models) is the caller's business.

use forktex_db::{CipherError, CipherErrorKind, ColumnCipher, Place};

use crate::context::Context;
use crate::error::VaultError;
use crate::token::Token;
use crate::vault::{BoundVault, Vault};

/// Sealed so, a value is what a `BYTEA` column holds, bound to table, column, and row and organisation
/// where they are given; [`Encrypted`](crate::Encrypted) opens it in the same [`Context`].
///
/// # Examples
/// ```
/// use forktex_db::{CipherError, ColumnCipher, DbOptions, Place};
/// use forktex_vault::{Key, Vault};
///
/// let vault = Vault::from_key(&Key::from_bytes([7; 32]));
/// let place = Place::new("app.credential", "payload");
/// let sealed = vault.seal(&place, b"\"s3cret\"")?;
/// assert_eq!(vault.open(&place, &sealed)?, b"\"s3cret\"");
///
/// let options = DbOptions::new().cipher(vault);
/// # let _ = options;
/// # Ok::<(), CipherError>(())
/// ```
impl ColumnCipher for Vault {
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        Ok(cell(self, place).seal(plaintext)?.to_bytes())
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut opened = cell(self, place).open(&Token::from_bytes(sealed)?)?;
        // Moved out, not copied: the caller wipes it.
        Ok(std::mem::take(&mut *opened))
    }
}

fn cell(vault: &Vault, place: &Place<'_>) -> BoundVault {
    let mut context = Context::new(place.table, place.column);
    if let Some(row) = place.row {
        context = context.row(row);
    }
    if let Some(org) = place.org {
        context = context.org(org);
    }
    vault.bound(context)
}

/// The texts of this crate's errors hold neither a value nor a key, so they can be passed on.
impl From<VaultError> for CipherError {
    fn from(error: VaultError) -> Self {
        let kind = match &error {
            VaultError::UnknownKey { .. } => CipherErrorKind::UnknownKey,
            VaultError::WrongKey { .. } => CipherErrorKind::WrongKey,
            VaultError::TamperedOrMoved => CipherErrorKind::TamperedOrMoved,
            VaultError::Expired | VaultError::FromTheFuture => CipherErrorKind::Expired,
            VaultError::TooLarge { .. }
            | VaultError::Unserializable { .. }
            | VaultError::FernetRefused => CipherErrorKind::Refused,
            VaultError::NoRandomness
            | VaultError::InvalidKey { .. }
            | VaultError::KeyShredded { .. } => CipherErrorKind::Unavailable,
            VaultError::Malformed { .. }
            | VaultError::UnsupportedVersion { .. }
            | VaultError::Undecodable { .. } => CipherErrorKind::Malformed,
        };
        Self::new(kind, error.to_string())
    }
}
