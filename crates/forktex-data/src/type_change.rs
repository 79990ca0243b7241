// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes of the type of a field, while the register is in use.
//!
//! The converted cells are staged in the rows under a key that no definition knows. Until the last of
//! them is there, everybody reads and writes the field as it was; then one transaction puts the new field
//! in the place of the old one, under its name. So:
//!
//! - **Readers** see the old type or the new one, never a mixture. One who holds a snapshot of the
//!   register from before goes on seeing the old values as they last were.
//! - **Writers** write the old type until that transaction, which waits for those under way, and the new
//!   type from then on. What they write meanwhile is converted again.
//! - **A cell that cannot be converted** keeps the change from being completed, unless it was said that
//!   such cells become null. Nothing is lost either way: the old cells are kept, and
//!   [`TenantData::undo_type_change`] brings them back.
//!
//! It never changes a row's version, its `updated_at` or its history: the row is the same, said in
//! another way. It refuses references and computed fields, which have no cells that somebody wrote.

mod conversion;
mod error;
mod plan;
mod run;
mod store;
mod switch;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Instant;

use serde::Serialize;
use time::OffsetDateTime;

pub use self::error::TypeChangeError;
pub use self::plan::{TypeChangePlan, TypeChangeSample};
use self::store::{Started, Target};
use crate::catalog;
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::limits::MAINTENANCE_TIME_MAX;
use crate::register::Register;
use crate::tenant_data::TenantData;

/// Rows of one batch, each in a transaction of its own.
pub(crate) const TYPE_CHANGE_BATCH_ROWS: i64 = 1_000;

/// Samples of cells that cannot be converted.
pub const TYPE_CHANGE_SAMPLES_MAX: usize = 20;

/// Type changes that are listed, the newest first.
const TYPE_CHANGES_LISTED_MAX: i64 = 100;

/// The number of a type change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TypeChangeId(pub(crate) i64);

impl fmt::Display for TypeChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<i64> for TypeChangeId {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// How far a type change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TypeChangeState {
    /// The field still has its old type.
    Backfilling,
    /// The field has its new type.
    Done,
    /// The field has its old type again, or still.
    Undone,
}

/// A type change of a tenant.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TypeChangeSummary {
    /// Its number.
    pub id: TypeChangeId,
    /// How far it is.
    pub state: TypeChangeState,
    /// The field before.
    pub from: FieldDefinition,
    /// The field after.
    pub to: FieldDefinition,
    /// Cells that were converted, those that were converted again included.
    pub converted: u64,
    /// Cells that could not be converted.
    pub failed: u64,
    /// When it was started.
    pub started_at: OffsetDateTime,
    /// When it was done or undone.
    pub ended_at: Option<OffsetDateTime>,
}

/// What a type change did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TypeChangeReport {
    /// Its number, by which it is undone.
    pub id: TypeChangeId,
    /// How far it is: still backfilling where a deadline passed.
    pub state: TypeChangeState,
    /// Cells that were converted.
    pub converted: u64,
    /// Cells that became null because they could not be converted.
    pub failed: u64,
}

/// A change of a field's type that is to be planned or run; made by [`Register::change_type`].
#[derive(Clone)]
#[must_use = "nothing is changed until it is awaited"]
pub struct TypeChange {
    register: Register,
    field: String,
    to: FieldDefinition,
    empties: bool,
}

impl Register {
    /// Changes the type of a field, and with it whatever else the definition says but the name.
    ///
    /// [`plan`](TypeChange::plan) says what would become of the cells. Awaited, it starts the change and
    /// works it off in batches of 1,000 rows; [`start`](TypeChange::start) leaves that to
    /// [`run_maintenance`](TenantData::run_maintenance). An index, the guard of uniqueness and the words
    /// of the new field are built when it has its new type, as for a field that is added. Computed
    /// fields that read the field are recomputed in the background.
    ///
    /// # Errors
    /// Awaited: [`DataError::TypeChange`] when cells cannot be converted, when the types cannot be changed
    /// into each other at all, or when another change of the field is under way;
    /// [`DataError::FieldNotFound`]; [`DataError::Schema`] when a computed field cannot read the new type,
    /// or when the field has its new type and values that are not unique, though they should be.
    ///
    /// # Cancellation
    /// The batches that were done stay done; the change goes on with
    /// [`resume_type_change`](TenantData::resume_type_change) or with the next maintenance.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, FieldDefinition, Register};
    ///
    /// # async fn example(data: forktex_data::Data, people: &Register) -> Result<(), DataError> {
    /// let change = people.change_type("age", FieldDefinition::integer("age"));
    /// let plan = change.plan().await?;
    /// println!("{} convert, {} do not", plan.convert, plan.fail);
    /// let report = change.empty_what_fails().await?;
    /// // It was a mistake.
    /// data.tenant(people.tenant()).undo_type_change(report.id).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_type(&self, field: impl Into<String>, to: FieldDefinition) -> TypeChange {
        TypeChange {
            register: self.clone(),
            field: field.into(),
            to,
            empties: false,
        }
    }
}

