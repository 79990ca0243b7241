// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Encryption at rest: secrets that cannot be misread, moved or opened with the wrong key.
//!
//! | To | Use |
//! |---|---|
//! | make a key, read one | [`Vault::generate_key`], [`Key`] |
//! | seal and open a value | [`Vault`], [`Token`] |
//! | bind a value to its place | [`Vault::context`], [`Context`] |
//! | keep a sealed value in a column | [`Encrypted`], with the feature `db` |
//! | look a sealed value up | [`BlindIndex`] |
//! | fetch keys from a file, or elsewhere | [`Vault::load`], [`KeyProvider`] |
//! | seal the encrypted columns of models | [`Vault`] as the cipher of a `Db` |
//! | change the key of a live column | [`rotate_blobs`], [`Rotation::seal`] |
//! | seal a plain column | [`seal_plaintext`] |
//! | give each organisation a key, and shred it | [`OrgKeys`] |
//! | share columns with Python services | [`Scheme::Fernet`], [`Vault::reading_fernet`] |
//! | tell failures apart | [`VaultError`] |
//!
//! Tokens are written in format v2, which `docs/vault-format.md` describes byte by byte:
//! XChaCha20-Poly1305 that names its key, commits to it, and is bound to table, column, row and
//! organisation. Fernet tokens are read and written where asked.
//!
//! With the feature `db`, [`rotate_blobs`] changes the key of a column while it is in use, can be killed
//! at any instant and gone on with, and proves that no value is left under the old key; a seal keeps it so.
//!
//! No type here shows a key or a plaintext by `Debug` or `Display`, and no error holds one. Keys and
//! opened bytes are wiped from memory when dropped; a value decoded from them is the caller's.
//! Sealing and opening compute and neither block nor do I/O; what is async says what it costs. This crate
//! reads no environment variables.
//!
//! # Features
//!
//! | Feature | Meaning |
//! |---|---|
//! | `db` | [`Encrypted`] is a column type of Postgres, through `forktex-db`; rotation, keys of organisations, the cipher of a `Db` |
//!
//! # Examples
//!
//! ```
//! use forktex_vault::{Vault, VaultError};
//!
//! let vault = Vault::from_key(&Vault::generate_key()?);
//! let token = vault.context("app.credential", "payload", 42).encrypt("s3cret")?;
//!
//! let secret: String = vault.context("app.credential", "payload", 42).decrypt(&token)?;
//! assert_eq!(secret, "s3cret");
//!
//! let moved = vault.context("app.credential", "payload", 43).decrypt::<String>(&token);
//! assert_eq!(moved, Err(VaultError::TamperedOrMoved));
//! # Ok::<(), VaultError>(())
//! ```

mod blind_index;
#[cfg(feature = "db")]
mod column_cipher;
mod context;
mod encrypted;
mod error;
mod key;
#[cfg(feature = "db")]
mod org_keys;
mod provider;
#[cfg(feature = "db")]
mod rotation;
#[cfg(feature = "db")]
mod schema;
mod scheme;
mod token;
mod vault;

pub use crate::blind_index::BlindIndex;
pub use crate::context::Context;
pub use crate::encrypted::{Bytea, Encrypted, Text};
pub use crate::error::VaultError;
pub use crate::key::{Key, KeyId};
#[cfg(feature = "db")]
pub use crate::org_keys::{OrgKeyError, OrgKeys};
pub use crate::provider::{
    FileKeys, FnKeys, KeyProvider, KeyProviderError, Keyring, StaticKeys, from_fn,
};
#[cfg(feature = "db")]
pub use crate::rotation::{
    BadRow, BadRowKind, Plaintext, Rotation, RotationError, RotationReport, SealReport, Tokens,
    rotate_blobs, seal_plaintext,
};
#[cfg(feature = "db")]
pub use crate::schema::{migrate, migrate_in};
pub use crate::scheme::Scheme;
pub use crate::token::{PLAINTEXT_BYTES_MAX, Token};
pub use crate::vault::{BoundVault, Vault};

/// Memory that is wiped when dropped, at the version that this crate's types are built on.
pub use zeroize::Zeroizing;
