// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of runs on Postgres. A statement is composed of the fragments of the filters that were given,
//! so that each plan can use the index of its own; every value is bound.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Postgres, QueryBuilder, Row};
use forktex_db::{Db, DbError, Direction, Singly as _, Value, rename_schema};
use time::OffsetDateTime;
use uuid::Uuid;

use super::PostgresStore;
use super::row::{self, unreadable};
use super::statement::DEFAULT_SCHEMA;
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::list::{InstanceFilter, InstanceSummary, SortField};
use crate::store::StoredInstance;
use crate::store::query::{PageRequest, QueryStore};

/// The columns of a run, as `read_instance` has them.
const RUNS: &str = "
SELECT instance.instance_id, instance.namespace, instance.workflow_name,
       instance.workflow_version,
       CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL THEN 'running'
            ELSE instance.status END AS status,
       instance.triggered_by, instance.parent_id, instance.retry_of, instance.created_at,
       coalesce(instance.started_at, active.started_at) AS started_at, instance.finished_at,
       instance.input, instance.metadata, instance.failure::text AS failure,
       instance.cancel_reason, active.ready_at, active.wake_at, active.waits_on,
       active.waiting_signals, active.waiting_children, active.paused_at,
       active.ready_at IS NOT NULL AND NOT EXISTS (
           SELECT FROM forktex_flow.worker
           WHERE worker.lease_until > now() AND worker.retired_at IS NULL
             AND worker.definition_ids @> ARRAY[active.definition_id]
       ) AS lacks_worker
FROM forktex_flow.instance
LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
WHERE true";

const IDENTIFIERS: &str = "
SELECT instance.instance_id, instance.created_at
FROM forktex_flow.instance
LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
WHERE true";

const COUNTED: &str = "
SELECT count(*) AS count FROM (
    SELECT FROM forktex_flow.instance
    LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
    WHERE true";

const SUMMARY: &str = "
SELECT run.status, count(*) AS count,
       min(instance.created_at) AS oldest, max(instance.created_at) AS newest,
       extract(epoch FROM avg(instance.finished_at - instance.started_at))::double precision
           AS average_seconds,
       grouping(run.status) = 1 AS is_total,
       extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (
           ORDER BY instance.finished_at - instance.started_at
       ))::double precision AS p95_seconds
FROM forktex_flow.instance
LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL THEN 'running'
           ELSE instance.status END AS status
) AS run
WHERE true";

/// What a run is: of one that lives, `active` knows whether it runs.
const STATUS: &str = "
CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL THEN 'running'
     ELSE instance.status END";

/// The runs that live: a small table, or a list of those alone.
const LIVING: &str = "
AND active.instance_id IS NOT NULL";

/// Where a run is: as of when it began to wait, or the stage that its journal names last.
const AT_NODES: (&str, &str, &str) = (
    "
AND active.started_at IS NOT NULL AND EXISTS (
    SELECT FROM forktex_flow.definition
    WHERE definition.definition_id = active.definition_id
      AND CASE WHEN active.waits_on IS NOT NULL AND active.current_nodes IS NOT NULL
          THEN active.current_nodes && ",
    "
          ELSE definition.stages -> coalesce((
              -- A run that is in no stage is at none of them.
              SELECT CASE WHEN journal.stage < 0 THEN 1000000 ELSE journal.stage END
              FROM forktex_flow.journal
              WHERE journal.instance_id = active.instance_id
              ORDER BY journal.sequence DESC
              LIMIT 1
          ), 0) ?| ",
    "
      END
)",
);

/// A statement under way.
struct Composed<'a> {
    builder: QueryBuilder<Postgres>,
    schema: &'a str,
}

impl<'a> Composed<'a> {
    fn new(schema: &'a str, head: &'static str) -> Result<Self, DbError> {
        let mut composed = Self {
            builder: QueryBuilder::new(""),
            schema,
        };
        composed.push(head)?;
        Ok(composed)
    }

    /// Adds a fragment of ours, with the schema's name put in.
    fn push(&mut self, fragment: &'static str) -> Result<&mut Self, DbError> {
        let renamed = rename_schema(fragment, DEFAULT_SCHEMA, self.schema)?;
        self.builder.push(renamed.as_ref());
        Ok(self)
    }

