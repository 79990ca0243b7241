// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reading lists of runs.

use async_trait::async_trait;
use forktex_db::{DbError, Direction, Value};
use time::OffsetDateTime;

use super::StoredInstance;
use crate::identifier::InstanceId;
use crate::instance::list::{InstanceFilter, InstanceSummary, SortField};

/// A part of a list of runs.
#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    pub(crate) filter: InstanceFilter,
    pub(crate) sort: SortField,
    pub(crate) direction: Direction,
    /// The sort's value and the identifier of the run after which it begins.
    pub(crate) after: Option<Vec<Value>>,
    pub(crate) limit: u32,
}

/// Lists of runs.
#[async_trait]
pub(crate) trait QueryStore {
    /// The runs, in order, with their journals.
    async fn page(&self, request: &PageRequest) -> Result<Vec<StoredInstance>, DbError>;

    /// When the runs were accepted, and which they are, in order.
    async fn page_of_ids(
        &self,
        request: &PageRequest,
    ) -> Result<Vec<(OffsetDateTime, InstanceId)>, DbError>;

    /// How many there are; no more than `up_to` are counted.
    async fn count_runs(&self, filter: &InstanceFilter, up_to: Option<u64>)
    -> Result<u64, DbError>;

    /// The database's clock.
    async fn now(&self) -> Result<OffsetDateTime, DbError>;

    async fn sum_up(&self, filter: &InstanceFilter) -> Result<InstanceSummary, DbError>;
}
