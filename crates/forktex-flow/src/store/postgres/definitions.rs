// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runtime definitions and limits of namespaces on Postgres.
//!
//! A start holds its definition's row shared, and a removal takes it alone: a run is started before,
//! and then keeps the definition, or after, and then finds none.

use async_trait::async_trait;
use forktex_db::sqlx::PgConnection;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _, Transaction};
use serde_json::Value;

use super::row::unreadable;
use super::{PostgresStore, pulse};
use crate::compile::CompiledWorkflow;
use crate::identifier::{DefinitionId, Namespace, Version, WorkflowName};
use crate::store::definitions::{
    Defined, DefinitionStore, Guarded, StoredDefinition, StoredLimits, Undefined,
};
use crate::store::{NewRun, Store};

/// Why a run cannot be spawned.
const REMOVED: &str = "the workflow of a run that is spawned was removed meanwhile";

impl PostgresStore {
    /// Keeps the definitions of runs that are spawned until the transaction ends.
    ///
    /// # Errors
    /// Invalid where one is removed: whoever spawned it read too old a list.
    pub(super) async fn hold_definitions(
        &self,
        connection: &mut PgConnection,
        children: &[NewRun],
    ) -> Result<(), DbError> {
        // All are of their parent's namespace, and the platform's own has no definitions of tenants.
        let is_of_tenant = |child: &NewRun| !child.namespace.as_str().is_empty();
        if !children.first().is_some_and(is_of_tenant) {
            return Ok(());
        }
        let definitions: Vec<i64> = children.iter().map(|child| child.definition_id.0).collect();
        let removed: i64 = sqlx::query_scalar(self.statements.hold_definitions.clone())
            .bind(definitions)
            .fetch_one(connection)
            .await?;
        if removed == 0 {
            return Ok(());
        }
        Err(DbError::Invalid {
            reason: REMOVED.into(),
            constraint: None,
            column: None,
            sqlstate: None,
        })
    }

    async fn next_revision(&self, transaction: &mut Transaction) -> Result<i64, DbError> {
        Ok(
            sqlx::query_scalar(self.statements.bump_runtime_revision.clone())
                .fetch_one(transaction.connection())
                .await?,
        )
    }

    async fn define_in(
        &self,
        transaction: &mut Transaction,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Result<Defined, DbError> {
        let revision = self.next_revision(transaction).await?;
        let version = i32::try_from(workflow.version).unwrap_or(i32::MAX);
        let found = sqlx::query(self.statements.find_runtime_definition.clone())
            .bind(namespace.as_str())
            .bind(workflow.name.as_str())
            .bind(version)
            .bind(Json(config))
            .fetch_optional(transaction.connection())
            .await?;
        if let Some(found) = found {
            if found.try_get("is_same")? {
                return Ok(Defined::Same);
            }
            let Json(config) = found.try_get("config")?;
            return Ok(Defined::Conflict { config });
        }
        let count = sqlx::query(self.statements.count_runtime_definitions.clone())
            .bind(namespace.as_str())
            .fetch_one(transaction.connection())
            .await?;
        let max: Option<i64> = count.try_get("max")?;
        if let Some(max) = max
            && count.try_get::<i64, _>("count")? >= max
        {
            let max = max.unsigned_abs();
            return Ok(Defined::TooMany { max });
        }
        let lines: Vec<String> = workflow.topology_lines.iter().cloned().collect();
        let definition_id: i64 = sqlx::query_scalar(self.statements.put_definition.clone())
            .bind(namespace.as_str())
            .bind(workflow.name.as_str())
            .bind(version)
            .bind(&workflow.topology_hash[..])
            .bind(&lines)
            .bind(&workflow.state_hash[..])
            .bind(Json(workflow.plan.stage_names()))
            .bind(workflow.state_lines.iter().collect::<Vec<_>>())
            .fetch_one(transaction.connection())
            .await?;
        sqlx::query(self.statements.insert_runtime_definition.clone())
            .bind(definition_id)
            .bind(namespace.as_str())
            .bind(workflow.name.as_str())
            .bind(version)
            .bind(Json(config))
            .bind(revision)
            .execute(transaction.connection())
            .await?;
        Ok(Defined::Created)
    }

    async fn undefine_in(
        &self,
        transaction: &mut Transaction,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Result<Undefined, DbError> {
        let revision = self.next_revision(transaction).await?;
        let locked: Vec<i64> = sqlx::query_scalar(self.statements.lock_runtime_definitions.clone())
            .bind(namespace.as_str())
            .bind(name.as_str())
            .bind(version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)))
            .fetch_all(transaction.connection())
            .await?;
        if locked.is_empty() {
            return Ok(Undefined::NotFound);
        }
        // In a statement of its own, which sees the starts that the lock waited for.
        let active: i64 = sqlx::query_scalar(self.statements.count_active_of_definitions.clone())
            .bind(namespace.as_str())
            .bind(&locked)
            .fetch_one(transaction.connection())
            .await?;
        if active > 0 {
            let active = active.unsigned_abs();
            return Ok(Undefined::InUse { active });
        }
        sqlx::query(self.statements.remove_runtime_definitions.clone())
            .bind(&locked)
            .bind(revision)
            .execute(transaction.connection())
            .await?;
        Ok(Undefined::Removed {
            versions: locked.len() as u64,
        })
    }

