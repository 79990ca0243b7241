// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Schedules at the front door: brought when a driver starts, listed, switched and fired by hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::OffsetDateTime;

use super::Flow;
use crate::compile::CompiledWorkflow;
use crate::driver::schedule_firer::{Schedules, make_inputs, scheduled_run, text};
use crate::error::{DriverError, ScheduleError};
use crate::handle::Run;
use crate::identifier::{DefinitionId, InstanceId, Version, WorkflowName};
use crate::schedule::{CatchUp, Overlap};
use crate::store::DefinitionRefused;
use crate::store::notice::Notice;
use crate::store::schedules::{ScheduleRow, ScheduleStore};
use crate::worker::STATE_BYTES_MAX;

/// How often a switch is tried while other processes change the schedule.
const TRIES: usize = 3;

/// A schedule as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// The workflow that it starts.
    pub workflow_name: WorkflowName,
    /// The version that it starts: the newest that any process brought.
    pub version: Version,
    /// The cron expression.
    pub cron: String,
    /// The time zone of the expression.
    pub timezone: String,
    /// What becomes of a tick while an earlier run lives.
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Whether an operator lets it fire.
    pub enabled: bool,
    /// The next tick; none while it is disabled. One in the past is being fired.
    pub next_fire_at: Option<OffsetDateTime>,
    /// The tick that waits for an earlier run to end, with [`Overlap::Queue`].
    pub waiting_tick: Option<OffsetDateTime>,
    /// The tick of the newest run, or when it was fired by hand.
    pub last_fire_at: Option<OffsetDateTime>,
    /// The newest run.
    pub last_instance_id: Option<InstanceId>,
    /// The newest tick that was skipped.
    pub last_skipped_at: Option<OffsetDateTime>,
    /// How many ticks were skipped.
    pub skipped: u64,
    /// Why the newest tick has no run, where its input could not be made.
    pub last_error: Option<String>,
}

impl ScheduleInfo {
    fn of(row: ScheduleRow) -> Self {
        Self {
            workflow_name: row.workflow_name,
            version: row.version,
            cron: row.stored.cron,
            timezone: row.stored.timezone,
            overlap: row.stored.overlap,
            catch_up: row.stored.catch_up,
            enabled: row.is_enabled,
            next_fire_at: row.next_fire_at.filter(|_| row.is_enabled),
            waiting_tick: row.waiting_tick,
            last_fire_at: row.last_fire_at,
            last_instance_id: row.last_instance_id,
            last_skipped_at: row.last_skipped_at,
            skipped: row.skipped,
            last_error: row.last_error,
        }
    }
}

impl Flow {
    /// The schedules that the database has, by the names of their workflows; also those of processes
    /// other than this one. One statement.
    ///
    /// # Errors
    /// [`ScheduleError::Database`].
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn schedules(&self) -> Result<Vec<ScheduleInfo>, ScheduleError> {
        let rows = self.0.store.schedules(None).await?;
        Ok(rows.into_iter().map(ScheduleInfo::of).collect())
    }

    /// The schedule of a workflow, without looking whether there is one.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(flow: forktex_flow::Flow) -> Result<(), forktex_flow::FlowError> {
    /// let backup = flow.schedule("cloud.backup.create");
    /// backup.disable().await?;
    /// backup.fire_now().await?.wait().await?;
    /// backup.enable().await?;
    /// println!("the next at {:?}", backup.info().await?.next_fire_at);
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule(&self, workflow: impl Into<String>) -> ScheduleHandle {
        ScheduleHandle {
            flow: self.clone(),
            workflow: workflow.into(),
        }
    }

    /// Brings the schedules of the newest versions, and tells the firer what it may fire.
    pub(super) async fn bring_schedules(
        &self,
        workflows: &HashMap<DefinitionId, Arc<CompiledWorkflow>>,
    ) -> Result<Schedules, DriverError> {
        let mut newest: BTreeMap<&WorkflowName, (DefinitionId, &Arc<CompiledWorkflow>)> =
            BTreeMap::new();
        for (definition, workflow) in workflows {
            let known = newest.get(&workflow.name);
            if known.is_none_or(|(_, known)| known.version < workflow.version) {
                newest.insert(&workflow.name, (*definition, workflow));
            }
        }
        let mut scheduled = HashMap::new();
        for (definition, workflow) in newest.into_values() {
            let schedule = workflow
                .schedule
                .as_ref()
                .map(|declared| &declared.schedule);
            let (name, version) = (&workflow.name, workflow.version);
            self.0
                .store
                .register_schedule(name, version, definition, schedule)
                .await?;
            if schedule.is_some() {
                scheduled.insert(definition, Arc::clone(workflow));
            }
        }
        let (local, notices) = (
            Arc::clone(&self.0.local),
            self.0.background.notices().clone(),
        );
        Ok(Schedules {
            store: Arc::clone(&self.0.store) as Arc<dyn ScheduleStore>,
            workflows: scheduled,
            input_bytes_max: STATE_BYTES_MAX,
            on_started: Box::new(move || {
                let worker = local
                    .read()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                match &*worker {
                    Some(worker) => worker.wake(),
                    None => notices.send(Notice::Ready),
                }
            }),
        })
    }
}

