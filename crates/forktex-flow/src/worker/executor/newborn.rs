// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The runs that a step spawns, checked before they are started.

use std::sync::Arc;

use super::port::CallRequest;
use super::{Execution, STATE_BYTES_MAX};
use crate::ctx::RunContext;
use crate::ctx::call::Spawn;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::{InstanceId, NodeName};
use crate::state::payload;
use crate::store::{Birth, NewRun};
use crate::worker::{Held, Shared};

/// The step that spawns them.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) context: Arc<RunContext>,
    pub(super) node: NodeName,
    pub(super) visit: u32,
}

impl Parent {
    /// The runs that a call under a key spawns.
    pub(super) fn newborns(
        &self,
        shared: &Shared,
        key: &str,
        spawn: &Spawn,
    ) -> Result<Vec<NewRun>, StepFailure> {
        let fatal = |message: String| StepFailure::new(StepFailureKind::Fatal, &message);
        let catalog = &shared.catalog;
        let found = catalog.find(&self.context.namespace, &spawn.workflow, spawn.version);
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
        // The key of a call belongs to the visit of its node.
        let sibling_group = format!("{} {} {key}", self.node, self.visit);
        let newborn = |(place, input)| NewRun {
            instance_id: InstanceId::generate(),
            definition_id,
            namespace: self.context.namespace.clone(),
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
                parent_id: self.context.instance_id,
                sibling_group: sibling_group.clone(),
                waits_for_turn: place >= spawn.concurrency,
            }),
        };
        Ok(inputs.into_iter().enumerate().map(newborn).collect())
    }
}

impl Execution {
    /// The runs that a call spawns.
    pub(super) fn newborns(
        &self,
        held: &Held,
        request: &CallRequest,
        spawn: &Spawn,
    ) -> Result<Vec<NewRun>, StepFailure> {
        let at = self
            .snapshot
            .visit(&self.workflow.plan, request.member)
            .ok_or_else(|| StepFailure::new(StepFailureKind::Fatal, "the step has ended"))?;
        let parent = Parent {
            context: Arc::clone(&self.context),
            node: at.node,
            visit: at.visit,
        };
        parent.newborns(&held.shared, &request.key, spawn)
    }
}
