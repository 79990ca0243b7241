// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Schedules in memory.

use async_trait::async_trait;
use forktex_db::DbError;
use time::OffsetDateTime;

use super::MemoryStore;
use super::tables::{ScheduleEntry, Tables};
use crate::identifier::{DefinitionId, InstanceId, Namespace, Version, WorkflowName};
use crate::schedule::{CatchUp, Overlap, Schedule};
use crate::store::schedules::{
    DueSchedule, FiringToWrite, ScheduleRow, ScheduleStore, StoredSchedule,
};
use crate::store::{NewRun, Started};

/// The most runs of a schedule whose lives are looked at.
const LIVING_MAX: usize = 100;

impl Tables {
    fn register_schedule(
        &mut self,
        workflow: &WorkflowName,
        version: Version,
        definition_id: DefinitionId,
        schedule: Option<&Schedule>,
    ) {
        let versions = self.definitions.values();
        let versions = versions
            .filter(|known| known.namespace == Namespace::default() && known.name == *workflow);
        let (newest, oldest) = versions.fold((version, version), |(newest, oldest), known| {
            (newest.max(known.version), oldest.min(known.version))
        });
        let now = self.now;
        let stored = schedule.map_or_else(ended, |schedule| StoredSchedule {
            cron: schedule.cron_expression().to_owned(),
            timezone: schedule.timezone_name().to_owned(),
            overlap: schedule.overlap_policy(),
            catch_up: schedule.catch_up_policy(),
        });
        let next_fire_at = schedule.and_then(|schedule| schedule.next_after(now));
        let Some(kept) = self.schedules.get_mut(workflow) else {
            let is_wanted = match schedule {
                Some(_) => newest <= version,
                // An older version may be about to bring one.
                None => oldest < version,
            };
            if is_wanted {
                let row = ScheduleRow {
                    workflow_name: workflow.clone(),
                    version,
                    stored,
                    is_enabled: true,
                    next_fire_at,
                    waiting_tick: None,
                    last_fire_at: None,
                    last_instance_id: None,
                    last_skipped_at: None,
                    skipped: 0,
                    last_error: None,
                    now,
                };
                let entry = ScheduleEntry {
                    row,
                    has_ended: schedule.is_none(),
                    definition_id,
                    living: Vec::new(),
                };
                self.schedules.insert(workflow.clone(), entry);
            }
            return;
        };
        if kept.row.version > version || (schedule.is_some() && newest > version) {
            return;
        }
        let row = &mut kept.row;
        let is_same_time = !kept.has_ended
            && (&row.stored.cron, &row.stored.timezone) == (&stored.cron, &stored.timezone);
        if !is_same_time || row.next_fire_at.is_none() || schedule.is_none() {
            row.next_fire_at = next_fire_at;
        }
        row.waiting_tick = row
            .waiting_tick
            .filter(|_| stored.overlap == Overlap::Queue);
        if row.version != version {
            row.last_error = None;
        }
        (row.version, row.stored) = (version, stored);
        (kept.definition_id, kept.has_ended) = (definition_id, schedule.is_none());
    }

    fn fire_schedule(&mut self, written: &FiringToWrite<'_>) -> Option<usize> {
        let FiringToWrite {
            due,
            firing,
            runs,
            error,
        } = written;
        let entry = self.schedules.get(&due.workflow_name)?;
        let standing = entry.standing(&self.active, self.now);
        // Where overlaps are allowed, nothing was decided by whether an earlier run lives.
        let may_be_busy = due.standing.is_busy || due.stored.overlap == Overlap::Allow;
        let is_as_it_was = entry.row.is_enabled
            && !entry.has_ended
            && entry.definition_id == due.definition_id
            && entry.row.stored == due.stored
            && standing.next_fire_at == due.standing.next_fire_at
            && standing.waiting_tick == due.standing.waiting_tick
            && (may_be_busy || !standing.is_busy);
        if !is_as_it_was {
            return None;
        }
        // A tick whose key is taken has its run already, and gets no other.
        let started: Vec<InstanceId> = runs
            .iter()
            .filter(|run| !matches!(self.start(run), Started::Existing { .. }))
            .map(|run| run.instance_id)
            .collect();
        let active = &self.active;
        let entry = self.schedules.get_mut(&due.workflow_name)?;
        entry.note(&started, |run| active.contains(*run));
        let row = &mut entry.row;
        row.next_fire_at = firing.next_fire_at;
        row.waiting_tick = firing.waiting_tick;
        if error.is_none() {
            row.last_fire_at = firing.ticks.last().copied().or(row.last_fire_at);
        }
        row.last_skipped_at = firing.last_skipped.or(row.last_skipped_at);
        row.skipped += firing.skipped as u64;
        if error.is_some() || !started.is_empty() {
            row.last_error = error.map(str::to_owned);
        }
        Some(started.len())
    }
}

