// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Moving runs to another version in memory.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use forktex_db::DbError;

use super::MemoryStore;
use super::active::{Place, WaitsFor};
use super::tables::Tables;
use crate::identifier::{DefinitionId, Epoch, InstanceId};
use crate::instance::journal::{Entry, Recorded};
use crate::store::migration::{MigrationStore, Moved, RunMove, RunsOf};

impl Tables {
    fn migrate(&mut self, run: &RunMove) -> Moved {
        let to = run.moved.to;
        if !self.definitions.contains_key(&to.definition) {
            return Moved::DefinitionGone;
        }
        let last_sequence = self.last_sequence(run.instance);
        let now = self.now;
        let Some(active) = self.active.get_mut(run.instance) else {
            return Moved::Ended;
        };
        if active.definition_id != run.moved.from.definition {
            return Moved::Changed;
        }
        if active.owner().is_some() {
            return Moved::Owned;
        }
        if last_sequence != run.last_sequence {
            return Moved::Changed;
        }
        active.definition_id = to.definition;
        active.epoch = Epoch(active.epoch.0 + 1);
        active.current_nodes = Some(run.current_nodes.clone());
        let place = match active.place() {
            Place::Ready(at) => Place::Ready(*at),
            Place::Waiting {
                on: WaitsFor::Turn, ..
            } => Place::Waiting {
                on: WaitsFor::Turn,
                wake_at: None,
            },
            _ => Place::Ready(now),
        };
        self.active.move_to(run.instance, place);
        let recorded = Recorded {
            sequence: last_sequence + 1,
            recorded_at: now,
            entry: Entry::Migrated(run.moved.clone()),
        };
        self.journals
            .entry(run.instance)
            .or_default()
            .push(recorded, run.stage);
        self.definition_of.insert(run.instance, to.definition);
        if let Some(instance) = self.instances.get_mut(&run.instance) {
            instance.version = to.version;
        }
        Moved::Written
    }
}

#[async_trait]
impl MigrationStore for MemoryStore {
    async fn runs_of(&self, runs: &RunsOf) -> Result<Vec<(InstanceId, bool)>, DbError> {
        let tables = self.tables();
        let is_wanted = |instance: InstanceId| {
            let stored = tables.instances.get(&instance);
            stored.is_some_and(|stored| {
                let namespace = runs.namespace.as_ref();
                stored.created_at < runs.until
                    && namespace.is_none_or(|namespace| stored.namespace == *namespace)
            })
        };
        let living = tables.active.values();
        Ok(living
            .filter(|run| run.definition_id == runs.definition)
            .filter(|run| runs.after.is_none_or(|after| run.instance_id > after))
            .filter(|run| is_wanted(run.instance_id))
            .map(|run| (run.instance_id, run.owner().is_some()))
            .take(usize::try_from(runs.limit).unwrap_or(usize::MAX))
            .collect())
    }

    async fn migrate(&self, run: &RunMove) -> Result<Moved, DbError> {
        Ok(self.change().migrate(run))
    }

    async fn state_shapes(
        &self,
        definitions: &[DefinitionId],
    ) -> Result<HashMap<DefinitionId, BTreeSet<String>>, DbError> {
        let tables = self.tables();
        let shape = |id: &DefinitionId| {
            let definition = tables.definitions.get(id)?;
            Some((*id, definition.state_lines.clone()))
        };
        Ok(definitions.iter().filter_map(shape).collect())
    }
}
