// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The calls of a process besides those of its worker.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Transaction};
use serde_json::Value;
use time::OffsetDateTime;

use super::{StoreOnLine, may_be_doubled, passed, unheard};
use crate::compile::CompiledWorkflow;
use crate::definition::retention::RetentionRule;
use crate::identifier::{DefinitionId, InstanceId, Namespace, Version, WorkflowName};
use crate::instance::journal::Recorded;
use crate::instance::list::{InstanceFilter, InstanceSummary};
use crate::instance::outcome::Outcome;
use crate::schedule::Schedule;
use crate::simulation::{Effect, Passage};
use crate::store::control::{Fork, Paused};
use crate::store::definitions::{Defined, Guarded, StoredDefinition, StoredLimits, Undefined};
use crate::store::limits::{Concern, LimitStore, StoredLimit};
use crate::store::message::Delivered;
use crate::store::migration::{Moved, RunMove, RunsOf};
use crate::store::notice::{Notice, NoticeSender};
use crate::store::query::PageRequest;
use crate::store::schedules::{
    DueSchedule, FiringToWrite, ScheduleRow, ScheduleStore, StoredSchedule,
};
use crate::store::{
    ControlStore, DefinitionStore, Letter, MessageStore, MigrationStore, NewRun, NewSignal, Posted,
    QueryStore, StoredInstance,
};

#[async_trait]
impl MessageStore for StoreOnLine {
    async fn post(&self, signal: &NewSignal) -> Result<Posted, DbError> {
        let call = match signal.idempotency_key {
            Some(_) => "post_keyed",
            None => "post",
        };
        passed!(self, call, self.store.post(signal), |posted| {
            self.line.saw(Effect::Posted {
                run: signal.instance_id,
                name: signal.name.as_str().to_owned(),
                payload: signal.payload.clone(),
                is_accepted: *posted == Posted::Accepted,
            });
        })
    }

    async fn post_in(
        &self,
        transaction: &mut Transaction,
        signal: &NewSignal,
    ) -> Result<Posted, DbError> {
        self.store.post_in(transaction, signal).await
    }

    async fn deliver(&self) -> Result<Delivered, DbError> {
        passed!(self, "deliver", self.store.deliver())
    }

    async fn cancel_children(
        &self,
        grace: Duration,
    ) -> Result<(Vec<InstanceId>, Vec<InstanceId>), DbError> {
        passed!(
            self,
            "cancel_children",
            self.store.cancel_children(grace),
            |(ended, asked)| {
                for run in ended {
                    self.line.saw(Effect::ChildEnded {
                        run: *run,
                        is_over: true,
                    });
                }
                for run in asked {
                    self.line.saw(Effect::ChildEnded {
                        run: *run,
                        is_over: false,
                    });
                }
            }
        )
    }

    async fn wish_end(&self, parent: InstanceId, children: &[InstanceId]) -> Result<(), DbError> {
        passed!(self, "wish_end", self.store.wish_end(parent, children))
    }

    async fn oldest_signal(
        &self,
        instance: InstanceId,
        names: &[String],
    ) -> Result<Option<Letter>, DbError> {
        passed!(
            self,
            "oldest_signal",
            self.store.oldest_signal(instance, names)
        )
    }

    async fn outcomes(&self, instances: &[InstanceId]) -> Result<Vec<Outcome>, DbError> {
        passed!(self, "outcomes", self.store.outcomes(instances))
    }
}

#[async_trait]
impl LimitStore for StoreOnLine {
    async fn set_running_limit(
        &self,
        concern: &Concern,
        max_running: Option<u32>,
    ) -> Result<(), DbError> {
        let set = || self.store.set_running_limit(concern, max_running);
        passed!(self, "set_running_limit", set())
    }

    async fn running_limits(&self) -> Result<Vec<StoredLimit>, DbError> {
        passed!(self, "running_limits", self.store.running_limits())
    }
}

#[async_trait]
impl ControlStore for StoreOnLine {
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError> {
        passed!(
            self,
            "pause",
            self.store.pause(instance, is_paused),
            |done| {
                let is_done = *done == Paused::Done;
                self.line.saw(Effect::PauseAsked {
                    run: instance,
                    is_paused,
                    is_done,
                });
            }
        )
    }

    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError> {
        passed!(
            self,
            "request_undo",
            self.store.request_undo(instance, reason),
            |done| {
                let is_done = *done == Paused::Done;
                self.line.saw(Effect::UndoAsked {
                    run: instance,
                    is_done,
                });
            }
        )
    }

    async fn fork(&self, fork: &Fork) -> Result<bool, DbError> {
        passed!(self, "fork", self.store.fork(fork), |done| {
            if *done {
                let (source, run) = (fork.source, fork.instance_id);
                self.line.saw(Effect::Forked { source, run });
            }
        })
    }

    async fn prune(&self, rule: &RetentionRule, limit: u32) -> Result<u64, DbError> {
        passed!(self, "prune", self.store.prune(rule, limit))
    }

    async fn events(
        &self,
        instance: InstanceId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, DbError> {
        passed!(self, "events", self.store.events(instance, after, limit))
    }
}

#[async_trait]
impl QueryStore for StoreOnLine {
    async fn page(&self, request: &PageRequest) -> Result<Vec<StoredInstance>, DbError> {
        passed!(self, "page", self.store.page(request))
    }

