// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Limits on how many runs are held by workers at once: what is stored of them.

use async_trait::async_trait;
use forktex_db::DbError;

use crate::identifier::{Namespace, WorkflowName};

/// Which runs a limit concerns: those of the namespace and the workflow, where they are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Concern {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) workflow: Option<WorkflowName>,
}

impl Concern {
    /// Whether it concerns runs of this workflow in this namespace.
    pub(crate) fn is_about(&self, namespace: &str, workflow: &str) -> bool {
        let given = self.namespace.as_ref();
        given.is_none_or(|given| given.as_str() == namespace)
            && self
                .workflow
                .as_ref()
                .is_none_or(|given| given.as_str() == workflow)
    }
}

/// A limit, and how many runs that it concerns are held now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLimit {
    pub(crate) concern: Concern,
    pub(crate) max_running: u32,
    pub(crate) running: u64,
}

/// Limits on how many runs are held at once.
#[async_trait]
pub(crate) trait LimitStore {
    /// Sets a limit, or removes it where none is given.
    async fn set_running_limit(
        &self,
        concern: &Concern,
        max_running: Option<u32>,
    ) -> Result<(), DbError>;

    /// All of them, in the order of what they concern.
    async fn running_limits(&self) -> Result<Vec<StoredLimit>, DbError>;
}