    fn filter(&mut self, filter: &InstanceFilter) -> Result<(), DbError> {
        if let Some(workflow) = &filter.workflow {
            self.push(" AND instance.workflow_name = ")?;
            self.builder.push_bind(workflow.clone());
        }
        if let Some(version) = filter.version {
            self.push(" AND instance.workflow_version = ")?;
            self.builder.push_bind(i64::from(version));
        }
        if let Some(namespace) = &filter.namespace {
            self.push(" AND instance.namespace = ")?;
            self.builder.push_bind(namespace.clone());
            // A generic plan must know that the partial index will do.
            if !namespace.is_empty() {
                self.push(" AND instance.namespace <> ''")?;
            }
        }
        if let Some(statuses) = &filter.statuses {
            self.statuses(statuses)?;
        }
        if filter.is_of_the_living() {
            self.push(LIVING)?;
        }
        if let Some(metadata) = &filter.metadata {
            self.push(" AND instance.metadata @> ")?;
            self.builder.push_bind(Json(metadata.clone()));
            if metadata
                .as_object()
                .is_some_and(|fields| !fields.is_empty())
            {
                self.push(" AND instance.metadata <> '{}'")?;
            }
        }
        if let Some(input) = &filter.input {
            self.push(" AND instance.input @> ")?;
            self.builder.push_bind(Json(input.clone()));
        }
        if let Some(nodes) = &filter.current_nodes {
            self.push(AT_NODES.0)?.builder.push_bind(nodes.clone());
            self.push(AT_NODES.1)?.builder.push_bind(nodes.clone());
            self.push(AT_NODES.2)?;
        }
        self.times_and_origins(filter)
    }

    fn statuses(&mut self, statuses: &[InstanceStatus]) -> Result<(), DbError> {
        let words: Vec<String> = statuses
            .iter()
            .map(|status| status.as_str().to_owned())
            .collect();
        if statuses.iter().all(|status| status.is_terminal()) {
            self.push(" AND instance.status = ANY (")?;
        } else {
            self.push(" AND ")?.push(STATUS)?.push(" = ANY (")?;
        }
        self.builder.push_bind(words);
        self.push(")")?;
        let is_bad = |status: &InstanceStatus| {
            matches!(status, InstanceStatus::Failed | InstanceStatus::Cancelled)
        };
        if !statuses.is_empty() && statuses.iter().all(is_bad) {
            self.push(" AND (instance.failure IS NOT NULL OR instance.cancel_reason IS NOT NULL)")?;
        }
        Ok(())
    }

    fn times_and_origins(&mut self, filter: &InstanceFilter) -> Result<(), DbError> {
        if let Some(since) = filter.since {
            self.push(" AND instance.created_at >= ")?;
            self.builder.push_bind(since);
        }
        if let Some(until) = filter.until {
            self.push(" AND instance.created_at < ")?;
            self.builder.push_bind(until);
        }
        if let Some(triggers) = &filter.triggers {
            self.push(" AND instance.triggered_by = ANY (")?;
            self.builder.push_bind(triggers.clone());
            self.push(")")?;
            if triggers.iter().all(|trigger| trigger != "manual") {
                self.push(" AND instance.triggered_by <> 'manual'")?;
            }
        }
        if let Some(parent) = filter.parent {
            self.push(" AND instance.parent_id = ")?;
            self.builder.push_bind(parent.0);
        }
        if let Some(source) = filter.retry_of {
            self.push(" AND instance.retry_of = ")?;
            self.builder.push_bind(source.0);
        }
        if filter.without_retry {
            self.push(
                " AND NOT EXISTS (SELECT FROM forktex_flow.instance AS retry
                   WHERE retry.retry_of = instance.instance_id)",
            )?;
        }
        Ok(())
    }

    /// The order, and where in it the page begins.
    fn page(&mut self, request: &PageRequest) -> Result<(), DbError> {
        let key = match request.sort {
            SortField::CreatedAt => "instance.created_at",
            SortField::StartedAt => "coalesce(instance.started_at, active.started_at, 'epoch')",
            SortField::FinishedAt => "coalesce(instance.finished_at, 'epoch')",
            SortField::WorkflowName => "instance.workflow_name COLLATE \"C\"",
            SortField::Status => {
                "(CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL \
                  THEN 'running' ELSE instance.status END) COLLATE \"C\""
            }
        };
        let (beyond, direction) = match request.direction {
            Direction::Ascending => (" > (", " ASC"),
            Direction::Descending => (" < (", " DESC"),
        };
        if let Some([value, Value::Uuid(instance)]) = request.after.as_deref() {
            self.push(" AND (")?.push(key)?;
            self.push(", instance.instance_id)")?.push(beyond)?;
            match value {
                Value::Timestamp(time) => self.builder.push_bind(*time),
                Value::Text(text) => self.builder.push_bind(text.clone()),
                _ => return Err(unreadable("cursor")),
            };
            self.push(", ")?.builder.push_bind(*instance);
            self.push(")")?;
        }
        self.push(" ORDER BY ")?.push(key)?.push(direction)?;
        self.push(", instance.instance_id")?.push(direction)?;
        self.push(" LIMIT ")?;
        self.builder.push_bind(i64::from(request.limit));
        Ok(())
    }

    async fn rows(&mut self, db: &Db) -> Result<Vec<PgRow>, DbError> {
        self.builder.build().single(db).fetch_all().await
    }
}