    async fn page_of_ids(
        &self,
        request: &PageRequest,
    ) -> Result<Vec<(OffsetDateTime, InstanceId)>, DbError> {
        passed!(self, "page_of_ids", self.store.page_of_ids(request))
    }

    async fn count_runs(
        &self,
        filter: &InstanceFilter,
        up_to: Option<u64>,
    ) -> Result<u64, DbError> {
        passed!(self, "count_runs", self.store.count_runs(filter, up_to))
    }

    async fn now(&self) -> Result<OffsetDateTime, DbError> {
        passed!(self, "now", self.store.now())
    }

    async fn sum_up(&self, filter: &InstanceFilter) -> Result<InstanceSummary, DbError> {
        passed!(self, "sum_up", self.store.sum_up(filter))
    }
}

#[async_trait]
impl DefinitionStore for StoreOnLine {
    async fn define(
        &self,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Result<Defined, DbError> {
        passed!(
            self,
            "define",
            self.store.define(namespace, workflow, config)
        )
    }

    async fn undefine(
        &self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Result<Undefined, DbError> {
        passed!(
            self,
            "undefine",
            self.store.undefine(namespace, name, version)
        )
    }

    async fn list_definitions(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        passed!(
            self,
            "list_definitions",
            self.store.list_definitions(namespace)
        )
    }

    async fn definitions_since(
        &self,
        revision: i64,
        limit: u32,
    ) -> Result<Vec<StoredDefinition>, DbError> {
        passed!(
            self,
            "definitions_since",
            self.store.definitions_since(revision, limit)
        )
    }

    async fn limited_namespaces(&self) -> Result<(Vec<Namespace>, i64), DbError> {
        passed!(self, "limited_namespaces", self.store.limited_namespaces())
    }

    async fn set_limits(&self, namespace: &Namespace, limits: StoredLimits) -> Result<(), DbError> {
        passed!(self, "set_limits", self.store.set_limits(namespace, limits))
    }

    async fn start_guarded(&self, run: &NewRun, is_runtime: bool) -> Result<Guarded, DbError> {
        passed!(
            self,
            "start_guarded",
            self.store.start_guarded(run, is_runtime)
        )
    }

    async fn start_guarded_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
        is_runtime: bool,
    ) -> Result<Guarded, DbError> {
        self.store
            .start_guarded_in(transaction, run, is_runtime)
            .await
    }
}

#[async_trait]
impl MigrationStore for StoreOnLine {
    async fn runs_of(&self, runs: &RunsOf) -> Result<Vec<(InstanceId, bool)>, DbError> {
        passed!(self, "runs_of", self.store.runs_of(runs))
    }

    async fn migrate(&self, run: &RunMove) -> Result<Moved, DbError> {
        passed!(self, "migrate", self.store.migrate(run))
    }

    async fn state_shapes(
        &self,
        definitions: &[DefinitionId],
    ) -> Result<HashMap<DefinitionId, BTreeSet<String>>, DbError> {
        passed!(self, "state_shapes", self.store.state_shapes(definitions))
    }
}

#[async_trait]
impl ScheduleStore for StoreOnLine {
    async fn register_schedule(
        &self,
        workflow: &WorkflowName,
        version: Version,
        definition: DefinitionId,
        schedule: Option<&Schedule>,
    ) -> Result<(), DbError> {
        passed!(
            self,
            "register_schedule",
            self.store
                .register_schedule(workflow, version, definition, schedule)
        )
    }

    async fn due_schedules(
        &self,
        definitions: &[DefinitionId],
        limit: i64,
    ) -> Result<Vec<DueSchedule>, DbError> {
        passed!(self, "due", self.store.due_schedules(definitions, limit))
    }

    async fn fire_schedule(&self, firing: FiringToWrite<'_>) -> Result<Option<usize>, DbError> {
        passed!(self, "fire", self.store.fire_schedule(firing), |started| {
            self.line.saw(Effect::Fired {
                workflow: firing.due.workflow_name.clone(),
                ticks: firing.firing.ticks.clone(),
                started: *started,
            });
        })
    }

    async fn fire_now(&self, run: &NewRun) -> Result<bool, DbError> {
        passed!(self, "fire_now", self.store.fire_now(run))
    }

    async fn schedules(&self, workflow: Option<&str>) -> Result<Vec<ScheduleRow>, DbError> {
        passed!(self, "schedules", self.store.schedules(workflow))
    }

    async fn enable_schedule(
        &self,
        workflow: &WorkflowName,
        stored: &StoredSchedule,
        next_fire_at: Option<OffsetDateTime>,
    ) -> Result<bool, DbError> {
        passed!(
            self,
            "enable_schedule",
            self.store.enable_schedule(workflow, stored, next_fire_at)
        )
    }

    async fn disable_schedule(&self, workflow: &str) -> Result<bool, DbError> {
        passed!(
            self,
            "disable_schedule",
            self.store.disable_schedule(workflow)
        )
    }
}

#[async_trait]
impl NoticeSender for StoreOnLine {
    async fn send(&self, notices: &[Notice]) -> Result<(), DbError> {
        passed!(self, "send", self.store.send(notices))
    }
}
