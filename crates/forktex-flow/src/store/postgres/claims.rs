// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Claiming runs on Postgres: in one statement where no limit concerns them, and else in a transaction
//! of two, of which the first holds the limits and the second counts and claims.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use forktex_db::sqlx::postgres::PgRow;
use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use uuid::Uuid;

use super::row::{claimed, unreadable};
use super::{PostgresStore, definition_ids, journal_row, uuids};
use crate::identifier::{DefinitionId, InstanceId, Namespace};
use crate::instance::journal::Recorded;
use crate::store::{ClaimRequest, Claimable, ClaimedRun, Claims, Turn};

/// A journal, or why it cannot be read.
type Journal = Result<Vec<Recorded>, DbError>;

impl Claimable {
    /// What `active_ready` is led by.
    fn suspicion(self) -> i32 {
        match self {
            Self::Ready => 0,
            Self::Suspect => 1,
        }
    }
}

impl PostgresStore {
    /// Claims what no limit concerns.
    pub(super) async fn claim_plain(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        let rows = sqlx::query(self.statements.claim_runs.clone())
            .bind(request.worker.0)
            .bind(definition_ids(request.definitions))
            .bind(i64::from(request.room))
            .bind(request.turn.namespace.as_str())
            .bind(request.turn.definition.0)
            .bind(request.which.suspicion())
            .single(&self.db)
            .fetch_all()
            .await?;
        let first = rows.first().ok_or_else(|| unreadable("turn"))?;
        Ok(Claims {
            turn: turn(first)?,
            is_more: first.try_get("is_more")?,
            is_limited: first.try_get("is_limited")?,
            is_contended: false,
            runs: self.with_journals(rows).await?,
        })
    }

    /// Claims whatever there is, within the limits.
    pub(super) async fn claim_limited(
        &self,
        request: &ClaimRequest<'_>,
    ) -> Result<Claims, DbError> {
        let claim =
            async |tx: &mut forktex_db::Transaction| -> Result<(Claims, Vec<PgRow>), DbError> {
                let scan = sqlx::query(self.statements.hold_running_limits.clone())
                    .bind(definition_ids(request.definitions))
                    .bind(i64::from(request.room))
                    .bind(request.turn.namespace.as_str())
                    .bind(request.turn.definition.0)
                    .bind(request.which.suspicion())
                    .fetch_one(tx.connection())
                    .await?;
                let namespaces: Vec<String> = scan.try_get("namespaces")?;
                let definitions: Vec<i64> = scan.try_get("definition_ids")?;
                let rows = sqlx::query(self.statements.claim_limited_runs.clone())
                    .bind(request.worker.0)
                    .bind(&namespaces)
                    .bind(&definitions)
                    .bind(i64::from(request.room))
                    .bind(request.which.suspicion())
                    .bind(scan.try_get::<Vec<String>, _>("held_namespaces")?)
                    .bind(scan.try_get::<Vec<String>, _>("held_workflow_names")?)
                    .fetch_all(tx.connection())
                    .await?;
                let first = rows.first().ok_or_else(|| unreadable("turn"))?;
                // Where there were more namespaces than room, the next claim begins with the rest.
                let last_served: Option<i64> = first.try_get("turn_step")?;
                let last_served = last_served.and_then(|step| usize::try_from(step - 1).ok());
                let turn = match last_served {
                    Some(place) => at(
                        namespaces.get(place).map_or("", String::as_str),
                        definitions.get(place).copied().unwrap_or_default(),
                    )?,
                    None => turn(&scan)?,
                };
                let claims = Claims {
                    turn,
                    is_more: first.try_get("is_more")? || scan.try_get("is_cut")?,
                    is_limited: first.try_get("is_limited")?,
                    is_contended: scan.try_get("is_contended")?,
                    runs: Vec::new(),
                };
                Ok((claims, rows))
            };
        let (claims, rows) = self.db.transaction(claim).await?;
        let runs = self.with_journals(rows).await?;
        Ok(Claims { runs, ..claims })
    }

    async fn with_journals(&self, rows: Vec<PgRow>) -> Result<Vec<ClaimedRun>, DbError> {
        let mut runs = Vec::with_capacity(rows.len());
        let mut resumed = Vec::new();
        for row in &rows {
            // The first row is there where nothing was claimed.
            if row.try_get::<Option<Uuid>, _>("instance_id")?.is_none() {
                continue;
            }
            let (run, is_fresh) = claimed(row, &self.sealing)?;
            if !is_fresh {
                resumed.push(run.instance_id);
            }
            runs.push(run);
        }
        if !resumed.is_empty() {
            let mut journals = self.journals(&resumed).await?;
            for run in &mut runs {
                // One that cannot be read is its own matter, and not that of those claimed with it.
                match journals.remove(&run.instance_id) {
                    Some(Ok(journal)) => run.journal = journal,
                    Some(Err(error)) => run.unreadable = Some(error),
                    None => {}
                }
            }
        }
        Ok(runs)
    }

    pub(super) async fn journals(
        &self,
        instances: &[InstanceId],
    ) -> Result<HashMap<InstanceId, Journal>, DbError> {
        let rows = sqlx::query(self.statements.load_journals.clone())
            .bind(uuids(instances))
            .single(&self.db)
            .fetch_all()
            .await?;
        let mut journals: HashMap<InstanceId, Journal> = HashMap::new();
        for row in &rows {
            let instance = InstanceId(row.try_get("instance_id")?);
            let journal = journals.entry(instance).or_insert(Ok(Vec::new()));
            if let Ok(entries) = journal {
                match journal_row::recorded(row, &self.sealing) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => *journal = Err(error),
                }
            }
        }
        Ok(journals)
    }
}

fn turn(row: &PgRow) -> Result<Turn, DbError> {
    at(
        row.try_get("turn_namespace")?,
        row.try_get("turn_definition_id")?,
    )
}

fn at(namespace: &str, definition: i64) -> Result<Turn, DbError> {
    Ok(Turn {
        namespace: Namespace::new(namespace).map_err(|_| unreadable("namespace"))?,
        definition: DefinitionId(definition),
    })
}
