// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of a register, one at a time or many at once: create, read by id, change, archive, delete.
//!
//! Every write goes by one path (`write`), in one transaction, under locks that are taken in one order.
//! What finds rows by what is in them is [`RowQuery`](crate::RowQuery). The files of this module name the
//! races that each of them closes.

pub(crate) mod batch;
pub(crate) mod cells;
pub(crate) mod change;
pub(crate) mod create;
mod delete;
mod dependents;
pub(crate) mod entries;
pub(crate) mod history;
mod inside;
pub(crate) mod lock;
mod number;
mod pending;
pub(crate) mod read;
mod source;
pub(crate) mod statement;
mod upsert;
pub(crate) mod write;

use forktex_db::{OrgTransaction, RetryingTransaction, TransactionOptions};

use crate::draft::Draft;
use crate::error::DataError;
use crate::register::Register;
use crate::relations::DeletePlan;
use crate::row::{Row, RowId};
use change::ChangeKind;
use delete::LinkKind;
use pending::Through;

pub use history::{HISTORY_VERSIONS_MAX, RowAction, RowVersion};
pub use inside::RowsIn;
pub use pending::{RowChange, RowDeletion};
pub use upsert::Upserted;

/// How often a write is run again at most, when it lost a race.
const RETRIES_MAX: u32 = 5;

impl Register {
    /// Its rows. Each call of a method is a transaction of its own, which is run again, up to five times,
    /// when it loses a race. Costs nothing.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, Draft, Register};
    ///
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let rows = invoices.rows();
    /// let row = rows.create(Draft::new().set("number", "2026-1").set("status", "draft")).await?;
    /// let row = rows
    ///     .patch(row.id, Draft::new().set("status", "paid"))
    ///     .expect_version(row.version)
    ///     .await?;
    /// assert_eq!(row.version, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rows(&self) -> Rows {
        Rows {
            register: self.clone(),
        }
    }

    /// Its rows, within a transaction of the caller's on the same organisation. Each call is nested: one
    /// that fails changes nothing, and the transaction can go on. Nothing is run again by itself.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, Draft, Register};
    ///
    /// # async fn example(db: forktex_db::Db, invoices: Register) -> Result<(), DataError> {
    /// let org = invoices.tenant();
    /// db.for_org(org)
    ///     .transaction(async |tx| -> Result<(), DataError> {
    ///         let mut tx = tx.for_org(org).await?;
    ///         let mut rows = invoices.rows_in(&mut tx);
    ///         rows.create(Draft::new().set("number", "2026-1")).await?;
    ///         rows.create(Draft::new().set("number", "2026-2")).await?;
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn rows_in<'t>(&self, tx: &'t mut OrgTransaction<'_>) -> RowsIn<'t> {
        RowsIn::new(self.clone(), tx)
    }

    /// The options of a transaction that writes.
    fn writing(&self) -> RetryingTransaction {
        let db = self.data().db();
        db.retrying(RETRIES_MAX).for_org(self.tenant())
    }

    /// The options of a transaction that reads.
    fn reading(&self) -> TransactionOptions {
        self.data().db().for_org(self.tenant()).read_only()
    }
}

/// The rows of a register, made by [`Register::rows`]. Cheap to clone.
///
/// The user of [`Register::acting_as`] is noted in the history. The counts of round trips below are
/// those inside a transaction, which costs two more.
#[derive(Clone, Debug)]
pub struct Rows {
    register: Register,
}

impl Rows {
    /// Creates a row.
    ///
    /// Defaults are filled in, numbers are given without gaps, formulas are computed. One round trip in
    /// a register without references and numbers; one more for each of them.
    ///
    /// # Errors
    /// - [`DataError::Row`] with all that is wrong with the draft;
    /// - [`DataError::Duplicate`] when a unique value or the external reference is another row's;
    /// - [`DataError::RowNotFound`] when a referenced row is not there, [`DataError::Relation`] when one
    ///   has another partner already;
    /// - [`DataError::Unsupported`] when the register's source cannot create rows.
    ///
    /// # Cancellation
    /// The row is there as a whole, or not at all.
    pub async fn create(&self, draft: Draft) -> Result<Row, DataError> {
        source::create(&self.register, &draft).await
    }

