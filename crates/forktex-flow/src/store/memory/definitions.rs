// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that are defined at run time, and the limits of namespaces, in memory.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Transaction};
use serde_json::Value;

use super::tables::{Definition, Tables};
use super::{MemoryStore, refused};
use crate::compile::CompiledWorkflow;
use crate::identifier::{DefinitionId, Namespace, Version, WorkflowName};
use crate::store::definitions::{
    Defined, DefinitionStore, Guarded, StoredDefinition, StoredLimits, Undefined,
};
use crate::store::{Checkpoint, NewRun};

/// The time over which starts are counted.
const MINUTE: Duration = Duration::from_mins(1);

impl Definition {
    pub(super) fn of(namespace: &Namespace, workflow: &CompiledWorkflow) -> Self {
        let names = |stage: Vec<&str>| stage.into_iter().map(str::to_owned).collect();
        Self {
            namespace: namespace.clone(),
            name: workflow.name.clone(),
            version: workflow.version,
            topology_hash: workflow.topology_hash,
            topology_lines: workflow.topology_lines.clone(),
            state_lines: workflow.state_lines.clone(),
            stages: workflow.plan.stage_names().into_iter().map(names).collect(),
        }
    }
}

impl Tables {
    pub(super) fn definition(
        &self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Version,
    ) -> Option<(DefinitionId, &Definition)> {
        let mut definitions = self.definitions.iter();
        let found = definitions.find(|(_, definition)| {
            definition.namespace == *namespace
                && definition.name == *name
                && definition.version == version
        });
        found.map(|(id, definition)| (*id, definition))
    }

    pub(super) fn put(&mut self, definition: Definition) -> DefinitionId {
        self.last_definition += 1;
        let id = DefinitionId(self.last_definition);
        self.definitions.insert(id, definition);
        id
    }

    /// Whether the workflows of the runs that a checkpoint spawns are there.
    pub(super) fn may_spawn(&self, checkpoint: &Checkpoint) -> bool {
        let mut children = checkpoint.children.iter();
        children.all(|child| self.definitions.contains_key(&child.definition_id))
    }

