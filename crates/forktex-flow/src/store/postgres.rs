// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store on Postgres. Each method is one statement, or one transaction of few.
//!
//! Only a run's claimer or owner locks its row in `active`; a cancellation and a move to another version
//! are the exceptions, and are short. Whatever else is to reach a run must not lock it.

mod checkpoint_arrays;
mod claims;
mod commits;
mod control;
mod definitions;
mod entry_arrays;
mod journal_row;
mod limits;
mod messages;
mod migration;
pub(crate) mod notify;
mod pulse;
mod queries;
pub(crate) mod row;
mod schedules;
pub(crate) mod schema;
pub(crate) mod sealing;
mod starts;
pub(crate) mod statement;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, PgConnection, Row};
use forktex_db::{ColumnCipher, Db, DbError, Singly as _, Transaction};
use uuid::Uuid;

use super::{
    Cancelled, Candidate, Checkpoint, ClaimRequest, Claims, Committed, DefinitionRefused, Election,
    Heart, NewRun, RestsOn, Started, Store, StoredInstance, Woken,
};
use crate::compile::CompiledWorkflow;
use crate::definition::topology::difference;
use crate::error::TopologyChanged;
use crate::identifier::{DefinitionId, Epoch, InstanceId, WorkerId};
use crate::instance::InstanceStatus;
use row::{microseconds, unreadable};
use sealing::{Cell, Sealing};
use statement::Statements;

/// The most runs that one statement wakes, or takes from a dead worker.
const SWEEP_ROWS_MAX: i64 = 10_000;

/// The most overdue cancellations that are ended at a time.
const OVERDUE_MAX: i64 = 100;

/// Runs in one schema of one database.
#[derive(Debug, Clone)]
pub(crate) struct PostgresStore {
    db: Db,
    schema: String,
    statements: Statements,
    sealing: Sealing,
}

impl PostgresStore {
    /// The store of a schema that [`statement::Statements`] can name.
    pub(crate) fn new(db: Db, schema: &str) -> Result<Self, DbError> {
        Ok(Self {
            db,
            schema: schema.to_owned(),
            statements: Statements::for_schema(schema)?,
            sealing: Sealing::default(),
        })
    }

    /// Seals the payloads from now on.
    pub(crate) fn sealed_by(mut self, cipher: Arc<dyn ColumnCipher>) -> Self {
        self.sealing = Sealing::by(cipher, &self.schema);
        self
    }

