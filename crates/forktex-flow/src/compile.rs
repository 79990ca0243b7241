// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From a declaration to what the worker runs: checked names, a plan, and the hashes a run is pinned
//! to.

pub(crate) mod config;
pub(crate) mod plan;
pub(crate) mod validate;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::definition::Declaration;
use crate::definition::binding::Binding;
use crate::definition::topology::Topology;
use crate::error::DefinitionFault;
use crate::identifier::{NodeName, Version, WorkflowName};
use crate::schedule::input::WorkflowSchedule;
use crate::state::erased::StateCodec;
use plan::{NodeIndex, Plan};

/// A checked workflow.
pub(crate) struct CompiledWorkflow {
    pub(crate) name: WorkflowName,
    pub(crate) version: Version,
    pub(crate) plan: Plan,
    pub(crate) topology: Arc<Topology>,
    pub(crate) topology_lines: BTreeSet<String>,
    pub(crate) topology_hash: [u8; 32],
    pub(crate) state_hash: [u8; 32],
    pub(crate) state_lines: BTreeSet<String>,
    pub(crate) codec: Arc<dyn StateCodec>,
    pub(crate) schedule: Option<WorkflowSchedule>,
    bindings: Vec<Binding>,
}

impl CompiledWorkflow {
    pub(crate) fn binding(&self, node: NodeIndex) -> &Binding {
        &self.bindings[node.0]
    }

    pub(crate) fn bindings(&self) -> impl Iterator<Item = (&NodeName, &Binding)> {
        self.plan.nodes.iter().zip(&self.bindings)
    }
}

impl fmt::Debug for CompiledWorkflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CompiledWorkflow")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// Checks a declaration and plans it.
///
/// # Errors
/// Every fault that was found.
pub(crate) fn compile(declaration: Declaration) -> Result<CompiledWorkflow, Vec<DefinitionFault>> {
    let mut faults = validate::faults(&declaration);
    let name = WorkflowName::new(&declaration.name).map_err(|error| faults.push(error.into()));
    let schedule = declaration.schedule.and_then(|declared| {
        let schedule = declared.schedule.map_err(|error| faults.push(error.into()));
        Some(WorkflowSchedule {
            schedule: schedule.ok()?,
            input: declared.input,
        })
    });
    let (Ok(name), true) = (name, faults.is_empty()) else {
        return Err(faults);
    };
    let plan = Plan::of(&declaration.topology).ok_or_else(|| vec![DefinitionFault::Empty])?;
    let schema = declaration.codec.schema();
    let mut state_hash = Sha256::new();
    for field in schema.fields {
        for part in [field.name, field.type_name, field.reducer.as_str()] {
            state_hash.update(part.as_bytes());
            state_hash.update([0]);
        }
    }
    Ok(CompiledWorkflow {
        name,
        version: declaration.version,
        plan,
        topology_lines: declaration.topology.lines(),
        topology_hash: declaration.topology.hash(),
        topology: Arc::new(declaration.topology),
        state_hash: state_hash.finalize().into(),
        state_lines: schema.lines(),
        codec: declaration.codec,
        schedule,
        bindings: declaration.bindings,
    })
}
