// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A register as it is used: a snapshot of its definition, whose it is, and where its rows come from.
//!
//! It holds no rows and keeps nothing up to date by itself. A write by an old snapshot takes the newer
//! definition from the database; what a caller sees is renewed by [`Register::refresh`].

mod evolve;

use std::fmt;
use std::sync::Arc;

use forktex_db::{Db, Transaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bound::BoundRegister;
use crate::data::Data;
use crate::error::{DataError, nearest};
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey};
use crate::relationship::{Relationship, RelationshipDefinition};
use crate::schema::RegisterDefinition;
use crate::tenant_data::TenantData;
use crate::value::ValueKind;
use crate::virtual_register::VirtualRegister;

/// A register of one tenant: what its fields are, and the way to its rows. Cheap to clone.
///
/// It is a snapshot. Methods that change the definition give the register as it is afterwards; one that
/// somebody else changed is seen after [`refresh`](Self::refresh). Writes never go by an old definition.
///
/// # Examples
/// ```no_run
/// use forktex_data::{DataError, FieldDefinition, Register};
///
/// # async fn example(db: forktex_db::Db, org: uuid::Uuid) -> Result<(), DataError> {
/// let invoices = Register::load(&db, "invoices").tenant(org).await?;
/// let invoices = invoices.add_field(FieldDefinition::text("note")).await?;
/// assert!(invoices.field("note").is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Register(pub(crate) Arc<RegisterInner>);

pub(crate) struct RegisterInner {
    pub(crate) data: Data,
    pub(crate) tenant: Uuid,
    /// Who is noted in the changes that are made by this handle.
    pub(crate) actor: Option<Uuid>,
    pub(crate) definition: Arc<LoadedRegister>,
    pub(crate) source: Source,
}

/// Where the rows of a register come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// From the tables of this crate.
    Stored,
    /// From a table that was there before.
    Bound(Arc<BoundRegister>),
    /// From code.
    Virtual(Arc<dyn VirtualRegister>),
}

impl Source {
    /// The word for errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Bound(_) => "bound",
            Self::Virtual(_) => "virtual",
        }
    }
}

/// The definition of a register, as it was read in one statement.
#[derive(Clone, Debug)]
pub(crate) struct LoadedRegister {
    pub(crate) key: RegisterKey,
    pub(crate) name: String,
    pub(crate) label: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) keeps_history: bool,
    pub(crate) version: i64,
    /// In the order of their positions.
    pub(crate) fields: Vec<Field>,
    /// Those where this register is the source or the target, or both.
    pub(crate) relationships: Vec<Relationship>,
}

impl LoadedRegister {
    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name() == name)
    }

    /// The field of this name, or an error that names a similar one.
    pub(crate) fn require_field(&self, name: &str) -> Result<&Field, DataError> {
        self.field(name).ok_or_else(|| DataError::FieldNotFound {
            register: self.name.clone(),
            field: name.to_owned(),
            nearest: nearest(name, self.fields.iter().map(Field::name)),
        })
    }

    /// The field of this key.
    pub(crate) fn field_by_key(&self, key: FieldKey) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The relationship that is called so at this register's end, and the end: by its name where this
    /// register is the source, by its inverse name where it is the target.
    pub(crate) fn relationship(&self, name: &str) -> Option<(&Relationship, Side)> {
        self.sides().find(|(relationship, side)| match side {
            Side::Source => relationship.name == name,
            Side::Target => relationship.inverse_name == name,
        })
    }

    /// Every relationship with the end at which this register stands. One that leads from the register
    /// to itself comes twice.
    pub(crate) fn sides(&self) -> impl Iterator<Item = (&Relationship, Side)> {
        self.relationships.iter().flat_map(move |relationship| {
            let source = (relationship.source == self.key).then_some((relationship, Side::Source));
            let target = (relationship.target == self.key).then_some((relationship, Side::Target));
            source.into_iter().chain(target)
        })
    }

    /// The same as data, without keys: what a schema document and a version hold.
    pub(crate) fn to_definition(&self) -> RegisterDefinition {
        RegisterDefinition {
            name: self.name.clone(),
            label: self.label.clone(),
            description: self.description.clone(),
            keeps_history: self.keeps_history,
            fields: self
                .fields
                .iter()
                .map(|field| field.definition.clone())
                .collect(),
            relationships: self
                .relationships
                .iter()
                .filter(|relationship| relationship.source == self.key)
                .map(definition_of)
                .collect(),
        }
    }
}

/// A field of a register.
#[derive(Clone, Debug)]
pub struct Field {
    pub(crate) key: FieldKey,
    pub(crate) definition: FieldDefinition,
    pub(crate) kind: ValueKind,
    pub(crate) index: BuildState,
    pub(crate) unique_state: BuildState,
    pub(crate) search: BuildState,
}

impl Field {
    /// The name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What was defined.
    pub fn definition(&self) -> &FieldDefinition {
        &self.definition
    }

    /// What its values are, also where they are computed.
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// How far its index is.
    pub fn index_state(&self) -> BuildState {
        self.index
    }

    /// How far the guard of its uniqueness is. Writes are held to it from the moment it is building.
    pub fn unique_state(&self) -> BuildState {
        self.unique_state
    }

    /// How far it can be searched.
    pub fn search_state(&self) -> BuildState {
        self.search
    }
}

/// How far something is that is built from the rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// There is none.
    None,
    /// Writes keep it, and the rows of before are being worked off. Queries do not go by it yet.
    Building,
    /// Complete.
    Ready,
}

impl BuildState {
    /// Whether a write must keep it: from the moment it is building.
    pub fn is_kept(self) -> bool {
        self != Self::None
    }

