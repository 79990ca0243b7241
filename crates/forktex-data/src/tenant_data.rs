// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The registers of one tenant: find them, make them, drop them, move their schema, and do the work that
//! changes have left.

mod maintenance;

use std::sync::Arc;

use forktex_db::Transaction;
use serde::Serialize;
use uuid::Uuid;

use crate::catalog::{self, Edit, Unfinished};
use crate::data::Data;
use crate::error::DataError;
use crate::field_name::check_name;
use crate::index;
use crate::register::{LoadedRegister, Register, Source};
use crate::schema::{
    self, Apply, Change, Destructive, RegisterDefinition, RegisterVersion, SchemaDocument,
};
use crate::virtual_register;

pub use maintenance::MaintenanceReport;

/// How often a change of definitions that lost a race is run again.
pub(crate) const CHANGE_RETRIES: u32 = 3;

/// The registers of one organisation, made by [`Data::tenant`]. Cheap to clone.
///
/// Every statement names the organisation, and the server is told it too, for its row-level security. A
/// register of another organisation is not found.
///
/// # Examples
/// ```no_run
/// use forktex_data::{Data, DataError};
///
/// # async fn example(data: Data, org: uuid::Uuid) -> Result<(), DataError> {
/// let tenant = data.tenant(org);
/// for register in tenant.registers().await? {
///     println!("{} has {} fields", register.name, register.fields);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TenantData {
    data: Data,
    org: Uuid,
    actor: Option<Uuid>,
}

/// A register in the list of [`TenantData::registers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegisterSummary {
    /// The name.
    pub name: String,
    /// What people call it.
    pub label: Option<String>,
    /// Where its rows come from: `stored`, `bound` or `virtual`.
    pub source: &'static str,
    /// How many fields it has; of a bound register without those that the tenant added.
    pub fields: usize,
}

impl TenantData {
    pub(crate) fn new(data: Data, org: Uuid, actor: Option<Uuid>) -> Self {
        Self { data, org, actor }
    }

    /// The organisation.
    pub fn org(&self) -> Uuid {
        self.org
    }

    /// The same, with this user noted in the changes that are made by it and by its registers.
    pub fn acting_as(mut self, user: Uuid) -> Self {
        self.actor = Some(user);
        self
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// Who is noted in changes.
    pub(crate) fn actor(&self) -> Option<Uuid> {
        self.actor
    }

    /// Runs `body` in a transaction that the server knows to be this tenant's.
    pub(crate) async fn transaction<T, F>(&self, body: F) -> Result<T, DataError>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, DataError>,
    {
        self.data.db().for_org(self.org).transaction(body).await
    }

    /// The same for a change of definitions, which is run again when it loses a race: writers, builders and
    /// other changes lock the same rows.
    pub(crate) async fn change<T, F>(&self, body: F) -> Result<T, DataError>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, DataError> + Clone,
    {
        let options = self.data.db().retrying(CHANGE_RETRIES).for_org(self.org);
        options.transaction(body).await
    }

    /// The same, for reading only.
    async fn read<T, F>(&self, body: F) -> Result<T, DataError>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, DataError>,
    {
        let options = self.data.db().for_org(self.org).read_only();
        options.transaction(body).await
    }

    /// The register of this name: a snapshot of its definition. A register that is defined in code comes
    /// before a stored one of the same name.
    ///
    /// One request, three round trips; none for a virtual register. Of a bound register the table is looked
    /// at once in a process.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`] names a similar one; [`DataError::Bound`] when the table of a bound
    /// register does not fit; [`DataError::Db`] when the database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(tenant: forktex_data::TenantData) -> Result<(), forktex_data::DataError> {
    /// let invoices = tenant.register("invoices").await?;
    /// assert_eq!(invoices.name(), "invoices");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register(&self, name: &str) -> Result<Register, DataError> {
        if let Some(source) = self.data.virtual_register(name) {
            let loaded = virtual_register::load(name, source.as_ref(), self.data.types())?;
            let source = Source::Virtual(Arc::clone(source));
            return Ok(Register::new(self, Arc::new(loaded), source));
        }
        if let Some(bound) = self.data.bound_register(name) {
            let extension = if bound.is_extended() {
                self.read(async |tx| catalog::load::by_name(tx, self.org, name).await)
                    .await?
            } else {
                None
            };
            let (db, types) = (self.data.db(), self.data.types());
            let loaded = bound.load(db, self.org, types, extension).await?;
            let source = Source::Bound(Arc::clone(bound));
            return Ok(Register::new(self, Arc::new(loaded), source));
        }
        let loaded = self
            .read(async |tx| -> Result<LoadedRegister, DataError> {
                // No register is called so; and a NUL would be refused by the server.
                let found = match check_name(name) {
                    Ok(()) => catalog::load::by_name(tx, self.org, name).await?,
                    Err(_) => None,
                };
                match found {
                    Some(loaded) => Ok(loaded),
                    None => Err(self.missing(tx, name).await?),
                }
            })
            .await?;
        Ok(Register::new(self, Arc::new(loaded), Source::Stored))
    }

