// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The transactions of the guarantees, one method each. A store writes what it is told and decides
//! nothing; what is to be written comes from [`transition`](crate::transition).

pub(crate) mod control;
pub(crate) mod definitions;
pub(crate) mod limits;
#[cfg(feature = "simulation")]
pub(crate) mod line;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod migration;
pub(crate) mod notice;
pub(crate) mod postgres;
pub(crate) mod query;
pub(crate) mod schedules;
#[cfg(any(feature = "failpoints", feature = "planted-faults"))]
pub(crate) mod watched;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{Db, DbError, Transaction};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::clock::StoreClock;
use crate::compile::CompiledWorkflow;
use crate::error::TopologyChanged;
use crate::error::failure::{RunFailure, StepFailureKind};
use crate::identifier::{
    DefinitionId, Epoch, InstanceId, Namespace, NodeName, Version, WorkerId, WorkflowName,
};
use crate::instance::journal::{Entry, Recorded};
use crate::instance::{Instance, InstanceStatus};
pub(crate) use control::ControlStore;
pub(crate) use definitions::DefinitionStore;
use limits::LimitStore;
use memory::MemoryStore;
pub(crate) use message::{Letter, MessageStore, NewSignal, Posted};
pub(crate) use migration::MigrationStore;
use notice::NoticeSender;
pub(crate) use query::QueryStore;
use schedules::ScheduleStore;

/// A run to be started.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    pub(crate) instance_id: InstanceId,
    pub(crate) definition_id: DefinitionId,
    pub(crate) namespace: Namespace,
    pub(crate) workflow_name: WorkflowName,
    pub(crate) version: Version,
    pub(crate) input: Value,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) triggered_by: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) priority: i16,
    /// The worker that it is born claimed by, in [`FIRST_EPOCH`].
    pub(crate) worker_id: Option<WorkerId>,
    /// How long it may live.
    pub(crate) deadline: Option<Duration>,
    /// The run that spawns it, if one does.
    pub(crate) birth: Option<Birth>,
}

/// How a run was spawned by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) parent_id: InstanceId,
    /// The first of the runs that the same call spawned.
    pub(crate) sibling_group: String,
    /// Whether it is ready only when a sibling has ended.
    pub(crate) waits_for_turn: bool,
}

/// The epoch of a run that is born claimed.
pub(crate) const FIRST_EPOCH: Epoch = Epoch(1);

/// Which runs are to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claimable {
    Ready,
    /// Those whose worker was lost, one at a time.
    Suspect,
}

/// Where a worker is on its round of the namespaces, and of the workflows in each: after this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub(crate) namespace: Namespace,
    pub(crate) definition: DefinitionId,
}

impl Default for Turn {
    /// Before all others.
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            definition: DefinitionId(0),
        }
    }
}

/// The most namespaces and workflows that one claim goes round.
pub(crate) const ROUND_MAX: usize = 1_000;

/// Over how many namespaces more than it has room for a claim within limits goes: some may be at theirs.
pub(crate) const ROUND_SPARE: usize = 64;

/// A wish to claim runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimRequest<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) definitions: &'a [DefinitionId],
    pub(crate) which: Claimable,
    /// How many runs there is room for.
    pub(crate) room: u32,
    pub(crate) turn: &'a Turn,
}

/// What a claim came to.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    pub(crate) runs: Vec<ClaimedRun>,
    /// Where the next claim begins.
    pub(crate) turn: Turn,
    /// Whether another claim may find more at once.
    pub(crate) is_more: bool,
    /// Whether limits concern runs that are ready, so that the next claim is to be one with limits.
    pub(crate) is_limited: bool,
    /// Whether another claimer held one of those limits.
    pub(crate) is_contended: bool,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Started {
    /// By the worker that was asked for.
    Claimed { claimed_at: OffsetDateTime },
    /// For any worker to claim.
    Ready,
    /// The idempotency key is taken by this run.
    Existing {
        instance_id: InstanceId,
        is_same: bool,
    },
    /// The idempotency key is taken by a run whose input cannot be opened here, to be compared.
    Incomparable { error: DbError },
}

/// A run that a worker now owns.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedRun {
    pub(crate) instance_id: InstanceId,
    pub(crate) epoch: Epoch,
    pub(crate) definition_id: DefinitionId,
    pub(crate) namespace: Namespace,
    pub(crate) input: Value,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) journal: Vec<Recorded>,
    /// Whether another run spawned it.
    pub(crate) is_child: bool,
    /// When it fails if it lives then.
    pub(crate) deadline_at: Option<OffsetDateTime>,
    /// Why it is to end as cancelled once what it did is undone.
    pub(crate) undo_reason: Option<String>,
    /// Losses while alone that the journal does not account for yet.
    pub(crate) lost_attempts: u32,
    /// The database's clock at the claim.
    pub(crate) claimed_at: OffsetDateTime,
    /// Why what is stored of it cannot be read here; the input and the journal are of no use then.
    pub(crate) unreadable: Option<DbError>,
}

