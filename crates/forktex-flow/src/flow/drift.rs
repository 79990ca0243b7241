// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tells where the shape of a state differs from what was deployed under the same version.

use std::collections::HashMap;
use std::sync::Arc;

use forktex_db::DbError;

use super::Flow;
use crate::compile::CompiledWorkflow;
use crate::definition::topology::difference;
use crate::error::DriverError;
use crate::identifier::DefinitionId;
use crate::instance::migration::StateDrift;
use crate::store::DefinitionRefused;

impl Flow {
    /// The workflows of this process whose state has other fields, types or reducers than it had when a
    /// process first brought the same version.
    ///
    /// That is no error: a field that may be absent can be added. But a run whose state does not decode
    /// in this process is left to one in which it does. Starting the driver logs the same as warnings.
    /// What was first brought by a release that kept no shapes is compared from the next start on. One
    /// statement, and one for each workflow that this process has not brought yet.
    ///
    /// # Errors
    /// As of [`start_driver`](Self::start_driver).
    ///
    /// # Cancellation
    /// Cancel-safe.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # async fn example(flow: Flow) -> Result<(), FlowError> {
    /// for drift in flow.state_drift().await? {
    ///     println!("{} {}: {}", drift.workflow, drift.version, drift.difference);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn state_drift(&self) -> Result<Vec<StateDrift>, DriverError> {
        let workflows = self.bring_definitions().await?;
        Ok(self.drift_of(&workflows).await?)
    }

    /// Brings the definitions of this process to the database, where they are not there yet.
    pub(super) async fn bring_definitions(
        &self,
    ) -> Result<HashMap<DefinitionId, Arc<CompiledWorkflow>>, DriverError> {
        let mut workflows = HashMap::new();
        for workflow in self.0.registry.iter() {
            let id = self
                .definition(workflow)
                .await
                .map_err(|refused| match refused {
                    DefinitionRefused::Topology(changed) => DriverError::Topology(changed),
                    DefinitionRefused::Database(error) => DriverError::Database(error),
                })?;
            workflows.insert(id, Arc::clone(workflow));
        }
        Ok(workflows)
    }

    pub(super) async fn warn_of_drift(
        &self,
        workflows: &HashMap<DefinitionId, Arc<CompiledWorkflow>>,
    ) -> Result<(), DbError> {
        for drift in self.drift_of(workflows).await? {
            tracing::warn!(
                workflow = %drift.workflow, version = drift.version, difference = drift.difference,
                "the state has another shape than was deployed under this version; runs that do not \
                 decode here wait for a process in which they do"
            );
        }
        Ok(())
    }

    async fn drift_of(
        &self,
        workflows: &HashMap<DefinitionId, Arc<CompiledWorkflow>>,
    ) -> Result<Vec<StateDrift>, DbError> {
        let mut definitions: Vec<DefinitionId> = workflows.keys().copied().collect();
        definitions.sort_unstable();
        let shapes = self.0.store.state_shapes(&definitions).await?;
        let drifted = definitions.iter().filter_map(|id| {
            let (workflow, shape) = (workflows.get(id)?, shapes.get(id)?);
            (workflow.state_lines != *shape).then(|| StateDrift {
                workflow: workflow.name.clone(),
                version: workflow.version,
                difference: difference(shape, &workflow.state_lines),
            })
        });
        Ok(drifted.collect())
    }
}