    /// All registers of the tenant, by name: stored ones, and those that are defined in code. At most 1,000
    /// are stored. One request, three round trips.
    ///
    /// # Errors
    /// [`DataError::Db`] when the database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn registers(&self) -> Result<Vec<RegisterSummary>, DataError> {
        let stored = self.load_all().await?;
        let stored = stored
            .into_iter()
            .filter(|register| !self.is_in_code(&register.name))
            .map(|register| RegisterSummary {
                fields: register.fields.len(),
                name: register.name,
                label: register.label,
                source: "stored",
            });
        let in_code = |name: &str, source, fields| RegisterSummary {
            name: name.to_owned(),
            label: None,
            source,
            fields,
        };
        let bound = self
            .data
            .bound_registers()
            .map(|(name, register)| in_code(name, "bound", register.fields().len()));
        let computed = self
            .data
            .virtual_registers()
            .map(|(name, register)| in_code(name, "virtual", register.fields().len()));
        let mut all: Vec<RegisterSummary> = stored.chain(bound).chain(computed).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Makes a register with its fields and relationships. The registers that it leads to must be there.
    /// All or nothing.
    ///
    /// A transaction of some ten statements, and one for each field and relationship.
    ///
    /// # Errors
    /// [`DataError::AlreadyExists`] when the name is taken; [`DataError::Schema`] and
    /// [`DataError::LimitReached`] when the definition cannot be used; [`DataError::Formula`] and
    /// [`DataError::Relation`] say what is wrong with a formula and a relationship.
    ///
    /// # Cancellation
    /// The register is there wholly, or not at all.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, FieldDefinition, RegisterDefinition, TenantData};
    ///
    /// # async fn example(tenant: TenantData) -> Result<(), DataError> {
    /// let clients = RegisterDefinition::new("clients").field(FieldDefinition::text("name").required());
    /// let clients = tenant.create_register(clients).await?;
    /// assert_eq!(clients.version(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_register(
        &self,
        definition: RegisterDefinition,
    ) -> Result<Register, DataError> {
        definition.check_size()?;
        self.refuse_taken(&definition.name)?;
        let name = definition.name.as_str();
        let unfinished = self
            .change(async |tx| -> Result<Unfinished, DataError> {
                let mut edit = Edit::begin(tx, self).await?;
                edit.create_register(&definition).await?;
                for relationship in &definition.relationships {
                    edit.add_relationship(name, relationship).await?;
                }
                for field in &definition.fields {
                    edit.add_field(name, field).await?;
                }
                edit.finish(self.actor).await
            })
            .await?;
        index::settle_now(self, &unfinished).await?;
        self.register(name).await
    }

    /// Gives a stored register another name. No row is touched. One transaction of some seven statements.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`], [`DataError::AlreadyExists`], and [`DataError::Schema`] when the
    /// new name is not well formed.
    ///
    /// # Cancellation
    /// It has the one name or the other.
    pub async fn rename_register(&self, from: &str, to: &str) -> Result<Register, DataError> {
        self.refuse_in_code("rename", from)?;
        self.refuse_taken(to)?;
        self.change(async |tx| -> Result<(), DataError> {
            let mut edit = Edit::begin(tx, self).await?;
            edit.rename_register(from, to).await?;
            edit.finish(self.actor).await?;
            Ok(())
        })
        .await?;
        self.register(to).await
    }

    /// Drops a stored register with its relationships, its rows, and their history. There is no way back.
    ///
    /// It is gone at once. Its rows are then taken out in batches of 5,000; if that is interrupted,
    /// [`run_maintenance`](Self::run_maintenance) goes on.
    ///
    /// # Errors
    /// [`DataError::Destructive`] unless it is allowed; [`DataError::RegisterNotFound`];
    /// [`DataError::Schema`] when a field of another register goes by it.
    ///
    /// # Cancellation
    /// The register is there wholly or gone; what is left of its rows can be reached by nobody.
    pub async fn drop_register(
        &self,
        name: &str,
        destructive: Destructive,
    ) -> Result<(), DataError> {
        self.refuse_in_code("drop", name)?;
        if destructive == Destructive::Refused {
            return Err(DataError::Destructive {
                what: format!("drop register `{name}`"),
            });
        }
        let unfinished = self
            .change(async |tx| -> Result<Unfinished, DataError> {
                let mut edit = Edit::begin(tx, self).await?;
                edit.drop_register(name).await?;
                edit.finish(self.actor).await
            })
            .await?;
        index::settle_now(self, &unfinished).await
    }

    /// The stored registers as a document, by name. One request, three round trips.
    ///
    /// # Errors
    /// [`DataError::Db`] when the database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(one: forktex_data::TenantData, other: forktex_data::TenantData)
    /// #     -> Result<(), forktex_data::DataError> {
    /// let document = one.describe().await?;
    /// other.apply(&document).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn describe(&self) -> Result<SchemaDocument, DataError> {
        let registers = self.load_all().await?;
        Ok(schema::to_document(&registers, &self.data))
    }

    /// What would have to change for the schema to be as the document says, drops included. One request,
    /// three round trips.
    ///
    /// # Errors
    /// [`DataError::Schema`] and [`DataError::LimitReached`] when the document is not well formed.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn diff(&self, wanted: &SchemaDocument) -> Result<Vec<Change>, DataError> {
        wanted.check_size()?;
        let registers = self.load_all().await?;
        Ok(schema::changes_to(&registers, &self.data, wanted))
    }

    /// Brings the schema to what the document says, in one transaction, when it is awaited. Then what is
    /// indexed anew is built, in batches.
    ///
    /// A transaction of some ten statements, and one to three for each change.
    ///
    /// # Errors
    /// In all cases but the last two nothing was changed: [`DataError::Destructive`] when something would
    /// be lost and that was not allowed; [`SchemaError::TypeChange`](crate::SchemaError::TypeChange) when
    /// values would have to be converted; the errors of [`create_register`](Self::create_register); and
    /// [`SchemaError::Duplicates`](crate::SchemaError::Duplicates) or
    /// [`SchemaError::ValuesTooLong`](crate::SchemaError::ValuesTooLong) when all was applied but for a
    /// field that cannot be unique or indexed.
    ///
    /// # Cancellation
    /// All was applied or nothing; what is still to be built is left to
    /// [`run_maintenance`](Self::run_maintenance).
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, SchemaDocument, TenantData};
    ///
    /// # async fn example(tenant: TenantData, wanted: SchemaDocument) -> Result<(), DataError> {
    /// let report = tenant.apply(&wanted).dry_run().prune().await?;
    /// for change in &report.changes {
    ///     println!("would {change}");
    /// }
    /// tenant.apply(&wanted).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply(&self, wanted: &SchemaDocument) -> Apply {
        Apply::new(self.clone(), wanted.clone())
    }

    /// The versions of a stored register, the newest first, at most 1,000. One request, four round trips.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`]; [`DataError::Corrupt`] when a version was written by a newer
    /// program.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn versions(&self, register: &str) -> Result<Vec<RegisterVersion>, DataError> {
        self.read(async |tx| -> Result<Vec<RegisterVersion>, DataError> {
            let Some(loaded) = catalog::load::by_name(tx, self.org, register).await? else {
                return Err(self.missing(tx, register).await?);
            };
            catalog::list_versions(tx, self.org, loaded.key).await
        })
        .await
    }

    /// Refuses a name that a register in code has.
    pub(crate) fn refuse_taken(&self, name: &str) -> Result<(), DataError> {
        if self.is_in_code(name) {
            return Err(DataError::AlreadyExists {
                what: "register",
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn is_in_code(&self, name: &str) -> bool {
        self.data.virtual_register(name).is_some() || self.data.bound_register(name).is_some()
    }

    fn refuse_in_code(&self, what: &'static str, name: &str) -> Result<(), DataError> {
        let source_kind = if self.data.virtual_register(name).is_some() {
            "virtual"
        } else if self.data.bound_register(name).is_some() {
            "bound"
        } else {
            return Ok(());
        };
        Err(DataError::Unsupported {
            register: name.to_owned(),
            what: what.into(),
            source_kind,
        })
    }

    async fn load_all(&self) -> Result<Vec<LoadedRegister>, DataError> {
        self.read(async |tx| catalog::load::registers(tx, self.org).await)
            .await
    }

    /// The error for a register that is not there, with a similar name.
    async fn missing(&self, tx: &mut Transaction, name: &str) -> Result<DataError, DataError> {
        let bound = self.data.bound_registers().map(|(name, _)| name);
        let computed = self.data.virtual_registers().map(|(name, _)| name);
        let in_code: Vec<&str> = bound.chain(computed).collect();
        catalog::load::missing(tx, self.org, name, &in_code).await
    }
}
