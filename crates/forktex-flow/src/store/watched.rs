// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A store in whose place tests put this one: it tells of each transaction before and after, so that
//! the process may die there, and spoils those that a planted fault is about. It does nothing by itself.

#[cfg(feature = "planted-faults")]
mod planted;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{Db, DbError, Transaction};
use serde_json::Value;
use time::OffsetDateTime;

use super::control::{Fork, Paused};
use super::definitions::{Defined, Guarded, StoredDefinition, StoredLimits, Undefined};
use super::limits::{Concern, LimitStore, StoredLimit};
use super::memory::MemoryStore;
use super::message::Delivered;
use super::migration::{Moved, RunMove, RunsOf};
use super::notice::{Notice, NoticeSender};
use super::query::PageRequest;
use super::schedules::{DueSchedule, FiringToWrite, ScheduleRow, ScheduleStore, StoredSchedule};
use super::{
    Backend, Cancelled, Candidate, Checkpoint, ClaimRequest, Claims, Committed, ControlStore,
    DefinitionRefused, DefinitionStore, Election, Heart, Letter, MessageStore, MigrationStore,
    NewRun, NewSignal, Posted, Pulse, QueryStore, RestsOn, Started, Store, StoredInstance, Woken,
};
use crate::compile::CompiledWorkflow;
use crate::definition::retention::RetentionRule;
use crate::identifier::{
    DefinitionId, Epoch, InstanceId, Namespace, Version, WorkerId, WorkflowName,
};
use crate::instance::journal::Recorded;
use crate::instance::list::{InstanceFilter, InstanceSummary};
use crate::instance::outcome::Outcome;
use crate::schedule::Schedule;

/// Another store, watched.
pub(crate) struct WatchedStore {
    inner: Arc<dyn Backend>,
    #[cfg(feature = "planted-faults")]
    planted: Option<planted::Planted>,
}

impl WatchedStore {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    /// With a fault in it, if there is to be one.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn planted(
        mut self,
        fault: Option<crate::planted::PlantedFault>,
        schema: &str,
    ) -> Self {
        let schema = schema.to_owned();
        self.planted = fault.map(|fault| planted::Planted { fault, schema });
        self
    }
}

/// What the fault makes of some checkpoints, in their place.
macro_rules! spoiled {
    ($self:ident, $checkpoints:ident) => {
        #[cfg(feature = "planted-faults")]
        let spoiled = match ($self.planted.as_ref(), $self.inner.database()) {
            (Some(planted), Some(db)) => {
                let mut connection = db.pool().acquire().await?;
                planted.spoil(&mut connection, $checkpoints).await?
            }
            _ => std::borrow::Cow::Borrowed($checkpoints),
        };
        #[cfg(feature = "planted-faults")]
        let $checkpoints: &[Checkpoint] = &spoiled;
    };
}

macro_rules! hit {
    ($when:literal, $method:ident) => {
        #[cfg(feature = "failpoints")]
        crate::failpoint::hit(concat!($when, ".", stringify!($method)));
    };
}

/// Implements a trait by handing each method on, with a point before and after it.
macro_rules! hand_on {
    (
        $trait:ident, $points:ident, { $($whole:tt)* }
        $(async fn $method:ident(&self $(, $argument:ident: $type:ty)* $(,)?) -> $answer:ty;)*
    ) => {
        #[cfg(feature = "failpoints")]
        const $points: &[&str] = &[
            $(concat!("before.", stringify!($method)), concat!("after.", stringify!($method)),)*
        ];

        #[async_trait]
        impl $trait for WatchedStore {
            $($whole)*

            $(async fn $method(&self $(, $argument: $type)*) -> $answer {
                hit!("before", $method);
                let answer = self.inner.$method($($argument),*).await;
                hit!("after", $method);
                answer
            })*
        }
    };
}

/// Every point there is.
#[cfg(feature = "failpoints")]
pub fn points() -> Vec<&'static str> {
    const BY_HAND: [&str; 14] = [
        "before.pulse",
        "after.pulse",
        "before.contend",
        "after.contend",
        "before.step_down",
        "after.step_down",
        "before.commit_batch",
        "after.commit_batch",
        "before.commit_alone",
        "after.commit_alone",
        "before.commit_in",
        "after.commit_in",
        "committed.commit_in",
        "committed.start_in",
    ];
    let lists = [
        STORE,
        MESSAGES,
        CONTROL,
        QUERIES,
        DEFINITIONS,
        LIMITS,
        MIGRATIONS,
        SCHEDULES,
        NOTICES,
    ];
    let handed_on = lists.into_iter().flatten().copied();
    BY_HAND.into_iter().chain(handed_on).collect()
}

