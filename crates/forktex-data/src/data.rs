// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The front door: a database, the types and the registers that a service brings, and the way to a
//! tenant's data.
//!
//! It runs nothing of its own accord: what works in the background does so when the service calls
//! [`TenantData::run_maintenance`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use forktex_db::{Db, MigrateError, Migration, MigrationReport, Migrator};
use uuid::Uuid;

use crate::bound::BoundRegister;
use crate::catalog;
use crate::custom_type::{CustomType, TypeRegistry};
use crate::error::DataError;
use crate::limits::RECOMPUTE_ROWS_DEFAULT;
use crate::tenant_data::TenantData;
use crate::virtual_register::VirtualRegister;

/// The schema of the crate's tables. It has no other name: statements are built with it.
pub(crate) const SCHEMA: &str = "forktex_data";

/// Registers, fields and rows in one database. Cheap to clone.
///
/// # Examples
/// ```no_run
/// use forktex_data::{Data, DataError, FieldDefinition, RegisterDefinition};
///
/// # async fn example(db: forktex_db::Db, org: uuid::Uuid) -> Result<(), Box<dyn std::error::Error>> {
/// let data = Data::new(&db);
/// data.migrate().await?;
/// let invoices = data
///     .tenant(org)
///     .create_register(
///         RegisterDefinition::new("invoices")
///             .field(FieldDefinition::text("number").required().unique())
///             .field(FieldDefinition::decimal("total").scale(2).indexed()),
///     )
///     .await?;
/// assert_eq!(invoices.fields().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Data {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    types: TypeRegistry,
    recompute_rows_max: usize,
    virtual_registers: BTreeMap<String, Arc<dyn VirtualRegister>>,
    bound_registers: BTreeMap<String, Arc<BoundRegister>>,
}

impl Data {
    /// With the field types of this crate, and stored registers only.
    pub fn new(db: &Db) -> Self {
        Self {
            shared: Arc::new(Shared {
                db: db.clone(),
                types: TypeRegistry::default(),
                recompute_rows_max: RECOMPUTE_ROWS_DEFAULT,
                virtual_registers: BTreeMap::new(),
                bound_registers: BTreeMap::new(),
            }),
        }
    }

    /// With types and registers of the service's own.
    pub fn builder(db: &Db) -> DataBuilder {
        DataBuilder {
            db: db.clone(),
            types: TypeRegistry::default(),
            recompute_rows_max: RECOMPUTE_ROWS_DEFAULT,
            virtual_registers: Vec::new(),
            bound_registers: Vec::new(),
        }
    }

    /// Lays the tables of this crate, in the schema `forktex_data`.
    ///
    /// Idempotent, and safe from many processes at once. Run it as a role that may create the schema, and
    /// grant the role of the service `USAGE` on it, and `SELECT, INSERT, UPDATE, DELETE` on its tables.
    /// It costs one round trip when there is nothing to do. No tenant ever causes DDL.
    ///
    /// # Errors
    /// Those of [`Migrator::run`].
    ///
    /// # Cancellation
    /// Safe: nothing is applied, or everything.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(db: forktex_db::Db) -> Result<(), forktex_db::MigrateError> {
    /// let report = forktex_data::Data::new(&db).migrate().await?;
    /// println!("the schema is at version {}", report.current);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn migrate(&self) -> Result<MigrationReport, MigrateError> {
        let migrations: Vec<Migration> = forktex_migrations::DATA
            .iter()
            .map(|source| Migration::new(source.version, source.name, source.sql))
            .collect();
        Migrator::new(SCHEMA, &migrations).run(self.db()).await
    }

    /// The registers of one organisation. Costs nothing.
    pub fn tenant(&self, org: Uuid) -> TenantData {
        TenantData::new(self.clone(), org, None)
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.shared.db
    }

    /// The field types that the service brings.
    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.shared.types
    }

    /// How many rows are recomputed in the writing transaction.
    pub(crate) fn recompute_rows_max(&self) -> usize {
        self.shared.recompute_rows_max
    }

    pub(crate) fn virtual_register(&self, name: &str) -> Option<&Arc<dyn VirtualRegister>> {
        self.shared.virtual_registers.get(name)
    }

    pub(crate) fn bound_register(&self, name: &str) -> Option<&Arc<BoundRegister>> {
        self.shared.bound_registers.get(name)
    }

    pub(crate) fn virtual_registers(
        &self,
    ) -> impl Iterator<Item = (&str, &Arc<dyn VirtualRegister>)> {
        let registers = self.shared.virtual_registers.iter();
        registers.map(|(name, register)| (name.as_str(), register))
    }

    pub(crate) fn bound_registers(&self) -> impl Iterator<Item = (&str, &Arc<BoundRegister>)> {
        let registers = self.shared.bound_registers.iter();
        registers.map(|(name, register)| (name.as_str(), register))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("db", &self.shared.db)
            .field("virtual_registers", &self.shared.virtual_registers.keys())
            .field("bound_registers", &self.shared.bound_registers.keys())
            .finish_non_exhaustive()
    }
}

