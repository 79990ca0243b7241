// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps on fields.

use crate::catalog::write::{self, States};
use crate::catalog::{check_field, rename};
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::index::removal::{self, Removal};
use crate::keys::RegisterKey;
use crate::register::{BuildState, Field};
use crate::schema::{SchemaError, conversion};
use crate::value::ValueKind;

use super::register::first_state;
use super::{Edit, find, find_by_key};

impl Edit<'_> {
    /// Adds a field behind the others. No row is touched; an index of it is left to be built.
    pub(crate) async fn add_field(
        &mut self,
        register: &str,
        definition: &FieldDefinition,
    ) -> Result<(), DataError> {
        let register = find(&self.registers, register)?;
        crate::schema::limit(
            "fields of one register",
            register.fields.len() + 1,
            crate::limits::FIELDS_MAX,
        )?;
        // What is read back has lost what a builder was asked in vain.
        check_field(&register.name, definition, &self.types)?;
        let owner = register.key;
        let has_rows = !self.created.contains(&owner);
        // No row has a value yet, so that there is nothing to find twice and no word to be found.
        let states = States {
            index: first_state(definition.indexed, has_rows),
            unique: first_state(definition.unique, false),
            search: first_state(definition.searchable, false),
        };
        // That of a computed field is worked out at the end.
        let kind = definition.kind(&self.types).unwrap_or(ValueKind::Text);
        let key =
            write::insert_field(self.tx, self.tenant, owner, definition, kind, states).await?;
        if definition.field_type.is_computed() {
            self.recomputed.insert((owner, key));
        }
        if let Some(register) = find_by_key(&mut self.registers, owner) {
            register.fields.push(Field {
                key,
                definition: definition.clone(),
                kind,
                index: states.index,
                unique_state: states.unique,
                search: states.search,
            });
        }
        self.added.insert(key);
        self.changed.insert(owner);
        Ok(())
    }

    /// Replaces the definition of the field of the same name. What would need its values converted is
    /// refused. What is indexed, unique or searchable from now on is left to be built, and what is so no
    /// more to be taken out.
    pub(crate) async fn change_field(
        &mut self,
        register: &str,
        definition: &FieldDefinition,
    ) -> Result<(), DataError> {
        let register = find(&self.registers, register)?;
        let field = register.require_field(&definition.name)?;
        check_field(&register.name, definition, &self.types)?;
        if let Some(what) = conversion(&field.definition.field_type, &definition.field_type) {
            return Err(SchemaError::TypeChange {
                register: register.name.clone(),
                field: field.name().to_owned(),
                what,
            }
            .into());
        }
        let (owner, name) = (register.key, register.name.clone());
        let (key, old) = (field.key, field.definition.clone());
        let mut states = States {
            index: field.index,
            unique: field.unique_state,
            search: field.search,
        };
        let turned = [
            (
                Removal::Index,
                old.indexed,
                definition.indexed,
                &mut states.index,
            ),
            (
                Removal::Unique,
                old.unique,
                definition.unique,
                &mut states.unique,
            ),
            (
                Removal::Search,
                old.searchable,
                definition.searchable,
                &mut states.search,
            ),
        ];
        for (removal, was, is, state) in turned {
            if was == is {
                continue;
            }
            let field_key = (removal != Removal::Search).then_some(key);
            if is {
                if removal::is_queued(self.tx, self.tenant, owner, field_key, removal).await? {
                    let field = definition.name.clone();
                    return Err(SchemaError::StillRemoving {
                        register: name,
                        field,
                    }
                    .into());
                }
                *state = first_state(true, !self.created.contains(&owner));
            } else {
                *state = BuildState::None;
                removal::queue(self.tx, self.tenant, owner, field_key, removal).await?;
            }
        }
        write::set_definition(self.tx, self.tenant, key, definition).await?;
        write::set_states(self.tx, self.tenant, key, states).await?;
        if definition.field_type.is_computed() && definition.field_type != old.field_type {
            self.recomputed.insert((owner, key));
        }
        self.replace(owner, &definition.name, definition);
        self.changed.insert(owner);
        Ok(())
    }

    /// Gives a field another name, and writes it into the formulas, look-ups and rollups that name it. No
    /// row is touched.
    pub(crate) async fn rename_field(
        &mut self,
        register: &str,
        from: &str,
        to: &str,
    ) -> Result<(), DataError> {
        let register = find(&self.registers, register)?;
        let field = register.require_field(from)?;
        let (owner, key) = (register.key, field.key);
        let mut definition = field.definition.clone();
        to.clone_into(&mut definition.name);
        let dependents = rename::dependents(&self.registers, owner, from, to)?;

        write::set_definition(self.tx, self.tenant, key, &definition).await?;
        self.replace(owner, from, &definition);
        self.changed.insert(owner);
        for dependent in dependents {
            let definition = &dependent.definition;
            write::set_definition(self.tx, self.tenant, dependent.field, definition).await?;
            self.replace(dependent.register, &definition.name, definition);
            self.changed.insert(dependent.register);
        }
        Ok(())
    }

    /// Drops a field. Its values cannot be reached from then on, and are taken out in the background.
    pub(crate) async fn drop_field(&mut self, register: &str, name: &str) -> Result<(), DataError> {
        let register = find(&self.registers, register)?;
        let field = register.require_field(name)?;
        let (owner, key) = (register.key, field.key);
        for (removal, is_left) in [
            (Removal::Index, field.index.is_kept()),
            (Removal::Unique, field.unique_state.is_kept()),
            (Removal::Search, field.search.is_kept()),
            // References stand in links, which belong to their relationship.
            (Removal::Field, !field.definition.field_type.is_reference()),
        ] {
            if !is_left {
                continue;
            }
            let field_key = (removal != Removal::Search).then_some(key);
            removal::queue(self.tx, self.tenant, owner, field_key, removal).await?;
        }
        write::delete_field(self.tx, self.tenant, key).await?;
        if let Some(register) = find_by_key(&mut self.registers, owner) {
            register.fields.retain(|field| field.key != key);
        }
        self.added.remove(&key);
        self.recomputed.remove(&(owner, key));
        self.changed.insert(owner);
        Ok(())
    }

    /// Puts a definition in the place of that of the field `name`, in memory.
    fn replace(&mut self, register: RegisterKey, name: &str, definition: &FieldDefinition) {
        let Some(register) = find_by_key(&mut self.registers, register) else {
            return;
        };
        if let Some(field) = register
            .fields
            .iter_mut()
            .find(|field| field.name() == name)
        {
            field.definition = definition.clone();
        }
    }
}
