// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a change of definitions leaves to be done with rows: building indexes, unique guards and search
//! words from the rows that are there, and taking out what fields and registers had that are no more.
//!
//! It goes in batches, each a transaction of its own that notes where it stands, so that it can be stopped
//! at any point and goes on there, in this process or another. An index is never invalid: queries go by it
//! once it is complete, and writers keep it from the moment it is begun. Nothing here changes a cell, but
//! to take out those of a field that was dropped.

mod build;
pub(crate) mod removal;
mod statement;

use std::time::Instant;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};

use crate::catalog::Unfinished;
use crate::computed::recompute;
use crate::error::DataError;
use crate::keys::RegisterKey;
use crate::limits::MAINTENANCE_BATCH_ROWS;
use crate::schema::SchemaError;
use crate::tenant_data::TenantData;

const LEFT: &str = "
    SELECT
        (SELECT count(*) FROM forktex_data.field WHERE tenant_id = $1
            AND (index_state = 'building' OR unique_state = 'building' OR search_state = 'building'))
            AS builds,
        (SELECT count(*) FROM forktex_data.removal WHERE tenant_id = $1) AS removals";

/// A batch is the next rows of an index. Left to itself, the planner may read all that follow and sort
/// them, for each batch anew: measured at 50,000 rows. What it may not do counts as so dear that it would
/// compile the statement, which takes longer than to run it.
const WALK_IN_ORDER: &str = "
    SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true),
        set_config('jit', 'off', true)";

/// What to work on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// These registers; all of the tenant without it.
    pub(crate) registers: Option<&'a [RegisterKey]>,
    /// No batch begins after it.
    pub(crate) deadline: Option<Instant>,
}

impl Scope<'_> {
    /// The registers, to be bound.
    fn keys(&self) -> Option<Vec<i64>> {
        let registers = self.registers?;
        Some(registers.iter().map(|key| key.0).collect())
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What is left after the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) builds: u64,
    pub(crate) removals: u64,
}

/// Works until nothing is left in the scope, or its deadline has passed. Gives the builds that failed:
/// their fields were put back to what they were.
pub(crate) async fn settle(
    tenant: &TenantData,
    scope: Scope<'_>,
) -> Result<Vec<SchemaError>, DataError> {
    removal::run(tenant, scope).await?;
    let failures = build::run(tenant, scope).await?;
    if !failures.is_empty() {
        removal::run(tenant, scope).await?;
    }
    Ok(failures)
}

/// Does what a change of definitions has left, to its end.
///
/// # Errors
/// That of the first build that failed.
pub(crate) async fn settle_now(
    tenant: &TenantData,
    unfinished: &Unfinished,
) -> Result<(), DataError> {
    if unfinished.recomputes {
        recompute::run(tenant.data().db(), tenant.org(), usize::MAX).await?;
    }
    if unfinished.registers.is_empty() {
        return Ok(());
    }
    let scope = Scope {
        registers: Some(&unfinished.registers),
        deadline: None,
    };
    match settle(tenant, scope).await?.into_iter().next() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// What is left for the tenant. One statement.
pub(crate) async fn left(tenant: &TenantData) -> Result<Left, DataError> {
    tenant
        .transaction(async |tx| -> Result<Left, DataError> {
            let row = sqlx::query(LEFT)
                .bind(tenant.org())
                .fetch_one(tx.connection())
                .await?;
            Ok(Left {
                builds: row.try_get::<i64, _>("builds")?.unsigned_abs(),
                removals: row.try_get::<i64, _>("removals")?.unsigned_abs(),
            })
        })
        .await
}

/// For the rest of the transaction.
async fn walk_in_order(tx: &mut Transaction) -> Result<(), DataError> {
    sqlx::query(WALK_IN_ORDER).execute(tx.connection()).await?;
    Ok(())
}

/// The size of a batch, to be bound.
fn batch_rows() -> i64 {
    i64::try_from(MAINTENANCE_BATCH_ROWS).unwrap_or(i64::MAX)
}
