// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The runs that a step spawns, checked before they are started.

use super::STATE_BYTES_MAX;
use crate::ctx::RunContext;
use crate::ctx::call::Spawn;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::InstanceId;
use crate::state::payload;
use crate::store::{Birth, NewRun};
use crate::worker::Shared;

/// The runs that a step of a run spawns.
pub(super) fn newborns(
    shared: &Shared,
    parent: &RunContext,
    spawn: &Spawn,
) -> Result<Vec<NewRun>, StepFailure> {
    let fatal = |message: String| StepFailure::new(StepFailureKind::Fatal, &message);
    let catalog = &shared.catalog;
    let found = catalog.find(&parent.namespace, &spawn.workflow, spawn.version);
    let (definition_id, workflow) = found.ok_or_else(|| {
        fatal(format!(
            "cannot spawn workflow `{}`: it is not registered with this worker",
            spawn.workflow
        ))
    })?;
    let refused = |error: &dyn std::fmt::Display| {
        fatal(format!(
            "cannot spawn workflow `{}`: {error}",
            workflow.name
        ))
    };
    let inputs = spawn.inputs.iter().map(|input| {
        let state = workflow.codec.decode(input.clone());
        let input = state.and_then(|state| workflow.codec.encode(&state));
        let input = input.map_err(|error| refused(&error))?;
        payload::check(&input, STATE_BYTES_MAX).map_err(|error| refused(&error))?;
        Ok(input)
    });
    let inputs = inputs.collect::<Result<Vec<_>, StepFailure>>()?;
    let ids: Vec<InstanceId> = inputs.iter().map(|_| InstanceId::generate()).collect();
    // Not the key of the call: that has a digest of the inputs in it, which would tell a short one.
    let sibling_group = ids.first().map(InstanceId::to_string).unwrap_or_default();
    let newborn = |(place, (instance_id, input))| NewRun {
        instance_id,
        definition_id,
        namespace: parent.namespace.clone(),
        workflow_name: workflow.name.clone(),
        version: workflow.version,
        input,
        metadata: spawn.metadata.clone(),
        triggered_by: "parent".to_owned(),
        idempotency_key: None,
        priority: 0,
        worker_id: None,
        deadline: None,
        birth: Some(Birth {
            parent_id: parent.instance_id,
            sibling_group: sibling_group.clone(),
            waits_for_turn: place >= spawn.concurrency,
        }),
    };
    let children = ids.into_iter().zip(inputs).enumerate();
    Ok(children.map(newborn).collect())
}