impl TypeChange {
    /// Lets cells that cannot be converted become null. Without it they keep the change from being
    /// completed.
    pub fn empty_what_fails(mut self) -> Self {
        self.empties = true;
        self
    }

    /// Says what would become of the cells, and changes nothing. Reads all rows, 1,000 with each request.
    ///
    /// # Errors
    /// As for [`Register::change_type`], but for the cells.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn plan(&self) -> Result<TypeChangePlan, DataError> {
        plan::plan(self).await
    }

    /// Starts the change and returns at once. Three requests.
    ///
    /// # Errors
    /// As for [`Register::change_type`], but for the cells.
    ///
    /// # Cancellation
    /// It was started or not; [`TenantData::type_changes`] says which.
    pub async fn start(self) -> Result<TypeChangeId, DataError> {
        let (from, to) = self.checked()?;
        let from = from.clone();
        let tenant = self.register.tenant();
        let key = self.register.loaded().key;
        let empties = self.empties;
        self.register
            .transaction(async |tx| {
                catalog::lock_schema(tx, tenant).await?;
                let types = self.register.data().types();
                catalog::check_replacement(tx, tenant, types, from.key, &to).await?;
                let target = Target::new(to, empties, None);
                store::start(tx, tenant, key, &from, target).await
            })
            .await
    }

    /// The field and its new definition, checked as far as they go without rows.
    fn checked(&self) -> Result<(&crate::register::Field, FieldDefinition), DataError> {
        self.register.require_stored("change the type of a field")?;
        let field = self.register.loaded().require_field(&self.field)?;
        let mut to = self.to.clone();
        self.field.clone_into(&mut to.name);
        conversion::check(field, &to, self.register.data().types())?;
        Ok((field, to))
    }
}

impl IntoFuture for TypeChange {
    type Output = Result<TypeChangeReport, DataError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let tenant = self.register.tenant_data();
            let id = self.start().await?;
            run::run_whole(&tenant, id).await
        })
    }
}

impl TenantData {
    /// The type changes of a register, the newest first, at most 100. One request.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`], [`DataError::Db`].
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn type_changes(&self, register: &str) -> Result<Vec<TypeChangeSummary>, DataError> {
        let register = self.register(register).await?;
        let (tenant, key) = (register.tenant(), register.loaded().key);
        let started = register
            .transaction(async |tx| store::list(tx, tenant, key, TYPE_CHANGES_LISTED_MAX).await)
            .await?;
        Ok(started.into_iter().map(Started::into_summary).collect())
    }

    /// Goes on with a type change until the field has its new type. For one that is done it does
    /// nothing.
    ///
    /// # Errors
    /// [`DataError::TypeChange`] when there is no such change, or cells cannot be converted: mend them,
    /// or undo the change.
    ///
    /// # Cancellation
    /// The batches that were done stay done.
    pub async fn resume_type_change(
        &self,
        id: TypeChangeId,
    ) -> Result<TypeChangeReport, DataError> {
        run::run_whole(self, id).await
    }

    /// Undoes a type change.
    ///
    /// One that is under way is given up: nobody has seen anything of it. One that is done is undone by
    /// a change in the other direction, in batches, while the register is in use: a cell that was not
    /// touched since gets back exactly what it had, a cell that was written since is converted back, and
    /// is null where that cannot be. The report is that of the change back, which can be undone too.
    ///
    /// # Errors
    /// [`DataError::TypeChange`] when there is no such change or it is undone already;
    /// [`DataError::FieldNotFound`] when the field was dropped since.
    ///
    /// # Cancellation
    /// The batches that were done stay done; call it again, or resume the change back.
    pub async fn undo_type_change(&self, id: TypeChangeId) -> Result<TypeChangeReport, DataError> {
        run::undo(self, id).await
    }
}

/// For maintenance: goes on with all type changes of the tenant for a while, and says how many are left.
/// One whose cells cannot be converted waits for its owner, and is not among them.
pub(crate) async fn maintain(tenant: &TenantData) -> Result<u64, DataError> {
    run::resume_all(tenant, Instant::now() + MAINTENANCE_TIME_MAX).await
}
