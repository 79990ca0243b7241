// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Looks into the queues. None of them locks anything.

use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use time::OffsetDateTime;

use super::PostgresBackend;
use super::row::{duration, record, total, unreadable};
use crate::backend::{JobFilter, QueueStats};
use crate::identifier::{JobId, JobName, QueueName};
use crate::record::{JobRecord, JobStatus};

impl PostgresBackend {
    pub(super) async fn find_job(&self, id: JobId) -> Result<Option<JobRecord>, DbError> {
        let row = sqlx::query(self.statements.find_job.clone())
            .bind(id.0)
            .single(&self.db)
            .fetch_optional()
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// Up to `jobs_max` of the jobs after `after`, in the order of their ids.
    pub(super) async fn list_jobs(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        jobs_max: u32,
    ) -> Result<Vec<JobRecord>, DbError> {
        let statement = match filter.status {
            None => &self.statements.list_jobs,
            Some(JobStatus::Scheduled) => &self.statements.list_scheduled_jobs,
            Some(JobStatus::Ready) => &self.statements.list_ready_jobs,
            Some(JobStatus::Held) => &self.statements.list_held_jobs,
            Some(JobStatus::Running) => &self.statements.list_running_jobs,
            Some(JobStatus::Dead) => &self.statements.list_dead_jobs,
        };
        let rows = sqlx::query(statement.clone())
            .bind(filter.queue.as_ref().map(QueueName::as_str))
            .bind(filter.name.as_ref().map(JobName::as_str))
            .bind(filter.tenant.as_deref())
            .bind(after.map(|after| after.0))
            .bind(i64::from(jobs_max))
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn stats_of(&self, queue: &QueueName) -> Result<QueueStats, DbError> {
        let row = sqlx::query(self.statements.queue_stats.clone())
            .bind(queue.as_str())
            .single(&self.db)
            .fetch_one()
            .await?;
        let oldest_ready_us: Option<i64> = row.try_get("oldest_ready_us")?;
        let ready = total(row.try_get("ready")?);
        Ok(QueueStats {
            ready,
            scheduled: total(row.try_get("scheduled")?),
            held: total(row.try_get("held")?),
            running: total(row.try_get("running")?),
            dead: total(row.try_get("dead")?),
            oldest_ready: oldest_ready_us.filter(|_| ready > 0).map(duration),
            is_paused: row.try_get("is_paused")?,
        })
    }

    pub(super) async fn list_queues(&self) -> Result<Vec<QueueName>, DbError> {
        let names: Vec<String> = sqlx::query_scalar(self.statements.list_queues.clone())
            .single(&self.db)
            .fetch_all()
            .await?;
        names
            .into_iter()
            .map(|name| QueueName::new(name).map_err(|_| unreadable("queue")))
            .collect()
    }

    pub(super) async fn server_clock(&self) -> Result<OffsetDateTime, DbError> {
        sqlx::query_scalar(self.statements.server_clock.clone())
            .single(&self.db)
            .fetch_one()
            .await
    }
}