    /// Whether a query may go by it.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Building => "building",
            Self::Ready => "ready",
        }
    }
}

/// A relationship as data, without keys.
fn definition_of(relationship: &Relationship) -> RelationshipDefinition {
    RelationshipDefinition {
        name: relationship.name.clone(),
        target: relationship.target_name.clone(),
        inverse_name: relationship.inverse_name.clone(),
        cardinality: relationship.cardinality,
        on_delete: relationship.on_delete,
    }
}

/// One end of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// The register that refers.
    Source,
    /// The register that is referred to.
    Target,
}

impl Register {
    pub(crate) fn new(
        tenant: &TenantData,
        definition: Arc<LoadedRegister>,
        source: Source,
    ) -> Self {
        Self(Arc::new(RegisterInner {
            data: tenant.data().clone(),
            tenant: tenant.org(),
            actor: tenant.actor(),
            definition,
            source,
        }))
    }

    /// Begins to load a register by its name; [`RegisterLoad::tenant`] says whose, and does it.
    ///
    /// It knows the field types of this crate only. With custom types, bound or virtual registers, build
    /// a [`Data`] once and use [`TenantData::register`].
    pub fn load(db: &Db, name: impl Into<String>) -> RegisterLoad {
        RegisterLoad {
            data: Data::new(db),
            name: name.into(),
        }
    }

    /// The same register, with this user noted in the changes that are made by it.
    pub fn acting_as(&self, user: Uuid) -> Self {
        Self(Arc::new(RegisterInner {
            data: self.0.data.clone(),
            tenant: self.0.tenant,
            actor: Some(user),
            definition: Arc::clone(&self.0.definition),
            source: self.0.source.clone(),
        }))
    }

    /// The register as it is defined now. One request, three round trips.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`] when it was dropped or renamed; [`DataError::Db`] when the
    /// database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(invoices: forktex_data::Register) -> Result<(), forktex_data::DataError> {
    /// let invoices = invoices.refresh().await?;
    /// println!("version {}", invoices.version());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self) -> Result<Self, DataError> {
        self.tenant_data().register(self.name()).await
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.definition.name
    }

    /// What people call it, where that was given.
    pub fn label(&self) -> Option<&str> {
        self.0.definition.label.as_deref()
    }

    /// What it is for, where that was given.
    pub fn description(&self) -> Option<&str> {
        self.0.definition.description.as_deref()
    }

    /// Whether each change of a row is kept.
    pub fn keeps_history(&self) -> bool {
        self.0.definition.keeps_history
    }

    /// The version of the definition, from 1. Of a virtual register it is always 1.
    pub fn version(&self) -> i64 {
        self.0.definition.version
    }

    /// The fields, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.0.definition.fields
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.definition.field(name)
    }

    /// The relationships in which this register is the source.
    pub fn relationships(&self) -> Vec<RelationshipDefinition> {
        self.definition().relationships
    }

    /// The definition as data.
    pub fn definition(&self) -> RegisterDefinition {
        self.0.definition.to_definition()
    }

    /// The organisation whose register it is.
    pub fn tenant(&self) -> Uuid {
        self.0.tenant
    }

    pub(crate) fn inner(&self) -> &RegisterInner {
        &self.0
    }

    pub(crate) fn data(&self) -> &Data {
        &self.0.data
    }

    pub(crate) fn tenant_data(&self) -> TenantData {
        TenantData::new(self.0.data.clone(), self.0.tenant, self.0.actor)
    }

    /// Who is noted in changes.
    pub(crate) fn actor(&self) -> Option<Uuid> {
        self.0.actor
    }

    /// The definition, as it was when this snapshot was taken.
    pub(crate) fn loaded(&self) -> &Arc<LoadedRegister> {
        &self.0.definition
    }

    pub(crate) fn source(&self) -> &Source {
        &self.0.source
    }

    /// The same handle on another snapshot of the definition.
    pub(crate) fn with_definition(&self, definition: impl Into<Arc<LoadedRegister>>) -> Self {
        Self(Arc::new(RegisterInner {
            data: self.0.data.clone(),
            tenant: self.0.tenant,
            actor: self.0.actor,
            definition: definition.into(),
            source: self.0.source.clone(),
        }))
    }

    /// Runs `body` in a transaction that the server knows to be this tenant's.
    pub(crate) async fn transaction<T, F>(&self, body: F) -> Result<T, DataError>
    where
        F: AsyncFnOnce(&mut Transaction) -> Result<T, DataError>,
    {
        self.0
            .data
            .db()
            .for_org(self.0.tenant)
            .transaction(body)
            .await
    }

    /// Refuses what only stored registers can do.
    pub(crate) fn require_stored(&self, what: &'static str) -> Result<(), DataError> {
        match self.source() {
            Source::Stored => Ok(()),
            source => Err(DataError::Unsupported {
                register: self.name().to_owned(),
                what: what.into(),
                source_kind: source.kind(),
            }),
        }
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register")
            .field("name", &self.name())
            .field("tenant", &self.0.tenant)
            .field("version", &self.version())
            .field("source", &self.0.source.kind())
            .finish_non_exhaustive()
    }
}

/// A register that is to be loaded, made by [`Register::load`].
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded until `tenant` is called and awaited"]
pub struct RegisterLoad {
    data: Data,
    name: String,
}

impl RegisterLoad {
    /// Loads the register of this organisation. One request, three round trips.
    ///
    /// # Errors
    /// [`DataError::RegisterNotFound`] when the organisation has none of this name, and names a similar
    /// one; [`DataError::Db`] when the database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn tenant(self, org: Uuid) -> Result<Register, DataError> {
        self.data.tenant(org).register(&self.name).await
    }
}