    /// Creates as many rows, all or none, in the order of the drafts: 10,000 at most. Round trips as for
    /// one row.
    ///
    /// # Errors
    /// [`DataError::Draft`] with the place of the first row that cannot be written and why, as
    /// [`create`](Self::create) has it; [`DataError::LimitReached`] beyond 10,000.
    ///
    /// # Cancellation
    /// All rows are there, or none.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, Draft, Register};
    ///
    /// # async fn example(countries: Register) -> Result<(), DataError> {
    /// let drafts = ["at", "de", "it"].map(|code| Draft::new().set("code", code));
    /// let rows = countries.rows().create_many(drafts.to_vec()).await?;
    /// assert_eq!(rows.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_many(&self, drafts: Vec<Draft>) -> Result<Vec<Row>, DataError> {
        let register = &self.register;
        register.require_stored("create many rows")?;
        register
            .writing()
            .transaction(async |tx| create::many(tx, register, &drafts).await)
            .await
    }

    /// The row of this id, archived or not. One round trip, and one more in a register with references.
    ///
    /// # Errors
    /// [`DataError::RowNotFound`], also for the id of a row of another register or organisation.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn get(&self, id: RowId) -> Result<Row, DataError> {
        let found = self.find(id).await?;
        found.ok_or_else(|| row_not_found(&self.register, id))
    }

    /// The row of this id, if there is one. Otherwise as [`get`](Self::get).
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`] when the register was dropped; [`DataError::Db`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn find(&self, id: RowId) -> Result<Option<Row>, DataError> {
        let found = source::find_many(&self.register, &[id]).await?;
        Ok(found.into_iter().next())
    }

    /// The rows of these ids, in their order; an id that comes twice gives its row once. 10,000 at most.
    /// Round trips as for one.
    ///
    /// # Errors
    /// [`DataError::RowNotFound`] with the first id that has no row; [`DataError::LimitReached`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn get_many(&self, ids: &[RowId]) -> Result<Vec<Row>, DataError> {
        let ids = source::distinct(ids)?;
        let found = source::find_many(&self.register, &ids).await?;
        source::require_all(&self.register, &ids, found)
    }

    /// The row that another system knows by this reference, if there is one. Round trips as
    /// [`get`](Self::get).
    ///
    /// # Errors
    /// [`DataError::Unsupported`] unless the register is stored; [`DataError::Db`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn by_external_ref(&self, external_ref: &str) -> Result<Option<Row>, DataError> {
        let register = &self.register;
        register.require_stored("find rows by an external reference")?;
        register
            .reading()
            .transaction(async |tx| read::by_external_ref(tx, register, external_ref).await)
            .await
    }

    /// Begins to change the cells and references that the draft names, and no others.
    ///
    /// A patch that changes nothing writes nothing: the version stays. Two round trips, one more in a
    /// register with references, and those of what depends on the row.
    ///
    /// # Errors
    /// Awaited: those of [`create`](Self::create), [`DataError::RowNotFound`] for the row itself, and
    /// [`DataError::VersionConflict`] after [`RowChange::expect_version`].
    pub fn patch(&self, id: RowId, draft: Draft) -> RowChange<'static> {
        self.change(id, ChangeKind::Patch(draft))
    }

    /// Begins to make a row what the draft says: what it leaves out gets its default, or is emptied.
    /// Numbers stay, and so does the external reference unless the draft has one. Otherwise as
    /// [`patch`](Self::patch).
    ///
    /// # Errors
    /// As [`patch`](Self::patch).
    pub fn replace(&self, id: RowId, draft: Draft) -> RowChange<'static> {
        self.change(id, ChangeKind::Replace(draft))
    }

    /// Begins to put a row aside: queries leave it out unless asked, and its unique values are free for
    /// others. It keeps its references, and can still be read by its id and patched. Nothing is done to a
    /// row that is archived already.
    ///
    /// # Errors
    /// As [`patch`](Self::patch).
    pub fn archive(&self, id: RowId) -> RowChange<'static> {
        self.change(id, ChangeKind::Archive)
    }

    /// Begins to take a row out of the archive. Nothing is done to one that is not in it.
    ///
    /// # Errors
    /// As [`patch`](Self::patch); [`DataError::Duplicate`] when another row has one of its unique values
    /// by now.
    pub fn restore(&self, id: RowId) -> RowChange<'static> {
        self.change(id, ChangeKind::Restore)
    }

    /// Begins to delete a row for good, with all that its relationships say.
    ///
    /// # Errors
    /// Awaited: [`DataError::RowNotFound`]; [`DataError::Relation`] when a row that stays restricts it,
    /// however deep, and nothing has changed then; [`DataError::LimitReached`] beyond 100,000 rows;
    /// [`DataError::VersionConflict`] after [`RowDeletion::expect_version`].
    pub fn delete(&self, id: RowId) -> RowDeletion<'static> {
        RowDeletion {
            through: Through::Own(self.register.clone()),
            id,
            expected: None,
        }
    }

    /// What [`delete`](Self::delete) would do, without doing it. A round trip or two for each step of a
    /// cascade.
    ///
    /// # Errors
    /// [`DataError::RowNotFound`]; [`DataError::LimitReached`] beyond 100,000 rows.
    ///
    /// # Cancellation
    /// Safe: nothing is changed.
    pub async fn plan_delete(&self, id: RowId) -> Result<DeletePlan, DataError> {
        let register = &self.register;
        register.require_stored("plan a deletion")?;
        register
            .writing()
            .transaction(async |tx| delete::plan_delete(tx, register, id).await)
            .await
    }

    /// Patches the row that another system knows by this reference, or creates it. Of several that create
    /// the same at once, one creates it and the others patch it. Round trips as for a patch.
    ///
    /// # Errors
    /// Those of [`create`](Self::create); a duplicate of the reference itself only when five attempts
    /// have each met another transaction.
    ///
    /// # Cancellation
    /// The row is there as a whole, or as it was.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, Draft, Register};
    ///
    /// # async fn example(clients: Register) -> Result<(), DataError> {
    /// let draft = Draft::new().set("name", "Acme");
    /// let upserted = clients.rows().upsert("crm-4711", draft).await?;
    /// println!("{} was created: {}", upserted.row.id, upserted.created);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upsert(&self, external_ref: &str, draft: Draft) -> Result<Upserted, DataError> {
        let register = &self.register;
        register.require_stored("upsert rows")?;
        let mut attempt = 1;
        loop {
            let outcome = register
                .writing()
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

    /// The versions of a row, the newest first, 1,000 at most; also those of a row that was deleted. There
    /// are those that were made while the register kept a history. One round trip.
    ///
    /// # Errors
    /// [`DataError::RowNotFound`] when there neither is nor was such a row.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn history(&self, id: RowId) -> Result<Vec<RowVersion>, DataError> {
        let register = &self.register;
        register.require_stored("read the history of rows")?;
        register
            .reading()
            .transaction(async |tx| history::read(tx, register, id).await)
            .await
    }

    /// Links a row to another one, by the name of a relationship at either end. Nothing is done if they
    /// are linked already. The row keeps its version. Two round trips, and those of what depends on it.
    ///
    /// # Errors
    /// [`DataError::RowNotFound`] when one of them is not there; [`DataError::Relation`] when there is no
    /// such relationship, or when one of them has another partner and may have but one.
    ///
    /// # Cancellation
    /// The link is there, or not.
    pub async fn link(&self, id: RowId, name: &str, other: RowId) -> Result<(), DataError> {
        self.change_link(id, name, other, LinkKind::Link).await
    }

    /// Takes a link away. Nothing is done if there is none. Otherwise as [`link`](Self::link).
    ///
    /// # Errors
    /// As [`link`](Self::link).
    ///
    /// # Cancellation
    /// The link is there, or not.
    pub async fn unlink(&self, id: RowId, name: &str, other: RowId) -> Result<(), DataError> {
        self.change_link(id, name, other, LinkKind::Unlink).await
    }

    fn change(&self, id: RowId, kind: ChangeKind) -> RowChange<'static> {
        RowChange {
            through: Through::Own(self.register.clone()),
            id,
            kind,
            expected: None,
        }
    }

    async fn change_link(
        &self,
        id: RowId,
        name: &str,
        other: RowId,
        kind: LinkKind,
    ) -> Result<(), DataError> {
        let register = &self.register;
        register.require_stored("link rows")?;
        register
            .writing()
            .transaction(async |tx| delete::change_link(tx, register, id, name, other, kind).await)
            .await
    }
}

fn row_not_found(register: &Register, id: RowId) -> DataError {
    DataError::RowNotFound {
        register: register.name().to_owned(),
        id,
    }
}