/// Options of [`Data`].
///
/// # Examples
/// ```no_run
/// use forktex_data::{Data, DataError};
///
/// # fn example(db: forktex_db::Db) -> Result<(), DataError> {
/// let data = Data::builder(&db).recompute_rows_max(200).build()?;
/// # let _ = data;
/// # Ok(())
/// # }
/// ```
#[must_use = "options do nothing until `build` is called"]
pub struct DataBuilder {
    db: Db,
    types: TypeRegistry,
    recompute_rows_max: usize,
    virtual_registers: Vec<(String, Arc<dyn VirtualRegister>)>,
    bound_registers: Vec<BoundRegister>,
}

impl DataBuilder {
    /// Adds a field type. One of the same name replaces it.
    pub fn custom_type(mut self, custom_type: impl CustomType) -> Self {
        self.types = self.types.with(custom_type);
        self
    }

    /// How many rows of other registers may be recomputed in a writing transaction. More are left to
    /// [`TenantData::run_maintenance`]. Default: 1,000.
    pub fn recompute_rows_max(mut self, rows: usize) -> Self {
        self.recompute_rows_max = rows;
        self
    }

    /// Adds a register that code answers, to every tenant.
    pub fn virtual_register(
        mut self,
        name: impl Into<String>,
        register: impl VirtualRegister + 'static,
    ) -> Self {
        self.virtual_registers
            .push((name.into(), Arc::new(register)));
        self
    }

    /// Adds a register over a table that is there already, to every tenant.
    pub fn bound_register(mut self, register: BoundRegister) -> Self {
        self.bound_registers.push(register);
        self
    }

    /// Checks the names and the fields, and finishes. Nothing is sent.
    ///
    /// # Errors
    /// [`DataError::Schema`] when a name or a field is not well formed, [`DataError::AlreadyExists`]
    /// when two registers have the same name.
    pub fn build(self) -> Result<Data, DataError> {
        let mut virtual_registers = BTreeMap::new();
        for (name, register) in self.virtual_registers {
            catalog::check_name(&name)?;
            catalog::check_foreign_fields(&name, &register.fields(), &self.types)?;
            if virtual_registers.insert(name.clone(), register).is_some() {
                return Err(already_exists(name));
            }
        }
        let mut bound_registers = BTreeMap::new();
        for register in self.bound_registers {
            let name = register.name().to_owned();
            catalog::check_name(&name)?;
            catalog::check_foreign_fields(&name, &register.fields(), &self.types)?;
            let is_taken = virtual_registers.contains_key(&name);
            if is_taken
                || bound_registers
                    .insert(name.clone(), Arc::new(register))
                    .is_some()
            {
                return Err(already_exists(name));
            }
        }
        Ok(Data {
            shared: Arc::new(Shared {
                db: self.db,
                types: self.types,
                recompute_rows_max: self.recompute_rows_max,
                virtual_registers,
                bound_registers,
            }),
        })
    }
}

impl fmt::Debug for DataBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataBuilder")
            .field("db", &self.db)
            .field("recompute_rows_max", &self.recompute_rows_max)
            .finish_non_exhaustive()
    }
}

fn already_exists(name: String) -> DataError {
    DataError::AlreadyExists {
        what: "register",
        name,
    }
}
