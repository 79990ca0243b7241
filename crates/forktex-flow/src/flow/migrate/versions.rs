// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The two versions between which runs move: found and checked once, and asked for each run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::{Fit, MapState, MigrateBuilder};
use crate::compile::CompiledWorkflow;
use crate::compile::plan::Plan;
use crate::error::failure::StepFailure;
use crate::error::{MigrationError, StartError};
use crate::identifier::{DefinitionId, InstanceId, Namespace, NodeName, Version, nearest};
use crate::instance::journal::Pin;
use crate::instance::migration::MigrationRefusal;
use crate::state::delta::Delta;
use crate::state::erased::StateCodec;
use crate::state::payload;
use crate::store::migration::RunMove;
use crate::store::{DefinitionRefused, StoredInstance};
use crate::transition::migrate::{Passage, Passing, arrival};
use crate::worker::STATE_BYTES_MAX;

/// Two versions of a workflow, and what the nodes of the one are called in the other.
pub(super) struct Versions {
    pub(super) namespace: Option<Namespace>,
    from: Known,
    to: Known,
    renamed: BTreeMap<NodeName, NodeName>,
}

/// A version that this process has.
struct Known {
    workflow: Arc<CompiledWorkflow>,
    pin: Pin,
    /// Whether it was made at run time.
    is_runtime: bool,
}

impl Versions {
    /// Finds both versions, and checks what the builder says of their nodes.
    pub(super) async fn find(builder: &MigrateBuilder) -> Result<Self, MigrationError> {
        let MigrateBuilder { flow, from, to, .. } = builder;
        if from == to {
            return Err(MigrationError::SameVersion {
                workflow: builder.workflow.clone(),
                version: *from,
            });
        }
        let namespace = builder.namespace.as_ref().map(Namespace::new).transpose()?;
        if namespace.is_some() {
            flow.0.catalog.refresh_if_stale(&*flow.0.store).await?;
        }
        let (old, new) = (
            Known::find(builder, namespace.as_ref(), *from).await?,
            Known::find(builder, namespace.as_ref(), *to).await?,
        );
        let renamed = renamed(builder, &old.workflow.plan, &new.workflow.plan)?;
        Ok(Self {
            namespace,
            from: old,
            to: new,
            renamed,
        })
    }

    pub(super) fn source(&self) -> DefinitionId {
        self.from.pin.definition
    }

    /// How a run would move.
    pub(super) fn fit(
        &self,
        instance: InstanceId,
        last_sequence: i64,
        stored: StoredInstance,
        map_state: Option<&MapState>,
    ) -> Result<Fit, MigrationRefusal> {
        let way = Passage {
            from: (&self.from.workflow.plan, self.from.pin),
            to: (&self.to.workflow.plan, self.to.pin),
            renamed: &self.renamed,
        };
        let Passing {
            current_nodes: from_nodes,
            mut moved,
            unmerged,
        } = way.of(stored.instance.input, &stored.journal)?;
        if map_state.is_some() && !unmerged.is_empty() {
            return Err(MigrationRefusal::HalfMerged);
        }
        if let Some(map) = map_state {
            moved.state = mapped(map, moved.state)?;
        }
        moved.state = taken_in(&*self.to.workflow.codec, moved.state, &unmerged)?;
        let arrived = arrival(&self.to.workflow.plan, &stored.journal, &moved);
        let (stage, current_nodes) = arrived.ok_or_else(|| MigrationRefusal::Unreadable {
            reason: "its journal would not fit the version that it moves to".to_owned(),
        })?;
        Ok(Fit {
            from_nodes,
            run: RunMove {
                instance,
                last_sequence,
                moved: Box::new(moved),
                stage,
                current_nodes,
                to_runtime: self.to.is_runtime,
            },
        })
    }
}

