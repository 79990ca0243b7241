// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Limits on how many runs may be held by workers at once, which an operator sets while all runs.

use serde::Serialize;

use super::Flow;
use crate::error::DefinitionError;
use crate::identifier::{Namespace, WorkflowName};
use crate::store::limits::{Concern, StoredLimit};

/// A limit on how many runs workers hold at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunningLimit {
    /// The namespace whose runs it concerns; those of all where there is none.
    pub namespace: Option<Namespace>,
    /// The workflow whose runs it concerns, in all its versions; those of all where there is none.
    pub workflow: Option<WorkflowName>,
    /// How many of them workers may hold at once.
    pub max_running: u32,
    /// How many of them workers hold now.
    pub running: u64,
}

impl Flow {
    /// A limit on how many runs workers hold at once, to be set or removed: of all runs, of a
    /// namespace's, of a workflow's, or of a workflow's in a namespace. Where several concern a run, all
    /// hold.
    ///
    /// A run counts while a worker holds it; one that waits for a signal, a timer, a retry or its
    /// children does not. Nothing is counted up or down: each claim counts what workers hold, so that
    /// no place is lost with a worker that dies. Its places are free when its lease is over and another
    /// worker took its runs over. What that worker still does is refused by the tables, but a body of it
    /// may go on for a while, uncounted, if the process was frozen and not killed.
    ///
    /// All claims keep to a limit from the moment that it is set; runs that are held by then go on. A
    /// place that becomes free is taken at once by the worker that had it, and within a second by
    /// others. Where a limit concerns runs that are ready, a claim is a transaction of two statements and
    /// not one statement, and counts all runs that are held in the schema; elsewhere limits cost
    /// nothing.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_flow::prelude::*;
    ///
    /// # async fn example(flow: Flow) -> Result<(), FlowError> {
    /// flow.running_limit().namespace("org-abc").set(50).await?;
    /// flow.running_limit().workflow("video.encode").set(4).await?;
    /// flow.running_limit().namespace("org-abc").remove().await?;
    /// for limit in flow.running_limits().await? {
    ///     println!("{:?}: {} of {}", limit.workflow, limit.running, limit.max_running);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn running_limit(&self) -> RunningLimitHandle {
        RunningLimitHandle {
            flow: self.clone(),
            namespace: None,
            workflow: None,
        }
    }

    /// All limits on how many runs workers hold at once, by namespace and workflow, and how many are
    /// held. One statement, which counts all runs that are held in the schema.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn running_limits(&self) -> Result<Vec<RunningLimit>, DefinitionError> {
        let stored = self.0.store.running_limits().await?;
        let limit = |stored: StoredLimit| RunningLimit {
            namespace: stored.concern.namespace,
            workflow: stored.concern.workflow,
            max_running: stored.max_running,
            running: stored.running,
        };
        Ok(stored.into_iter().map(limit).collect())
    }
}

/// A limit to be set or removed; made by [`Flow::running_limit`].
#[derive(Debug, Clone)]
pub struct RunningLimitHandle {
    flow: Flow,
    namespace: Option<String>,
    workflow: Option<String>,
}

impl RunningLimitHandle {
    /// Only runs of this namespace. The platform's own runs, which have none, are in all limits that
    /// name no namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only runs of this workflow, in all its versions.
    pub fn workflow(mut self, name: impl Into<String>) -> Self {
        self.workflow = Some(name.into());
        self
    }

    /// Sets the limit, in the place of the one that was set before; with 0 none is claimed. The same
    /// again changes nothing. One statement.
    ///
    /// # Errors
    /// [`DefinitionError::Name`]; the database's.
    ///
    /// # Cancellation
    /// The limit may be set although the future was dropped.
    pub async fn set(self, max_running: u32) -> Result<(), DefinitionError> {
        self.change(Some(max_running)).await
    }

    /// Removes the limit, if there is one. One statement.
    ///
    /// # Errors
    /// [`DefinitionError::Name`]; the database's.
    ///
    /// # Cancellation
    /// The limit may be removed although the future was dropped.
    pub async fn remove(self) -> Result<(), DefinitionError> {
        self.change(None).await
    }

    async fn change(self, max_running: Option<u32>) -> Result<(), DefinitionError> {
        let namespace = self.namespace.filter(|namespace| !namespace.is_empty());
        let concern = Concern {
            namespace: namespace.map(Namespace::new).transpose()?,
            workflow: self.workflow.map(WorkflowName::new).transpose()?,
        };
        let store = &self.flow.0.store;
        store.set_running_limit(&concern, max_running).await?;
        // There may be more places now.
        self.flow.wake_workers();
        Ok(())
    }
}