/// The schedule of one workflow; made by [`Flow::schedule`].
#[derive(Debug, Clone)]
pub struct ScheduleHandle {
    flow: Flow,
    workflow: String,
}

impl ScheduleHandle {
    /// The workflow's name as given.
    pub fn workflow_name(&self) -> &str {
        &self.workflow
    }

    /// Reads it. One statement.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn info(&self) -> Result<ScheduleInfo, ScheduleError> {
        self.row().await.map(ScheduleInfo::of)
    }

    /// Lets it fire again, from the next tick after now: those of the time when it was disabled are not
    /// made up for. Outlives deployments. Does nothing where it is enabled. Two statements.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`], [`ScheduleError::Invalid`], [`ScheduleError::Changed`] and the
    /// database's.
    ///
    /// # Cancellation
    /// A future that is dropped has enabled it or not.
    pub async fn enable(&self) -> Result<(), ScheduleError> {
        for _ in 0..TRIES {
            let row = self.row().await?;
            let schedule = row.stored.read().map_err(|error| ScheduleError::Invalid {
                workflow: row.workflow_name.clone(),
                error,
            })?;
            let next = schedule.next_after(row.now);
            let store = &self.flow.0.store;
            if store
                .enable_schedule(&row.workflow_name, &row.stored, next)
                .await?
            {
                return Ok(());
            }
        }
        Err(ScheduleError::Changed {
            workflow: self.row().await?.workflow_name,
        })
    }

    /// Stops it from firing, until it is enabled; deployments do not change that. A tick that waits is
    /// given up; runs go on. One statement.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// A future that is dropped has disabled it or not.
    pub async fn disable(&self) -> Result<(), ScheduleError> {
        if self.flow.0.store.disable_schedule(&self.workflow).await? {
            Ok(())
        } else {
            Err(self.not_found())
        }
    }

    /// Starts a run with the schedule's input now, enabled or not, whatever else runs. Ticks stay as
    /// they are; the run counts as an earlier one for what comes after it. One transaction.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`]; [`ScheduleError::AnotherVersion`] where this process lacks the
    /// version; [`ScheduleError::Input`]; the database's. Where that says that the outcome is unknown,
    /// the run may have been started.
    ///
    /// # Cancellation
    /// A future that is dropped has started the run or not.
    pub async fn fire_now(&self) -> Result<Run, ScheduleError> {
        let row = self.row().await?;
        let another_version = || ScheduleError::AnotherVersion {
            workflow: row.workflow_name.clone(),
            version: row.version,
        };
        let registry = &self.flow.0.registry;
        let workflow = registry
            .find(&self.workflow, Some(row.version))
            .map_err(|_| another_version())?;
        let declared = workflow.schedule.as_ref().ok_or_else(another_version)?;
        let definition = self.flow.definition(workflow).await;
        let definition = definition.map_err(|refused| match refused {
            DefinitionRefused::Topology(changed) => ScheduleError::Topology(changed),
            DefinitionRefused::Database(error) => ScheduleError::Database(error),
        })?;
        let inputs = make_inputs(&declared.input, 1, STATE_BYTES_MAX).await;
        let input_error = |reason: String| ScheduleError::Input {
            workflow: row.workflow_name.clone(),
            reason,
        };
        let input = inputs.map_err(input_error)?.pop().unwrap_or_default();
        let run = scheduled_run(workflow, definition, input, text(row.now), None);
        if !self.flow.0.store.fire_now(&run).await? {
            return Err(ScheduleError::Changed {
                workflow: row.workflow_name,
            });
        }
        self.flow.wake_workers();
        Ok(self.flow.handle(run.instance_id))
    }

    async fn row(&self) -> Result<ScheduleRow, ScheduleError> {
        let mut rows = self.flow.0.store.schedules(Some(&self.workflow)).await?;
        rows.pop().ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> ScheduleError {
        ScheduleError::NotFound {
            workflow: self.workflow.clone(),
        }
    }
}
