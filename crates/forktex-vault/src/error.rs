// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with a key or a token, told apart for operators.
//!
//! An error holds key ids, sizes and fixed words only: no key, no plaintext, no part of a token.

use crate::key::KeyId;

/// A failed operation of a [`Vault`](crate::Vault), or of what goes into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// This is no token, or part of one was cut off.
    #[error("this is not a whole token: {reason}")]
    Malformed {
        /// What is wrong with its form.
        reason: &'static str,
    },

    /// The token was written by a later release.
    #[error("the token has format version {version}, which this release cannot read; update it")]
    UnsupportedVersion {
        /// The version byte.
        version: u8,
    },

    /// A Fernet token, and the vault was not told to read those.
    #[error(
        "this is a Fernet token, and the vault does not read them; while old columns are migrated, \
         build it with `reading_fernet()`"
    )]
    FernetRefused,

    /// No key of the vault has the id that the token names.
    #[error("the token was sealed under key {id}, which this vault does not hold; add that key")]
    UnknownKey {
        /// The key that is needed.
        id: KeyId,
    },

    /// The vault holds another key than the one that made the token.
    ///
    /// With an id, the vault's key of that id is not the one that the token commits to: two keys were
    /// given one id. Without, it is a Fernet token (they name no key) whose signature fits none of the
    /// vault's keys: another key made it, or it was changed, and the format cannot tell which.
    #[error("the token was made with another key{}", named(*id))]
    WrongKey {
        /// The id that both keys bear.
        id: Option<KeyId>,
    },

    /// The key is right, and the token was changed, or it belongs to another table, column, row or
    /// organisation.
    #[error("the token was changed, or moved here from another place")]
    TamperedOrMoved,

    /// The token is older than was asked for.
    #[error("the token is older than allowed")]
    Expired,

    /// The token says that it was made more than a minute from now: a clock is wrong.
    #[error("the token was made in the future; check the clocks")]
    FromTheFuture,

    /// The value, or the token, is too long.
    #[error("{bytes} bytes are more than the limit of {bytes_max}; keep large content in storage")]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
        /// How many there may be.
        bytes_max: usize,
    },

    /// The text is not a key.
    #[error("this is not a key: {reason}")]
    InvalidKey {
        /// What is wrong, and what a key looks like.
        reason: &'static str,
    },

    /// The value cannot be written as JSON.
    #[error("a {type_name} cannot be written as JSON")]
    Unserializable {
        /// The Rust type.
        type_name: &'static str,
    },

    /// The token is sound, and what it holds is not the type that was asked for.
    #[error("the token is sound, but what it holds is not a {type_name}")]
    Undecodable {
        /// The Rust type that was asked for.
        type_name: &'static str,
    },

    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,

    /// The key of the organisation was destroyed, and all that was sealed under it with it.
    #[cfg(feature = "db")]
    #[error("the key of organisation {org} was shredded; what it sealed cannot be opened any more")]
    KeyShredded {
        /// The organisation.
        org: uuid::Uuid,
    },
}

impl VaultError {
    pub(crate) fn malformed(reason: &'static str) -> Self {
        Self::Malformed { reason }
    }
}

fn named(id: Option<KeyId>) -> String {
    id.map_or_else(String::new, |id| format!(" that bears the same id, {id}"))
}
