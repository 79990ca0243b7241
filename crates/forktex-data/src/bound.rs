// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers over tables that a service has already: the same queries, over rows that its own code
//! writes.
//!
//! The table is held once against what is said of it, and each statement names the tenant. This module
//! refuses to write to such a table. With [`BoundRegister::extended`], tenants add fields of their own;
//! those cells are kept beside the table, in the rows of this crate.

mod columns;
mod extension;
pub(crate) mod query;
pub(crate) mod rows;
mod table;

use std::sync::Arc;

use forktex_db::{Db, DbError};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::custom_type::TypeRegistry;
use crate::error::DataError;
use crate::field::{DefinitionError, FieldDefinition};
use crate::register::LoadedRegister;
use crate::value::ValueKind;

use table::BoundTable;

/// A register whose rows are those of a table that exists already. Read-only, but for the fields that
/// tenants add themselves.
///
/// It is given to [`DataBuilder::bound_register`](crate::DataBuilder::bound_register). When it is first
/// asked, the table is looked up once: that it exists, has the columns, that their types fit the fields,
/// and that the id is unique within a tenant.
///
/// | field | column |
/// |---|---|
/// | text, enum | `text`, `varchar`, `char`, `citext`, an enum type |
/// | integer | `smallint`, `integer`, `bigint` |
/// | decimal | `numeric`, or one for an integer |
/// | boolean | `boolean` |
/// | date | `date` |
/// | datetime | `timestamptz` |
/// | uuid | `uuid` |
/// | json | `jsonb`, `json` |
///
/// `real` and `double precision` are refused, as they are not exact, and so is `timestamp`, which does
/// not say where its clock hung. NULL is a cell that was emptied: `is_null` and `is_empty` hold,
/// `is_absent` never does.
///
/// # Limits
/// A numeric that no [`Decimal`](crate::Decimal) can hold, and dates before the year 1 or after 9999, are
/// an error when their row is read.
///
/// # Examples
/// ```
/// use forktex_data::{BoundRegister, FieldDefinition};
///
/// let clients = BoundRegister::table("shop", "client")
///     .named("clients")
///     .id("id")
///     .tenant_column("org_id")
///     .column("name", FieldDefinition::text("name").searchable())
///     .column("country_code", FieldDefinition::text("country"))
///     .column("cents", FieldDefinition::integer("revenue"))
///     .created_at("created_at")
///     .extended();
/// assert_eq!(clients.name(), "clients");
/// ```
#[derive(Debug)]
pub struct BoundRegister {
    name: String,
    schema: String,
    table: String,
    id: String,
    tenancy: Option<Tenancy>,
    columns: Vec<(String, FieldDefinition)>,
    created_at: Option<String>,
    updated_at: Option<String>,
    archived_at: Option<String>,
    version: Option<String>,
    is_extended: bool,
    /// What the table was found to be. Failures are not kept: the table may be repaired meanwhile.
    checked: OnceCell<Arc<BoundTable>>,
}

/// Whose the rows of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tenancy {
    /// The tenant is in this column.
    Column(String),
    /// Every tenant sees every row.
    Shared,
}

impl BoundRegister {
    /// Begins with a table, whose name is the register's too until [`named`](Self::named) says another.
    pub fn table(schema: impl Into<String>, table: impl Into<String>) -> Self {
        let table = table.into();
        Self {
            name: table.clone(),
            schema: schema.into(),
            table,
            id: "id".to_owned(),
            tenancy: None,
            columns: Vec::new(),
            created_at: None,
            updated_at: None,
            archived_at: None,
            version: None,
            is_extended: false,
            checked: OnceCell::new(),
        }
    }

    /// The name of the register.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The column that holds a row's id: `uuid`, or an integer, from which a UUID is made that has the
    /// number in its last digits. `id` without it.
    pub fn id(mut self, column: impl Into<String>) -> Self {
        self.id = column.into();
        self
    }

    /// The column, of type `uuid`, that says whose a row is. Each statement compares it.
    pub fn tenant_column(mut self, column: impl Into<String>) -> Self {
        self.tenancy = Some(Tenancy::Column(column.into()));
        self
    }

    /// Says that the rows are no tenant's own, and that each may read all of them: countries, currencies.
    /// One of this and [`tenant_column`](Self::tenant_column) must be said.
    pub fn shared_by_all_tenants(mut self) -> Self {
        self.tenancy = Some(Tenancy::Shared);
        self
    }

    /// Makes a column a field. The two may have different names.
    pub fn column(mut self, column: impl Into<String>, definition: FieldDefinition) -> Self {
        self.columns.push((column.into(), definition));
        self
    }

    /// The column, of type `timestamptz`, that is the rows' `created_at`. Without it, and for rows where
    /// it is NULL, that is the beginning of 1970.
    pub fn created_at(mut self, column: impl Into<String>) -> Self {
        self.created_at = Some(column.into());
        self
    }

    /// The column, of type `timestamptz`, that is the rows' `updated_at`. `created_at` without it.
    pub fn updated_at(mut self, column: impl Into<String>) -> Self {
        self.updated_at = Some(column.into());
        self
    }

    /// The column, of type `timestamptz`, that is set for rows that are archived. No row is without it.
    pub fn archived_at(mut self, column: impl Into<String>) -> Self {
        self.archived_at = Some(column.into());
        self
    }

    /// The column, of an integer type, that counts a row's changes. 1 for each row without it.
    pub fn version(mut self, column: impl Into<String>) -> Self {
        self.version = Some(column.into());
        self
    }

    /// Lets tenants add fields of their own to the rows. Such cells are kept in the rows of this crate,
    /// and go with `patch` of a row; the columns of the table stay read-only.
    pub fn extended(mut self) -> Self {
        self.is_extended = true;
        self
    }

