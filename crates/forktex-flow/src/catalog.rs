// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a process can run now: the workflows that it is linked with, and those defined at run time, which
//! come and go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use forktex_db::DbError;
use tokio::time::Instant;

use crate::compile::config::declare;
use crate::compile::{CompiledWorkflow, compile};
use crate::definition::template::Templates;
use crate::identifier::{DefinitionId, Namespace, Version, WorkflowName};
use crate::step::Resources;
use crate::store::Store;
use crate::store::definitions::StoredDefinition;

/// The most changes that are read at a time.
const CHANGES_MAX: u32 = 500;

/// How old what a process without a driver knows may be.
const STALE_AFTER: Duration = Duration::from_secs(1);

type Versions = BTreeMap<Version, (DefinitionId, Arc<CompiledWorkflow>)>;

#[derive(Default)]
struct Known {
    by_id: HashMap<DefinitionId, Arc<CompiledWorkflow>>,
    runtime: HashMap<(Namespace, WorkflowName), Versions>,
    limited: HashSet<Namespace>,
    revision: i64,
    refreshed_at: Option<Instant>,
}

/// The workflows of a process, shared by all that start and run them.
pub(crate) struct Catalog {
    templates: Templates,
    resources: Resources,
    known: RwLock<Known>,
    /// One refresh at a time, so that revisions are taken in their order.
    refreshing: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub(crate) fn new(templates: Templates, resources: Resources) -> Self {
        Self {
            templates,
            resources,
            known: RwLock::default(),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the workflows that the process is linked with.
    pub(crate) fn add_linked(&self, linked: HashMap<DefinitionId, Arc<CompiledWorkflow>>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_id.extend(linked);
    }

    pub(crate) fn get(&self, id: DefinitionId) -> Option<Arc<CompiledWorkflow>> {
        self.known().by_id.get(&id).cloned()
    }

    /// All that can be run, in the order of the keys.
    pub(crate) fn definitions(&self) -> Vec<DefinitionId> {
        let mut definitions: Vec<DefinitionId> = self.known().by_id.keys().copied().collect();
        definitions.sort_unstable();
        definitions
    }

    /// A workflow for a run of a namespace: what was defined there, or else what is linked; the newest
    /// where no version is given.
    pub(crate) fn find(
        &self,
        namespace: &Namespace,
        name: &str,
        version: Option<Version>,
    ) -> Option<(DefinitionId, Arc<CompiledWorkflow>)> {
        if let Some(found) = self.find_runtime(namespace, name, version) {
            return Some(found);
        }
        let known = self.known();
        let runtime: HashSet<DefinitionId> = known
            .runtime
            .values()
            .flat_map(|versions| versions.values().map(|(id, _)| *id))
            .collect();
        known
            .by_id
            .iter()
            .filter(|(id, workflow)| workflow.name.as_str() == name && !runtime.contains(id))
            .filter(|(_, workflow)| version.is_none_or(|version| workflow.version == version))
            .max_by_key(|(_, workflow)| workflow.version)
            .map(|(id, workflow)| (*id, Arc::clone(workflow)))
    }

    pub(crate) fn find_runtime(
        &self,
        namespace: &Namespace,
        name: &str,
        version: Option<Version>,
    ) -> Option<(DefinitionId, Arc<CompiledWorkflow>)> {
        let name = WorkflowName::new(name).ok()?;
        let known = self.known();
        let versions = known.runtime.get(&(namespace.clone(), name))?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.values().next_back(),
        }
        .cloned()
    }

    /// Whether starts in the namespace are counted, as far as this process knows.
    pub(crate) fn is_limited(&self, namespace: &Namespace) -> bool {
        self.known().limited.contains(namespace)
    }

    /// Whether there is a later change than those that are known.
    pub(crate) fn is_behind(&self, revision: i64) -> bool {
        self.known().revision < revision
    }

    /// Reads what has changed, unless that was done a moment ago.
    pub(crate) async fn refresh_if_stale(&self, store: &dyn Store) -> Result<(), DbError> {
        let refreshed_at = self.known().refreshed_at;
        if refreshed_at.is_some_and(|at| at.elapsed() < STALE_AFTER) {
            return Ok(());
        }
        self.refresh(store).await
    }

    /// Reads what has changed. Two statements, and more where much has.
    pub(crate) async fn refresh(&self, store: &dyn Store) -> Result<(), DbError> {
        let _one_at_a_time = self.refreshing.lock().await;
        // Read first: what is defined up to here is among the changes that are read next.
        let (limited, known_until) = store.limited_namespaces().await?;
        loop {
            let revision = self.known().revision;
            let changes = store.definitions_since(revision, CHANGES_MAX).await?;
            let is_last = changes.len() < CHANGES_MAX as usize;
            let compiled: Vec<_> = changes
                .into_iter()
                .map(|change| {
                    let workflow = (!change.is_removed)
                        .then(|| self.compiled(&change))
                        .flatten();
                    (change, workflow)
                })
                .collect();
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            for (change, workflow) in compiled {
                known.take(&change, workflow);
            }
            if is_last {
                known.limited = limited.into_iter().collect();
                known.revision = known.revision.max(known_until);
                known.refreshed_at = Some(Instant::now());
                return Ok(());
            }
        }
    }

    /// The workflow, where this process has its templates and their resources.
    fn compiled(&self, stored: &StoredDefinition) -> Option<Arc<CompiledWorkflow>> {
        let declared = declare(
            stored.name.as_str(),
            stored.version,
            &stored.config,
            &self.templates,
        );
        let compiled = declared
            .map_err(|faults| faults[0].to_string())
            .and_then(|declaration| compile(declaration).map_err(|faults| faults[0].to_string()));
        let compiled = compiled.and_then(|workflow| {
            let missing = workflow
                .bindings()
                .flat_map(|(_, binding)| &binding.resources)
                .copied()
                .find(|key| !self.resources.contains(*key));
            match missing {
                Some(missing) => Err(format!("it needs a `{}`", missing.type_name())),
                None => Ok(workflow),
            }
        });
        match compiled {
            Ok(workflow) => Some(Arc::new(workflow)),
            Err(reason) => {
                tracing::warn!(
                    namespace = %stored.namespace, workflow = %stored.name, version = stored.version,
                    reason, "a workflow that was defined elsewhere cannot be run here"
                );
                None
            }
        }
    }
}

impl Known {
    fn take(&mut self, change: &StoredDefinition, workflow: Option<Arc<CompiledWorkflow>>) {
        self.revision = self.revision.max(change.revision);
        let key = (change.namespace.clone(), change.name.clone());
        let versions = self.runtime.entry(key).or_default();
        if let Some(workflow) = workflow {
            let defined = (change.definition_id, Arc::clone(&workflow));
            versions.insert(change.version, defined);
            self.by_id.insert(change.definition_id, workflow);
            return;
        }
        // A version that was defined anew has another key.
        let is_it = |(id, _): &(DefinitionId, _)| *id == change.definition_id;
        if versions.get(&change.version).is_some_and(is_it) {
            versions.remove(&change.version);
        }
        self.by_id.remove(&change.definition_id);
    }
}

#[cfg(test)]
mod tests {
    use forktex_db::{Db, DbOptions};
    use forktex_testkit::TestDatabase;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::identifier::WorkerId;
    use crate::store::definitions::StoredLimits;
    use crate::store::memory::MemoryStore;
    use crate::store::postgres::PostgresStore;
    use crate::store::postgres::schema::migrate;
    use crate::store::postgres::statement::DEFAULT_SCHEMA;

