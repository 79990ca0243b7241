// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Moving runs to another version on Postgres.
//!
//! A move is planned without a lock and written under the run's: it is written only where nobody owns
//! the run and its journal is as long as it was.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _, Transaction};
use uuid::Uuid;

use super::journal_row::JournalColumns;
use super::{PostgresStore, definition_ids};
use crate::identifier::{DefinitionId, InstanceId, Namespace, NodeName};
use crate::instance::journal::Entry;
use crate::store::migration::{MigrationStore, Moved, RunMove, RunsOf};

impl PostgresStore {
    async fn migrate_in(
        &self,
        transaction: &mut Transaction,
        run: &RunMove,
    ) -> Result<Moved, DbError> {
        let to = run.moved.to;
        if run.to_runtime {
            let held = sqlx::query(self.statements.hold_runtime_definition.clone())
                .bind(to.definition.0)
                .fetch_optional(transaction.connection())
                .await?;
            if held.is_none() {
                return Ok(Moved::DefinitionGone);
            }
        }
        let locked = sqlx::query(self.statements.lock_run.clone())
            .bind(run.instance.0)
            .fetch_optional(transaction.connection())
            .await?;
        let Some(locked) = locked else {
            return Ok(Moved::Ended);
        };
        if locked.try_get::<i64, _>("definition_id")? != run.moved.from.definition.0 {
            return Ok(Moved::Changed);
        }
        if locked.try_get::<Option<Uuid>, _>("worker_id")?.is_some() {
            return Ok(Moved::Owned);
        }
        let entry = JournalColumns::of(
            &Entry::Migrated(run.moved.clone()),
            &self.sealing,
            run.instance,
            run.last_sequence + 1,
        )?;
        let current_nodes = run.current_nodes.iter().map(NodeName::as_str);
        // In a statement of its own, which sees the entries that the lock waited for.
        let written: i64 = sqlx::query_scalar(self.statements.migrate_run.clone())
            .bind(run.instance.0)
            .bind(run.moved.from.definition.0)
            .bind(run.last_sequence)
            .bind(to.definition.0)
            .bind(i32::try_from(to.version).unwrap_or(i32::MAX))
            .bind(current_nodes.collect::<Vec<_>>())
            .bind(entry.superstep)
            .bind(run.stage)
            .bind(entry.payload)
            .bind(entry.visit)
            .fetch_one(transaction.connection())
            .await?;
        Ok(if written == 1 {
            Moved::Written
        } else {
            Moved::Changed
        })
    }
}

#[async_trait]
impl MigrationStore for PostgresStore {
    async fn runs_of(&self, runs: &RunsOf) -> Result<Vec<(InstanceId, bool)>, DbError> {
        let namespace = runs.namespace.as_ref();
        let rows: Vec<(Uuid, bool)> = sqlx::query_as(self.statements.runs_of_definition.clone())
            .bind(runs.definition.0)
            .bind(namespace.map(Namespace::as_str))
            .bind(runs.until)
            .bind(runs.after.map(|after| after.0))
            .bind(i64::from(runs.limit))
            .single(&self.db)
            .fetch_all()
            .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(id, is_owned)| (InstanceId(id), is_owned))
            .collect())
    }

    async fn migrate(&self, run: &RunMove) -> Result<Moved, DbError> {
        self.db
            .transaction(async |tx| self.migrate_in(tx, run).await)
            .await
    }

    async fn state_shapes(
        &self,
        definitions: &[DefinitionId],
    ) -> Result<HashMap<DefinitionId, BTreeSet<String>>, DbError> {
        let rows: Vec<(i64, Vec<String>)> = sqlx::query_as(self.statements.state_shapes.clone())
            .bind(definition_ids(definitions))
            .single(&self.db)
            .fetch_all()
            .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(id, lines)| (DefinitionId(id), lines.into_iter().collect()))
            .collect())
    }
}