    /// The name of the register.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is said of the columns, in their order.
    pub(crate) fn fields(&self) -> Vec<FieldDefinition> {
        let columns = self.columns.iter();
        columns.map(|(_, definition)| definition.clone()).collect()
    }

    /// Whether tenants may add fields.
    pub fn is_extended(&self) -> bool {
        self.is_extended
    }

    /// The definition for a tenant: the table's fields, and then those of `extension`, which is the
    /// register of this name in the catalogue, if the tenant has added fields.
    ///
    /// Two queries the first time in a process; none later.
    pub(crate) async fn load(
        &self,
        db: &Db,
        tenant: Uuid,
        types: &TypeRegistry,
        extension: Option<LoadedRegister>,
    ) -> Result<LoadedRegister, DataError> {
        let table = self.resolved(db, tenant, types).await?;
        Ok(extension::definition(
            &self.name,
            &table.fields,
            extension.filter(|_| self.is_extended),
        ))
    }

    /// The table as it was found. Asks the database once for each process.
    async fn resolved(
        &self,
        db: &Db,
        tenant: Uuid,
        types: &TypeRegistry,
    ) -> Result<Arc<BoundTable>, DataError> {
        let checked = self
            .checked
            .get_or_try_init(|| self.look_up(db, tenant, types));
        match checked.await {
            Ok(table) => Ok(Arc::clone(table)),
            Err(source) => Err(DataError::Bound {
                register: self.name.clone(),
                source,
            }),
        }
    }

    async fn look_up(
        &self,
        db: &Db,
        tenant: Uuid,
        types: &TypeRegistry,
    ) -> Result<Arc<BoundTable>, BoundError> {
        table::look_up(self, db, tenant, types).await.map(Arc::new)
    }

    /// The table, which was looked up when the register was loaded.
    fn table_found(&self) -> Result<&Arc<BoundTable>, DataError> {
        let table = self.checked.get();
        table.ok_or_else(|| DataError::corrupt("bound register", &self.name))
    }
}

/// Why a table cannot be a register as it was said to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoundError {
    /// Nothing says whose the rows are.
    #[error(
        "cannot bind {table}: nothing says whose its rows are; name a `tenant_column`, or say \
         `shared_by_all_tenants`"
    )]
    TenantUnstated {
        /// The table, with its schema.
        table: String,
    },

    /// There is no such table, or the role may not see it.
    #[error(
        "cannot bind {table}: there is no such table; run the migrations first, or correct the name"
    )]
    NoTable {
        /// The table, with its schema.
        table: String,
    },

    /// The table has no such column.
    #[error("cannot bind {table}: it has no column `{column}`")]
    NoColumn {
        /// The table, with its schema.
        table: String,
        /// The column.
        column: String,
    },

    /// A column's type does not fit what it is to hold.
    #[error(
        "cannot bind {table}: column `{column}` is of type {sql_type}, which does not fit {wanted}"
    )]
    Misfit {
        /// The table, with its schema.
        table: String,
        /// The column.
        column: String,
        /// The type that it has.
        sql_type: String,
        /// What it was to hold.
        wanted: &'static str,
    },

    /// The id does not tell the rows of a tenant apart.
    #[error(
        "cannot bind {table}: nothing keeps `{column}` unique and present; give it a primary key or a \
         unique index, and NOT NULL"
    )]
    IdNotUnique {
        /// The table, with its schema.
        table: String,
        /// The column.
        column: String,
    },

    /// A field is not possible over a column: a reference, or one that is computed.
    #[error("cannot bind {table}: field `{field}` is {type_name}, which no column can hold")]
    FieldType {
        /// The table, with its schema.
        table: String,
        /// The field.
        field: String,
        /// Its type.
        type_name: &'static str,
    },

    /// A field asks for something that is the table's own affair.
    #[error(
        "cannot bind {table}: field `{field}` is {option}, which is for the table itself to hold; leave \
         it out here"
    )]
    FieldOption {
        /// The table, with its schema.
        table: String,
        /// The field.
        field: String,
        /// The option.
        option: &'static str,
    },

    /// A name was given twice.
    #[error("cannot bind {table}: field `{field}` is named twice")]
    FieldTwice {
        /// The table, with its schema.
        table: String,
        /// The field.
        field: String,
    },

    /// There are no fields, or more than a register may have.
    #[error("cannot bind {table}: it has {count} fields, and 1 to {max} are allowed")]
    FieldCount {
        /// The table, with its schema.
        table: String,
        /// How many were named.
        count: usize,
        /// The limit.
        max: usize,
    },

    /// A field is not well defined.
    #[error("cannot bind {table}: field `{field}` is not well defined")]
    Definition {
        /// The table, with its schema.
        table: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        source: Box<DefinitionError>,
    },

    /// The database failed, or refuses a name.
    #[error("cannot look up {table} in the database")]
    Db {
        /// The table, with its schema.
        table: String,
        /// What the database reports.
        source: Box<DbError>,
    },
}

impl BoundError {
    /// Whether the same call may well succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Db { source, .. } => {
                source.is_retryable()
                    || matches!(
                        **source,
                        DbError::Unavailable { .. } | DbError::Timeout { .. }
                    )
            }
            _ => false,
        }
    }
}

/// What a field's values are called in an error about a column.
fn wanted(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Text => "a text",
        ValueKind::Integer => "an integer",
        ValueKind::Decimal => "a decimal",
        ValueKind::Boolean => "a boolean",
        ValueKind::Date => "a date",
        ValueKind::Datetime => "a datetime",
        ValueKind::Uuid => "a uuid",
        ValueKind::Json => "a json document",
    }
}
