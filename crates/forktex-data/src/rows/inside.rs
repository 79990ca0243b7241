// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of a register within a transaction of the caller's.
//!
//! Each call is nested in a savepoint: what it did is undone when it fails, and only that. A call that
//! loses a race is not run again, as what was done before it would have to be, too.

use std::fmt;

use forktex_db::{OrgTransaction, Transaction};

use super::change::ChangeKind;
use super::delete::LinkKind;
use super::pending::Through;
use super::{RowChange, RowDeletion, RowVersion, Upserted, row_not_found};
use super::{create, delete, history, read, source, upsert};
use crate::draft::Draft;
use crate::error::DataError;
use crate::register::Register;
use crate::relations::DeletePlan;
use crate::row::{Row, RowId};

/// The rows of a register within a transaction, made by [`Register::rows_in`].
///
/// The methods are those of [`Rows`](super::Rows), with two more round trips for each that writes. In a
/// transaction of another organisation than the register's, each is [`DataError::RegisterNotFound`].
/// Virtual registers know no transactions: they are read, and not written.
///
/// # Cancellation
/// A call that is dropped midway leaves the transaction able to roll back only.
pub struct RowsIn<'t> {
    register: Register,
    tx: &'t mut Transaction,
    /// Whether the transaction is about the organisation whose register it is.
    is_own: bool,
}

impl<'t> RowsIn<'t> {
    pub(super) fn new(register: Register, tx: &'t mut OrgTransaction<'_>) -> Self {
        Self {
            is_own: tx.org() == register.tenant(),
            register,
            tx: tx.transaction(),
        }
    }

    /// See [`Rows::create`](super::Rows::create).
    ///
    /// # Errors
    /// As there.
    pub async fn create(&mut self, draft: Draft) -> Result<Row, DataError> {
        let (register, tx) = self.stored("create rows in a transaction")?;
        tx.transaction(async |tx| create::one(tx, register, &draft).await)
            .await
    }

    /// See [`Rows::create_many`](super::Rows::create_many).
    ///
    /// # Errors
    /// As there.
    pub async fn create_many(&mut self, drafts: Vec<Draft>) -> Result<Vec<Row>, DataError> {
        let (register, tx) = self.stored("create rows in a transaction")?;
        tx.transaction(async |tx| create::many(tx, register, &drafts).await)
            .await
    }

    /// See [`Rows::get`](super::Rows::get).
    ///
    /// # Errors
    /// As there.
    pub async fn get(&mut self, id: RowId) -> Result<Row, DataError> {
        let found = self.find(id).await?;
        found.ok_or_else(|| row_not_found(&self.register, id))
    }

    /// See [`Rows::find`](super::Rows::find).
    ///
    /// # Errors
    /// As there.
    pub async fn find(&mut self, id: RowId) -> Result<Option<Row>, DataError> {
        let (register, tx) = self.checked()?;
        let found = source::find_many_in(tx, register, &[id]).await?;
        Ok(found.into_iter().next())
    }

    /// See [`Rows::get_many`](super::Rows::get_many).
    ///
    /// # Errors
    /// As there.
    pub async fn get_many(&mut self, ids: &[RowId]) -> Result<Vec<Row>, DataError> {
        let ids = source::distinct(ids)?;
        let (register, tx) = self.checked()?;
        let found = source::find_many_in(tx, register, &ids).await?;
        source::require_all(register, &ids, found)
    }

    /// See [`Rows::by_external_ref`](super::Rows::by_external_ref).
    ///
    /// # Errors
    /// As there.
    pub async fn by_external_ref(&mut self, external_ref: &str) -> Result<Option<Row>, DataError> {
        let (register, tx) = self.stored("find rows by an external reference")?;
        read::by_external_ref(tx, register, external_ref).await
    }

