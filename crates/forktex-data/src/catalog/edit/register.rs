// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps on registers.

use crate::catalog::{check_name, write};
use crate::error::DataError;
use crate::index::removal::{self, Removal};
use crate::keys::RegisterKey;
use crate::register::{BuildState, LoadedRegister};
use crate::schema::RegisterDefinition;

use super::{Edit, find, find_by_key};

impl Edit<'_> {
    /// Makes a register, without its fields and relationships.
    pub(crate) async fn create_register(
        &mut self,
        definition: &RegisterDefinition,
    ) -> Result<(), DataError> {
        check_name(&definition.name)?;
        let key = write::insert_register(self.tx, self.tenant, definition).await?;
        self.registers.push(LoadedRegister {
            key,
            name: definition.name.clone(),
            label: definition.label.clone(),
            description: definition.description.clone(),
            keeps_history: definition.keeps_history,
            version: 0,
            fields: Vec::new(),
            relationships: Vec::new(),
        });
        self.changed.insert(key);
        self.created.insert(key);
        Ok(())
    }

    /// Sets what a register itself has: label, description, history.
    pub(crate) async fn change_register(
        &mut self,
        definition: &RegisterDefinition,
    ) -> Result<(), DataError> {
        let key = find(&self.registers, &definition.name)?.key;
        write::update_register(self.tx, self.tenant, key, definition).await?;
        if let Some(register) = find_by_key(&mut self.registers, key) {
            register.label.clone_from(&definition.label);
            register.description.clone_from(&definition.description);
            register.keeps_history = definition.keeps_history;
        }
        self.changed.insert(key);
        Ok(())
    }

    /// Gives a register another name. Those that are related to it change too, as they name it.
    pub(crate) async fn rename_register(&mut self, from: &str, to: &str) -> Result<(), DataError> {
        check_name(to)?;
        let register = find(&self.registers, from)?;
        let (key, related) = (register.key, related(register));
        let mut definition = register.to_definition();
        to.clone_into(&mut definition.name);
        write::update_register(self.tx, self.tenant, key, &definition).await?;
        if let Some(register) = find_by_key(&mut self.registers, key) {
            to.clone_into(&mut register.name);
        }
        self.changed.insert(key);
        self.changed.extend(related);
        Ok(())
    }

    /// Drops a register with its relationships. Its rows cannot be reached from then on, and are taken
    /// out in the background.
    pub(crate) async fn drop_register(&mut self, name: &str) -> Result<(), DataError> {
        let register = find(&self.registers, name)?;
        let key = register.key;
        let others = related(register);
        let locked: Vec<RegisterKey> = others.iter().copied().chain([key]).collect();
        write::lock_registers(self.tx, self.tenant, &locked).await?;
        for relationship in &register.relationships {
            write::delete_relationship(self.tx, self.tenant, relationship.key).await?;
        }
        for field in &register.fields {
            for (removal, state) in [
                (Removal::Index, field.index),
                (Removal::Unique, field.unique_state),
            ] {
                if state.is_kept() {
                    removal::queue(self.tx, self.tenant, key, Some(field.key), removal).await?;
                }
            }
        }
        removal::queue(self.tx, self.tenant, key, None, Removal::Register).await?;
        write::delete_register(self.tx, self.tenant, key).await?;

        self.registers.retain(|register| register.key != key);
        for register in &mut self.registers {
            register
                .relationships
                .retain(|relationship| ![relationship.source, relationship.target].contains(&key));
        }
        self.changed.remove(&key);
        self.dropped.insert(key);
        self.changed.extend(others);
        Ok(())
    }
}

/// The other registers at the ends of its relationships.
fn related(register: &LoadedRegister) -> Vec<RegisterKey> {
    let ends = register.relationships.iter();
    ends.flat_map(|relationship| [relationship.source, relationship.target])
        .filter(|end| *end != register.key)
        .collect()
}

/// What a build is to be at first: complete where there are no rows.
pub(super) fn first_state(is_wanted: bool, has_rows: bool) -> BuildState {
    match (is_wanted, has_rows) {
        (false, _) => BuildState::None,
        (true, false) => BuildState::Ready,
        (true, true) => BuildState::Building,
    }
}
