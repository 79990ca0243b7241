// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps on relationships. Each changes the registers at both ends.

use crate::catalog::write;
use crate::error::{DataError, nearest};
use crate::keys::{RegisterKey, RelationshipKey};
use crate::register::LoadedRegister;
use crate::relationship::{Relationship, RelationshipDefinition};
use crate::schema::SchemaError;

use super::{Edit, find, find_by_key};

impl Edit<'_> {
    /// Adds a relationship of which the register is the source.
    pub(crate) async fn add_relationship(
        &mut self,
        register: &str,
        definition: &RelationshipDefinition,
    ) -> Result<(), DataError> {
        let source = find(&self.registers, register)?;
        definition.check(&source.name)?;
        let target =
            find(&self.registers, &definition.target).map_err(|_| SchemaError::UnknownTarget {
                register: source.name.clone(),
                relationship: definition.name.clone(),
                target: definition.target.chars().take(100).collect(),
            })?;
        let inverse_name = definition.inverse_name_for(&source.name);
        let key = write::insert_relationship(
            self.tx,
            self.tenant,
            source.key,
            target.key,
            &inverse_name,
            definition,
        )
        .await?;
        let relationship = Relationship {
            key,
            name: definition.name.clone(),
            inverse_name,
            source: source.key,
            source_name: source.name.clone(),
            target: target.key,
            target_name: target.name.clone(),
            cardinality: definition.cardinality,
            on_delete: definition.on_delete,
        };
        let (source, target) = (relationship.source, relationship.target);
        if source != target {
            self.put(target, relationship.clone());
        }
        self.put(source, relationship);
        Ok(())
    }

    /// Sets the name at the target and what a deletion does. Anything else is refused, as the links are
    /// held to it.
    pub(crate) async fn change_relationship(
        &mut self,
        register: &str,
        definition: &RelationshipDefinition,
    ) -> Result<(), DataError> {
        let source = find(&self.registers, register)?;
        definition.check(&source.name)?;
        let old = outgoing(source, &definition.name)?;
        let refused = if old.target_name != definition.target {
            Some("target")
        } else if old.cardinality != definition.cardinality {
            Some("cardinality")
        } else {
            None
        };
        if let Some(what) = refused {
            return Err(SchemaError::RelationshipChange {
                register: source.name.clone(),
                relationship: definition.name.clone(),
                what,
            }
            .into());
        }
        let (key, ends) = (old.key, [old.source, old.target]);
        let inverse_name = definition.inverse_name_for(&source.name);
        write::update_relationship(self.tx, self.tenant, key, &inverse_name, definition).await?;
        for end in ends {
            let register = find_by_key(&mut self.registers, end);
            let relationships = register
                .into_iter()
                .flat_map(|found| &mut found.relationships);
            for relationship in relationships.filter(|relationship| relationship.key == key) {
                relationship.inverse_name.clone_from(&inverse_name);
                relationship.on_delete = definition.on_delete;
            }
            self.changed.insert(end);
        }
        Ok(())
    }

    /// Drops a relationship of which the register is the source, with its links.
    pub(crate) async fn drop_relationship(
        &mut self,
        register: &str,
        name: &str,
    ) -> Result<(), DataError> {
        let relationship = outgoing(find(&self.registers, register)?, name)?;
        let (key, ends) = (relationship.key, [relationship.source, relationship.target]);
        // A writer that still goes by it could link rows behind the back of the delete.
        write::lock_registers(self.tx, self.tenant, &ends).await?;
        write::delete_relationship(self.tx, self.tenant, key).await?;
        self.forget(key, ends);
        Ok(())
    }

    fn put(&mut self, register: RegisterKey, relationship: Relationship) {
        if let Some(register) = find_by_key(&mut self.registers, register) {
            register.relationships.push(relationship);
        }
        self.changed.insert(register);
    }

    fn forget(&mut self, key: RelationshipKey, ends: [RegisterKey; 2]) {
        for end in ends {
            if let Some(register) = find_by_key(&mut self.registers, end) {
                register
                    .relationships
                    .retain(|relationship| relationship.key != key);
            }
            self.changed.insert(end);
        }
    }
}

/// The relationship of which the register is the source.
fn outgoing<'r>(register: &'r LoadedRegister, name: &str) -> Result<&'r Relationship, DataError> {
    let outgoing = register
        .relationships
        .iter()
        .filter(|relationship| relationship.source == register.key);
    let found = outgoing
        .clone()
        .find(|relationship| relationship.name == name);
    found.ok_or_else(|| DataError::RelationshipNotFound {
        register: register.name.clone(),
        relationship: name.chars().take(100).collect(),
        nearest: nearest(
            name,
            outgoing.map(|relationship| relationship.name.as_str()),
        ),
    })
}