    /// See [`Rows::patch`](super::Rows::patch).
    ///
    /// # Errors
    /// As there.
    pub fn patch(&mut self, id: RowId, draft: Draft) -> RowChange<'_> {
        self.change(id, ChangeKind::Patch(draft))
    }

    /// See [`Rows::replace`](super::Rows::replace).
    ///
    /// # Errors
    /// As there.
    pub fn replace(&mut self, id: RowId, draft: Draft) -> RowChange<'_> {
        self.change(id, ChangeKind::Replace(draft))
    }

    /// See [`Rows::archive`](super::Rows::archive).
    ///
    /// # Errors
    /// As there.
    pub fn archive(&mut self, id: RowId) -> RowChange<'_> {
        self.change(id, ChangeKind::Archive)
    }

    /// See [`Rows::restore`](super::Rows::restore).
    ///
    /// # Errors
    /// As there.
    pub fn restore(&mut self, id: RowId) -> RowChange<'_> {
        self.change(id, ChangeKind::Restore)
    }

    /// See [`Rows::delete`](super::Rows::delete).
    ///
    /// # Errors
    /// As there.
    pub fn delete(&mut self, id: RowId) -> RowDeletion<'_> {
        RowDeletion {
            through: self.through(),
            id,
            expected: None,
        }
    }

    /// See [`Rows::plan_delete`](super::Rows::plan_delete).
    ///
    /// # Errors
    /// As there.
    pub async fn plan_delete(&mut self, id: RowId) -> Result<DeletePlan, DataError> {
        let (register, tx) = self.stored("plan a deletion")?;
        delete::plan_delete(tx, register, id).await
    }

    /// See [`Rows::upsert`](super::Rows::upsert).
    ///
    /// # Errors
    /// As there.
    pub async fn upsert(
        &mut self,
        external_ref: &str,
        draft: Draft,
    ) -> Result<Upserted, DataError> {
        let (register, tx) = self.stored("upsert rows in a transaction")?;
        let mut attempt = 1;
        loop {
            let outcome = tx
                .transaction(async |tx| {
                    upsert::upsert_once(tx, register, external_ref, &draft).await
                })
                .await;
            match outcome {
                Err(error) if upsert::may_try_again(&error, attempt) => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// See [`Rows::history`](super::Rows::history).
    ///
    /// # Errors
    /// As there.
    pub async fn history(&mut self, id: RowId) -> Result<Vec<RowVersion>, DataError> {
        let (register, tx) = self.stored("read the history of rows")?;
        history::read(tx, register, id).await
    }

    /// See [`Rows::link`](super::Rows::link).
    ///
    /// # Errors
    /// As there.
    pub async fn link(&mut self, id: RowId, name: &str, other: RowId) -> Result<(), DataError> {
        let (register, tx) = self.stored("link rows in a transaction")?;
        tx.transaction(async |tx| {
            delete::change_link(tx, register, id, name, other, LinkKind::Link).await
        })
        .await
    }

    /// See [`Rows::unlink`](super::Rows::unlink).
    ///
    /// # Errors
    /// As there.
    pub async fn unlink(&mut self, id: RowId, name: &str, other: RowId) -> Result<(), DataError> {
        let (register, tx) = self.stored("link rows in a transaction")?;
        tx.transaction(async |tx| {
            delete::change_link(tx, register, id, name, other, LinkKind::Unlink).await
        })
        .await
    }

    fn change(&mut self, id: RowId, kind: ChangeKind) -> RowChange<'_> {
        RowChange {
            through: self.through(),
            id,
            kind,
            expected: None,
        }
    }

    fn through(&mut self) -> Through<'_> {
        Through::In {
            register: self.register.clone(),
            tx: &mut *self.tx,
            is_own: self.is_own,
        }
    }

    /// The register and the transaction, if both are of one organisation.
    fn checked(&mut self) -> Result<(&Register, &mut Transaction), DataError> {
        require_own(&self.register, self.is_own)?;
        Ok((&self.register, &mut *self.tx))
    }

    fn stored(&mut self, what: &'static str) -> Result<(&Register, &mut Transaction), DataError> {
        require_own(&self.register, self.is_own)?;
        self.register.require_stored(what)?;
        Ok((&self.register, &mut *self.tx))
    }
}

impl fmt::Debug for RowsIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsIn")
            .field("register", &self.register)
            .finish_non_exhaustive()
    }
}

/// Refuses a transaction of another organisation than the register's: there is no such register in it.
pub(super) fn require_own(register: &Register, is_own: bool) -> Result<(), DataError> {
    if is_own {
        return Ok(());
    }
    Err(DataError::RegisterNotFound {
        name: register.name().to_owned(),
        nearest: None,
    })
}