/// Entries of one run, to be committed together with what they lead to.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) instance_id: InstanceId,
    pub(crate) epoch: Epoch,
    pub(crate) first_sequence: i64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) then: Then,
    /// Whether the owner knows that cancellation was asked for, and ends the run by this.
    pub(crate) is_cancelling: bool,
    /// Whether the owner knows that it is to pause the run, and starts nothing more.
    pub(crate) is_pausing: bool,
    /// Whether the owner knows that what the run did is to be undone.
    pub(crate) is_undoing: bool,
    /// The stage that the run is in after the entries; -1 where it is in none.
    pub(crate) stage: i32,
    /// Runs that the entries spawn, to be started in the same transaction.
    pub(crate) children: Vec<NewRun>,
}

/// What a run does after a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Then {
    /// Its owner goes on with it.
    Continue,
    /// It gives up its slot and waits.
    Wait(Rest),
    /// It has ended.
    End {
        status: InstanceStatus,
        failure: Option<RunFailure>,
    },
}

/// What a run that gives up its slot waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rest {
    pub(crate) on: RestsOn,
    /// What wakes it in any case.
    pub(crate) wake_after: Option<Duration>,
    pub(crate) current_nodes: Vec<NodeName>,
}

/// What wakes a run that waits, besides its time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RestsOn {
    Retry,
    Timer,
    /// A signal of one of these names.
    Signal(Vec<String>),
    /// The ends of so many children, or a signal of one of these names.
    Child {
        count: u32,
        /// Whether one that failed is enough.
        fails_fast: bool,
        signals: Vec<String>,
    },
    /// A free worker.
    Worker,
    /// A worker that can read it, which this one cannot.
    Reader,
}

impl RestsOn {
    /// The word that is stored.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Timer => "timer",
            Self::Signal(_) => "signal",
            Self::Child { .. } => "child",
            Self::Worker => "worker",
            Self::Reader => "reader",
        }
    }
}

/// What became of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Committed {
    Written,
    /// Another worker may own the run: nothing was written.
    Fenced,
    /// Cancellation was asked for: nothing was written; the owner is to end the run.
    CancelRequested {
        reason: String,
    },
    /// The run is to end once what it did is undone: nothing was written.
    UndoRequested {
        reason: String,
    },
    /// A pause was asked for: nothing was written; the owner is to start nothing more.
    PauseRequested,
}

/// What became of a request to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Nobody owned the run: it has ended.
    AtOnce,
    /// Its owner is to end it.
    Requested,
    AlreadyTerminal(InstanceStatus),
    NotFound,
}

/// What a worker learns once a second.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is the answer to a question of its own"
)]
pub(crate) struct Pulse {
    pub(crate) lease_held: bool,
    pub(crate) leading: bool,
    /// How long ago the leader renewed its row, if there is one.
    pub(crate) leader_age: Option<Duration>,
    pub(crate) runs_ready: bool,
    pub(crate) suspects_ready: bool,
    pub(crate) runs_due: bool,
    pub(crate) messages_undelivered: bool,
    /// The last change of what is defined at run time.
    pub(crate) runtime_revision: i64,
    pub(crate) leases_lost: bool,
    pub(crate) cancellations_overdue: bool,
    /// How long until a schedule of this worker's definitions is due; negative where one is overdue.
    pub(crate) schedule_due_in: Option<time::Duration>,
    /// Own runs whose cancellation was asked for, and how long their grace period still is.
    pub(crate) cancelling: Vec<(InstanceId, Duration)>,
}

/// What waking the due runs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Woken {
    pub(crate) count: u64,
    /// How long until the next run is due, if any sleeps.
    pub(crate) next_in: Option<Duration>,
}

