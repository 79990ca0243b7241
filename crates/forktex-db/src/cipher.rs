// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The hook through which columns are sealed and opened. This crate knows no cipher of its own:
//! `forktex-vault` implements the hook.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

/// The cell that a sealed value belongs to. A cipher binds the value to it, so that a value moved to
/// another cell does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The table, as `schema.table`.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's id.
    pub row: Option<Uuid>,
    /// The organisation that the row belongs to.
    pub org: Option<Uuid>,
}

impl<'a> Place<'a> {
    /// A column of a table.
    pub fn new(table: &'a str, column: &'a str) -> Self {
        Self {
            table,
            column,
            row: None,
            org: None,
        }
    }

    /// The row, by its id.
    #[must_use]
    pub fn row(mut self, id: Uuid) -> Self {
        self.row = Some(id);
        self
    }

    /// The organisation that the row belongs to, where rows belong to one.
    #[must_use]
    pub fn org(mut self, id: impl Into<Option<Uuid>>) -> Self {
        self.org = id.into();
        self
    }
}

/// Seals and opens the values of columns. Given to a [`Db`](crate::Db) by
/// [`DbOptions::cipher`](crate::DbOptions::cipher).
///
/// `forktex-vault` implements it for its `Vault`, with the feature `db`. One of your own must
/// authenticate what it opens and bind it to the place, and its `Debug` must show no key.
pub trait ColumnCipher: fmt::Debug + Send + Sync {
    /// Seals a value for its place. Computes only; must not block.
    ///
    /// # Errors
    /// [`CipherErrorKind::Unavailable`] when the key is not at hand.
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError>;

    /// Opens what [`seal`](Self::seal) made for the same place. Computes only; must not block. The
    /// caller wipes what it gets.
    ///
    /// # Errors
    /// A [`CipherError`] whose kind says why it does not open.
    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError>;

    /// Called before values of an organisation are sealed or opened, so that a cipher with a key for
    /// each can fetch it. By default there is nothing to do.
    ///
    /// # Errors
    /// [`CipherErrorKind::Unavailable`] when the key cannot be had.
    fn prepare(&self, org: Uuid) -> Preparation<'_> {
        let _ = org;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What [`ColumnCipher::prepare`] returns.
pub type Preparation<'a> = Pin<Box<dyn Future<Output = Result<(), CipherError>> + Send + 'a>>;

/// A value that could not be sealed or opened. Holds neither the value nor a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CipherError {
    kind: CipherErrorKind,
    message: String,
}

impl CipherError {
    /// An error of this kind. The message is shown to operators: it must hold neither the value nor a
    /// key.
    pub fn new(kind: CipherErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> CipherErrorKind {
        self.kind
    }
}

/// Why a value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CipherErrorKind {
    /// The value names a key that is not held.
    UnknownKey,
    /// The value was sealed under another key.
    WrongKey,
    /// The value was changed, or sealed for another place.
    TamperedOrMoved,
    /// The value is not one that a cipher made.
    Malformed,
    /// The value is older than what is accepted.
    Expired,
    /// The value itself cannot be sealed, as when it is too large.
    Refused,
    /// The key could not be had, or was destroyed.
    Unavailable,
}
