// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes of a register's definition. Each is one transaction that touches no row, and afterwards, where
//! an index is asked for, the batches that build it.

use crate::catalog::{Edit, Unfinished};
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::index;
use crate::register::{Register, Source};
use crate::relationship::RelationshipDefinition;
use crate::schema::{Destructive, RegisterDefinition};

/// One change.
enum Step<'a> {
    AddField(&'a FieldDefinition),
    ChangeField(&'a FieldDefinition),
    RenameField { from: &'a str, to: &'a str },
    DropField(&'a str),
    Turn(&'a str, Aspect, bool),
    AddRelationship(&'a RelationshipDefinition),
    ChangeRelationship(&'a RelationshipDefinition),
    DropRelationship(&'a str),
}

/// What is built for a field.
#[derive(Clone, Copy)]
enum Aspect {
    Index,
    Unique,
    Search,
}

impl Register {
    /// Adds a field behind the others, and gives the register with it. No row is touched, unless the field
    /// is indexed or computed: then each gets an entry or its value, in batches. Rows that are there have no value in it, also where
    /// it is required or has a default; those count for what is written from then on.
    ///
    /// A transaction of some eight statements. A bound register takes fields if it is extended.
    ///
    /// # Errors
    /// [`DataError::AlreadyExists`] when the name is taken; [`DataError::Schema`],
    /// [`DataError::Formula`] and [`DataError::LimitReached`] when the definition cannot be used;
    /// [`DataError::Unsupported`] when the register is virtual.
    ///
    /// # Cancellation
    /// The field is there or not. An index that is not complete is left to
    /// [`run_maintenance`](crate::TenantData::run_maintenance).
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, FieldDefinition, Register};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let invoices = invoices.add_field(FieldDefinition::date("due").indexed()).await?;
    /// # let _ = invoices;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_field(&self, field: FieldDefinition) -> Result<Self, DataError> {
        if matches!(self.source(), Source::Bound(_)) && self.field(&field.name).is_some() {
            return Err(DataError::AlreadyExists {
                what: "field",
                name: field.name,
            });
        }
        self.evolve(Step::AddField(&field)).await
    }

    /// Replaces the definition of the field of the same name: label, rules, default, what is built for it.
    /// Stricter rules hold for what is written from then on.
    ///
    /// A transaction of some eight statements, and the batches of what is to be built.
    ///
    /// # Errors
    /// [`SchemaError::TypeChange`](crate::SchemaError::TypeChange) when values would have to be converted;
    /// else those of [`add_field`](Self::add_field) and [`set_unique`](Self::set_unique).
    ///
    /// # Cancellation
    /// As for [`add_field`](Self::add_field).
    pub async fn change_field(&self, field: FieldDefinition) -> Result<Self, DataError> {
        self.evolve(Step::ChangeField(&field)).await
    }

    /// Gives a field another name, and writes it into the formulas, look-ups and rollups of the tenant that
    /// name the field. No row is touched. A transaction of some eight statements.
    ///
    /// # Errors
    /// [`DataError::FieldNotFound`], [`DataError::AlreadyExists`], and [`DataError::Schema`] when the new
    /// name is not well formed.
    ///
    /// # Cancellation
    /// It has the one name or the other.
    pub async fn rename_field(&self, from: &str, to: &str) -> Result<Self, DataError> {
        self.evolve(Step::RenameField { from, to }).await
    }

    /// Drops a field. Its values cannot be reached from then on, and are then taken out of the rows in
    /// batches of 5,000; the history keeps those that it has. A transaction of some ten statements, and one
    /// for each batch.
    ///
    /// # Errors
    /// [`DataError::Destructive`] unless it is allowed; [`DataError::FieldNotFound`];
    /// [`DataError::Schema`] or [`DataError::Formula`] when a computed field goes by it.
    ///
    /// # Cancellation
    /// The field is there or gone; what is left of its values is left to
    /// [`run_maintenance`](crate::TenantData::run_maintenance).
    pub async fn drop_field(
        &self,
        name: &str,
        destructive: Destructive,
    ) -> Result<Self, DataError> {
        self.refuse_destructive("field", name, destructive)?;
        self.evolve(Step::DropField(name)).await
    }

    /// Turns the index of a field on or off. It is built in batches of 5,000 rows while rows are written;
    /// queries go by it once it is complete. At most 32 fields of a register have one.
    ///
    /// # Errors
    /// [`SchemaError::ValuesTooLong`](crate::SchemaError::ValuesTooLong) when texts have more than 512
    /// characters, after which it is off again; [`SchemaError::NotForType`](crate::SchemaError::NotForType);
    /// [`DataError::LimitReached`]; [`DataError::FieldNotFound`].
    ///
    /// # Cancellation
    /// An index that is not complete is left to
    /// [`run_maintenance`](crate::TenantData::run_maintenance).
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, Register};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let invoices = invoices.set_indexed("status", true).await?;
    /// assert!(invoices.field("status").is_some_and(|field| field.index_state().is_ready()));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_indexed(&self, field: &str, is_indexed: bool) -> Result<Self, DataError> {
        self.evolve(Step::Turn(field, Aspect::Index, is_indexed))
            .await
    }

    /// Makes a field unique, or not any more. Writes are held to it from the moment it is begun; then the
    /// rows that are there are gone through in batches of 5,000. Archived rows do not count.
    ///
    /// # Errors
    /// [`SchemaError::Duplicates`](crate::SchemaError::Duplicates) when values stand in more than one row,
    /// after which the field is as it was; else those of [`set_indexed`](Self::set_indexed).
    ///
    /// # Cancellation
    /// As for [`set_indexed`](Self::set_indexed).
    pub async fn set_unique(&self, field: &str, is_unique: bool) -> Result<Self, DataError> {
        self.evolve(Step::Turn(field, Aspect::Unique, is_unique))
            .await
    }

    /// Lets the words of a field be searched for, or not any more. The rows that are there are gone through
    /// in batches of 1,000, either way.
    ///
    /// # Errors
    /// [`SchemaError::NotForType`](crate::SchemaError::NotForType); [`DataError::FieldNotFound`].
    ///
    /// # Cancellation
    /// As for [`set_indexed`](Self::set_indexed).
    pub async fn set_searchable(
        &self,
        field: &str,
        is_searchable: bool,
    ) -> Result<Self, DataError> {
        self.evolve(Step::Turn(field, Aspect::Search, is_searchable))
            .await
    }

    /// Adds a relationship of which this register is the source. No row is touched. A transaction of some
    /// eight statements.
    ///
    /// # Errors
    /// [`DataError::Relation`] and [`DataError::Schema`] when it cannot be had;
    /// [`DataError::AlreadyExists`] when one of its names is taken.
    ///
    /// # Cancellation
    /// The relationship is there or not.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_data::{DataError, FieldDefinition, Register, RelationshipDefinition};
    /// # async fn example(invoices: Register) -> Result<(), DataError> {
    /// let client = RelationshipDefinition::many_to_one("client", "clients").inverse("invoices");
    /// let invoices = invoices.add_relationship(client).await?;
    /// let invoices = invoices.add_field(FieldDefinition::reference("client")).await?;
    /// # let _ = invoices;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_relationship(
        &self,
        relationship: RelationshipDefinition,
    ) -> Result<Self, DataError> {
        self.require_stored("add a relationship")?;
        self.evolve(Step::AddRelationship(&relationship)).await
    }

    /// Sets the name at the target, and what a deletion does, of the relationship of the same name.
    ///
    /// # Errors
    /// [`SchemaError::RelationshipChange`](crate::SchemaError::RelationshipChange) when its target or its
    /// cardinality differs; [`DataError::RelationshipNotFound`].
    ///
    /// # Cancellation
    /// It is changed or not.
    pub async fn change_relationship(
        &self,
        relationship: RelationshipDefinition,
    ) -> Result<Self, DataError> {
        self.require_stored("change a relationship")?;
        self.evolve(Step::ChangeRelationship(&relationship)).await
    }

    /// Drops a relationship of which this register is the source, with all its links, in one transaction.
    /// The reference field that goes by it is dropped first.
    ///
    /// # Errors
    /// [`DataError::Destructive`] unless it is allowed; [`DataError::RelationshipNotFound`];
    /// [`DataError::Schema`] when a field goes by it.
    ///
    /// # Cancellation
    /// The relationship is there with its links, or gone.
    pub async fn drop_relationship(
        &self,
        name: &str,
        destructive: Destructive,
    ) -> Result<Self, DataError> {
        self.require_stored("drop a relationship")?;
        self.refuse_destructive("relationship", name, destructive)?;
        self.evolve(Step::DropRelationship(name)).await
    }

    /// Carries out a step, builds what it asks for, and gives the register as it is then.
    async fn evolve(&self, step: Step<'_>) -> Result<Self, DataError> {
        match self.source() {
            Source::Stored => {}
            Source::Bound(bound) if bound.is_extended() => self.refuse_on_bound(&step)?,
            _ => self.require_stored("change the definition")?,
        }
        let tenant = self.tenant_data();
        let step = &step;
        let (name, unfinished) = tenant
            .change(async |tx| -> Result<(String, Unfinished), DataError> {
                let mut edit = Edit::begin(tx, &tenant).await?;
                let name = self.name_in(&mut edit).await?;
                carry_out(&mut edit, &name, step).await?;
                let unfinished = edit.finish(self.actor()).await?;
                Ok((name, unfinished))
            })
            .await?;
        index::settle_now(&tenant, &unfinished).await?;
        tenant.register(&name).await
    }

    /// The rows of a bound register are made by others: none can be kept from having a value twice, and
    /// none has links or entries in an index.
    fn refuse_on_bound(&self, step: &Step<'_>) -> Result<(), DataError> {
        let (is_unique, is_indexed, is_reference) = match step {
            Step::AddField(field) | Step::ChangeField(field) => {
                (field.unique, field.indexed, field.field_type.is_reference())
            }
            Step::Turn(_, Aspect::Unique, is_on) => (*is_on, false, false),
            Step::Turn(_, Aspect::Index, is_on) => (false, *is_on, false),
            _ => (false, false, false),
        };
        if is_indexed {
            return self.require_stored("index a field");
        }
        if is_unique {
            return self.require_stored("make a field unique");
        }
        if is_reference {
            return self.require_stored("add a reference");
        }
        Ok(())
    }

    /// The name under which the catalogue knows the register now. One that extends a bound register is
    /// made at its first field.
    async fn name_in(&self, edit: &mut Edit<'_>) -> Result<String, DataError> {
        let name = self.name();
        if let Source::Bound(_) = self.source() {
            let is_there = edit.registers().iter().any(|known| known.name == name);
            if !is_there {
                edit.create_register(&RegisterDefinition::new(name)).await?;
            }
            return Ok(name.to_owned());
        }
        let key = self.loaded().key;
        let known = edit.registers().iter().find(|known| known.key == key);
        match known {
            Some(known) => Ok(known.name.clone()),
            None => Err(DataError::RegisterNotFound {
                name: name.to_owned(),
                nearest: None,
            }),
        }
    }

    fn refuse_destructive(
        &self,
        what: &str,
        name: &str,
        destructive: Destructive,
    ) -> Result<(), DataError> {
        match destructive {
            Destructive::Allowed => Ok(()),
            Destructive::Refused => Err(DataError::Destructive {
                what: format!("drop {what} `{name}` of register `{}`", self.name()),
            }),
        }
    }
}

async fn carry_out(edit: &mut Edit<'_>, register: &str, step: &Step<'_>) -> Result<(), DataError> {
    match step {
        Step::AddField(field) => edit.add_field(register, field).await,
        Step::ChangeField(field) => edit.change_field(register, field).await,
        Step::RenameField { from, to } => edit.rename_field(register, from, to).await,
        Step::DropField(name) => edit.drop_field(register, name).await,
        Step::Turn(name, aspect, is_on) => {
            let field = edit.register(register)?.require_field(name)?;
            let mut definition = field.definition.clone();
            match aspect {
                Aspect::Index => definition.indexed = *is_on,
                Aspect::Unique => definition.unique = *is_on,
                Aspect::Search => definition.searchable = *is_on,
            }
            edit.change_field(register, &definition).await
        }
        Step::AddRelationship(relationship) => edit.add_relationship(register, relationship).await,
        Step::ChangeRelationship(relationship) => {
            edit.change_relationship(register, relationship).await
        }
        Step::DropRelationship(name) => edit.drop_relationship(register, name).await,
    }
}