/// A connection of its own for the heartbeat, so that load cannot starve it. Opens itself again after
/// it broke.
#[async_trait]
pub(crate) trait Heart: Send {
    async fn pulse(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<Pulse, DbError>;

    /// Resolves when the next pulse should come at once; where the store cannot tell, never.
    async fn roused(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// A candidate for leadership.
#[async_trait]
pub(crate) trait Candidate: Send {
    /// Tries to lead. `stale_after` is the age from which a leader that does not renew its row is
    /// taken for dead.
    async fn contend(&mut self, worker: WorkerId, stale_after: Duration) -> Result<bool, DbError>;

    /// Stops leading, so that another can at once.
    async fn step_down(&mut self, worker: WorkerId);
}

/// Why a definition could not be brought to the database.
#[derive(Debug)]
pub(crate) enum DefinitionRefused {
    Topology(TopologyChanged),
    Database(DbError),
}

/// How a leader is elected among the drivers on one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Election {
    /// By an advisory lock, held by a connection of its own. The default.
    #[default]
    Advisory,
    /// By a row that the leader renews: the way behind a pooler in transaction mode, where a
    /// connection cannot be held.
    RowLease,
}

/// Where runs are kept. Every write of an owner is fenced by the epoch of its claim.
#[async_trait]
pub(crate) trait Store:
    MessageStore
    + ControlStore
    + QueryStore
    + DefinitionStore
    + LimitStore
    + MigrationStore
    + Send
    + Sync
    + 'static
{
    fn heart(&self) -> Box<dyn Heart>;

    /// The store itself, where its clock is a virtual one.
    fn virtual_time(&self) -> Option<MemoryStore> {
        None
    }

    /// The store's clock, which was just read.
    fn clock_from(&self, reading: OffsetDateTime) -> StoreClock {
        match self.virtual_time() {
            Some(store) => StoreClock::Virtual(Arc::new(move || store.clock())),
            None => StoreClock::read(reading),
        }
    }

    fn candidate(&self, election: Election) -> Box<dyn Candidate>;

    async fn put_definition(
        &self,
        workflow: &CompiledWorkflow,
    ) -> Result<DefinitionId, DefinitionRefused>;

    async fn register_worker(
        &self,
        worker: WorkerId,
        name: &str,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<(), DbError>;

    /// Hands back all that the worker holds, uncounted, and forgets it.
    async fn remove_worker(&self, worker: WorkerId) -> Result<(), DbError>;

    async fn start(&self, runs: &[NewRun]) -> Result<Vec<Started>, DbError>;

    /// Claims runs that no limit concerns. May err after it claimed; those are lost with the lease.
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError>;

    /// Claims runs of any kind, within the limits. May err after it claimed, as [`claim`](Self::claim).
    async fn claim_within_limits(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError>;

    /// Makes runs ready whose time has come.
    async fn wake_due(&self) -> Result<Woken, DbError>;

    /// Makes the runs of dead workers ready. Returns how many.
    async fn release_lost(&self) -> Result<u64, DbError>;

    /// Hands back, uncounted, what the tables give to the worker and is not among `held`: a run that it
    /// still holds under an earlier epoch, the claim of whose present one it never heard of, is. Returns
    /// how many.
    async fn release_unheld(
        &self,
        worker: WorkerId,
        held: &[(InstanceId, Epoch)],
    ) -> Result<u64, DbError>;

    /// Commits the checkpoints in one statement, one answer each. `None` where a checkpoint was
    /// passed over and must be committed by [`commit_alone`](Self::commit_alone).
    async fn commit_batch(
        &self,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Option<Committed>>, DbError>;

    /// Commits one checkpoint, waiting for the run's lock. Safe to call again when the outcome of an
    /// earlier call is unknown.
    async fn commit_alone(&self, checkpoint: &Checkpoint) -> Result<Committed, DbError>;

    /// The database that steps may write to with their checkpoint, where there is one.
    fn database(&self) -> Option<Db>;

    /// Commits one checkpoint as a part of a transaction, waiting for the run's lock.
    async fn commit_in(
        &self,
        transaction: &mut Transaction,
        checkpoint: &Checkpoint,
    ) -> Result<Committed, DbError>;

    /// Starts one run as a part of the caller's transaction.
    async fn start_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
    ) -> Result<Started, DbError>;

    async fn hand_back(
        &self,
        instance: InstanceId,
        epoch: Epoch,
        on: &RestsOn,
        delay: Duration,
    ) -> Result<(), DbError>;

    async fn cancel(
        &self,
        instance: InstanceId,
        reason: &str,
        grace: Duration,
    ) -> Result<Cancelled, DbError>;

    /// Ends the runs whose owners let the grace period pass. Returns them.
    async fn end_overdue_cancellations(&self) -> Result<Vec<InstanceId>, DbError>;

    async fn read(&self, instance: InstanceId) -> Result<Option<StoredInstance>, DbError>;

    /// Which of the runs have ended.
    async fn ended(&self, instances: &[InstanceId]) -> Result<Vec<InstanceId>, DbError>;
}

/// All that a flow asks of the place where its runs are kept.
pub(crate) trait Backend: Store + ScheduleStore + NoticeSender {}

impl<T: Store + ScheduleStore + NoticeSender> Backend for T {}

/// A run as stored: its data without the parts that its journal tells, and the journal.
#[derive(Debug)]
pub(crate) struct StoredInstance {
    /// Its `state`, `nodes` and `current_nodes` are still empty.
    pub(crate) instance: Instance,
    pub(crate) journal: Vec<Recorded>,
}

impl Checkpoint {
    /// Whether some body ended, well or not, rather than died with its process.
    pub(crate) fn is_progress(&self) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::AttemptFailed { failure, .. } => failure.kind != StepFailureKind::WorkerLost,
            _ => true,
        })
    }

    /// Whether it is one of entries and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_cancelling
            && !self.is_pausing
            && !self.is_undoing
            && self.children.is_empty()
            && self.entries.iter().all(|entry| entry.message().is_none())
    }

    /// Whether its run goes on, and nothing is to be written but what it tells.
    pub(crate) fn only_goes_on(&self) -> bool {
        self.then == Then::Continue && !self.entries.is_empty() && self.is_plain()
    }

    /// The reason of a cancellation that this ends by.
    pub(crate) fn cancel_reason(&self) -> Option<&str> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::RunCancelled { reason } => Some(reason.as_str()),
            _ => None,
        })
    }
}
