// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The work that changes have left, done by a service's worker whenever it likes: each piece in batches
//! that note where they stand.

use std::time::Instant;

use serde::Serialize;

use crate::computed::recompute;
use crate::error::DataError;
use crate::index::{self, Scope};
use crate::limits::{MAINTENANCE_BATCH_ROWS, MAINTENANCE_TIME_MAX};
use crate::schema::SchemaError;
use crate::tenant_data::TenantData;
use crate::type_change;

/// Rows that one call recomputes.
const RECOMPUTE_ROWS_MAX: usize = 20 * MAINTENANCE_BATCH_ROWS;

/// What [`TenantData::run_maintenance`] has left, and what it met.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Fields of which an index, a unique guard or the search words are still being built.
    pub builds_left: u64,
    /// Fields and registers of which something is still to be taken out.
    pub removals_left: u64,
    /// Changes of types that are under way.
    pub type_changes_left: u64,
    /// Notes of computed fields that are still to be brought up to date.
    pub recomputes_left: u64,
    /// Builds that cannot succeed. Their fields were put back to what they were.
    #[serde(skip)]
    pub failures: Vec<SchemaError>,
}

impl MaintenanceReport {
    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        let left = [
            self.builds_left,
            self.removals_left,
            self.type_changes_left,
            self.recomputes_left,
        ];
        left.iter().all(|left| *left == 0)
    }
}

impl TenantData {
    /// Does work that changes have left: builds indexes and takes out what was dropped, goes on with
    /// changes of types, and brings computed fields up to date, at most 100,000 rows.
    ///
    /// A service calls it from a worker, for each tenant, now and then, and again while something is left. No
    /// batch of the first two begins after a minute. Many processes may call it at once. Each batch is a
    /// transaction of some five statements on at most 5,000 rows, which writers of the same rows wait for.
    ///
    /// # Errors
    /// [`DataError::Db`] when the database cannot be reached. A build that cannot succeed is no error, but
    /// stands in the report.
    ///
    /// # Cancellation
    /// Safe: what is done is kept, and the next call goes on there.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(tenant: forktex_data::TenantData) -> Result<(), forktex_data::DataError> {
    /// while !tenant.run_maintenance().await?.is_done() {}
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_maintenance(&self) -> Result<MaintenanceReport, DataError> {
        let scope = Scope {
            registers: None,
            deadline: Some(Instant::now() + MAINTENANCE_TIME_MAX),
        };
        let failures = index::settle(self, scope).await?;
        let type_changes_left = type_change::maintain(self).await?;
        let recomputes_left =
            recompute::run(self.data().db(), self.org(), RECOMPUTE_ROWS_MAX).await?;
        let left = index::left(self).await?;
        Ok(MaintenanceReport {
            builds_left: left.builds,
            removals_left: left.removals,
            type_changes_left,
            recomputes_left,
            failures,
        })
    }
}
