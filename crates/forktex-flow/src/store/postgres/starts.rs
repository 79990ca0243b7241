// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Inserting runs, on a connection of the store's or of the caller's transaction.

use std::collections::HashMap;

use forktex_db::DbError;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, PgConnection, Row};

use super::PostgresStore;
use super::row::microseconds;
use crate::identifier::InstanceId;
use crate::store::{NewRun, Started};

impl PostgresStore {
    /// Inserts runs. Those whose idempotency key is taken are missing in the answer.
    pub(super) async fn insert_runs(
        &self,
        connection: &mut PgConnection,
        runs: &[NewRun],
    ) -> Result<HashMap<InstanceId, Started>, DbError> {
        if runs.is_empty() {
            return Ok(HashMap::new());
        }
        let column = |of: fn(&NewRun) -> &str| runs.iter().map(of).collect::<Vec<_>>();
        let births = runs.iter().map(|run| run.birth.as_ref());
        let rows = sqlx::query(self.statements.start_runs.clone())
            .bind(runs.iter().map(|run| run.instance_id.0).collect::<Vec<_>>())
            .bind(
                runs.iter()
                    .map(|run| run.definition_id.0)
                    .collect::<Vec<_>>(),
            )
            .bind(column(|run| run.namespace.as_str()))
            .bind(column(|run| run.workflow_name.as_str()))
            .bind(
                runs.iter()
                    .map(|run| i32::try_from(run.version).unwrap_or(i32::MAX))
                    .collect::<Vec<_>>(),
            )
            .bind(runs.iter().map(|run| Json(&run.input)).collect::<Vec<_>>())
            .bind(
                runs.iter()
                    .map(|run| Json(&run.metadata))
                    .collect::<Vec<_>>(),
            )
            .bind(column(|run| run.triggered_by.as_str()))
            .bind(
                runs.iter()
                    .map(|run| run.idempotency_key.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(runs.iter().map(|run| run.priority).collect::<Vec<_>>())
            .bind(
                runs.iter()
                    .map(|run| run.worker_id.map(|worker| worker.0))
                    .collect::<Vec<_>>(),
            )
            .bind(
                births
                    .clone()
                    .map(|birth| birth.map(|birth| birth.parent_id.0))
                    .collect::<Vec<_>>(),
            )
            .bind(
                births
                    .clone()
                    .map(|birth| birth.map(|birth| birth.sibling_group.as_str()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                births
                    .clone()
                    .map(|birth| birth.is_some_and(|birth| birth.waits_for_turn))
                    .collect::<Vec<_>>(),
            )
            .bind(
                runs.iter()
                    .map(|run| run.deadline.map(microseconds))
                    .collect::<Vec<_>>(),
            )
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| {
                let started = if row.try_get("is_claimed")? {
                    Started::Claimed {
                        claimed_at: row.try_get("claimed_at")?,
                    }
                } else {
                    Started::Ready
                };
                Ok((InstanceId(row.try_get("instance_id")?), started))
            })
            .collect()
    }

    pub(super) async fn existing(
        &self,
        connection: &mut PgConnection,
        run: &NewRun,
    ) -> Result<Started, DbError> {
        let row = sqlx::query(self.statements.find_by_idempotency_key.clone())
            .bind(run.namespace.as_str())
            .bind(run.workflow_name.as_str())
            .bind(run.idempotency_key.as_deref())
            .bind(i32::try_from(run.version).unwrap_or(i32::MAX))
            .bind(Json(&run.input))
            .fetch_one(connection)
            .await?;
        Ok(Started::Existing {
            instance_id: InstanceId(row.try_get("instance_id")?),
            is_same: row.try_get("is_same")?,
        })
    }
}
