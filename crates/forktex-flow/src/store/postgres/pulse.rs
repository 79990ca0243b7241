// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The heartbeat's own connection, and the candidate for leadership.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::sqlx::{self, Connection, PgConnection, Row};
use forktex_db::{DbError, LockKey, Singly as _};
use uuid::Uuid;

use super::PostgresStore;
use super::row::microseconds;
use crate::identifier::{DefinitionId, InstanceId, WorkerId};
use crate::store::{Candidate, Election, Heart, Pulse};

/// A connection outside the pool, opened when it is first needed and again after it broke.
struct OwnConnection(Option<PgConnection>);

impl OwnConnection {
    async fn get(&mut self, store: &PostgresStore) -> Result<&mut PgConnection, DbError> {
        if self.0.is_none() {
            let options = store.db.pool().connect_options();
            self.0 = Some(PgConnection::connect_with(&options).await?);
        }
        self.0.as_mut().ok_or(DbError::NotFound)
    }
}

pub(super) struct PostgresHeart {
    store: PostgresStore,
    connection: OwnConnection,
}

impl PostgresHeart {
    pub(super) fn new(store: PostgresStore) -> Self {
        Self {
            store,
            connection: OwnConnection(None),
        }
    }
}

#[async_trait]
impl Heart for PostgresHeart {
    async fn pulse(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<Pulse, DbError> {
        // Taken out, so that a connection whose answer was not awaited is closed and not used again.
        let mut connection = OwnConnection(self.connection.0.take());
        let row = sqlx::query(self.store.statements.pulse.clone())
            .bind(worker.0)
            .bind(microseconds(lease))
            .bind(super::definition_ids(definitions))
            .single(&self.store.db)
            .on(connection.get(&self.store).await?)
            .fetch_one()
            .await?;
        self.connection = connection;
        let leader_age: Option<f64> = row.try_get("leader_age_seconds")?;
        let instances: Vec<Uuid> = row.try_get("cancelling_instance_ids")?;
        let seconds_left: Vec<f64> = row.try_get("cancelling_seconds_left")?;
        let schedule_due_in: Option<f64> = row.try_get("schedule_due_in_seconds")?;
        Ok(Pulse {
            lease_held: row.try_get("lease_held")?,
            leading: row.try_get("is_leading")?,
            leader_age: leader_age.map(duration),
            runs_ready: row.try_get("runs_ready")?,
            suspects_ready: row.try_get("suspects_ready")?,
            runs_due: row.try_get("runs_due")?,
            runtime_revision: row.try_get("runtime_revision")?,
            messages_undelivered: row.try_get("messages_undelivered")?,
            leases_lost: row.try_get("leases_lost")?,
            cancellations_overdue: row.try_get("cancellations_overdue")?,
            schedule_due_in: schedule_due_in.map(time::Duration::saturating_seconds_f64),
            cancelling: instances
                .into_iter()
                .map(InstanceId)
                .zip(seconds_left.into_iter().map(duration))
                .collect(),
        })
    }
}

pub(super) struct PostgresCandidate {
    store: PostgresStore,
    election: Election,
    /// Holds the advisory lock while this candidate leads.
    connection: OwnConnection,
}

impl PostgresCandidate {
    pub(super) fn new(store: PostgresStore, election: Election) -> Self {
        Self {
            store,
            election,
            connection: OwnConnection(None),
        }
    }

    async fn contend_by_lock(
        &mut self,
        worker: WorkerId,
        stale_after: Duration,
    ) -> Result<bool, DbError> {
        let key = LockKey::new(format!("{}.leader", self.store.schema)).value();
        let mut own = OwnConnection(self.connection.0.take());
        let connection = own.get(&self.store).await?;
        // The second try follows the end of a frozen leader's backend.
        for is_last in [false, true] {
            let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(key)
                .fetch_one(&mut *connection)
                .await?;
            if locked {
                sqlx::query(self.store.statements.take_leadership.clone())
                    .bind(worker.0)
                    .execute(&mut *connection)
                    .await?;
                self.connection = own;
                return Ok(true);
            }
            if !is_last {
                sqlx::query(self.store.statements.terminate_stale_leader.clone())
                    .bind(microseconds(stale_after))
                    .bind(key)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        self.connection = own;
        Ok(false)
    }
}

#[async_trait]
impl Candidate for PostgresCandidate {
    async fn contend(&mut self, worker: WorkerId, stale_after: Duration) -> Result<bool, DbError> {
        match self.election {
            Election::Advisory => self.contend_by_lock(worker, stale_after).await,
            Election::RowLease => {
                let done = sqlx::query(self.store.statements.take_leadership_by_lease.clone())
                    .bind(worker.0)
                    .bind(microseconds(stale_after))
                    .single(&self.store.db)
                    .execute()
                    .await?;
                Ok(done.rows_affected() == 1)
            }
        }
    }

    async fn step_down(&mut self, worker: WorkerId) {
        let removed = sqlx::query(self.store.statements.give_up_leadership.clone())
            .bind(worker.0)
            .single(&self.store.db)
            .execute()
            .await;
        if let Err(error) = removed {
            tracing::debug!(%error, "the leader row stays until it is stale");
        }
        if let Some(connection) = self.connection.0.take() {
            // Closing releases the lock.
            let _ = connection.close().await;
        }
    }
}

/// Seconds from the database as a duration; what lies in the past is zero.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
