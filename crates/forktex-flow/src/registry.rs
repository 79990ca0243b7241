// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The workflows that are linked into this program, found with no list kept by hand.
//!
//! `#[pipeline]` submits a [`Registration`] that the linker gathers. A crate that nothing names is
//! not linked, and its workflows are then not found: write `use that_crate as _;`, or pass them to
//! `.register(..)`.

use std::any::TypeId;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::compile::{CompiledWorkflow, compile};
use crate::definition::{Declaration, Workflow};
use crate::error::{BuildFault, StartError};
use crate::identifier::{Version, WorkflowName, nearest};
use crate::step::Resources;

/// A workflow that a linked crate declares.
#[derive(Debug, Clone, Copy)]
pub struct Registration {
    declare: fn() -> Declaration,
    workflow: fn() -> TypeId,
    module: &'static str,
}

impl Registration {
    /// The registration of `W`, declared in `module`.
    pub const fn of<W: Workflow>(module: &'static str) -> Self {
        Self {
            declare: W::declare,
            workflow: TypeId::of::<W>,
            module,
        }
    }
}

inventory::collect!(Registration);

/// Everything that the linked crates declare, and `explicit` ones besides; the same type once.
pub(crate) fn linked_and(explicit: &[Registration]) -> Vec<Registration> {
    let mut seen = HashSet::new();
    inventory::iter::<Registration>
        .into_iter()
        .copied()
        .chain(explicit.iter().copied())
        .filter(|registration| seen.insert((registration.workflow)()))
        .collect()
}

/// The checked workflows by name and version.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    workflows: BTreeMap<WorkflowName, BTreeMap<Version, Arc<CompiledWorkflow>>>,
}

impl Registry {
    /// Compiles all declarations and checks that their resources are there.
    ///
    /// # Errors
    /// Every fault of every declaration.
    pub(crate) fn build(
        registrations: &[Registration],
        resources: &Resources,
    ) -> Result<Self, Vec<BuildFault>> {
        let mut registry = Self::default();
        let mut modules: BTreeMap<(WorkflowName, Version), Vec<&'static str>> = BTreeMap::new();
        let mut faults = Vec::new();
        for registration in registrations {
            let declaration = (registration.declare)();
            let (name, version) = (declaration.name.clone(), declaration.version);
            let workflow = match compile(declaration) {
                Ok(workflow) => workflow,
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| BuildFault::Definition {
                        workflow: name.clone(),
                        version,
                        fault,
                    }));
                    continue;
                }
            };
            for (node, binding) in workflow.bindings() {
                let missing = binding
                    .resources
                    .iter()
                    .filter(|resource| !resources.contains(**resource));
                faults.extend(missing.map(|resource| BuildFault::MissingResource {
                    workflow: workflow.name.clone(),
                    node: node.as_str().to_owned(),
                    resource: resource.type_name(),
                }));
            }
            modules
                .entry((workflow.name.clone(), version))
                .or_default()
                .push(registration.module);
            registry
                .workflows
                .entry(workflow.name.clone())
                .or_default()
                .insert(version, Arc::new(workflow));
        }
        let duplicates = modules.into_iter().filter(|(_, modules)| modules.len() > 1);
        faults.extend(
            duplicates.map(|((workflow, version), modules)| BuildFault::Duplicate {
                workflow,
                version,
                modules,
            }),
        );
        if faults.is_empty() {
            Ok(registry)
        } else {
            Err(faults)
        }
    }

    /// The workflows, sorted by name and version.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<CompiledWorkflow>> {
        self.workflows.values().flat_map(BTreeMap::values)
    }

    /// How many names are registered.
    pub(crate) fn len(&self) -> usize {
        self.workflows.len()
    }

    /// The versions of a workflow, oldest first.
    pub(crate) fn versions(&self, name: &str) -> Vec<Version> {
        let found = self
            .workflows
            .iter()
            .find(|(known, _)| known.as_str() == name);
        found
            .map(|(_, versions)| versions.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The workflow of that name, in the version asked for or else the newest.
    ///
    /// # Errors
    /// [`StartError::UnknownWorkflow`] or [`StartError::UnknownVersion`].
    pub(crate) fn find(
        &self,
        name: &str,
        version: Option<Version>,
    ) -> Result<&Arc<CompiledWorkflow>, StartError> {
        let Some((name, versions)) = self
            .workflows
            .iter()
            .find(|(known, _)| known.as_str() == name)
        else {
            let near = nearest(name, self.workflows.keys().map(WorkflowName::as_str));
            return Err(StartError::UnknownWorkflow {
                name: name.to_owned(),
                registered: self.len(),
                nearest: near.and_then(|near| WorkflowName::new(near).ok()),
            });
        };
        let found = match version {
            Some(version) => versions.get(&version),
            None => versions.values().next_back(),
        };
        found.ok_or_else(|| StartError::UnknownVersion {
            name: name.clone(),
            version: version.unwrap_or_default(),
            versions: versions.keys().copied().collect(),
        })
    }
}