    /// Why a namespace may not have another run now, if that is so.
    async fn over_quota(
        &self,
        transaction: &mut Transaction,
        namespace: &Namespace,
    ) -> Result<Option<Guarded>, DbError> {
        let limit = sqlx::query(self.statements.hold_namespace_limit.clone())
            .bind(namespace.as_str())
            .fetch_optional(transaction.connection())
            .await?;
        let Some(limit) = limit else { return Ok(None) };
        let max_active: Option<i64> = limit.try_get("max_active_runs")?;
        let max_starts: Option<i64> = limit.try_get("starts_per_minute")?;
        let used = sqlx::query(self.statements.count_namespace_use.clone())
            .bind(namespace.as_str())
            .fetch_one(transaction.connection())
            .await?;
        let (active, starts): (i64, i64) = (used.try_get("active_runs")?, used.try_get("starts")?);
        if let Some(max) = max_active.filter(|max| active >= *max) {
            let max = max.unsigned_abs();
            return Ok(Some(Guarded::TooManyActive { max }));
        }
        Ok(match max_starts.filter(|max| starts >= *max) {
            None => None,
            Some(max) => {
                let seconds: Option<f64> = used.try_get("seconds_until_next")?;
                Some(Guarded::TooManyStarts {
                    max: max.unsigned_abs(),
                    retry_after: pulse::duration(seconds.unwrap_or(60.0)),
                })
            }
        })
    }
}

#[async_trait]
impl DefinitionStore for PostgresStore {
    async fn define(
        &self,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Result<Defined, DbError> {
        self.db
            .transaction(async |tx| self.define_in(tx, namespace, workflow, config).await)
            .await
    }

    async fn undefine(
        &self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Result<Undefined, DbError> {
        self.db
            .transaction(async |tx| self.undefine_in(tx, namespace, name, version).await)
            .await
    }

    async fn list_definitions(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        let rows = sqlx::query(self.statements.list_runtime_definitions.clone())
            .bind(namespace.as_str())
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter().map(stored).collect()
    }

    async fn definitions_since(
        &self,
        revision: i64,
        limit: u32,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        let rows = sqlx::query(self.statements.runtime_definitions_since.clone())
            .bind(revision)
            .bind(i64::from(limit))
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter().map(stored).collect()
    }

    async fn limited_namespaces(&self) -> Result<(Vec<Namespace>, i64), DbError> {
        let row = sqlx::query(self.statements.limited_namespaces.clone())
            .single(&self.db)
            .fetch_one()
            .await?;
        let names: Vec<String> = row.try_get("namespaces")?;
        let namespaces = names
            .into_iter()
            .map(|name| Namespace::new(name).map_err(|_| unreadable("namespace")))
            .collect::<Result<_, DbError>>()?;
        Ok((namespaces, row.try_get("revision")?))
    }

    async fn set_limits(&self, namespace: &Namespace, limits: StoredLimits) -> Result<(), DbError> {
        self.db
            .transaction(async |tx| -> Result<(), DbError> {
                let revision = self.next_revision(tx).await?;
                sqlx::query(self.statements.set_namespace_limit.clone())
                    .bind(namespace.as_str())
                    .bind(limits.max_active_runs.map(i64::from))
                    .bind(limits.starts_per_minute.map(i64::from))
                    .bind(limits.max_definitions.map(i64::from))
                    .bind(revision)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
            .await
    }

    async fn start_guarded(&self, run: &NewRun, is_runtime: bool) -> Result<Guarded, DbError> {
        self.db
            .transaction(async |tx| self.start_guarded_in(tx, run, is_runtime).await)
            .await
    }

    async fn start_guarded_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
        is_runtime: bool,
    ) -> Result<Guarded, DbError> {
        if is_runtime {
            let held = sqlx::query(self.statements.hold_runtime_definition.clone())
                .bind(run.definition_id.0)
                .fetch_optional(transaction.connection())
                .await?;
            if held.is_none() {
                return Ok(Guarded::Gone);
            }
        }
        if let Some(refused) = self.over_quota(transaction, &run.namespace).await? {
            // A start that was made before under its key is no other one.
            if run.idempotency_key.is_none() {
                return Ok(refused);
            }
            return match self.existing(transaction.connection(), run).await {
                Ok(existing) => Ok(Guarded::Started(existing)),
                Err(DbError::NotFound) => Ok(refused),
                Err(error) => Err(error),
            };
        }
        self.start_in(transaction, run).await.map(Guarded::Started)
    }
}

fn stored(row: &PgRow) -> Result<StoredDefinition, DbError> {
    let (namespace, name): (String, String) =
        (row.try_get("namespace")?, row.try_get("workflow_name")?);
    let version: i32 = row.try_get("workflow_version")?;
    let Json(config) = row.try_get("config")?;
    Ok(StoredDefinition {
        definition_id: DefinitionId(row.try_get("definition_id")?),
        namespace: Namespace::new(namespace).map_err(|_| unreadable("namespace"))?,
        name: WorkflowName::new(name).map_err(|_| unreadable("workflow_name"))?,
        version: version.unsigned_abs(),
        config,
        revision: row.try_get("revision")?,
        is_removed: row.try_get("is_removed")?,
        created_at: row.try_get("created_at")?,
    })
}
