// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A change of a tenant's definitions: any number of steps in one transaction, checked as a whole at the
//! end. What a step leaves to be built or taken out is noted in the same transaction.
//!
//! It touches no row, but for the links of a relationship that is dropped.

mod field;
mod register;
mod relationship;

use std::collections::BTreeSet;

use forktex_db::Transaction;
use uuid::Uuid;

use crate::catalog::{check, load, lock_schema, version, write};
use crate::computed::recompute;
use crate::custom_type::TypeRegistry;
use crate::error::{DataError, nearest};
use crate::keys::{FieldKey, RegisterKey};
use crate::register::LoadedRegister;
use crate::schema::SchemaError;
use crate::tenant_data::TenantData;

/// A change under way.
///
/// Steps may leave the definitions at odds with each other; [`finish`](Self::finish) holds them to it, and
/// without it the transaction must be rolled back.
pub(crate) struct Edit<'t> {
    tx: &'t mut Transaction,
    tenant: Uuid,
    types: TypeRegistry,
    /// As they are after the steps so far; the kinds of computed fields are worked out at the end.
    registers: Vec<LoadedRegister>,
    /// Those whose version is to be raised.
    changed: BTreeSet<RegisterKey>,
    /// Those made by this change: they have no rows.
    created: BTreeSet<RegisterKey>,
    /// Those dropped by this change: their rows are left.
    dropped: BTreeSet<RegisterKey>,
    /// Fields made by this change: no row has a value in them.
    added: BTreeSet<FieldKey>,
    /// Computed fields that all rows must be recomputed for.
    recomputed: BTreeSet<(RegisterKey, FieldKey)>,
}

/// What a change of definitions has left to be done after its transaction.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Where something is to be built or taken out.
    pub(crate) registers: Vec<RegisterKey>,
    /// Whether computed fields were queued for all rows of their registers.
    pub(crate) recomputes: bool,
}

impl<'t> Edit<'t> {
    /// Waits for its turn among the changes of the tenant's schema, and reads what is there. Two
    /// statements.
    pub(crate) async fn begin(
        tx: &'t mut Transaction,
        tenant: &TenantData,
    ) -> Result<Self, DataError> {
        lock_schema(tx, tenant.org()).await?;
        let registers = load::registers(tx, tenant.org()).await?;
        let mut edit = Self::resume(tx, tenant.org(), tenant.data().types());
        edit.registers = registers;
        Ok(edit)
    }

    /// For a change that was written by other means, under the lock of [`lock_schema`]: it can only be
    /// finished.
    pub(super) fn resume(tx: &'t mut Transaction, tenant: Uuid, types: &TypeRegistry) -> Self {
        Self {
            tx,
            tenant,
            types: types.clone(),
            registers: Vec::new(),
            changed: BTreeSet::new(),
            created: BTreeSet::new(),
            dropped: BTreeSet::new(),
            added: BTreeSet::new(),
            recomputed: BTreeSet::new(),
        }
    }

    /// Notes registers whose definitions were changed.
    pub(super) fn mark(&mut self, changed: &[RegisterKey]) {
        self.changed.extend(changed);
    }

    /// The registers as they are after the steps so far.
    pub(crate) fn registers(&self) -> &[LoadedRegister] {
        &self.registers
    }

    /// The register of this name.
    pub(crate) fn register(&self, name: &str) -> Result<&LoadedRegister, DataError> {
        find(&self.registers, name)
    }

    /// Checks all definitions together, works out the kinds of computed fields, waits for the writers of
    /// the changed registers, and raises their versions. Gives what is left to be done.
    ///
    /// At most four statements, and one for each computed field that is new or different.
    pub(crate) async fn finish(mut self, actor: Option<Uuid>) -> Result<Unfinished, DataError> {
        if self.changed.is_empty() && self.dropped.is_empty() {
            return Ok(Unfinished::default());
        }
        let registers = load::registers(self.tx, self.tenant).await?;
        let kinds = check::check(&registers, &self.changed, &self.types)?;

        let mut moved = Vec::new();
        for register in &registers {
            for field in &register.fields {
                let Some(kind) = kinds.get(&field.key).filter(|kind| **kind != field.kind) else {
                    continue;
                };
                let is_new = self.added.contains(&field.key);
                if !is_new && field.definition.indexed && field.definition.field_type.is_computed()
                {
                    return Err(index_in_the_way(register, field.name()).into());
                }
                moved.push((field.key, *kind));
                self.changed.insert(register.key);
                if !is_new && field.definition.field_type.is_computed() {
                    self.recomputed.insert((register.key, field.key));
                }
            }
        }
        if !moved.is_empty() {
            write::set_kinds(self.tx, self.tenant, &moved).await?;
        }
        let mut unfinished = Unfinished::default();
        for (register, field) in &self.recomputed {
            if !self.created.contains(register) {
                recompute::queue_field(self.tx, self.tenant, *register, *field).await?;
                unfinished.recomputes = true;
            }
        }
        let changed: Vec<RegisterKey> = self.changed.iter().copied().collect();
        write::lock_registers(self.tx, self.tenant, &changed).await?;
        let raised: Vec<&LoadedRegister> = registers
            .iter()
            .filter(|register| self.changed.contains(&register.key))
            .collect();
        version::raise(self.tx, self.tenant, actor, &raised).await?;
        unfinished.registers = self.changed.into_iter().chain(self.dropped).collect();
        Ok(unfinished)
    }
}

/// The entries of the index are of the old kind, and cannot be told from those of the new one.
fn index_in_the_way(register: &LoadedRegister, field: &str) -> SchemaError {
    SchemaError::BrokenReference {
        register: register.name.clone(),
        field: field.to_owned(),
        reason:
            "what it computes would be of another kind, and it is indexed; drop its index first"
                .into(),
    }
}

/// The register of this name, or an error that names a similar one.
fn find<'r>(registers: &'r [LoadedRegister], name: &str) -> Result<&'r LoadedRegister, DataError> {
    let found = registers.iter().find(|register| register.name == name);
    found.ok_or_else(|| DataError::RegisterNotFound {
        name: name.chars().take(100).collect(),
        nearest: nearest(
            name,
            registers.iter().map(|register| register.name.as_str()),
        ),
    })
}

/// The same, to be changed.
fn find_by_key(registers: &mut [LoadedRegister], key: RegisterKey) -> Option<&mut LoadedRegister> {
    registers.iter_mut().find(|register| register.key == key)
}