hand_on! {
    Store, STORE,
    {
        fn heart(&self) -> Box<dyn Heart> {
            Box::new(WatchedHeart(self.inner.heart()))
        }

        fn virtual_time(&self) -> Option<MemoryStore> {
            self.inner.virtual_time()
        }

        fn candidate(&self, election: Election) -> Box<dyn Candidate> {
            Box::new(WatchedCandidate(self.inner.candidate(election)))
        }

        fn database(&self) -> Option<Db> {
            self.inner.database()
        }

        async fn commit_batch(
            &self,
            checkpoints: &[Checkpoint],
        ) -> Result<Vec<Option<Committed>>, DbError> {
            spoiled!(self, checkpoints);
            hit!("before", commit_batch);
            let answer = self.inner.commit_batch(checkpoints).await;
            hit!("after", commit_batch);
            answer
        }

        async fn commit_alone(&self, checkpoint: &Checkpoint) -> Result<Committed, DbError> {
            let checkpoints = std::slice::from_ref(checkpoint);
            spoiled!(self, checkpoints);
            hit!("before", commit_alone);
            let answer = self.inner.commit_alone(&checkpoints[0]).await;
            hit!("after", commit_alone);
            answer
        }

        async fn commit_in(
            &self,
            transaction: &mut Transaction,
            checkpoint: &Checkpoint,
        ) -> Result<Committed, DbError> {
            let checkpoints = std::slice::from_ref(checkpoint);
            #[cfg(feature = "planted-faults")]
            let spoiled = match &self.planted {
                Some(planted) => {
                    planted.split(transaction).await?;
                    planted.spoil(transaction.connection(), checkpoints).await?
                }
                None => std::borrow::Cow::Borrowed(checkpoints),
            };
            #[cfg(feature = "planted-faults")]
            let checkpoints: &[Checkpoint] = &spoiled;
            hit!("before", commit_in);
            let answer = self.inner.commit_in(transaction, &checkpoints[0]).await;
            hit!("after", commit_in);
            transaction.after_commit(async { hit!("committed", commit_in); });
            answer
        }

        async fn start_in(
            &self,
            transaction: &mut Transaction,
            run: &NewRun,
        ) -> Result<Started, DbError> {
            let answer = self.inner.start_in(transaction, run).await;
            transaction.after_commit(async { hit!("committed", start_in); });
            answer
        }

    }
    async fn put_definition(&self, workflow: &CompiledWorkflow) -> Result<DefinitionId, DefinitionRefused>;
    async fn register_worker(&self, worker: WorkerId, name: &str, lease: Duration, definitions: &[DefinitionId]) -> Result<(), DbError>;
    async fn remove_worker(&self, worker: WorkerId) -> Result<(), DbError>;
    async fn start(&self, runs: &[NewRun]) -> Result<Vec<Started>, DbError>;
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError>;
    async fn claim_within_limits(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError>;
    async fn wake_due(&self) -> Result<Woken, DbError>;
    async fn release_lost(&self) -> Result<u64, DbError>;
    async fn release_unheld(&self, worker: WorkerId, held: &[(InstanceId, Epoch)]) -> Result<u64, DbError>;
    async fn hand_back(&self, instance: InstanceId, epoch: Epoch, on: &RestsOn, delay: Duration) -> Result<(), DbError>;
    async fn cancel(&self, instance: InstanceId, reason: &str, grace: Duration) -> Result<Cancelled, DbError>;
    async fn end_overdue_cancellations(&self) -> Result<Vec<InstanceId>, DbError>;
    async fn read(&self, instance: InstanceId) -> Result<Option<StoredInstance>, DbError>;
    async fn ended(&self, instances: &[InstanceId]) -> Result<Vec<InstanceId>, DbError>;
}

hand_on! {
    MessageStore, MESSAGES, {}
    async fn post(&self, signal: &NewSignal) -> Result<Posted, DbError>;
    async fn post_in(&self, transaction: &mut Transaction, signal: &NewSignal) -> Result<Posted, DbError>;
    async fn deliver(&self) -> Result<Delivered, DbError>;
    async fn cancel_children(&self, grace: Duration) -> Result<(Vec<InstanceId>, Vec<InstanceId>), DbError>;
    async fn wish_end(&self, parent: InstanceId, children: &[InstanceId]) -> Result<(), DbError>;
    async fn oldest_signal(&self, instance: InstanceId, names: &[String]) -> Result<Option<Letter>, DbError>;
    async fn outcomes(&self, instances: &[InstanceId]) -> Result<Vec<Outcome>, DbError>;
}

hand_on! {
    ControlStore, CONTROL, {}
    async fn pause(&self, instance: InstanceId, is_paused: bool) -> Result<Paused, DbError>;
    async fn request_undo(&self, instance: InstanceId, reason: &str) -> Result<Paused, DbError>;
    async fn fork(&self, fork: &Fork) -> Result<bool, DbError>;
    async fn prune(&self, rule: &RetentionRule, limit: u32) -> Result<u64, DbError>;
    async fn events(&self, instance: InstanceId, after: i64, limit: u32) -> Result<Vec<Recorded>, DbError>;
}

hand_on! {
    QueryStore, QUERIES, {}
    async fn page(&self, request: &PageRequest) -> Result<Vec<StoredInstance>, DbError>;
    async fn page_of_ids(&self, request: &PageRequest) -> Result<Vec<(OffsetDateTime, InstanceId)>, DbError>;
    async fn count_runs(&self, filter: &InstanceFilter, up_to: Option<u64>) -> Result<u64, DbError>;
    async fn now(&self) -> Result<OffsetDateTime, DbError>;
    async fn sum_up(&self, filter: &InstanceFilter) -> Result<InstanceSummary, DbError>;
}

hand_on! {
    DefinitionStore, DEFINITIONS, {}
    async fn define(&self, namespace: &Namespace, workflow: &CompiledWorkflow, config: &Value) -> Result<Defined, DbError>;
    async fn undefine(&self, namespace: &Namespace, name: &WorkflowName, version: Option<Version>) -> Result<Undefined, DbError>;
    async fn list_definitions(&self, namespace: &Namespace) -> Result<Vec<StoredDefinition>, DbError>;
    async fn definitions_since(&self, revision: i64, limit: u32) -> Result<Vec<StoredDefinition>, DbError>;
    async fn limited_namespaces(&self) -> Result<(Vec<Namespace>, i64), DbError>;
    async fn set_limits(&self, namespace: &Namespace, limits: StoredLimits) -> Result<(), DbError>;
    async fn start_guarded(&self, run: &NewRun, is_runtime: bool) -> Result<Guarded, DbError>;
    async fn start_guarded_in(&self, transaction: &mut Transaction, run: &NewRun, is_runtime: bool) -> Result<Guarded, DbError>;
}

hand_on! {
    LimitStore, LIMITS, {}
    async fn set_running_limit(&self, concern: &Concern, max_running: Option<u32>) -> Result<(), DbError>;
    async fn running_limits(&self) -> Result<Vec<StoredLimit>, DbError>;
}

hand_on! {
    MigrationStore, MIGRATIONS, {}
    async fn runs_of(&self, runs: &RunsOf) -> Result<Vec<(InstanceId, bool)>, DbError>;
    async fn migrate(&self, run: &RunMove) -> Result<Moved, DbError>;
    async fn state_shapes(&self, definitions: &[DefinitionId]) -> Result<HashMap<DefinitionId, BTreeSet<String>>, DbError>;
}

hand_on! {
    ScheduleStore, SCHEDULES, {}
    async fn register_schedule(&self, workflow: &WorkflowName, version: Version, definition: DefinitionId, schedule: Option<&Schedule>) -> Result<(), DbError>;
    async fn due_schedules(&self, definitions: &[DefinitionId], limit: i64) -> Result<Vec<DueSchedule>, DbError>;
    async fn fire_schedule(&self, firing: FiringToWrite<'_>) -> Result<Option<usize>, DbError>;
    async fn fire_now(&self, run: &NewRun) -> Result<bool, DbError>;
    async fn schedules(&self, workflow: Option<&str>) -> Result<Vec<ScheduleRow>, DbError>;
    async fn enable_schedule(&self, workflow: &WorkflowName, stored: &StoredSchedule, next_fire_at: Option<OffsetDateTime>) -> Result<bool, DbError>;
    async fn disable_schedule(&self, workflow: &str) -> Result<bool, DbError>;
}

hand_on! {
    NoticeSender, NOTICES, {}
    async fn send(&self, notices: &[Notice]) -> Result<(), DbError>;
}

struct WatchedHeart(Box<dyn Heart>);

#[async_trait]
impl Heart for WatchedHeart {
    async fn pulse(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<Pulse, DbError> {
        hit!("before", pulse);
        let answer = self.0.pulse(worker, lease, definitions).await;
        hit!("after", pulse);
        answer
    }

    async fn roused(&mut self) {
        self.0.roused().await;
    }
}

struct WatchedCandidate(Box<dyn Candidate>);

#[async_trait]
impl Candidate for WatchedCandidate {
    async fn contend(&mut self, worker: WorkerId, stale_after: Duration) -> Result<bool, DbError> {
        hit!("before", contend);
        let answer = self.0.contend(worker, stale_after).await;
        hit!("after", contend);
        answer
    }

    async fn step_down(&mut self, worker: WorkerId) {
        hit!("before", step_down);
        self.0.step_down(worker).await;
        hit!("after", step_down);
    }
}