impl ScheduleEntry {
    fn note(&mut self, started: &[InstanceId], lives: impl Fn(&InstanceId) -> bool) {
        let Some(last) = started.last() else { return };
        self.row.last_instance_id = Some(*last);
        self.living.extend(started);
        self.living.retain(lives);
        let surplus = self.living.len().saturating_sub(LIVING_MAX);
        self.living.drain(..surplus);
    }
}

/// The words of a schedule that has ended.
fn ended() -> StoredSchedule {
    StoredSchedule {
        cron: String::new(),
        timezone: String::new(),
        overlap: Overlap::default(),
        catch_up: CatchUp::default(),
    }
}

#[async_trait]
impl ScheduleStore for MemoryStore {
    async fn register_schedule(
        &self,
        workflow: &WorkflowName,
        version: Version,
        definition: DefinitionId,
        schedule: Option<&Schedule>,
    ) -> Result<(), DbError> {
        self.change()
            .register_schedule(workflow, version, definition, schedule);
        Ok(())
    }

    async fn due_schedules(
        &self,
        definitions: &[DefinitionId],
        limit: i64,
    ) -> Result<Vec<DueSchedule>, DbError> {
        let tables = self.tables();
        let mut due: Vec<(OffsetDateTime, DueSchedule)> = tables
            .schedules
            .iter()
            .filter(|(_, entry)| definitions.contains(&entry.definition_id))
            .filter_map(|(name, entry)| {
                let due_at = entry
                    .due_at(&tables.active)
                    .filter(|at| *at <= tables.now)?;
                let due = DueSchedule {
                    workflow_name: name.clone(),
                    definition_id: entry.definition_id,
                    stored: entry.row.stored.clone(),
                    standing: entry.standing(&tables.active, tables.now),
                };
                Some((due_at, due))
            })
            .collect();
        due.sort_by_key(|(due_at, _)| *due_at);
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due.into_iter().map(|(_, due)| due).collect())
    }

    async fn fire_schedule(&self, firing: FiringToWrite<'_>) -> Result<Option<usize>, DbError> {
        Ok(self.change().fire_schedule(&firing))
    }

    async fn fire_now(&self, run: &NewRun) -> Result<bool, DbError> {
        let mut tables = self.change();
        let is_current = tables
            .schedules
            .get(&run.workflow_name)
            .is_some_and(|entry| !entry.has_ended && entry.definition_id == run.definition_id);
        if !is_current {
            return Ok(false);
        }
        tables.start(run);
        let tables = &mut *tables;
        let active = &tables.active;
        if let Some(entry) = tables.schedules.get_mut(&run.workflow_name) {
            entry.note(&[run.instance_id], |run| active.contains(*run));
            entry.row.last_fire_at = Some(tables.now);
        }
        Ok(true)
    }

    async fn schedules(&self, workflow: Option<&str>) -> Result<Vec<ScheduleRow>, DbError> {
        let tables = self.tables();
        let listed = tables.schedules.values().filter(|entry| !entry.has_ended);
        Ok(listed
            .filter(|entry| workflow.is_none_or(|name| entry.row.workflow_name.as_str() == name))
            .map(|entry| ScheduleRow {
                now: tables.now,
                ..entry.row.clone()
            })
            .collect())
    }

    async fn enable_schedule(
        &self,
        workflow: &WorkflowName,
        stored: &StoredSchedule,
        next_fire_at: Option<OffsetDateTime>,
    ) -> Result<bool, DbError> {
        let mut tables = self.change();
        let entry = tables.schedules.get_mut(workflow);
        let Some(entry) = entry.filter(|entry| {
            let known = &entry.row.stored;
            !entry.has_ended && (&known.cron, &known.timezone) == (&stored.cron, &stored.timezone)
        }) else {
            return Ok(false);
        };
        if !entry.row.is_enabled {
            entry.row.is_enabled = true;
            entry.row.next_fire_at = next_fire_at;
        }
        Ok(true)
    }

    async fn disable_schedule(&self, workflow: &str) -> Result<bool, DbError> {
        let mut tables = self.change();
        let mut entries = tables.schedules.values_mut();
        let entry = entries.find(|entry| entry.row.workflow_name.as_str() == workflow);
        let Some(entry) = entry.filter(|entry| !entry.has_ended) else {
            return Ok(false);
        };
        entry.row.is_enabled = false;
        entry.row.waiting_tick = None;
        Ok(true)
    }
}