    /// Else it would read again and again what has not changed, once a second for good.
    #[tokio::test]
    async fn a_process_that_has_read_of_a_limit_is_not_behind() {
        let database = TestDatabase::create().await.unwrap();
        let db = Db::connect(database.owner_url(), DbOptions::new());
        let db = db.await.unwrap();
        migrate(&db, DEFAULT_SCHEMA).await.unwrap();
        let postgres = PostgresStore::new(db, DEFAULT_SCHEMA).unwrap();
        let memory = MemoryStore::at(OffsetDateTime::UNIX_EPOCH);
        for store in [&postgres as &dyn Store, &memory] {
            let (templates, _) = Templates::linked();
            let catalog = Catalog::new(templates, Resources::default());
            let namespace = Namespace::new("org-abc").unwrap();
            let limits = StoredLimits::default();
            store.set_limits(&namespace, limits).await.unwrap();
            let (worker, lease) = (WorkerId(Uuid::now_v7()), Duration::from_secs(30));
            let mut heart = store.heart();
            let pulse = heart.pulse(worker, lease, &[]).await.unwrap();
            assert!(catalog.is_behind(pulse.runtime_revision));
            catalog.refresh(store).await.unwrap();
            assert!(catalog.is_limited(&namespace));
            assert!(!catalog.is_behind(pulse.runtime_revision));
        }
    }
}