    fn living_definitions<'a>(
        &'a self,
        namespace: &'a Namespace,
    ) -> impl Iterator<Item = &'a StoredDefinition> {
        self.runtime_definitions
            .iter()
            .filter(move |stored| stored.namespace == *namespace && !stored.is_removed)
    }

    fn define(
        &mut self,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Defined {
        let is_it = |known: &&StoredDefinition| {
            known.name == workflow.name && known.version == workflow.version
        };
        if let Some(known) = self.living_definitions(namespace).find(is_it) {
            return if known.config == *config {
                Defined::Same
            } else {
                let config = known.config.clone();
                Defined::Conflict { config }
            };
        }
        let max = self.limits.get(namespace);
        if let Some(max) = max.and_then(|limits| limits.max_definitions)
            && self.living_definitions(namespace).count() >= max as usize
        {
            let max = u64::from(max);
            return Defined::TooMany { max };
        }
        self.runtime_revision += 1;
        let definition_id = self.put(Definition::of(namespace, workflow));
        self.runtime_definitions.push(StoredDefinition {
            definition_id,
            namespace: namespace.clone(),
            name: workflow.name.clone(),
            version: workflow.version,
            config: config.clone(),
            revision: self.runtime_revision,
            is_removed: false,
            created_at: self.now,
        });
        Defined::Created
    }

    fn undefine(
        &mut self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Undefined {
        let living = self.living_definitions(namespace);
        let wanted = living
            .filter(|stored| stored.name == *name)
            .filter(|stored| version.is_none_or(|version| stored.version == version));
        let ids: Vec<DefinitionId> = wanted.map(|stored| stored.definition_id).collect();
        if ids.is_empty() {
            return Undefined::NotFound;
        }
        let active = self.active.values();
        let active = active
            .filter(|run| ids.contains(&run.definition_id))
            .count() as u64;
        if active > 0 {
            return Undefined::InUse { active };
        }
        self.runtime_revision += 1;
        for stored in &mut self.runtime_definitions {
            if ids.contains(&stored.definition_id) {
                stored.is_removed = true;
                stored.revision = self.runtime_revision;
                self.definitions.remove(&stored.definition_id);
            }
        }
        Undefined::Removed {
            versions: ids.len() as u64,
        }
    }

    /// Why a namespace may not have another run now, if that is so.
    fn over_quota(&self, namespace: &Namespace) -> Option<Guarded> {
        let limits = self.limits.get(namespace)?;
        let active = self.active.values();
        let active = active.filter_map(|run| self.instances.get(&run.instance_id));
        let active = active.filter(|run| run.namespace == *namespace).count() as u64;
        if let Some(max) = limits.max_active_runs.map(u64::from)
            && active >= max
        {
            return Some(Guarded::TooManyActive { max });
        }
        let since = self.now - MINUTE;
        let of_minute = self
            .instances
            .values()
            .filter(|run| run.namespace == *namespace);
        let mut starts: Vec<_> = of_minute.map(|run| run.created_at).collect();
        starts.retain(|at| *at > since);
        let max = limits.starts_per_minute.map(u64::from)?;
        let oldest = starts.iter().min().filter(|_| starts.len() as u64 >= max)?;
        Some(Guarded::TooManyStarts {
            max,
            retry_after: (*oldest - since).unsigned_abs(),
        })
    }

    fn start_guarded(&mut self, run: &NewRun) -> Guarded {
        if !self.definitions.contains_key(&run.definition_id) {
            return Guarded::Gone;
        }
        let key = run.idempotency_key.as_ref().map(|key| {
            let (namespace, workflow) = (run.namespace.clone(), run.workflow_name.clone());
            (namespace, workflow, key.clone())
        });
        // A start that was made before under its key is no other one.
        let is_known = key.is_some_and(|key| self.keys.contains_key(&key));
        match self.over_quota(&run.namespace).filter(|_| !is_known) {
            Some(refused) => refused,
            None => Guarded::Started(self.start(run)),
        }
    }
}

#[async_trait]
impl DefinitionStore for MemoryStore {
    async fn define(
        &self,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Result<Defined, DbError> {
        let defined = self.change().define(namespace, workflow, config);
        self.rouse();
        Ok(defined)
    }

    async fn undefine(
        &self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Result<Undefined, DbError> {
        let undefined = self.change().undefine(namespace, name, version);
        self.rouse();
        Ok(undefined)
    }

    async fn list_definitions(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        let tables = self.tables();
        let mut listed: Vec<_> = tables.living_definitions(namespace).cloned().collect();
        listed.sort_by(|one, other| (&one.name, one.version).cmp(&(&other.name, other.version)));
        Ok(listed)
    }

    async fn definitions_since(
        &self,
        revision: i64,
        limit: u32,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        let tables = self.tables();
        let later = tables.runtime_definitions.iter();
        let later = later.filter(|stored| stored.revision > revision);
        let mut later: Vec<_> = later.cloned().collect();
        later.sort_by_key(|stored| (stored.revision, stored.definition_id));
        later.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(later)
    }

    async fn limited_namespaces(&self) -> Result<(Vec<Namespace>, i64), DbError> {
        let tables = self.tables();
        let namespaces = tables.limits.keys().cloned().collect();
        Ok((namespaces, tables.runtime_revision))
    }

    async fn set_limits(&self, namespace: &Namespace, limits: StoredLimits) -> Result<(), DbError> {
        let mut tables = self.change();
        tables.runtime_revision += 1;
        tables.limits.insert(namespace.clone(), limits);
        Ok(())
    }

    async fn start_guarded(&self, run: &NewRun, _: bool) -> Result<Guarded, DbError> {
        Ok(self.change().start_guarded(run))
    }

    async fn start_guarded_in(
        &self,
        _: &mut Transaction,
        _: &NewRun,
        _: bool,
    ) -> Result<Guarded, DbError> {
        Err(refused(
            "a start in a transaction needs a flow on a database; this one is in memory",
        ))
    }
}
