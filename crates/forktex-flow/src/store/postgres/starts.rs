// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Inserting runs, on a connection of the store's or of the caller's transaction.

use std::collections::HashMap;

use forktex_db::DbError;
use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, PgConnection, Row};
use serde_json::Value;

use super::PostgresStore;
use super::row::microseconds;
use super::sealing::are_same;
use crate::identifier::InstanceId;
use crate::store::{NewRun, Started};

impl PostgresStore {
    /// Inserts runs. Those whose idempotency key is taken are missing in the answer.
    pub(super) async fn insert_runs(
        &self,
        connection: &mut PgConnection,
        runs: &[NewRun],
    ) -> Result<HashMap<InstanceId, Started>, DbError> {
        match runs {
            [] => return Ok(HashMap::new()),
            [run] => return self.insert_run(connection, run).await,
            _ => {}
        }
        let column = |of: fn(&NewRun) -> &str| runs.iter().map(of).collect::<Vec<_>>();
        let inputs = runs
            .iter()
            .map(|run| self.sealing.input(run.instance_id, &run.input).map(Json))
            .collect::<Result<Vec<_>, DbError>>()?;
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
            .bind(inputs)
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
        rows.iter().map(started).collect()
    }

    /// The way of one start, without arrays.
    async fn insert_run(
        &self,
        connection: &mut PgConnection,
        run: &NewRun,
    ) -> Result<HashMap<InstanceId, Started>, DbError> {
        let birth = run.birth.as_ref();
        let row = sqlx::query(self.statements.start_run.clone())
            .bind(run.instance_id.0)
            .bind(run.definition_id.0)
            .bind(run.namespace.as_str())
            .bind(run.workflow_name.as_str())
            .bind(i32::try_from(run.version).unwrap_or(i32::MAX))
            .bind(Json(self.sealing.input(run.instance_id, &run.input)?))
            .bind(Json(&run.metadata))
            .bind(run.triggered_by.as_str())
            .bind(run.idempotency_key.as_deref())
            .bind(run.priority)
            .bind(run.worker_id.map(|worker| worker.0))
            .bind(birth.map(|birth| birth.parent_id.0))
            .bind(birth.map(|birth| birth.sibling_group.as_str()))
            .bind(birth.is_some_and(|birth| birth.waits_for_turn))
            .bind(run.deadline.map(microseconds))
            .fetch_optional(connection)
            .await?;
        row.iter().map(started).collect()
    }

    /// The run that has the idempotency key of another. A sealed input is compared here: what is sealed
    /// twice is not the same twice, and a digest to compare by would tell what a short input is.
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
            // What is to be sealed is not shown to the server.
            .bind((!self.sealing.is_on()).then_some(Json(&run.input)))
            .fetch_one(connection)
            .await?;
        let instance_id = InstanceId(row.try_get("instance_id")?);
        let stored: Option<Json<Value>> = row.try_get("input")?;
        let is_same_input = match stored {
            None => row.try_get("is_same_input")?,
            Some(Json(stored)) => match self.sealing.open_input(instance_id, stored) {
                Ok(stored) => are_same(&stored, &run.input),
                Err(error) => return Ok(Started::Incomparable { error }),
            },
        };
        let is_same_version: bool = row.try_get("is_same_version")?;
        Ok(Started::Existing {
            instance_id,
            is_same: is_same_version && is_same_input,
        })
    }
}

/// A run that was started.
fn started(row: &PgRow) -> Result<(InstanceId, Started), DbError> {
    let started = if row.try_get("is_claimed")? {
        Started::Claimed {
            claimed_at: row.try_get("claimed_at")?,
        }
    } else {
        Started::Ready
    };
    Ok((InstanceId(row.try_get("instance_id")?), started))
}