impl Known {
    async fn find(
        builder: &MigrateBuilder,
        namespace: Option<&Namespace>,
        version: Version,
    ) -> Result<Self, MigrationError> {
        let (inner, name) = (&builder.flow.0, &builder.workflow);
        let runtime =
            namespace.and_then(|space| inner.catalog.find_runtime(space, name, Some(version)));
        if let Some((definition, workflow)) = runtime {
            return Ok(Self {
                pin: Pin {
                    definition,
                    version,
                },
                workflow,
                is_runtime: true,
            });
        }
        let found = inner.registry.find(name, Some(version));
        let workflow = found.map_err(|error: StartError| MigrationError::NotHere {
            workflow: name.clone(),
            from: builder.from,
            to: builder.to,
            error: Box::new(error),
        })?;
        let definition = builder.flow.definition(workflow).await;
        let definition = definition.map_err(|refused| match refused {
            DefinitionRefused::Topology(changed) => MigrationError::Topology(changed),
            DefinitionRefused::Database(error) => MigrationError::Database(error),
        })?;
        Ok(Self {
            pin: Pin {
                definition,
                version,
            },
            workflow: Arc::clone(workflow),
            is_runtime: false,
        })
    }
}

/// The nodes that have another name in the other version. Every name is one of its version, and no two
/// nodes are one there.
fn renamed(
    builder: &MigrateBuilder,
    from: &Plan,
    to: &Plan,
) -> Result<BTreeMap<NodeName, NodeName>, MigrationError> {
    let node = |plan: &Plan, version: Version, name: &str| {
        let found = plan.nodes.iter().find(|node| node.as_str() == name);
        found.cloned().ok_or_else(|| MigrationError::UnknownNode {
            workflow: builder.workflow.clone(),
            version,
            node: name.to_owned(),
            nearest: nearest(name, plan.nodes.iter().map(NodeName::as_str)).map(str::to_owned),
        })
    };
    let mut renamed = BTreeMap::new();
    let two_become_one = |first: &NodeName, second: &NodeName, node: &NodeName| {
        Err(MigrationError::TwoBecomeOne {
            workflow: builder.workflow.clone(),
            first: first.to_string(),
            second: second.to_string(),
            node: node.to_string(),
        })
    };
    for (old, new) in &builder.nodes {
        let (old, new) = (node(from, builder.from, old)?, node(to, builder.to, new)?);
        renamed.insert(old, new);
    }
    let mut taken: BTreeMap<&NodeName, &NodeName> = BTreeMap::new();
    for node in &from.nodes {
        let name = renamed.get(node).unwrap_or(node);
        if let Some(first) = taken.insert(name, node) {
            return two_become_one(first, node, name);
        }
    }
    renamed.retain(|old, new| old != new);
    Ok(renamed)
}

/// What the caller's function makes of a state.
fn mapped(map: &MapState, state: Value) -> Result<Value, MigrationRefusal> {
    let mapped = catch_unwind(AssertUnwindSafe(|| map(state)))
        .unwrap_or_else(|panic| Err(StepFailure::panic(&*panic).message));
    let mapped = mapped.map_err(|reason| MigrationRefusal::StateNotMapped { reason })?;
    if !mapped.is_object() {
        let reason = "the new state is no JSON object".to_owned();
        return Err(MigrationRefusal::StateNotMapped { reason });
    }
    payload::check(&mapped, STATE_BYTES_MAX)
        .map_err(|error| MigrationRefusal::Payload { error })?;
    Ok(mapped)
}

/// A state as the other version has it, where it and the updates that are still to be merged fit it.
fn taken_in(
    codec: &dyn StateCodec,
    state: Value,
    unmerged: &[Delta],
) -> Result<Value, MigrationRefusal> {
    let refused = |error| MigrationRefusal::State { error };
    let state = codec.decode(state).map_err(refused)?;
    let mut later = state.clone();
    for delta in unmerged {
        codec.apply(&mut later, delta).map_err(refused)?;
    }
    codec.encode(&state).map_err(refused)
}
