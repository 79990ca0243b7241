// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Limits on how many runs are held at once, on Postgres.

use async_trait::async_trait;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};

use super::PostgresStore;
use super::row::unreadable;
use crate::identifier::{Namespace, WorkflowName};
use crate::store::limits::{Concern, LimitStore, StoredLimit};

/// What is stored for any namespace, or any workflow.
const ANY: &str = "";

#[async_trait]
impl LimitStore for PostgresStore {
    async fn set_running_limit(
        &self,
        concern: &Concern,
        max_running: Option<u32>,
    ) -> Result<(), DbError> {
        let namespace = concern.namespace.as_ref().map_or(ANY, Namespace::as_str);
        let workflow = concern.workflow.as_ref().map_or(ANY, WorkflowName::as_str);
        let statement = match max_running {
            Some(_) => &self.statements.set_running_limit,
            None => &self.statements.remove_running_limit,
        };
        let query = sqlx::query(statement.clone())
            .bind(namespace)
            .bind(workflow);
        let query = match max_running {
            Some(max) => query.bind(i32::try_from(max).unwrap_or(i32::MAX)),
            None => query,
        };
        query.single(&self.db).execute().await?;
        Ok(())
    }

    async fn running_limits(&self) -> Result<Vec<StoredLimit>, DbError> {
        let rows = sqlx::query(self.statements.list_running_limits.clone())
            .single(&self.db)
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| {
                let namespace: String = row.try_get("namespace")?;
                let workflow: String = row.try_get("workflow_name")?;
                let namespace = Some(namespace).filter(|name| name != ANY);
                let workflow = Some(workflow).filter(|name| name != ANY);
                let concern = Concern {
                    namespace: namespace
                        .map(Namespace::new)
                        .transpose()
                        .map_err(|_| unreadable("namespace"))?,
                    workflow: workflow
                        .map(WorkflowName::new)
                        .transpose()
                        .map_err(|_| unreadable("workflow_name"))?,
                };
                Ok(StoredLimit {
                    concern,
                    max_running: row.try_get::<i32, _>("max_running")?.unsigned_abs(),
                    running: row.try_get::<i64, _>("running")?.unsigned_abs(),
                })
            })
            .collect()
    }
}
