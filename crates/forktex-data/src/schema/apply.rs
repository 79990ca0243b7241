// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Brings the schema of a tenant to what a document says: all in one transaction, or tried and undone.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use forktex_db::{DbError, Retryable};
use serde::Serialize;
use uuid::Uuid;

use crate::catalog::{Edit, Unfinished};
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::index;
use crate::relationship::RelationshipDefinition;
use crate::schema::describe::stored;
use crate::schema::difference::difference;
use crate::schema::{Change, RegisterDefinition, SchemaDocument, SchemaError};
use crate::tenant_data::{CHANGE_RETRIES, TenantData};

/// A schema that is to be applied, made by [`TenantData::apply`]. It is done when it is awaited.
///
/// Without options it creates and changes, and drops nothing.
#[derive(Clone, Debug)]
#[must_use = "nothing is applied until it is awaited"]
pub struct Apply {
    tenant: TenantData,
    wanted: SchemaDocument,
    is_dry_run: bool,
    prunes: bool,
    allows_destructive: bool,
}

/// What [`TenantData::apply`] did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ApplyReport {
    /// The steps, in their order; empty if there was nothing to do.
    pub changes: Vec<Change>,
    /// False after a dry run.
    pub applied: bool,
}

impl Apply {
    pub(crate) fn new(tenant: TenantData, wanted: SchemaDocument) -> Self {
        Self {
            tenant,
            wanted,
            is_dry_run: false,
            prunes: false,
            allows_destructive: false,
        }
    }

    /// Does it all, checks it as if it were kept, and undoes it. What would be lost is reported, and no
    /// error.
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Drops what the document does not name: registers, and fields and relationships of registers.
    pub fn prune(mut self) -> Self {
        self.prunes = true;
        self
    }

    /// Lets values, links and rows be lost where something is dropped.
    pub fn allow_destructive(mut self) -> Self {
        self.allows_destructive = true;
        self
    }

    /// Notes this user in the versions of the registers.
    pub fn acting_as(mut self, user: Uuid) -> Self {
        self.tenant = self.tenant.acting_as(user);
        self
    }

    async fn run(self) -> Result<ApplyReport, DataError> {
        self.wanted.check_size()?;
        let db = self.tenant.data().db();
        let outcome = db
            .retrying(CHANGE_RETRIES)
            .for_org(self.tenant.org())
            .transaction(async |tx| -> Result<(Vec<Change>, Unfinished), Stop> {
                let mut edit = Edit::begin(tx, &self.tenant).await?;
                let existing = stored(edit.registers(), self.tenant.data());
                let changes = difference(&existing, &self.wanted, self.prunes);
                self.refuse(&changes)?;
                for change in &changes {
                    self.step(&mut edit, change).await?;
                }
                let unfinished = edit.finish(self.tenant.actor()).await?;
                if self.is_dry_run {
                    // An error, so that the transaction is rolled back.
                    return Err(Stop::DryRun(changes));
                }
                Ok((changes, unfinished))
            })
            .await;
        match outcome {
            Ok((changes, unfinished)) => {
                index::settle_now(&self.tenant, &unfinished).await?;
                Ok(ApplyReport {
                    changes,
                    applied: true,
                })
            }
            Err(Stop::DryRun(changes)) => Ok(ApplyReport {
                changes,
                applied: false,
            }),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Refuses what would be lost, unless that was allowed, and what this does not do.
    fn refuse(&self, changes: &[Change]) -> Result<(), DataError> {
        for change in changes {
            if let Change::ConvertField {
                register,
                field,
                what,
            } = change
            {
                return Err(SchemaError::TypeChange {
                    register: register.clone(),
                    field: field.clone(),
                    what: what.clone(),
                }
                .into());
            }
            if let Change::CreateRegister { register } = change {
                self.tenant.refuse_taken(register)?;
            }
            if change.is_destructive() && !self.allows_destructive && !self.is_dry_run {
                return Err(DataError::Destructive {
                    what: change.to_string(),
                });
            }
        }
        Ok(())
    }

    async fn step(&self, edit: &mut Edit<'_>, change: &Change) -> Result<(), DataError> {
        match change {
            Change::CreateRegister { register } => {
                edit.create_register(self.register(register)?).await
            }
            Change::ChangeRegister { register, .. } => {
                edit.change_register(self.register(register)?).await
            }
            Change::DropRegister { register } => edit.drop_register(register).await,
            Change::AddField { register, field } => {
                edit.add_field(register, self.field(register, field)?).await
            }
            Change::ChangeField {
                register, field, ..
            } => {
                let field = self.field(register, field)?;
                edit.change_field(register, field).await
            }
            Change::DropField { register, field } => edit.drop_field(register, field).await,
            Change::AddRelationship {
                register,
                relationship,
            } => {
                let relationship = self.relationship(register, relationship)?;
                edit.add_relationship(register, relationship).await
            }
            Change::ChangeRelationship {
                register,
                relationship,
                ..
            } => {
                let relationship = self.relationship(register, relationship)?;
                edit.change_relationship(register, relationship).await
            }
            Change::DropRelationship {
                register,
                relationship,
            } => edit.drop_relationship(register, relationship).await,
            // Refused before.
            Change::ConvertField { .. } => Ok(()),
        }
    }

    fn register(&self, name: &str) -> Result<&RegisterDefinition, DataError> {
        let mut registers = self.wanted.registers.iter();
        let found = registers.find(|register| register.name == name);
        found.ok_or_else(|| DataError::RegisterNotFound {
            name: name.to_owned(),
            nearest: None,
        })
    }

    fn field(&self, register: &str, name: &str) -> Result<&FieldDefinition, DataError> {
        let mut fields = self.register(register)?.fields.iter();
        let found = fields.find(|field| field.name == name);
        found.ok_or_else(|| DataError::FieldNotFound {
            register: register.to_owned(),
            field: name.to_owned(),
            nearest: None,
        })
    }

    fn relationship(
        &self,
        register: &str,
        name: &str,
    ) -> Result<&RelationshipDefinition, DataError> {
        let mut relationships = self.register(register)?.relationships.iter();
        let found = relationships.find(|relationship| relationship.name == name);
        found.ok_or_else(|| DataError::RelationshipNotFound {
            register: register.to_owned(),
            relationship: name.to_owned(),
            nearest: None,
        })
    }
}

impl IntoFuture for Apply {
    type Output = Result<ApplyReport, DataError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Why the transaction is not kept.
enum Stop {
    DryRun(Vec<Change>),
    Failed(DataError),
}

impl From<DataError> for Stop {
    fn from(error: DataError) -> Self {
        Self::Failed(error)
    }
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl Retryable for Stop {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_retryable())
    }
}
