// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Pauses, undoings, forks, retention and events in memory.

use async_trait::async_trait;
use forktex_db::DbError;

use super::MemoryStore;
use super::active::{ActiveRun, Place};
use super::tables::{Journal, Tables};
use crate::definition::retention::RetentionRule;
use crate::identifier::InstanceId;
use crate::instance::journal::Recorded;
use crate::instance::{Instance, InstanceStatus};
use crate::store::control::{ControlStore, Fork, Paused};

impl Tables {
    /// Changes a run that lives, or tells why it cannot.
    fn change_run(&mut self, instance: InstanceId, how: impl FnOnce(&mut ActiveRun)) -> Paused {
        if let Some(run) = self.active.get_mut(instance) {
            how(run);
            let place = run.place().clone();
            // A paused run stands in no queue.
            self.active.move_to(instance, place);
            return Paused::Done;
        }
        let stored = self.instances.get(&instance);
        stored.map_or(Paused::NotFound, |stored| {
            Paused::AlreadyTerminal(stored.status)
        })
    }
}

#[async_trait]
impl ControlStore for MemoryStore {
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError> {
        let mut tables = self.change();
        Ok(tables.change_run(instance, |run| run.is_paused = is_paused))
    }

    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError> {
        let mut tables = self.change();
        let asked = tables.change_run(instance, |run| {
            run.undo_reason.get_or_insert_with(|| reason.to_owned());
            run.is_paused = false;
        });
        let now = tables.now;
        if let Some(Place::Waiting { .. }) = tables.active.get(instance).map(ActiveRun::place) {
            tables.active.move_to(instance, Place::Ready(now));
        }
        Ok(asked)
    }

    async fn fork(&self, fork: &Fork) -> Result<bool, DbError> {
        let mut tables = self.change();
        let source = tables.instances.get(&fork.source).cloned();
        let of_source = tables.definition_of.get(&fork.source).copied();
        let definition = fork.pin.map(|pin| pin.definition).or(of_source);
        let (Some(mut instance), Some(definition)) = (source, definition) else {
            return Ok(false);
        };
        if !tables.definitions.contains_key(&definition) {
            return Ok(false);
        }
        let now = tables.tick();
        instance.instance_id = fork.instance_id;
        instance.version = fork.pin.map_or(instance.version, |pin| pin.version);
        instance.status = InstanceStatus::Pending;
        fork.triggered_by.clone_into(&mut instance.triggered_by);
        instance.parent_id = None;
        instance.retry_of = Some(fork.source);
        instance.created_at = now;
        (instance.started_at, instance.finished_at) = (None, None);
        (instance.failure, instance.cancel_reason) = (None, None);
        let mut journal = Journal::default();
        if let Some(source) = tables.journals.get(&fork.source) {
            let stages = source.entries.iter().zip(&source.stages);
            let kept = stages.filter(|(recorded, _)| fork.sequences.contains(&recorded.sequence));
            for (sequence, (recorded, stage)) in (1..).zip(kept) {
                let recorded = recorded.clone();
                journal.push(
                    Recorded {
                        sequence,
                        ..recorded
                    },
                    *stage,
                );
            }
        }
        tables.journals.insert(fork.instance_id, journal);
        let namespace = instance.namespace.clone();
        tables.instances.insert(fork.instance_id, instance);
        tables.definition_of.insert(fork.instance_id, definition);
        let place = Place::Ready(now);
        let run = ActiveRun::new(fork.instance_id, namespace, definition, place);
        tables.active.insert(run);
        Ok(true)
    }

    async fn prune(&self, rule: &RetentionRule, limit: u32) -> Result<u64, DbError> {
        let mut tables = self.change();
        let before = tables.now - rule.age;
        let is_old = |run: &&Instance| {
            let is_named = match &rule.workflow {
                Some(workflow) => run.workflow_name.as_str() == workflow,
                None => !rule
                    .except
                    .iter()
                    .any(|name| name == run.workflow_name.as_str()),
            };
            let lives = |parent: &InstanceId| tables.active.contains(*parent);
            is_named
                && run.status == rule.status
                && run.finished_at.is_some_and(|at| at < before)
                && !run.parent_id.as_ref().is_some_and(lives)
        };
        let old = tables.instances.values().filter(is_old);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let old: Vec<InstanceId> = old.map(|run| run.instance_id).take(limit).collect();
        for run in &old {
            tables.instances.remove(run);
            tables.definition_of.remove(run);
            tables.journals.remove(run);
            tables.inbox.forget(*run);
        }
        tables.keys.retain(|_, run| !old.contains(run));
        Ok(old.len() as u64)
    }

    async fn events(
        &self,
        instance: InstanceId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, DbError> {
        let tables = self.tables();
        Ok(tables
            .entries(instance)
            .iter()
            .filter(|recorded| recorded.sequence > after)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .cloned()
            .collect())
    }
}
