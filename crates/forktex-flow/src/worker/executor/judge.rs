// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the core asks of a run's state, answered by the service's own code.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::checked_values;
use crate::compile::CompiledWorkflow;
use crate::compile::plan::NodeIndex;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::state::delta::Delta;
use crate::state::erased::AnyState;
use crate::transition::Judge;

/// Asks the run's typed state. Code of the service that panics is a failure, not our end.
pub(super) struct StateJudge<'a> {
    pub(super) workflow: &'a CompiledWorkflow,
    pub(super) state: &'a mut AnyState,
}

impl Judge for StateJudge<'_> {
    fn merge(&mut self, deltas: &[Delta]) -> Result<Delta, StepFailure> {
        let mut resolved = Delta::new();
        for delta in deltas {
            let applied = catch_unwind(AssertUnwindSafe(|| {
                self.workflow.codec.apply(self.state, delta)
            }))
            .map_err(|payload| StepFailure::panic(&*payload))?
            .map_err(|error| StepFailure::new(StepFailureKind::Payload, &error.to_string()))?;
            for (reducer, field, value) in applied.operations() {
                resolved.insert(reducer, field, value.clone());
            }
        }
        Ok(resolved)
    }

    fn signalled(
        &mut self,
        node: NodeIndex,
        signal: &str,
        payload: Value,
    ) -> Result<Delta, StepFailure> {
        let binding = self.workflow.binding(node);
        let signal = binding.signals.iter().find(|known| known.name == signal);
        let Some(signal) = signal else {
            return Ok(Delta::new());
        };
        // The state stays as it was where the signal does not fit it.
        let before = self.state.clone();
        let merged = catch_unwind(AssertUnwindSafe(|| (signal.update)(payload)))
            .unwrap_or_else(|payload| Err(StepFailure::panic(&*payload)))
            .and_then(|delta| checked_values(&delta).map(|_| delta))
            .and_then(|mut delta| {
                let resolved = self.merge(std::slice::from_ref(&delta))?;
                delta.take_unresolved();
                for (reducer, field, value) in resolved.operations() {
                    delta.insert(reducer, field, value.clone());
                }
                Ok(delta)
            });
        if merged.is_err() {
            *self.state = before;
        }
        merged
    }

    fn holds(&mut self, node: NodeIndex) -> Result<bool, StepFailure> {
        match &self.workflow.binding(node).condition {
            None => Ok(true),
            Some(condition) => catch_unwind(AssertUnwindSafe(|| condition(self.state)))
                .unwrap_or_else(|payload| Err(StepFailure::panic(&*payload))),
        }
    }

    fn route(&mut self, node: NodeIndex) -> Result<&'static str, StepFailure> {
        match &self.workflow.binding(node).router {
            None => Err(StepFailure::new(
                StepFailureKind::Fatal,
                "the node has no router",
            )),
            Some(router) => catch_unwind(AssertUnwindSafe(|| (router.choose)(self.state)))
                .unwrap_or_else(|payload| Err(StepFailure::panic(&*payload))),
        }
    }
}