    async fn end_cancelled(
        &self,
        connection: &mut PgConnection,
        instance: InstanceId,
        reason: &str,
    ) -> Result<(), DbError> {
        sqlx::query(self.statements.end_cancelled_run.clone())
            .bind(instance.0)
            .bind(reason)
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn heart(&self) -> Box<dyn Heart> {
        Box::new(pulse::PostgresHeart::new(self.clone()))
    }

    fn candidate(&self, election: Election) -> Box<dyn Candidate> {
        Box::new(pulse::PostgresCandidate::new(self.clone(), election))
    }

    async fn put_definition(
        &self,
        workflow: &CompiledWorkflow,
    ) -> Result<DefinitionId, DefinitionRefused> {
        let lines: Vec<String> = workflow.topology_lines.iter().cloned().collect();
        let version = i32::try_from(workflow.version).unwrap_or(i32::MAX);
        // Two processes may bring the same definition at once: the one whose insert waited for the
        // other's sees neither row in its own snapshot, and asks again.
        for _ in 0..3 {
            let row = sqlx::query(self.statements.put_definition.clone())
                .bind("")
                .bind(workflow.name.as_str())
                .bind(version)
                .bind(&workflow.topology_hash[..])
                .bind(&lines)
                .bind(&workflow.state_hash[..])
                .bind(Json(workflow.plan.stage_names()))
                .bind(workflow.state_lines.iter().collect::<Vec<_>>())
                .single(&self.db)
                .fetch_optional()
                .await
                .map_err(DefinitionRefused::Database)?;
            let Some(row) = row else { continue };
            let read = || -> Result<(i64, Vec<u8>, Vec<String>), DbError> {
                Ok((
                    row.try_get("definition_id")?,
                    row.try_get("topology_hash")?,
                    row.try_get("topology")?,
                ))
            };
            let (id, hash, stored) = read().map_err(DefinitionRefused::Database)?;
            if hash == workflow.topology_hash {
                return Ok(DefinitionId(id));
            }
            return Err(DefinitionRefused::Topology(TopologyChanged {
                workflow: workflow.name.clone(),
                version: workflow.version,
                difference: difference(&stored.into_iter().collect(), &workflow.topology_lines),
            }));
        }
        Err(DefinitionRefused::Database(DbError::NotFound))
    }

    async fn register_worker(
        &self,
        worker: WorkerId,
        name: &str,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<(), DbError> {
        sqlx::query(self.statements.register_worker.clone())
            .bind(worker.0)
            .bind(name)
            .bind(microseconds(lease))
            .bind(definition_ids(definitions))
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    async fn remove_worker(&self, worker: WorkerId) -> Result<(), DbError> {
        sqlx::query(self.statements.remove_worker.clone())
            .bind(worker.0)
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    async fn start(&self, runs: &[NewRun]) -> Result<Vec<Started>, DbError> {
        let mut session = self.db.session().await?;
        let mut inserted = self.insert_runs(session.connection(), runs).await?;
        let mut outcomes = Vec::with_capacity(runs.len());
        for run in runs {
            outcomes.push(match inserted.remove(&run.instance_id) {
                Some(started) => started,
                None => self.existing(session.connection(), run).await?,
            });
        }
        session.end().await?;
        Ok(outcomes)
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        self.claim_plain(request).await
    }

    async fn claim_within_limits(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        self.claim_limited(request).await
    }

    async fn wake_due(&self) -> Result<Woken, DbError> {
        let row = sqlx::query(self.statements.wake_due_runs.clone())
            .bind(SWEEP_ROWS_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        let next_in: Option<f64> = row.try_get("next_in_seconds")?;
        Ok(Woken {
            count: row.try_get::<i64, _>("woken")?.unsigned_abs(),
            next_in: next_in.map(pulse::duration),
        })
    }

    async fn release_lost(&self) -> Result<u64, DbError> {
        let released: i64 = sqlx::query_scalar(self.statements.release_lost_runs.clone())
            .bind(SWEEP_ROWS_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        if released == 0 {
            sqlx::query(self.statements.forget_lost_workers.clone())
                .single(&self.db)
                .execute()
                .await?;
        }
        Ok(released.unsigned_abs())
    }

    async fn release_unheld(
        &self,
        worker: WorkerId,
        held: &[(InstanceId, Epoch)],
    ) -> Result<u64, DbError> {
        let done = sqlx::query(self.statements.release_unheld_runs.clone())
            .bind(worker.0)
            .bind(held.iter().map(|(run, _)| run.0).collect::<Vec<_>>())
            .bind(held.iter().map(|(_, epoch)| epoch.0).collect::<Vec<_>>())
            .single(&self.db)
            .execute()
            .await?;
        Ok(done.rows_affected())
    }

    async fn commit_batch(
        &self,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Option<Committed>>, DbError> {
        if let [checkpoint] = checkpoints {
            return Ok(vec![self.commit_plain(checkpoint).await?]);
        }
        if checkpoints
            .iter()
            .any(|checkpoint| !checkpoint.children.is_empty())
        {
            return self.commit_those_without_children(checkpoints).await;
        }
        let mut session = self.db.session().await?;
        let written = if checkpoints.iter().all(Checkpoint::only_goes_on) {
            self.commit_entries(session.connection(), checkpoints)
                .await?
        } else {
            self.commit_on(session.connection(), checkpoints).await?
        };
        session.end().await?;
        let written: std::collections::HashSet<InstanceId> = written.into_iter().collect();
        Ok(checkpoints
            .iter()
            .map(|checkpoint| {
                written
                    .contains(&checkpoint.instance_id)
                    .then_some(Committed::Written)
            })
            .collect())
    }

    async fn commit_alone(&self, checkpoint: &Checkpoint) -> Result<Committed, DbError> {
        let commit = async || {
            self.db
                .transaction(async |tx| self.commit_in(tx, checkpoint).await)
                .await
        };
        match commit().await {
            // The lock was that of an earlier call whose answer was lost, and the statement that waited
            // for it does not see what that wrote. The next one does.
            Err(DbError::AlreadyExists { .. }) => commit().await,
            outcome => outcome,
        }
    }

    fn database(&self) -> Option<Db> {
        Some(self.db.clone())
    }

    async fn commit_in(
        &self,
        transaction: &mut Transaction,
        checkpoint: &Checkpoint,
    ) -> Result<Committed, DbError> {
        let connection = transaction.connection();
        let locked = sqlx::query(self.statements.lock_run.clone())
            .bind(checkpoint.instance_id.0)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(locked) = locked else {
            return Ok(Committed::Fenced);
        };
        let sequence: i64 = locked.try_get("sequence")?;
        if Epoch(locked.try_get("epoch")?) != checkpoint.epoch {
            return Ok(Committed::Fenced);
        }
        if sequence >= checkpoint.first_sequence {
            // An earlier call was committed and its answer lost: only an owner writes here.
            return Ok(Committed::Written);
        }
        if locked.try_get::<bool, _>("is_cancelling")? && !checkpoint.is_cancelling {
            let reason: Option<String> = locked.try_get("cancel_reason")?;
            return Ok(Committed::CancelRequested {
                reason: reason.unwrap_or_default(),
            });
        }
        let undo_reason: Option<String> = locked.try_get("undo_reason")?;
        if let (Some(reason), false) = (undo_reason, checkpoint.is_undoing) {
            return Ok(Committed::UndoRequested { reason });
        }
        if locked.try_get::<bool, _>("is_paused")? && !checkpoint.is_pausing {
            return Ok(Committed::PauseRequested);
        }
        self.hold_definitions(&mut *connection, &checkpoint.children)
            .await?;
        self.commit_on(&mut *connection, std::slice::from_ref(checkpoint))
            .await?;
        self.insert_runs(connection, &checkpoint.children).await?;
        Ok(Committed::Written)
    }

    async fn start_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
    ) -> Result<Started, DbError> {
        let runs = std::slice::from_ref(run);
        let connection = transaction.connection();
        if run.birth.is_some() {
            self.hold_definitions(&mut *connection, runs).await?;
        }
        let inserted = self.insert_runs(&mut *connection, runs).await?;
        match inserted.into_values().next() {
            Some(started) => Ok(started),
            None => self.existing(connection, run).await,
        }
    }

    async fn hand_back(
        &self,
        instance: InstanceId,
        epoch: Epoch,
        on: &RestsOn,
        delay: Duration,
    ) -> Result<(), DbError> {
        sqlx::query(self.statements.hand_back.clone())
            .bind(instance.0)
            .bind(epoch.0)
            .bind(microseconds(delay))
            .bind(on.as_str())
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    async fn cancel(
        &self,
        instance: InstanceId,
        reason: &str,
        grace: Duration,
    ) -> Result<Cancelled, DbError> {
        let reason = &*self.sealing.text(Cell::Reason(instance), reason)?;
        self.db
            .transaction(async |tx| -> Result<Cancelled, DbError> {
                let locked = sqlx::query(self.statements.lock_run.clone())
                    .bind(instance.0)
                    .fetch_optional(tx.connection())
                    .await?;
                let Some(locked) = locked else {
                    let status: Option<String> =
                        sqlx::query_scalar(self.statements.instance_status.clone())
                            .bind(instance.0)
                            .fetch_optional(tx.connection())
                            .await?;
                    return match status.as_deref().map(InstanceStatus::parse) {
                        None => Ok(Cancelled::NotFound),
                        Some(Some(status)) => Ok(Cancelled::AlreadyTerminal(status)),
                        Some(None) => Err(unreadable("status")),
                    };
                };
                if locked.try_get::<Option<Uuid>, _>("worker_id")?.is_none() {
                    self.end_cancelled(tx.connection(), instance, reason)
                        .await?;
                    return Ok(Cancelled::AtOnce);
                }
                sqlx::query(self.statements.request_cancel.clone())
                    .bind(instance.0)
                    .bind(microseconds(grace))
                    .bind(reason)
                    .execute(tx.connection())
                    .await?;
                Ok(Cancelled::Requested)
            })
            .await
    }

    async fn end_overdue_cancellations(&self) -> Result<Vec<InstanceId>, DbError> {
        let overdue: Vec<Uuid> = sqlx::query_scalar(self.statements.overdue_cancellations.clone())
            .bind(OVERDUE_MAX)
            .single(&self.db)
            .fetch_all()
            .await?;
        let mut ended = Vec::new();
        for instance in overdue.into_iter().map(InstanceId) {
            let has_ended = self
                .db
                .transaction(async |tx| -> Result<bool, DbError> {
                    let locked = sqlx::query(self.statements.lock_run.clone())
                        .bind(instance.0)
                        .fetch_optional(tx.connection())
                        .await?;
                    let Some(locked) = locked else {
                        return Ok(false);
                    };
                    let reason: Option<String> = locked.try_get("cancel_reason")?;
                    let Some(reason) = reason else {
                        return Ok(false);
                    };
                    self.end_cancelled(tx.connection(), instance, &reason)
                        .await?;
                    Ok(true)
                })
                .await?;
            if has_ended {
                ended.push(instance);
            }
        }
        Ok(ended)
    }

    async fn read(&self, instance: InstanceId) -> Result<Option<StoredInstance>, DbError> {
        let row = sqlx::query(self.statements.read_instance.clone())
            .bind(instance.0)
            .single(&self.db)
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let journal = self
            .journals(&[instance])
            .await?
            .remove(&instance)
            .unwrap_or(Ok(Vec::new()))?;
        Ok(Some(StoredInstance {
            instance: row::instance(&row, &self.sealing)?,
            journal,
        }))
    }

    async fn ended(&self, instances: &[InstanceId]) -> Result<Vec<InstanceId>, DbError> {
        let ended: Vec<Uuid> = sqlx::query_scalar(self.statements.ended_instances.clone())
            .bind(uuids(instances))
            .single(&self.db)
            .fetch_all()
            .await?;
        Ok(ended.into_iter().map(InstanceId).collect())
    }
}

fn uuids(instances: &[InstanceId]) -> Vec<Uuid> {
    instances.iter().map(|instance| instance.0).collect()
}

fn definition_ids(definitions: &[DefinitionId]) -> Vec<i64> {
    definitions.iter().map(|definition| definition.0).collect()
}