#[async_trait]
impl QueryStore for PostgresStore {
    async fn page(&self, request: &PageRequest) -> Result<Vec<StoredInstance>, DbError> {
        let mut composed = Composed::new(&self.schema, RUNS)?;
        composed.filter(&request.filter)?;
        composed.page(request)?;
        let rows = composed.rows(&self.db).await?;
        let instances = rows.iter().map(|row| row::instance(row, &self.sealing));
        let instances = instances.collect::<Result<Vec<_>, DbError>>()?;
        let ids: Vec<InstanceId> = instances.iter().map(|run| run.instance_id).collect();
        let mut journals = self.journals(&ids).await?;
        let stored = instances.into_iter().map(|instance| {
            let journal = journals.remove(&instance.instance_id);
            Ok(StoredInstance {
                journal: journal.unwrap_or(Ok(Vec::new()))?,
                instance,
            })
        });
        stored.collect()
    }

    async fn page_of_ids(
        &self,
        request: &PageRequest,
    ) -> Result<Vec<(OffsetDateTime, InstanceId)>, DbError> {
        let mut composed = Composed::new(&self.schema, IDENTIFIERS)?;
        composed.filter(&request.filter)?;
        composed.page(request)?;
        let rows = composed.rows(&self.db).await?;
        rows.iter()
            .map(|row| {
                let instance: Uuid = row.try_get("instance_id")?;
                Ok((row.try_get("created_at")?, InstanceId(instance)))
            })
            .collect()
    }

    async fn count_runs(
        &self,
        filter: &InstanceFilter,
        up_to: Option<u64>,
    ) -> Result<u64, DbError> {
        let mut composed = Composed::new(&self.schema, COUNTED)?;
        composed.filter(filter)?;
        if let Some(up_to) = up_to {
            composed.push(" LIMIT ")?;
            let limit = i64::try_from(up_to).unwrap_or(i64::MAX);
            composed.builder.push_bind(limit);
        }
        composed.push(") AS counted")?;
        let row = composed
            .builder
            .build()
            .single(&self.db)
            .fetch_one()
            .await?;
        Ok(row.try_get::<i64, _>("count")?.unsigned_abs())
    }

    async fn now(&self) -> Result<OffsetDateTime, DbError> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()")
            .single(&self.db)
            .fetch_one()
            .await?)
    }

    async fn sum_up(&self, filter: &InstanceFilter) -> Result<InstanceSummary, DbError> {
        let mut composed = Composed::new(&self.schema, SUMMARY)?;
        composed.filter(filter)?;
        composed.push(" GROUP BY GROUPING SETS ((run.status), ())")?;
        let rows = composed.rows(&self.db).await?;
        summary(&rows)
    }
}

fn summary(rows: &[PgRow]) -> Result<InstanceSummary, DbError> {
    let mut summary = InstanceSummary {
        total: 0,
        by_status: BTreeMap::new(),
        avg_duration: None,
        p95_duration: None,
        oldest: None,
        newest: None,
    };
    let duration = |seconds: Option<f64>| {
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    for row in rows {
        let count = row.try_get::<i64, _>("count")?.unsigned_abs();
        if row.try_get("is_total")? {
            summary.total = count;
            summary.avg_duration = duration(row.try_get("average_seconds")?);
            summary.p95_duration = duration(row.try_get("p95_seconds")?);
            summary.oldest = row.try_get("oldest")?;
            summary.newest = row.try_get("newest")?;
            continue;
        }
        let status: String = row.try_get("status")?;
        let status = InstanceStatus::parse(&status).ok_or_else(|| unreadable("status"))?;
        summary.by_status.insert(status, count);
    }
    Ok(summary)
}

#[cfg(test)]
mod tests;
